//! What control entries change.

use super::Moment;
use super::between::Pair;
use super::{group, transparency, trigger};
use crate::blob::{self, Blob};
use crate::cid::Digest;
use crate::definition::Kind;
use crate::entry::{ActorNo, Control, Joined, Role};
use crate::follow::{Direction, Input};
use crate::state::{At, KeptBlob, Outcome, Row, Seen, StateError};

impl Moment<'_> {
    pub(super) fn control(
        &self,
        control: &Control,
        at: At,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        match control {
            Control::Placed {
                digest,
                joined,
                announced_by,
            } => {
                group::owed(*digest, announced_by.as_deref(), self.offset, rows);
                self.place(*digest, joined, rows)
            }
            Control::Unannounced { owed, .. } => {
                group::settled(owed, rows);
                Ok(())
            }
            Control::ProofAttached { digest, .. } => self.proved_by(digest, at, rows),
            Control::Equivocation {
                kept, id, actor, ..
            } => self.equivocation((actor, id), kept, at, rows),
            Control::Between { actor, between } => self.between_as_exported(*actor, between, rows),
            Control::PeerGone { peer } => self.peer_gone(peer, rows),
            Control::InstanceBlock { .. }
            | Control::ActorHostBlock { .. }
            | Control::HostRelationsEnded { .. } => self.block_by(control, rows),
            Control::FollowRefused { actor, peer, id } => {
                self.of_follow(*actor, peer, Input::Refused { id }, rows)
            }
            Control::FollowTaken { actor, peer, id } => {
                self.of_follow(*actor, peer, Input::Taken { id }, rows)
            }
            Control::FollowLost { actor, peer, id } => {
                self.of_follow(*actor, peer, Input::Lost { id }, rows)
            }
            Control::RecoveryPinned {
                peer,
                digest,
                instead_of,
            } => self.pinned(peer, digest, instead_of.as_ref(), rows),
            Control::TriggerSettled(settled) => trigger::settled(self.state, settled, at, rows),
            Control::Role { actor, role, given } => self.role(*actor, *role, *given, rows),
            Control::Activated {
                authority,
                kind,
                name,
                digest,
                create,
            } => self.activated(authority, (*kind, name, *digest), create, rows),
            Control::Admitted { digest, .. } => {
                self.settle(digest, Outcome::Admitted(self.offset), rows)
            }
            Control::Expired { digest } => self.settle(digest, Outcome::Expired(self.offset), rows),
            Control::Erased { digest, deleted_ms } => self.erase(digest, *deleted_ms, rows),
            Control::Trust { trust } => {
                rows.push(Row::Trust(trust.clone()));
                Ok(())
            }
            Control::LogWitnessed { .. } | Control::LogForked { .. } | Control::LogHeld { .. } => {
                transparency::control(self.state, control, self.offset, rows)
            }
            Control::Blob(blob) => self.blob(blob, at, rows),
            Control::BackfillBegun { .. } | Control::BackfillEnded { .. } => {
                self.backfill(control, rows)
            }
            // On record, for whoever reads the journal.
            Control::GenesisAdopted { .. } => Ok(()),
        }
    }

    /// What a peer defined is active from here on.
    fn activated(
        &self,
        authority: &str,
        what: (Kind, &str, Digest),
        create: &Digest,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        // Without its Create there is nothing to read it from.
        let Some(seen) = self.state.seen(create)? else {
            return Ok(());
        };
        self.define(Some(authority), what, (*create, seen.at), rows);
        self.settle(create, Outcome::Activated(self.offset), rows)
    }

    /// A second document under one id.
    fn equivocation(
        &self,
        (actor, id): (&str, &str),
        kept: &Digest,
        at: At,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        rows.push(Row::Evidence {
            actor: actor.to_owned(),
            id: id.to_owned(),
            kept: *kept,
            at,
        });
        self.further(kept, rows)
    }

    /// What a peer is held to, unless it was held to something else meanwhile.
    fn pinned(
        &self,
        peer: &str,
        digest: &str,
        instead_of: Option<&String>,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        if self.state.recovery_of(peer)?.as_ref() == instead_of {
            let (peer, digest) = (peer.to_owned(), digest.to_owned());
            rows.push(Row::Recovery { peer, digest });
        }
        Ok(())
    }

    fn role(
        &self,
        actor: ActorNo,
        role: Role,
        given: bool,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        if self.state.actor(actor)?.is_some() {
            rows.push(Row::Role { actor, role, given });
        }
        Ok(())
    }

    /// Somebody is shut out, by the operator or by an actor.
    fn block_by(&self, control: &Control, rows: &mut Vec<Row>) -> Result<(), StateError> {
        match control {
            Control::InstanceBlock {
                host,
                blocked,
                actor,
            } => self.block_by_instance(host, actor.as_deref(), *blocked, rows),
            Control::ActorHostBlock {
                actor,
                host,
                blocked,
            } => self.block_by_actor((*actor, host), *blocked, *blocked, rows),
            Control::HostRelationsEnded { actor, host, peers } => {
                self.end_relations((*actor, host), peers, rows)
            }
            _ => Ok(()),
        }
    }

    /// A host is blocked for every actor here, or one actor there, with whom all relations end then.
    fn block_by_instance(
        &self,
        host: &str,
        actor: Option<&str>,
        blocked: bool,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Some(peer) = actor else {
            let host = host.to_owned();
            rows.push(Row::HostBlock { host, blocked });
            return Ok(());
        };
        rows.push(Row::PeerBlock {
            peer: peer.to_owned(),
            blocked,
        });
        match blocked {
            true => self.with_all(peer, rows, |pair| pair.step_both(Input::BlockedByUs)),
            false => Ok(()),
        }
    }

    /// An actor blocks a host. Its relations there end in parts, because there may be any number of them.
    fn block_by_actor(
        &self,
        (actor, host): (ActorNo, &str),
        blocked: bool,
        ends: bool,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        if self.state.actor(actor)?.is_some() {
            let host = host.to_owned();
            rows.push(Row::ActorHostBlock {
                actor,
                host,
                blocked,
                ends,
            });
        }
        Ok(())
    }

    /// A part of them; without any, all have ended.
    fn end_relations(
        &self,
        (actor, host): (ActorNo, &str),
        peers: &[String],
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        if !self.state.blocks_host(actor, host)? {
            // It was let in again meanwhile.
            return Ok(());
        }
        if peers.is_empty() {
            return self.block_by_actor((actor, host), true, false, rows);
        }
        let Some(actor) = self.state.actor(actor)? else {
            return Ok(());
        };
        for peer in peers {
            let mut pair = Pair::load(self, actor.clone(), peer)?;
            pair.step_both(Input::BlockedByUs);
            pair.rows(self, rows)?;
        }
        Ok(())
    }

    /// A file of an actor. Its payload is erased as those of documents are.
    fn blob(&self, blob: &Blob, at: At, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let (actor, digest, kept) = match *blob {
            Blob::Kept {
                actor,
                digest,
                media,
            } => {
                rows.push(Row::Seen {
                    digest: blob::payload_of(at.offset, &digest),
                    seen: Seen::at(at),
                });
                let is_erased = false;
                (
                    actor,
                    digest,
                    KeptBlob {
                        at,
                        media,
                        is_erased,
                    },
                )
            }
            Blob::Erased {
                actor,
                digest,
                offset,
            } => {
                self.erase(&blob::payload_of(offset, &digest), self.now_ms, rows)?;
                let kept = self.state.blob(actor, &digest)?;
                let Some(kept) = kept.filter(|kept| kept.at.offset == offset) else {
                    return Ok(());
                };
                let is_erased = true;
                (actor, digest, KeptBlob { is_erased, ..kept })
            }
        };
        rows.push(Row::Blob {
            actor,
            digest,
            kept,
        });
        Ok(())
    }

    /// A kept activity has a proof since this entry.
    fn proved_by(&self, digest: &Digest, at: At, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let Some(seen) = self.state.seen(digest)? else {
            return Ok(());
        };
        let seen = Seen {
            proved: true,
            with_proof: Some(at),
            ..seen
        };
        rows.push(Row::Seen {
            digest: *digest,
            seen,
        });
        self.further(digest, rows)
    }

    /// What became of a local actor's `Follow` at the peer's server.
    fn of_follow(
        &self,
        actor: ActorNo,
        peer: &str,
        input: Input<'_>,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Some(actor) = self.state.actor(actor)? else {
            return Ok(());
        };
        let mut pair = Pair::load(self, actor, peer)?;
        pair.step(Direction::Following, input);
        pair.rows(self, rows)
    }

    /// A kept activity joins further logs.
    fn place(
        &self,
        digest: Digest,
        joined: &[Joined],
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Some(seen) = self.state.seen(&digest)? else {
            return Ok(());
        };
        for joined in joined {
            rows.push(Row::Placed {
                digest,
                joined: *joined,
                offset: self.offset,
            });
            rows.push(Row::Log {
                joined: *joined,
                at: seen.at,
            });
        }
        Ok(())
    }
}

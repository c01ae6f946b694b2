//! Cosignatures: ours under the checkpoints of others, and theirs under those of the actors here.
//!
//! Ours is by the key that the instance's own actor names as its `logKey`, which signs nothing else. Theirs are taken
//! from the instances of followers alone, and kept in memory: who cosigned says it again when it next looks. Invariant: a
//! checkpoint that an actor's log signed and that this log does not come up to shows that the copy here is an old one;
//! the actor publishes nothing from then on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use fedsx_core::actor::{cosigner, with_scheme, without_scheme};
use fedsx_core::address::Origin;
use fedsx_core::entry::{ActorNo, Control};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::transparency::{Checkpoint, Note, NoteSignature, TilePath, Tiles, tree_root};
use fedsx_discovery::pool::Purpose;

use super::Head;
use crate::{Node, fault};

/// Actors of whose cosigners is remembered.
const ACTORS: usize = 4_096;

/// The cosignatures of local actors' checkpoints, each with the size it is for; those heard last stand last.
#[derive(Debug, Default)]
pub(crate) struct Cosigned(Mutex<HashMap<ActorNo, Vec<(u64, NoteSignature)>>>);

impl Node {
    /// This instance's cosignature of a checkpoint; none in a node that nobody serves.
    pub(super) fn cosign(&self, note: &Note) -> Option<NoteSignature> {
        let itself = self.itself()?;
        let signer = itself.log_signer();
        let url = self.0.instance.own_actor_url();
        let time_s = u64::try_from(self.now_ms().div_euclid(1_000)).ok()?;
        let key = signer.public_key();
        let cosigned = note.cosign(without_scheme(&url), &key, signer, time_s);
        cosigned
            .inspect_err(|error| tracing::error!(%error, "this instance can't cosign"))
            .ok()
    }

    /// Tells a log that its checkpoint was seen, unless it shows so already.
    pub(super) async fn send_cosignature(&self, head: &Head) {
        let Some(by_us) = self.cosign(&head.note) else {
            return;
        };
        if head
            .note
            .signatures()
            .iter()
            .any(|by| by.name == by_us.name)
        {
            return;
        }
        let Ok(mut note) = head.witnessed.note() else {
            return;
        };
        note.add(by_us);
        let url = format!("{}/cosignatures", head.log.url);
        let sent = self.0.fetcher.send_note(&url, note.to_string()).await;
        if let Err(error) = sent {
            tracing::debug!(url, %error, "a cosignature was not taken");
        }
    }

    /// Takes the cosignature that the instance of a follower gives to a checkpoint of a local actor's log.
    ///
    /// # Errors
    /// `malformed`; `bad-signature`, where either signature does not hold; `conflict`, where it is no checkpoint of this
    /// log; `not-authorised`, where nobody there follows the actor; `keys-unresolved`.
    pub async fn take_cosignature(
        &self,
        name: &str,
        body: &[u8],
        source: IpAddr,
    ) -> Result<(), Refusal> {
        let actor = self.actor(name)?;
        let note = Note::parse(body);
        let note = note.map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
        let bad = |why: String| Refusal::new(Code::BadSignature, why);
        let key = self.log_of(&actor)?.note_key();
        let key = key.map_err(|error| fault::internal("a log has no sound name", &error))?;
        let checkpoint = note
            .checkpoint(&key)
            .map_err(|error| bad(error.to_string()))?;
        self.refuse_other(&actor, &checkpoint).await?;
        let mut others = note.signatures().iter().filter(|by| by.name != key.name());
        let (Some(by), None) = (others.next(), others.next()) else {
            let why = "exactly one cosignature stands below the log's own signature";
            return Err(Refusal::new(Code::Malformed, why));
        };
        let url = with_scheme(&by.name);
        let follows = match Origin::of(&url) {
            Some(origin) => self.0.view.state().followers_on(actor.no, origin.as_str()),
            None => return Err(bad("the cosigner's name is no address".to_owned())),
        };
        if follows.map_err(fault::state)?.count == 0 {
            let why = "only the instances of followers cosign";
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        let whose = self.0.peers.actor(&url, Purpose::Inbound { source }).await;
        let whose = whose.map_err(|error| {
            let why = format!("the cosigner's document can't be had: {error}");
            Refusal::new(Code::KeysUnresolved, why).retry_after(300)
        })?;
        let whose = cosigner(&whose.document);
        let whose = whose.ok_or_else(|| bad("the cosigner names no key".to_owned()))?;
        let cosigned = note
            .cosignature(&whose)
            .map_err(|error| bad(error.to_string()))?;
        let latest_ms = self.now_ms() + limits::CLOCK_SKEW_MS;
        if i128::from(cosigned.time_s) * 1_000 > i128::from(latest_ms) {
            return Err(Refusal::new(
                Code::Future,
                "the cosignature is of a time to come",
            ));
        }
        self.keep_cosignature(actor.no, checkpoint.size, by);
        Ok(())
    }

    /// Refuses a checkpoint that is not one of this log. One that goes beyond it was signed by a log that knew more.
    async fn refuse_other(&self, actor: &Actor, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        let frontier = self.0.view.state().log_frontier(actor.no);
        let size = frontier.map_err(fault::state)?.size();
        let is_ours =
            checkpoint.size <= size && self.log_root(actor.no, checkpoint.size)? == checkpoint.root;
        if is_ours {
            return Ok(());
        }
        tracing::error!(
            actor = actor.name,
            size,
            signed = checkpoint.size,
            "this log signed a checkpoint that it does not know: the data here is an old copy"
        );
        if !actor.is_read_only {
            let (actor, held) = (actor.no, true);
            self.control(Control::LogHeld { actor, held }).await?;
        }
        let why = "the log here does not come up to that checkpoint";
        Err(Refusal::new(Code::Conflict, why))
    }

    /// The root that a local actor's log had at some size that it has come to.
    pub(super) fn log_root(
        &self,
        actor: ActorNo,
        size: u64,
    ) -> Result<fedsx_core::cid::Digest, Refusal> {
        let gaps = |error| fault::internal("a log has gaps", &error);
        let needed = Tiles::needed(size, |tiles| tree_root(tiles, size).map(drop));
        let mut tiles = Tiles::of(size);
        for tile in needed {
            let bytes = self.tile(actor, &TilePath::Hashes(tile))?;
            tiles.insert(tile, &bytes).map_err(gaps)?;
        }
        tree_root(&mut tiles, size).map_err(gaps)
    }

    fn keep_cosignature(&self, actor: ActorNo, size: u64, by: &NoteSignature) {
        let cosigned = &self.0.cosigned.0;
        let mut cosigned = cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        if cosigned.len() >= ACTORS && !cosigned.contains_key(&actor) {
            cosigned.clear();
        }
        let known = cosigned.entry(actor).or_default();
        known.retain(|(_, known)| known.name != by.name);
        if known.len() >= limits::COSIGNERS {
            known.remove(0);
        }
        known.push((size, by.clone()));
    }

    /// Adds the cosignatures of a local actor's checkpoint that are for it.
    pub(crate) fn add_cosignatures(&self, actor: ActorNo, size: u64, note: &mut Note) {
        let cosigned = &self.0.cosigned.0;
        let cosigned = cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, by) in cosigned.get(&actor).into_iter().flatten() {
            if *of == size {
                note.add(by.clone());
            }
        }
    }
}

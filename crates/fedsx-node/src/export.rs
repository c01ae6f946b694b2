//! Exporting an actor: its keys, its logs in order, and what is between it and others, sealed as it is read.
//!
//! Invariant: what is exported can be imported: a relation that does not stand on what was exported of the log, because
//! it changed meanwhile, ends the export with a refusal. Memory holds some entries, and the handshakes. Bearer tokens
//! stay behind: they are for this instance's clients. So does evidence against peers.

use std::collections::VecDeque;
use std::vec::IntoIter;

use fedsx_core::actor::{ActorLog, rsa_key_id};
use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, Authenticated, Effect, LogId, Role};
use fedsx_core::envelope::Envelope;
use fedsx_core::export::{Begin, Between, End, Entry, Follows, Left, Record};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, KeptBlob, Outcome};
use fedsx_store::export::{BetweenScan, Sealing};
use fedsx_store::{InLog, SeqRange, Stored, View};

use crate::signatory::rsa_spki;
use crate::{Node, fault};

/// Entries of a log read at once.
const CHUNK: usize = 64;
/// The shortest passphrase, bytes.
const PASSPHRASE_BYTES_MIN: usize = 12;

/// An export under way.
#[derive(Debug)]
pub struct Exporter {
    node: Node,
    actor: Actor,
    /// None when it has ended.
    sealing: Option<Sealing>,
    follows: Follows,
    sides: [Side; 2],
    between: Option<BetweenScan>,
    /// Its files, once what is before them is exported.
    blobs: Option<IntoIter<(Digest, KeptBlob)>>,
    end: End,
}

/// One of the two logs.
#[derive(Debug)]
struct Side {
    log: LogId,
    after: u64,
    /// With the offset at which each joined the log.
    ready: VecDeque<(u64, InLog)>,
}

impl Node {
    /// Begins the export of a local actor. Takes a moment, on purpose.
    ///
    /// # Errors
    /// `no-such-actor`; `malformed` for a passphrase that is too short.
    pub fn export_actor(&self, name: &str, passphrase: &[u8]) -> Result<Exporter, Refusal> {
        let actor = self.actor(name)?;
        if passphrase.len() < PASSPHRASE_BYTES_MIN {
            let why = format!("a passphrase takes at least {PASSPHRASE_BYTES_MIN} bytes");
            return Err(Refusal::new(Code::Malformed, why));
        }
        let mut sealing = Sealing::new(passphrase)?;
        let is_definer = self.0.view.state().has_role(actor.no, Role::Definer);
        let roles = is_definer.map_err(fault::state)?.then_some(Role::Definer);
        sealing.push(&Record::Begin(Begin {
            base_url: self.0.instance.base_url().to_owned(),
            actor: actor.url.clone(),
            name: actor.name.clone(),
            exported_ms: self.now_ms(),
            roles: roles.into_iter().collect(),
        }));
        let side = |log| Side {
            log,
            after: 0,
            ready: VecDeque::new(),
        };
        let mut exporter = Exporter {
            node: self.clone(),
            sides: [side(LogId::outbox(actor.no)), side(LogId::inbox(actor.no))],
            sealing: None,
            follows: Follows::default(),
            between: None,
            blobs: None,
            end: End::default(),
            actor,
        };
        exporter.keys(&mut sealing)?;
        exporter.sealing = Some(sealing);
        Ok(exporter)
    }
}

impl Exporter {
    /// The next bytes of the file; none when it has ended.
    ///
    /// # Errors
    /// `conflict` when a follow changed while it was read: begin again.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(mut sealing) = self.sealing.take() else {
            return Ok(None);
        };
        loop {
            let bytes = sealing.take();
            if !bytes.is_empty() {
                self.sealing = Some(sealing);
                return Ok(Some(bytes));
            }
            if !self.push_some(&mut sealing)? {
                sealing.push(&Record::End(self.end));
                return Ok(Some(sealing.finish()));
            }
        }
    }

    fn keys(&mut self, sealing: &mut Sealing) -> Result<(), Refusal> {
        let (vault, actor) = (&self.node.0.vault, &self.actor);
        let document = self
            .node
            .0
            .view
            .actor_document(actor)
            .map_err(fault::read)?;
        let rsa = match rsa_spki(&document) {
            Some(spki) => vault.exported_rsa(&rsa_key_id(&actor.url), &spki),
            None => Ok(None),
        };
        let keys = actor.keys.iter().map(|key| vault.exported(&key.id));
        let log_key = ActorLog::of(&document).map(|log| vault.exported(&log.key_id));
        for key in keys.chain([rsa]).chain(log_key) {
            let key = key.map_err(|error| fault::internal("a key can't be read", &error))?;
            if let Some(key) = key {
                sealing.push(&Record::Key(key));
                self.end.keys += 1;
            }
        }
        Ok(())
    }

    /// Adds the next entry, some of what is between the actor and others, or a file; `false` when there is no more.
    fn push_some(&mut self, sealing: &mut Sealing) -> Result<bool, Refusal> {
        if self.between.is_none() {
            if let Some(entry) = self.entry()? {
                sealing.push(&Record::Entry(Box::new(entry)));
                self.end.entries += 1;
                return Ok(true);
            }
            self.between = Some(self.node.0.view.between(self.actor.no));
        }
        let scan = self.between.as_mut().expect("set above");
        let rows = scan.next_rows().map_err(fault::read)?;
        for between in &rows {
            if let Between::Relation {
                direction,
                peer,
                relation,
            } = between
                && !self
                    .follows
                    .backs(&self.actor.url, *direction, peer, relation)
            {
                let why = format!(
                    "the follow between {} and {peer} is changing; try again",
                    self.actor.name
                );
                return Err(Refusal::new(Code::Conflict, why).retry_after(1));
            }
            sealing.push(&Record::Between(between.clone()));
            self.end.between += 1;
        }
        Ok(!rows.is_empty() || self.push_blob(sealing)?)
    }

    /// Adds the next file; `false` when there is no more. What is erased meanwhile is left out.
    fn push_blob(&mut self, sealing: &mut Sealing) -> Result<bool, Refusal> {
        let view = &self.node.0.view;
        let blobs = match &mut self.blobs {
            Some(blobs) => blobs,
            None => {
                let blobs = view.blobs_of(self.actor.no).map_err(fault::read)?;
                self.blobs.insert(blobs.into_iter())
            }
        };
        for (digest, kept) in blobs {
            let bytes = view.blob_at(&kept).map_err(fault::read)?;
            if Digest::of(&bytes) == digest {
                sealing.push(&Record::Blob(bytes.to_vec()));
                self.end.blobs += 1;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next activity of the two logs, in the order in which they joined them.
    fn entry(&mut self) -> Result<Option<Entry>, Refusal> {
        let view = self.node.0.view.clone();
        for side in &mut self.sides {
            side.fill(&view)?;
        }
        let [outbox, inbox] = &mut self.sides;
        let at = |side: &Side| {
            let (offset, entry) = side.ready.front()?;
            Some((*offset, entry.stored.activity()?.digest))
        };
        let (first, second) = (at(outbox), at(inbox));
        let (out, inn) = match (first, second) {
            (None, None) => return Ok(None),
            // It joined both at once.
            (Some(first), Some(second)) if first == second => (true, true),
            (Some((first, _)), Some((second, _))) => (first <= second, first > second),
            (first, second) => (first.is_some(), second.is_some()),
        };
        let outbox = outbox.ready.pop_front_if(|_| out).map(|(_, entry)| entry);
        let inbox = inbox.ready.pop_front_if(|_| inn).map(|(_, entry)| entry);
        let seqs = [&outbox, &inbox].map(|entry| entry.as_ref().map(|entry| entry.seq));
        let Some(InLog { stored, .. }) = outbox.or(inbox) else {
            return Ok(None);
        };
        let Some(activity) = stored.activity() else {
            return Err(fault::internal(
                "a log holds what is no activity",
                &stored.header.offset,
            ));
        };
        if !stored.erased
            && matches!(
                activity.verb.as_str(),
                "Follow" | "Accept" | "Reject" | "Undo"
            )
        {
            let map = stored.map().map_err(fault::read)?;
            self.follows.see(&Envelope::of(&map)?)?;
        }
        exported(&view, activity, &stored, seqs).map(Some)
    }
}

impl Side {
    fn fill(&mut self, view: &View) -> Result<(), Refusal> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        let range = SeqRange {
            after: Some(self.after),
            before: None,
        };
        for entry in view
            .log(self.log, range, false, CHUNK)
            .map_err(fault::read)?
        {
            self.after = entry.seq;
            let Some(activity) = entry.stored.activity() else {
                continue;
            };
            let itself = activity.joined.iter().any(|joined| joined.log == self.log);
            let offset = match itself {
                true => Some(entry.stored.header.offset),
                false => view
                    .joined_at(&activity.digest, self.log)
                    .map_err(fault::read)?,
            };
            self.ready.push_back((offset.unwrap_or_default(), entry));
        }
        Ok(())
    }
}

fn exported(
    view: &View,
    activity: &Activity,
    stored: &Stored,
    [outbox, inbox]: [Option<u64>; 2],
) -> Result<Entry, Refusal> {
    let proved_later = match activity.authenticated {
        Authenticated::HttpSignature | Authenticated::Origin => {
            view.attached_key(&activity.digest).map_err(fault::read)?
        }
        Authenticated::Local | Authenticated::Proof => None,
    };
    let (authenticated, key) = match proved_later {
        Some(key) => (Authenticated::Proof, Some(key)),
        None => (activity.authenticated, activity.key.clone()),
    };
    let outcome = match activity.mark {
        Some(_) => view.outcome(&activity.digest).map_err(fault::read)?,
        None => None,
    };
    let is_admitted = matches!(outcome, Some(Outcome::Admitted(_)));
    Ok(Entry {
        offset: stored.header.offset,
        received_ms: stored.header.received_ms,
        digest: activity.digest,
        notation: stored.notation,
        document: (!stored.erased).then(|| stored.document.clone()),
        outbox,
        inbox,
        authenticated,
        key,
        visibility: activity.visibility,
        hidden: activity.hidden.clone(),
        audience: activity.audience.clone(),
        definitions: activity.definitions.clone(),
        backfilled: activity.backfilled,
        mark: activity.mark.filter(|_| !is_admitted),
        derived: activity.derived.clone(),
        subscribed: match &activity.effect {
            Some(Effect::Subscribed { name, version }) => Some((name.clone(), *version)),
            _ => None,
        },
        left: stored.erased.then(|| Left {
            id: activity.id.clone(),
            verb: activity.verb.clone(),
            actor: activity.actor.clone(),
            object_id: activity.object_id.clone(),
            published_ms: activity.published_ms,
            deleted_ms: stored.deleted_ms.unwrap_or(activity.published_ms),
            embeds: activity.embeds.clone().unwrap_or_default(),
        }),
        deleted: match &activity.effect {
            Some(Effect::Deleted {
                with, former_type, ..
            }) => Some((with.clone(), former_type.clone())),
            _ => None,
        },
    })
}

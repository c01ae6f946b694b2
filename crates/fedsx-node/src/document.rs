//! How a local actor's document changes: by an `Update` of itself whose object is the whole new one.
//!
//! Invariant: what an actor publishes is signed by a key that is in force at its `published`. So the instant, the
//! keys and the place in the queue are taken together, under the actor's [`Pen`], and a change counts from the
//! instant it is queued, not from when it is applied. Deliberately absent: what is changed (`keys`), and schemas:
//! the document is the server's own. Design, section 6.

use std::sync::{Arc, Mutex, PoisonError};

use fedsx_core::actor::{
    ActorKind, ActorLog, list_keys, list_log_key, log_key_id, name_controllers, next_key_number,
};
use fedsx_core::context;
use fedsx_core::entry::{ActorNo, Effect};
use fedsx_core::key::{Ed25519Signer, FormerRsa, KeyRecord, PublicKey};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_store::Appended;

use crate::publish::{Making, Queued};
use crate::{Node, Published, fault};

/// Held while an actor's next activity is signed and queued, so that times, places and keys agree.
#[derive(Debug)]
pub(crate) struct Pen {
    /// The last `published`, Unix milliseconds.
    pub(crate) last_ms: i64,
    /// A change of the document that is queued, and by which `Update`.
    queued: Option<(String, Amended)>,
    /// Whether the actor's `Delete` is queued: nothing comes behind it.
    pub(crate) ends: bool,
}

impl Pen {
    /// The instant of the next activity, strictly later than the last.
    ///
    /// # Errors
    /// `gone`, where there is none.
    pub(crate) fn next_ms(&self, now_ms: i64) -> Result<i64, Refusal> {
        if self.ends {
            return Err(Refusal::new(Code::Gone, "the actor is being deleted"));
        }
        Ok(now_ms.max(self.last_ms + 1))
    }
}

/// An actor's document, and the keys it lists.
#[derive(Clone, Debug)]
pub(crate) struct Amended {
    /// The document; its keys are written from `keys`.
    pub(crate) document: Map,
    /// The Ed25519 keys, current and superseded.
    pub(crate) keys: Vec<KeyRecord>,
    /// The RSA keys that it listed before, the newest last.
    pub(crate) former_rsa: Option<Vec<FormerRsa>>,
}

/// The `Update` that a change goes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByUpdate<'a> {
    /// Its `id`.
    pub(crate) id: &'a str,
    /// Its `published`, Unix milliseconds.
    pub(crate) published_ms: i64,
}

impl Node {
    /// Changes an actor's document by an `Update` that the present key signs. Returns when it is durable, and
    /// the new document is served. `change` is asked once, and sees all that was changed before.
    ///
    /// # Errors
    /// What `change` refuses, or the refusal of publishing it; then nothing has changed.
    pub(crate) async fn amend(
        &self,
        actor: &Actor,
        change: impl FnOnce(&mut Amended, ByUpdate<'_>) -> Result<(), Refusal>,
    ) -> Result<Published, Refusal> {
        self.amend_by(None, actor, change).await
    }

    /// [`Self::amend`], signed by a key that is not in the vault where one is given.
    pub(crate) async fn amend_by(
        &self,
        signer: Option<Arc<Ed25519Signer>>,
        actor: &Actor,
        change: impl FnOnce(&mut Amended, ByUpdate<'_>) -> Result<(), Refusal>,
    ) -> Result<Published, Refusal> {
        self.refuse_held(actor)?;
        let log_key = self.missing_log_key(actor).await?;
        let pen = self.pen_of(actor.no)?;
        let change = |amended: &mut Amended, update: ByUpdate<'_>| {
            change(amended, update)?;
            if let Some((id, key)) = log_key
                && ActorLog::of(&amended.document).is_none()
            {
                list_log_key(&mut amended.document, &actor.url, &id, &key);
            }
            Ok(())
        };
        let Queued {
            answer, published, ..
        } = self.queue_update(signer, actor, &pen, change)?;
        let outcome = answer.wait().await;
        let mut pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
        // From here on the actor's row says it, or it never came to be.
        pen.queued.take_if(|(update, _)| *update == published.id);
        match outcome.map_err(fault::append)? {
            Appended::New { offset, joined } => Ok(published.placed(offset, &joined)),
            Appended::Replay => Err(fault::internal(
                "a fresh Update was a replay",
                &published.cid,
            )),
        }
    }

    /// The key of the log of an actor that was made before there were logs, durable.
    async fn missing_log_key(&self, actor: &Actor) -> Result<Option<(String, PublicKey)>, Refusal> {
        let document = self.0.view.actor_document(actor).map_err(fault::read)?;
        if ActorLog::of(&document).is_some() {
            return Ok(None);
        }
        let id = log_key_id(&actor.url, next_key_number(&actor.keys) - 1);
        Ok(Some((id.clone(), self.make_key(id).await?)))
    }

    fn queue_update(
        &self,
        signer: Option<Arc<Ed25519Signer>>,
        actor: &Actor,
        pen: &Mutex<Pen>,
        change: impl FnOnce(&mut Amended, ByUpdate<'_>) -> Result<(), Refusal>,
    ) -> Result<Queued, Refusal> {
        let mut pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
        let uuid = self.uuid()?.hyphenated().to_string();
        let id = format!("{}/activities/{uuid}", actor.url);
        let published_ms = pen.next_ms(self.now_ms())?;
        let mut amended = self.amended_at(&pen, actor.no)?;
        let before = amended.keys.clone();
        let update = ByUpdate {
            id: &id,
            published_ms,
        };
        change(&mut amended, update)?;
        // An older one was made with the terms of its time.
        amended.document.insert("@context", context::of_actor());
        list_keys(&mut amended.document, &actor.url, &amended.keys);
        if actor.kind == ActorKind::Group {
            name_controllers(&mut amended.document, &self.0.instance, &actor.name);
        }
        let manual_approval = amended.document.get("manuallyApprovesFollowers");
        let own = Effect::ActorUpdated {
            manual_approval: manual_approval.and_then(Value::as_bool) == Some(true),
            keys: amended.keys.clone(),
            former_rsa: amended.former_rsa.clone(),
        };
        let document = Map::from([
            ("type", Value::from("Update")),
            ("object", amended.document.clone().into()),
        ]);
        let making = Making {
            actor,
            document: &document,
            object_uuid: uuid.clone(),
            uuid,
            own: Some(&own),
            derivation: None,
            registry: self.registry(),
        };
        let (signer, key) = match signer {
            Some(signer) => (Arc::clone(&signer), signer.public_key()),
            None => {
                let (signer, record) = self.signing_key(&before)?;
                (signer, record.key.clone())
            }
        };
        let queued = self.queue_at(&mut pen, published_ms, (&signer, &key), &making, Vec::new())?;
        pen.queued = Some((id, amended));
        Ok(queued)
    }

    /// An actor's document as of what is queued.
    fn amended_at(&self, pen: &Pen, actor: ActorNo) -> Result<Amended, Refusal> {
        if let Some((_, amended)) = &pen.queued {
            return Ok(amended.clone());
        }
        let actor = self.actor_of(actor)?;
        let document = self.0.view.actor_document(&actor);
        Ok(Amended {
            document: document.map_err(fault::read)?,
            keys: actor.keys,
            former_rsa: actor.former_rsa,
        })
    }

    /// An actor's keys as of what is queued.
    pub(crate) fn keys_at(&self, pen: &Pen, actor: ActorNo) -> Result<Vec<KeyRecord>, Refusal> {
        match &pen.queued {
            Some((_, amended)) => Ok(amended.keys.clone()),
            None => Ok(self.actor_of(actor)?.keys),
        }
    }

    fn actor_of(&self, no: ActorNo) -> Result<Actor, Refusal> {
        let actor = self.0.view.state().actor(no).map_err(fault::state)?;
        match actor {
            Some(actor) if actor.is_gone() => {
                Err(Refusal::new(Code::Gone, "the actor was deleted"))
            }
            Some(actor) => Ok(actor),
            None => Err(Refusal::new(Code::NoSuchActor, "the actor is not here")),
        }
    }

    pub(crate) fn pen_of(&self, actor: ActorNo) -> Result<Arc<Mutex<Pen>>, Refusal> {
        let mut pens = self.0.pens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pen) = pens.get(&actor) {
            return Ok(Arc::clone(pen));
        }
        let totals = self.0.view.state().outbox_totals(actor);
        let pen = Arc::new(Mutex::new(Pen {
            last_ms: totals.map_err(fault::state)?.last_published_ms,
            queued: None,
            ends: false,
        }));
        pens.insert(actor, Arc::clone(&pen));
        Ok(pen)
    }
}

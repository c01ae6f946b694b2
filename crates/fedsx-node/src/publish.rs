//! What is published here: completed and signed by the kernel, queued in the order of its times.

use std::sync::{Arc, PoisonError};

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::publish::{Publishing, publish};
use fedsx_core::decide::schema::Circumstances;
use fedsx_core::entry::{Authenticated, Effect, Joined, LogId, Side};
use fedsx_core::group::ToAnnounce;
use fedsx_core::key::{Ed25519Signer, PublicKey};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::Registry;
use fedsx_core::state::Actor;
use fedsx_core::trigger::{Derivation, Derived};
use fedsx_core::value::Map;
use fedsx_store::{Answer, AppendError, Appended, Priority};
use uuid::{Builder, Uuid};

use crate::document::Pen;
use crate::erasure::is_deletion;
use crate::programs::Question;
use crate::{Known, Node, fault};

/// How an activity is published.
#[derive(Clone, Default, Debug)]
pub struct PublishOptions {
    /// A client's own name for this request: sent again with it, the same activity is answered.
    pub idempotency_key: Option<String>,
}

/// What was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The activity's URL.
    pub id: String,
    /// Its CID.
    pub cid: Cid,
    /// Its place in the actor's outbox, from 1.
    pub seq: u64,
    /// Its place in the journal, from 1.
    pub offset: u64,
}

impl Published {
    /// The same, where it was appended.
    pub(crate) fn placed(self, offset: u64, joined: &[Joined]) -> Self {
        let outbox = joined.iter().find(|joined| joined.log.side == Side::Outbox);
        let seq = outbox.map_or(0, |joined| joined.seq);
        Self {
            seq,
            offset,
            ..self
        }
    }
}

/// An activity in the making: all but its instant.
pub(crate) struct Making<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) document: &'a Map,
    pub(crate) uuid: String,
    pub(crate) object_uuid: String,
    /// Given where the server itself says what becomes of the actor.
    pub(crate) own: Option<&'a Effect>,
    pub(crate) derivation: Option<&'a Derivation>,
    pub(crate) registry: Arc<Registry>,
}

impl Making<'_> {
    const fn is_birth(&self) -> bool {
        matches!(self.own, Some(Effect::ActorCreated { .. }))
    }

    const fn ends(&self) -> bool {
        matches!(self.own, Some(Effect::ActorDeleted { .. }))
    }

    fn publishing<'a>(
        &'a self,
        published_ms: i64,
        (signer, key): (&'a Ed25519Signer, &'a PublicKey),
    ) -> Publishing<'a> {
        Publishing {
            actor: &self.actor.url,
            no: self.actor.no,
            document: self.document,
            activity_uuid: &self.uuid,
            object_uuid: &self.object_uuid,
            published_ms,
            signer,
            multikey: key.multibase(),
            registry: &self.registry,
            own: self.own,
            derivation: self.derivation,
        }
    }
}

/// Whence an activity comes.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Somebody asked for it.
    Asked,
    /// The server itself says what becomes of the actor: it begins, or goes on as another.
    Own(&'a Effect),
    /// A trigger made it.
    Derived(&'a Derivation),
}

/// An activity that waits to be written.
pub(crate) struct Queued {
    pub(crate) answer: Answer,
    pub(crate) published: Published,
    /// Whether the registry has to be brought up after it.
    defines: bool,
    /// Whether something is to be erased after it.
    deletes: bool,
}

/// The longest idempotency key, bytes.
const IDEMPOTENCY_KEY_BYTES: usize = 255;

impl Node {
    /// Publishes a document as a local actor: an activity, or an object that is wrapped in `Create`.
    /// Returns when it is durable.
    ///
    /// # Errors
    /// The refusal, with its code.
    pub async fn publish(
        &self,
        name: &str,
        document: Map,
        options: PublishOptions,
    ) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let key = options.idempotency_key;
        if key
            .as_ref()
            .is_some_and(|key| key.len() > IDEMPOTENCY_KEY_BYTES)
        {
            let why = format!("an idempotency key has at most {IDEMPOTENCY_KEY_BYTES} bytes");
            return Err(Refusal::new(Code::Malformed, why));
        }
        let uuid = match &key {
            Some(key) => named_uuid(&actor.url, key),
            None => self.uuid()?,
        };
        if key.is_some()
            && let Some(before) = self.published(&actor, &uuid)?
        {
            return Ok(before);
        }
        match self
            .publish_as(&actor, &document, uuid, Origin::Asked)
            .await
        {
            // The same request came twice at once, and the other copy was first.
            Err(refusal) if refusal.code == Code::Equivocation && key.is_some() => {
                self.published(&actor, &uuid)?.ok_or(refusal)
            }
            outcome => outcome,
        }
    }

    /// Publishes what a trigger made of an activity, once: under an id that follows from the two.
    pub(crate) async fn publish_derived(
        &self,
        actor: &Actor,
        document: &Map,
        derivation: &Derivation,
    ) -> Result<Published, Refusal> {
        let uuid = derived_uuid(&actor.url, &derivation.derived);
        if let Some(before) = self.published(actor, &uuid)? {
            return Ok(before);
        }
        let origin = Origin::Derived(derivation);
        self.publish_as(actor, document, uuid, origin).await
    }

    /// Publishes with a given UUID.
    pub(crate) async fn publish_as(
        &self,
        actor: &Actor,
        document: &Map,
        uuid: Uuid,
        origin: Origin<'_>,
    ) -> Result<Published, Refusal> {
        let (own, derivation) = match origin {
            Origin::Asked => (None, None),
            Origin::Own(effect) => (Some(effect), None),
            Origin::Derived(derivation) => (None, Some(derivation)),
        };
        let document = &*self.as_deletion(actor, document)?;
        let mut tries = 0;
        loop {
            let making = Making {
                actor,
                document,
                uuid: uuid.hyphenated().to_string(),
                object_uuid: self.uuid()?.hyphenated().to_string(),
                own,
                derivation,
                registry: self.registry(),
            };
            let definitions = self.judge_own(&making).await?;
            let queued = self.queue(&making, definitions)?;
            let published = queued.published;
            let answered = queued.answer.wait().await;
            if answered.is_err() && making.ends() {
                // It did not come to be.
                let pen = self.pen_of(actor.no)?;
                pen.lock().unwrap_or_else(PoisonError::into_inner).ends = false;
            }
            match answered {
                Ok(Appended::New { offset, joined }) => {
                    if queued.defines {
                        self.take_up_definitions()?;
                    }
                    if queued.deletes {
                        self.deleted().await;
                    }
                    return Ok(published.placed(offset, &joined));
                }
                Ok(Appended::Replay) => {
                    let digest = published.cid.digest;
                    return self
                        .stored_as(actor, &digest)?
                        .ok_or_else(|| match derivation {
                            Some(_) => Refusal::new(Code::Conflict, "the trigger is done with it"),
                            None => fault::internal("a replay is not to be found", &published.cid),
                        });
                }
                Err(AppendError::Changed) if tries < 3 => {
                    self.take_up_definitions()?;
                    tries += 1;
                }
                Err(error) => return Err(fault::append(error)),
            }
        }
    }

    /// Stages 9 and 10 for what is published here, before its instant is fixed, because nobody else who
    /// publishes as this actor should wait for them. What becomes of an actor is the server's own word.
    async fn judge_own(&self, making: &Making<'_>) -> Result<Vec<Digest>, Refusal> {
        if making.own.is_some() {
            return Ok(Vec::new());
        }
        let question = {
            let known = Known(self);
            let facts = self.facts(&known);
            let (signer, key) = self.signing_key(&making.actor.keys)?;
            let publishing = making.publishing(facts.now_ms, (&signer, &key.key));
            let (act, visibility) = publishing.preview(facts).map_err(fault::decide)?;
            Question {
                registry: Arc::clone(&making.registry),
                act,
                circumstances: Circumstances {
                    digest: None,
                    received_ms: facts.now_ms,
                    visibility,
                    authenticated: Authenticated::Local,
                    followed: false,
                    backfilled: false,
                },
                excused: None,
            }
        };
        Ok(self.judge(question).await?.definitions)
    }

    /// Signs and queues under the actor's clock, so that the order of times is the order of places.
    fn queue(&self, making: &Making<'_>, definitions: Vec<Digest>) -> Result<Queued, Refusal> {
        self.refuse_held(making.actor)?;
        let pen = self.pen_of(making.actor.no)?;
        let mut pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
        let published_ms = pen.next_ms(self.now_ms())?;
        // Looked up only now: no activity is signed with a key that ended before its instant.
        let keys = match making.is_birth() {
            true => making.actor.keys.clone(),
            false => self.keys_at(&pen, making.actor.no)?,
        };
        let (signer, record) = self.signing_key(&keys)?;
        self.queue_at(
            &mut pen,
            published_ms,
            (&signer, &record.key),
            making,
            definitions,
        )
    }

    /// Signs and queues at an instant that the pen gave, with a key that is in force then.
    pub(crate) fn queue_at(
        &self,
        pen: &mut Pen,
        published_ms: i64,
        signed_by: (&Ed25519Signer, &PublicKey),
        making: &Making<'_>,
        definitions: Vec<Digest>,
    ) -> Result<Queued, Refusal> {
        let known = Known(self);
        let publishing = making.publishing(published_ms, signed_by);
        let mut draft = publish(self.facts(&known), publishing).map_err(fault::decide)?;
        draft.activity.definitions = definitions;
        let defines = matches!(draft.activity.effect, Some(Effect::Defined { .. }));
        let deletes = is_deletion(draft.activity.effect.as_ref());
        // A definition is judged by what can't change.
        let is_judged = making.own.is_none() && !defines;
        draft.judged_as_of = is_judged.then(|| making.registry.through());
        let published = Published {
            id: draft.activity.id.clone(),
            cid: Cid::of_document(draft.activity.digest),
            seq: 0,
            offset: 0,
        };
        let answer = self
            .0
            .writer
            .append(draft, Priority::Local)
            .map_err(fault::append)?;
        pen.last_ms = published_ms;
        pen.ends = making.ends();
        Ok(Queued {
            answer,
            published,
            defines,
            deletes,
        })
    }

    fn published(&self, actor: &Actor, uuid: &Uuid) -> Result<Option<Published>, Refusal> {
        let id = format!("{}/activities/{}", actor.url, uuid.hyphenated());
        let digest = self
            .0
            .view
            .state()
            .digest_of_id(&id)
            .map_err(fault::state)?;
        digest.map_or(Ok(None), |digest| self.stored_as(actor, &digest))
    }

    fn stored_as(&self, actor: &Actor, digest: &Digest) -> Result<Option<Published>, Refusal> {
        let Some(stored) = self.0.view.stored(digest).map_err(fault::read)? else {
            return Ok(None);
        };
        let log = LogId::outbox(actor.no);
        let seq = self.0.view.seq_in(digest, log).map_err(fault::read)?;
        Ok(stored.activity().zip(seq).map(|(activity, seq)| Published {
            id: activity.id.clone(),
            cid: Cid::of_document(*digest),
            seq,
            offset: stored.header.offset,
        }))
    }

    /// A fresh UUID, version 7.
    pub(crate) fn uuid(&self) -> Result<Uuid, Refusal> {
        let mut random = [0; 10];
        self.random(&mut random)?;
        let now_ms = u64::try_from(self.now_ms()).unwrap_or_default();
        Ok(Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
    }
}

/// The UUID (version 8) that bytes come to: the same for ever.
fn uuid_of(bytes: &[u8]) -> Uuid {
    let digest = Digest::of(bytes);
    let mut first = [0; 16];
    first.copy_from_slice(&digest.as_bytes()[..16]);
    Builder::from_custom_bytes(first).into_uuid()
}

/// The UUID (version 8) of a request that a client named: the same for ever, so that a retry after
/// any crash finds what the first try left.
fn named_uuid(actor: &str, key: &str) -> Uuid {
    uuid_of(format!("{actor}\n{key}").as_bytes())
}

/// The UUID (version 8) of what a trigger makes of an activity. No request is named so: a URL comes first
/// there.
fn derived_uuid(actor: &str, derived: &Derived) -> Uuid {
    let (source, trigger) = (derived.source.as_bytes(), derived.trigger.as_bytes());
    uuid_of(&[&[0], &source[..], &trigger[..], actor.as_bytes()].concat())
}

/// The UUID (version 8) of the `Announce` of an activity by a group, which differs from all of the above.
pub(crate) fn announce_uuid(group: &str, owed: &ToAnnounce) -> Uuid {
    let (source, form) = (owed.source.as_bytes(), owed.announcing.form.number());
    uuid_of(&[&[1, form], &source[..], group.as_bytes()].concat())
}

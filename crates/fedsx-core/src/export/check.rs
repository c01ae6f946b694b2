//! Whether the records of an export agree with each other: the order of the logs, the chain of the actor's
//! keys, every CID and proof as of its `published`, and that each follow stands on what was signed.
//!
//! One pass in the order of the file. Memory grows with the handshakes of the log, and is bounded.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::actor::{ActorLog, PeerActor};
use crate::address::same_origin;
use crate::canonical::document_bytes;
use crate::cid::{Cid, Codec, Digest};
use crate::decide::{authority, erase, group};
use crate::definition::Definition;
use crate::entry::{Activity, ActorNo, Effect, FollowRef, Joined, LogId};
use crate::envelope::{Document, Envelope, reference};
use crate::follow::{Direction, Relation};
use crate::group::{Announcing, Form, ToAnnounce};
use crate::key::{Commitment, KeyRecord, PublicKey, RsaPublicKey};
use crate::limits;
use crate::proof::{self, Presented};
use crate::refusal::{Code, Refusal};
use crate::value::{Map, Value};

use super::follows::{Follows, Hash, hash};
use super::keys::{follows_from, verify_by_named};
use super::{Begin, Entry};

/// What has been seen of an export so far.
#[derive(Debug)]
pub struct Check {
    actor: String,
    name: String,
    now_ms: i64,
    pub(super) keys: Vec<KeyRecord>,
    pub(super) rsa_keys: Vec<(String, RsaPublicKey)>,
    pub(super) log: Option<ActorLog>,
    /// The recovery key that the actor commits to.
    recovery: Option<Commitment>,
    outbox: u64,
    inbox: u64,
    last_published_ms: i64,
    follows: Follows,
    subscribes: BTreeMap<Hash, Digest>,
}

/// An activity that was checked, as the journal will hold it: its logs are those of actor 0 until the
/// writer gives the actor its number.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The header.
    pub activity: Activity,
    /// The document's bytes; none of what is erased.
    pub payload: Bytes,
    /// When its owner deleted it, Unix milliseconds, where it is erased.
    pub erased_ms: Option<i64>,
}

impl Check {
    /// Nothing seen yet of that actor's export, at a time in Unix milliseconds.
    #[must_use]
    pub fn new(begin: &Begin, now_ms: i64) -> Self {
        Self {
            actor: begin.actor.clone(),
            name: begin.name.clone(),
            now_ms,
            keys: Vec::new(),
            rsa_keys: Vec::new(),
            log: None,
            recovery: None,
            outbox: 0,
            inbox: 0,
            last_published_ms: i64::MIN,
            follows: Follows::default(),
            subscribes: BTreeMap::new(),
        }
    }

    /// The handshakes seen.
    #[must_use]
    pub fn follows(&self) -> &Follows {
        &self.follows
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// What is wrong with it, without its place.
    pub fn entry(&mut self, entry: &Entry) -> Result<Checked, Refusal> {
        let Some(bytes) = &entry.document else {
            return self.erased(entry);
        };
        let document = Document::read(entry.notation, bytes.clone(), limits::DOCUMENT_IN_BYTES)?;
        if document.digest != entry.digest {
            return Err(wrong("the document has another CID than the entry says"));
        }
        let envelope = Envelope::of(&document.map)?;
        let joined = self.place(entry)?;
        let is_own = envelope.actor == self.actor;
        if entry.outbox.is_some() != is_own {
            return Err(wrong("an activity is in the log of another actor's"));
        }
        let published_ms = envelope.published_ms.unwrap_or(entry.received_ms);
        let effect = match is_own {
            true => self.own(entry, &document, &envelope)?,
            false => {
                verify_by_named(entry, &document)?;
                None
            }
        };
        let effect = match effect {
            Some(effect) => Some(effect),
            None => self.effect(entry, &envelope),
        };
        self.follows.see(&envelope)?;
        let activity = Activity {
            embeds: erase::copies(&document.map, &envelope, effect.as_ref()),
            digest: document.digest,
            object_id: envelope.object.id().map(str::to_owned),
            id: envelope.id,
            verb: envelope.verb,
            actor: envelope.actor,
            published_ms,
            authenticated: entry.authenticated,
            key: entry.key.clone(),
            visibility: entry.visibility,
            notation: entry.notation,
            joined,
            hidden: entry.hidden.clone(),
            effect,
            fan_out: false,
            backfilled: entry.backfilled,
            audience: entry.audience.clone(),
            definitions: entry.definitions.clone(),
            mark: entry.mark,
            derived: entry.derived.clone(),
            defined_by: entry.mark.and_then(|_| defined_by(&document.map)),
            announced_by: None,
            imported: Some(entry.offset),
        };
        Ok(Checked {
            activity,
            payload: document.bytes,
            erased_ms: None,
        })
    }

    /// What is left of an activity whose payload was erased: its place, and nothing that acts on anything.
    fn erased(&mut self, entry: &Entry) -> Result<Checked, Refusal> {
        let Some(left) = &entry.left else {
            return Err(wrong(
                "an entry has neither its document nor what is left of it",
            ));
        };
        let joined = self.place(entry)?;
        if entry.outbox.is_some() != (left.actor == self.actor) {
            return Err(wrong("an activity is in the log of another actor's"));
        }
        let texts = [&left.id, &left.verb, &left.actor];
        let texts = texts.into_iter().chain(&left.object_id).chain(&left.embeds);
        if entry.outbox == Some(1) || texts.into_iter().any(|text| text.len() > limits::URL_BYTES) {
            return Err(wrong("what is left of an activity is none"));
        }
        if entry.outbox.is_some() {
            self.in_order(left.published_ms)?;
        }
        let activity = Activity {
            digest: entry.digest,
            id: left.id.clone(),
            verb: left.verb.clone(),
            actor: left.actor.clone(),
            object_id: left.object_id.clone(),
            published_ms: left.published_ms,
            authenticated: entry.authenticated,
            key: entry.key.clone(),
            visibility: entry.visibility,
            notation: entry.notation,
            joined,
            hidden: Vec::new(),
            effect: None,
            fan_out: false,
            backfilled: entry.backfilled,
            audience: Vec::new(),
            definitions: entry.definitions.clone(),
            mark: None,
            derived: entry.derived.clone(),
            defined_by: None,
            announced_by: None,
            imported: Some(entry.offset),
            embeds: (!left.embeds.is_empty()).then(|| left.embeds.clone()),
        };
        Ok(Checked {
            activity,
            payload: Bytes::new(),
            erased_ms: Some(left.deleted_ms),
        })
    }

    /// `published` counts up along the outbox.
    fn in_order(&mut self, published_ms: i64) -> Result<(), Refusal> {
        if published_ms <= self.last_published_ms {
            return Err(wrong("`published` does not count up along the outbox"));
        }
        if published_ms > self.now_ms + limits::CLOCK_SKEW_MS {
            let why = "`published` lies more than an hour ahead";
            return Err(Refusal::new(Code::Future, why));
        }
        self.last_published_ms = published_ms;
        Ok(())
    }

    /// Its places: each log counts up without a gap.
    fn place(&mut self, entry: &Entry) -> Result<Vec<Joined>, Refusal> {
        let mut joined = Vec::with_capacity(2);
        let logs = [
            (LogId::outbox(ActorNo(0)), entry.outbox, &mut self.outbox),
            (LogId::inbox(ActorNo(0)), entry.inbox, &mut self.inbox),
        ];
        for (log, seq, last) in logs {
            let Some(seq) = seq else { continue };
            if seq != *last + 1 {
                let why = format!("a log goes on with place {seq} after {last}");
                return Err(wrong(why));
            }
            *last = seq;
            joined.push(Joined { log, seq });
        }
        match joined.is_empty() {
            true => Err(wrong("an entry is in neither log")),
            false => Ok(joined),
        }
    }

    /// An activity of the actor itself: signed by its key of that time. Gives what it does to the actor.
    fn own(
        &mut self,
        entry: &Entry,
        document: &Document,
        envelope: &Envelope,
    ) -> Result<Option<Effect>, Refusal> {
        let published_ms = envelope
            .published_ms
            .ok_or_else(|| wrong("an activity of the actor has no `published`"))?;
        self.in_order(published_ms)?;
        let is_first = entry.outbox == Some(1);
        let itself = envelope.object.id() == Some(&self.actor);
        let speaks_of_itself = itself && matches!(envelope.verb.as_str(), "Create" | "Update");
        if is_first && !(itself && envelope.verb == "Create") {
            return Err(wrong("the outbox does not begin with the actor's creation"));
        }
        let (effect, revealed) = match speaks_of_itself {
            true => {
                let (effect, revealed) = self.became(envelope, published_ms, is_first)?;
                (Some(effect), revealed)
            }
            false => (None, None),
        };
        let key = self.proved_by(document, envelope, published_ms)?;
        if revealed.is_some_and(|revealed| revealed != key) {
            return Err(wrong(
                "a recovery is signed by another key than the one it reveals",
            ));
        }
        if entry.key.as_deref() != Some(key.multibase()) {
            return Err(wrong("the entry names another key than its proof"));
        }
        Ok(effect.or_else(|| self.own_effect(entry, document, envelope)))
    }

    /// The key by which the actor signed it, in force at `published`.
    fn proved_by(
        &self,
        document: &Document,
        envelope: &Envelope,
        published_ms: i64,
    ) -> Result<PublicKey, Refusal> {
        for presented in proof::examine(&document.map) {
            let Presented::Verifiable(proof) = presented else {
                continue;
            };
            let mut keys = self.keys.iter();
            let Some(key) = keys.find(|key| key.id == proof.verification_method()) else {
                continue;
            };
            proof
                .verify(&document.digest, &key.key)
                .map_err(Refusal::from)?;
            if !key.valid_at(published_ms, &envelope.id) {
                let why = "the key was not the actor's at the time of `published`";
                return Err(Refusal::new(Code::NoActiveKey, why));
            }
            return Ok(key.key.clone());
        }
        let why = "an activity of the actor has no proof by a key of the actor";
        Err(Refusal::new(Code::BadSignature, why))
    }

    /// The actor as its own document says it is from here on, where its keys go on from those before; and the
    /// recovery key that it reveals.
    fn became(
        &mut self,
        envelope: &Envelope,
        published_ms: i64,
        is_first: bool,
    ) -> Result<(Effect, Option<PublicKey>), Refusal> {
        let Some(document) = envelope.object.embedded() else {
            return Err(wrong("the actor's document is not in its activity"));
        };
        let said = PeerActor::parse(document).map_err(|error| wrong(error.to_string()))?;
        let kind = said.kind.ok_or_else(|| wrong("the actor is gone"))?;
        if said.name.as_deref() != Some(&self.name) {
            return Err(wrong("the actor's document has another name"));
        }
        // Documents list the newest first.
        let keys: Vec<KeyRecord> = said.keys.iter().rev().cloned().collect();
        if keys.is_empty() {
            return Err(wrong("the actor has no key"));
        }
        if is_first != self.keys.is_empty() {
            return Err(wrong("the actor is created twice, or changed before"));
        }
        let mut revealed = None;
        if let Some(before) = self
            .recovery
            .take()
            .filter(|was| said.recovery.as_ref() != Some(was))
        {
            let (_, key) = said.recovers(&before, &envelope.id, published_ms)?;
            revealed = Some(key.clone());
        }
        if !is_first {
            let by = (published_ms, &*envelope.id);
            follows_from(&self.keys, &keys, by, revealed.as_ref())?;
        }
        let revealed = revealed.map(|key| key.key);
        self.recovery.clone_from(&said.recovery);
        self.keys.clone_from(&keys);
        let rsa = said.rsa_keys.into_iter().map(|rsa| (rsa.id, rsa.key));
        self.rsa_keys = rsa.collect();
        self.log = said.log;
        let manual_approval = said.manually_approves;
        let effect = match is_first {
            true => Effect::ActorCreated {
                no: ActorNo(0),
                name: self.name.clone(),
                kind,
                manual_approval,
                keys,
                url: self.actor.clone(),
            },
            // Of what it had before, no secret comes along.
            false => Effect::ActorUpdated {
                manual_approval,
                keys,
                former_rsa: None,
            },
        };
        Ok((effect, revealed))
    }

    /// What the actor's own activity does besides.
    fn own_effect(
        &mut self,
        entry: &Entry,
        document: &Document,
        envelope: &Envelope,
    ) -> Option<Effect> {
        let object = envelope.object.embedded();
        match envelope.verb.as_str() {
            "Create" | "DefineType" | "SubtypeOf" => {
                let definition = object.filter(|object| authority::is_definition(object))?;
                let definition = Definition::of(definition).ok()?;
                Some(Effect::Defined {
                    kind: definition.kind(),
                    name: definition.name().to_owned(),
                    digest: definition.digest(),
                })
            }
            "Subscribe" => {
                let (name, version) = entry.subscribed.clone()?;
                self.subscribes.insert(hash(&envelope.id), document.digest);
                Some(Effect::Subscribed { name, version })
            }
            "Announce" => {
                let passed_on = group::passed_on(&document.map)?;
                let announcing = Announcing {
                    group: ActorNo(0),
                    form: Form::Activity,
                };
                // Nothing is owed here any more: it tells what it is an `Announce` of.
                let owed = ToAnnounce {
                    offset: entry.offset,
                    announcing,
                    source: Digest::of(&document_bytes(passed_on)),
                };
                let author = reference(passed_on.get("actor"))?.to_owned();
                Some(Effect::Announced { owed, author })
            }
            "Undo" => {
                let subscribe = *self.subscribes.get(&hash(envelope.object.id()?))?;
                Some(Effect::Unsubscribed { subscribe })
            }
            _ => None,
        }
    }

    /// What an activity did between two actors: so that what names it by its id alone is still understood.
    fn effect(&self, entry: &Entry, envelope: &Envelope) -> Option<Effect> {
        let actor = envelope.actor.clone();
        let object = envelope.object.id().map(str::to_owned);
        let follow = || {
            let map = envelope.object.embedded()?;
            Some(FollowRef {
                follower: reference(map.get("actor"))?.to_owned(),
                followed: reference(map.get("object"))?.to_owned(),
                id: object.clone(),
                embedded: true,
            })
        };
        match envelope.verb.as_str() {
            "Follow" => Some(Effect::Follow {
                follower: actor,
                followed: object?,
                inbox: None,
                shared_inbox: None,
                backfill: None,
            }),
            "Block" => Some(Effect::Block {
                blocker: actor,
                blocked: object?,
            }),
            "Delete" => {
                let (with, former_type) = entry.deleted.clone()?;
                let is_own = |with: &String| same_origin(with, &envelope.actor);
                Some(Effect::Deleted {
                    object: object.filter(|object| *object != actor && is_own(object))?,
                    with: with.filter(is_own),
                    former_type,
                })
            }
            "Accept" => Some(Effect::Accept { follow: follow()? }),
            "Reject" => Some(Effect::Reject { follow: follow()? }),
            // What a local actor defines, and an offer of the actor's own, is no matter of a peer's.
            "Create" if actor != self.actor && !self.is_neighbour(&actor) => {
                authority::offered(envelope.object.embedded()?)
            }
            _ => None,
        }
    }

    fn is_neighbour(&self, actor: &str) -> bool {
        same_origin(actor, &self.actor)
    }

    /// Checks a relation against the handshakes.
    ///
    /// # Errors
    /// `inconsistent`.
    pub fn relation(
        &self,
        direction: Direction,
        peer: &str,
        relation: &Relation,
    ) -> Result<(), Refusal> {
        match self.follows.backs(&self.actor, direction, peer, relation) {
            true => Ok(()),
            false => Err(wrong(format!(
                "the follow between the actor and {peer} does not stand on what is in the log"
            ))),
        }
    }
}

/// The `Create` that defines its verb, as the activity says.
fn defined_by(activity: &Map) -> Option<Digest> {
    let cid: Cid = activity
        .get("definedBy")
        .and_then(Value::as_str)?
        .parse()
        .ok()?;
    (cid.codec == Codec::JsonJcs).then_some(cid.digest)
}

pub(super) fn wrong(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::Inconsistent, why)
}

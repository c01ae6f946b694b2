//! What an actor of this instance says: completing its document, signing it, and the same authority
//! as for everybody else (design, section 5, "Outbound").
//!
//! The server sets `id`, `actor`, `published`, `@context`, `proof` and the ids of new objects, and
//! ignores a client's.

use crate::audience::{PUBLIC, parts, visibility};
use crate::cid::Cid;
use crate::context;
use crate::decide::authority::{self, Meaning, is_definition};
use crate::decide::{DecideError, Draft, Facts, erase, group};
use crate::definition::Kind;
use crate::entry::{Activity, ActorKind, Authenticated, Effect, LogId, Visibility};
use crate::envelope::{Document, Envelope, Recipients, object_of, reference};
use crate::evidence::Verified;
use crate::key::Signer;
use crate::limits;
use crate::proof;
use crate::refusal::{Code, Refusal};
use crate::registry::{Authority, Registry, Verb};
use crate::state::{Actor, State, StateError};
use crate::time::format_rfc3339_ms;
use crate::trigger::Derivation;
use crate::value::{Map, Value};

/// The activity types that may be published: those of ActivityStreams 2.0 and the kernel's own.
pub const VERBS: [&str; 31] = [
    "Accept",
    "Add",
    "Announce",
    "Arrive",
    "Block",
    "Create",
    "Delete",
    "Dislike",
    "EmojiReact",
    "Endorse",
    "Flag",
    "Follow",
    "Ignore",
    "Invite",
    "Join",
    "Leave",
    "Like",
    "Listen",
    "Move",
    "Offer",
    "Question",
    "Read",
    "Reject",
    "Remove",
    "TentativeAccept",
    "TentativeReject",
    "Travel",
    "Undo",
    "Update",
    "View",
    "Subscribe",
];

/// Local inboxes joined by the entry itself; further ones are placed afterwards, in chunks.
pub const LOGS_PER_ENTRY: usize = 64;

/// What is to be published, and what the pure kernel can't make up itself.
#[derive(Clone, Copy)]
pub struct Publishing<'a> {
    /// The URL of the actor who speaks.
    pub actor: &'a str,
    /// Its number.
    pub no: crate::entry::ActorNo,
    /// The document given: an activity, or an object to be wrapped in `Create`.
    pub document: &'a Map,
    /// A fresh UUID for the activity.
    pub activity_uuid: &'a str,
    /// A fresh UUID for a new object.
    pub object_uuid: &'a str,
    /// The instant, strictly later than the actor's last one, Unix milliseconds.
    pub published_ms: i64,
    /// The actor's key.
    pub signer: &'a dyn Signer,
    /// The key's Multikey.
    pub multikey: &'a str,
    /// What verbs mean here.
    pub registry: &'a Registry,
    /// Given when the server itself says what becomes of the actor: its beginning, an `Update` of its document,
    /// where it goes.
    pub own: Option<&'a Effect>,
    /// Given when a trigger made it.
    pub derivation: Option<&'a Derivation>,
}

impl std::fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishing")
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// Completes, signs and judges what an actor publishes.
///
/// # Errors
/// A refusal with its code, or a fault of the store.
pub fn publish(facts: Facts<'_>, publishing: Publishing<'_>) -> Result<Draft, DecideError> {
    let (map, hidden) = publishing.complete()?;
    let unsigned = Document::from_map(map);
    if unsigned.bytes.len() > limits::DOCUMENT_OUT_BYTES {
        let why = format!(
            "the document has more than {} bytes",
            limits::DOCUMENT_OUT_BYTES
        );
        return Err(Refusal::new(Code::TooLarge, why).into());
    }
    let (envelope, effect) = publishing.judge(facts, &unsigned.map, hidden)?;
    let signer = publishing.signer;
    let signed = proof::sign_digest(
        &unsigned.map,
        &unsigned.digest,
        signer,
        publishing.published_ms,
    );
    let document = Document::from_map(signed);
    let verified = Verified::local(document, envelope, publishing.multikey.to_owned());
    draft(facts, publishing, &verified, effect)
}

impl Publishing<'_> {
    /// The document as it will be published, without its proof, and who may read it: what schemas and validators judge
    /// before the instant of publishing is fixed. All that is refused earlier than by them is refused
    /// here.
    ///
    /// # Errors
    /// As [`publish`].
    pub fn preview(&self, facts: Facts<'_>) -> Result<(Map, Visibility), DecideError> {
        let (map, hidden) = self.complete()?;
        let (envelope, _) = self.judge(facts, &map, hidden)?;
        let followers = format!("{}/followers", self.actor);
        Ok((map, visibility(&envelope.recipients, Some(&followers))))
    }

    /// The envelope, and what the activity does to kernel state.
    fn judge(
        &self,
        facts: Facts<'_>,
        map: &Map,
        hidden: Vec<String>,
    ) -> Result<(Envelope, Option<Effect>), DecideError> {
        let mut envelope = Envelope::of(map)?;
        envelope.recipients.hidden = hidden;
        let effect = match self.own {
            Some(own) => Some(own.clone()),
            None => match authority::judge(facts, &envelope)? {
                Meaning::Plain => None,
                Meaning::Effect(Effect::Subscribed { name, .. }) => Some(self.selection(&name)?),
                Meaning::Effect(effect) => Some(effect),
                Meaning::Ignored(why) => return Err(Refusal::new(Code::Conflict, why).into()),
            },
        };
        self.refuse_reserved(facts, &envelope, effect.as_ref())?;
        Ok((envelope, effect))
    }

    /// What a `Subscribe` selects by: a `DefineSubscription` that is known here, by its name or, for one
    /// version of it, by its CID.
    fn selection(&self, named: &str) -> Result<Effect, Refusal> {
        let unknown = || {
            let why = format!(
                "there is no subscription `{named}` here; `fedsx definitions --kind \
                 DefineSubscription` lists them"
            );
            Refusal::new(Code::NotFound, why)
        };
        let version = named.parse::<Cid>().ok().map(|cid| cid.digest);
        let active = match &version {
            Some(version) => self.registry.version(version),
            None => self.registry.resolve(Kind::Subscription, named, None),
        };
        let active = active.filter(|active| active.definition.kind() == Kind::Subscription);
        Ok(Effect::Subscribed {
            name: active.ok_or_else(unknown)?.definition.name().to_owned(),
            version,
        })
    }

    /// The whole document without its proof, and who is addressed without being named in it.
    fn complete(&self) -> Result<(Map, Vec<String>), Refusal> {
        let mut map = self.as_activity()?;
        if let Some(actor) = reference(map.get("actor"))
            && actor != self.actor
        {
            let why = "`actor` is another than the one who publishes";
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        map.remove("proof");
        map.remove("signature");
        say_like(&mut map);
        self.name_definition(&mut map);
        if let Some(Derivation { derived, ancestors }) = self.derivation {
            let ancestors: Vec<Value> =
                ancestors.iter().map(|cid| cid.to_string().into()).collect();
            map.insert("causedBy", ancestors);
            map.insert("trigger", Cid::of_document(derived.trigger).to_string());
        }
        let published = format_rfc3339_ms(self.published_ms);
        map.insert("@context", context::of_activity());
        map.insert(
            "id",
            format!("{}/activities/{}", self.actor, self.activity_uuid),
        );
        map.insert("actor", self.actor);
        map.insert("published", published.as_str());
        let hidden = Recipients::of(&map)?.hidden;
        map.remove("bto");
        map.remove("bcc");
        if hidden.is_empty() && Recipients::of(&map)?.all().next().is_none() && !self.is_birth() {
            self.address(&mut map);
        }
        match map.get("type").and_then(Value::as_str) {
            Some("Create") if !self.is_birth() => self.complete_object(&mut map, &published)?,
            Some("Delete") => date_tombstone(&mut map, &published),
            _ => {}
        }
        Ok((map, hidden))
    }

    /// An activity of a published verb names the version it means, and the `Create` by which others
    /// get it.
    fn name_definition(&self, map: &mut Map) {
        let named = match self.registry.verb(map) {
            Verb::Defined(active) if active.authority != Authority::Genesis => {
                let create = active.create.map(Cid::of_document);
                Some((active.definition.cid(), create))
            }
            _ => None,
        };
        map.remove("definition");
        map.remove("definedBy");
        if let Some((definition, create)) = named {
            map.insert("definition", definition.to_string());
            if let Some(create) = create {
                map.insert("definedBy", create.to_string());
            }
        }
    }

    /// Whom an activity is for that names nobody: a handshake, the other side; all else, everybody.
    fn address(&self, map: &mut Map) {
        let object = map.get("object");
        let embedded = |member| object.and_then(|object| reference(object.get(member)));
        let other = match map.get("type").and_then(Value::as_str) {
            Some("Follow" | "Block") => reference(object),
            Some("Accept" | "Reject") => embedded("actor"),
            Some("Undo") if is_handshake(object) => embedded("object"),
            Some("Subscribe") => None,
            _ => {
                map.insert("to", vec![PUBLIC]);
                map.insert("cc", vec![format!("{}/followers", self.actor)]);
                return;
            }
        };
        let other: Vec<_> = other.into_iter().map(Value::from).collect();
        map.insert("to", other);
    }

    const fn is_birth(&self) -> bool {
        matches!(self.own, Some(Effect::ActorCreated { .. }))
    }

    /// The document as an activity: an object that stands alone is wrapped in `Create`.
    fn as_activity(&self) -> Result<Map, Refusal> {
        let refuse = |why: &str| Err(Refusal::new(Code::Envelope, why));
        let Some(kind) = self.document.get("type").and_then(Value::as_str) else {
            return refuse("`type` must be one word");
        };
        // The kinds of definitions are types of objects, even where a verb has the same name.
        let is_object = is_definition(self.document) && !self.document.contains_key("object");
        if !is_object && !matches!(self.registry.verb(self.document), Verb::Undefined) {
            return Ok(self.document.clone());
        }
        if self.document.contains_key("object") || self.document.contains_key("actor") {
            let why = format!("the verb `{kind}` is not defined here");
            return Err(Refusal::new(Code::UndefinedVerb, why));
        }
        let mut create = Map::from([("type", "Create")]);
        for member in ["to", "cc", "bto", "bcc", "audience"] {
            if let Some(recipients) = self.document.get(member) {
                create.insert(member, recipients.clone());
            }
        }
        create.insert("object", self.document.clone());
        Ok(create)
    }

    /// Gives a new object its id, its author, its time and its open recipients.
    fn complete_object(&self, map: &mut Map, published: &str) -> Result<(), Refusal> {
        let Some(Value::Map(object)) = map.get("object") else {
            let why = "`Create` needs an embedded `object`";
            return Err(Refusal::new(Code::Envelope, why));
        };
        let mut object = object.clone();
        if is_definition(&object) {
            // Its CID is its version: nothing is added, so that everybody who publishes it says the same.
            for dropped in ["id", "bto", "bcc", "proof", "signature"] {
                object.remove(dropped);
            }
            map.insert("object", object);
            return Ok(());
        }
        let kind = object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_actor = [ActorKind::Person, ActorKind::Service, ActorKind::Group]
            .iter()
            .any(|actor| actor.as_str() == kind);
        if is_actor || kind == "Application" {
            let why = "an actor is made by `actor create`, not by publishing one";
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        for dropped in ["bto", "bcc", "proof", "signature", "@context"] {
            object.remove(dropped);
        }
        object.insert("id", format!("{}/objects/{}", self.actor, self.object_uuid));
        object.insert("attributedTo", self.actor);
        object.insert("published", published);
        for member in ["to", "cc", "audience"] {
            match map.get(member) {
                Some(recipients) => object.insert(member, recipients.clone()),
                None => object.remove(member),
            };
        }
        map.insert("object", object);
        Ok(())
    }

    /// What has ways of its own, because more than an activity belongs to it.
    fn refuse_reserved(
        &self,
        facts: Facts<'_>,
        envelope: &Envelope,
        effect: Option<&Effect>,
    ) -> Result<(), DecideError> {
        let itself = envelope.object.id() == Some(self.actor)
            && matches!(envelope.verb.as_str(), "Update" | "Delete");
        let moves = matches!(effect, Some(Effect::ActorMoved { .. }));
        if self.own.is_none() && (itself || moves) {
            let why = "an actor is not changed, moved or deleted by publishing";
            return Err(Refusal::new(Code::NotAuthorised, why).into());
        }
        if let Some(Effect::Follow { followed, .. }) = effect
            && authority::blocked(facts.state, self.actor, followed)?
        {
            return Err(Refusal::new(Code::Blocked, "there is a block between the two").into());
        }
        Ok(())
    }
}

/// A Tombstone says when its object was deleted: now.
fn date_tombstone(map: &mut Map, published: &str) {
    let object = object_of(map);
    let is_it = |object: &&Map| object.get("type").and_then(Value::as_str) == Some("Tombstone");
    if let Some(mut tombstone) = object.filter(is_it).cloned() {
        tombstone.insert("deleted", published);
        map.insert("object", tombstone);
    }
}

/// An `Endorse` of kind `like` goes out as what every server knows it by.
fn say_like(map: &mut Map) {
    let is = |member, text| map.get(member).and_then(Value::as_str) == Some(text);
    if is("type", "Endorse") && is("kind", "like") {
        map.insert("type", "Like");
        map.remove("kind");
    }
}

fn is_handshake(object: Option<&Value>) -> bool {
    let kind = object
        .and_then(|object| object.get("type"))
        .and_then(Value::as_str);
    matches!(kind, Some("Follow" | "Block"))
}

fn draft(
    facts: Facts<'_>,
    publishing: Publishing<'_>,
    verified: &Verified,
    effect: Option<Effect>,
) -> Result<Draft, DecideError> {
    let (document, envelope) = (verified.document(), verified.envelope());
    let followers = format!("{}/followers", publishing.actor);
    let mut logs = vec![LogId::outbox(publishing.no)];
    let (visibility, fan_out) = match effect {
        // The one who is blocked is never told by us.
        Some(Effect::Block { .. } | Effect::UndoBlock { .. }) => (Visibility::Direct, false),
        // A matter of the actor's own logs.
        Some(Effect::Subscribed { .. } | Effect::Unsubscribed { .. }) => {
            (Visibility::Direct, false)
        }
        Some(Effect::ActorCreated { .. }) => (Visibility::Public, false),
        _ => {
            let parts = parts(envelope.recipients.all(), publishing.actor, &followers);
            let mut remote = false;
            let mut local = Vec::new();
            for recipient in &parts.actors {
                match facts.state.actor_by_url(recipient)? {
                    Some(actor) => local.push(actor),
                    None => remote |= !facts.instance.owns(recipient),
                }
            }
            if parts.followers {
                local.extend(local_followers(facts.state, publishing.actor)?);
            }
            let more = join(facts.state, publishing.actor, local, &mut logs)?;
            let to_all = parts.followers;
            (
                visibility(&envelope.recipients, Some(&followers)),
                remote || to_all || more,
            )
        }
    };
    let said = group::Said {
        envelope,
        effect: effect.as_ref(),
        visibility,
    };
    let announced_by = group::announced_by(facts.state, facts.instance, said, |_| true)?;
    let activity = Activity {
        digest: document.digest,
        id: envelope.id.clone(),
        verb: envelope.verb.clone(),
        actor: envelope.actor.clone(),
        object_id: envelope.object.id().map(str::to_owned),
        published_ms: publishing.published_ms,
        authenticated: Authenticated::Local,
        key: verified.key().map(str::to_owned),
        visibility,
        notation: document.notation,
        joined: Vec::new(),
        hidden: envelope.recipients.hidden.clone(),
        embeds: erase::copies(&document.map, envelope, effect.as_ref()),
        effect,
        fan_out,
        backfilled: false,
        audience: Vec::new(),
        definitions: Vec::new(),
        mark: None,
        derived: publishing.derivation.map(|made| made.derived.clone()),
        defined_by: None,
        announced_by,
        imported: None,
    };
    Ok(Draft {
        activity,
        logs,
        payload: document.bytes.clone(),
        received_ms: facts.now_ms,
        new_as_of: None,
        judged_as_of: None,
    })
}

fn local_followers(state: &dyn State, actor: &str) -> Result<Vec<Actor>, StateError> {
    let mut followers = Vec::new();
    for (no, follows) in state.locals_related(actor)? {
        if follows {
            followers.extend(state.actor(no)?);
        }
    }
    Ok(followers)
}

/// Adds the inboxes of local recipients, each once and without the blocked; true when there are more
/// than one entry joins.
fn join(
    state: &dyn State,
    sender: &str,
    recipients: Vec<Actor>,
    logs: &mut Vec<LogId>,
) -> Result<bool, StateError> {
    for recipient in recipients {
        let log = LogId::inbox(recipient.no);
        if logs.contains(&log) || state.blocks(recipient.no, sender)?.any() {
            continue;
        }
        if logs.len() > LOGS_PER_ENTRY {
            return Ok(true);
        }
        logs.push(log);
    }
    Ok(false)
}

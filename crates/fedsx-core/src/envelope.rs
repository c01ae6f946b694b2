//! The envelope: the members of an activity that the kernel itself reads (design, section 3).
//!
//! A [`Document`] is what was received, with its digest; an [`Envelope`] is its shape, checked.
//! Members it doesn't know are kept and never judged here.

use bytes::Bytes;

use crate::address::{is_http_url, same_origin};
use crate::backfill::Mode;
use crate::canonical::document_bytes;
use crate::cid::{Cid, Codec, Digest};
use crate::limits;
use crate::notation::{self, Notation};
use crate::refusal::{Code, Refusal};
use crate::time::parse_rfc3339_ms;
use crate::value::{Map, Value};

/// A document as received: its bytes, its value and the digest inside its CID.
#[derive(Clone, Debug)]
pub struct Document {
    /// The value.
    pub map: Map,
    /// The bytes as received.
    pub bytes: Bytes,
    /// The notation of the bytes.
    pub notation: Notation,
    /// The digest of its canonical form, computed once.
    pub digest: Digest,
}

impl Document {
    /// Reads a document of at most `max_bytes`.
    ///
    /// # Errors
    /// `too-large` or `malformed`, with the position.
    pub fn read(notation: Notation, bytes: Bytes, max_bytes: usize) -> Result<Self, Refusal> {
        let map = notation::read_document(notation, &bytes, max_bytes).map_err(Refusal::from)?;
        let digest = Digest::of(&document_bytes(&map));
        Ok(Self {
            map,
            bytes,
            notation,
            digest,
        })
    }

    /// A document made here, with its canonical JSON as its bytes.
    #[must_use]
    pub fn from_map(map: Map) -> Self {
        let digest = Digest::of(&document_bytes(&map));
        let value = Value::Map(map.clone());
        let bytes = Bytes::from(notation::write(Notation::Json, &value));
        Self {
            map,
            bytes,
            notation: Notation::Json,
            digest,
        }
    }

    /// The document's CID.
    #[must_use]
    pub fn cid(&self) -> Cid {
        Cid {
            codec: Codec::JsonJcs,
            digest: self.digest,
        }
    }
}

/// What an activity is about.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    /// Nothing.
    None,
    /// Something named by its id.
    Id(String),
    /// Something embedded, with its id where it has one.
    Embedded(Option<String>, Map),
    /// Several things, by those of their ids that are given.
    Several(Vec<String>),
}

impl Object {
    /// The id, where there is one object and it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) | Self::Embedded(Some(id), _) => Some(id),
            _ => None,
        }
    }

    /// The embedded object.
    #[must_use]
    pub fn embedded(&self) -> Option<&Map> {
        match self {
            Self::Embedded(_, map) => Some(map),
            _ => None,
        }
    }
}

/// The shape of an activity.
#[derive(Clone, PartialEq, Debug)]
pub struct Envelope {
    /// `id`.
    pub id: String,
    /// `type`.
    pub verb: String,
    /// `actor`.
    pub actor: String,
    /// `object`.
    pub object: Object,
    /// `target`, by its id, where that is a URL.
    pub target: Option<String>,
    /// `published`, Unix milliseconds, where given.
    pub published_ms: Option<i64>,
    /// Who is addressed, in the five members of that purpose.
    pub recipients: Recipients,
    /// Of a `Follow`: what of the past it asks for.
    pub backfill: Option<Mode>,
}

/// The recipients of an activity, by member.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Recipients {
    /// `to`.
    pub to: Vec<String>,
    /// `cc`.
    pub cc: Vec<String>,
    /// `audience`.
    pub audience: Vec<String>,
    /// `bto` and `bcc`.
    pub hidden: Vec<String>,
}

impl Recipients {
    /// Everybody addressed, openly or not.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.to, &self.cc, &self.audience, &self.hidden];
        lists.into_iter().flatten().map(String::as_str)
    }

    /// Reads the five members of a document.
    ///
    /// # Errors
    /// `envelope`, when one is no URL or list of them, or there are too many.
    pub fn of(map: &Map) -> Result<Self, Refusal> {
        let read = |key: &str| ids(map.get(key), key);
        let mut hidden = read("bto")?;
        hidden.extend(read("bcc")?);
        let recipients = Self {
            to: read("to")?,
            cc: read("cc")?,
            audience: read("audience")?,
            hidden,
        };
        if recipients.all().count() > limits::RECIPIENTS {
            return Err(refuse(format!(
                "more than {} recipients",
                limits::RECIPIENTS
            )));
        }
        Ok(recipients)
    }
}

impl Envelope {
    /// Checks the shape of an activity.
    ///
    /// # Errors
    /// `envelope`, with the member that is wrong.
    pub fn of(map: &Map) -> Result<Self, Refusal> {
        let id = url(map, "id")?;
        let actor = reference(map.get("actor"))
            .ok_or_else(|| refuse("`actor` must be a URL or an object with an `id`"))?;
        check_url(actor, "actor")?;
        if !same_origin(&id, actor) {
            return Err(refuse("`id` and `actor` must share an origin"));
        }
        let verb = map
            .get("type")
            .and_then(Value::as_str)
            .filter(|verb| !verb.is_empty() && verb.len() <= 128)
            .ok_or_else(|| refuse("`type` must be one word"))?
            .to_owned();
        let published_ms = match map.get("published") {
            None => None,
            Some(value) => Some(
                value
                    .as_str()
                    .and_then(parse_rfc3339_ms)
                    .ok_or_else(|| refuse("`published` must be an RFC 3339 date-time"))?,
            ),
        };
        let object = match map.get("object") {
            // What it selects by may be named by a name or a CID.
            Some(Value::Str(name)) if verb == "Subscribe" => {
                let named = Map::from([("name", Value::Str(name.clone()))]);
                Object::Embedded(None, named)
            }
            value => object(value)?,
        };
        let recipients = Recipients::of(map)?;
        let is_follow = verb == "Follow";
        let target = reference(map.get("target")).filter(|target| is_http_url(target));
        Ok(Self {
            id,
            verb,
            actor: actor.to_owned(),
            object,
            target: target.map(str::to_owned),
            published_ms,
            recipients,
            backfill: Mode::of(map.get("backfill").filter(|_| is_follow)),
        })
    }
}

/// The object that an activity embeds.
#[must_use]
pub fn object_of(activity: &Map) -> Option<&Map> {
    activity.get("object").and_then(Value::as_map)
}

/// How deep, and how many, of the objects that stand within one another are looked at.
const EMBEDDED: usize = 16;

/// What stands in a document under its own `id`, not only by its name: its `object`, and what is the
/// `object` of that, with an account of the first 16.
#[must_use]
pub fn embedded(map: &Map) -> Vec<(&str, &Map)> {
    let mut found = Vec::new();
    let mut level = vec![map];
    for _ in 0..EMBEDDED {
        let objects = level.iter().filter_map(|map| map.get("object"));
        let objects = objects.flat_map(Value::items).filter_map(Value::as_map);
        level = objects.take(EMBEDDED).collect();
        for object in &level {
            if found.len() < EMBEDDED
                && let Some(id) = object.get("id").and_then(Value::as_str)
                && is_http_url(id)
            {
                found.push((id, *object));
            }
        }
    }
    found
}

/// The URL that a member's value is, or whose `id` it has.
#[must_use]
pub fn reference(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::Str(id) => Some(id),
        Value::Map(map) => map.get("id")?.as_str(),
        _ => None,
    }
}

fn object(value: Option<&Value>) -> Result<Object, Refusal> {
    match value {
        None | Some(Value::Nil) => Ok(Object::None),
        Some(Value::Str(id)) => {
            check_url(id, "object")?;
            Ok(Object::Id(id.to_string()))
        }
        Some(Value::Map(map)) => {
            let id = match map.get("id") {
                None | Some(Value::Nil) => None,
                Some(_) => Some(url(map, "id")?),
            };
            Ok(Object::Embedded(id, map.clone()))
        }
        Some(Value::List(list)) => Ok(Object::Several(
            list.iter()
                .filter_map(|item| reference(Some(item)).map(str::to_owned))
                .collect(),
        )),
        Some(_) => Err(refuse(
            "`object` must be a URL, an object or a list of them",
        )),
    }
}

fn ids(value: Option<&Value>, key: &str) -> Result<Vec<String>, Refusal> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    value
        .items()
        .map(|item| {
            let id =
                reference(Some(item)).ok_or_else(|| refuse(format!("`{key}` must hold URLs")))?;
            if id.len() > limits::URL_BYTES {
                return Err(refuse(format!("a URL in `{key}` is too long")));
            }
            Ok(id.to_owned())
        })
        .collect()
}

fn url(map: &Map, key: &str) -> Result<String, Refusal> {
    let text = map
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| refuse(format!("`{key}` must be a URL")))?;
    check_url(text, key)?;
    Ok(text.to_owned())
}

fn check_url(text: &str, key: &str) -> Result<(), Refusal> {
    if !is_http_url(text) {
        return Err(refuse(format!("`{key}` must be an http or https URL")));
    }
    Ok(())
}

fn refuse(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::Envelope, detail)
}

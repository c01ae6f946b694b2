//! Entries, relations and actors as values for programs and rows for people.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};

use super::{about, clean, clock, excerpt, handle, short_cid};

/// The columns of a list of entries.
pub(crate) const COLUMNS: &[&str] = &["seq", "time", "who", "verb", "text", "cid"];
/// The longest excerpt, characters.
const EXCERPT: usize = 60;

/// `{"cid","seq","offset","state","document"}`.
pub(crate) fn entry_value(entry: &proto::Entry) -> anyhow::Result<Map> {
    Ok(Map::from([
        ("cid", Value::from(&*entry.cid)),
        ("seq", number(entry.seq)),
        ("offset", number(entry.offset)),
        ("state", Value::from(&*entry.state)),
        ("document", Value::Map(document(entry)?)),
    ]))
}

/// An entry for people, in [`COLUMNS`].
pub(crate) fn entry_row(entry: &proto::Entry) -> Vec<String> {
    let [who, verb, text] = gist(entry);
    vec![
        entry.seq.to_string(),
        clock(entry.received_ms),
        who,
        verb,
        text,
        short_cid(&entry.cid),
    ]
}

/// An entry for people, on a line of its own, with the logs it joined.
pub(crate) fn tail_line(entry: &proto::Entry) -> String {
    let [who, verb, text] = gist(entry);
    let places: Vec<String> = entry.places.iter().map(place).collect();
    let text = if text.is_empty() {
        text
    } else {
        format!("  {text}")
    };
    format!(
        "{:>6}  {}  {}  {who}  {verb}{text}  → {}",
        entry.offset,
        clock(entry.received_ms),
        short_cid(&entry.cid),
        places.join(" ")
    )
}

/// A place in a log, as `alice/inbox#7`.
pub(crate) fn place(place: &proto::Place) -> String {
    format!("{}/{}#{}", place.actor, side(place.side), place.seq)
}

/// Who follows or is followed, with the `Follow` it stands on.
pub(crate) fn relation_value(relation: &proto::Relation) -> anyhow::Result<Map> {
    let mut value = match &relation.follow {
        Some(follow) => entry_value(follow)?,
        None => ["cid", "seq", "offset", "document"]
            .map(|key| (key, Value::Nil))
            .into(),
    };
    value.insert("state", &*relation.state);
    value.insert("actor", &*relation.peer);
    value.insert(
        "since",
        fedsx_core::time::format_rfc3339_ms(relation.since_ms),
    );
    Ok(value)
}

/// An actor with its document and its figures.
pub(crate) fn actor_value(actor: &proto::Actor) -> anyhow::Result<Map> {
    let entry = actor
        .entry
        .as_ref()
        .context("the server sent an actor without its document")?;
    let mut value = entry_value(entry)?;
    value.insert("name", &*actor.name);
    value.insert("url", &*actor.url);
    value.insert("handle", &*actor.handle);
    value.insert("kind", kind(actor.kind));
    value.insert("manualApproval", actor.manual_approval);
    if let Some(deleted_ms) = actor.deleted_ms {
        value.insert("deleted", fedsx_core::time::format_rfc3339_ms(deleted_ms));
    }
    for (key, count) in [
        ("followers", actor.followers),
        ("following", actor.following),
        ("outbox", actor.outbox),
        ("inbox", actor.inbox),
    ] {
        value.insert(key, number(count));
    }
    Ok(value)
}

/// `{"id","cid","seq","offset"}`.
pub(crate) fn published_value(published: &proto::Published) -> Map {
    Map::from([
        ("id", Value::from(&*published.id)),
        ("cid", Value::from(&*published.cid)),
        ("seq", number(published.seq)),
        ("offset", number(published.offset)),
    ])
}

/// The AS2 type of an actor.
pub(super) fn kind(kind: i32) -> &'static str {
    match proto::ActorKind::try_from(kind) {
        Ok(proto::ActorKind::Service) => "Service",
        Ok(proto::ActorKind::Group) => "Group",
        _ => "Person",
    }
}

fn side(side: i32) -> &'static str {
    match proto::Side::try_from(side) {
        Ok(proto::Side::Inbox) => "inbox",
        _ => "outbox",
    }
}

/// A count; what no integer of I-JSON holds is written as the largest.
fn number(count: u64) -> Value {
    let largest = fedsx_core::limits::INTEGER_MAX;
    Value::Int(i64::try_from(count).map_or(largest, |count| count.min(largest)))
}

fn document(entry: &proto::Entry) -> anyhow::Result<Map> {
    let read = notation::read(Notation::Json, &entry.document_json, DOCUMENT_IN_BYTES);
    let document = read.with_context(|| format!("the document of {}", entry.cid))?;
    document
        .as_map()
        .cloned()
        .with_context(|| format!("{} is no object", entry.cid))
}

/// Who, the verb (with the object's type), and the beginning of the text.
fn gist(entry: &proto::Entry) -> [String; 3] {
    let Ok(document) = document(entry) else {
        return ["?", "?", "?"].map(str::to_owned);
    };
    let text_of =
        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let verb = text_of(document.get("type"));
    // Of what was deleted the id is all that is left.
    let who = match document.get("actor") {
        Some(actor) => handle(&text_of(Some(actor))),
        None => about(&text_of(document.get("id"))),
    };
    let object = document.get("object");
    let verb = match object
        .and_then(|object| object.get("type"))
        .and_then(Value::as_str)
    {
        Some(kind) => format!("{verb} {kind}"),
        None => verb,
    };
    let said = object
        .and_then(said)
        .or_else(|| document.get("name"))
        .or(object);
    let said = said.and_then(Value::as_str).unwrap_or_default();
    let shown = match said.starts_with("http") {
        true => about(said),
        false => excerpt(said, EXCERPT),
    };
    [who, clean(&verb), shown]
}

/// What an object says, or else whom or what it is about.
fn said(object: &Value) -> Option<&Value> {
    ["content", "summary", "name", "object", "actor", "id"]
        .into_iter()
        .find_map(|key| {
            let value = object.get(key)?;
            value.as_str().is_some().then_some(value)
        })
}

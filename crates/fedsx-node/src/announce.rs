//! What a local actor says about somebody's object: `Announce` and `Endorse` (design, section 8.2, "On
//! the wire to others").
//!
//! Invariants: the object is named by its `id`, with its CID beside it; what is not public is announced to
//! nobody and endorsed to its author alone. What is not kept here is fetched from its origin, which is
//! believed about what is its own. Deliberately absent: keeping what was fetched.

use fedsx_core::address::{is_http_url, same_origin};
use fedsx_core::audience::{PUBLIC, visibility};
use fedsx_core::cid::{Cid, cid};
use fedsx_core::entry::Visibility;
use fedsx_core::envelope::{Recipients, reference};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};
use fedsx_discovery::document::FetchError;
use fedsx_discovery::pool::Purpose;
use fedsx_store::Stored;

use crate::{Node, PublishOptions, Published, fault};

/// What is announced or endorsed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Subject {
    id: String,
    /// Of the version that is known here.
    cid: Cid,
    /// The actor whose it is, as far as its origin can say so.
    author: Option<String>,
    is_public: bool,
}

/// What a name leads to.
enum Found {
    Subject(Subject),
    /// An `Announce`: what it passes on is meant.
    PassedOn(String),
}

impl Node {
    /// Passes on what `what` names to the actor's followers and everybody: the CID or URL of an activity,
    /// or the URL of an object. A `Create` stands for its object, an `Announce` for what it passes on.
    ///
    /// # Errors
    /// `not-found` or `unresolvable`, when nothing has that name; `not-authorised`, when it is not public;
    /// the refusal of publishing it.
    pub async fn announce(&self, name: &str, what: &str) -> Result<Published, Refusal> {
        let url = self.actor(name)?.url;
        let subject = self.subject(what).await?;
        if !subject.is_public {
            let why =
                "it is not public: to announce it would show it to more than its author chose";
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        let document = subject.said(&url, "Announce");
        self.publish(name, document, PublishOptions::default())
            .await
    }

    /// Says something of `kind` about what `what` names, as of [`Node::announce`]: to its author, and where
    /// it is public to the actor's followers and everybody.
    ///
    /// # Errors
    /// As of [`Node::announce`]; `validator:endorsement-kind`, when the kind is no word.
    pub async fn endorse(&self, name: &str, what: &str, kind: &str) -> Result<Published, Refusal> {
        let url = self.actor(name)?.url;
        let subject = self.subject(what).await?;
        if !subject.is_public && subject.author.is_none() {
            let why = "it is not public, and its author is not known: there is nobody to tell";
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        if kind.is_empty() {
            let why = "an endorsement has a kind: one word, such as like, agree or reviewed";
            return Err(Refusal::new(Code::Malformed, why));
        }
        let mut document = subject.said(&url, "Endorse");
        document.insert("kind", kind);
        self.publish(name, document, PublishOptions::default())
            .await
    }

    async fn subject(&self, what: &str) -> Result<Subject, Refusal> {
        match self.found(what.trim()).await? {
            Found::Subject(subject) => Ok(subject),
            Found::PassedOn(id) => match self.found(&id).await? {
                Found::Subject(subject) => Ok(subject),
                Found::PassedOn(_) => {
                    let why =
                        "it passes on what is passed on itself; name the object that is meant";
                    Err(Refusal::new(Code::Unresolvable, why))
                }
            },
        }
    }

    async fn found(&self, what: &str) -> Result<Found, Refusal> {
        let view = &self.0.view;
        if let Ok(cid) = what.parse::<Cid>() {
            let stored = view.stored(&cid.digest).map_err(fault::read)?;
            return of_stored(&stored.ok_or_else(unknown_cid)?);
        }
        if !is_http_url(what) {
            let why = format!("`{what}` is neither a CID nor the URL of an activity or object");
            return Err(Refusal::new(Code::Malformed, why));
        }
        let kept = match view.activity_of_object(what).map_err(fault::read)? {
            Some(create) => Some(create),
            None => view.activity_by_id(what).map_err(fault::read)?,
        };
        match kept {
            Some(stored) => of_stored(&stored),
            None if self.0.instance.owns(what) => Err(Refusal::new(
                Code::NotFound,
                "nothing is kept here under that URL; `fedsx timeline NAME` and `fedsx outbox NAME` show what is",
            )),
            None => {
                let fetched = self.0.fetcher.document(what, Purpose::Own).await;
                let fetched = fetched.map_err(|error| unfetched(what, &error))?;
                of_fetched(&fetched.document)
            }
        }
    }
}

impl Subject {
    fn said(&self, actor: &str, verb: &str) -> Map {
        let author = self.author.as_deref().filter(|author| *author != actor);
        let mut document = Map::from([
            ("type", Value::from(verb)),
            ("object", self.id.as_str().into()),
            ("objectCid", self.cid.to_string().into()),
        ]);
        if self.is_public {
            let followers = format!("{actor}/followers");
            let copies: Vec<&str> = std::iter::once(&*followers).chain(author).collect();
            document.insert("to", vec![PUBLIC]);
            document.insert("cc", copies);
        } else {
            document.insert("to", vec![author.unwrap_or(actor)]);
        }
        document
    }
}

/// What an entry is about: of a `Create` or `Update` its object, else the activity itself.
fn of_stored(stored: &Stored) -> Result<Found, Refusal> {
    if stored.erased {
        return Err(deleted());
    }
    let map = stored.map().map_err(fault::read)?;
    let activity = stored.activity().ok_or_else(unknown_cid)?;
    let is_public = activity.visibility == Visibility::Public;
    found(&map, activity.actor.clone(), is_public)
}

/// What a document is about that was fetched under its `id`.
fn of_fetched(map: &Map) -> Result<Found, Refusal> {
    let id = text(map, "id").unwrap_or_default();
    let owner = reference(map.get("attributedTo")).or_else(|| reference(map.get("actor")));
    // Its origin says nothing about others'.
    let owner = owner.filter(|owner| same_origin(owner, id));
    let recipients = Recipients::of(map)?;
    let is_public = visibility(&recipients, None) == Visibility::Public;
    match (text(map, "type"), owner) {
        (Some("Tombstone"), _) => Err(deleted()),
        _ if map.contains_key("inbox") => {
            let why = "that is an actor: name something it wrote, or `fedsx follow` it";
            Err(Refusal::new(Code::Unresolvable, why))
        }
        (_, Some(owner)) => found(map, owner.to_owned(), is_public),
        (_, None) => Ok(Found::Subject(Subject {
            id: id.to_owned(),
            cid: cid(map),
            author: None,
            is_public,
        })),
    }
}

fn found(map: &Map, author: String, is_public: bool) -> Result<Found, Refusal> {
    let object = map.get("object");
    let subject = match (text(map, "type"), object.and_then(Value::as_map)) {
        (Some("Create" | "Update"), Some(object)) if text(object, "id").is_some() => object,
        (Some("Announce"), _) => {
            let passed_on = reference(object).map(str::to_owned);
            let why = "it is an Announce that names nothing";
            let passed_on = passed_on.ok_or_else(|| Refusal::new(Code::Unresolvable, why))?;
            return Ok(Found::PassedOn(passed_on));
        }
        _ => map,
    };
    let id = text(subject, "id").unwrap_or_default();
    if !same_origin(id, &author) {
        let why = "its author is on another origin than itself";
        return Err(Refusal::new(Code::Unresolvable, why));
    }
    Ok(Found::Subject(Subject {
        id: id.to_owned(),
        cid: cid(subject),
        author: Some(author),
        is_public,
    }))
}

fn text<'a>(map: &'a Map, member: &str) -> Option<&'a str> {
    map.get(member).and_then(Value::as_str)
}

fn deleted() -> Refusal {
    Refusal::new(Code::Gone, "it was deleted by its author")
}

fn unknown_cid() -> Refusal {
    let why =
        "nothing is kept here under that CID; name the URL of the object, which can be fetched";
    Refusal::new(Code::NotFound, why)
}

fn unfetched(what: &str, error: &FetchError) -> Refusal {
    let why = format!("`{what}` is not kept here and can't be fetched: {error}");
    let refusal = Refusal::new(Code::Unresolvable, why);
    if error.is_passing() {
        refusal.retry_after(60)
    } else {
        refusal
    }
}

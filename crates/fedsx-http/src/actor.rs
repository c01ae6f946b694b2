//! `/actors/{name}`, the counts of its followers and of those it follows, and who controls a group. Of one that was
//! deleted there is a Tombstone, and 410.
//!
//! ActivityPub, sections 4.1, 5.3 and 5.4; FEP-1b12. The names in a path are taken as they stand, since the
//! `id` of what is answered has to be the URL that was asked for. Deliberately absent: the members
//! of the two collections, and the profile page.

use axum::extract::{Path, State};
use axum::response::Response;
use fedsx_core::actor::ActorKind;
use fedsx_core::address::Instance;
use fedsx_core::refusal::Code;
use fedsx_core::state::{Actor, RelationTotals};
use fedsx_core::value::{Map, Value};
use fedsx_node::Node;
use http::HeaderMap;

use crate::answer::Outgoing;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::router::HttpState;

/// `GET /actors/{name}`.
pub(crate) async fn document(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let actor = node.view().state().actor_by_name(&name)?;
        let actor = actor.ok_or_else(no_such_actor)?;
        let document = node.view().actor_document(&actor)?;
        Ok(match actor.is_gone() {
            true => Outgoing::gone(document),
            false => Outgoing::made(document),
        })
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// `GET /actors/{name}/followers`.
pub(crate) async fn followers(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let size = |instance: &Instance, name: &str, totals: RelationTotals| {
        (instance.followers_url(name), totals.followers)
    };
    relations(state, name, headers, size).await
}

/// `GET /actors/{name}/following`.
pub(crate) async fn following(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let size = |instance: &Instance, name: &str, totals: RelationTotals| {
        (instance.following_url(name), totals.following)
    };
    relations(state, name, headers, size).await
}

/// `GET /actors/{name}/controllers`: of a group alone.
pub(crate) async fn controllers(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let actor = named(node, &name)?;
        if actor.kind != ActorKind::Group {
            let why = "only a group has controllers";
            return Err(Problem::new(Code::NotFound, why));
        }
        let standings = node.view().standings(actor.no)?.into_iter();
        let controllers = standings.filter(|(_, standing)| standing.controller);
        let controllers: Vec<String> = controllers.map(|(who, _)| who).collect();
        let mut answer = count(
            node.instance().controllers_url(&name),
            controllers.len() as u64,
        );
        answer.insert("orderedItems", controllers);
        Ok(Outgoing::made(answer))
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// One of the two collections, of which `size` says the id and the size.
async fn relations(
    state: HttpState,
    name: String,
    headers: HeaderMap,
    size: fn(&Instance, &str, RelationTotals) -> (String, u64),
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let actor = named(node, &name)?;
        let totals = node.view().state().relation_totals(actor.no)?;
        let (id, total) = size(node.instance(), &name, totals);
        Ok(Outgoing::made(count(id, total)))
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// The actor of that name, which was not deleted.
pub(crate) fn named(node: &Node, name: &str) -> Result<Actor, Problem> {
    match node.view().state().actor_by_name(name)? {
        Some(actor) if actor.is_gone() => Err(Problem::new(
            Code::Gone,
            "the actor of that name was deleted",
        )),
        Some(actor) => Ok(actor),
        None => Err(no_such_actor()),
    }
}

pub(crate) fn no_such_actor() -> Problem {
    Problem::new(Code::NoSuchActor, "no actor of that name is here")
}

/// An ordered collection of which only the size is told.
fn count(id: String, total: u64) -> Map {
    let mut collection = collection(id, "OrderedCollection");
    collection.insert("totalItems", whole(total));
    collection
}

/// The members that every collection and page begins with.
pub(crate) fn collection(id: String, kind: &str) -> Map {
    let mut members: Map = [("id", id.as_str()), ("type", kind)].into();
    members.insert(
        "@context",
        Value::from(vec!["https://www.w3.org/ns/activitystreams"]),
    );
    members
}

/// A count as an integer of I-JSON.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count)
        .unwrap_or(i64::MAX)
        .min(fedsx_core::limits::INTEGER_MAX)
}

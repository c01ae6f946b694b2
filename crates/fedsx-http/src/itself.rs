//! `/actor`: the actor that is the instance itself, and what every actor has to have.
//!
//! Invariant: nobody is asked who reads it, because by its keys others learn who asks them. Deliberately absent:
//! a log, followers, and an inbox that takes anything: it signs what this instance asks others for, and no more.

use axum::extract::State;
use axum::response::Response;
use fedsx_core::refusal::Code;
use fedsx_core::value::List;
use http::HeaderMap;

use crate::actor::{collection, no_such_actor, whole};
use crate::answer::Outgoing;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::router::HttpState;

/// `GET /actor`.
pub(crate) async fn document(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let itself = state.node().itself().ok_or_else(no_such_actor)?;
    Ok(Outgoing::made(itself.document().clone()).answer(&headers, media))
}

/// `POST /actor/inbox`.
pub(crate) async fn inbox() -> Problem {
    let why = "nobody reads the inbox of the instance itself; \
               what is for an actor here goes to its inbox or to the shared one, `/inbox`";
    Problem::new(Code::NotAuthorised, why)
}

/// `GET /actor/outbox`: it never says anything.
pub(crate) async fn outbox(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let id = format!("{}/outbox", state.node().instance().own_actor_url());
    let mut outbox = collection(id, "OrderedCollection");
    outbox.insert("totalItems", whole(0));
    outbox.insert("orderedItems", List::default());
    Ok(Outgoing::made(outbox).answer(&headers, media))
}

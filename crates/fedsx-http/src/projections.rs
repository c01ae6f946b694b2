//! `GET /projections` and `GET /projections/{name}`: what projections have folded.
//!
//! Design, sections 8.4 and 11. `?key=` asks for one key of a projection that has a state for each,
//! `?wait=OFFSET` waits until an entry is folded, 10 s at most, so that who published sees it. Invariants:
//! no offset of the journal goes out; of a private projection an actor's token (scope `read`) shows the state under
//! that actor's own URL, and everything else is as if it were not there.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};
use fedsx_node::{Overview, Scope, no_such_projection};
use http::HeaderMap;
use http::request::Parts;

use crate::answer::Outgoing;
use crate::bearer;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::HttpState;

/// `GET /projections`.
pub(crate) async fn list(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let all = state.node().folds().list();
    let public = all.iter().filter(|overview| overview.is_public);
    let items: Vec<Value> = public.map(|overview| told(overview).into()).collect();
    let document = Map::from([("projections", Value::from(items))]);
    Ok(Outgoing::made(document).answer(&headers, media))
}

/// `GET /projections/{name}`.
pub(crate) async fn one(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let media = answered(&parts.headers, DOCUMENT)?;
    let query = Query::of(&parts.uri);
    let key = query.value("key")?.map(|key| key.into_owned());
    let wait = query.value("wait")?.map(|text| offset(&text)).transpose()?;
    let folds = state.node().folds();
    let overview = folds.overview(&name)?;
    if !overview.is_public {
        reader_owns(&state, &parts, &overview, key.as_deref()).await?;
    }
    if let Some(offset) = wait {
        folds.wait(&name, offset).await?;
    }
    let read = move |node: &fedsx_node::Node| {
        let answer = node.folds().state(&name, key.as_deref())?;
        let mut document = told(&answer.overview);
        document.insert("state", answer.state);
        let outgoing = Outgoing::made(document);
        Ok(match answer.overview.is_public {
            true => outgoing,
            false => outgoing.for_one(),
        })
    };
    Ok(state.read(read).await?.answer(&parts.headers, media))
}

/// Whether the state asked for is the one of a private projection that who asks may see.
async fn reader_owns(
    state: &HttpState,
    parts: &Parts,
    private: &Overview,
    key: Option<&str>,
) -> Result<(), Problem> {
    if !bearer::is_shown(parts) {
        return Err(Problem::new(
            Code::TokenRequired,
            "this projection is private; it takes a bearer token",
        ));
    }
    let actor = bearer::actor(state, parts, Scope::Read, None).await?;
    match private.is_keyed && key == Some(&*actor.url) {
        true => Ok(()),
        false => Err(no_such_projection(&private.name).into()),
    }
}

fn told(overview: &Overview) -> Map {
    Map::from([
        ("name", Value::from(&*overview.name)),
        ("definition", Value::from(overview.definition.to_string())),
        ("complete", Value::Bool(overview.complete)),
    ])
}

fn offset(text: &str) -> Result<u64, Refusal> {
    let wrong = |_| Refusal::new(Code::Malformed, "`wait` takes an offset");
    text.parse().map_err(wrong)
}

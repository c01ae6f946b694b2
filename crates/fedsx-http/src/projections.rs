//! `GET /projections` and `GET /projections/{name}`: what public projections have folded.
//!
//! Design, sections 8.4 and 11. `?key=` asks for one key of a projection that has a state for each,
//! `?wait=OFFSET` waits until an entry is folded, 10 s at most, so that who published sees it. Invariants:
//! no offset of the journal goes out, and only public projections do. Deliberately absent: tokens, by
//! which private ones could be read.

use axum::extract::{Path, State};
use axum::response::Response;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};
use fedsx_node::Overview;
use http::{HeaderMap, Uri};

use crate::answer::Outgoing;
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
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let query = Query::of(&uri);
    let key = query.value("key")?.map(|key| key.into_owned());
    let wait = query.value("wait")?.map(|text| offset(&text)).transpose()?;
    let folds = state.node().folds();
    if !folds.overview(&name)?.is_public {
        return Err(Problem::new(
            Code::TokenRequired,
            "this projection is private; it takes a bearer token",
        ));
    }
    if let Some(offset) = wait {
        folds.wait(&name, offset).await?;
    }
    let read = move |node: &fedsx_node::Node| {
        let answer = node.folds().state(&name, key.as_deref())?;
        let mut document = told(&answer.overview);
        document.insert("state", answer.state);
        Ok(Outgoing::made(document))
    };
    Ok(state.read(read).await?.answer(&headers, media))
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

//! Who reads: the actor of a bearer token, or of the HTTP signature over the request; else everybody.
//!
//! Design, sections 9.3 and 11. What one may not read behaves as unknown, so that a signature is looked
//! at for what is private and for what is not there alike, and never for what is public.

use std::net::{IpAddr, Ipv4Addr};

use fedsx_core::entry::Visibility;
use fedsx_core::reader::{Reader, may_read};
use fedsx_node::{Node, RequestParts, Scope};
use fedsx_store::Stored;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::bearer;
use crate::problem::Problem;
use crate::router::HttpState;
use crate::serve::Remote;

/// Who asks by this request.
pub(crate) async fn of(state: &HttpState, parts: &Parts) -> Result<Reader, Problem> {
    if bearer::is_shown(parts) {
        let actor = bearer::actor(state, parts, Scope::Read, None).await?;
        return Ok(Reader::Actor(actor.url));
    }
    let source = parts.extensions.get::<Remote>().map(|remote| remote.0);
    let target = parts.uri.path_and_query().map(PathAndQuery::as_str);
    let head = RequestParts {
        method: parts.method.clone(),
        path_and_query: target.unwrap_or("/").to_owned(),
        headers: parts.headers.clone(),
    };
    let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Ok(state.node().reader(&head, source).await?)
}

/// Whether everybody may read it.
pub(crate) fn is_public(stored: &Stored) -> bool {
    stored
        .activity()
        .is_some_and(|activity| activity.visibility == Visibility::Public)
}

/// Whether who reads may read it.
pub(crate) fn reads(node: &Node, reader: &Reader, stored: &Stored) -> Result<bool, Problem> {
    if is_public(stored) {
        return Ok(true);
    }
    match (reader, stored.activity()) {
        (Reader::Actor(url), Some(activity)) => {
            let state = node.view().state();
            Ok(may_read(state, url, activity, &stored.map()?)?)
        }
        _ => Ok(false),
    }
}

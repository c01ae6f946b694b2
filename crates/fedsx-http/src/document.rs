//! Documents by their address: an activity or an object by its `id`, anything kept by its CID.
//!
//! Design, sections 9.1 and 11: what the reader may not read behaves as unknown, and every reader is
//! the public as long as no GET is signed. Of what was deleted there is a Tombstone, and 410.
//! Deliberately absent: bytes that are no document.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use fedsx_core::cid::{Cid, Codec, Digest};
use fedsx_core::definition::Kind;
use fedsx_core::entry::Visibility;
use fedsx_core::refusal::Refusal;
use fedsx_core::registry::{Active, Authority};
use fedsx_core::tombstone::tombstone;
use fedsx_core::value::{Map, Value};
use fedsx_node::Node;
use fedsx_store::Stored;
use http::HeaderMap;

use crate::answer::{Keeping, Outgoing};
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::router::HttpState;

/// `GET /actors/{name}/activities/{id}`.
pub(crate) async fn activity(
    State(state): State<HttpState>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let url = node.instance().activity_url(&name, &id);
        let stored = public(node.view().activity_by_id(&url)?)?;
        Outgoing::kept(stored, Keeping::Revalidated)
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// `GET /actors/{name}/objects/{id}`: the object inside the `Create` that brought it.
pub(crate) async fn object(
    State(state): State<HttpState>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let url = node.instance().object_url(&name, &id);
        let stored = public(node.view().activity_of_object(&url)?)?;
        if stored.erased {
            return Ok(Outgoing::gone(object_left(node, &url, &stored)?));
        }
        let object = embedded(&stored.map()?).ok_or_else(Problem::not_found)?;
        Ok(Outgoing::made(object).by_reader())
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// `GET /artifacts/{cid}`.
pub(crate) async fn artifact(
    State(state): State<HttpState>,
    Path(cid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cid: Cid = cid.parse().map_err(Refusal::from)?;
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        if cid.codec != Codec::JsonJcs {
            return Err(Problem::not_found());
        }
        if let Some(stored) = node.view().stored(&cid.digest)? {
            return Outgoing::kept(public(Some(stored))?, Keeping::Hour);
        }
        definition(node, &cid.digest)
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// `GET /types/{cid}`: a host type as it was published.
pub(crate) async fn host_type(
    State(state): State<HttpState>,
    Path(cid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cid: Cid = cid.parse().map_err(Refusal::from)?;
    let media = answered(&headers, DOCUMENT)?;
    let read = move |node: &Node| {
        let registry = node.registry();
        let is_type = |active: &Arc<Active>| active.definition.kind() == Kind::Type;
        match registry.version(&cid.digest).filter(|one| is_type(one)) {
            Some(_) if cid.codec == Codec::JsonJcs => definition(node, &cid.digest),
            _ => Err(Problem::not_found()),
        }
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// A definition as its `Create` embeds it: its CID covers exactly that. Those of genesis came with the
/// program.
fn definition(node: &Node, digest: &Digest) -> Result<Outgoing, Problem> {
    if let Some(create) = node.view().create_of_definition(digest)? {
        let create = public(Some(create))?.map()?;
        let object = create.get("object").and_then(Value::as_map);
        let object = object.ok_or_else(Problem::not_found)?;
        return Ok(Outgoing::named(object.clone()));
    }
    let registry = node.registry();
    let genesis = registry.version(digest);
    let genesis = genesis.filter(|active| active.authority == Authority::Genesis);
    let genesis = genesis.ok_or_else(Problem::not_found)?;
    Ok(Outgoing::named(genesis.definition.map().clone()))
}

/// What is left of an object that its owner deleted.
fn object_left(node: &Node, url: &str, create: &Stored) -> Result<Map, Problem> {
    let owner = create.activity().map(|create| &*create.actor);
    let deleted = node
        .view()
        .state()
        .deleted(url, owner.unwrap_or_default())?;
    let former_type = deleted.as_ref().and_then(|was| was.former_type.as_deref());
    Ok(tombstone(url, former_type, create.deleted_ms))
}

/// What everybody may read.
fn public(stored: Option<Stored>) -> Result<Stored, Problem> {
    stored.filter(is_public).ok_or_else(Problem::not_found)
}

/// Whether everybody may read it.
pub(crate) fn is_public(stored: &Stored) -> bool {
    stored
        .activity()
        .is_some_and(|activity| activity.visibility == Visibility::Public)
}

/// The object of an activity as a document of its own: it stood in the activity's context. One that
/// carries a proof of its own goes out as it is, since the proof covers the context.
fn embedded(activity: &Map) -> Option<Map> {
    let Some(Value::Map(object)) = activity.get("object") else {
        return None;
    };
    let mut object = object.clone();
    object.remove("signature");
    if let (false, false, Some(context)) = (
        object.contains_key("@context"),
        object.contains_key("proof"),
        activity.get("@context"),
    ) {
        object.insert("@context", context.clone());
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_object_takes_the_context_along() {
        let note: Map = [("type", "Note"), ("signature", "x")].into();
        let mut create: Map = [("type", "Create")].into();
        assert_eq!(embedded(&create), None);
        create.insert("object", note.clone());
        assert_eq!(embedded(&create), Some([("type", "Note")].into()));
        create.insert("@context", "https://a.example/context");
        let expected: Map = [("type", "Note"), ("@context", "https://a.example/context")].into();
        assert_eq!(embedded(&create), Some(expected));
        let mut proved = note;
        proved.insert("proof", Map::new());
        create.insert("object", proved.clone());
        proved.remove("signature");
        assert_eq!(embedded(&create), Some(proved));
    }
}

//! Documents by their address: an activity or an object by its `id`, anything kept by its CID.
//!
//! Design, sections 9.1 and 11: what the reader may not read behaves as unknown, and what not everybody
//! may read is kept by nobody on the way. Of what was deleted there is a Tombstone, and 410. Bytes that are no
//! document are in `blob`.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::cid::{Cid, Codec, Digest};
use fedsx_core::definition::Kind;
use fedsx_core::envelope::object_of;
use fedsx_core::refusal::Refusal;
use fedsx_core::registry::{Active, Authority};
use fedsx_core::tombstone::tombstone;
use fedsx_core::value::{Map, Value};
use fedsx_node::Node;
use fedsx_store::Stored;
use http::HeaderMap;
use http::request::Parts;

use crate::answer::{Keeping, Outgoing};
use crate::blob;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::reader::{self, is_public, reads};
use crate::router::HttpState;

/// `GET /actors/{name}/activities/{id}`.
pub(crate) async fn activity(
    State(state): State<HttpState>,
    Path((name, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let media = answered(&parts.headers, DOCUMENT)?;
    let find = move |node: &Node| {
        let url = node.instance().activity_url(&name, &id);
        Ok(Found::of(node.view().activity_by_id(&url)?))
    };
    let made = |_: &Node, stored| Outgoing::kept(stored, Keeping::Revalidated);
    let outgoing = to_reader(&state, &parts, find, made).await?;
    Ok(outgoing.answer(&parts.headers, media))
}

/// `GET /actors/{name}/objects/{id}`: the object inside the `Create` that brought it.
pub(crate) async fn object(
    State(state): State<HttpState>,
    Path((name, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let media = answered(&parts.headers, DOCUMENT)?;
    let find = move |node: &Node| {
        let url = node.instance().object_url(&name, &id);
        Ok(Found::of(node.view().activity_of_object(&url)?))
    };
    let made = |node: &Node, stored: Stored| {
        if stored.erased {
            return Ok(Outgoing::gone(object_left(node, &stored)?));
        }
        let object = embedded(&stored.map()?).ok_or_else(Problem::not_found)?;
        Ok(Outgoing::made(object).by_reader())
    };
    let outgoing = to_reader(&state, &parts, find, made).await?;
    Ok(outgoing.answer(&parts.headers, media))
}

/// `GET /artifacts/{cid}`.
pub(crate) async fn artifact(
    State(state): State<HttpState>,
    Path(cid): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let cid: Cid = cid.parse().map_err(Refusal::from)?;
    let (parts, _) = request.into_parts();
    if cid.codec == Codec::Raw {
        return blob::file(&state, cid, &parts.headers).await;
    }
    let media = answered(&parts.headers, DOCUMENT)?;
    let find = move |node: &Node| {
        Ok(match node.view().stored(&cid.digest)? {
            Some(stored) => Found::Kept(stored),
            None => definition(node, &cid.digest)?.map_or(Found::Nothing, Found::Open),
        })
    };
    let made = |_: &Node, stored| Outgoing::kept(stored, Keeping::Hour);
    let outgoing = to_reader(&state, &parts, find, made).await?;
    Ok(outgoing.answer(&parts.headers, media))
}

/// What is at an address.
enum Found {
    /// What everybody may read, ready to go out.
    Open(Outgoing),
    /// Something kept, which not everybody may read.
    Kept(Stored),
    Nothing,
}

impl Found {
    fn of(stored: Option<Stored>) -> Self {
        stored.map_or(Self::Nothing, Self::Kept)
    }
}

/// What is found, made ready for who asks. Who asks is looked at only where not everybody may read it,
/// and where there is nothing as well, so that the one can't be told from the other.
async fn to_reader(
    state: &HttpState,
    parts: &Parts,
    find: impl FnOnce(&Node) -> Result<Found, Problem> + Send + 'static,
    made: impl Fn(&Node, Stored) -> Result<Outgoing, Problem> + Send + Copy + 'static,
) -> Result<Outgoing, Problem> {
    let find = move |node: &Node| match find(node)? {
        Found::Kept(stored) if is_public(&stored) => made(node, stored).map(Found::Open),
        found => Ok(found),
    };
    let found = match state.read(find).await? {
        Found::Open(outgoing) => return Ok(outgoing),
        found => found,
    };
    let reader = reader::of(state, parts).await?;
    let Found::Kept(stored) = found else {
        return Err(Problem::not_found());
    };
    let judge = move |node: &Node| match reads(node, &reader, &stored)? {
        true => Ok(made(node, stored)?.for_one()),
        false => Err(Problem::not_found()),
    };
    state.read(judge).await
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
            Some(_) if cid.codec == Codec::JsonJcs => {
                definition(node, &cid.digest)?.ok_or_else(Problem::not_found)
            }
            _ => Err(Problem::not_found()),
        }
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// A definition as its `Create` embeds it: its CID covers exactly that. Those of genesis came with the
/// program.
fn definition(node: &Node, digest: &Digest) -> Result<Option<Outgoing>, Problem> {
    if let Some(create) = node.view().create_of_definition(digest)? {
        if !is_public(&create) {
            return Ok(None);
        }
        let create = create.map()?;
        let object = object_of(&create);
        return Ok(object.cloned().map(Outgoing::named));
    }
    let registry = node.registry();
    let genesis = registry.version(digest);
    let genesis = genesis.filter(|active| active.authority == Authority::Genesis);
    Ok(genesis.map(|genesis| Outgoing::named(genesis.definition.map().clone())))
}

/// What is left of an object that its owner deleted.
fn object_left(node: &Node, create: &Stored) -> Result<Map, Problem> {
    let create_of = create.activity().ok_or_else(Problem::not_found)?;
    let url = create_of.object_id.as_deref();
    let url = url.ok_or_else(Problem::not_found)?;
    let deleted = node.view().state().deleted(url, &create_of.actor)?;
    let former_type = deleted.as_ref().and_then(|was| was.former_type.as_deref());
    Ok(tombstone(url, former_type, create.deleted_ms))
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

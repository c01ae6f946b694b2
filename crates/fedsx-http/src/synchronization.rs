//! `GET /actors/{name}/followers_synchronization`: the followers of an actor that the reader's own host has.
//!
//! FEP-8fcf, "Partial follower collection". Who asks signs the request, and is told of its own host alone; to
//! everybody else it behaves as unknown. Up to [`PAGE`] followers stand in the collection itself; of more, `?page=true`
//! is the first page and `?after=` goes on behind a place, which means the same while followers come and go.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::address::Origin;
use fedsx_core::entry::ActorNo;
use fedsx_core::limits::WRAPPER_BYTES;
use fedsx_core::reader::Reader;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{List, Map, Value};
use fedsx_node::Node;
use fedsx_store::UrlHash;

use crate::actor::{collection, named, whole};
use crate::answer::Outgoing;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::HttpState;
use crate::{bearer, reader};

/// Followers in a page.
const PAGE: usize = 5_000;
/// What a page holds beside its members, bytes at most.
const FRAME_BYTES: usize = 16 << 10;
/// What a member takes beside its URL: quotes and a comma, bytes.
const MEMBER_BYTES: usize = 3;

/// `GET /actors/{name}/followers_synchronization`.
pub(crate) async fn followers(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let media = answered(&parts.headers, DOCUMENT)?;
    let asked = Asked::of(Query::of(&parts.uri))?;
    if bearer::is_shown(&parts) {
        // Those of this instance are told by other means.
        return Err(Problem::not_found());
    }
    let Reader::Actor(reader) = reader::of(&state, &parts).await? else {
        return Err(Problem::not_found());
    };
    let read = move |node: &Node| {
        let origin = Origin::of(&reader).ok_or_else(Problem::not_found)?;
        if node.hosts().is_barred(origin.authority()) {
            return Err(Problem::not_found());
        }
        let actor = named(node, &name)?;
        let url = node.instance().followers_synchronization_url(&name);
        let of = Part {
            actor: actor.no,
            origin: origin.as_str(),
            url,
        };
        let document = match asked {
            Asked::Whole => of.whole(node)?,
            Asked::Page(after) => {
                // The id of a page is the URL it was asked for by.
                let id = format!("{}?{}", of.url, parts.uri.query().unwrap_or_default());
                of.page(node, id, after.as_ref())?
            }
        };
        Ok((Outgoing::made(document).for_one(), parts.headers))
    };
    let (outgoing, headers) = state.read(read).await?;
    Ok(outgoing.answer(&headers, media))
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Whole,
    /// A page, the first or behind a place.
    Page(Option<UrlHash>),
}

impl Asked {
    fn of(query: Query<'_>) -> Result<Self, Refusal> {
        match (query.value("after")?, query.value("page")?) {
            (Some(after), _) => {
                let place = place(&after);
                let why = "`after` takes a place as `next` gives it";
                let place = place.ok_or_else(|| Refusal::new(Code::Malformed, why))?;
                Ok(Self::Page(Some(place)))
            }
            (None, Some(_)) => Ok(Self::Page(None)),
            (None, None) => Ok(Self::Whole),
        }
    }
}

/// The place that 32 hex digits are.
fn place(text: &str) -> Option<UrlHash> {
    let mut place = UrlHash::default();
    if text.len() != 2 * place.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in place.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(place)
}

/// The followers of an actor that one origin has.
struct Part<'a> {
    actor: ActorNo,
    origin: &'a str,
    url: String,
}

impl Part<'_> {
    fn whole(&self, node: &Node) -> Result<Map, Problem> {
        let count = node.view().state().followers_on(self.actor, self.origin)?;
        let (members, next) = self.members(node, None)?;
        let mut part = collection(self.url.clone(), "OrderedCollection");
        match next {
            // Counted with what is listed, because followers come and go meanwhile.
            None => {
                part.insert("totalItems", whole(members.iter().count() as u64));
                part.insert("orderedItems", members);
            }
            Some(_) => {
                part.insert("totalItems", whole(count.count));
                part.insert("first", format!("{}?page=true", self.url));
            }
        }
        Ok(part)
    }

    fn page(&self, node: &Node, id: String, after: Option<&UrlHash>) -> Result<Map, Problem> {
        let (members, next) = self.members(node, after)?;
        let mut page = collection(id, "OrderedCollectionPage");
        page.insert("partOf", &*self.url);
        page.insert("orderedItems", members);
        if let Some(next) = next {
            let place = next.map(|byte| format!("{byte:02x}")).concat();
            page.insert("next", format!("{}?after={place}", self.url));
        }
        Ok(page)
    }

    /// As many as a page holds, and the place behind which there are more.
    fn members(
        &self,
        node: &Node,
        after: Option<&UrlHash>,
    ) -> Result<(List, Option<UrlHash>), Problem> {
        // One more than needed tells whether there is a next page.
        let found = node
            .view()
            .followers_on(self.actor, self.origin, after, PAGE + 1)?;
        let (mut members, mut last) = (List::default(), None);
        let (mut count, mut bytes) = (0, FRAME_BYTES);
        for (place, follower) in found {
            bytes += follower.len() + MEMBER_BYTES;
            if count == PAGE || bytes > WRAPPER_BYTES {
                return Ok((members, last));
            }
            members.push(Value::from(follower));
            (count, last) = (count + 1, Some(place));
        }
        Ok((members, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let at = place("000102030405060708090a0b0c0d0e0F").expect("a place");
        assert_eq!(at[..], (0..16).collect::<Vec<u8>>());
        for wrong in ["", "00", "+1020304050607080910111213141516", "zz"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}

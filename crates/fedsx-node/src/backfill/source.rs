//! A page of somebody else's outbox: fetched as the actor who follows, and read.
//!
//! ActivityPub, section 5.1; ActivityStreams 2.0, section 5.1.3. Invariant: a page lies on the origin of the actor
//! whose outbox it is, also after redirects, and is bounded in bytes and members.

use std::sync::Arc;

use fedsx_core::address::{Origin, same_origin};
use fedsx_core::value::{Map, Value};
use fedsx_discovery::client::SignRequests;
use fedsx_discovery::document::FetchError;
use fedsx_discovery::pool::Purpose;

use super::walk::Halt;
use crate::Node;

/// A page as it came.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What stands in it, in its order.
    pub(super) items: Vec<Value>,
    /// Where it goes on.
    pub(super) next: Option<String>,
    /// Of a whole collection: its first page, where that is not inside.
    pub(super) first: Option<String>,
    /// What came over the wire, bytes.
    pub(super) bytes: u64,
}

/// Who asks, and of whom.
#[derive(Clone, Debug)]
pub(super) struct Asking<'a> {
    pub(super) node: &'a Node,
    pub(super) reader: Arc<dyn SignRequests>,
    pub(super) peer: &'a str,
}

impl Asking<'_> {
    /// Fetches a page.
    pub(super) async fn page(&self, url: &str) -> Result<Page, Halt> {
        if !same_origin(url, self.peer) {
            return Err(Halt::failed("a page lies on another origin"));
        }
        let reader = Arc::clone(&self.reader);
        let fetcher = &self.node.0.fetcher;
        let fetched = fetcher.signed_page(url, reader, Purpose::Own).await;
        let fetched = fetched.map_err(halt)?;
        if !same_origin(&fetched.final_url, self.peer) {
            return Err(Halt::failed("a page lies on another origin"));
        }
        let page = read(&fetched.document).map_err(Halt::failed)?;
        Ok(Page {
            bytes: fetched.bytes.len() as u64,
            ..page
        })
    }

    /// Fetches an activity that a page only names; nothing where it is not there any more.
    pub(super) async fn activity(&self, url: &str) -> Result<Option<Map>, Halt> {
        if !same_origin(url, self.peer) {
            return Ok(None);
        }
        match self.node.0.fetcher.document(url, Purpose::Own).await {
            Ok(fetched) => Ok(Some(fetched.document)),
            Err(error) if error.is_passing() => Err(halt(error)),
            Err(error) => {
                tracing::debug!(url, %error, "an activity of an outbox is not to be had");
                Ok(None)
            }
        }
    }

    /// Whether the server of the peer pages its outboxes as this one does: by what it says of itself.
    pub(super) async fn is_of_this_kind(&self) -> Result<bool, Halt> {
        let Some(origin) = Origin::of(self.peer) else {
            return Ok(false);
        };
        let fetcher = &self.node.0.fetcher;
        let said = match fetcher.capabilities(&origin, Purpose::Own).await {
            Ok(said) => said,
            // Servers that know no such page answer in many ways, but they do answer.
            Err(error @ FetchError::Transport(_)) if error.is_passing() => return Err(halt(error)),
            Err(_) => return Ok(false),
        };
        let modes = said.get("backfill");
        Ok(modes.is_some_and(|modes| modes.items().any(|mode| mode.as_str() == Some("full"))))
    }
}

/// What a failed fetch means for the walk.
fn halt(error: FetchError) -> Halt {
    let why = error.to_string();
    let after_s = match &error {
        FetchError::Status { retry_after_s, .. } => *retry_after_s,
        _ => None,
    };
    match error {
        error if error.is_passing() => Halt::Retry { why, after_s },
        FetchError::NotFound | FetchError::Gone { .. } => Halt::NotThere,
        _ => Halt::Failed(why),
    }
}

/// The members of a collection or page, or why it is none.
fn read(document: &Map) -> Result<Page, &'static str> {
    let kind = document.get("type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    let is_page = matches!(kind, "OrderedCollectionPage" | "CollectionPage");
    if !is_page && !matches!(kind, "OrderedCollection" | "Collection") {
        return Err("what it serves as its outbox is no collection");
    }
    let items = document.get("orderedItems");
    let items = items.or_else(|| document.get("items"));
    let items: Option<Vec<Value>> = items.map(|items| items.items().cloned().collect());
    match (items, document.get("first")) {
        (None, Some(Value::Map(first))) if !is_page && !first.contains_key("first") => read(first),
        (None, Some(first)) if !is_page => Ok(Page {
            first: Some(url_of(first).ok_or("its first page is no URL")?),
            ..Page::default()
        }),
        (items, _) => Ok(Page {
            items: items.unwrap_or_default(),
            next: document.get("next").and_then(url_of),
            ..Page::default()
        }),
    }
}

fn url_of(value: &Value) -> Option<String> {
    let url = match value {
        Value::Map(page) => page.get("id")?.as_str(),
        value => value.as_str(),
    };
    url.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: &Map) -> String {
        match read(document) {
            Ok(Page {
                items, next, first, ..
            }) => format!("{} items, next {next:?}, first {first:?}", items.len()),
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn a_collection_is_read_in_the_forms_there_are() {
        let url = || Value::from("https://b.test/o?page=true");
        let map = |kind: &str, members: Vec<(&'static str, Value)>| {
            let mut map = Map::from([("type", Value::from(kind))]);
            for (member, value) in members {
                map.insert(member, value);
            }
            map
        };
        let page = map(
            "OrderedCollectionPage",
            vec![("orderedItems", vec!["a", "b"].into()), ("next", url())],
        );
        let cases = [
            map("OrderedCollection", vec![("first", url())]),
            map("OrderedCollection", vec![("first", page.clone().into())]),
            map("Collection", vec![("items", Value::from("one"))]),
            map("OrderedCollection", vec![("totalItems", 0.into())]),
            map("OrderedCollection", vec![("first", 1.into())]),
            map("CollectionPage", vec![("first", url())]),
            map("Note", vec![("items", Value::from("one"))]),
            page,
        ];
        let told: Vec<_> = cases.iter().map(told).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}

//! One look at a peer's followers from here: the pages of its part, held against our relations.
//!
//! Invariants: every page lies on the peer's origin and is bounded in bytes, all of them in number, members and time;
//! a part that does not come to its end says nothing, because who is missing in it may stand behind. A page is
//! held against the relations as it comes; of the whole only the numbers of local actors are kept.

use std::time::Duration;

use fedsx_core::address::{Origin, same_origin};
use fedsx_core::entry::ActorNo;
use fedsx_core::follow::{Direction, Phase, Relation};
use fedsx_core::limits::{PARTIAL_FOLLOWERS, PARTIAL_PAGES, PARTIAL_UNKNOWN};
use fedsx_core::refusal::Refusal;
use fedsx_core::state::{Actor, StateError, host};
use fedsx_core::value::{Map, Value};
use fedsx_discovery::document::FetchError;
use fedsx_discovery::nodeinfo;
use fedsx_discovery::pool::Purpose;

use crate::Node;

/// How long one look may take.
const TIME: Duration = Duration::from_secs(300);
/// Differences that one comparison mends; what is beyond them is for the next.
const DIFFERENCES: usize = 1_000;
/// How long what a host says of itself is believed.
const OFFER_MS: i64 = 24 * 3_600_000;

/// In what the two sides differ about a local actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It follows by our word, and not by the peer's.
    Lost,
    /// It asked by ours, and follows by the peer's.
    Unheard,
    /// It follows by the peer's, and never asked or took it back by ours.
    Ghost,
}

/// A difference, with the relation as it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Difference {
    pub(super) actor: ActorNo,
    pub(super) kind: Kind,
    pub(super) relation: Relation,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Followers from here, by the peer.
    pub(super) listed: u64,
    /// Followers from here, by us.
    pub(super) here: u64,
    /// Listed, and nobody here.
    pub(super) unknown: u64,
    pub(super) differences: Vec<Difference>,
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// Nobody said where the part is.
    #[error("its server says nowhere who follows it from here")]
    NotOffered,
    /// A page is not to be had.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// A page is none, or does not lie where it must.
    #[error("what its server answers is no part of its followers: {0}")]
    NoPart(&'static str),
    /// It is beyond a bound.
    #[error("it has more followers from here than are compared")]
    TooMany,
    /// It took too long.
    #[error("its server does not come to an end with them")]
    Slow,
    /// Nobody here can sign.
    #[error("nobody here can ask for them")]
    Nobody,
    /// Refused here.
    #[error("{0}")]
    Refused(Refusal),
    /// The store can't be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A page as it came: its members, and where the next is.
struct Page {
    members: Vec<String>,
    next: Option<String>,
}

impl Node {
    /// Where a peer's followers from here are: as it said, or, where its host offers comparison, where they are on a
    /// host of this kind.
    pub(super) async fn partial_of(&self, peer: &str) -> Option<String> {
        let learned = self.0.comparing.schedule().url_of(peer).map(str::to_owned);
        if learned.is_some() {
            return learned;
        }
        if !self.is_offered(peer).await {
            return None;
        }
        let found = self.0.peers.actor(peer, Purpose::Own).await.ok()?;
        let followers = found.followers.as_deref()?;
        Some(format!("{followers}_synchronization"))
    }

    async fn is_offered(&self, peer: &str) -> bool {
        let host = host(peer);
        let known = self.0.comparing.schedule().offers(&host, self.now_ms());
        if let Some(offers) = known {
            return offers;
        }
        let Some(origin) = Origin::of(peer) else {
            return false;
        };
        let page = self.0.fetcher.capabilities(&origin, Purpose::Own).await;
        let offers = page.is_ok_and(|page| nodeinfo::offers_synchronization(&page));
        let now_ms = self.now_ms();
        let mut schedule = self.0.comparing.schedule();
        schedule.note_offer(&host, offers, now_ms, now_ms + OFFER_MS);
        offers
    }

    /// Looks at all of a peer's followers from here.
    pub(super) async fn look_at(&self, peer: &str, url: &str) -> Result<Look, LookError> {
        self.let_in(peer).map_err(LookError::Refused)?;
        let looked = tokio::time::timeout(TIME, self.walk(peer, url)).await;
        looked.unwrap_or(Err(LookError::Slow))
    }

    async fn walk(&self, peer: &str, url: &str) -> Result<Look, LookError> {
        let asks = self.who_asks(peer)?;
        let mut look = Look::default();
        let mut listed: Vec<ActorNo> = Vec::new();
        let mut next = Some(url.to_owned());
        for _ in 0..PARTIAL_PAGES {
            let Some(url) = next.take() else {
                let (node, peer) = (self.clone(), peer.to_owned());
                return blocking(move || node.against_ours(&peer, listed, look)).await;
            };
            if !same_origin(&url, peer) {
                return Err(LookError::NoPart("a page lies on another origin"));
            }
            let page = self.page(&url, peer, &asks).await?;
            look.listed += page.members.len() as u64;
            look.check()?;
            next = page.next;
            let (node, peer) = (self.clone(), peer.to_owned());
            let held = move || node.against_theirs(&peer, page.members, listed, look);
            (listed, look) = blocking(held).await?;
        }
        Err(LookError::TooMany)
    }

    /// Who asks for a peer's followers from here: one who has to do with it, else anybody here.
    fn who_asks(&self, peer: &str) -> Result<Actor, LookError> {
        let state = self.0.view.state();
        let related = state.locals_related(peer)?.into_iter().map(|(no, _)| no);
        let anybody = (0..state.actor_count()?).map(ActorNo);
        for no in related.chain(anybody) {
            if let Some(actor) = state.actor(no)?.filter(|actor| !actor.is_gone()) {
                return Ok(actor);
            }
        }
        Err(LookError::Nobody)
    }

    async fn page(&self, url: &str, peer: &str, asks: &Actor) -> Result<Page, LookError> {
        let reader = self.signatory(asks).map_err(LookError::Refused)?;
        let page = self.0.fetcher.signed_page(url, reader, Purpose::Own);
        let page = page.await?;
        if !same_origin(&page.final_url, peer) {
            return Err(LookError::NoPart("a page lies on another origin"));
        }
        read(&page.document).map_err(LookError::NoPart)
    }

    /// Holds what the peer lists against our relations.
    fn against_theirs(
        &self,
        peer: &str,
        members: Vec<String>,
        mut listed: Vec<ActorNo>,
        mut look: Look,
    ) -> Result<(Vec<ActorNo>, Look), LookError> {
        let state = self.0.view.state();
        for member in members {
            let local = match self.0.instance.local_name(&member) {
                Some(name) => state.actor_no(name)?,
                None => None,
            };
            let Some(actor) = local else {
                look.unknown += 1;
                continue;
            };
            listed.push(actor);
            let relation = state.relation(actor, Direction::Following, peer)?;
            let kind = match relation.phase {
                Phase::Accepted => continue,
                Phase::Pending | Phase::Refused => Kind::Unheard,
                Phase::None => Kind::Ghost,
            };
            look.note(actor, kind, relation);
        }
        Ok((listed, look))
    }

    /// Holds our relations against all that the peer listed.
    fn against_ours(
        &self,
        peer: &str,
        mut listed: Vec<ActorNo>,
        mut look: Look,
    ) -> Result<Look, LookError> {
        listed.sort_unstable();
        listed.dedup();
        let state = self.0.view.state();
        for (actor, follows) in state.locals_related(peer)? {
            if !follows {
                continue;
            }
            look.here += 1;
            if listed.binary_search(&actor).is_err() {
                let relation = state.relation(actor, Direction::Following, peer)?;
                if relation.phase == Phase::Accepted {
                    look.note(actor, Kind::Lost, relation);
                }
            }
        }
        Ok(look)
    }
}

impl Look {
    /// Whether it is within its bounds so far.
    fn check(&self) -> Result<(), LookError> {
        let is_within =
            self.listed <= PARTIAL_FOLLOWERS as u64 && self.unknown <= PARTIAL_UNKNOWN as u64;
        is_within.then_some(()).ok_or(LookError::TooMany)
    }

    fn note(&mut self, actor: ActorNo, kind: Kind, relation: Relation) {
        let difference = Difference {
            actor,
            kind,
            relation,
        };
        // A peer may list somebody twice.
        if self.differences.len() < DIFFERENCES && !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }
}

/// The members of a collection or page, all strings; or why it is none. A whole that names its first page instead
/// has none itself.
fn read(document: &Map) -> Result<Page, &'static str> {
    let text = |member| document.get(member).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    let is_page = matches!(kind, "CollectionPage" | "OrderedCollectionPage");
    if !is_page && !matches!(kind, "Collection" | "OrderedCollection") {
        return Err("it is no collection");
    }
    let items = document
        .get("orderedItems")
        .or_else(|| document.get("items"));
    match (items, document.get("first")) {
        (Some(Value::List(items)), _) => {
            let members = items.iter().map(|item| item.as_str().map(str::to_owned));
            let members: Option<Vec<String>> = members.collect();
            let members = members.ok_or("a member is no URL")?;
            let total = document.get("totalItems").and_then(Value::as_int);
            let is_whole = total.is_none_or(|total| usize::try_from(total) == Ok(members.len()));
            if !is_page && !is_whole {
                return Err("it lists fewer or more than it counts");
            }
            let next = text("next").map(str::to_owned);
            Ok(Page { members, next })
        }
        (None, Some(Value::Map(first))) if !is_page && !first.contains_key("first") => read(first),
        (None, Some(first)) if !is_page => Ok(Page {
            members: Vec::new(),
            next: Some(first.as_str().ok_or("its first page is no URL")?.to_owned()),
        }),
        _ => Err("it lists nobody, not even none"),
    }
}

/// Reads the store where waiting for the disk holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LookError> + Send + 'static,
) -> Result<T, LookError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(kind: &str, members: impl IntoIterator<Item = (&'static str, Value)>) -> Map {
        let mut map = Map::from([("type", Value::from(kind))]);
        for (member, value) in members {
            map.insert(member, value);
        }
        map
    }

    #[test]
    fn a_look_is_bounded() {
        let look = |listed: usize, unknown: usize| Look {
            listed: listed as u64,
            unknown: unknown as u64,
            ..Look::default()
        };
        assert!(look(PARTIAL_FOLLOWERS, PARTIAL_UNKNOWN).check().is_ok());
        assert!(look(PARTIAL_FOLLOWERS + 1, 0).check().is_err());
        assert!(look(0, PARTIAL_UNKNOWN + 1).check().is_err());
    }

    #[test]
    fn what_is_no_whole_part_says_nothing() {
        let items = || Value::from(vec!["https://a.test/actors/alice"]);
        let none = || Value::from(Vec::<&str>::new());
        let url = || Value::from("https://b.test/f?page=true");
        let cases = [
            collection("OrderedCollection", [("orderedItems", items())]),
            collection("Collection", [("items", items()), ("totalItems", 1.into())]),
            collection("Collection", [("items", items()), ("totalItems", 2.into())]),
            collection("OrderedCollection", [("totalItems", 0.into())]),
            collection("OrderedCollection", [("orderedItems", none())]),
            collection("OrderedCollection", [("first", url())]),
            collection("OrderedCollection", [("first", 1.into())]),
            collection(
                "OrderedCollection",
                [(
                    "first",
                    collection("CollectionPage", [("items", items())]).into(),
                )],
            ),
            collection(
                "OrderedCollectionPage",
                [
                    ("orderedItems", items()),
                    ("next", url()),
                    ("totalItems", 9.into()),
                ],
            ),
            collection("OrderedCollectionPage", [("first", url())]),
            collection("OrderedCollection", [("orderedItems", vec![1, 2].into())]),
            collection("Note", [("orderedItems", items())]),
        ];
        let read = cases.iter().map(|case| match read(case) {
            Ok(Page { members, next }) => {
                format!(
                    "{} members, next {}",
                    members.len(),
                    next.as_deref().unwrap_or("none")
                )
            }
            Err(why) => why.to_owned(),
        });
        insta::assert_snapshot!(read.collect::<Vec<_>>().join("\n"), @r"
        1 members, next none
        1 members, next none
        it lists fewer or more than it counts
        it lists nobody, not even none
        0 members, next none
        0 members, next https://b.test/f?page=true
        its first page is no URL
        1 members, next none
        1 members, next https://b.test/f?page=true
        it lists nobody, not even none
        a member is no URL
        it is no collection
        ");
    }
}

//! `GET /actors/{name}/outbox`: the collection, and its pages; and with a token of the actor its inbox,
//! `GET /actors/{name}/inbox`, in the same form.
//!
//! ActivityPub, section 5.1; design, sections 9.5 and 11. `?page=true` is the newest page and
//! `?page=last` the oldest, `?before=` goes on from a place towards the older, `?since=` from a place
//! towards the newer, oldest first; a place is the CID of an activity or its sequence in the log.
//! `?limit=` is at most 1,000.
//!
//! Invariants: only what who asks may read is in an outbox's page, in the count and among the places (of
//! what is addressed to one reader alone the count knows nothing); an
//! activity keeps its exact members inside a page, so its proof stays checkable; the work for one
//! page is bounded in entries and in bytes, and `next` goes on from where it stopped.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::cid::Cid;
use fedsx_core::entry::LogId;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::limits::WRAPPER_BYTES;
use fedsx_core::reader::Reader;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{List, Map, Value};
use fedsx_node::{Node, Scope};
use fedsx_store::{InLog, SeqRange, Stored};

use crate::actor::{collection, named, whole};
use crate::answer::Outgoing;
use crate::bearer;
use crate::negotiate::{DOCUMENT, answered};
use crate::problem::Problem;
use crate::query::Query;
use crate::reader::{self, reads};
use crate::router::HttpState;

/// Activities in a page, unless asked otherwise.
const LIMIT: usize = 20;
/// Activities in a page at most.
const LIMIT_MAX: usize = 1_000;
/// Entries of a log looked at for one page.
const LOOKED_AT: usize = 4_096;
/// Entries read at once: a document may be as large as a page.
const READ_AT_ONCE: usize = 64;
/// What a page holds beside its activities, bytes at most.
const FRAME_BYTES: usize = 16 << 10;

/// `GET /actors/{name}/outbox`.
pub(crate) async fn outbox(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let media = answered(&parts.headers, DOCUMENT)?;
    let asked = Asked::of(Query::of(&parts.uri))?;
    let reader = reader::of(&state, &parts).await?;
    let read = move |node: &Node| {
        let actor = named(node, &name)?;
        let is_one = reader != Reader::Everybody;
        let of = Log {
            log: LogId::outbox(actor.no),
            reads: match reader {
                Reader::Actor(url) if url == actor.url => Reads::All,
                reader => Reads::As(reader),
            },
        };
        let url = node.instance().outbox_url(&name);
        let document = match asked {
            None => whole_collection(url, total(node, &of)?),
            Some(asked) => {
                // The id of a page is the URL it was asked for by.
                let query = parts.uri.query().unwrap_or_default();
                let id = format!("{url}?{query}");
                page(node, &of, &asked, id, url)?
            }
        };
        let outgoing = match Outgoing::made(document) {
            outgoing if is_one => outgoing.for_one(),
            outgoing => outgoing.by_reader(),
        };
        Ok((outgoing, parts.headers))
    };
    let (outgoing, headers) = state.read(read).await?;
    Ok(outgoing.answer(&headers, media))
}

/// How many activities of an outbox somebody may read, less what is addressed to that one alone.
fn total(node: &Node, of: &Log) -> Result<u64, Problem> {
    let (state, actor) = (node.view().state(), of.log.actor);
    let totals = state.outbox_totals(actor)?;
    match &of.reads {
        Reads::All => Ok(state.log_len(of.log)?),
        Reads::As(Reader::Everybody) => Ok(totals.public),
        Reads::As(Reader::Actor(url)) => {
            let relation = state.relation(actor, Direction::Follower, url)?;
            Ok(match relation.phase {
                Phase::Accepted => totals.public + totals.followers,
                _ => totals.public,
            })
        }
    }
}

/// `GET /actors/{name}/inbox`: everything in it, for the actor alone.
pub(crate) async fn own_inbox(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let actor = bearer::actor(&state, &parts, Scope::Read, Some(&name)).await?;
    let media = answered(&parts.headers, DOCUMENT)?;
    let asked = Asked::of(Query::of(&parts.uri))?;
    let read = move |node: &Node| {
        let url = node.instance().inbox_url(&actor.name);
        let log = LogId::inbox(actor.no);
        let document = match asked {
            None => whole_collection(url, node.view().state().log_len(log)?),
            Some(asked) => {
                let query = parts.uri.query().unwrap_or_default();
                let id = format!("{url}?{query}");
                page(
                    node,
                    &Log {
                        log,
                        reads: Reads::All,
                    },
                    &asked,
                    id,
                    url,
                )?
            }
        };
        Ok((Outgoing::made(document).for_one(), parts.headers))
    };
    let (outgoing, headers) = state.read(read).await?;
    Ok(outgoing.answer(&headers, media))
}

/// What of a log is read.
enum Reads {
    All,
    As(Reader),
}

/// A log, as somebody reads it.
struct Log {
    log: LogId,
    reads: Reads,
}

impl Log {
    fn may_read(&self, node: &Node, stored: &Stored) -> Result<bool, Problem> {
        match &self.reads {
            Reads::All => Ok(true),
            Reads::As(reader) => reads(node, reader, stored),
        }
    }
}

fn whole_collection(url: String, total: u64) -> Map {
    let first = format!("{url}?page=true");
    let last = format!("{url}?page=last");
    let mut outbox = collection(url, "OrderedCollection");
    outbox.insert("totalItems", whole(total));
    outbox.insert("first", first);
    outbox.insert("last", last);
    outbox
}

fn page(node: &Node, of: &Log, asked: &Asked, id: String, url: String) -> Result<Map, Problem> {
    let place = |mark: &Mark| seq_of(node, of, mark);
    let (range, newest_first) = match &asked.part {
        Part::First => (SeqRange::default(), true),
        Part::Last => (SeqRange::default(), false),
        Part::Before(mark) => (
            SeqRange {
                after: None,
                before: Some(place(mark)?),
            },
            true,
        ),
        Part::Since(mark) => (
            SeqRange {
                after: Some(place(mark)?),
                before: None,
            },
            false,
        ),
    };
    let read = |range, limit| Ok(node.view().log(of.log, range, newest_first, limit)?);
    let readable = |entry: &InLog| of.may_read(node, &entry.stored);
    let mut walk = walk(range, newest_first, asked.limit, read, readable)?;
    if asked.part == Part::Last {
        walk.entries.reverse();
        walk.next = None;
    }
    let mut items = List::default();
    for entry in &walk.entries {
        let mut activity = entry.stored.map()?;
        activity.remove("signature");
        items.push(Value::Map(activity));
    }
    let next = walk.next.map(|next| {
        let word = if newest_first { "before" } else { "since" };
        let mark = match (next, walk.entries.last().and_then(cid_of)) {
            (Next::Behind, Some(cid)) => cid.to_string(),
            (Next::Behind, None) => 0.to_string(),
            (Next::At(seq), _) => seq.to_string(),
        };
        format!("{url}?{word}={mark}&limit={}", asked.limit)
    });
    let mut page = collection(id, "OrderedCollectionPage");
    page.insert("partOf", url);
    page.insert("orderedItems", items);
    if let Some(next) = next {
        page.insert("next", next);
    }
    Ok(page)
}

fn cid_of(entry: &InLog) -> Option<Cid> {
    entry
        .stored
        .activity()
        .map(|activity| Cid::of_document(activity.digest))
}

/// The sequence that a place means. A CID that is not in this log, or not for who reads, is none.
fn seq_of(node: &Node, of: &Log, mark: &Mark) -> Result<u64, Problem> {
    let cid = match mark {
        Mark::Seq(seq) => return Ok(*seq),
        Mark::Cid(cid) => cid,
    };
    let unknown = || Problem::new(Code::NotFound, format!("{cid} is not in this log"));
    let stored = node.view().stored(&cid.digest)?.ok_or_else(unknown)?;
    if !of.may_read(node, &stored)? {
        return Err(unknown());
    }
    let digest = stored.activity().ok_or_else(unknown)?.digest;
    node.view().seq_in(&digest, of.log)?.ok_or_else(unknown)
}

/// A place in an outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Seq(u64),
    Cid(Cid),
}

impl Mark {
    fn of(text: &str) -> Result<Self, Refusal> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(seq));
        }
        text.parse().map(Self::Cid).map_err(|error| {
            Refusal::new(
                Code::MalformedCid,
                format!("`before` and `since` take a CID: {error}"),
            )
        })
    }
}

/// Which page is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    First,
    Last,
    Before(Mark),
    Since(Mark),
}

/// A page that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    part: Part,
    limit: usize,
}

impl Asked {
    /// `None` when it is the collection that is asked for.
    fn of(query: Query<'_>) -> Result<Option<Self>, Refusal> {
        let limit = match query.value("limit")? {
            None => LIMIT,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if limit > 0 => limit.min(LIMIT_MAX),
                _ => {
                    let detail = format!("`limit` takes a number from 1 to {LIMIT_MAX}");
                    return Err(Refusal::new(Code::Malformed, detail));
                }
            },
        };
        let (page, before) = (query.value("page")?, query.value("before")?);
        let part = match (before, query.value("since")?) {
            (Some(_), Some(_)) => {
                let detail = "`before` and `since` exclude each other";
                return Err(Refusal::new(Code::Malformed, detail));
            }
            (Some(before), None) => Part::Before(Mark::of(&before)?),
            (None, Some(since)) => Part::Since(Mark::of(&since)?),
            (None, None) => match page.as_deref() {
                None => return Ok(None),
                Some("last") => Part::Last,
                Some(_) => Part::First,
            },
        };
        Ok(Some(Self { part, limit }))
    }
}

/// How to go on behind a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// Behind its last entry.
    Behind,
    /// Behind this place: what was looked at last is not for who reads.
    At(u64),
}

/// What a walk along a log found.
#[derive(Debug)]
struct Walk<T> {
    entries: Vec<T>,
    next: Option<Next>,
}

/// What a walk has to know of an entry.
trait Entry {
    fn seq(&self) -> u64;
    fn bytes(&self) -> usize;
}

impl Entry for InLog {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.stored.document.len()
    }
}

/// Walks along a log until `limit` readable entries are found, or the bounds of a page are met.
fn walk<T: Entry, E>(
    mut range: SeqRange,
    newest_first: bool,
    limit: usize,
    mut read: impl FnMut(SeqRange, usize) -> Result<Vec<T>, E>,
    readable: impl Fn(&T) -> Result<bool, E>,
) -> Result<Walk<T>, E> {
    let mut found = Walk {
        entries: Vec::new(),
        next: None,
    };
    let (mut bytes, mut looked_at) = (0, 0);
    // One more than needed tells whether there is a next page.
    let chunk = (limit + 1).min(READ_AT_ONCE);
    loop {
        let entries = read(range, chunk)?;
        let is_end = entries.len() < chunk;
        for entry in entries {
            looked_at += 1;
            let seq = entry.seq();
            if readable(&entry)? {
                bytes += entry.bytes();
                let full = bytes > WRAPPER_BYTES - FRAME_BYTES && !found.entries.is_empty();
                if full || found.entries.len() == limit {
                    found.next = Some(Next::Behind);
                    return Ok(found);
                }
                found.entries.push(entry);
            }
            if newest_first {
                range.before = Some(seq);
            } else {
                range.after = Some(seq);
            }
            if looked_at == LOOKED_AT {
                found.next = Some(Next::At(seq));
                return Ok(found);
            }
        }
        if is_end {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Uri;

    use super::*;

    #[derive(Clone, PartialEq, Debug)]
    struct Row {
        seq: u64,
        public: bool,
        bytes: usize,
    }

    impl Entry for Row {
        fn seq(&self) -> u64 {
            self.seq
        }
        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    /// The sequences of a page, and how it goes on.
    fn pages(
        log: &[Row],
        range: SeqRange,
        newest_first: bool,
        limit: usize,
    ) -> (Vec<u64>, Option<Next>) {
        let read = |range: SeqRange, limit| {
            let index = |seq: u64| usize::try_from(seq).expect("a short log");
            let from = range.after.map_or(0, index);
            let to = range.before.map_or(log.len(), |before| index(before) - 1);
            let rows = log[from.min(to)..to].iter().cloned();
            Ok::<Vec<Row>, Infallible>(if newest_first {
                rows.rev().take(limit).collect()
            } else {
                rows.take(limit).collect()
            })
        };
        let readable = |row: &Row| Ok(row.public);
        let walk =
            walk(range, newest_first, limit, read, readable).unwrap_or_else(|never| match never {});
        (walk.entries.iter().map(|row| row.seq).collect(), walk.next)
    }

    fn log(public: impl Fn(u64) -> bool, last: u64) -> Vec<Row> {
        (1..=last)
            .map(|seq| Row {
                seq,
                public: public(seq),
                bytes: 1_000,
            })
            .collect()
    }

    #[test]
    fn a_walk_finds_what_is_public() {
        let even = log(|seq| seq % 2 == 0, 10);
        let all = SeqRange::default();
        assert_eq!(
            pages(&even, all, true, 3),
            (vec![10, 8, 6], Some(Next::Behind))
        );
        assert_eq!(
            pages(&even, all, false, 3),
            (vec![2, 4, 6], Some(Next::Behind))
        );
        assert_eq!(pages(&even, all, true, 5), (vec![10, 8, 6, 4, 2], None));
        let before = SeqRange {
            before: Some(6),
            after: None,
        };
        assert_eq!(pages(&even, before, true, 3), (vec![4, 2], None));
        let since = SeqRange {
            before: None,
            after: Some(6),
        };
        assert_eq!(pages(&even, since, false, 3), (vec![8, 10], None));
        assert_eq!(pages(&[], all, true, 3), (vec![], None));
    }

    #[test]
    fn a_walk_is_bounded_and_goes_on_where_it_stopped() {
        let last = 2 * LOOKED_AT as u64 + 1;
        let rare = log(|seq| seq == 1 || seq == last, last);
        let (found, next) = pages(&rare, SeqRange::default(), true, 2);
        assert_eq!(found, [last]);
        let Some(Next::At(seq)) = next else {
            panic!("the walk ends at {next:?}");
        };
        let behind = SeqRange {
            before: Some(seq),
            after: None,
        };
        let (found, next) = pages(&rare, behind, true, 2);
        assert_eq!((found, next), (vec![], Some(Next::At(2))));
        let behind = SeqRange {
            before: Some(2),
            after: None,
        };
        assert_eq!(pages(&rare, behind, true, 2), (vec![1], None));
    }

    #[test]
    fn a_page_is_bounded_in_bytes() {
        let mut heavy = log(|_| true, 10);
        for row in &mut heavy {
            row.bytes = 1 << 20;
        }
        let (found, next) = pages(&heavy, SeqRange::default(), false, 20);
        assert_eq!((found, next), (vec![1, 2, 3], Some(Next::Behind)));
        heavy[0].bytes = WRAPPER_BYTES;
        let (found, _) = pages(&heavy, SeqRange::default(), false, 20);
        assert_eq!(found, [1], "what is alone too large is served alone");
    }

    #[test]
    fn a_query_names_the_page() {
        let asked = |text: &str| {
            let uri: Uri = format!("/x{text}").parse().expect("a target");
            Asked::of(Query::of(&uri)).map_err(|refusal| refusal.code)
        };
        let page = |part, limit| Ok(Some(Asked { part, limit }));
        let cid = Cid::of_raw(b"x");
        assert_eq!(asked(""), Ok(None));
        assert_eq!(asked("?limit=5"), Ok(None));
        assert_eq!(asked("?page=true"), page(Part::First, 20));
        assert_eq!(asked("?page&limit=10000"), page(Part::First, 1_000));
        assert_eq!(asked("?page=last&limit=1"), page(Part::Last, 1));
        assert_eq!(asked("?before=7"), page(Part::Before(Mark::Seq(7)), 20));
        assert_eq!(
            asked(&format!("?page=true&since={cid}")),
            page(Part::Since(Mark::Cid(cid)), 20)
        );
        assert_eq!(asked("?since=1&before=2"), Err(Code::Malformed));
        assert_eq!(asked("?page&limit=0"), Err(Code::Malformed));
        assert_eq!(asked("?page&limit=-1"), Err(Code::Malformed));
        assert_eq!(asked("?since=nonsense"), Err(Code::MalformedCid));
    }
}

//! The timeline of an actor: what it wrote and received, newest first, as the projection `timeline` of
//! genesis keeps it; what that no longer keeps, from the actor's logs.
//!
//! Invariant: the token names the last record that was read out, and the place reached in each log behind
//! the projection, so that pages neither repeat nor miss an entry while both grow. What is left out of a
//! timeline, and by what it is sorted, is said by the projection's code alone, which is asked about the
//! entries of the logs too. Deliberately absent: what the kernel itself acts on (actors, follows, blocks).

use std::collections::VecDeque;

use fedsx_core::cid::Cid;
use fedsx_core::entry::{Effect, LogId, Side};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_node::Node;
use fedsx_store::{InLog, SeqRange, View};

use crate::actors::named;
use crate::page::{Room, bad_token, limit};
use crate::proto::{TimelineRequest, TimelineResponse};
use crate::refused::internal;
use crate::to_proto::Entries;

/// The projection.
const NAME: &str = "timeline";
/// Entries read from a log at once.
const CHUNK: usize = 128;
/// Entries looked at for one page; after so many of follows alone, the page ends early.
const SCAN: usize = 4_096;
/// The longest token, bytes.
const TOKEN_BYTES: usize = 512;

/// What a record of the projection is sorted by, descending: `at` and the CID.
type Key = (String, String);

/// How far the pages before have come.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Reached {
    /// The last record read out; none before the first.
    last: Option<Key>,
    /// Once all that the projection keeps is read out: the places in outbox and inbox, none where a log
    /// has not been read yet.
    logs: Option<[Option<u64>; 2]>,
}

/// One log, read backwards.
struct Backwards<'a> {
    view: &'a View,
    log: LogId,
    /// Everything from here on has been read out; `Some(1)` and less is the end.
    before: Option<u64>,
    rows: VecDeque<InLog>,
}

impl Backwards<'_> {
    fn is_at_end(&self) -> bool {
        self.before.is_some_and(|before| before <= 1)
    }

    /// The offset of the next entry.
    fn peek(&mut self) -> Result<Option<u64>, Refusal> {
        if self.rows.is_empty() && !self.is_at_end() {
            let range = SeqRange {
                after: None,
                before: self.before,
            };
            let rows = self
                .view
                .log(self.log, range, true, CHUNK)
                .map_err(internal)?;
            self.rows = rows.into();
            if self.rows.is_empty() {
                self.before = Some(1);
            }
        }
        Ok(self.rows.front().map(|row| row.stored.header.offset))
    }

    fn pop(&mut self) -> Option<InLog> {
        let row = self.rows.pop_front()?;
        self.before = Some(row.seq);
        Some(row)
    }
}

/// Waits until the projection is as far as the journal is now; how many entries it is behind all the
/// same. Pages behind the first need not wait.
pub(crate) async fn wait(node: &Node, asked: &TimelineRequest) -> Result<u64, Refusal> {
    if !asked.page_token.is_empty() {
        return Ok(0);
    }
    let applied = node.view().applied();
    node.folds().wait(NAME, applied).await?;
    let folded = node.folds().overview(NAME)?.offset;
    Ok(applied.saturating_sub(folded))
}

/// One page.
pub(crate) fn page(node: &Node, asked: &TimelineRequest) -> Result<TimelineResponse, Refusal> {
    let mut page = Page {
        node,
        actor: named(node, &asked.actor)?,
        names: Entries::new(node.view()),
        room: Room::new(limit(asked.limit)),
        answer: TimelineResponse::default(),
    };
    let mut reached = Reached::of(&asked.page_token)?;
    if reached.logs.is_none() {
        page.kept(&mut reached)?;
    }
    if let Some(places) = reached.logs {
        reached.logs = page.logged(places, reached.last.as_ref())?;
        if reached.logs.is_none() {
            return Ok(page.answer);
        }
    }
    page.answer.next_page_token = reached.token();
    Ok(page.answer)
}

/// A page that is being filled.
struct Page<'a> {
    node: &'a Node,
    actor: Actor,
    names: Entries<'a>,
    room: Room,
    answer: TimelineResponse,
}

impl Page<'_> {
    /// Reads out what the projection keeps, and then leaves for the logs.
    fn kept(&mut self, reached: &mut Reached) -> Result<(), Refusal> {
        let state = self.node.folds().state(NAME, Some(&self.actor.url))?.state;
        let keys: Option<Vec<Key>> = records(&state).map(key_of).collect();
        let Some(keys) = keys.filter(|_| state.as_map().is_some()) else {
            let why = "the projection `timeline`, as it is defined here, keeps no records with `at` and `cid`; \
                       `fedsx inbox` and `fedsx outbox` read the logs";
            return Err(Refusal::new(Code::Conflict, why));
        };
        for key in keys.into_iter().rev() {
            if reached.last.as_ref().is_some_and(|last| key >= *last) {
                continue;
            }
            if !self.room.is_left() {
                return Ok(());
            }
            self.record(&key.1)?;
            reached.last = Some(key);
        }
        reached.logs = Some([None, None]);
        Ok(())
    }

    /// One record: nothing where what it names is gone since, or is the kernel's own.
    fn record(&mut self, cid: &str) -> Result<(), Refusal> {
        let view = self.node.view();
        let cid: Cid = cid.parse().map_err(internal)?;
        let Some(stored) = view.stored(&cid.digest).map_err(internal)? else {
            return Ok(());
        };
        let no = self.actor.no;
        for log in [LogId::outbox(no), LogId::inbox(no)] {
            if let Some(seq) = view.seq_in(&cid.digest, log).map_err(internal)? {
                return self.entry(&InLog { seq, stored });
            }
        }
        Ok(())
    }

    fn entry(&mut self, row: &InLog) -> Result<(), Refusal> {
        let activity = row.stored.activity().filter(|_| !row.stored.erased);
        let is_kernels =
            |effect: &Option<Effect>| !matches!(effect, None | Some(Effect::Announced { .. }));
        if activity.is_none_or(|activity| is_kernels(&activity.effect)) {
            return Ok(());
        }
        if let Some(entry) = self.names.entry(&row.stored, Some(row.seq))? {
            self.room.take(entry.document_json.len());
            self.answer.entries.push(entry);
        }
        Ok(())
    }

    /// Reads the logs on, without what was read out of the projection; the places reached, none at the
    /// end of both.
    fn logged(
        &mut self,
        [outbox, inbox]: [Option<u64>; 2],
        last: Option<&Key>,
    ) -> Result<Option<[Option<u64>; 2]>, Refusal> {
        let (no, view) = (self.actor.no, self.node.view());
        let backwards = |side, before| Backwards {
            view,
            log: LogId { actor: no, side },
            before,
            rows: VecDeque::new(),
        };
        let mut outbox = backwards(Side::Outbox, outbox);
        let mut inbox = backwards(Side::Inbox, inbox);
        for _ in 0..SCAN {
            if !self.room.is_left() {
                break;
            }
            let newer = match (outbox.peek()?, inbox.peek()?) {
                (None, None) => break,
                (ours, theirs) if ours >= theirs => &mut outbox,
                _ => &mut inbox,
            };
            let Some(row) = newer.pop() else { break };
            if self.is_older(&row, last)? {
                self.entry(&row)?;
            }
        }
        // Looked at once more, so that the last page says it is.
        let more = outbox.peek()?.is_some() || inbox.peek()?.is_some();
        Ok(more.then_some([outbox.before, inbox.before]))
    }

    /// Whether an entry belongs into the timeline, behind what was read out of the projection.
    fn is_older(&self, row: &InLog, last: Option<&Key>) -> Result<bool, Refusal> {
        let folds = self.node.folds();
        let alone = folds.alone(NAME, &self.actor.url, &row.stored)?;
        let key = alone
            .as_ref()
            .and_then(|alone| key_of(records(alone).next()?));
        Ok(key.is_some_and(|key| last.is_none_or(|last| key < *last)))
    }
}

/// The records of a state, oldest first.
fn records(state: &Value) -> impl Iterator<Item = &Value> {
    let records = state.as_map().into_iter().flat_map(Map::iter);
    records.map(|(_, record)| record)
}

fn key_of(record: &Value) -> Option<Key> {
    let text = |member| Some(record.get(member)?.as_str()?.to_owned());
    Some((text("at")?, text("cid")?))
}

impl Reached {
    /// `AT|CID`, and once all that the projection keeps is read out `|OUTBOX|INBOX`.
    fn token(&self) -> String {
        let one = |place: Option<u64>| place.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let (at, cid) = self.last.as_ref().map_or(("", ""), |(at, cid)| (at, cid));
        match self.logs {
            None => format!("{at}|{cid}"),
            Some([outbox, inbox]) => format!("{at}|{cid}|{}|{}", one(outbox), one(inbox)),
        }
    }

    fn of(token: &str) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES {
            return Err(bad_token());
        }
        let place = |text: &str| match text {
            "-" => Ok(None),
            text => text.parse().map(Some).map_err(|_| bad_token()),
        };
        let parts: Vec<&str> = token.split('|').collect();
        let (at, cid, logs) = match *parts {
            [""] => return Ok(Self::default()),
            [at, cid] => (at, cid, None),
            [at, cid, outbox, inbox] => (at, cid, Some([place(outbox)?, place(inbox)?])),
            _ => return Err(bad_token()),
        };
        let last = (!cid.is_empty()).then(|| (at.to_owned(), cid.to_owned()));
        Ok(Self { last, logs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_what_was_reached() {
        let last = Some(("2026-01-01T00:00:01".to_owned(), "baga".to_owned()));
        for reached in [
            (last.clone(), None),
            (last.clone(), Some([None, Some(7)])),
            (last, Some([Some(u64::MAX), Some(0)])),
            (None, Some([None, None])),
        ] {
            let (last, logs) = reached;
            let reached = Reached { last, logs };
            assert_eq!(Reached::of(&reached.token()), Ok(reached));
        }
        assert_eq!(Reached::of(""), Ok(Reached::default()), "the first page");
        for wrong in ["7", "a|b|c", "a|b|7|x", "a|b|1|2|3", &"x|".repeat(400)] {
            assert!(Reached::of(wrong).is_err(), "{wrong}");
        }
    }
}

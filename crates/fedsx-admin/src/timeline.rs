//! The timeline of an actor: both its logs merged, newest first, without what the kernel itself acts
//! on (actors, follows, blocks).
//!
//! Read from the logs until a projection does it. Invariant: the token names the place reached in
//! each log, so that pages neither repeat nor miss an entry while the logs grow.

use std::collections::VecDeque;

use fedsx_core::entry::LogId;
use fedsx_core::refusal::Refusal;
use fedsx_node::Node;
use fedsx_store::{InLog, SeqRange, View};

use crate::actors::named;
use crate::page::{Room, bad_token, limit};
use crate::proto::{TimelineRequest, TimelineResponse};
use crate::refused::internal;
use crate::to_proto::Entries;

/// Entries read from a log at once.
const CHUNK: usize = 128;
/// Entries looked at for one page; after so many of follows alone, the page ends early.
const SCAN: usize = 4_096;

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

/// One page.
pub(crate) fn page(node: &Node, asked: &TimelineRequest) -> Result<TimelineResponse, Refusal> {
    let view = node.view();
    let actor = named(node, &asked.actor)?;
    let (outbox, inbox) = places(&asked.page_token)?;
    let backwards = |log, before| Backwards {
        view,
        log,
        before,
        rows: VecDeque::new(),
    };
    let mut outbox = backwards(LogId::outbox(actor.no), outbox);
    let mut inbox = backwards(LogId::inbox(actor.no), inbox);
    let mut names = Entries::new(view);
    let mut room = Room::new(limit(asked.limit));
    let mut entries = Vec::new();
    for _ in 0..SCAN {
        if !room.is_left() {
            break;
        }
        let newer = match (outbox.peek()?, inbox.peek()?) {
            (None, None) => break,
            (ours, theirs) if ours >= theirs => &mut outbox,
            _ => &mut inbox,
        };
        let Some(row) = newer.pop() else { break };
        if row
            .stored
            .activity()
            .is_none_or(|activity| activity.effect.is_some())
        {
            continue;
        }
        if let Some(entry) = names.entry(&row.stored, Some(row.seq))? {
            room.take(entry.document_json.len());
            entries.push(entry);
        }
    }
    // Looked at once more, so that the last page says it is.
    let more = outbox.peek()?.is_some() || inbox.peek()?.is_some();
    let next_page_token = if more {
        token(outbox.before, inbox.before)
    } else {
        String::new()
    };
    Ok(TimelineResponse {
        entries,
        next_page_token,
    })
}

/// The places reached in outbox and inbox; `-` where a log has not been read yet.
fn token(outbox: Option<u64>, inbox: Option<u64>) -> String {
    let one = |place: Option<u64>| place.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    format!("{}.{}", one(outbox), one(inbox))
}

fn places(token: &str) -> Result<(Option<u64>, Option<u64>), Refusal> {
    let one = |text: &str| match text {
        "-" => Ok(None),
        text => text.parse().map(Some).map_err(|_| bad_token()),
    };
    match token {
        "" => Ok((None, None)),
        token => {
            let (outbox, inbox) = token.split_once('.').ok_or_else(bad_token)?;
            Ok((one(outbox)?, one(inbox)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_both_places() {
        for both in [
            (None, None),
            (Some(7), None),
            (None, Some(1)),
            (Some(u64::MAX), Some(0)),
        ] {
            assert_eq!(places(&token(both.0, both.1)).expect("its own token"), both);
        }
        assert_eq!(places("").expect("the first page"), (None, None));
        assert!(places("7").is_err() && places("7.x").is_err());
    }
}

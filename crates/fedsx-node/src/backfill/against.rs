//! What was met of an outbox, held against the log of its actor, leaf by leaf.
//!
//! Named is a leaf that the log has in the part that was asked for, and that the outbox left out. What was erased keeps
//! its leaf: who has that many Tombstones there is believed, who has fewer is asked for each of them by its CID. Where
//! neither tells that a leaf is of the past, what it is says so. Invariant: the log is read when the walk has ended, further
//! back a few times at most until it shows where the walk began, in files that are bounded, and no more of it than a
//! walk has. Deliberately absent: a judgement of logs that can't be
//! read or don't hold together: that is told with the end.

use std::time::Duration;

use fedsx_core::actor::PeerActor;
use fedsx_core::address::Origin;
use fedsx_core::backfill::Wrong;
use fedsx_core::cid::Cid;
use fedsx_core::entry::LogId;
use fedsx_core::envelope::Document;
use fedsx_core::limits;
use fedsx_core::refusal::Code;
use fedsx_core::time::parse_rfc3339_ms;
use fedsx_core::transparency::Leaves;
use fedsx_core::value::Value;
use fedsx_discovery::document::FetchError;
use fedsx_discovery::pool::Purpose;

use super::TRIES;
use super::record::{Gaps, Record};
use super::walk::{Halt, Walk};
use crate::witness::{Head, LogError, Outcome};
use crate::{Node, fault};

/// Leaves that are read beyond what was met, at first.
const BEYOND: u64 = 1_024;
/// How often further leaves are read for where the walk began, each time eight times as many.
const READ: u32 = 3;
/// Activities that are asked for by their CIDs.
const ASKED: u32 = 64;
/// How long reading a log may take.
const TIME: Duration = Duration::from_secs(600);

/// What is found under the CID of a leaf.
enum Under {
    /// It was erased.
    Gone,
    /// It is there, published then, Unix milliseconds.
    There(i64),
    /// Nothing.
    Nothing,
    /// Nobody knows.
    Unknown,
}

impl Walk<'_> {
    /// How many leaves the log has before anything is met.
    pub(super) async fn log_size(&self, owner: &PeerActor) -> Option<u64> {
        owner.log.as_ref()?;
        let head = self.node.log_head(self.peer).await;
        head.ok().map(|head| head.checkpoint.size)
    }

    /// Names what the log has and the outbox left out; how many.
    pub(super) async fn against_log(&mut self, owner: &PeerActor) -> Result<u64, Halt> {
        if owner.log.is_none() {
            return Ok(self.no_log());
        }
        let read = tokio::time::timeout(TIME, self.read_log()).await;
        let (head, outcome, leaves) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return self.unread(error).map(|()| 0),
            Err(_) => {
                self.unchecked = Some("its log takes too long to read".to_owned());
                return Ok(0);
            }
        };
        if outcome == Outcome::Forked {
            self.found(Wrong::Forked, head.log.checkpoint_url());
        }
        let record = std::mem::take(&mut self.record);
        let is_part = record.is_part;
        let tip = self.answer.as_ref().and_then(|answer| answer.tip);
        let gaps = tokio::task::spawn_blocking(move || record.gaps(&leaves, tip)).await;
        let gaps = gaps.map_err(|error| fault::internal("reading a log broke", &error))?;
        self.name(gaps, is_part).await
    }

    /// A log that the followed said it has, and has no more.
    fn no_log(&mut self) -> u64 {
        let checkpoint = self.answer.as_ref().and_then(|it| it.checkpoint.clone());
        if let Some(checkpoint) = checkpoint {
            self.found(Wrong::Withheld, checkpoint);
        }
        0
    }

    async fn read_log(&self) -> Result<(Head, Outcome, Leaves), LogError> {
        let (head, seen) = self.node.look_at_log(self.peer).await?;
        let leaves = self.node.leaves_of(&head, &self.record).await?;
        Ok((head, seen.outcome, leaves))
    }

    /// What it means that the log can't be read.
    fn unread(&mut self, error: LogError) -> Result<(), Halt> {
        let why = error.to_string();
        let mut after_s = None;
        let is_passing = match error {
            LogError::State(error) => return Err(fault::state(error).into()),
            LogError::Refused(refusal) if refusal.code == Code::Internal => {
                return Err(refusal.into());
            }
            LogError::Fetch(error) => {
                if let FetchError::Status { retry_after_s, .. } = &error {
                    after_s = *retry_after_s;
                }
                error.is_passing()
            }
            LogError::Actor(_) => true,
            _ => false,
        };
        if is_passing && self.progress.failures < TRIES {
            return Err(Halt::Retry { why, after_s });
        }
        tracing::warn!(peer = self.peer, why, "a history is held against no log");
        self.unchecked = Some(format!("it is held against no log: {why}"));
        Ok(())
    }

    async fn name(&mut self, gaps: Gaps, is_part: bool) -> Result<u64, Halt> {
        let (mut named, mut asked) = (0, 0);
        for gap in gaps.between {
            let missing = self.not_here(gap.missing, is_part)?;
            let mut others = gap.others;
            if missing.len() as u64 <= others {
                continue;
            }
            for leaf in missing {
                let under = match others {
                    0 => Under::Nothing,
                    _ => self.under(&leaf, &mut asked).await,
                };
                match under {
                    Under::Gone => others -= 1,
                    Under::Unknown => {}
                    Under::There(_) | Under::Nothing => {
                        self.found(Wrong::Withheld, leaf.to_string());
                        named += 1;
                    }
                }
            }
        }
        for leaf in self.not_here(gaps.behind, is_part)? {
            match self.under(&leaf, &mut asked).await {
                Under::There(at_ms) if at_ms >= self.due.until_ms => break,
                Under::There(_) | Under::Nothing => {
                    self.found(Wrong::Withheld, leaf.to_string());
                    named += 1;
                }
                Under::Gone | Under::Unknown => {}
            }
        }
        Ok(named)
    }

    /// Without what was met before a restart, and entered.
    fn not_here(&self, missing: Vec<Cid>, is_part: bool) -> Result<Vec<Cid>, Halt> {
        if !is_part {
            return Ok(missing);
        }
        let (view, log) = (&self.node.0.view, LogId::inbox(self.actor.no));
        let mut rest = Vec::new();
        for leaf in missing {
            let seq = view.seq_in(&leaf.digest, log).map_err(fault::read)?;
            if seq.is_none() {
                rest.push(leaf);
            }
        }
        Ok(rest)
    }

    /// Asks the source for what its log has.
    async fn under(&self, leaf: &Cid, asked: &mut u32) -> Under {
        *asked += 1;
        let Some(origin) = Origin::of(self.peer).filter(|_| *asked <= ASKED) else {
            return Under::Unknown;
        };
        let url = origin.artifact_url(leaf);
        let fetcher = &self.node.0.fetcher;
        let fetched = fetcher.artifact(&url, Purpose::Own, limits::DOCUMENT_IN_BYTES);
        let fetched = match fetched.await {
            Ok(fetched) => fetched,
            Err(FetchError::Gone { .. }) => return Under::Gone,
            Err(FetchError::NotFound) => return Under::Nothing,
            Err(_) => return Under::Unknown,
        };
        let read = Document::read(fetched.notation, fetched.bytes, limits::DOCUMENT_IN_BYTES);
        let Some(document) = read.ok().filter(|read| read.digest == leaf.digest) else {
            return Under::Nothing;
        };
        let published = document.map.get("published").and_then(Value::as_str);
        let published_ms = published.and_then(parse_rfc3339_ms);
        published_ms.map_or(Under::Unknown, Under::There)
    }
}

impl Node {
    /// The last leaves of a log, back to where what was met begins, as far as that is found.
    async fn leaves_of(&self, head: &Head, record: &Record) -> Result<Leaves, LogError> {
        let (log, checkpoint) = (&head.log, &head.checkpoint);
        let most = limits::BACKFILL_ACTIVITIES;
        let mut count = match record.is_whole() {
            true => most,
            false => (record.len() as u64 + BEYOND).min(most),
        };
        let mut leaves = self.log_leaves(log, checkpoint, count).await?;
        for _ in 0..READ {
            if record.is_in(&leaves) || count == most {
                break;
            }
            count = (count * 8).min(most);
            leaves = self.log_leaves(log, checkpoint, count).await?;
        }
        Ok(leaves)
    }
}

//! The walk along somebody else's outbox, page by page.
//!
//! An instance of this kind is walked from the oldest that is asked for to the newest, so that its history is entered
//! in its order; where that begins is found from the newest backwards first. Any other server is walked as its pages
//! go, from the newest on, a stretch at a time, each entered oldest first: its pages may move under the walk, and what
//! moves backwards is only met twice. The place is kept when what stands before it is durable, and the next page is
//! asked for while one is entered.

use std::time::Duration;

use fedsx_core::address::same_origin;
use fedsx_core::backfill::{Answer, Backfill, Due, Ended, Finding, Mode, Outcome, Wrong};
use fedsx_core::cid::cid;
use fedsx_core::entry::Control;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::limits;
use fedsx_core::refusal::Refusal;
use fedsx_core::state::Actor;
use fedsx_core::time::parse_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::actor_cache::PeerError;
use fedsx_discovery::pool::Purpose;
use fedsx_store::backfill::Progress;
use tokio::time::Instant;

use super::enter::{Fate, Met, Reading};
use super::record::Record;
use super::source::{Asking, Page};
use crate::{Node, fault};

/// Activities asked for in one page.
const PAGE: u32 = 1_000;
/// What is held of a server of another kind before it is entered, bytes.
const STRETCH_BYTES: u64 = 8 << 20;
/// How long a turn lasts before others come.
const TURN: Duration = Duration::from_secs(600);

/// Why a walk goes no further.
#[derive(Debug)]
pub(super) enum Halt {
    /// A fault of our own.
    Fault(Refusal),
    /// There is no follow any more.
    Unfollowed,
    /// It came to a bound.
    Bounded(&'static str),
    /// It won't get better.
    Failed(String),
    /// What was asked for is not there.
    NotThere,
    /// It has had its time; it goes on later.
    Rest,
    /// It may get better.
    Retry {
        /// Why.
        why: String,
        /// When, by the source.
        after_s: Option<u32>,
    },
}

impl Halt {
    pub(super) fn failed(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Fault(refusal)
    }
}

/// One backfill, under way.
pub(super) struct Walk<'a> {
    pub(super) node: &'a Node,
    pub(super) actor: Actor,
    pub(super) peer: &'a str,
    pub(super) backfill: Backfill,
    pub(super) due: Due,
    /// What the followed answered.
    pub(super) answer: Option<Answer>,
    pub(super) progress: Progress,
    /// What was met of an instance of this kind.
    pub(super) record: Record,
    /// Why it could not be held against the source's log.
    pub(super) unchecked: Option<String>,
}

impl Walk<'_> {
    /// Walks from where it was to the end.
    pub(super) async fn walk(&mut self) -> Result<Outcome, Halt> {
        self.may_go_on()?;
        let owner = self.node.0.peers.refetch(self.peer, Purpose::Own).await;
        let owner = owner.map_err(|error| match error {
            PeerError::Unreachable { retry_after_s, .. } => Halt::Retry {
                why: error.to_string(),
                after_s: Some(retry_after_s),
            },
            error => Halt::Failed(error.to_string()),
        })?;
        if owner.id != self.peer {
            return Err(Halt::failed("the actor goes by another URL"));
        }
        self.node.pin(self.peer).await?;
        let said = self.answer.as_ref().map(|answer| &answer.outbox);
        let outbox = said.or(owner.outbox.as_ref()).cloned();
        let Some(outbox) = outbox.filter(|url| same_origin(url, self.peer)) else {
            return Err(Halt::failed("the actor has no outbox on its origin"));
        };
        let asking = Asking {
            node: self.node,
            reader: self.node.signatory(&self.actor)?,
            peer: self.peer,
        };
        let reading = Reading {
            reader: self.actor.no,
            name: self.actor.name.clone(),
            owner,
            until_ms: self.due.until_ms,
        };
        let until = Instant::now() + TURN;
        if self.answer.is_some() || asking.is_of_this_kind().await? {
            if !self.record.is_walked {
                self.along(&asking, &reading, &outbox, until).await?;
                self.record.is_walked = true;
            }
            self.check(&reading.owner).await?;
        } else {
            self.back(&asking, &reading, &outbox, until).await?;
        }
        Ok(match self.progress.found.is_empty() {
            true => Outcome::Complete,
            false => Outcome::Disputed,
        })
    }

    /// From the oldest on: the pages of an instance of this kind.
    async fn along(
        &mut self,
        asking: &Asking<'_>,
        reading: &Reading,
        outbox: &str,
        until: Instant,
    ) -> Result<(), Halt> {
        let mut url = match &self.progress.next {
            Some(next) => next.clone(),
            None => {
                let size = self.log_size(&reading.owner).await;
                let mark = self.beginning(asking, outbox).await?;
                self.record = Record::behind(&mark, size);
                format!("{outbox}?since={mark}&limit={PAGE}")
            }
        };
        let mut page = self.first_page(asking, &url).await?;
        loop {
            self.within_bounds(until)?;
            self.count(&page);
            let is_last = page.items.last().is_some_and(|last| self.is_later(last));
            let next = page.next.take().filter(|_| !is_last);
            if next.as_ref() == Some(&url) {
                return Err(Halt::failed("its pages lead back to themselves"));
            }
            let items = page.items.drain(..).filter_map(whole).collect();
            let fetching = async {
                match &next {
                    Some(next) => Some(asking.page(next).await),
                    None => None,
                }
            };
            let (met, fetched) = tokio::join!(self.node.enter(reading, items), fetching);
            let is_end = self.take(met?, true) || next.is_none();
            if let Some(next) = next {
                url.clone_from(&next);
                self.progress.next = Some(next);
            }
            self.save().await?;
            self.may_go_on()?;
            page = match fetched {
                Some(fetched) if !is_end => fetched.map_err(|halt| self.lost(halt))?,
                _ => return Ok(()),
            };
        }
    }

    /// The first page of this turn.
    async fn first_page(&mut self, asking: &Asking<'_>, url: &str) -> Result<Page, Halt> {
        match (asking.page(url).await, &self.progress.next) {
            (Err(Halt::NotThere), None) => Err(Halt::failed(match &self.backfill.mode {
                Mode::Since { .. } => "what it is to begin after is not in its outbox",
                _ => "its outbox is not there",
            })),
            (page, _) => page.map_err(|halt| self.lost(halt)),
        }
    }

    /// A place that the source named and does not know: who goes on begins again.
    fn lost(&mut self, halt: Halt) -> Halt {
        if let Halt::NotThere = halt {
            self.progress.next = None;
        }
        halt
    }

    /// The place behind which what is asked for begins.
    async fn beginning(&mut self, asking: &Asking<'_>, outbox: &str) -> Result<String, Halt> {
        let (count, from_ms) = match &self.backfill.mode {
            Mode::Full => return Ok("0".to_owned()),
            Mode::Since { digest } => {
                return Ok(fedsx_core::cid::Cid::of_document(*digest).to_string());
            }
            Mode::Last { count } => (*count, i64::MIN),
            Mode::Window { seconds } => {
                let from_ms = self.due.until_ms - i64::from(*seconds) * 1_000;
                (u32::MAX, from_ms)
            }
        };
        let limit = count.saturating_add(1).min(PAGE);
        let mut url = format!("{outbox}?page=true&limit={limit}");
        let (mut counted, until) = (0, Instant::now() + TURN);
        loop {
            self.within_bounds(until)?;
            let page = asking.page(&url).await?;
            self.count(&page);
            for item in page.items.into_iter().filter_map(whole) {
                if is_deleted(&item) || self.is_later_map(&item) {
                    continue;
                }
                let is_before = published_ms(&item).is_some_and(|at_ms| at_ms < from_ms);
                if counted == count || is_before {
                    return Ok(cid(&item).to_string());
                }
                counted += 1;
            }
            match page.next {
                Some(next) if next != url => url = next,
                _ => return Ok("0".to_owned()),
            }
        }
    }

    /// From the newest back: the pages of any other server.
    async fn back(
        &mut self,
        asking: &Asking<'_>,
        reading: &Reading,
        outbox: &str,
        until: Instant,
    ) -> Result<(), Halt> {
        let mut url = self.progress.next.clone();
        let mut url = url.take().unwrap_or_else(|| outbox.to_owned());
        let mut is_end = false;
        while !is_end {
            let mut stretch = Vec::new();
            let mut bytes = 0;
            while !is_end && bytes < STRETCH_BYTES {
                self.within_bounds(until)?;
                self.may_go_on()?;
                let page = asking.page(&url).await?;
                self.count(&page);
                bytes += page.bytes;
                if let Some(first) = page.first {
                    url = first;
                    continue;
                }
                is_end = self.pick(asking, page.items, &mut stretch).await?;
                match page.next {
                    Some(next) if next != url => url = next,
                    _ => is_end = true,
                }
            }
            stretch.reverse();
            let met = self.node.enter(reading, stretch).await?;
            self.take(met, false);
            self.progress.next = Some(url.clone());
            self.save().await?;
        }
        Ok(())
    }

    /// Adds what of a page is asked for; true when nothing behind it is.
    async fn pick(
        &self,
        asking: &Asking<'_>,
        items: Vec<Value>,
        stretch: &mut Vec<Map>,
    ) -> Result<bool, Halt> {
        let (mut is_old, mut is_any) = (true, false);
        for item in items {
            if let Mode::Last { count } = &self.backfill.mode
                && self.progress.met() + stretch.len() as u64 >= u64::from(*count)
            {
                return Ok(true);
            }
            let item = match item {
                Value::Map(item) => Some(item),
                Value::Str(url) => asking.activity(&url).await?,
                _ => None,
            };
            let Some(item) = item.filter(|item| !self.is_later_map(item)) else {
                continue;
            };
            is_any = true;
            match &self.backfill.mode {
                Mode::Since { digest } if cid(&item).digest == *digest => return Ok(true),
                Mode::Window { seconds } => {
                    let from_ms = self.due.until_ms - i64::from(*seconds) * 1_000;
                    if published_ms(&item).is_some_and(|at_ms| at_ms < from_ms) {
                        continue;
                    }
                }
                _ => {}
            }
            is_old = false;
            stretch.push(item);
        }
        Ok(is_old && is_any)
    }

    /// Counts what was met, in its order where that is `ordered`; true when what is no history was reached.
    fn take(&mut self, met: Vec<Met>, ordered: bool) -> bool {
        let tip = self.answer.as_ref().and_then(|answer| answer.tip);
        let mut is_end = false;
        (self.progress.failures, self.progress.retry_ms) = (0, 0);
        self.progress.error = None;
        for met in met {
            if ordered {
                self.record.meet(&met);
            }
            let progress = &mut self.progress;
            match &met.fate {
                Fate::Entered => progress.entered += 1,
                Fate::Here => progress.here += 1,
                Fate::Deleted => progress.deleted += 1,
                Fate::LeftOut => progress.left_out += 1,
                Fate::Refused(_) => progress.refused += 1,
                Fate::Later => {
                    is_end = true;
                    continue;
                }
            }
            progress.direct += u64::from(met.is_direct);
            progress.met_tip |= tip.is_some() && met.digest == tip;
            let is_back = met.published_ms.is_some() && met.published_ms <= progress.last_ms;
            progress.last_ms = progress.last_ms.max(met.published_ms);
            match met.fate {
                Fate::Refused(Some(Finding { wrong, what })) => self.found(wrong, what),
                // Who altered one may have altered when it was said.
                Fate::Refused(None) => {}
                _ if ordered && is_back => self.found(Wrong::Forked, met.id),
                _ => {}
            }
        }
        is_end
    }

    /// Puts on record what the source was caught at.
    pub(super) fn found(&mut self, wrong: Wrong, what: String) {
        let finding = Finding { wrong, what };
        let found = &mut self.progress.found;
        if found.len() < limits::BACKFILL_FINDINGS && !found.contains(&finding) {
            tracing::warn!(
                peer = self.peer,
                wrong = wrong.as_str(),
                what = finding.what,
                "a source of history was caught"
            );
            found.push(finding);
        }
    }

    fn count(&mut self, page: &Page) {
        self.progress.pages += 1;
        self.progress.bytes += page.bytes;
    }

    fn within_bounds(&self, until: Instant) -> Result<(), Halt> {
        let progress = &self.progress;
        if progress.pages >= limits::BACKFILL_PAGES {
            return Err(Halt::Bounded("it has more pages than are fetched"));
        }
        if progress.bytes >= limits::BACKFILL_BYTES {
            return Err(Halt::Bounded("it has more bytes than are fetched"));
        }
        if progress.met() >= limits::BACKFILL_ACTIVITIES {
            return Err(Halt::Bounded("it has more activities than are fetched"));
        }
        match Instant::now() < until {
            true => Ok(()),
            false => Err(Halt::Rest),
        }
    }

    /// Whether the actor still follows, and may.
    fn may_go_on(&self) -> Result<(), Halt> {
        let state = self.node.0.view.state();
        let relation = state.relation(self.actor.no, Direction::Following, self.peer);
        let relation = relation.map_err(fault::state)?;
        let blocks = state.blocks(self.actor.no, self.peer);
        let is_blocked = blocks.map_err(fault::state)?.any();
        let actor = state.actor(self.actor.no).map_err(fault::state)?;
        let is_gone = actor.is_none_or(|actor| actor.is_gone());
        if relation.phase != Phase::Accepted || is_blocked || is_gone {
            return Err(Halt::Unfollowed);
        }
        let let_in = self.node.let_in(self.peer);
        let_in.map_err(|refusal| Halt::Failed(refusal.detail))
    }

    fn is_later(&self, item: &Value) -> bool {
        item.as_map().is_some_and(|item| self.is_later_map(item))
    }

    fn is_later_map(&self, item: &Map) -> bool {
        published_ms(item).is_some_and(|at_ms| at_ms >= self.due.until_ms)
    }

    /// Keeps the place, after what stands before it is durable.
    pub(super) async fn save(&self) -> Result<(), Halt> {
        let (node, progress) = (self.node, self.progress.clone());
        Ok(node
            .save_progress(self.actor.no, self.peer, progress)
            .await?)
    }

    /// Puts the end on record, and forgets the place where nobody would go on from it.
    pub(super) async fn end(self, outcome: Outcome, why: Option<String>) -> Result<(), Refusal> {
        let (no, peer) = (self.actor.no, self.peer);
        let progress = self.progress;
        tracing::info!(
            peer,
            outcome = outcome.as_str(),
            why,
            entered = progress.entered,
            here = progress.here,
            "a backfill has ended"
        );
        let kept = progress.clone();
        let ended = Control::BackfillEnded {
            actor: no,
            peer: peer.to_owned(),
            since: self.due.since,
            ended: Ended {
                outcome,
                entered: progress.entered,
                here: progress.here,
                found: progress.found,
                why,
            },
        };
        self.node.control(ended).await?;
        match outcome {
            Outcome::Complete | Outcome::Disputed => self.node.forget_progress(no, peer).await,
            _ => self.node.save_progress(no, peer, kept).await,
        }
    }
}

fn whole(item: Value) -> Option<Map> {
    match item {
        Value::Map(item) => Some(item),
        _ => None,
    }
}

fn published_ms(item: &Map) -> Option<i64> {
    item.get("published")
        .and_then(Value::as_str)
        .and_then(parse_rfc3339_ms)
}

fn is_deleted(item: &Map) -> bool {
    item.get("type").and_then(Value::as_str) == Some("Tombstone")
}

//! What is erased while projections hold what they made of it: they are folded anew, with nil in its place, and
//! the bytes of their old states go.
//!
//! A state is not undone, and no index says of which entries it is made, so that a projection that was shown
//! something is folded from the first entry on, as a generation beside the live one. Each folding begun for
//! that costs as much as any rebuild; so all that was erased meanwhile goes together, once a minute at most,
//! and less often where folding takes long. Invariant: nothing here is kept but in the states' own database,
//! from which it is known again after a crash. Deliberately absent: folding one key alone.

use std::time::{Duration, Instant};

use fedsx_store::View;

use super::FoldFailed;
use super::entries::Entries;
use super::unit::Unit;

/// How long nothing is folded anew after it was, at least.
const APART: Duration = Duration::from_secs(60);
/// How many times as long as folding anew took.
const APART_TIMES: u32 = 20;
/// How often it is looked whether what is erased is overwritten, which the store does each second.
const LOOK: Duration = Duration::from_millis(500);
/// Rows read at once.
const CHUNK: usize = 64;

/// When projections were folded anew, and whether there is more.
#[derive(Debug, Default)]
pub(super) struct Erased {
    /// When it began, while it goes on.
    begun: Option<Instant>,
    /// Before this, nothing is folded anew.
    not_before: Option<Instant>,
    /// When it was looked last.
    looked: Option<Instant>,
    /// Whether something may be stale that can't be folded anew yet.
    is_waiting: bool,
}

impl Erased {
    /// Whether it is time to look.
    pub(super) fn is_due(&mut self) -> bool {
        let is_early = self.looked.is_some_and(|then| then.elapsed() < LOOK);
        if is_early {
            // Then it is looked again, for what came meanwhile.
            self.is_waiting = true;
        } else {
            self.looked = Some(Instant::now());
        }
        !is_early
    }

    /// How long it may rest.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.is_waiting.then_some(LOOK)
    }

    /// Of these the ones that are to be folded anew now.
    pub(super) fn stale<'a>(
        &mut self,
        units: impl Iterator<Item = &'a mut Unit>,
        view: &View,
        entries: &Entries,
    ) -> Result<Vec<&'a Unit>, FoldFailed> {
        let (overwritten, newest) = (view.overwritten_through()?, view.erased_through()?);
        let mut stale = Vec::new();
        let mut is_waiting = newest > overwritten;
        for unit in units {
            let through = overwritten.min(unit.progress.offset);
            is_waiting |= unit.progress.offset < newest;
            if is_stale(unit, view, entries, through)? {
                stale.push(&*unit);
            }
        }
        if self.not_before.is_some_and(|then| Instant::now() < then) {
            is_waiting |= !stale.is_empty();
            stale.clear();
        }
        self.is_waiting = is_waiting;
        Ok(stale)
    }

    /// Something is being folded anew.
    pub(super) fn begun(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// All of that is done.
    pub(super) fn done(&mut self) {
        if let Some(begun) = self.begun.take() {
            let apart = (begun.elapsed() * APART_TIMES).max(APART);
            self.not_before = Some(Instant::now() + apart);
            self.looked = None;
        }
    }
}

/// Whether a unit was shown something, and not as nil, that was erased up to an offset.
fn is_stale(
    unit: &mut Unit,
    view: &View,
    entries: &Entries,
    through: u64,
) -> Result<bool, FoldFailed> {
    while unit.shown_erased < through {
        let rows = view.erased_between(unit.shown_erased, through, CHUNK)?;
        for (by, digest) in &rows {
            let about = entries.about(digest, u64::MAX)?;
            let activity = about.as_ref().and_then(|stored| stored.activity());
            if activity.is_some_and(|activity| unit.takes(activity, false)) {
                return Ok(true);
            }
            unit.shown_erased = *by;
        }
        if rows.len() < CHUNK {
            unit.shown_erased = through;
        }
    }
    Ok(false)
}

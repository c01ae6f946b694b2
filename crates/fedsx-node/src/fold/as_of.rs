//! The state of a key as it was: folded again from the nearest state that is known, within bounds; and
//! as it would be after one entry alone.

use std::time::{Duration, Instant};

use fedsx_core::definition::Projection;
use fedsx_core::entry::Header;
use fedsx_core::projection::Shown;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Value;
use fedsx_store::projections::Earlier;
use fedsx_store::{ReadError, Stored, View};

use super::entries::{self, Entries};
use crate::fault;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Entries read at once.
const CHUNK: usize = 64;

pub(super) fn fold(
    view: &View,
    projection: &Projection,
    key: &str,
    from: Earlier,
    offset: u64,
) -> Result<Value, Refusal> {
    let mut state = from.state.unwrap_or_else(|| projection.initial.clone());
    if from.offset >= offset {
        return Ok(state);
    }
    let began = Instant::now();
    let unreadable = |error: ReadError| fault::internal("the journal can't be read", &error);
    let with_placed = projection.reads_actors();
    let mut entries = Entries::new(view.clone());
    let mut tail = view.tail(from.offset);
    loop {
        let chunk = tail.next(CHUNK).map_err(unreadable)?;
        if chunk.is_empty() {
            return Ok(state);
        }
        for entry in &chunk {
            if entry.header.offset > offset {
                return Ok(state);
            }
            if began.elapsed() > TIME_MAX {
                let why = "folding the journal up to there takes more than 10 seconds";
                return Err(Refusal::new(Code::TooFarBack, why));
            }
            let mut part = 0;
            while let Some(met) = entries.meet(entry, with_placed, part).map_err(unreadable)? {
                part += 1;
                if !projection.takes(met.activity()) {
                    continue;
                }
                // What failed when it was folded first fails again, and leaves the state as it was.
                let Ok(shown) = entries.show(&met) else {
                    continue;
                };
                if let Some(next) = next(projection, key, &state, &shown) {
                    state = next;
                }
            }
        }
    }
}

/// The state of an actor's key after one entry alone, as it is shown when it joins that actor's log; what
/// was kept for its definition, as it is shown once it is admitted.
pub(super) fn alone(
    view: &View,
    projection: &Projection,
    url: &str,
    entry: &Stored,
) -> Result<Option<Value>, Refusal> {
    let unreadable = |error: ReadError| fault::internal("the journal can't be read", &error);
    let marked = entry.activity().filter(|activity| activity.mark.is_some());
    let admitted = match marked {
        Some(activity) => Entries::new(view.clone())
            .about(&activity.digest, u64::MAX)
            .map_err(unreadable)?,
        None => None,
    };
    let entry = admitted.as_ref().unwrap_or(entry);
    let taken = entry
        .activity()
        .filter(|activity| projection.takes(activity));
    let Some(activity) = taken else {
        return Ok(None);
    };
    let document = match entries::document(entry) {
        Ok(document) => document,
        // It could not be folded either.
        Err(ReadError::Document { .. }) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let Header {
        offset,
        received_ms,
        ..
    } = entry.header;
    let shown = Shown::new(activity, offset, received_ms, &[url.to_owned()], document);
    Ok(next(projection, url, &projection.initial, &shown))
}

/// The next state of `key`; none where an entry leaves it as it is.
fn next(projection: &Projection, key: &str, state: &Value, shown: &Shown) -> Option<Value> {
    let keys = projection.keys(shown).ok()?;
    if !keys.iter().any(|have| have == key) {
        return None;
    }
    projection.fold(state, shown).ok()
}

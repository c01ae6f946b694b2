//! What every test here starts from: instances, the program, HTTP from outside, and waiting.

mod chance;
mod instance;
mod load;
mod logs;
mod program;
mod stranger;
mod web;

use std::time::{Duration, Instant};

pub(crate) use chance::{Chance, soak};
pub(crate) use instance::{Contact, Instance, Setup};
pub(crate) use load::Writer;
pub(crate) use logs::{cids, inbox, notes_by, outbox};
pub(crate) use program::{Ran, Served, fedsx, program};
pub(crate) use stranger::{Delivered, Stranger, Told, activity, now_ms};
pub(crate) use web::{AS2, Answer, Web};

/// How long any condition may take to come true. Long, because the machine may be busy; met at once
/// where all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Looks again and again until there is an answer; panics when patience is over.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// [`eventually`], with a patience of its own.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain for {what}",
            patience.as_secs()
        );
        tokio::time::sleep(GLANCE).await;
    }
}

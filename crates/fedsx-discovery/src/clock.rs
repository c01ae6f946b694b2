//! The time, as it is handed to whatever keeps something for a while.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Says the time, milliseconds since 1970; a test hands in one of its own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    })
}

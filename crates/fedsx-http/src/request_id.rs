//! The id of a request, given here and never taken from outside: a UUID of version 7 (RFC 9562,
//! section 5.7), so that ids sort by time. It is a name and no secret: one process makes its ids of
//! the time, a count and a number drawn at the start.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};
use uuid::{Builder, Uuid};

/// The header of every answer that names its request.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// An odd number, so that multiplying by it keeps different counts different.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives out ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    salt: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// Ids of a process that drew `salt`.
    pub(crate) const fn new(salt: u64) -> Self {
        Self {
            salt,
            count: AtomicU64::new(0),
        }
    }

    /// The next id, at this time.
    pub(crate) fn next(&self, now_ms: i64) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&count.to_be_bytes()[6..]);
        rest[2..].copy_from_slice(&(self.salt ^ count.wrapping_mul(SPREAD)).to_be_bytes());
        let millis = u64::try_from(now_ms).unwrap_or_default();
        RequestId(Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }
}

/// The id of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestId(Uuid);

impl RequestId {
    /// As the value of a header.
    pub(crate) fn header(self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = self.0.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).expect("a UUID is plain ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_of_version_7_and_differ() {
        let ids = RequestIds::new(7);
        let drawn: BTreeSet<_> = (0..5_000).map(|_| ids.next(1_700_000_000_000).0).collect();
        assert_eq!(drawn.len(), 5_000);
        assert!(drawn.iter().all(|id| id.get_version_num() == 7));
        let later = ids.next(1_700_000_000_001);
        assert!(drawn.iter().all(|id| *id < later.0), "ids sort by time");
        assert_eq!(later.header(), later.to_string().as_str());
    }
}

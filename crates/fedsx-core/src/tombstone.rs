//! What is told of something that was deleted: an AS2 `Tombstone` (Activity Vocabulary, section 3.3;
//! ActivityPub, section 6.4).

use crate::context;
use crate::time::format_rfc3339_ms;
use crate::value::Map;

/// The Tombstone of what had this `id`; `formerType` and `deleted` (Unix milliseconds) where they are known.
#[must_use]
pub fn tombstone(id: &str, former_type: Option<&str>, deleted_ms: Option<i64>) -> Map {
    let mut map = Map::from([("type", "Tombstone"), ("id", id)]);
    map.insert("@context", context::of_activity());
    if let Some(former_type) = former_type {
        map.insert("formerType", former_type);
    }
    if let Some(deleted_ms) = deleted_ms {
        map.insert("deleted", format_rfc3339_ms(deleted_ms));
    }
    map
}

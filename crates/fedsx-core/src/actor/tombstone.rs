//! What is left of a local actor that was deleted.
//!
//! Invariant: the keys stay, so that what it signed still verifies, and nothing else that it said of itself does.
//! Sources: ActivityStreams 2.0 vocabulary (`Tombstone`), design section 6.

use crate::context;
use crate::time::format_rfc3339_ms;
use crate::value::{Map, Value};

/// The members of an actor's document that its Tombstone keeps.
const KEPT: [&str; 4] = ["id", "publicKey", "assertionMethod", "keyHistory"];

/// The Tombstone of the actor that had this document.
#[must_use]
pub fn tombstone(document: &Map, deleted_ms: i64) -> Map {
    let mut left = Map::from([
        ("@context", context::of_actor()),
        ("type", Value::from("Tombstone")),
        ("deleted", format_rfc3339_ms(deleted_ms).into()),
    ]);
    if let Some(kind) = document.get("type") {
        left.insert("formerType", kind.clone());
    }
    for member in KEPT {
        if let Some(value) = document.get(member) {
            left.insert(member, value.clone());
        }
    }
    left
}

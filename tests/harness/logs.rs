//! The logs of an actor, as `fedsx … --output json` lists them.

use serde_json::Value;

use super::Instance;

const ALL: &str = "10000";

/// An outbox, oldest first.
pub(crate) fn outbox(instance: &Instance, name: &str) -> Vec<Value> {
    log(instance, "outbox", name)
}

/// An inbox, oldest first.
pub(crate) fn inbox(instance: &Instance, name: &str) -> Vec<Value> {
    log(instance, "inbox", name)
}

/// Checks what every list promises: newest first, without gaps, documents nested.
fn log(instance: &Instance, which: &str, name: &str) -> Vec<Value> {
    let list = instance.json([which, name, "--limit", ALL]);
    let mut entries = list.as_array().expect("a list").clone();
    entries.reverse();
    for (entry, seq) in entries.iter().zip(1_u64..) {
        assert_eq!(entry["seq"], seq, "{which} of {name}: {entry}");
        assert!(entry["document"].is_object(), "{entry}");
        assert!(
            entry["offset"].is_u64() && entry["state"].is_string(),
            "{entry}"
        );
    }
    entries
}

/// The CIDs of entries.
pub(crate) fn cids(entries: &[Value]) -> Vec<String> {
    let cid = |entry: &Value| entry["cid"].as_str().expect("a CID").to_owned();
    entries.iter().map(cid).collect()
}

/// The notes that an actor made, among entries.
pub(crate) fn notes_by(entries: &[Value], actor: &str) -> Vec<Value> {
    let is_note = |entry: &&Value| {
        let document = &entry["document"];
        document["type"] == "Create"
            && document["object"]["type"] == "Note"
            && document["actor"] == actor
    };
    entries.iter().filter(is_note).cloned().collect()
}

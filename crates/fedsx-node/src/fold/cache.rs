//! The states of a generation that are at hand, decoded: those changed since the last commit, and those
//! used lately.
//!
//! What was used lately is kept in two halves; when the younger is full, it becomes the older, and what
//! was the older is forgotten.

use std::collections::HashMap;

use fedsx_store::projections::KeyState;

/// What one half may weigh, bytes as of `Value::weight`.
const HALF_BYTES: u64 = 4 << 20;
/// What a state takes beside its weight, bytes.
const EACH_BYTES: u64 = 128;

#[derive(Default)]
pub(super) struct Cache {
    changed: HashMap<String, KeyState>,
    changed_bytes: u64,
    younger: HashMap<String, KeyState>,
    younger_bytes: u64,
    older: HashMap<String, KeyState>,
}

impl Cache {
    /// The state of a key, if it is at hand.
    pub(super) fn look_up(&self, key: &str) -> Option<&KeyState> {
        let halves = || self.younger.get(key).or_else(|| self.older.get(key));
        self.changed.get(key).or_else(halves)
    }

    /// Sets the state of a key.
    pub(super) fn change(&mut self, key: String, state: KeyState) {
        let gained = weigh(&key, &state);
        let lost = self.changed.get(&key).map_or(0, |have| weigh(&key, have));
        self.changed.insert(key, state);
        self.changed_bytes = self
            .changed_bytes
            .saturating_add(gained)
            .saturating_sub(lost);
    }

    /// What the changed states weigh.
    pub(super) const fn changed_bytes(&self) -> u64 {
        self.changed_bytes
    }

    /// What is to be committed.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&str, &KeyState)> {
        self.changed.iter().map(|(key, state)| (&**key, state))
    }

    /// Everything changed is committed.
    pub(super) fn committed(&mut self) {
        self.changed_bytes = 0;
        for (key, state) in std::mem::take(&mut self.changed) {
            let lost = self.younger.get(&key).map_or(0, |had| weigh(&key, had));
            self.younger_bytes = (self.younger_bytes + weigh(&key, &state)).saturating_sub(lost);
            self.younger.insert(key, state);
            if self.younger_bytes > HALF_BYTES {
                self.younger_bytes = 0;
                self.older = std::mem::take(&mut self.younger);
            }
        }
    }
}

/// What a state takes with its key, bytes.
pub(super) fn weigh(key: &str, state: &KeyState) -> u64 {
    state
        .state
        .weight()
        .saturating_add(key.len() as u64)
        .saturating_add(EACH_BYTES)
}

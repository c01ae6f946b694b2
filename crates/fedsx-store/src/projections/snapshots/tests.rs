//! Against a history that is kept whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedsx_core::cid::Digest;
use proptest::prelude::*;

use super::*;
use crate::engine::MemoryEngine;
use crate::projections::{Commit, Progress};

/// A generation as the thread folds it, with every state that each key ever had.
struct Folding {
    rows: Projections,
    generation: Generation,
    snapshots: Snapshots,
    live: BTreeMap<String, KeyState>,
    history: BTreeMap<String, Vec<(u64, Value)>>,
    offset: u64,
}

impl Folding {
    fn new(interval: u64) -> Self {
        Self {
            rows: Projections::over(Arc::new(MemoryEngine::default())),
            generation: Generation {
                definition: Digest::of(b"p"),
                number: 1,
            },
            snapshots: Snapshots {
                interval,
                ..Snapshots::default()
            },
            live: BTreeMap::new(),
            history: BTreeMap::new(),
            offset: 0,
        }
    }

    /// One entry for each key named, committed together.
    fn commit(&mut self, keys: &[u8]) {
        let mut commit = Commit::default();
        let newest = self.snapshots.newest();
        for key in keys {
            self.offset += 1;
            let key = key.to_string();
            let was = self.live.get(&key).cloned();
            if let (Some(was), Some(newest)) = (&was, newest)
                && was.since <= newest
            {
                commit.before(self.generation, newest, &key, was);
            }
            let state = Value::from(format!("{key} at {}", self.offset));
            let history = self.history.entry(key.clone()).or_default();
            history.push((self.offset, state.clone()));
            let now = KeyState {
                born: was.map_or(self.offset, |was| was.born),
                since: self.offset,
                state,
            };
            commit.state(self.generation, &key, &now);
            self.live.insert(key, now);
        }
        let progress = Progress {
            offset: self.offset,
            ..Progress::default()
        };
        commit.progress(self.generation, progress);
        if self.snapshots.take(self.offset) {
            commit.snapshots(self.generation, &self.snapshots);
        }
        self.rows.commit(commit).expect("committed");
    }

    fn thin(&mut self, limit: usize) {
        let moved = self
            .rows
            .move_some(self.generation, &mut self.snapshots, limit);
        moved.expect("moved");
    }

    fn at(&self, key: &str, offset: u64) -> Option<&Value> {
        let history = self.history.get(key)?.iter().rev();
        let found = history.into_iter().find(|(since, _)| *since <= offset);
        found.map(|(_, state)| state)
    }

    /// Whether each answer is true, and what is the furthest that is left to be folded.
    fn check(&self) -> u64 {
        let mut furthest = 0;
        for key in (0..8).map(|key| key.to_string()) {
            for offset in 0..=self.offset + 2 {
                let found = self.rows.earlier(self.generation, &key, offset);
                let found = found.expect("nobody is in the way");
                assert!(found.offset <= offset, "{key} at {offset}: {found:?}");
                let known = self.at(&key, found.offset);
                assert_eq!(found.state.as_ref(), known, "{key} at {offset}: {found:?}");
                furthest = furthest.max(offset.min(self.offset) - found.offset);
            }
        }
        furthest
    }

    /// Rows kept under snapshots, gone ones too.
    fn kept_rows(&self) -> usize {
        let prefix = row(self.generation, BEFORE, "");
        let rows = self
            .rows
            .engine
            .scan(&prefix, &prefix_end(&prefix), usize::MAX, false);
        rows.expect("read").len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_answer_is_true_at_every_moment(
        steps in prop::collection::vec((prop::collection::vec(0_u8..6, 1..9), 0_usize..9), 1..60),
    ) {
        let mut folding = Folding::new(3);
        for (at, (keys, moved)) in steps.into_iter().enumerate() {
            folding.commit(&keys);
            // A part only, so that answers are looked for while some go.
            if moved > 0 {
                folding.thin(moved);
            }
            if at % 8 == 7 {
                folding.check();
            }
            prop_assert!(folding.snapshots.kept.len() <= KEPT);
        }
        folding.check();
    }
}

#[test]
fn a_reader_beside_the_folding_thread_is_told_the_truth() {
    let mut folding = Folding::new(3);
    folding.commit(&[0, 1, 2, 3]);
    let (rows, generation) = (folding.rows.clone(), folding.generation);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (folding, answers) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut answers = Vec::new();
            for turn in 0_u64.. {
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let folded = rows.progress(generation).expect("read").offset;
                let (key, offset) = ((turn % 5).to_string(), (turn * 7_919) % (folded + 1));
                match rows.earlier(generation, &key, offset) {
                    Ok(found) => answers.push((key, offset, found)),
                    Err(error) => assert!(matches!(error, ProjectionError::Busy), "{error}"),
                }
            }
            answers
        });
        for round in 0..3_000_u32 {
            folding.commit(&[0, 1, 2, 3].map(|key| u8::try_from(round % 2 + key).expect("small")));
            folding.thin(3);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        (folding, reader.join().expect("the reader ends"))
    });
    assert!(!answers.is_empty());
    for (key, offset, found) in answers {
        assert!(found.offset <= offset);
        let known = folding.at(&key, found.offset);
        assert_eq!(found.state.as_ref(), known, "{key} at {offset}: {found:?}");
    }
}

#[test]
fn what_is_left_to_be_folded_and_what_is_kept_stay_bounded() {
    let mut folding = Folding::new(4);
    for round in 0..1_000_u32 {
        let keys = [0, 1, 2, 3].map(|key| u8::try_from(round % 4 + key).expect("small"));
        folding.commit(&keys);
        while folding.snapshots.is_going() {
            folding.thin(2);
        }
    }
    let interval = folding.snapshots.interval;
    assert_eq!(
        (folding.offset, interval),
        (4_000, 256),
        "4,000 / 16, doubled up to"
    );
    assert!(folding.check() <= interval);
    let bound = folding.snapshots.kept.len() * folding.live.len();
    assert!(folding.kept_rows() <= bound, "{}", folding.kept_rows());
}

#[test]
fn a_long_journal_begins_with_a_distance_that_lasts() {
    for (entries, interval) in [
        (0, 4_096),
        (65_536, 4_096),
        (65_537, 8_192),
        (1_000_000, 65_536),
    ] {
        assert_eq!(Snapshots::over(entries).interval, interval, "{entries}");
    }
    assert!(KeyState::decode(&[0; 15]).is_err());
}

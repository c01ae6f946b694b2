//! The contract of the index engines: one suite, run against every engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fedsx_store::engine::{self, Batch, Engine, EngineKind, Row, prefix_end};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};

pub(crate) fn open(kind: EngineKind, dir: &Path) -> Arc<dyn Engine> {
    engine::open(kind, &dir.join("index")).expect("opened")
}

fn put(rows: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in rows {
        batch.put(*key, *value);
    }
    batch
}

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter()
        .map(|(key, _)| str::from_utf8(key).expect("text"))
        .collect()
}

fn value(engine: &dyn Engine, key: &str) -> Option<String> {
    let value = engine.get(key.as_bytes()).expect("readable");
    value.map(|value| String::from_utf8(value).expect("text"))
}

fn gets_what_was_put(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(kind, dir.path());
    assert_eq!(engine.kind(), kind);
    assert_eq!(value(&*engine, "a"), None);
    engine
        .commit(put(&[("a", "1"), ("b", "")]))
        .expect("committed");
    assert_eq!(value(&*engine, "a").as_deref(), Some("1"));
    assert_eq!(value(&*engine, "b").as_deref(), Some(""));
    assert_eq!(value(&*engine, "").as_deref(), None);
    engine.commit(put(&[("a", "2")])).expect("committed");
    assert_eq!(value(&*engine, "a").as_deref(), Some("2"));
    engine.commit(Batch::new()).expect("nothing is committed");
}

fn the_last_write_of_a_batch_wins(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(kind, dir.path());
    let mut batch = put(&[("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")]);
    batch.delete("b");
    batch.delete("c");
    batch.put("c", "3");
    batch.delete("missing");
    assert_eq!(batch.peek(b"a"), Some(Some(b"2".as_slice())));
    assert_eq!(batch.peek(b"b"), Some(None));
    assert_eq!(batch.peek(b"d"), None);
    engine.commit(batch).expect("committed");
    let rows = engine.scan(b"", b"", 10, false).expect("readable");
    assert_eq!(keys(&rows), ["a", "c"]);
    assert_eq!(rows[0].1, b"2");
    assert_eq!(rows[1].1, b"3");
    let mut batch = Batch::new();
    batch.delete("a");
    engine.commit(batch).expect("committed");
    assert_eq!(value(&*engine, "a"), None);
}

fn scans_keep_bounds_limits_and_order(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(kind, dir.path());
    let rows: Vec<_> = ["a", "a/1", "a/2", "a/3", "b", "c\u{7f}"]
        .map(|key| (key, key))
        .into();
    engine.commit(put(&rows)).expect("committed");
    let mut edge = Batch::new();
    edge.put([0xFF, 0xFF], "end");
    edge.put([0xFF], "end");
    engine.commit(edge).expect("committed");
    let scan = |from: &str, to: &str, limit, reverse| {
        engine
            .scan(from.as_bytes(), to.as_bytes(), limit, reverse)
            .expect("readable")
    };
    assert_eq!(keys(&scan("a/", "b", 9, false)), ["a/1", "a/2", "a/3"]);
    assert_eq!(keys(&scan("a/", "b", 9, true)), ["a/3", "a/2", "a/1"]);
    assert_eq!(keys(&scan("a/1", "a/3", 9, false)), ["a/1", "a/2"]);
    assert_eq!(keys(&scan("a/", "b", 2, false)), ["a/1", "a/2"]);
    assert_eq!(keys(&scan("a/", "b", 2, true)), ["a/3", "a/2"]);
    assert!(scan("a/", "b", 0, false).is_empty());
    assert!(scan("b", "a", 9, false).is_empty());
    assert!(scan("a", "a", 9, true).is_empty());
    assert_eq!(scan("", "", 99, false).len(), 8);
    assert_eq!(scan("b", "", 1, true)[0].0, [0xFF, 0xFF]);
    let prefix = |prefix: &[u8]| engine.scan_prefix(prefix, 9, false).expect("readable");
    assert_eq!(keys(&prefix(b"a/")), ["a/1", "a/2", "a/3"]);
    assert_eq!(prefix(&[0xFF]).len(), 2);
    assert_eq!(prefix(b"").len(), 8);
    assert!(prefix(b"d").is_empty());
}

/// Any sequence of batches leaves what the same sequence leaves in a map, and every scan agrees.
fn behaves_like_a_map(kind: EngineKind) {
    let key = || vec(prop::sample::select(vec![0u8, 1, 7, 254, 255]), 0..4);
    let write = (key(), prop::option::of(vec(any::<u8>(), 0..20)));
    let scan = (key(), key(), 0..12usize, any::<bool>());
    let steps = vec((vec(write, 0..8), scan), 1..24);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&steps.prop_map(|steps| steps), |steps| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut engine = open(kind, dir.path());
        let mut model = BTreeMap::new();
        for (index, (writes, (from, to, limit, reverse))) in steps.into_iter().enumerate() {
            let mut batch = Batch::new();
            for (key, value) in writes.into_iter().filter(|(key, _)| !key.is_empty()) {
                match value {
                    Some(value) => {
                        model.insert(key.clone(), value.clone());
                        batch.put(key, value);
                    }
                    None => {
                        model.remove(&key);
                        batch.delete(key);
                    }
                }
            }
            engine.commit(batch).expect("committed");
            if index % 7 == 6 && kind != EngineKind::Memory {
                engine.flush().expect("flushed");
                drop(engine);
                engine = open(kind, dir.path());
            }
            let mut expected: Vec<Row> = model
                .iter()
                .filter(|(key, _)| **key >= from && (to.is_empty() || **key < to))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            let rows = engine.scan(&from, &to, limit, reverse).expect("readable");
            assert_eq!(rows, expected);
            for (key, value) in &model {
                let held = engine.get(key).expect("readable");
                assert_eq!(held.as_ref(), Some(value));
            }
        }
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

/// Readers beside the writer see each batch whole: all rows of it carry its number.
fn no_reader_sees_a_batch_in_part(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(kind, dir.path());
    let numbered = |number: u32| {
        let mut batch = Batch::new();
        for row in 0..20u8 {
            batch.put([b'r', row], number.to_be_bytes());
        }
        batch
    };
    engine.commit(numbered(0)).expect("committed");
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let rows = engine.scan_prefix(b"r", 99, false).expect("readable");
                    assert_eq!(rows.len(), 20);
                    assert!(rows.iter().all(|row| row.1 == rows[0].1), "{rows:?}");
                    // Read in the order of writing: a later row is never older than an earlier one.
                    let first = engine.get(b"r\0").expect("readable");
                    let last = engine.get(b"r\x13").expect("readable");
                    assert!(first <= last, "{first:?} > {last:?}");
                }
            });
        }
        for number in 1..400 {
            engine.commit(numbered(number)).expect("committed");
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The writer and the delivery worker commit beside each other, each to rows of its own and to some of
/// both: every batch is there as a whole, whichever came last.
fn batches_of_two_committers_are_all_kept(kind: EngineKind) {
    const BATCHES: u16 = 300;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(kind, dir.path());
    let committers = [b'w', b'd'];
    let commits = |engine: &dyn Engine, name: u8| {
        for number in 0..BATCHES {
            let mut batch = Batch::new();
            for row in 0..4u8 {
                let [high, low] = number.to_be_bytes();
                batch.put([name, high, low, row], [name, row]);
                // One of them wins, in all four rows.
                batch.put([b's', row], [name, high, low]);
            }
            // What is queued leaves again.
            if let Some(earlier) = number.checked_sub(10).filter(|earlier| earlier % 2 == 1) {
                let [high, low] = earlier.to_be_bytes();
                batch.delete([name, high, low, 3]);
            }
            engine.commit(batch).expect("committed");
            if number % 100 == 50 {
                engine.flush().expect("flushed");
            }
        }
    };
    std::thread::scope(|threads| {
        for name in committers {
            let engine = &*engine;
            threads.spawn(move || commits(engine, name));
        }
    });
    let check = |engine: &dyn Engine| {
        for name in committers {
            let mut expected: Vec<Row> = Vec::new();
            for number in 0..BATCHES {
                let [high, low] = number.to_be_bytes();
                let deleted = number % 2 == 1 && number + 10 < BATCHES;
                let rows = (0..4u8).filter(|row| *row < 3 || !deleted);
                expected.extend(rows.map(|row| (vec![name, high, low, row], vec![name, row])));
            }
            let rows = engine.scan_prefix(&[name], 9_999, false).expect("readable");
            assert_eq!(rows, expected);
        }
        let shared = engine.scan_prefix(b"s", 9, false).expect("readable");
        assert_eq!(shared.len(), 4);
        assert!(shared.iter().all(|row| row.1 == shared[0].1), "{shared:?}");
        let [high, low] = (BATCHES - 1).to_be_bytes();
        assert_eq!(shared[0].1[1..], [high, low], "the last of one of them");
    };
    check(&*engine);
    if kind == EngineKind::Memory {
        return;
    }
    engine.flush().expect("flushed");
    drop(engine);
    check(&*open(kind, dir.path()));
}

fn keeps_what_was_flushed_over_openings(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for round in 0..4u8 {
        let engine = open(kind, dir.path());
        for earlier in 0..round {
            assert_eq!(
                engine.get(&[earlier]).expect("readable"),
                Some(vec![earlier; 100])
            );
        }
        let mut batch = Batch::new();
        batch.put([round], vec![round; 100]);
        batch.delete([b'x', round.wrapping_sub(1)]);
        batch.put([b'x', round], "");
        engine.commit(batch).expect("committed");
        engine.flush().expect("flushed");
        assert_eq!(
            engine.scan_prefix(b"x", 9, false).expect("readable").len(),
            1
        );
    }
}

fn refuses_a_directory_that_is_no_directory(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("index"), "a file").expect("written");
    let refused = engine::open(kind, &dir.path().join("index"));
    let error = refused.expect_err("no directory").to_string();
    assert!(
        error.starts_with(&format!("cannot open the {kind} index in ")),
        "{error}"
    );
}

macro_rules! contract {
    ($($engine:ident, $kind:expr;)*) => {$(
        mod $engine {
            use fedsx_store::engine::EngineKind;

            #[test]
            fn gets_what_was_put() {
                super::gets_what_was_put($kind);
            }

            #[test]
            fn the_last_write_of_a_batch_wins() {
                super::the_last_write_of_a_batch_wins($kind);
            }

            #[test]
            fn scans_keep_bounds_limits_and_order() {
                super::scans_keep_bounds_limits_and_order($kind);
            }

            #[test]
            fn behaves_like_a_map() {
                super::behaves_like_a_map($kind);
            }

            #[test]
            fn no_reader_sees_a_batch_in_part() {
                super::no_reader_sees_a_batch_in_part($kind);
            }

            #[test]
            fn batches_of_two_committers_are_all_kept() {
                super::batches_of_two_committers_are_all_kept($kind);
            }

            #[test]
            fn what_only_disks_have() {
                if $kind != EngineKind::Memory {
                    super::keeps_what_was_flushed_over_openings($kind);
                    super::refuses_a_directory_that_is_no_directory($kind);
                }
            }
        }
    )*};
}

contract! {
    memory, EngineKind::Memory;
    fjall, EngineKind::Fjall;
}

#[cfg(feature = "sled")]
contract! {
    sled, EngineKind::Sled;
}

#[test]
fn a_prefix_ends_where_the_next_begins() {
    assert_eq!(prefix_end(b"ab"), b"ac");
    assert_eq!(prefix_end(&[1, 0xFF, 0xFF]), [2]);
    assert!(prefix_end(&[0xFF]).is_empty());
    assert!(prefix_end(b"").is_empty());
}

#[test]
fn engines_are_named_as_on_the_command_line() {
    for kind in EngineKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    let unknown = "rocksdb".parse::<EngineKind>().expect_err("unknown");
    insta::assert_snapshot!(unknown, @r#"there is no store "rocksdb"; there are fjall, sled and memory"#);
}

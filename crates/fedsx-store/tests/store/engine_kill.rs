//! The engines under SIGKILL: a child process writes batches with a running number and is killed before,
//! during or after a flush; what is found then is a prefix of its batches that reaches at least to the
//! last flush. The same directory is killed several times over.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fedsx_store::engine::{Batch, Engine, EngineKind, Row};

use crate::engine_contract::open;
use fedsx_store::simulation::Dice;

const ENGINE: &str = "FEDSX_TEST_ENGINE";
const DIRECTORY: &str = "FEDSX_TEST_DIRECTORY";
const COUNTER: &[u8] = b"n";

/// When the child is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Writing,
    Flushing,
    Flushed,
}

/// The batch of a number: rows that come, change and go, some 40 KB, and the number itself.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in writes(number) {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    batch
}

fn writes(number: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut dice = Dice::new(number);
    let mut writes: Vec<_> = (0..40)
        .map(|_| {
            let key = format!("row {:04}", dice.below(3_000)).into_bytes();
            let byte = number.to_le_bytes()[0];
            let value = (dice.below(5) > 0).then(|| vec![byte; dice.below(2_000)]);
            (key, value)
        })
        .collect();
    writes.push((COUNTER.to_vec(), Some(number.to_be_bytes().to_vec())));
    writes
}

fn counter(engine: &dyn Engine) -> u64 {
    let counter = engine.get(COUNTER).expect("readable");
    counter.map_or(0, |bytes| {
        u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
    })
}

/// The child: writes until it is killed. Without its environment it is a test that has nothing to do.
#[test]
fn child_writes_until_killed() {
    let (Ok(kind), Ok(dir)) = (env::var(ENGINE), env::var(DIRECTORY)) else {
        return;
    };
    let engine = open(kind.parse().expect("an engine"), Path::new(&dir));
    let mut out = std::io::stdout().lock();
    for number in counter(&*engine) + 1.. {
        writeln!(out, "begun {number}").expect("the parent listens");
        engine.commit(batch(number)).expect("committed");
        if number % 10 == 0 {
            writeln!(out, "flushing {number}").expect("the parent listens");
            engine.flush().expect("flushed");
            writeln!(out, "flushed {number}").expect("the parent listens");
        }
    }
}

fn spawn(kind: EngineKind, dir: &Path) -> Child {
    Command::new(env::current_exe().expect("the test binary"))
        .args(["--exact", "engine_kill::child_writes_until_killed"])
        .args(["--nocapture"])
        .env(ENGINE, kind.as_str())
        .env(DIRECTORY, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test binary starts")
}

/// Runs a child to its end; tells the numbers it last began and last flushed.
fn run(kind: EngineKind, dir: &Path, moment: Moment, steps: usize) -> (u64, u64) {
    let mut child = spawn(kind, dir);
    let (mut begun, mut flushed) = (0, 0);
    let (mut seen, mut killed) = (0, false);
    // Also what was told before the kill and not read yet: each line that came was true.
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        let Some((word, number)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        let counts = match word.rsplit(' ').next() {
            Some("begun") => {
                begun = number;
                matches!(moment, Moment::Writing)
            }
            Some("flushing") => matches!(moment, Moment::Flushing),
            Some("flushed") => {
                flushed = number;
                matches!(moment, Moment::Flushed)
            }
            _ => false,
        };
        seen += usize::from(counts);
        if seen >= steps && !killed {
            child.kill().expect("killed");
            killed = true;
        }
    }
    child.wait().expect("ended");
    assert!(killed, "the child ended by itself");
    (begun, flushed)
}

fn survives_kills(kind: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut model, mut applied, mut flushed) = (BTreeMap::new(), 0, 0);
    let kills = [
        (Moment::Writing, 7),
        (Moment::Flushing, 4),
        (Moment::Flushed, 5),
        (Moment::Writing, 3),
        (Moment::Flushing, 9),
        (Moment::Writing, 60),
    ];
    for (moment, steps) in kills {
        let (begun, now_flushed) = run(kind, dir.path(), moment, steps);
        flushed = flushed.max(now_flushed);
        let engine = open(kind, dir.path());
        let held = counter(&*engine);
        assert!(
            flushed <= held && held <= begun.max(applied),
            "{moment:?}: flushed {flushed}, held {held}, begun {begun}"
        );
        if held < applied {
            // What was not flushed may be lost at the next kill too: start over.
            (model, applied) = (BTreeMap::new(), 0);
        }
        for number in applied + 1..=held {
            for (key, value) in writes(number) {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
        }
        applied = held;
        let rows = engine.scan(b"", b"", usize::MAX, false).expect("readable");
        let expected: Vec<Row> = model.clone().into_iter().collect();
        assert!(rows == expected, "{moment:?}: not the rows of batch {held}");
    }
}

#[test]
fn fjall_survives_kills() {
    survives_kills(EngineKind::Fjall);
}

#[cfg(feature = "sled")]
#[test]
fn sled_survives_kills() {
    survives_kills(EngineKind::Sled);
}

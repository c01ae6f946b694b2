//! Both processes are killed again and again while they write to each other: whatever was accepted is
//! in every follower's inbox exactly once, and the index is what the journal says.
//!
//! `FEDSX_SOAK=1` runs it at full length; `FEDSX_SEED=…` runs the kills of an earlier
//! run again (as far as the machine's own timing lets it).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::harness::{
    Chance, Contact, Instance, Writer, cids, inbox, notes_by, outbox, soak, within,
};

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Kills of each process.
    kills: u32,
    /// Notes each way.
    notes: usize,
    /// How long all of it may take to arrive.
    patience: Duration,
}

const SHORT: Extent = Extent {
    kills: 3,
    notes: 201,
    patience: Duration::from_secs(60),
};
const LONG: Extent = Extent {
    kills: 10,
    notes: 1_002,
    patience: Duration::from_secs(240),
};
/// What the second engine gets in each run of the tests.
const TOUCH: Extent = Extent {
    kills: 1,
    notes: 30,
    patience: Duration::from_secs(60),
};
/// Actors on each side.
const ACTORS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_both_again_and_again_on_fjall() {
    run("fjall", if soak() { LONG } else { SHORT }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_both_again_and_again_on_sled() {
    run("sled", if soak() { LONG } else { TOUCH }).await;
}

async fn run(engine: &'static str, extent: Extent) {
    let mut chance = Chance::seeded();
    let (a, b) = Instance::two_on(engine).await;
    let mut sides = [Side::new(a, "a"), Side::new(b, "b")];
    befriend(&sides).await;

    let mut writers = JoinSet::new();
    for side in &sides {
        for name in &side.names {
            let writer = side.writer(name);
            writers.spawn(write(writer, extent.notes / ACTORS));
        }
    }
    let [a, b] = &mut sides;
    let (for_a, for_b) = (chance.fork(), chance.fork());
    tokio::join!(a.kill_often(for_a, extent), b.kill_often(for_b, extent));
    let accepted: BTreeMap<String, Vec<String>> = writers.join_all().await.into_iter().collect();

    let [a, b] = &sides;
    a.has_all(b, &accepted, extent).await;
    b.has_all(a, &accepted, extent).await;
    for side in &mut sides {
        side.is_what_its_journal_says().await;
    }
}

/// Writes all notes of an actor; their CIDs, by its name.
async fn write(writer: Writer, notes: usize) -> (String, Vec<String>) {
    let mut accepted = Vec::new();
    for number in 0..notes {
        accepted.push(writer.write_whatever_happens(number).await);
    }
    (writer.name, accepted)
}

/// Everybody follows everybody on the other side.
async fn befriend(sides: &[Side; 2]) {
    let [a, b] = sides;
    for (side, other) in [(a, b), (b, a)] {
        for name in &side.names {
            for followed in &other.names {
                side.instance
                    .follow(name, &other.instance.actor_url(followed));
            }
        }
    }
    for side in sides {
        for name in &side.names {
            side.instance.following(name, ACTORS).await;
            side.instance.followers(name, ACTORS).await;
        }
    }
}

/// An instance and its actors.
#[derive(Debug)]
struct Side {
    instance: Instance,
    names: Vec<String>,
    written: Arc<AtomicU32>,
}

impl Side {
    fn new(instance: Instance, letter: &str) -> Self {
        let names: Vec<String> = (1..=ACTORS).map(|n| format!("{letter}{n}")).collect();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        instance.create(&borrowed);
        Self {
            instance,
            names,
            written: Arc::default(),
        }
    }

    fn writer(&self, name: &str) -> Writer {
        let contact: Contact = self.instance.contact();
        Writer {
            contact,
            name: name.to_owned(),
            count: Arc::clone(&self.written),
        }
    }

    /// Kills the process at random moments, spread over all it writes, and starts it again.
    async fn kill_often(&mut self, mut chance: Chance, extent: Extent) {
        let notes = u32::try_from(extent.notes).expect("few");
        let each = notes / (extent.kills + 1);
        for kill in 0..extent.kills {
            let at = kill * each + 1 + chance.below(each);
            within(extent.patience, "the next kill", async || {
                (self.written.load(Ordering::Relaxed) >= at).then_some(())
            })
            .await;
            // Anywhere between two notes: in a signature, a write, a sync, a delivery.
            tokio::time::sleep(Duration::from_micros(chance.below(20_000).into())).await;
            self.instance.kill();
            tokio::time::sleep(Duration::from_millis(chance.below(150).into())).await;
            self.instance.restart().await;
        }
    }

    /// Each actor here has each accepted note of the other side once, in its author's order.
    async fn has_all(
        &self,
        other: &Self,
        accepted: &BTreeMap<String, Vec<String>>,
        extent: Extent,
    ) {
        for name in &self.names {
            let wanted = extent.notes + 2 * ACTORS;
            let what = format!("{} notes and the follows in {name}'s inbox", extent.notes);
            within(extent.patience, &what, async || {
                let shown = self.instance.json(["actor", "show", name]);
                (shown["inbox"].as_u64()? >= wanted as u64).then_some(())
            })
            .await;
        }
        self.instance.delivered().await;
        other.instance.delivered().await;
        for author in &other.names {
            let url = other.instance.actor_url(author);
            let written = notes_by(&outbox(&other.instance, author), &url);
            let sent = cids(&written);
            assert_eq!(
                sent, accepted[author],
                "{author} wrote what was accepted, once"
            );
            for name in &self.names {
                let got = cids(&notes_by(&inbox(&self.instance, name), &url));
                assert_eq!(got, sent, "{author}'s notes in {name}'s inbox");
            }
        }
    }

    /// The journal is sound, and an index made of it alone is the one that was live.
    async fn is_what_its_journal_says(&mut self) {
        let instance = &mut self.instance;
        let dead = instance.json(["dead-letters"]);
        assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
        instance.rebuilt_equals_live().await;
    }
}

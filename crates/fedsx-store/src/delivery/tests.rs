//! A model of publishing, expansion and sending over the memory engine: whatever happens, an index that
//! is thrown away comes back from the journal and the ledger with everything that was unsettled, and
//! with nothing else when the ledger was up to date.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::Index;

use super::rows::{FAN_OUT, encode, offset_key};
use super::{DeadLetter, Deliveries, Item, Lane, Place, Placed, Recipient, Waiting, clip, waiting};
use crate::engine::{Batch, Engine, MemoryEngine};

/// What identifies an item, wherever it stands.
type Id = (String, u32, u64, u64);

fn id(place: &Place) -> Id {
    (
        place.host.to_string(),
        place.actor.0,
        place.offset,
        place.recipient,
    )
}

/// The recipients of an entry, the same on every expansion, in chunks of two.
fn chunk(offset: u64, nth: u64) -> Option<Vec<Placed>> {
    let hosts = offset % 5;
    let items = (0..hosts)
        .skip(usize::try_from(nth * 2).expect("small"))
        .take(2)
        .map(|n| {
            let host = format!("h{}", (offset + n * 3) % 7);
            let item = Item {
                digest: Digest::of(&offset.to_be_bytes()),
                bytes: 1_000,
                recipient: Recipient::Named(format!("https://{host}/p{n}")),
                inbox: None,
                failures: 0,
                queued_ms: 1,
                past_blocks: false,
                past_follows: false,
            };
            let place = Place {
                host: Arc::from(host),
                due_ms: None,
                actor: sender(offset),
                offset,
                recipient: item.recipient_hash(),
            };
            Placed { place, item }
        });
    let items: Vec<_> = items.collect();
    (nth == 0 || !items.is_empty()).then_some(items)
}

fn sender(offset: u64) -> ActorNo {
    ActorNo(u32::try_from(offset % 2).expect("small"))
}

fn publish(engine: &dyn Engine, offset: u64) {
    let mut batch = Batch::new();
    batch.put(offset_key(FAN_OUT, offset), encode(&sender(offset)));
    engine.commit(batch).expect("committed");
}

/// Expands the next chunk; false when there is nothing to expand.
fn expand(deliveries: &Deliveries) -> bool {
    let Some(entry) = deliveries.next_fan_out(0).expect("read") else {
        return false;
    };
    let nth = entry
        .cursor
        .as_ref()
        .map_or(0, |cursor| u64::from(cursor[0]));
    let items = chunk(entry.offset, nth).expect("not beyond the end");
    let cursor = chunk(entry.offset, nth + 1).map(|_| vec![u8::try_from(nth + 1).expect("small")]);
    deliveries
        .expanded(&entry, items, cursor)
        .expect("committed");
    true
}

fn queued(deliveries: &Deliveries) -> Vec<Placed> {
    let mut found = Vec::new();
    for host in deliveries.hosts_queued().expect("read") {
        for actor in deliveries.senders(&host).expect("read") {
            let mut from = (0, 0);
            while let Some(placed) = deliveries.first_queued(&host, actor, from).expect("read") {
                from = (placed.place.offset, placed.place.recipient + 1);
                found.push(placed);
            }
        }
    }
    found
}

fn aside(deliveries: &Deliveries) -> Vec<Placed> {
    let hosts = deliveries.hosts_aside().expect("read");
    hosts
        .iter()
        .flat_map(|(host, _)| deliveries.first_aside(host, 1_000).expect("read"))
        .collect()
}

fn dead(deliveries: &Deliveries) -> BTreeSet<Id> {
    let letters = deliveries.dead_letters(0, 1_000).expect("read");
    letters
        .into_iter()
        .map(|(_, dead)| {
            (
                dead.host,
                dead.actor.0,
                dead.offset,
                dead.item.recipient_hash(),
            )
        })
        .collect()
}

fn outstanding(deliveries: &Deliveries) -> BTreeSet<Id> {
    queued(deliveries)
        .iter()
        .chain(&aside(deliveries))
        .map(|placed| id(&placed.place))
        .collect()
}

/// The first items of all pairs: what can be sent.
fn heads(deliveries: &Deliveries) -> Vec<Placed> {
    let mut pairs = BTreeSet::new();
    let mut heads = queued(deliveries);
    heads.retain(|placed| pairs.insert((Arc::clone(&placed.place.host), placed.place.actor)));
    heads
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Expand,
    Arrive(Index),
    SetAside(Index, i64),
    Bury(Index),
    AsideArrives(Index),
    AsideAgain(Index, i64),
    Exhume(Index),
    Lane(u8),
    Sync,
    /// From here on what waits is counted along.
    Count,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => proptest::strategy::Just(Step::Publish),
        8 => proptest::strategy::Just(Step::Expand),
        8 => any::<Index>().prop_map(Step::Arrive),
        2 => (any::<Index>(), 1..100_i64).prop_map(|(at, due)| Step::SetAside(at, due)),
        1 => any::<Index>().prop_map(Step::Bury),
        1 => any::<Index>().prop_map(Step::AsideArrives),
        1 => (any::<Index>(), 1..100_i64).prop_map(|(at, due)| Step::AsideAgain(at, due)),
        1 => any::<Index>().prop_map(Step::Exhume),
        1 => any::<u8>().prop_map(Step::Lane),
        1 => proptest::strategy::Just(Step::Sync),
        1 => proptest::strategy::Just(Step::Count),
    ];
    proptest::collection::vec(one, 0..120)
}

fn letter(placed: &Placed) -> DeadLetter {
    DeadLetter {
        host: placed.place.host.to_string(),
        actor: placed.place.actor,
        offset: placed.place.offset,
        item: placed.item.clone(),
        status: Some(400),
        answer: clip("no"),
        at_ms: 5,
    }
}

fn take(deliveries: &Deliveries, step: &Step) {
    let mut change = deliveries.change();
    let (from, at) = match step {
        Step::Arrive(at) | Step::SetAside(at, _) | Step::Bury(at) => (heads(deliveries), at),
        Step::AsideArrives(at) | Step::AsideAgain(at, _) => (aside(deliveries), at),
        Step::Exhume(at) => {
            let letters = deliveries.dead_letters(0, 1_000).expect("read");
            if !letters.is_empty() {
                let (id, letter) = at.get(&letters).clone();
                change.exhume(id, letter, 7);
                deliveries.commit(change).expect("committed");
            }
            return;
        }
        Step::Lane(n) => {
            let lane = Lane {
                failures: u32::from(n % 3),
                ..Lane::default()
            };
            change.set_lane(&format!("h{}", n % 7), &lane);
            deliveries.commit(change).expect("committed");
            return;
        }
        Step::Sync => return deliveries.sync_ledger().expect("written"),
        Step::Publish | Step::Expand | Step::Count => unreachable!("taken by the caller"),
    };
    if from.is_empty() {
        return;
    }
    let placed = at.get(&from);
    match step {
        Step::SetAside(_, due) | Step::AsideAgain(_, due) => {
            change.set_aside(&placed.place, placed.item.clone(), *due);
        }
        Step::Bury(_) => {
            change.bury(&placed.place, &letter(placed));
        }
        _ => change.remove(&placed.place),
    }
    deliveries.commit(change).expect("committed");
}

/// An index built anew from the journal, which has `published` entries, and all of it expanded.
fn rebuild(published: u64, ledger: &Path) -> Deliveries {
    let engine = Arc::new(MemoryEngine::default());
    (1..=published).for_each(|offset| publish(engine.as_ref(), offset));
    Deliveries::open(engine, ledger, published).expect("opened")
}

proptest! {
    // Each case writes the ledger several times, and a disk may be slow.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_thrown_away_index_comes_back(steps in steps(), synced in any::<bool>()) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("delivery.ledger");
        let engine = Arc::new(MemoryEngine::default());
        let deliveries =
            Deliveries::open(Arc::clone(&engine) as _, &path, 0).expect("opened");
        let mut published = 0;
        for step in &steps {
            match step {
                Step::Publish => {
                    published += 1;
                    publish(engine.as_ref(), published);
                }
                Step::Expand => {
                    expand(&deliveries);
                }
                Step::Count => {
                    deliveries.waiting().expect("read");
                }
                step => take(&deliveries, step),
            }
            let kept = deliveries.touched().waiting.clone();
            let walked = waiting::count(engine.as_ref()).expect("read");
            prop_assert!(kept.is_none_or(|kept| kept == walked));
            let letters = deliveries.dead_letters(0, 1_000).expect("read").len() as u64;
            prop_assert_eq!(deliveries.dead_letter_count().expect("read"), letters);
        }
        if synced {
            deliveries.sync_ledger().expect("written");
        }
        let lanes = deliveries.lanes().expect("read");
        let expanded = deliveries.expanded_through();
        let rebuilt = rebuild(published, &path);
        if synced {
            prop_assert_eq!(rebuilt.lanes().expect("read"), lanes);
            prop_assert_eq!(dead(&rebuilt), dead(&deliveries));
        }
        // Everything is expanded in both, so that nothing more can come.
        while expand(&deliveries) {}
        while expand(&rebuilt) {}
        let before = outstanding(&deliveries);
        let after = outstanding(&rebuilt);
        let kept: BTreeSet<_> = after.union(&dead(&rebuilt)).cloned().collect();
        prop_assert!(kept.is_superset(&before));
        if synced {
            // Of the entry that was being expanded, what had arrived may go out again.
            prop_assert!(after.difference(&before).all(|(_, _, offset, _)| *offset > expanded));
        }
        prop_assert!(rebuilt.catching_up().expect("read").is_empty());

        // And the rebuilt one has a ledger again, which leads to the same once more.
        rebuilt.sync_ledger().expect("written");
        let again = rebuild(published, &path);
        while expand(&again) {}
        prop_assert_eq!(outstanding(&again), after);
    }
}

#[test]
fn expansion_goes_on_where_it_was_and_nothing_is_queued_twice() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Arc::new(MemoryEngine::default());
    let path = dir.path().join("delivery.ledger");
    let open = || Deliveries::open(Arc::clone(&engine) as _, &path, 4).expect("opened");
    publish(engine.as_ref(), 4);
    let deliveries = open();
    assert!(expand(&deliveries));
    assert_eq!(queued(&deliveries).len(), 2);
    assert_eq!(deliveries.expanded_through(), 0);
    let deliveries = open();
    let entry = deliveries
        .next_fan_out(0)
        .expect("read")
        .expect("one entry");
    assert_eq!(
        (entry.offset, entry.cursor.as_deref()),
        (4, Some([1].as_slice()))
    );
    while expand(&deliveries) {}
    assert_eq!(queued(&deliveries).len(), 4);
    assert_eq!(deliveries.expanded_through(), 4);
    assert_eq!(open().expanded_through(), 4);
}

#[test]
fn an_entry_is_unexpanded_until_all_of_it_is_queued() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Arc::new(MemoryEngine::default());
    let path = dir.path().join("delivery.ledger");
    let deliveries = Deliveries::open(Arc::clone(&engine) as _, &path, 0).expect("opened");
    [4, 5, 9]
        .iter()
        .for_each(|offset| publish(engine.as_ref(), *offset));
    let unexpanded = |limit| deliveries.unexpanded(limit).expect("read");
    assert_eq!((unexpanded(10), unexpanded(2)), (3, 2));
    expand(&deliveries);
    assert_eq!(unexpanded(10), 3, "half of the first is");
    expand(&deliveries);
    assert_eq!(unexpanded(10), 2);
    while expand(&deliveries) {}
    assert_eq!(unexpanded(10), 0);

    let first = &heads(&deliveries)[0].place;
    let waiting = || {
        deliveries
            .waiting()
            .expect("read")
            .get(&first.host)
            .copied()
    };
    let before = waiting().expect("something waits");
    assert_eq!(
        deliveries.oldest(&first.host).expect("read"),
        Some(first.offset)
    );
    let mut change = deliveries.change();
    change.set_aside(first, heads(&deliveries)[0].item.clone(), 1);
    deliveries.commit(change).expect("committed");
    let after = Waiting {
        queued: before.queued - 1,
        set_aside: 1,
    };
    assert_eq!(waiting(), Some(after));
    assert_eq!(
        deliveries.oldest(&first.host).expect("read"),
        Some(first.offset)
    );
}

#[test]
fn the_oldest_dead_letters_make_room() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Arc::new(MemoryEngine::default());
    let path = dir.path().join("delivery.ledger");
    (1..=9).for_each(|offset| publish(engine.as_ref(), offset));
    let open = || {
        let mut deliveries = Deliveries::open(Arc::clone(&engine) as _, &path, 9).expect("opened");
        deliveries.dead_max = 3;
        deliveries
    };
    let bury = |deliveries: &Deliveries| {
        let placed = heads(deliveries).remove(0);
        let mut change = deliveries.change();
        let id = change.bury(&placed.place, &letter(&placed));
        deliveries.commit(change).expect("committed");
        id
    };
    let ids = |deliveries: &Deliveries| -> Vec<u64> {
        let letters = deliveries.dead_letters(0, 100).expect("read");
        letters.into_iter().map(|(id, _)| id).collect()
    };
    let deliveries = open();
    while expand(&deliveries) {}
    deliveries.sync_ledger().expect("written");
    for _ in 0..3 {
        bury(&deliveries);
    }
    assert_eq!(ids(&deliveries), [1, 2, 3]);
    assert_eq!(deliveries.dead_letters_dropped(), 0);
    bury(&deliveries);
    assert_eq!(ids(&deliveries), [2, 3, 4]);

    // What was dropped by hand leaves room, and an index opened anew knows how much.
    let mut change = deliveries.change();
    change.drop_dead_letter(3);
    change.drop_dead_letter(3);
    change.drop_dead_letter(77);
    deliveries.commit(change).expect("committed");
    assert_eq!(deliveries.dead_letter_count().expect("read"), 2);
    deliveries.sync_ledger().expect("written");
    let deliveries = open();
    bury(&deliveries);
    assert_eq!(
        (ids(&deliveries), deliveries.dead_letters_dropped()),
        (vec![2, 4, 5], 0)
    );
    bury(&deliveries);
    assert_eq!(
        (ids(&deliveries), deliveries.dead_letters_dropped()),
        (vec![4, 5, 6], 1)
    );
    // The ledger forgets them too.
    deliveries.sync_ledger().expect("written");
    assert_eq!(ids(&rebuild(9, &path)), [4, 5, 6]);
}

#[test]
fn a_lane_as_new_is_no_row() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Arc::new(MemoryEngine::default());
    let path = dir.path().join("delivery.ledger");
    let deliveries = Deliveries::open(engine, &path, 0).expect("opened");
    let set = |lane: &Lane| {
        let mut change = deliveries.change();
        change.set_lane("h", lane);
        deliveries.commit(change).expect("committed");
    };
    let failing = Lane {
        failures: 2,
        next_try_ms: Some(9),
        ..Lane::default()
    };
    set(&failing);
    assert_eq!(deliveries.lane("h").expect("read"), failing);
    assert_eq!(deliveries.lanes().expect("read").len(), 1);
    set(&Lane::default());
    assert_eq!(deliveries.lane("h").expect("read"), Lane::default());
    assert!(deliveries.lanes().expect("read").is_empty());
}

#[test]
fn a_ledger_ahead_of_the_journal_settles_nothing_new() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("delivery.ledger");
    let first = rebuild(9, &path);
    while expand(&first) {}
    for placed in queued(&first) {
        let mut change = first.change();
        change.remove(&placed.place);
        first.commit(change).expect("committed");
    }
    first.sync_ledger().expect("written");
    // A journal put back from a copy that ends at 6; entries 7 to 9 are written anew.
    let engine = Arc::new(MemoryEngine::default());
    let second = Deliveries::open(Arc::clone(&engine) as _, &path, 6).expect("opened");
    (7..=9).for_each(|offset| publish(engine.as_ref(), offset));
    while expand(&second) {}
    let offsets: BTreeSet<u64> = queued(&second)
        .iter()
        .map(|placed| placed.place.offset)
        .collect();
    assert_eq!(offsets, BTreeSet::from([7, 8, 9]));
}

#[test]
fn texts_are_cut_between_characters() {
    let long = "é".repeat(1_000);
    assert_eq!(clip(&long).len(), 1_024);
    assert_eq!(clip("short"), "short");
}

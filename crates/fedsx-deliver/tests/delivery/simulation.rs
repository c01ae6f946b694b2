//! The whole queue, stepped by a seeded random source without threads or a runtime: hosts come and go,
//! items fail, the process dies and finds its index cut off or thrown away; nothing is lost, and nothing
//! overtakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use fedsx_deliver::DeliveryOptions;
use fedsx_deliver::attempt::{Done, Try, attempt};
use fedsx_deliver::fanout::Expander;
use fedsx_deliver::outbound::Outbound as _;
use fedsx_deliver::scheduler::Scheduler;
use fedsx_store::delivery::Deliveries;
use fedsx_store::engine::Engine;
use fedsx_store::simulation::CrashEngine;
use futures_util::FutureExt;

use crate::world::{Facts, Mood, World, apply, follower};

const ACTORS: u64 = 3;
const HOSTS: u64 = 6;

/// A seeded random source (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Which failures there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Hosts fail; order is kept.
    Hosts,
    /// Items fail as well.
    Items,
    /// Hosts fail, and after a minute they are dormant; order is kept.
    Dormancy,
}

struct Simulation {
    random: Random,
    trouble: Trouble,
    world: Arc<World>,
    engine: Arc<CrashEngine>,
    deliveries: Arc<Deliveries>,
    expander: Expander<World>,
    scheduler: Scheduler,
    flying: Vec<Try>,
    dir: tempfile::TempDir,
    /// Entries whose rows an index that is opened anew holds already: applied, as far as it knows.
    applied: Vec<usize>,
}

fn actor(n: u64) -> ActorNo {
    ActorNo(u32::try_from(n).expect("small"))
}

fn facts() -> Facts {
    let mut facts = Facts {
        now_ms: 1_000_000,
        ..Facts::default()
    };
    for sender in 0..ACTORS {
        let followers = (0..12).filter(|n| (n + sender) % 3 != 0).map(|n| {
            let host = format!("https://h{}", n % HOSTS);
            // Half of the hosts have a shared inbox.
            let shared = format!("{host}/inbox");
            let shared = (n % 2 == 0).then_some(shared.as_str());
            follower(
                &format!("{host}/f{n}"),
                &format!("{host}/f{n}/inbox"),
                shared,
            )
        });
        facts.followers.insert(actor(sender), followers.collect());
    }
    facts.inboxes.insert(
        "https://h1/moved".to_owned(),
        "https://h2/moved/inbox".to_owned(),
    );
    facts
}

fn options(trouble: Trouble) -> DeliveryOptions {
    let default = DeliveryOptions::default();
    DeliveryOptions {
        chunk: 3,
        in_flight_max: 8,
        dormant_after_ms: match trouble {
            Trouble::Dormancy => 60_000,
            Trouble::Hosts | Trouble::Items => default.dormant_after_ms,
        },
        ..default
    }
}

fn parts(
    world: &Arc<World>,
    engine: &Arc<CrashEngine>,
    ledger: &Path,
    seed: u64,
    trouble: Trouble,
) -> (Arc<Deliveries>, Expander<World>, Scheduler) {
    let applied = world.facts().entries.len() as u64;
    let deliveries = Deliveries::open(Arc::clone(engine) as Arc<dyn Engine>, ledger, applied);
    let deliveries = Arc::new(deliveries.expect("opened"));
    let options = options(trouble);
    let expander = Expander::new(Arc::clone(world), Arc::clone(&deliveries), options.clone());
    let scheduler = Scheduler::new(Arc::clone(&deliveries), options, seed).expect("read");
    (deliveries, expander, scheduler)
}

impl Simulation {
    fn new(seed: u64, trouble: Trouble) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let world = World::new(facts());
        let engine = Arc::new(CrashEngine::default());
        let ledger = dir.path().join("delivery.ledger");
        let (deliveries, expander, scheduler) = parts(&world, &engine, &ledger, seed, trouble);
        Self {
            random: Random(seed),
            trouble,
            world,
            engine,
            deliveries,
            expander,
            scheduler,
            flying: Vec::new(),
            dir,
            applied: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..4 => self.publish(),
            4..11 => {
                self.expand();
            }
            11 => {
                self.find_again();
            }
            12..20 => {
                self.start();
            }
            20..32 => self.land(),
            32..34 => self.pass(),
            34..36 => self.change_mood(),
            36 => self.deliveries.sync_ledger().expect("written"),
            37 => {
                let host = format!("h{}", self.random.below(HOSTS));
                let now_ms = self.world.facts().now_ms;
                self.scheduler.wake(&host, now_ms).expect("written");
            }
            38 if self.random.one_in(4) => self.crash(),
            39 if self.random.one_in(8) => self.lose_the_index(),
            _ => {}
        }
    }

    fn publish(&mut self) {
        let sender = self.random.below(ACTORS);
        let named = match self.random.below(6) {
            0 => vec!["https://h1/moved".to_owned()],
            1 => vec![
                format!("https://h{}/named", self.random.below(HOSTS)),
                "https://h0/f0".to_owned(),
            ],
            _ => Vec::new(),
        };
        let followers = !self.random.one_in(4);
        self.world
            .publish(self.engine.as_ref(), actor(sender), |entry| {
                entry.named = named;
                entry.followers = followers;
            });
        self.applied.push(self.engine.commits());
    }

    fn expand(&mut self) -> bool {
        let chunk = self.expander.gather().expect("read");
        let is_new = chunk.is_some();
        if let Some(chunk) = chunk {
            let places = self.expander.commit(chunk).expect("written");
            self.scheduler.queued(&places);
        }
        is_new | self.find_again()
    }

    fn find_again(&mut self) -> bool {
        let Some(found) = self.expander.find_again().expect("read") else {
            return false;
        };
        let places = self.expander.queue_again(found).expect("written");
        self.scheduler.queued(&places);
        true
    }

    fn start(&mut self) -> bool {
        let now_ms = self.world.facts().now_ms;
        let Some(tried) = self.scheduler.next(now_ms).expect("read") else {
            return false;
        };
        let place = &tried.placed.place;
        let same = self.flying.iter().map(|tried| &tried.placed.place);
        let along = |tried: &Try| tried.batch.as_ref().map_or(0, |batch| batch.others.len());
        let beside = same
            .clone()
            .filter(|other| other.host == place.host)
            .count();
        let a_batch = self
            .flying
            .iter()
            .filter(|one| one.placed.place.host == place.host);
        assert!(
            a_batch.map(along).sum::<usize>() == 0,
            "nothing begins beside a batch"
        );
        assert!(along(&tried) == 0 || beside < 4);
        let host = same
            .clone()
            .filter(|other| other.host == place.host)
            .count();
        assert!(host < 4, "four to a host");
        let pair = same.filter(|other| other.host == place.host && other.actor == place.actor);
        assert_eq!(pair.count(), 0, "one of an actor to a host");
        while let Some((host, inbox)) = self.scheduler.next_to_ask() {
            let said = self.world.offer(&inbox).now_or_never().expect("at once");
            self.scheduler.told(host, said, now_ms);
        }
        self.flying.push(tried);
        assert!(self.flying.len() <= 8);
        true
    }

    fn land(&mut self) {
        let mut landed = Vec::new();
        for _ in 0..=self.random.below(2) {
            if self.flying.is_empty() {
                break;
            }
            let nth = self.random.below(self.flying.len() as u64);
            let tried = self
                .flying
                .swap_remove(usize::try_from(nth).expect("small"));
            landed.push(
                attempt(self.world.as_ref(), tried)
                    .now_or_never()
                    .expect("at once"),
            );
        }
        let now_ms = self.world.facts().now_ms;
        self.scheduler.settle(landed, now_ms).expect("written");
    }

    /// Time passes; more of it when there is nothing else to do.
    fn pass(&mut self) {
        let mut facts = self.world.facts();
        facts.now_ms += i64::try_from(self.random.below(3_000)).expect("small");
        if self.flying.is_empty()
            && let Some(at_ms) = self.scheduler.next_timer()
        {
            facts.now_ms = facts.now_ms.max(at_ms);
        }
    }

    fn change_mood(&mut self) {
        let host = format!("h{}", self.random.below(HOSTS));
        // Now and then one takes batches, or stops to.
        if self.random.one_in(4) {
            let mut facts = self.world.facts();
            if !facts.batching.remove(&host) {
                facts.batching.insert(host.clone());
            }
        }
        let offsets = (0..5).map(|_| 1 + self.random.below(60)).collect();
        let mood = match (self.trouble, self.random.below(8)) {
            (_, 0..2) => Mood::Down,
            (_, 2) => Mood::Answers(503),
            (Trouble::Items, 3) => Mood::AnswersOn(400, offsets),
            (Trouble::Items, 4) => Mood::AnswersOn(500, offsets),
            (Trouble::Items, 5) => Mood::Answers(500),
            _ => Mood::Well,
        };
        self.world.set_mood(&host, mood);
    }

    /// The process dies, and the index has lost its last commits; the journal has not.
    fn crash(&mut self) {
        let lost = self.random.below(20);
        let kept = self
            .engine
            .commits()
            .saturating_sub(usize::try_from(lost).expect("small"));
        let engine = self.engine.cut_to(kept).expect("memory takes all");
        self.applied.retain(|at| *at <= kept);
        self.open(engine);
    }

    /// The process dies, and its index with it: only the journal and the ledger are left.
    fn lose_the_index(&mut self) {
        self.applied.clear();
        self.open(CrashEngine::default());
    }

    /// Starts over an index, to which the entries that it lacks are applied again.
    fn open(&mut self, engine: CrashEngine) {
        let missing: Vec<(u64, ActorNo)> = self
            .world
            .facts()
            .entries
            .iter()
            .skip(self.applied.len())
            .map(|(offset, entry)| {
                let (_, no) = entry.sender.rsplit_once('a').expect("an actor");
                (*offset, ActorNo(no.parse().expect("a number")))
            })
            .collect();
        for (offset, actor) in missing {
            apply(&engine, offset, actor);
            self.applied.push(engine.commits());
        }
        self.engine = Arc::new(engine);
        let ledger = self.dir.path().join("delivery.ledger");
        let seed = self.random.0;
        (self.deliveries, self.expander, self.scheduler) =
            parts(&self.world, &self.engine, &ledger, seed, self.trouble);
        self.flying.clear();
    }

    /// All hosts are well again, and everything comes to its end.
    fn finish(&mut self) {
        self.world.facts().moods.clear();
        for _ in 0..100_000 {
            let moved = self.expand() | self.start() | self.deliveries.is_wanted();
            self.land();
            if !moved && self.flying.is_empty() {
                let Some(at_ms) = self.scheduler.next_timer() else {
                    return;
                };
                let mut facts = self.world.facts();
                facts.now_ms = facts.now_ms.max(at_ms);
            }
        }
        panic!("it never comes to rest");
    }

    /// The inboxes at which an entry must have arrived.
    fn expected(&self, offset: u64) -> BTreeSet<String> {
        let facts = self.world.facts();
        let entry = &facts.entries[&offset];
        let (_, no) = entry.sender.rsplit_once('a').expect("an actor");
        let followers = &facts.followers[&ActorNo(no.parse().expect("a number"))];
        let mut inboxes = BTreeSet::new();
        if entry.followers {
            for follower in followers {
                let inbox = follower.shared_inbox.as_ref().or(follower.inbox.as_ref());
                inboxes.insert(inbox.expect("remote").clone());
            }
        }
        for named in &entry.named {
            let follows = followers.iter().any(|follower| follower.peer == *named);
            if !(entry.followers && follows) {
                let inbox = facts.inboxes.get(named).cloned();
                inboxes.insert(inbox.unwrap_or(format!("{named}/inbox")));
            }
        }
        inboxes
    }

    fn arrived_once(&self, seed: u64) {
        let facts = self.world.facts();
        let once: BTreeSet<_> = facts.arrived.iter().collect();
        assert_eq!(once.len(), facts.arrived.len(), "seed {seed}");
    }

    fn check(&self, seed: u64) {
        let letters = self.deliveries.dead_letters(0, 10_000).expect("read");
        let dead: BTreeSet<(u64, String)> = letters
            .into_iter()
            .map(|(_, letter)| {
                let peer = letter.item.recipient.peer().to_owned();
                (
                    letter.offset,
                    letter.item.inbox.unwrap_or(format!("{peer}/inbox")),
                )
            })
            .collect();
        if self.trouble != Trouble::Items {
            assert!(dead.is_empty(), "seed {seed}: {dead:?}");
        }
        let facts = self.world.facts();
        let arrived = facts.arrived.clone();
        let offsets: Vec<u64> = facts.entries.keys().copied().collect();
        drop(facts);
        for offset in offsets {
            let mut missing = self.expected(offset);
            missing.retain(|inbox| {
                let there = arrived
                    .iter()
                    .any(|(_, at, _, of)| at == inbox && *of == offset);
                !there && !dead.contains(&(offset, inbox.clone()))
            });
            assert!(
                missing.is_empty(),
                "seed {seed}: entry {offset} is not at {missing:?}"
            );
        }
        if self.trouble != Trouble::Items {
            check_order(seed, &arrived);
        }
        assert!(
            self.deliveries.hosts_queued().expect("read").is_empty(),
            "seed {seed}"
        );
        assert!(
            self.deliveries.hosts_aside().expect("read").is_empty(),
            "seed {seed}"
        );
        assert!(
            self.deliveries.lanes().expect("read").is_empty(),
            "seed {seed}"
        );
        assert!(self.deliveries.missing().is_empty(), "seed {seed}");
    }
}

/// What an actor sends arrives at each inbox in the order of the journal; what is sent again after a crash
/// doesn't count.
fn check_order(seed: u64, arrived: &[(String, String, ActorNo, u64)]) {
    let mut last: BTreeMap<(&str, ActorNo), u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (_, inbox, actor, offset) in arrived {
        // The lane of an inbox that lies elsewhere than its actor begins with a time of its own.
        if !seen.insert((inbox, offset)) || inbox.contains("moved") {
            continue;
        }
        let last = last.entry((inbox.as_str(), *actor)).or_default();
        assert!(
            *last < *offset,
            "seed {seed}: {offset} after {last} at {inbox}"
        );
        *last = *offset;
    }
}

/// Simulates as many seeds as `FEDSX_SEEDS` says, or a few.
fn simulate(first: u64, trouble: Trouble) {
    let seeds = std::env::var("FEDSX_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    let mut were_dormant = false;
    for seed in first..first + seeds.unwrap_or(20) {
        let mut simulation = Simulation::new(seed, trouble);
        for _ in 0..600 {
            simulation.step();
            were_dormant |= simulation.deliveries.dormant() > 0;
        }
        simulation.finish();
        simulation.check(seed);
    }
    assert_eq!(were_dormant, trouble == Trouble::Dormancy);
}

#[test]
fn while_hosts_come_and_go_nothing_is_lost_and_nothing_overtakes() {
    simulate(0, Trouble::Hosts);
}

#[test]
fn while_items_fail_each_arrives_or_is_a_dead_letter() {
    simulate(1_000_000, Trouble::Items);
}

#[test]
fn while_hosts_are_dormant_for_a_while_nothing_is_lost_and_nothing_overtakes() {
    simulate(2_000_000, Trouble::Dormancy);
}

#[test]
fn without_a_crash_nothing_is_sent_twice() {
    let troubles = [Trouble::Hosts, Trouble::Dormancy];
    for (seed, trouble) in (0..10).flat_map(|seed| troubles.map(|trouble| (seed, trouble))) {
        let mut simulation = Simulation::new(seed, trouble);
        for _ in 0..400 {
            match simulation.random.below(6) {
                0 => simulation.publish(),
                1 => {
                    simulation.expand();
                }
                2 => {
                    simulation.start();
                }
                3 => simulation.land(),
                4 => simulation.pass(),
                _ => simulation.change_mood(),
            }
        }
        simulation.finish();
        simulation.check(seed);
        simulation.arrived_once(seed);
    }
}

/// A ledger that is up to date keeps a thrown-away index from sending anything again.
#[test]
fn after_reindex_only_what_is_unsettled_is_sent() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, Trouble::Hosts);
        for _ in 0..30 {
            simulation.publish();
        }
        while simulation.expand() {}
        simulation.world.set_mood("h3", Mood::Down);
        for _ in 0..200 {
            simulation.start();
            simulation.land();
        }
        while !simulation.flying.is_empty() {
            simulation.land();
        }
        simulation.deliveries.sync_ledger().expect("written");
        simulation.lose_the_index();
        simulation.finish();
        simulation.check(seed);
        simulation.arrived_once(seed);
    }
}

#[test]
fn a_done_that_is_settled_once_frees_its_place() {
    let mut simulation = Simulation::new(7, Trouble::Hosts);
    simulation.publish();
    while simulation.expand() {}
    assert!(simulation.start());
    assert_eq!(simulation.scheduler.in_flight(), 1);
    let tried = simulation.flying.pop().expect("it was started");
    let host = Arc::clone(&tried.placed.place.host);
    let watched = simulation.scheduler.watched();
    assert_eq!(watched.in_flight(&host), 1);
    let done = Done::of_one(tried, fedsx_deliver::lane::Outcome::Arrived);
    simulation
        .scheduler
        .settle(vec![done], 1_000_001)
        .expect("written");
    assert_eq!(watched.in_flight(&host), 0);
    assert_eq!(simulation.scheduler.in_flight(), 0);
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What happens to the instance while a host is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interruption {
    Nothing,
    Restart,
    IndexLost,
}

impl Simulation {
    /// Everything that can happen happens until then.
    fn live_until(&mut self, until_ms: i64) {
        loop {
            let moved = self.expand() | self.start() | self.deliveries.is_wanted();
            self.land();
            if moved || !self.flying.is_empty() {
                continue;
            }
            let timer = self.scheduler.next_timer();
            let mut facts = self.world.facts();
            facts.now_ms = timer.unwrap_or(until_ms).clamp(facts.now_ms, until_ms);
            if facts.now_ms == until_ms {
                return;
            }
        }
    }

    fn publish_as(&mut self, sender: u64, entry: impl FnOnce(&mut fedsx_deliver::outbound::Entry)) {
        self.world
            .publish(self.engine.as_ref(), actor(sender), entry);
        self.applied.push(self.engine.commits());
    }

    fn last_offset(&self) -> u64 {
        self.world.facts().entries.len() as u64
    }

    fn queued_for(&self, host: &str) -> u64 {
        let waiting = self.deliveries.waiting().expect("read");
        waiting.get(host).map_or(0, |waiting| waiting.queued)
    }

    fn interrupt(&mut self, interruption: Interruption) {
        match interruption {
            Interruption::Nothing => {}
            Interruption::Restart => {
                let engine = self.engine.cut_to(self.engine.commits());
                let engine = engine.expect("memory takes all");
                self.open(engine);
            }
            Interruption::IndexLost => {
                self.deliveries.sync_ledger().expect("written");
                self.lose_the_index();
            }
        }
    }
}

/// One follower of the first actor on the host that is away, which has no shared inbox.
fn lone(simulation: &Simulation, name: &str) {
    let url = format!("https://h2/{name}");
    let offset = simulation.last_offset();
    let follower = fedsx_core::state::Follower {
        from: offset,
        ..follower(&url, &format!("{url}/inbox"), None)
    };
    let mut facts = simulation.world.facts();
    facts
        .followers
        .get_mut(&actor(0))
        .expect("it has some")
        .push(follower);
}

fn away_for_thirty_days(interruption: Interruption) {
    let mut simulation = Simulation::new(30, Trouble::Hosts);
    let begun_ms = simulation.world.facts().now_ms;
    lone(&simulation, "lone");
    lone(&simulation, "parted");
    simulation.world.set_mood("h2", Mood::Down);
    // What it must have in the end, by offset.
    let mut expected: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut erased = BTreeSet::new();
    let (mut late_since, mut tried_by_day_eight) = (None, 0);
    let inbox = |name: &str| format!("https://h2/{name}/inbox");
    for quarter in 0..120_u64 {
        let sender = quarter % ACTORS;
        let takes_back = (quarter == 48).then_some(6);
        simulation.publish_as(sender, |entry| {
            match quarter % 10 {
                3 => entry.hidden = vec!["https://h2/hidden".to_owned()],
                4 => entry.named = vec!["https://h2/blocked".to_owned()],
                5 => entry.followers = false,
                _ => {}
            }
            entry.takes_back = takes_back;
        });
        let offset = simulation.last_offset();
        let at = expected.entry(offset).or_default();
        if quarter % 10 == 3 {
            at.insert(inbox("hidden"));
        }
        if quarter % 10 != 5 && sender != 1 {
            at.insert("https://h2/inbox".to_owned());
            if sender == 0 {
                at.insert(inbox("lone"));
                at.extend(late_since.map(|_: u64| inbox("late")));
                at.extend(takes_back.map(|_| inbox("parted")));
            }
        }
        let day = quarter / 4;
        let until_ms = begun_ms + HOUR_MS * 6 * i64::try_from(quarter + 1).expect("small");
        simulation.live_until(until_ms);
        match quarter {
            32 => tried_by_day_eight = tries(&simulation),
            40 => part(&simulation, "parted"),
            60 => {
                // Two that it missed, and one that everybody else has.
                erased.extend([7, 25, 50]);
                simulation.world.facts().erased.extend([7, 25, 50]);
                let blocked = (0..ACTORS).map(|n| (actor(n), "https://h2/blocked".to_owned()));
                simulation.world.facts().blocked.extend(blocked);
                simulation.interrupt(interruption);
            }
            80 => {
                lone(&simulation, "late");
                late_since = Some(simulation.last_offset());
            }
            _ => {}
        }
        if day >= 9 {
            assert_eq!(simulation.queued_for("h2"), 0, "day {day}: rows");
            let missed = simulation.deliveries.missed("h2", 100).expect("read");
            assert!((1..=3).contains(&missed.len()), "day {day}: {missed:?}");
        }
    }
    let probes = tries(&simulation) - tried_by_day_eight;
    assert!((18..=26).contains(&probes), "{probes} tries in 22 days");
    simulation.world.facts().moods.clear();
    simulation
        .scheduler
        .wake("h2", begun_ms + 30 * DAY_MS)
        .expect("written");
    simulation.live_until(begun_ms + 30 * DAY_MS + 60_000);
    expected.retain(|offset, at| !erased.contains(offset) && !at.is_empty());
    arrived_at_last(&simulation, &expected);
}

/// At the host that was away there is what it must have, once and in order, and nothing is kept for it.
fn arrived_at_last(simulation: &Simulation, expected: &BTreeMap<u64, BTreeSet<String>>) {
    let facts = simulation.world.facts();
    let there: Vec<_> = facts
        .arrived
        .iter()
        .filter(|(host, ..)| host == "h2")
        .collect();
    let mut arrived: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for (_, inbox, _, offset) in &there {
        let is_new = arrived.entry(*offset).or_default().insert(inbox.clone());
        assert!(is_new, "{offset} is twice at {inbox}");
    }
    assert_eq!(arrived, *expected);
    check_order(30, &facts.arrived);
    drop(facts);
    assert!(simulation.deliveries.missing().is_empty());
    assert!(simulation.deliveries.lanes().expect("read").is_empty());
    assert_eq!(simulation.queued_for("h2"), 0);
}

/// How often the host that is away was tried.
fn tries(simulation: &Simulation) -> usize {
    let facts = simulation.world.facts();
    facts.tried.iter().filter(|(host, _)| host == "h2").count()
}

/// A follower of the first actor on the host that is away ends it.
fn part(simulation: &Simulation, name: &str) {
    let url = format!("https://h2/{name}");
    let offset = simulation.last_offset();
    let mut facts = simulation.world.facts();
    let followers = facts.followers.get_mut(&actor(0)).expect("it has some");
    let follower = followers.iter_mut().find(|follower| follower.peer == url);
    follower.expect("it follows").until = Some(offset);
}

#[test]
fn a_host_that_was_away_for_thirty_days_gets_what_it_missed_and_kept_no_rows_meanwhile() {
    away_for_thirty_days(Interruption::Nothing);
}

#[test]
fn the_same_over_a_restart() {
    away_for_thirty_days(Interruption::Restart);
}

#[test]
fn the_same_where_the_index_is_lost_meanwhile() {
    away_for_thirty_days(Interruption::IndexLost);
}

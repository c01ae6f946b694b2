//! Delivery as it runs, on tokio's paused clock: hours pass in no time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fedsx_core::entry::ActorNo;
use fedsx_deliver::lane::Standing;
use fedsx_deliver::{Delivery, DeliveryOptions, LaneStatus, Selection};
use fedsx_store::delivery::Deliveries;
use fedsx_store::engine::MemoryEngine;
use tokio_util::sync::CancellationToken;

use crate::world::{Facts, Mood, World, follower};

const ALICE: ActorNo = ActorNo(0);

struct Instance {
    world: Arc<World>,
    engine: Arc<MemoryEngine>,
    dir: tempfile::TempDir,
}

impl Instance {
    /// Alice, with a follower on each of these hosts.
    fn new(hosts: &[&str]) -> Self {
        let followers = hosts.iter().map(|host| {
            follower(
                &format!("https://{host}/bob"),
                &format!("https://{host}/bob/inbox"),
                None,
            )
        });
        let facts = Facts {
            now_ms: 1_000_000_000,
            paused: Some(tokio::time::Instant::now()),
            followers: [(ALICE, followers.collect())].into(),
            ..Facts::default()
        };
        Self {
            world: World::new(facts),
            engine: Arc::default(),
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    fn delivery(&self) -> Delivery<World> {
        let ledger = self.dir.path().join("delivery.ledger");
        let deliveries = Deliveries::open(Arc::clone(&self.engine) as _, ledger, u64::MAX);
        let deliveries = Arc::new(deliveries.expect("opened"));
        // Written less often than by default: these tests run for days.
        let options = DeliveryOptions {
            ledger_ms: 3_600_000,
            ..DeliveryOptions::default()
        };
        Delivery::new(Arc::clone(&self.world), deliveries, options)
    }

    fn publish(&self) {
        self.world.publish(self.engine.as_ref(), ALICE, |_| {});
    }

    fn arrived(&self, host: &str) -> Vec<u64> {
        let facts = self.world.facts();
        let there = facts.arrived.iter().filter(|(at, ..)| at == host);
        there.map(|(.., offset)| *offset).collect()
    }

    fn tries(&self, host: &str) -> usize {
        self.world
            .facts()
            .tried
            .iter()
            .filter(|(at, _)| at == host)
            .count()
    }
}

/// Runs delivery beside `what`, and stops it then.
async fn beside<T>(delivery: &Delivery<World>, what: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let both = async {
        let result = what.await;
        stop.cancel();
        result
    };
    let (ran, result) = tokio::join!(delivery.run(stop.clone()), both);
    ran.expect("memory doesn't fail");
    result
}

/// [`until`] the lanes are so.
async fn until_lanes(delivery: &Delivery<World>, mut are_so: impl FnMut(&[LaneStatus]) -> bool) {
    until(|| are_so(&delivery.lanes().expect("read"))).await;
}

/// Waits until it is so, for at most a month.
async fn until(mut is_so: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(30 * 86_400),
            "it never comes about"
        );
        let passed = start.elapsed().max(Duration::from_millis(10));
        tokio::time::sleep((passed / 10).min(Duration::from_secs(60))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_costs_the_others_nothing_and_a_sign_of_life_ends_its_wait() {
    let instance = Instance::new(&["dead", "well"]);
    instance.world.set_mood("dead", Mood::Down);
    let delivery = instance.delivery();
    beside(&delivery, async {
        let start = tokio::time::Instant::now();
        (0..5).for_each(|_| instance.publish());
        until(|| instance.arrived("well").len() == 5).await;
        assert!(start.elapsed() < Duration::from_secs(1));
        until(|| instance.tries("dead") == 3).await;
        let lanes = delivery.lanes().expect("read");
        assert_eq!(lanes.len(), 1);
        assert_eq!((lanes[0].host.as_str(), lanes[0].queued), ("dead", 5));
        assert_eq!((lanes[0].failures, lanes[0].oldest_offset), (3, Some(1)));
        assert_eq!(lanes[0].state, Standing::BackingOff);
        assert_eq!(lanes[0].last_error.as_deref(), Some("no connection"));

        instance.world.set_mood("dead", Mood::Well);
        let back = tokio::time::Instant::now();
        until(|| {
            delivery.wake_host("dead");
            instance.arrived("dead").len() == 5
        })
        .await;
        assert!(back.elapsed() < Duration::from_secs(3));
        assert_eq!(instance.arrived("dead"), [1, 2, 3, 4, 5]);
        assert!(delivery.lanes().expect("read").is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_published_counts_before_it_is_expanded() {
    let instance = Instance::new(&["dead"]);
    instance.world.set_mood("dead", Mood::Down);
    let delivery = instance.delivery();
    (0..5).for_each(|_| instance.publish());
    assert!(delivery.lanes().expect("read").is_empty());
    assert_eq!(delivery.unexpanded().expect("read"), 5);
    beside(&delivery, async {
        until(|| {
            // In this order nothing is in neither.
            let unexpanded = delivery.unexpanded().expect("read");
            let lanes = delivery.lanes().expect("read");
            let queued: u64 = lanes.iter().map(|lane| lane.queued).sum();
            assert!(unexpanded + queued >= 5);
            unexpanded == 0
        })
        .await;
        let totals = delivery.totals().expect("read");
        assert_eq!((totals.unexpanded, totals.waiting), (0, 5));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_away_for_ten_days_gets_everything_in_order() {
    let instance = Instance::new(&["away"]);
    instance.world.set_mood("away", Mood::Down);
    let delivery = instance.delivery();
    beside(&delivery, async {
        (0..20).for_each(|_| instance.publish());
        tokio::time::sleep(Duration::from_secs(10 * 86_400)).await;
        assert_eq!(delivery.lanes().expect("read")[0].state, Standing::Dormant);
        assert!(instance.tries("away") < 20, "one probe a day");
        instance.world.set_mood("away", Mood::Well);
        until(|| instance.arrived("away").len() == 20).await;
    })
    .await;
    assert_eq!(instance.arrived("away"), (1..=20).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn what_waits_survives_a_restart() {
    let instance = Instance::new(&["away", "well"]);
    instance.world.set_mood("away", Mood::Down);
    beside(&instance.delivery(), async {
        (0..3).for_each(|_| instance.publish());
        until(|| instance.arrived("well").len() == 3 && instance.tries("away") > 0).await;
    })
    .await;
    instance.world.set_mood("away", Mood::Well);
    instance.publish();
    beside(
        &instance.delivery(),
        until(|| instance.arrived("away").len() == 4),
    )
    .await;
    assert_eq!(instance.arrived("away"), [1, 2, 3, 4]);
    assert_eq!(instance.arrived("well"), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_item_is_a_dead_letter_with_the_answer_and_can_be_tried_again_or_dropped() {
    let instance = Instance::new(&["picky"]);
    instance
        .world
        .set_mood("picky", Mood::AnswersOn(400, BTreeSet::from([1, 3])));
    let delivery = instance.delivery();
    beside(&delivery, async {
        (0..4).for_each(|_| instance.publish());
        until(|| instance.arrived("picky").len() == 2).await;
        until(|| delivery.dead_letters(0, 10).expect("read").len() == 2).await;
        let letters = delivery.dead_letters(0, 10).expect("read");
        let (id, letter) = &letters[0];
        assert_eq!(
            (letter.host.as_str(), letter.offset, letter.status),
            ("picky", 1, Some(400))
        );
        assert_eq!(letter.answer, "it is 400");

        instance.world.set_mood("picky", Mood::Well);
        assert_eq!(
            delivery.retry(Selection::Id(*id)).await.expect("written"),
            1
        );
        until(|| instance.arrived("picky").len() == 3).await;
        let rest = Selection::Host("picky".to_owned());
        assert_eq!(delivery.drop_dead_letters(&rest).expect("written"), 1);
        assert_eq!(
            delivery
                .drop_dead_letters(&Selection::All)
                .expect("written"),
            0
        );
    })
    .await;
    assert_eq!(instance.arrived("picky"), [2, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_the_host_fails_on_is_set_aside_and_then_given_up() {
    let instance = Instance::new(&["faulty"]);
    instance
        .world
        .set_mood("faulty", Mood::AnswersOn(500, BTreeSet::from([1])));
    let delivery = instance.delivery();
    beside(&delivery, async {
        let start = tokio::time::Instant::now();
        instance.publish();
        instance.publish();
        until(|| instance.arrived("faulty") == [2]).await;
        assert_eq!(instance.tries("faulty"), 4, "three in place, and the next");
        assert!(start.elapsed() < Duration::from_secs(4));
        let lanes = delivery.lanes().expect("read");
        assert_eq!((lanes[0].queued, lanes[0].set_aside), (0, 1));
        until(|| delivery.dead_letters(0, 10).expect("read").len() == 1).await;
        assert_eq!(instance.tries("faulty"), 4 + 3);
        assert!(
            start.elapsed() > Duration::from_secs(1_900),
            "30 s, 5 min, 30 min"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_nothing_gets_through_it_is_the_host() {
    let instance = Instance::new(&["broken"]);
    instance.world.set_mood("broken", Mood::Answers(500));
    let delivery = instance.delivery();
    beside(&delivery, async {
        (0..10).for_each(|_| instance.publish());
        tokio::time::sleep(Duration::from_secs(2 * 86_400)).await;
        assert!(delivery.dead_letters(0, 10).expect("read").is_empty());
        instance.world.set_mood("broken", Mood::Well);
        until(|| instance.arrived("broken").len() == 10).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_loses_its_relations_and_one_that_moved_is_found() {
    let instance = Instance::new(&["gone", "old"]);
    for host in ["gone", "old"] {
        instance.world.set_mood(host, Mood::Answers(410));
    }
    let bob = "https://old/bob".to_owned();
    instance
        .world
        .facts()
        .gone
        .insert("https://gone/bob".to_owned());
    instance
        .world
        .facts()
        .inboxes
        .insert(bob, "https://new/bob/inbox".to_owned());
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance.publish();
        until(|| instance.arrived("new").len() == 1).await;
        until_lanes(&delivery, <[_]>::is_empty).await;
    })
    .await;
    assert_eq!(instance.world.facts().ended, ["https://gone/bob"]);
    assert!(delivery.dead_letters(0, 10).expect("read").is_empty());
}

#[tokio::test(start_paused = true)]
async fn block_and_unfollow_are_looked_at_again_when_sending() {
    let instance = Instance::new(&["blocked", "parted", "kept"]);
    for host in ["blocked", "parted", "kept"] {
        instance.world.set_mood(host, Mood::Down);
    }
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance.publish();
        until(|| instance.world.facts().tried.len() == 3).await;
        {
            let mut facts = instance.world.facts();
            facts.moods.clear();
            facts
                .blocked
                .insert((ALICE, "https://blocked/bob".to_owned()));
            let followers = facts.followers.get_mut(&ALICE).expect("hers");
            followers[1].until = Some(2);
        }
        until_lanes(&delivery, |lanes| lanes.iter().all(|lane| lane.queued == 0)).await;
    })
    .await;
    assert_eq!(instance.world.facts().arrived.len(), 1);
    assert_eq!(instance.arrived("kept"), [1]);
}

#[tokio::test(start_paused = true)]
async fn local_followers_are_placed_in_chunks_and_the_named_are_reached_once() {
    let instance = Instance::new(&["well"]);
    {
        let mut facts = instance.world.facts();
        let followers = facts.followers.entry(ALICE).or_default();
        for n in 1..=1_500 {
            let local = follower(&format!("https://here/a{n}"), "", None);
            followers.push(fedsx_core::state::Follower {
                inbox: None,
                ..local
            });
        }
        facts
            .blocked
            .insert((ALICE, "https://enemy/eve".to_owned()));
    }
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance
            .world
            .publish(instance.engine.as_ref(), ALICE, |entry| {
                let named = [
                    "https://well/bob",
                    "https://well/carol",
                    "https://enemy/eve",
                    "https://here/a1",
                    "https://here/a2000",
                    "https://here/a0",
                    "https://here/nobody",
                ];
                entry.named = named.map(str::to_owned).to_vec();
                entry.hidden = vec!["https://secret/dan".to_owned()];
            });
        until(|| instance.world.facts().arrived.len() == 3).await;
        until(|| instance.world.facts().placed.len() == 1_501).await;
    })
    .await;
    let inboxes: BTreeSet<String> = instance
        .world
        .facts()
        .arrived
        .iter()
        .map(|(_, inbox, ..)| inbox.clone())
        .collect();
    let wanted = [
        "https://secret/dan/inbox",
        "https://well/bob/inbox",
        "https://well/carol/inbox",
    ];
    assert_eq!(inboxes, wanted.map(str::to_owned).into());
    assert!(
        instance
            .world
            .facts()
            .tried
            .iter()
            .all(|(host, _)| host != "enemy")
    );
}

#[tokio::test(start_paused = true)]
async fn a_shared_inbox_gets_one_copy() {
    let instance = Instance::new(&[]);
    let shared = Some("https://big/inbox");
    let followers = (0..2_500).map(|n| {
        follower(
            &format!("https://big/u{n}"),
            &format!("https://big/u{n}/inbox"),
            shared,
        )
    });
    let mut followers: Vec<_> = followers.collect();
    // Someone else's shared inbox is not believed.
    followers.push(follower("https://liar/u", "https://liar/u/inbox", shared));
    instance.world.facts().followers.insert(ALICE, followers);
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance.publish();
        until(|| instance.world.facts().arrived.len() == 2).await;
        until_lanes(&delivery, <[_]>::is_empty).await;
    })
    .await;
    assert_eq!((instance.tries("big"), instance.tries("liar")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_end_is_waited_for() {
    let instance = Instance::new(&["slow"]);
    instance.world.facts().delay_ms = 2_000;
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance.publish();
        until_lanes(&delivery, |lanes| {
            lanes.iter().any(|lane| lane.in_flight == 1)
        })
        .await;
    })
    .await;
    assert_eq!(instance.arrived("slow"), [1]);
    assert!(delivery.lanes().expect("read").is_empty());
    assert!(instance.dir.path().join("delivery.ledger").exists());

    // One that takes too long is cut, and sent again by the next run.
    instance.world.facts().delay_ms = 60_000;
    beside(&delivery, async {}).await;
    let delivery = instance.delivery();
    beside(&delivery, async {
        instance.publish();
        until_lanes(&delivery, |lanes| {
            lanes.iter().any(|lane| lane.in_flight == 1)
        })
        .await;
    })
    .await;
    assert_eq!(delivery.lanes().expect("read")[0].queued, 1);
    instance.world.facts().delay_ms = 0;
    beside(
        &instance.delivery(),
        until(|| instance.arrived("slow").len() == 2),
    )
    .await;
}

/// A shared inbox is the door of those followers of the host alone that there are when it is sent.
#[tokio::test(start_paused = true)]
async fn a_shared_inbox_behind_which_nobody_follows_any_more_gets_only_what_takes_back() {
    let instance = Instance::new(&[]);
    let shared = Some("https://big/inbox");
    let at = |name: &str| {
        let url = format!("https://big/{name}");
        follower(&url, &format!("{url}/inbox"), shared)
    };
    instance
        .world
        .facts()
        .followers
        .insert(ALICE, vec![at("blocked"), at("parted"), at("stays")]);
    instance.world.set_mood("big", Mood::Down);
    let delivery = instance.delivery();
    let lose = |name: &str| {
        let mut facts = instance.world.facts();
        let followers = facts.followers.get_mut(&ALICE).expect("hers");
        let url = format!("https://big/{name}");
        let follower = followers.iter_mut().find(|follower| follower.peer == url);
        follower.expect("it follows").until = Some(100);
    };
    beside(&delivery, async {
        instance.publish();
        until(|| instance.tries("big") == 1).await;
        let blocked = (ALICE, "https://big/blocked".to_owned());
        instance.world.facts().blocked.insert(blocked);
        lose("parted");
        instance.world.facts().moods.clear();
        until_lanes(&delivery, <[_]>::is_empty).await;
        assert_eq!(instance.arrived("big"), [1], "one of them is enough");

        instance.world.set_mood("big", Mood::Down);
        let tries = instance.tries("big");
        instance.publish();
        instance
            .world
            .publish(instance.engine.as_ref(), ALICE, |entry| {
                entry.takes_back = Some(1);
            });
        until(|| instance.tries("big") > tries).await;
        lose("stays");
        instance.world.facts().moods.clear();
        until_lanes(&delivery, <[_]>::is_empty).await;
        let facts = instance.world.facts();
        let mut arrived: Vec<(u64, &str)> = facts
            .arrived
            .iter()
            .map(|(_, inbox, _, offset)| (*offset, inbox.as_str()))
            .collect();
        arrived.sort_unstable();
        let wanted = [
            (1, "https://big/inbox"),
            (3, "https://big/inbox"),
            // Who had parted before.
            (3, "https://big/parted/inbox"),
        ];
        assert_eq!(arrived, wanted);
    })
    .await;
}

//! A peer that is down: its queue is kept and shown, and emptied in order when it is back.

use serde_json::Value;

use crate::harness::{Instance, Setup, cids, eventually, inbox, notes_by, outbox};

const NAMES: [&str; 3] = ["alice", "ann", "amy"];
const NOTES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_down_gets_everything_in_order() {
    let (mut a, mut b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&NAMES);
    b.create(&["bob"]);
    for name in NAMES {
        b.follow("bob", &a.handle(name));
    }
    b.following("bob", NAMES.len()).await;
    b.stop().await;

    // It is down for the whole of this.
    let mut posted = Vec::new();
    for number in 0..NOTES {
        for name in NAMES {
            posted.push(a.post(name, &format!("{name}'s note {number}")));
        }
    }
    let lane = failing_lane(&a, &b).await;
    assert_eq!(lane["queued"], posted.len(), "{lane}");
    assert!(["backing-off", "ready"].contains(&lane["state"].as_str().expect("a state")));
    assert!(!lane["lastError"].is_null(), "{lane}");
    assert!(lane["oldestOffset"].as_u64() > Some(0), "{lane}");

    // Neither side remembers it in memory alone.
    a.kill();
    a.restart().await;
    assert_eq!(failing_lane(&a, &b).await["queued"], posted.len());
    let dead = a.json(["dead-letters"]);
    assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");

    b.restart().await;
    a.delivered().await;
    in_order(&a, &b, "bob");
    a.verify();
    b.verify();
}

/// The lane to B, once a delivery to it has failed.
async fn failing_lane(a: &Instance, b: &Instance) -> Value {
    eventually("a failed delivery to B", async || {
        let lanes = a.json(["deliveries"]);
        let mut lanes = lanes["lanes"].as_array().expect("a list").iter();
        let lane = lanes.find(|lane| lane["host"] == b.authority())?.clone();
        (lane["failures"].as_u64() > Some(0) && lane["inFlight"] == 0).then_some(lane)
    })
    .await
}

/// What each actor of A wrote is in that inbox of B once, in its order.
fn in_order(a: &Instance, b: &Instance, reader: &str) {
    let got = inbox(b, reader);
    for name in NAMES {
        let url = a.actor_url(name);
        let sent = cids(&notes_by(&outbox(a, name), &url));
        assert_eq!(cids(&notes_by(&got, &url)), sent, "{name}'s notes");
    }
}

/// One peer's silence costs the others nothing, and a dead one is no reason to hurry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_delays_nobody_else() {
    let slow = Setup {
        settings: vec!["delivery.retry=1h".to_owned()],
        ..Setup::default()
    };
    let (a, mut b, c) = tokio::join!(
        Instance::start_as(slow),
        Instance::start(),
        Instance::start()
    );
    a.create(&["alice"]);
    b.create(&["bob"]);
    c.create(&["carol"]);
    b.follow("bob", &a.handle("alice"));
    c.follow("carol", &a.handle("alice"));
    a.followers("alice", 2).await;
    b.following("bob", 1).await;
    c.following("carol", 1).await;
    b.stop().await;
    let note = a.post("alice", "hello both");
    eventually("the note at carol", async || {
        cids(&inbox(&c, "carol")).contains(&note).then_some(())
    })
    .await;
    failing_lane(&a, &b).await;

    // The next try would be an hour away; a sign of life ends the wait.
    b.restart().await;
    b.create(&["bea"]);
    b.follow("bea", &a.handle("alice"));
    eventually("the note at bob", async || {
        cids(&inbox(&b, "bob")).contains(&note).then_some(())
    })
    .await;
}

/// A peer that was down for long is dormant: nothing is queued for it, and what it missed is found in the logs again,
/// whatever happened to the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dormant_peer_costs_a_place_in_the_logs_and_gets_what_it_missed() {
    let soon = Setup {
        settings: vec![
            "delivery.retry=100ms".to_owned(),
            "delivery.dormant_after=300ms".to_owned(),
            "delivery.probe_every=1h".to_owned(),
        ],
        ..Setup::default()
    };
    let (mut a, mut b) = tokio::join!(Instance::start_as(soon), Instance::start());
    a.create(&NAMES);
    b.create(&["bob"]);
    for name in NAMES {
        b.follow("bob", &a.handle(name));
    }
    b.following("bob", NAMES.len()).await;
    b.stop().await;

    for name in NAMES {
        a.post(name, "the first that it misses");
    }
    let dormant = async |a: &Instance| {
        let lane = eventually("a dormant lane", async || {
            let lane = failing_lane(a, &b).await;
            (lane["state"] == "dormant" && lane["queued"] == 0).then_some(lane)
        });
        lane.await
    };
    let missed_from = dormant(&a).await["missedFrom"].clone();
    assert!(missed_from.as_u64() > Some(0), "{missed_from}");
    for number in 0..NOTES {
        for name in NAMES {
            a.post(name, &format!("{name}'s note {number}"));
        }
    }
    let after = a.json(["deliveries", "wake", &b.authority()]);
    assert_eq!(after["failing"], true, "{after}");
    a.kill();
    a.restart().await;
    let lane = dormant(&a).await;
    assert_eq!(lane["missedFrom"], missed_from, "{lane}");

    b.restart().await;
    a.json(["deliveries", "wake", &b.authority()]);
    a.delivered().await;
    in_order(&a, &b, "bob");
    assert_eq!(
        a.json(["deliveries", "wake", &b.authority()])["failing"],
        false
    );
    a.verify();
}

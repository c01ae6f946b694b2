//! What waits for another instance goes to it in batches, and what came of it is on record.

use crate::harness::{Instance, Web, cids, eventually, inbox};

/// So many that they can't all be under way when B stops, nor go out by single requests unnoticed.
const NOTES: usize = 60;

/// A counter on the admin listener.
async fn counted(instance: &Instance, line: &str) -> u64 {
    let metrics = Web::new(instance.admin().0).get("/metrics").await.text();
    let value = metrics.lines().find_map(|found| found.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_goes_in_batches_and_arrives_once_and_in_order() {
    let (a, mut b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice", "anna"]);
    b.create(&["bob"]);
    for name in ["alice", "anna"] {
        b.follow("bob", &a.handle(name));
    }
    b.following("bob", 2).await;
    a.delivered().await;
    b.stop().await;
    let mut sent = Vec::new();
    for number in 0..NOTES {
        sent.push(a.post("alice", &format!("note {number}")));
        a.post("anna", &format!("hers {number}"));
    }
    b.restart().await;
    a.delivered().await;
    let got = cids(&inbox(&b, "bob"));
    let of_alice: Vec<_> = got.iter().filter(|cid| sent.contains(cid)).collect();
    assert_eq!(
        of_alice,
        sent.iter().collect::<Vec<_>>(),
        "once and in order"
    );
    let both_accepts = 2;
    assert_eq!(got.len(), 2 * NOTES + both_accepts);
    // Each single delivery is answered 202, each batch 200.
    let singles = counted(&b, "fedsx_http_answers_total{status=\"202\"}").await;
    assert!(singles < NOTES as u64, "{singles} single deliveries");

    let of = a.json(["deliveries", "--of", &sent[NOTES - 1]]);
    assert_eq!(of[0]["state"], "arrived", "{of}");
    assert_eq!(of[0]["host"], b.authority(), "{of}");
    let explained = a.json(["explain", &sent[0]]);
    assert_eq!(
        explained["deliveries"][0]["state"], "arrived",
        "{explained}"
    );
    a.verify();
    b.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_fails_is_on_record_with_the_peers_answer() {
    let (a, mut b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob"]);
    b.follow("bob", &a.handle("alice"));
    b.following("bob", 1).await;
    a.delivered().await;
    b.stop().await;
    let note = a.post("alice", "to a host that is away");
    let failed = eventually("a record of a failure", async || {
        let of = a.json(["deliveries", "--of", &note]);
        (of[0]["state"] == "host-failed").then_some(of)
    })
    .await;
    assert!(failed[0]["answer"].is_string(), "{failed}");
    b.restart().await;
    a.delivered().await;
    let of = a.json(["deliveries", "--of", &note]);
    assert_eq!(
        (&of[0]["state"], of.as_array().map(Vec::len)),
        (&"arrived".into(), Some(1))
    );

    a.cli(["block", "alice", "--host", &b.authority()]);
    let refused = b.json(["post", "bob", "no", "--to", &a.actor_url("alice")]);
    let refused = refused["cid"].as_str().expect("a CID").to_owned();
    let of = eventually("a record of a refusal", async || {
        let of = b.json(["deliveries", "--of", &refused]);
        (of[0]["state"] == "refused").then_some(of)
    })
    .await;
    assert_eq!(of[0]["status"], 403, "{of}");
    assert!(
        of[0]["answer"]
            .as_str()
            .expect("an answer")
            .contains("blocked"),
        "{of}"
    );
}

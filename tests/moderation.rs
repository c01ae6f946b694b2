//! A host that the operator shuts out: nothing comes from it or goes to it, the journal remembers it, and
//! what it sent is explained.

use crate::harness::{Instance, Setup, cids, eventually, inbox};

/// alice here and bob there, who follow each other.
async fn befriended() -> (Instance, Instance) {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob", "bea"]);
    a.follow("alice", &b.handle("bob"));
    b.follow("bob", &a.handle("alice"));
    for (instance, name) in [(&a, "alice"), (&b, "bob")] {
        instance.following(name, 1).await;
        instance.followers(name, 1).await;
    }
    (a, b)
}

/// Waits until that of `name`'s is in the other's inbox.
async fn arrived(instance: &Instance, name: &str, cid: &str) {
    eventually("what was sent", async || {
        cids(&inbox(instance, name))
            .iter()
            .any(|have| have == cid)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_from_or_goes_to_a_blocked_host() {
    let (mut a, b) = befriended().await;
    let host = b.authority();
    assert_eq!(a.json(["host", "block", &host])["blocked"], *host);
    a.cli(["host", "block", &host]).refused(1);
    a.cli(["host", "block", &a.authority()]).refused(1);
    a.cli(["host", "block", "no/host"]).refused(1);

    let unheard = a.post("alice", "not for there");
    a.delivered().await;
    assert!(!cids(&inbox(&b, "bob")).contains(&unheard));

    let refused = b.post("bob", "not for here");
    let letter = eventually("a dead letter", async || {
        let letters = b.json(["dead-letters"]);
        letters.as_array().expect("a list").first().cloned()
    })
    .await;
    assert_eq!(
        (&letter["status"], &letter["cid"]),
        (&403.into(), &(*refused).into())
    );
    let answer = letter["answer"].as_str().expect("an answer");
    assert!(answer.contains("\"code\":\"blocked\""), "{letter}");
    let why = a.json(["explain", &refused]);
    assert!(why.to_string().contains("blocked"), "{why}");
    // Nobody there is looked up.
    let said = a.cli(["follow", "alice", &b.handle("bea")]).refused(1);
    assert!(said.contains("blocked here"), "{said}");
    let said = a.cli(["follow", "alice", &b.actor_url("bea")]).refused(1);
    assert!(said.contains("blocks the host"), "{said}");

    let live = a.state();
    a.stop().await;
    a.json(["reindex"]);
    a.restart().await;
    assert_eq!(a.state(), live, "rebuilt equals live");
    assert_eq!(a.json(["host", "list"])[0]["host"], *host);

    assert_eq!(a.json(["host", "unblock", &host])["unblocked"], *host);
    assert_eq!(a.json(["host", "list"]).as_array().map(Vec::len), Some(0));
    let heard = a.post("alice", "for there again");
    arrived(&b, "bob", &heard).await;
    let heard = b.post("bob", "for here again");
    arrived(&a, "alice", &heard).await;
    a.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_list_of_hosts_no_other_is_let_in() {
    let (a, b) = tokio::join!(
        Instance::start_as(Setup {
            settings: vec!["peers.allow=example.org,friends.example:8443".to_owned()],
            ..Setup::default()
        }),
        Instance::start()
    );
    a.create(&["alice"]);
    b.create(&["bob"]);
    let follow = b.follow("bob", &a.actor_url("alice"));
    eventually("a dead letter", async || {
        let letters = b.json(["dead-letters"]);
        (letters[0]["cid"] == *follow).then_some(())
    })
    .await;
    b.following("bob", 0).await;
    let why = a.json(["explain", &follow]).to_string();
    assert!(why.contains("blocked"), "{why}");
    a.cli(["follow", "alice", &b.handle("bob")]).refused(1);
}

//! A host or an actor that the operator shuts out: nothing comes from it or goes to it, the journal remembers it,
//! and what it sent is explained.

use crate::harness::{Instance, Setup, cids, eventually, inbox, notes_by};

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
    b.is_refused("bob").await;
    let why = a.json(["explain", &follow]).to_string();
    assert!(why.contains("blocked"), "{why}");
    a.cli(["follow", "alice", &b.handle("bob")]).refused(1);
}

/// Waits until a delivery of that has been given up, and tells its account.
async fn given_up(instance: &Instance, cid: &str) -> serde_json::Value {
    eventually("a dead letter", async || {
        let letters = instance.json(["dead-letters"]);
        let mut letters = letters.as_array().expect("a list").iter();
        letters.find(|letter| letter["cid"] == *cid).cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_from_or_goes_to_a_blocked_actor_and_another_of_its_host_is_let_in() {
    let (mut a, b) = befriended().await;
    a.follow("alice", &b.handle("bea"));
    b.follow("bea", &a.handle("alice"));
    a.following("alice", 2).await;
    a.followers("alice", 2).await;
    let known = b.post("bob", "before the block");
    arrived(&a, "alice", &known).await;

    let bob = b.actor_url("bob");
    assert_eq!(a.json(["peer", "block", &b.handle("bob")])["blocked"], *bob);
    a.cli(["peer", "block", &bob]).refused(1);
    let said = a.cli(["peer", "block", "alice"]).refused(1);
    assert!(said.contains("this instance"), "{said}");
    // Both follows end on both sides, and those of bea stand.
    for (instance, name, count) in [(&a, "alice", 1), (&b, "bob", 0), (&b, "bea", 1)] {
        instance.following(name, count).await;
        instance.followers(name, count).await;
    }

    let heard = a.post("alice", "for bea alone by now");
    arrived(&b, "bea", &heard).await;
    let named = serde_json::json!({"type": "Note", "content": "psst", "to": [bob]});
    let file = a.dir().with_file_name("named.json");
    std::fs::write(&file, named.to_string()).expect("written");
    a.json(["publish", "alice", file.to_str().expect("UTF-8")]);
    a.delivered().await;
    assert_eq!(notes_by(&inbox(&b, "bob"), &a.actor_url("alice")).len(), 0);

    let to_alice = ["--to", &a.actor_url("alice")];
    let refused = b.json(["post", "bob", "not for here", to_alice[0], to_alice[1]]);
    let refused = refused["cid"].as_str().expect("a CID").to_owned();
    let follow = b.follow("bob", &a.actor_url("alice"));
    for cid in [&refused, &follow] {
        let letter = given_up(&b, cid).await;
        assert_eq!(letter["status"], 403, "{letter}");
        let answer = letter["answer"].as_str().expect("an answer");
        assert!(answer.contains("\"code\":\"blocked\""), "{letter}");
    }
    for who in [&bob, &b.handle("bob")] {
        let said = a.cli(["follow", "alice", who]).refused(1);
        assert!(said.contains("this instance blocks"), "{said}");
    }
    // What it made comes by nobody else either; what bea says herself does.
    let passed = b.json(["announce", "bea", &known]);
    let said = b.post("bea", "her own");
    arrived(&a, "alice", &said).await;
    b.delivered().await;
    let passed = passed["cid"].as_str().expect("a CID").to_owned();
    assert!(!cids(&inbox(&a, "alice")).contains(&passed));

    let live = a.state();
    a.stop().await;
    a.json(["reindex"]);
    a.restart().await;
    assert_eq!(a.state(), live, "rebuilt equals live");
    assert_eq!(a.json(["peer", "list"])[0]["actor"], *bob);
    assert_eq!(a.json(["peer", "unblock", &bob])["unblocked"], *bob);
    a.cli(["peer", "unblock", &bob]).refused(1);
    assert_eq!(a.json(["peer", "list"]).as_array().map(Vec::len), Some(0));
    b.follow("bob", &a.actor_url("alice"));
    b.following("bob", 1).await;
    let heard = a.post("alice", "for bob again");
    arrived(&b, "bob", &heard).await;
    a.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_one_actor_blocks_is_shut_out_for_that_one_alone() {
    let (mut a, b) = befriended().await;
    a.create(&["anna"]);
    a.follow("anna", &b.handle("bob"));
    b.follow("bob", &a.handle("anna"));
    b.follow("bea", &a.handle("alice"));
    a.following("anna", 1).await;
    a.followers("anna", 1).await;
    a.followers("alice", 2).await;

    let host = b.authority();
    let block = |of: &str, host: &str| a.cli(["block", of, "--host", host]);
    assert_eq!(
        a.json(["block", "alice", "--host", &host])["blocked"],
        *host
    );
    block("alice", &host).refused(1);
    block("alice", &a.authority()).refused(1);
    block("nobody", &host).refused(1);
    let listed = a.json(["host", "list", "--of", "alice"]);
    assert_eq!(listed[0]["host"], *host);
    for none in [
        a.json(["host", "list", "--of", "anna"]),
        a.json(["host", "list"]),
    ] {
        assert_eq!(none.as_array().map(Vec::len), Some(0), "{none}");
    }
    // Both follows of alice end on both sides, and those of anna stand.
    let left = [
        (&a, "alice", 0),
        (&a, "anna", 1),
        (&b, "bea", 0),
        (&b, "bob", 1),
    ];
    for (instance, name, count) in left {
        instance.following(name, count).await;
        instance.followers(name, count).await;
    }

    // In her inbox: 403. In the one that is shared: left out.
    let follow = b.follow("bob", &a.actor_url("alice"));
    let letter = given_up(&b, &follow).await;
    let answer = letter["answer"].as_str().expect("an answer");
    assert!(answer.contains("\"code\":\"blocked\""), "{letter}");
    let to = ["--to", &a.actor_url("alice")];
    let direct = b.json(["post", "bob", "not for her", to[0], to[1]]);
    let direct = direct["cid"].as_str().expect("a CID").to_owned();
    assert_eq!(given_up(&b, &direct).await["status"], 403);
    let heard = b.post("bob", "for anna alone");
    arrived(&a, "anna", &heard).await;
    assert!(!cids(&inbox(&a, "alice")).contains(&heard));

    // Nothing of hers goes there; what anna says does.
    let named = serde_json::json!({"type": "Note", "content": "psst", "to": [b.actor_url("bob")]});
    let file = a.dir().with_file_name("named.json");
    std::fs::write(&file, named.to_string()).expect("written");
    a.json(["publish", "alice", file.to_str().expect("UTF-8")]);
    a.cli(["follow", "alice", &b.handle("bob")]).refused(1);
    a.delivered().await;
    let said = a.post("anna", "for bob");
    arrived(&b, "bob", &said).await;
    assert_eq!(notes_by(&inbox(&b, "bob"), &a.actor_url("alice")).len(), 0);

    a.rebuilt_equals_live().await;
    assert_eq!(
        a.json(["unblock", "alice", "--host", &host])["unblocked"],
        *host
    );
    a.cli(["unblock", "alice", "--host", &host]).refused(1);
    a.follow("alice", &b.handle("bob"));
    a.following("alice", 1).await;
    a.verify();
    b.verify();
}

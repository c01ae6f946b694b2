//! Two instances whose follows came apart find each other again: by what a delivery tells, and by hand.

use crate::harness::{Instance, Setup, eventually};

/// alice here and bob there, whom she follows; what differs is mended at once.
async fn followed() -> (Instance, Instance) {
    let setup = Setup {
        settings: ["peers.settle=0s", "peers.compare_pause=0s"]
            .map(str::to_owned)
            .to_vec(),
        ..Setup::default()
    };
    let (a, b) = tokio::join!(
        Instance::start_as(setup.clone()),
        Instance::start_as(setup.clone())
    );
    a.create(&["alice"]);
    b.create(&["bob"]);
    a.follow("alice", &b.handle("bob"));
    a.following("alice", 1).await;
    b.followers("bob", 1).await;
    (a, b)
}

/// Says something that the other host never hears.
async fn unheard<const N: usize>(instance: &Instance, other: &Instance, said: [&str; N]) {
    let host = other.authority();
    instance.delivered().await;
    instance.cli(["host", "block", &host]).ok();
    instance.cli(said).ok();
    instance.delivered().await;
    instance.cli(["host", "unblock", &host]).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_tells_of_a_ghost_and_it_is_undone() {
    let (a, b) = followed().await;
    unheard(&a, &b, ["unfollow", "alice", &b.actor_url("bob")]).await;
    a.following("alice", 0).await;
    b.followers("bob", 1).await;
    b.post("bob", "is anybody there?");
    b.followers("bob", 0).await;
    a.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_there_is_asked_for_anew_by_hand() {
    let (a, b) = followed().await;
    let bob = b.handle("bob");
    let told = a.json(["peer", "compare", &bob]);
    assert_eq!(
        (&told["listed"], &told["here"]),
        (&1.into(), &1.into()),
        "{told}"
    );
    unheard(&b, &a, ["reject", "bob", &a.actor_url("alice")]).await;
    b.followers("bob", 0).await;
    a.following("alice", 1).await;
    eventually("it is asked for anew", async || {
        let compared = a.json(["peer", "compare", &bob]);
        (compared["asked"] == 1).then_some(())
    })
    .await;
    a.following("alice", 1).await;
    b.followers("bob", 1).await;
    let refused = a.cli(["peer", "compare", "alice"]).refused(1);
    assert!(refused.contains("of this instance"), "{refused}");
    let journal = a.cli(["journal", "dump"]);
    assert!(journal.stdout.contains("follow-lost"), "{}", journal.stdout);
}

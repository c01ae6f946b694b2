//! One process per directory, addresses that are said, and sentences for those who ask wrongly.

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Instance, Ran, Served, fedsx};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_a_directory_says_so() {
    let mut a = Instance::start().await;
    a.create(&["alice"]);
    let second = Ran::new(a.command().output().expect("it starts"));
    let said = second.refused(1);
    let dir = a.dir();
    assert!(said.contains(dir.to_str().expect("a path")), "{said}");
    assert!(said.contains(&a.pid().to_string()), "{said}");
    // The first one has not noticed.
    a.post("alice", "still here");
    let said = a.cli(["reindex"]).refused(1);
    assert!(said.contains("stop"), "{said}");

    // A killed process leaves its files behind, and the lock goes with it.
    a.kill();
    a.restart().await;
    a.post("alice", "again");
    a.stop().await;
    let reindexed = a.json(["reindex"]);
    assert_eq!(reindexed["entries"], 3, "{reindexed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_0_takes_a_free_port_and_says_which() {
    let place = TempDir::new().expect("a temporary directory");
    let dir = place.path().to_str().expect("a path");
    let serve = || {
        Served::start(&[
            "serve",
            "--data-dir",
            dir,
            "--output",
            "json",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
    };
    let mut first = serve();
    let said = first.announced();
    let url = said["url"].as_str().expect("a URL").to_owned();
    assert!(
        url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"),
        "{said}"
    );
    let status = fedsx(["--data-dir", dir, "--output", "json", "status"]).json();
    assert_eq!(status["url"], *url);
    let with_token = place.path().join("token");
    let admin: Value =
        serde_json::from_slice(&std::fs::read(place.path().join("admin.json")).expect("read"))
            .expect("JSON");
    assert_eq!(admin["url"], said["admin"]);
    std::fs::write(&with_token, admin["token"].as_str().expect("a token")).expect("written");
    let elsewhere = fedsx([
        "--admin",
        admin["url"].as_str().expect("a URL"),
        "--token-file",
        with_token.to_str().expect("a path"),
        "--output",
        "json",
        "status",
    ]);
    assert_eq!(elsewhere.json()["url"], *url);
    first.end();
    // The directory belongs to its address from now on.
    let mut second = serve();
    assert_eq!(second.announced()["url"], *url);
    second.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_wrongly_is_told_what_to_do() {
    let a = Instance::start().await;
    a.create(&["alice"]);
    for (args, code, said) in [
        (&["post", "nobody", "hi"][..], 1, "no-such-actor"),
        (&["actor", "show", "nobody"], 1, "fedsx actor list"),
        (&["actor", "create", "Not a name"], 1, "a-z"),
        (&["actor", "create", "alice"], 1, "alice"),
        (&["follow", "alice", "nonsense"], 1, "nonsense"),
        (
            &["follow", "alice", "acct:bob@127.0.0.1:1"],
            1,
            "127.0.0.1:1",
        ),
        (&["follow", "alice", "alice"], 1, "["),
        (
            &["accept", "alice", "http://127.0.0.1:1/actors/bob"],
            1,
            "[",
        ),
        (&["get", "baga"], 1, "malformed-cid"),
        (
            &["publish", "alice", "no-such-file.json"],
            2,
            "no-such-file.json",
        ),
        (&["dead-letters", "retry", "7"], 1, "fedsx dead-letters"),
    ] {
        let before = a.state();
        let answer = {
            let dir = a.dir();
            let global = ["--data-dir", dir.to_str().expect("a path")];
            fedsx(global.iter().chain(args))
        };
        let sentence = answer.refused(code);
        assert!(sentence.contains(said), "{args:?}: {sentence}");
        assert_eq!(a.state(), before, "{args:?}");
    }
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let place = TempDir::new().expect("a temporary directory");
    let dir = place.path().to_str().expect("a path");
    let ask = |args: &[&str]| fedsx(["--data-dir", dir].iter().chain(args));
    let said = ask(&["status"]).refused(3);
    assert!(said.contains("serve"), "{said}");
    for command in ["verify", "reindex"] {
        let said = ask(&[command]).refused(1);
        assert!(said.contains("journal"), "{said}");
    }
    for (args, said) in [
        (["serve", "--set", "delivery.retyr=1s"], "delivery.retry"),
        (["serve", "--set", "store.engine=redb"], "fjall"),
        (["serve", "--listen", "nowhere"], "127.0.0.1:8080"),
    ] {
        let sentence = ask(&args).refused(2);
        assert!(sentence.contains(said), "{args:?}: {sentence}");
    }
    let unknown = ask(&["frobnicate"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("frobnicate"), "{unknown:?}");
    let script = ask(&["completions", "bash"]).ok();
    assert!(script.stdout.contains("complete"), "{script:?}");
}

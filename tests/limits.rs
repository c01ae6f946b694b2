//! The rate limit per address, at the real listener.

use crate::harness::{AS2, Instance, Setup, Web};

/// An instance whose limits are spent soon, with these proxies.
async fn limited(trusted_proxies: &str) -> Instance {
    let settings = [
        "server.posts_per_minute=1",
        "server.posts_burst=2",
        "server.reads_per_minute=1",
        "server.reads_burst=3",
    ];
    let mut settings: Vec<String> = settings.iter().map(|set| (*set).to_owned()).collect();
    settings.push(format!("server.trusted_proxies={trusted_proxies}"));
    let setup = Setup {
        settings,
        ..Setup::default()
    };
    Instance::start_as(setup).await
}

/// As many posts and reads as are allowed, and one more of each.
async fn spend(web: &Web) {
    for _ in 0..2 {
        web.post("/inbox", "{}").await.refused(422, "envelope");
    }
    for _ in 0..3 {
        web.get("/actors/alice").await.ok(AS2);
    }
    for answer in [
        web.post("/inbox", "{}").await,
        web.get("/actors/alice").await,
    ] {
        answer.refused(429, "rate-limited");
        let seconds: u32 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_asks_too_often_is_told_when_to_come_again() {
    let here = limited("").await;
    here.create(&["alice"]);
    spend(&here.web()).await;
    // The operator is none of those who are limited.
    here.json(["status"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_each_client_pays_for_itself() {
    let here = limited("127.0.0.1").await;
    here.create(&["alice"]);
    for client in ["192.0.2.1", "2001:db8::1"] {
        spend(&here.web().forwarded_for(client)).await;
    }
    // A program on the same machine, as every test here is one.
    for _ in 0..5 {
        here.web().get("/actors/alice").await.ok(AS2);
    }
}

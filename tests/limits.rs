//! The rate limits per address and per host, at the real listener.

use fedsx_core::actor::ed25519_key_id;
use fedsx_core::key::Ed25519Signer;

use crate::harness::{AS2, Answer, Instance, Setup, Stranger, Web, activity};

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

/// alice's inbox, and what is delivered there by HTTP signature.
struct Inbox {
    url: String,
    web: Web,
}

impl Inbox {
    /// A note by an actor of a host, signed over HTTP by that key.
    async fn note(&self, there: &Stranger, number: u32, signer: &Ed25519Signer) -> Answer {
        let bob = there.actor_url("bob");
        let mut note = activity(&bob, number, "Like", "https://example.org/note");
        note.insert("to", self.url.replace("/inbox", ""));
        let body = there.signed("bob", &note);
        let signed = Stranger::signed_with(signer, &self.url, &body);
        self.web.post_signed(&self.url, signed, body).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_pays_for_what_it_sent_and_not_for_what_others_say_it_did() {
    let settings = ["peers.posts_per_minute=1", "peers.posts_burst=3"];
    let here = Instance::start_as(Setup {
        settings: settings.map(str::to_owned).to_vec(),
        ..Setup::default()
    })
    .await;
    here.create(&["alice"]);
    let (first, second) = (Stranger::start(&["bob"]), Stranger::start(&["bob"]));
    let url = format!("{}/inbox", here.actor_url("alice"));
    let inbox = Inbox {
        web: here.web(),
        url,
    };
    let key = |there: &Stranger, seed| {
        Ed25519Signer::new(ed25519_key_id(&there.actor_url("bob"), 1), &[seed; 32])
    };
    let web = here.web();
    for number in 1..10 {
        let bob = first.actor_url("bob");
        let forged = activity(&bob, number, "Like", "https://example.org/note");
        let mut forged = first.proved("bob", &forged);
        forged.insert("content", "said by somebody else");
        let body = fedsx_core::canonical::jcs_map(&forged);
        web.post("/inbox", body).await.refused(401, "bad-signature");
    }
    for number in 11..14 {
        let answer = inbox.note(&first, number, &key(&first, 1)).await;
        answer.taken("accepted");
    }
    let before = here.state();
    for number in 14..16 {
        let answer = inbox.note(&first, number, &key(&first, 1)).await;
        answer.refused(429, "rate-limited");
        let seconds: u32 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        // By its proof alone, as another might bring it.
        let note = activity(
            &first.actor_url("bob"),
            number,
            "Like",
            "https://example.org/note",
        );
        let mut note = note;
        note.insert("to", here.actor_url("alice"));
        let answer = web.post("/inbox", first.signed("bob", &note)).await;
        answer.refused(429, "rate-limited");
    }
    assert_eq!(here.state(), before);
    let answer = inbox.note(&second, 1, &key(&second, 1)).await;
    answer.taken("accepted");
}

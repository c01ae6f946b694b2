//! The followers that each host has: told to that host alone, page by page, and how both sides meet over HTTP.

use bytes::Bytes;
use fedsx_core::entry::Control;
use fedsx_core::export::Between;
use fedsx_core::follow::{Direction, Partial, Phase, Relation};
use fedsx_core::http_signature::sign_rfc9421;
use fedsx_core::value::{Map, Value};
use fedsx_node::CompareOptions;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::setting::{Answer, Here, Network};

const PART: &str = "/actors/alice/followers_synchronization";

/// Followers of alice, as if imported.
async fn followers(here: &Here, peers: &[String]) {
    let actor = here.node.actor("alice").expect("an actor").no;
    for chunk in peers.chunks(1_000) {
        let queued: Vec<_> = chunk
            .iter()
            .map(|peer| {
                let between = Between::Relation {
                    direction: Direction::Follower,
                    peer: peer.clone(),
                    relation: Relation {
                        phase: Phase::Accepted,
                        id: Some(format!("{peer}/activities/1")),
                        inbox: Some(format!("{peer}/inbox")),
                        ..Relation::default()
                    },
                };
                let between = Box::new(between);
                let control = Control::Between { actor, between };
                let now_ms = here.node.now_ms();
                here.node
                    .writer()
                    .control(control, Bytes::new(), now_ms)
                    .expect("room")
            })
            .collect();
        for answer in queued {
            answer.wait().await.expect("appended");
        }
    }
}

/// What somebody is answered who signs.
async fn asked(here: &Here, by: &Here, name: &str, url: &str) -> Answer {
    let actor = by.node.actor(name).expect("an actor");
    let signer = by.node.signer(&actor).expect("a key");
    let now_s = by.node.now_ms() / 1_000;
    let signed = sign_rfc9421("GET", url, None, &*signer, now_s).expect("ASCII");
    let mut headers = HeaderMap::new();
    signed.insert_into(&mut headers);
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
        .collect();
    let path = url.strip_prefix("https://here.example").expect("here");
    here.get(path, &headers).await
}

fn members(page: &Map) -> Vec<String> {
    let items = page.get("orderedItems").and_then(Value::as_list);
    let items = items.expect("members").iter();
    items
        .map(|item| item.as_str().expect("a URL").to_owned())
        .collect()
}

fn link(page: &Map, member: &str) -> Option<String> {
    page.get(member).and_then(Value::as_str).map(str::to_owned)
}

async fn three(network: &Network) -> (Here, Here, Here) {
    let here = Here::new("here.example", network);
    here.actor("alice").await;
    let there = Here::new("there.example", network);
    there.actor("bob").await;
    let elsewhere = Here::new("elsewhere.example", network);
    elsewhere.actor("carol").await;
    (here, there, elsewhere)
}

#[tokio::test]
async fn each_host_is_told_of_its_own_followers_and_nobody_else_of_any() {
    let network = Network::default();
    let (here, there, elsewhere) = three(&network).await;
    let mut peers = vec!["https://elsewhere.example/actors/carol".to_owned()];
    followers(&here, &peers).await;
    let url = format!("https://here.example{PART}");

    let own = asked(&here, &elsewhere, "carol", &url).await;
    assert_eq!((own.status, members(&own.map())), (200, peers.clone()));
    assert_eq!(own.map().get("totalItems").and_then(Value::as_int), Some(1));
    assert_eq!(own.headers["cache-control"], "no-store");
    let none = asked(&here, &there, "bob", &url).await;
    assert_eq!((none.status, members(&none.map()).len()), (200, 0));
    let unsigned = here.get(PART, &[]).await;
    let unknown = here
        .get("/actors/nobody/followers_synchronization", &[])
        .await;
    for answer in [&unsigned, &unknown] {
        assert_eq!((answer.status, answer.code()), (404, unsigned.code()));
    }
    let shut_out = here.node.block_host("there.example", true).await;
    shut_out.expect("blocked");
    let barred = asked(&here, &there, "bob", &url).await;
    assert_eq!(
        (barred.status, barred.code()),
        (403, Some("blocked".to_owned()))
    );

    let many = (0..6_000).map(|number| format!("https://elsewhere.example/actors/n{number}"));
    let many: Vec<String> = many.collect();
    followers(&here, &many).await;
    followers(&here, &["https://third.example/actors/carol".to_owned()]).await;
    peers.extend(many);
    let whole = asked(&here, &elsewhere, "carol", &url).await.map();
    let total = whole.get("totalItems").and_then(Value::as_int);
    assert_eq!((total, whole.get("orderedItems")), (Some(6_001), None));
    let (mut next, mut found, mut pages) = (link(&whole, "first"), Vec::new(), 0);
    while let Some(url) = next {
        let answer = asked(&here, &elsewhere, "carol", &url).await;
        assert!(answer.body.len() < 4 << 20, "{}", answer.body.len());
        let page = answer.map();
        assert_eq!(link(&page, "id"), Some(url));
        found.extend(members(&page));
        next = link(&page, "next");
        pages += 1;
    }
    let digest = |ids: &[String]| {
        let none = Partial::default();
        ids.iter().fold(none, |partial, id| partial.with(id, true))
    };
    assert_eq!((pages, found.len()), (2, peers.len()));
    assert_eq!(digest(&found), digest(&peers));
    let alice = here.node.actor("alice").expect("an actor");
    let said = here
        .node
        .synchronization(&alice, "https://elsewhere.example/inbox")
        .expect("reads");
    assert_eq!(said.expect("followers there").digest, digest(&peers).hex());
    let odd = format!("{url}?after=nothing");
    assert_eq!(asked(&here, &elsewhere, "carol", &odd).await.status, 400);
}

#[tokio::test]
async fn both_sides_meet_over_http() {
    let network = Network::default();
    let (here, _there, elsewhere) = three(&network).await;
    let ghosts = (0..5_500).map(|number| format!("https://elsewhere.example/actors/n{number}"));
    let ghosts: Vec<String> = ghosts.collect();
    followers(&here, &ghosts).await;
    followers(
        &here,
        &["https://elsewhere.example/actors/carol".to_owned()],
    )
    .await;
    // Its options count, and it ends.
    let stop = CancellationToken::new();
    stop.cancel();
    let options = CompareOptions {
        every_ms: 0,
        settle_ms: 0,
        ..CompareOptions::default()
    };
    elsewhere.node.clone().compare(options, stop).await;
    let alice = "https://here.example/actors/alice";
    let compared = elsewhere.node.compare_now(alice).await.expect("compared");
    assert_eq!((compared.listed, compared.here), (5_501, 0));
    assert_eq!((compared.undone, compared.left), (1, 5_500));
}

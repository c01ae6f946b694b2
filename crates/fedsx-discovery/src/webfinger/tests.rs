//! Handles and actors that lead to each other, and those that don't.

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::IntoResponse;
use axum::routing::get;
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::{Found, MEDIA_TYPE, ResolveError, WebFinger, jrd_for, name_of_resource};
use crate::actor_cache::{Peers, PeersOptions};
use crate::client::{ClientOptions, GuardedClient};
use crate::clock;
use crate::pool::{Fetcher, PoolOptions, Purpose};
use crate::scripted::{Web, actor_document};

fn json(map: Map) -> Vec<u8> {
    write(Notation::Json, &Value::from(map))
}

fn jrd(subject: &str, actor: &str) -> Map {
    let own = jrd_for(
        &Instance::new("https://here.example").expect("a base URL"),
        &ActorName::parse("bob").expect("a name"),
    );
    let mut links = Map::from([("rel", "self"), ("type", "application/activity+json")]);
    links.insert("href", actor);
    let mut jrd = own;
    jrd.insert("subject", subject);
    jrd.insert("links", vec![links]);
    jrd
}

fn finger(web: &Arc<Web>) -> WebFinger {
    let fetcher = web.fetcher(PoolOptions::default());
    let peers = Peers::new(fetcher.clone(), PeersOptions::default());
    WebFinger::new(fetcher, peers, false)
}

fn account(web: &Web, handle: &str, subject: &str, actor: &str) {
    let authority = handle.split_once('@').expect("a handle").1;
    let url = format!("https://{authority}/.well-known/webfinger?resource=acct:{handle}");
    let body = json(jrd(&format!("acct:{subject}"), actor));
    web.set(&url, Ok((StatusCode::OK, MEDIA_TYPE, body)));
}

async fn resolve(finger: &WebFinger, who: &str) -> Result<(String, Option<String>), ResolveError> {
    let found = finger.resolve(who, Purpose::Own).await?;
    let Found { actor, handle } = found;
    Ok((actor.id.clone(), handle.map(|handle| handle.to_string())))
}

/// A whole instance as far as being found goes: WebFinger and one actor, on a loopback address.
async fn serve_instance() -> Instance {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("its address");
    let instance = Instance::new(&format!("http://{address}")).expect("a base URL");
    let here = instance.clone();
    let webfinger = move |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let mut query = url::form_urlencoded::parse(query.as_bytes());
        let resource = query.find(|(key, _)| key == "resource");
        let name = resource.and_then(|(_, resource)| name_of_resource(&here, &resource));
        match name.filter(|name| name.as_str() == "bob") {
            Some(name) => {
                ([(CONTENT_TYPE, MEDIA_TYPE)], json(jrd_for(&here, &name))).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let bob = json(actor_document(instance.base_url(), "bob", 1));
    let media_type = Notation::Json.media_type();
    let router = Router::new()
        .route("/.well-known/webfinger", get(webfinger))
        .route(
            "/actors/bob",
            get(move || async move { ([(CONTENT_TYPE, media_type)], bob) }),
        );
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that ends with its test"
    )]
    tokio::spawn(async move { axum::serve(listener, router).await });
    instance
}

#[tokio::test]
async fn an_actor_is_found_by_each_of_its_names_over_http() {
    let there = serve_instance().await;
    let options = ClientOptions {
        allow_private_peers: true,
        ..ClientOptions::new("http://127.0.0.1:1")
    };
    let client = Arc::new(GuardedClient::new(&options).expect("a client"));
    let fetcher = Arc::new(Fetcher::new(
        client,
        PoolOptions::default(),
        clock::system(),
    ));
    let peers = Peers::new(fetcher.clone(), PeersOptions::default());
    let finger = WebFinger::new(fetcher, peers, true);
    let handle = format!("bob@{}", there.authority());
    let found = (there.actor_url("bob"), Some(handle.clone()));
    for who in [
        format!("acct:{handle}"),
        format!("@{handle}"),
        format!("BOB@{}", there.authority()),
        format!(" {handle} "),
        there.actor_url("bob"),
    ] {
        assert_eq!(resolve(&finger, &who).await.expect("found"), found, "{who}");
    }
    let nobody = resolve(&finger, &format!("nobody@{}", there.authority())).await;
    assert!(matches!(nobody, Err(ResolveError::Unknown(_))));
}

#[tokio::test]
async fn a_handle_of_another_domain_is_proved_both_ways() {
    let web = Web::new();
    let id = "https://social.example/actors/bob";
    web.serve(id, actor_document("https://social.example", "bob", 1));
    account(&web, "bob@example.com", "bob@example.com", id);
    account(&web, "bob@social.example", "bob@example.com", id);
    let finger = finger(&web);
    for (who, handle) in [
        ("bob@example.com", "bob@example.com"),
        // Good as it is: it leads to the actor, whose document has the name on that host.
        ("bob@social.example", "bob@social.example"),
        (id, "bob@example.com"),
    ] {
        let found = resolve(&finger, who).await.expect("found");
        assert_eq!(found, (id.to_owned(), Some(handle.to_owned())), "{who}");
    }
}

#[tokio::test]
async fn nobody_passes_a_handle_off_as_anothers_actor() {
    let web = Web::new();
    let id = "https://good.example/actors/bob";
    web.serve(id, actor_document("https://good.example", "bob", 1));
    account(&web, "president@evil.example", "president@evil.example", id);
    // Its own host says nothing of the actor: the handle is not its own.
    let lost = resolve(&finger(&web), "president@evil.example").await;
    assert!(
        matches!(lost, Err(ResolveError::LoopBack { .. })),
        "{lost:?}"
    );
    let by_url = resolve(&finger(&web), id).await.expect("found");
    assert_eq!(by_url, (id.to_owned(), None));
    // Its own host knows it by another handle: that one is given.
    account(&web, "bob@good.example", "bob@good.example", id);
    let own = resolve(&finger(&web), "president@evil.example").await;
    let own_handle = Some("bob@good.example".to_owned());
    assert_eq!(own.expect("found"), (id.to_owned(), own_handle.clone()));
    // Its own host claims a handle that leads elsewhere: the claim is not believed.
    account(&web, "bob@good.example", "president@country.example", id);
    let other = "https://country.example/actors/president";
    account(
        &web,
        "president@country.example",
        "president@country.example",
        other,
    );
    let claimed = resolve(&finger(&web), id).await.expect("found");
    assert_eq!(claimed, (id.to_owned(), own_handle));
}

#[tokio::test]
async fn answers_that_lead_to_nobody() {
    let web = Web::new();
    let finger = finger(&web);
    let url = "https://a.example/.well-known/webfinger?resource=acct:b@a.example";
    let ask = || resolve(&finger, "b@a.example");
    let mut page = String::new();
    let mut note = |what: &str, error: ResolveError| {
        page.push_str(&format!("{what}: {error}\n"));
    };
    note("nothing", ask().await.expect_err("no actor"));
    let table: [(&str, u16, &[u8]); 6] = [
        ("error", 500, b""),
        ("no JSON", 200, b"<html>"),
        ("no links", 200, b"{}"),
        ("html link", 200, br#"{"links":[{"rel":"self","type":"text/html","href":"https://a.example/b"}]}"#),
        ("no URL", 200, br#"{"links":[{"rel":"self","type":"application/activity+json","href":"/b"}]}"#),
        ("no actor", 200, br#"{"links":[{"rel":"self","type":"application/activity+json","href":"https://a.example/b"}]}"#),
    ];
    for (what, status, body) in table {
        let status = StatusCode::from_u16(status).expect("a status");
        web.set(url, Ok((status, MEDIA_TYPE, body.to_vec())));
        note(what, ask().await.expect_err("no actor"));
    }
    web.fail(url);
    note("silent", ask().await.expect_err("no actor"));
    note(
        "nonsense",
        resolve(&finger, "nonsense").await.expect_err("no handle"),
    );
    insta::assert_snapshot!(page);
}

#[test]
fn resources_of_this_instance() {
    let here = Instance::new("http://127.0.0.1:8080").expect("a base URL");
    for (resource, expected) in [
        ("acct:alice@127.0.0.1:8080", Some("alice")),
        ("acct:Alice@127.0.0.1:8080", Some("alice")),
        ("alice@127.0.0.1:8080", Some("alice")),
        ("http://127.0.0.1:8080/actors/alice", Some("alice")),
        ("acct:alice@127.0.0.1", None),
        ("acct:alice@example.com", None),
        ("acct:al.ice@127.0.0.1:8080", None),
        ("https://127.0.0.1:8080/actors/alice", None),
        ("http://127.0.0.1:8080/", None),
        ("", None),
    ] {
        let name = name_of_resource(&here, resource);
        assert_eq!(name.as_ref().map(ActorName::as_str), expected, "{resource}");
    }
}

#[test]
fn the_answer_for_an_actor_here() {
    let here = Instance::new("http://127.0.0.1:8080").expect("a base URL");
    let name = ActorName::parse("alice").expect("a name");
    let answer: serde_json::Value =
        serde_json::from_slice(&json(jrd_for(&here, &name))).expect("JSON");
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer).expect("JSON"));
}

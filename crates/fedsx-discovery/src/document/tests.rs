//! Which answers count as documents.

use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};
use http::StatusCode;

use super::FetchError;
use crate::pool::{PoolOptions, Purpose};
use crate::scripted::Web;

const NOTE: &str = "https://a.example/note";

fn note(id: &str) -> Map {
    Map::from([("id", id), ("type", "Note"), ("content", "hi")])
}

#[tokio::test]
async fn the_media_type_decides() {
    let web = Web::new();
    let fetcher = web.fetcher(PoolOptions::default());
    let table = [
        ("application/activity+json", Some(Notation::Json)),
        (
            "application/activity+json; charset=utf-8",
            Some(Notation::Json),
        ),
        (
            "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
            Some(Notation::Json),
        ),
        ("application/sx", Some(Notation::Sx)),
        ("application/cbor", Some(Notation::Cbor)),
        ("application/ld+json", None),
        ("application/json", None),
        ("text/html", None),
        ("", None),
    ];
    for (media_type, expected) in table {
        let bytes = write(expected.unwrap_or(Notation::Json), &Value::from(note(NOTE)));
        web.set(NOTE, Ok((StatusCode::OK, media_type, bytes)));
        match (fetcher.document(NOTE, Purpose::Own).await, expected) {
            (Ok(fetched), Some(notation)) => {
                assert_eq!((fetched.notation, fetched.document), (notation, note(NOTE)));
            }
            (Err(FetchError::MediaType(named)), None) => assert_eq!(named, media_type),
            (other, _) => panic!("{media_type}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_document_counts_where_its_id_is() {
    let web = Web::new();
    let fetcher = web.fetcher(PoolOptions::default());
    let fetch = |url: &'static str| fetcher.document(url, Purpose::Own);

    web.serve(NOTE, note(NOTE));
    let asked_with_fragment = fetch("https://a.example/note#part")
        .await
        .expect("a document");
    assert_eq!(asked_with_fragment.final_url, NOTE);
    assert_eq!(web.asked(), [NOTE]);

    // Another URL of it leads to its id, once.
    web.serve("https://a.example/@a/1", note(NOTE));
    let by_page = fetch("https://a.example/@a/1").await.expect("a document");
    assert_eq!(by_page.final_url, NOTE);
    assert_eq!(web.asked(), ["https://a.example/@a/1", NOTE]);

    // Someone else's words about it don't count, its own place does.
    let mut forged = note(NOTE);
    forged.insert("content", "forged");
    web.serve("https://evil.example/copy", forged);
    let original = fetch("https://evil.example/copy")
        .await
        .expect("a document");
    assert_eq!(original.document, note(NOTE));

    web.serve("https://a.example/1", note("https://a.example/2"));
    web.serve("https://a.example/2", note("https://a.example/3"));
    web.asked();
    assert_eq!(
        fetch("https://a.example/1").await.expect_err("a chase"),
        FetchError::Id
    );
    assert_eq!(web.asked().len(), 2);

    web.serve("https://a.example/4", Map::from([("type", "Note")]));
    assert_eq!(
        fetch("https://a.example/4").await.expect_err("no id"),
        FetchError::Id
    );
}

#[tokio::test]
async fn answers_that_are_no_documents() {
    let web = Web::new();
    let fetcher = web.fetcher(PoolOptions::default());
    let fetch = || fetcher.document(NOTE, Purpose::Own);
    assert_eq!(fetch().await.expect_err("nothing"), FetchError::NotFound);

    let json = "application/activity+json";
    web.set(
        NOTE,
        Ok((StatusCode::OK, json, b"{\"id\":1,\"id\":2}".to_vec())),
    );
    assert!(matches!(fetch().await, Err(FetchError::Malformed(_))));

    web.set(
        NOTE,
        Ok((StatusCode::SERVICE_UNAVAILABLE, json, Vec::new())),
    );
    assert!(fetch().await.expect_err("no answer").is_passing());

    web.set(NOTE, Ok((StatusCode::GONE, json, Vec::new())));
    let gone = FetchError::Gone { tombstone: None };
    assert_eq!(fetch().await.expect_err("gone"), gone);

    let tombstone = |id| Map::from([("id", id), ("type", "Tombstone")]);
    let bytes = |id| write(Notation::Json, &Value::from(tombstone(id)));
    web.set(
        NOTE,
        Ok((StatusCode::GONE, json, bytes("https://b.example/"))),
    );
    assert_eq!(
        fetch().await.expect_err("gone"),
        gone,
        "another's Tombstone says nothing"
    );
    web.set(NOTE, Ok((StatusCode::GONE, json, bytes(NOTE))));
    let tombstone = Some(tombstone(NOTE));
    assert_eq!(
        fetch().await.expect_err("gone"),
        FetchError::Gone { tombstone }
    );
}

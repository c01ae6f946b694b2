//! Several deliveries in one request.

use fedsx_core::batch::write;
use fedsx_core::entry::LogId;
use fedsx_core::limits::{BATCH_ITEMS, WRAPPER_BYTES};
use fedsx_core::notation::{Notation, read_document};
use fedsx_core::value::{Map, Value};
use fedsx_node::PublishOptions;
use fedsx_store::SeqRange;

use crate::setting::{Here, Network, page};

const BATCH: &str = "/inbox/batch";
const ALICE: &str = "https://here.example/actors/alice";

async fn two() -> (Here, Here) {
    let network = Network::default();
    let (here, there) = (
        Here::new("here.example", &network),
        Here::new("there.example", &network),
    );
    here.actor("alice").await;
    there.actor("bob").await;
    there.actor("bea").await;
    (here, there)
}

/// The verbs in alice's inbox, in their order.
fn inbox(here: &Here) -> Vec<String> {
    let alice = here.node.actor("alice").expect("she is here");
    let log = LogId::inbox(alice.no);
    let log = here.node.view().log(log, SeqRange::default(), false, 1_000);
    let verb = |activity: Option<&fedsx_core::entry::Activity>| activity.map(|it| it.verb.clone());
    let log = log.expect("reads").into_iter();
    log.filter_map(|entry| verb(entry.stored.activity()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_batch_is_judged_by_itself_and_in_its_actors_order() {
    let (here, there) = two().await;
    let note = there.note("bob", "one", &[ALICE]).await;
    let by_bea = there.note("bea", "two", &[ALICE]).await;
    let elsewhere = there.note("bea", "for nobody here", &[]).await;
    let create = there.bytes(&note);
    let object = there.document(&note);
    let object = object.get("object").and_then(|object| object.get("id"));
    let object = object.and_then(Value::as_str).expect("an id").to_owned();
    let delete = Map::from([("type", "Delete"), ("object", &*object)]);
    let delete = there
        .node
        .publish("bob", delete, PublishOptions::default())
        .await;
    let delete = there.bytes(&delete.expect("a Delete"));
    let altered = String::from_utf8(create.to_vec()).expect("JSON");
    let altered = altered.replace("\"one\"", "\"won\"");
    let mut unproved = read_document(Notation::Json, &create, 1 << 20).expect("a document");
    unproved.remove("proof");
    let id = unproved.get("id").and_then(Value::as_str).expect("an id");
    let other = id.replace(
        "there.example/actors/bob/activities/",
        "there.example/actors/bob/activities/x",
    );
    unproved.insert("id", other);
    let unproved = fedsx_core::notation::write(Notation::Json, &Value::Map(unproved));
    let bytes = [
        create.to_vec(),
        altered.into_bytes(),
        delete.to_vec(),
        there.bytes(&by_bea).to_vec(),
        create.to_vec(),
        unproved,
        b"[1]".to_vec(),
        there.bytes(&elsewhere).to_vec(),
    ];
    let answer = here
        .post(BATCH, write(bytes.iter().map(|one| &one[..])))
        .await;
    insta::assert_snapshot!(page(&[answer]));
    // bob's in their order, with bea's beside.
    let mut verbs = inbox(&here);
    verbs.retain(|verb| verb != "Delete");
    assert_eq!(verbs, ["Create", "Create"]);
    let kept = here
        .node
        .view()
        .state()
        .deleted(&object, "https://there.example/actors/bob");
    assert!(kept.expect("reads").is_some(), "the Delete met its note");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_batch_of_one_actor_arrives_in_order_and_again_changes_nothing() {
    let (here, there) = two().await;
    let mut notes = Vec::new();
    for number in 0..BATCH_ITEMS {
        let note = there.note("bob", &number.to_string(), &[ALICE]).await;
        notes.push(there.bytes(&note));
    }
    let batch = write(notes.iter().map(|note| &note[..]));
    for _ in 0..2 {
        let answer = here.post(BATCH, batch.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text().matches("\"status\":202").count(), BATCH_ITEMS);
        assert_eq!(inbox(&here).len(), BATCH_ITEMS);
    }
    let alice = here.node.actor("alice").expect("she is here");
    let log = here
        .node
        .view()
        .log(LogId::inbox(alice.no), SeqRange::default(), false, 1_000)
        .expect("reads");
    let kept: Vec<_> = log.iter().map(|entry| &entry.stored.document).collect();
    assert!(
        kept.into_iter().eq(&notes),
        "in order, and as they were sent"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let (here, _) = two().await;
    let before = here.node.view().applied();
    let many = vec![&b"{}"[..]; BATCH_ITEMS + 1];
    let cases = [
        ("too many", write(many.into_iter())),
        ("too long", vec![b' '; WRAPPER_BYTES + 1]),
        ("no JSON", b"{".to_vec()),
        (
            "an activity",
            b"{\"type\":\"Create\",\"orderedItems\":[]}".to_vec(),
        ),
    ];
    let mut answers = Vec::new();
    for (what, body) in cases {
        let mut answer = here.post(BATCH, body).await;
        answer.name(what);
        answers.push(answer);
    }
    let headers = [("content-type", "application/sx")];
    let sx = here.ask("POST", BATCH, &headers, "(Create)".into()).await;
    answers.push(sx);
    answers.push(here.post(BATCH, write(std::iter::empty())).await);
    insta::assert_snapshot!(page(&answers));
    assert_eq!(here.node.view().applied(), before);
}

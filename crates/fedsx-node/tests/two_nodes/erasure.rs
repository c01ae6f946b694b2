//! What is erased is gone from the bytes of the data directory, on record, and still verifies.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::entry::{ActorNo, Control, LogId};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Status};
use fedsx_store::engine::EngineKind;
use fedsx_store::journal::{Directory, Journal, JournalOptions};
use fedsx_store::{SeqRange, StoreOptions, check};
use memchr::memmem;

use super::{ALICE, Instance, Net, followed, note, with};

const TEXT: &str = "a sentence that is nowhere else";

/// How long what is erased may take to be overwritten: the store does it each second.
const DEADLINE: Duration = Duration::from_secs(20);

fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = fs::read(&path).expect("a file");
        memmem::find(&bytes, text.as_bytes()).is_some()
    })
}

async fn gone(instance: &Instance, text: &str) {
    let asked = Instant::now();
    while holds(instance.dir(), text) {
        assert!(asked.elapsed() < DEADLINE, "{text:?} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn erase(instance: &Instance, digest: Digest) {
    let deleted_ms = instance.node.now_ms();
    let control = Control::Erased { digest, deleted_ms };
    instance.control(control).await;
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_disk_on_both_sides_and_what_is_beside_it_is_not() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let mut digests = Vec::new();
    for text in [TEXT, "a sentence that stays"] {
        let options = PublishOptions::default();
        let published = b.node.publish("bob", note(text), options).await;
        digests.push(published.expect("publishes").cid.digest);
    }
    b.carry(&a).await;
    let [erased, kept] = digests[..] else {
        panic!("not two")
    };
    // A new index is made of what is left, in an engine that keeps it on disk too.
    for (instance, engine) in [(a, EngineKind::Fjall), (b, EngineKind::Memory)] {
        assert!(holds(instance.dir(), TEXT));
        erase(&instance, erased).await;
        // On record at once, and once.
        let state = |digest| instance.node.view().state().seen(digest).expect("reads");
        let since = state(&erased).expect("seen").erased;
        assert!(since.is_some());
        erase(&instance, erased).await;
        assert_eq!(state(&erased).expect("seen").erased, since);
        assert_eq!(state(&kept).expect("seen").erased, None);
        gone(&instance, TEXT).await;
        let stored = instance.node.view().stored(&erased).expect("reads");
        let stored = stored.expect("its header is kept");
        assert!(stored.erased && stored.document.is_empty());
        assert_eq!(stored.activity().expect("an activity").digest, erased);
        let report = check::verify(instance.dir()).expect("reads");
        assert_eq!(report.erased, 1);
        let reopened = instance.reopened_on(&net, engine);
        assert!(holds(reopened.dir(), "a sentence that stays"));
        assert!(!holds(reopened.dir(), TEXT));
        reopened.close_and_compare();
    }
}

#[tokio::test]
async fn what_contradicts_an_erased_document_goes_with_it_also_when_it_comes_later() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let like = |object: &str| b.raw("bob", "Like", object.into(), ALICE);
    let (before, after) = (like("https://a.test/1"), like("https://a.test/2"));
    for (first, is_erased_before) in [(before, false), (after, true)] {
        let first_of = a.receive(None, &first).await.expect("the first").cid;
        let other = b.resign("bob", &with(&first, "summary", TEXT.into()));
        if is_erased_before {
            erase(&a, first_of.digest).await;
        }
        let refusal = a.receive(None, &other).await.expect_err("the second");
        assert_eq!(refusal.code, Code::Equivocation);
        if !is_erased_before {
            assert!(holds(a.dir(), TEXT));
            erase(&a, first_of.digest).await;
        }
        gone(&a, TEXT).await;
    }
    a.close_and_compare();
}

#[tokio::test]
async fn what_is_overwritten_without_an_entry_that_says_so_is_damage() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let published = b
        .node
        .publish("bob", note(TEXT), PublishOptions::default())
        .await
        .expect("publishes");
    let at = b.node.view().state().seen(&published.cid.digest);
    let at = at.expect("reads").expect("seen").at;
    let dir = b.close();
    let files = Directory::open(dir.path().join("journal")).expect("a journal");
    let (journal, _) =
        Journal::open(std::sync::Arc::new(files), JournalOptions::default(), None).expect("opens");
    let place = fedsx_store::journal::Place {
        segment: at.segment,
        position: at.position,
    };
    journal.eraser().erase(&[place]).expect("overwritten");
    let report = check::verify(dir.path()).expect("reads");
    let faults = report.faults.iter().map(|fault| fault.offset);
    assert_eq!(faults.collect::<Vec<_>>(), [at.offset]);
    assert_eq!(report.erased, 0);
    drop(journal);
    let options = StoreOptions {
        engine: EngineKind::Memory,
        segment_bytes: 4 << 20,
        flush_every: Duration::from_secs(1),
        base_url: "https://b.test".to_owned(),
        secret: Some(vec![7; 32]),
    };
    let refused = check::reindex(dir.path(), &options).expect_err("damage");
    let told = format!("offset {}: the payload is overwritten", at.offset);
    assert!(refused.to_string().contains(&told), "{refused}");
    drop(a);
}

/// The object of a `Create`, by its id.
fn object_id(create: &Map) -> String {
    let object = create.get("object").expect("an object");
    let id = object.get("id").and_then(Value::as_str);
    id.expect("an id").to_owned()
}

fn is_erased(instance: &Instance, digest: &Digest) -> bool {
    let stored = instance.node.view().stored(digest).expect("reads");
    stored.expect("its header is kept").erased
}

#[tokio::test]
async fn a_deleted_note_is_a_tombstone_everywhere_and_its_bytes_are_gone() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let options = PublishOptions::default;
    let published = b.node.publish("bob", note(TEXT), options()).await;
    let create = published.expect("publishes").cid;
    let id = object_id(&b.document(&create));
    let changed = Map::from([
        ("type", Value::from("Note")),
        ("id", id.as_str().into()),
        ("content", format!("{TEXT}, changed").into()),
    ]);
    let update = Map::from([("type", Value::from("Update")), ("object", changed.into())]);
    let update = b.node.publish("bob", update, options()).await;
    let update = update.expect("publishes").cid;
    // Alice passes the note on, all of it.
    let copy = b.document(&create).get("object").expect("a note").clone();
    let announce = Map::from([("type", Value::from("Announce")), ("object", copy)]);
    let announce = a.node.publish("alice", announce, options()).await;
    let announce = announce.expect("publishes").cid;
    b.carry(&a).await;

    let deleted = b.node.delete("bob", &create.to_string()).await;
    let delete = b.document(&deleted.expect("deletes").cid);
    insta::assert_snapshot!(fedsx_core::notation::json::pretty(&shape(&delete)));
    let again = b.node.delete("bob", &id).await.expect_err("again");
    assert_eq!(again.code, Code::Gone);
    b.carry(&a).await;
    for (instance, copies) in [
        (a, vec![create, update, announce]),
        (b, vec![create, update]),
    ] {
        for copy in &copies {
            assert!(is_erased(&instance, &copy.digest), "{copy}");
            let left = instance.document(copy);
            assert_eq!(left.get("type"), Some(&"Tombstone".into()));
        }
        let explained = instance.node.explain(&create.to_string()).await;
        assert_eq!(explained.expect("explains").standing.as_str(), "erased");
        gone(&instance, TEXT).await;
        let report = check::verify(instance.dir()).expect("reads");
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        assert_eq!(report.erased, copies.len() as u64);
        instance
            .reopened_on(&net, EngineKind::Fjall)
            .close_and_compare();
    }
}

/// A `Delete` without what differs from run to run.
fn shape(delete: &Map) -> Value {
    let mut shape = delete.clone();
    for member in ["@context", "id", "published", "proof"] {
        assert!(shape.remove(member).is_some(), "{member}");
    }
    let mut object = shape
        .get("object")
        .and_then(Value::as_map)
        .expect("one")
        .clone();
    for member in ["id", "deleted"] {
        assert!(object.remove(member).is_some(), "{member}");
    }
    shape.insert("object", object);
    shape.into()
}

#[tokio::test]
async fn what_was_deleted_before_it_came_is_not_taken() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let published = b
        .node
        .publish("bob", note(TEXT), PublishOptions::default())
        .await;
    let create = b.document(&published.expect("publishes").cid);
    let deleted = b.node.delete("bob", &object_id(&create)).await;
    let delete = b.document(&deleted.expect("deletes").cid);
    let received = a.receive(None, &delete).await.expect("the Delete");
    assert_eq!(received.status, Status::Accepted);
    let changed = b.raw(
        "bob",
        "Update",
        create.get("object").expect("a note").clone(),
        ALICE,
    );
    for late in [create, changed] {
        let received = a.receive(None, &late).await.expect("answered");
        assert!(
            matches!(received.status, Status::Dropped(_)),
            "{received:?}"
        );
    }
    assert!(!holds(a.dir(), TEXT));
    a.close_and_compare();
}

#[tokio::test]
async fn only_who_made_something_deletes_it() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("mallory", false).await;
    let published = b
        .node
        .publish("bob", note(TEXT), PublishOptions::default())
        .await;
    let create = published.expect("publishes").cid;
    let id = object_id(&b.document(&create));
    b.carry(&a).await;
    let refused = b.node.delete("mallory", &id).await.expect_err("another's");
    assert_eq!(refused.code, Code::NotAuthorised);
    for object in [id.clone(), create_id(&b, &create)] {
        let forged = b.raw("mallory", "Delete", object.into(), ALICE);
        net.pass(Duration::from_secs(1));
        let refused = a.receive(None, &forged).await.expect_err("another's");
        assert_eq!(refused.code, Code::NotAuthorised);
    }
    // Also where the note is known by what others passed on alone.
    let copy = Map::from([
        ("type", Value::from("Note")),
        ("id", "https://b.test/notes/1".into()),
        ("attributedTo", b.node.instance().actor_url("bob").into()),
        ("content", TEXT.into()),
    ]);
    let announce = b.raw("bob", "Announce", copy.into(), ALICE);
    let announce = a.receive(None, &announce).await.expect("announced").cid;
    let forged = b.raw("mallory", "Delete", "https://b.test/notes/1".into(), ALICE);
    a.receive(None, &forged).await.expect("taken");
    assert!(!is_erased(&a, &announce.digest));
    let farewell = b.raw("bob", "Delete", "https://b.test/notes/1".into(), ALICE);
    a.receive(None, &farewell).await.expect("taken");
    assert!(is_erased(&a, &announce.digest));
    assert!(!is_erased(&a, &create.digest));
}

fn create_id(instance: &Instance, create: &Cid) -> String {
    let create = instance.document(create);
    create
        .get("id")
        .and_then(Value::as_str)
        .expect("an id")
        .to_owned()
}

#[tokio::test]
async fn what_the_kernel_goes_by_is_not_deleted() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let outbox = |instance: &Instance| {
        let log = LogId::outbox(ActorNo(0));
        let all = instance
            .node
            .view()
            .log(log, SeqRange::default(), false, 100);
        let all = all.expect("reads").into_iter();
        let cids = all.filter_map(|entry| Some(Cid::of_document(entry.stored.activity()?.digest)));
        cids.collect::<Vec<_>>()
    };
    // The beginning of the actor; its Follow, or its Accept.
    for (instance, name) in [(&a, "alice"), (&b, "bob")] {
        for cid in outbox(instance) {
            let id = create_id(instance, &cid);
            let refused = instance.node.delete(name, &id).await.expect_err("kernel's");
            assert_eq!(refused.code, Code::Conflict, "{id}");
            assert!(!is_erased(instance, &cid.digest));
        }
    }
    let log = LogId::inbox(ActorNo(0));
    for entry in a
        .node
        .view()
        .log(log, SeqRange::default(), false, 100)
        .expect("reads")
    {
        let id = entry.stored.activity().expect("an activity").id.clone();
        let farewell = b.raw("bob", "Delete", id.into(), ALICE);
        net.pass(Duration::from_secs(1));
        let received = a.receive(None, &farewell).await.expect("dropped");
        assert!(
            matches!(received.status, Status::Dropped(_)),
            "{received:?}"
        );
    }
}

#[tokio::test]
async fn nobody_changes_what_another_of_its_host_made() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("mallory", false).await;
    let options = PublishOptions::default();
    let published = b.node.publish("bob", note("mine"), options).await;
    let create = b.document(&published.expect("publishes").cid);
    let id = create.get("object").and_then(|note| note.get("id"));
    let id = id.and_then(Value::as_str).expect("an id").to_owned();
    a.receive(None, &create).await.expect("received");
    // It says of nobody that it is theirs.
    let mut changed = note("yours");
    changed.insert("id", &*id);
    for (name, verb, object) in [
        ("mallory", "Update", Value::from(changed.clone())),
        ("mallory", "Delete", id.as_str().into()),
        ("bob", "Update", changed.into()),
    ] {
        let said = b.raw(name, verb, object, ALICE);
        let taken = a.receive(None, &said).await;
        let code = taken.map_err(|refusal| refusal.code);
        match name {
            "bob" => assert_eq!(code.expect("taken").status, Status::Accepted),
            _ => assert_eq!(code.expect_err("refused"), Code::NotAuthorised),
        }
    }
    a.close_and_compare();
}

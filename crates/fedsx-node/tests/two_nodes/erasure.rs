//! What is erased is gone from the bytes of the data directory, on record, and still verifies.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fedsx_core::cid::Digest;
use fedsx_core::entry::Control;
use fedsx_core::refusal::Code;
use fedsx_node::PublishOptions;
use fedsx_store::check;
use fedsx_store::engine::EngineKind;
use fedsx_store::journal::{Directory, Journal, JournalOptions};
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
    instance.control(Control::Erased { digest }).await;
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
    drop(a);
}

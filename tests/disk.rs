//! A disk that takes no more: nothing is promised that is not kept, and the process ends and says why.

use fedsx_core::value::{Map, Value};

use crate::harness::{Instance, Setup, Stranger, activity, cids, inbox};

/// What one note says, bytes: a few fill the space that the journal has taken ahead.
const TEXT: usize = 500_000;
const NOTES: u32 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_can_t_be_written_ends_the_process() {
    // The journal is the only file that grows.
    let mut here = Instance::start_as(Setup {
        engine: "memory",
        ..Setup::default()
    })
    .await;
    here.create(&["alice"]);
    here.kill();
    let there = Stranger::start(&["bob"]);
    let longest = std::fs::read_dir(here.dir().join("journal")).expect("the journal");
    let longest = longest.map(|file| file.expect("a file").metadata().expect("its length").len());
    let longest = longest.max().expect("a segment");
    here.restart_with_files_up_to(longest.div_ceil(1_024)).await;

    let mut accepted = Vec::new();
    let refused = loop {
        let number = u32::try_from(accepted.len()).expect("few");
        assert!(number < NOTES, "the limit is never met");
        let text = Value::from("x".repeat(TEXT));
        let note = Map::from([("type", Value::from("Note")), ("content", text)]);
        let mut note = activity(&there.actor_url("bob"), number, "Create", note);
        note.insert("to", here.actor_url("alice"));
        let answer = here.web().post("/inbox", there.signed("bob", &note)).await;
        if answer.status != 202 {
            break answer;
        }
        let cid = answer.json()["cid"].as_str().expect("a CID").to_owned();
        accepted.push(cid);
    };
    refused.refused(503, "queue-full");
    assert!(!accepted.is_empty());
    assert_eq!(here.ended().await.code(), Some(1));
    assert!(here.log().contains("the journal can't be written"));

    here.restart().await;
    here.verify();
    let mut kept = cids(&inbox(&here, "alice"));
    kept.retain(|cid| accepted.contains(cid));
    assert_eq!(kept, accepted, "what was answered, in its order");
}

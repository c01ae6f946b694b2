//! SIGTERM in the middle of work: an orderly end, and nothing that was answered is missing.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::harness::{Instance, Setup, Writer, cids, eventually, inbox, outbox};

const WRITERS: [&str; 4] = ["alice", "ann", "amy", "ada"];
/// Notes of each at most, so that all can be listed.
const NOTES: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_under_load_loses_nothing() {
    let (mut a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&WRITERS);
    b.create(&["bob"]);
    for name in WRITERS {
        b.follow("bob", &a.handle(name));
    }
    b.following("bob", WRITERS.len()).await;

    let (count, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for name in WRITERS {
        let writer = Writer {
            contact: a.contact(),
            name: name.to_owned(),
            count: Arc::clone(&count),
        };
        let client = a.client().await;
        let ended = Arc::clone(&ended);
        writers.spawn(async move {
            let mut accepted = Vec::new();
            for number in 0..NOTES {
                match writer.write(&client, number).await {
                    Ok(cid) => accepted.push(cid),
                    Err(_) if ended.load(Ordering::Relaxed) => break,
                    Err(error) => panic!("before the end: {error}"),
                }
            }
            accepted
        });
    }
    eventually("some load", async || {
        (count.load(Ordering::Relaxed) >= 50).then_some(())
    })
    .await;
    // Whoever checks meanwhile reads up to where it is sound.
    a.verify();
    dumped_in_order(&a);
    assert!(a.dir().join("admin.json").exists());
    ended.store(true, Ordering::Relaxed);
    a.stop().await;
    assert!(
        !a.dir().join("admin.json").exists(),
        "it goes with its server"
    );
    let accepted: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    a.verify();

    a.restart().await;
    let kept = WRITERS.iter().flat_map(|name| cids(&outbox(&a, name)));
    let kept: BTreeSet<String> = kept.collect();
    assert!(
        accepted.iter().all(|cid| kept.contains(cid)),
        "all that was answered is there"
    );
    let wanted: BTreeSet<String> = accepted.into_iter().collect();
    eventually("all that was answered in bob's inbox", async || {
        let got: BTreeSet<String> = cids(&inbox(&b, "bob")).into_iter().collect();
        wanted.is_subset(&got).then_some(())
    })
    .await;
}

/// `journal dump` shows every entry so far, in the order of the journal.
fn dumped_in_order(instance: &Instance) {
    let dump = instance.cli(["journal", "dump"]).ok().stdout;
    for (line, offset) in dump.lines().zip(1_u64..) {
        let entry: serde_json::Value = serde_json::from_str(line).expect("one entry a line");
        assert_eq!(entry["offset"], offset, "{entry}");
    }
    let at_least = instance.json(["status"])["actors"].as_u64();
    assert!(dump.lines().count() as u64 > at_least.expect("a count"));
}

/// Connections that ask for nothing and streams that never end hold up no shutdown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_and_streams_end_with_the_server() {
    let mut a = Instance::start().await;
    a.create(&["alice"]);
    let silent: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(a.authority()).expect("a connection"))
        .collect();
    let web = a.web();
    // Kept alive by the client.
    web.get("/actors/alice").await.ok(crate::harness::AS2);
    let client = a.client().await;
    let mut tail = client
        .tail(fedsx_admin::proto::TailRequest {
            after_offset: Some(0),
        })
        .await
        .expect("a stream");
    let first = tail.next().await.expect("an entry").expect("an entry");
    assert_eq!(first.offset, 1);
    let began = std::time::Instant::now();
    a.stop().await;
    let took = began.elapsed();
    assert!(
        took.as_secs() < 5,
        "nothing was under way, and it took {took:?}"
    );
    assert!(
        tail.next().await.is_err(),
        "the stream says that the server has gone"
    );
    drop(silent);
}

/// Who can't wait for an orderly end asks again, and is told what was cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let mut a = Instance::start_as(Setup {
        settings: vec!["server.drain=10m".to_owned()],
        ..Setup::default()
    })
    .await;
    a.create(&["alice"]);
    let cid = a.post("alice", "kept");
    // A request whose body is waited for.
    let mut stalled = TcpStream::connect(a.authority()).expect("a connection");
    let head = "POST /inbox HTTP/1.1\r\nhost: x\r\ncontent-type: application/activity+json\r\n\
                content-length: 9\r\nexpect: 100-continue\r\n\r\n";
    stalled.write_all(head.as_bytes()).expect("sent");
    let mut go_on = [0; 12];
    stalled.read_exact(&mut go_on).expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100");

    a.signal("INT");
    let admin_file = a.dir().join("admin.json");
    eventually("the end to begin", async || {
        (!admin_file.exists()).then_some(())
    })
    .await;
    a.must_run();
    a.signal("INT");
    // Far sooner than the ten minutes that an orderly end may take.
    assert_eq!(a.ended().await.code(), Some(1));
    let log = a.log();
    let told = log.lines().find(|line| line.contains("stopped at once"));
    let told = told.expect("it says so");
    assert!(told.contains("the public listener"), "{told}");
    drop(stalled);

    a.restart().await;
    a.verify();
    assert!(cids(&outbox(&a, "alice")).contains(&cid));
}

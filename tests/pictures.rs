//! A picture that is uploaded for an actor: named in its document, served by its CID as what it is and nothing else,
//! and gone from every file once nothing names it.

use std::fs;
use std::path::PathBuf;

use fedsx_core::cid::Cid;

use crate::erasure::gone;
use crate::harness::{Instance, Setup, Web};

/// A picture as far as its first bytes go, with a text that is nowhere else.
fn png(text: &str) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n", text.as_bytes()].concat()
}

/// Writes a file beside the data directory, and gives its path.
fn file(instance: &Instance, name: &str, bytes: &[u8]) -> PathBuf {
    let path = instance.dir().with_file_name(name);
    fs::write(&path, bytes).expect("written");
    path
}

/// Uploads it as alice's icon. The path of its URL.
fn upload(instance: &Instance, bytes: &[u8]) -> String {
    let path = file(instance, "icon", bytes);
    let path = path.to_str().expect("UTF-8");
    let told = instance.json(["actor", "update", "alice", "--icon-file", path]);
    let icon = &told["document"]["icon"];
    assert_eq!(icon["type"], "Image", "{told}");
    assert_eq!(icon["mediaType"], "image/png", "{told}");
    let artifact = format!("/artifacts/{}", Cid::of_raw(bytes));
    assert_eq!(icon["url"], format!("{}{artifact}", instance.url()));
    fs::remove_file(path).expect("removed");
    artifact
}

async fn served(web: &Web, artifact: &str, bytes: &[u8]) {
    let answer = web.get_as(artifact, "image/*").await;
    assert_eq!((answer.status, &*answer.body), (200, bytes));
    let cid = artifact.trim_start_matches("/artifacts/");
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("access-control-allow-origin", "*"),
        ("etag", &format!("\"{cid}\"")),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let again = web
        .get_unless(artifact, "image/*", &format!("\"{cid}\""))
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_lives_as_long_as_its_actor_names_it() {
    for engine in ["fjall", "sled"] {
        let mut here = Instance::start_as(Setup {
            engine,
            ..Setup::default()
        })
        .await;
        here.create(&["alice", "carol"]);
        let (first, second) = (png("the-first-picture"), png("the-second-picture"));
        let one = upload(&here, &first);
        served(&here.web(), &one, &first).await;
        // The same again is kept once, and another member leaves it as it is.
        upload(&here, &first);
        here.json(["actor", "update", "alice", "--summary", "paints"]);
        served(&here.web(), &one, &first).await;
        let dumped = here.cli(["journal", "dump"]).ok();
        assert_eq!(dumped.stdout.matches("\"blob\"").count(), 1);

        let two = upload(&here, &second);
        served(&here.web(), &two, &second).await;
        here.web().get(&one).await.refused(410, "gone");
        gone(&here, "the-first-picture").await;
        // What was erased can come again, and go again.
        upload(&here, &first);
        served(&here.web(), &one, &first).await;
        here.web().get(&two).await.refused(410, "gone");

        let live = here.state();
        here.kill();
        here.verify();
        here.json(["reindex"]);
        here.restart().await;
        assert_eq!(here.state(), live, "rebuilt equals live");
        served(&here.web(), &one, &first).await;
        gone(&here, "the-second-picture").await;

        here.json(["actor", "delete", "alice", "--confirm", "alice"]);
        here.web().get(&one).await.refused(410, "gone");
        gone(&here, "the-first-picture").await;
        here.verify();
        here.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_have_the_same_picture_each_for_itself() {
    let here = Instance::start().await;
    here.create(&["alice", "carol"]);
    let bytes = png("one-picture-of-two");
    let artifact = upload(&here, &bytes);
    let path = file(&here, "icon", &bytes);
    let path = path.to_str().expect("UTF-8");
    here.json(["actor", "update", "carol", "--icon-file", path]);
    here.json(["actor", "update", "alice", "--icon", ""]);
    served(&here.web(), &artifact, &bytes).await;
    here.json(["actor", "update", "carol", "--icon", ""]);
    here.web().get(&artifact).await.refused(410, "gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_picture_is_refused_and_nothing_is_kept() {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let before = here.state();
    let page = b"<!doctype html><script>alert(1)</script>".to_vec();
    let mut large = png("");
    large.resize((256 << 10) + 1, 0);
    for (bytes, code) in [(page, "media-type"), (large, "too-large"), (Vec::new(), "")] {
        let path = file(&here, "file", &bytes);
        let path = path.to_str().expect("UTF-8");
        let said = here
            .cli(["actor", "update", "alice", "--icon-file", path])
            .refused(1);
        assert!(said.contains(code), "{said}");
    }
    assert_eq!(here.state(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_goes_with_the_change_that_was_refused() {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let bytes = png("never-named");
    let path = file(&here, "icon", &bytes);
    let path = path.to_str().expect("UTF-8");
    let members = file(&here, "members.json", br#"{"id":"https://other.example/"}"#);
    let members = members.to_str().expect("UTF-8");
    let args = ["--members", members, "--icon-file", path];
    let said = here
        .cli([
            "actor", "update", "alice", args[0], args[1], args[2], args[3],
        ])
        .refused(1);
    assert!(said.contains("not-authorised"), "{said}");
    let artifact = format!("/artifacts/{}", Cid::of_raw(&bytes));
    here.web().get(&artifact).await.refused(410, "gone");
}

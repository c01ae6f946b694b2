//! Groups between processes: what is said in one reaches its followers once and as its author's, also when the
//! group's process is killed on the way; who controls one decides who is in it and what.

use serde_json::Value;

use crate::harness::{AS2, Instance, eventually, inbox, outbox};

/// Kills while there is something to announce.
const KILLS: usize = 4;
/// Posts before each of them.
const POSTS: usize = 6;

/// A group on the first, and its follower carol beside bob on the second.
async fn club(is_closed: bool) -> (Instance, Instance) {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    let created = match is_closed {
        true => a.cli([
            "actor",
            "create",
            "club",
            "--kind",
            "group",
            "--manual-approval",
        ]),
        false => a.cli(["actor", "create", "club", "--kind", "group"]),
    };
    assert_eq!(created.json()["kind"], "Group");
    b.create(&["bob", "carol"]);
    b.follow("carol", &a.handle("club"));
    (a, b)
}

/// Says something in public and in the group; its CID.
fn say(from: &Instance, name: &str, text: &str, group: &str) -> String {
    let said = from.json(["post", name, text, "--to", group, "--visibility", "public"]);
    said["cid"].as_str().expect("a CID").to_owned()
}

/// What the group announced: the CID of each activity, and the object of each that is named alone.
fn announced(group: &Instance) -> (Vec<String>, Vec<String>) {
    let said = outbox(group, "club")
        .into_iter()
        .map(|it| it["document"].clone());
    let (mut whole, mut named) = (Vec::new(), Vec::new());
    for announce in said.filter(|said| said["type"] == "Announce") {
        let object = &announce["object"];
        match object.as_str() {
            Some(id) => named.push(id.to_owned()),
            None => whole.push(announce["objectCid"].as_str().expect("a CID").to_owned()),
        }
    }
    (whole, named)
}

/// The verbs and CIDs in an inbox.
fn received(instance: &Instance, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let entries = inbox(instance, name).into_iter();
    let both = entries.map(|entry| (text(&entry["document"]["type"]), text(&entry["cid"])));
    both.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_in_a_group_is_announced_once_through_kills() {
    let (mut a, b) = club(false).await;
    a.followers("club", 1).await;
    let url = a.actor_url("club");
    let mut said = Vec::new();
    for round in 0..KILLS {
        for post in 0..POSTS {
            said.push(say(&b, "bob", &format!("{round} {post}"), &url));
        }
        // Once the first of the round is there: the rest is on its way, received or being announced.
        let first = &said[round * POSTS];
        eventually("a post", async || {
            let there = inbox(&a, "club");
            there
                .iter()
                .any(|entry| entry["cid"] == **first)
                .then_some(())
        })
        .await;
        a.kill();
        a.restart().await;
    }
    eventually("all to be announced", async || {
        let (whole, named) = announced(&a);
        (whole.len() >= said.len() && named.len() >= said.len()).then_some(())
    })
    .await;
    a.delivered().await;
    b.delivered().await;
    eventually("carol to have them all", async || {
        let received = received(&b, "carol");
        let has = |cid: &String| received.iter().any(|(_, have)| have == cid);
        said.iter().all(has).then_some(())
    })
    .await;
    let once = |mut list: Vec<String>| {
        list.sort();
        let all = list.len();
        list.dedup();
        assert_eq!(list.len(), all, "nothing twice");
        list
    };
    let (whole, named) = announced(&a);
    let mut expected = said.clone();
    expected.sort();
    assert_eq!(once(whole), expected);
    assert_eq!(once(named).len(), said.len());
    let announces = received(&b, "carol").into_iter();
    let announces = announces.filter(|(verb, _)| verb == "Announce");
    let announces = once(announces.map(|(_, cid)| cid).collect());
    assert_eq!(announces.len(), 2 * said.len());
    let timeline = b.json(["timeline", "carol", "--limit", "200"]).to_string();
    assert!(timeline.contains("\"0 0\""), "the text of what was said");
    a.rebuilt_equals_live().await;
}

/// Who controls the group, as peers read it: alice.
async fn are_served(a: &Instance) {
    let url = a.actor_url("club");
    let document = a.web().get_as("/actors/club", AS2).await.json();
    let controllers = document["attributedTo"].as_str().expect("a collection");
    assert_eq!(controllers, format!("{url}/controllers"));
    let collection = a.web().get_as("/actors/club/controllers", AS2).await.json();
    assert_eq!(
        (&collection["id"], &collection["totalItems"]),
        (&controllers.into(), &1.into())
    );
    assert_eq!(collection["orderedItems"][0], *a.actor_url("alice"));
    assert_eq!(
        a.web()
            .get_as("/actors/alice/controllers", AS2)
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_group_announces_members_alone_and_who_controls_it_removes() {
    let (a, b) = club(true).await;
    a.create(&["alice"]);
    let url = a.actor_url("club");
    a.cli(["group", "show", "alice"]).refused(1);
    let carol = b.handle("carol");
    eventually("carol to ask", async || {
        let asks = a.json(["follow-requests", "club"]);
        (asks.as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    a.json(["group", "add", "club", &carol, "--member"]);
    a.json(["group", "add", "club", "alice", "--controller"]);
    a.cli(["group", "add", "club", "alice", "--controller"])
        .refused(1);
    b.following("carol", 1).await;
    let shown = a.json(["group", "show", "club"]);
    assert_eq!(shown["closed"], true);
    assert_eq!(
        shown["controllers"],
        serde_json::json!([a.actor_url("alice")])
    );
    assert_eq!(shown["members"], serde_json::json!([b.actor_url("carol")]));

    are_served(&a).await;

    let strange = say(&b, "bob", "is anybody there?", &url);
    let ours = say(&b, "carol", "yes", &url);
    eventually("carol's to be announced", async || {
        announced(&a).0.contains(&ours).then_some(())
    })
    .await;
    b.delivered().await;
    assert!(
        inbox(&a, "club")
            .iter()
            .any(|entry| entry["cid"] == *strange)
    );
    assert_eq!(announced(&a).0, [&*ours], "nothing of a stranger's");

    a.cli(["delete", "alice", &strange]).refused(1);
    a.json(["delete", "alice", &ours]);
    eventually("it to be gone from the group", async || {
        let said = outbox(&a, "club").into_iter();
        let deletes = said.filter(|said| said["document"]["type"] == "Delete");
        (deletes.count() == 2).then_some(())
    })
    .await;
    a.delivered().await;
    // What carol wrote is hers still.
    let kept = b.json(["get", &ours]);
    assert_eq!(kept["document"]["object"]["content"], "yes", "{kept}");
    a.json(["group", "remove", "club", &carol]);
    b.following("carol", 0).await;
    for instance in [&a, &b] {
        instance.verify();
        assert_eq!(instance.json(["dead-letters"]), serde_json::json!([]));
    }
}

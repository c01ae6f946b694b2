//! What is announced and endorsed, by whatever name it is given, and what adds up from it.

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::entry::{LogId, Visibility};
use fedsx_core::refusal::Refusal;
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Published};
use fedsx_store::engine::EngineKind;
use tokio_util::sync::CancellationToken;

use crate::harness::{Instance, Net, note};
use crate::{ALICE, BOB, followed};

fn text<'a>(map: &'a Map, member: &str) -> Option<&'a str> {
    map.get(member).and_then(Value::as_str)
}

fn all<'a>(map: &'a Map, member: &str) -> Vec<&'a str> {
    let items = map.get(member).into_iter().flat_map(Value::items);
    items.filter_map(Value::as_str).collect()
}

async fn says(instance: &Instance, name: &str, document: Map) -> Published {
    let said = instance
        .node
        .publish(name, document, PublishOptions::default());
    said.await.expect("published")
}

/// The object that an activity brought, and its id.
fn object(instance: &Instance, published: &Published) -> (Map, String) {
    let create = instance.document(&published.cid);
    let object = create.get("object").and_then(Value::as_map).expect("it");
    (
        object.clone(),
        text(object, "id").expect("an id").to_owned(),
    )
}

fn inbox(instance: &Instance, name: &str) -> Vec<Map> {
    let actor = instance.node.actor(name).expect("an actor");
    let range = fedsx_store::SeqRange::default();
    let rows = instance
        .node
        .view()
        .log(LogId::inbox(actor.no), range, true, 100);
    let rows = rows.expect("reads").into_iter();
    rows.map(|row| row.stored.map().expect("reads")).collect()
}

/// The projections of genesis are folded as long as it works.
async fn folding<T>(instance: &Instance, work: impl Future<Output = T>) -> T {
    instance.node.take_up_definitions().expect("the genesis");
    let stop = CancellationToken::new();
    let until = async {
        let done = work.await;
        stop.cancel();
        done
    };
    let folds = instance.node.folds().clone();
    let (outcome, done) = tokio::join!(folds.run(stop.clone()), until);
    outcome.expect("folds");
    done
}

/// The state of a key, when everything is folded.
async fn state(instance: &Instance, name: &str, key: &str) -> Value {
    let (folds, applied) = (instance.node.folds(), instance.node.view().applied());
    folds.wait(name, applied).await.expect("there");
    let answer = folds.state(name, Some(key)).expect("reads");
    assert!(answer.overview.offset >= applied, "folded in time");
    answer.state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announce_reaches_followers_and_the_author_by_whatever_name_it_is_given() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let c = net.instance("c.test", EngineKind::Memory);
    c.create("carol", false).await;
    c.node.follow("carol", ALICE).await.expect("follows");
    c.carry(&a).await;
    a.settle().await;
    a.carry(&c).await;

    let published = says(&b, "bob", note("worth it")).await;
    b.carry(&a).await;
    let (object, id) = object(&b, &published);
    let cid = Cid::of_document(Digest::of(&fedsx_core::canonical::document_bytes(&object)));
    let by_cid = published.cid.to_string();
    let mut announced = Vec::new();
    for what in [&by_cid, &published.id, &id] {
        let said = a.node.announce("alice", what).await.expect("announced");
        let document = a.document(&said.cid);
        assert_eq!(text(&document, "object"), Some(&*id), "{what}");
        assert_eq!(text(&document, "objectCid"), Some(&*cid.to_string()));
        assert_eq!(all(&document, "to"), [fedsx_core::audience::PUBLIC]);
        assert_eq!(all(&document, "cc"), [&format!("{ALICE}/followers"), BOB]);
        announced.push(said);
    }
    // An Announce stands for what it passes on.
    let again = announced[0].cid.to_string();
    let said = a.node.announce("alice", &again).await.expect("announced");
    assert_eq!(text(&a.document(&said.cid), "object"), Some(&*id));

    a.carry(&b).await;
    let told = inbox(&b, "bob").into_iter();
    let told = told.filter(|said| text(said, "type") == Some("Announce"));
    assert_eq!(told.count(), 4, "the author");
    // Gone from the list of what is new, so that it is given by hand.
    for said in &announced {
        let document = a.document(&said.cid);
        c.receive(None, &document).await.expect("received");
    }
    let carol = inbox(&c, "carol");
    let objects: Vec<_> = carol
        .iter()
        .filter_map(|said| text(said, "object"))
        .collect();
    assert_eq!(objects.iter().filter(|object| **object == id).count(), 3);
    let (timeline, counted) = folding(&c, async {
        let timeline = state(&c, "timeline", "https://c.test/actors/carol").await;
        (timeline, state(&c, "announcements", &id).await)
    })
    .await;
    let records = timeline.as_map().expect("by when and CID").iter();
    let verbs = records.filter_map(|(_, one)| one.get("verb")?.as_str());
    assert_eq!(
        verbs.collect::<Vec<_>>(),
        ["Announce"; 3],
        "no follow in it"
    );
    assert_eq!(counted.get("count"), Some(&Value::Int(1)), "by actor");

    // Carol has not got the note, but its origin has.
    let said = c.node.announce("carol", &id).await.expect("fetched");
    assert_eq!(all(&c.document(&said.cid), "cc")[1], BOB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endorsement_is_counted_however_it_is_said() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let published = says(&b, "bob", note("likeable")).await;
    b.carry(&a).await;
    let (_, id) = object(&b, &published);
    let like = a.node.endorse("alice", &id, "like").await.expect("said");
    let like = a.document(&like.cid);
    assert_eq!(
        (text(&like, "type"), like.get("kind")),
        (Some("Like"), None)
    );
    let reviewed = a.node.endorse("alice", &id, "reviewed").await;
    let reviewed = a.document(&reviewed.expect("said").cid);
    assert_eq!(text(&reviewed, "type"), Some("Endorse"));
    assert_eq!(text(&reviewed, "kind"), Some("reviewed"));
    a.carry(&b).await;

    // As Mastodon does it: to nobody.
    let reaction = |verb: &str, object: Value| {
        let mut document = a.raw("alice", verb, object, "https://b.test/");
        document.remove("to");
        document.remove("proof");
        a.resign("alice", &document)
    };
    let react = reaction("EmojiReact", Value::from(&*id));
    b.receive(Some("bob"), &react).await.expect("received");
    let counts = async || {
        let state = state(&b, "endorsements", &id).await;
        ["like", "reviewed"].map(|kind| {
            let kind = state
                .get("kinds")
                .and_then(|kinds| kinds.get(kind))
                .cloned();
            kind.and_then(|kind| kind.get("count").cloned())
        })
    };
    folding(&b, async {
        assert_eq!(counts().await, [Some(Value::Int(1)), Some(Value::Int(1))]);
        let undo = reaction("Undo", Value::Map(react));
        b.receive(Some("bob"), &undo).await.expect("received");
        assert_eq!(counts().await, [Some(Value::Int(0)), Some(Value::Int(1))]);
    })
    .await;

    // What addresses nobody and is no reaction stays with whom it was sent to.
    let flag = reaction("Flag", Value::from(&*id));
    let kept = b.receive(Some("bob"), &flag).await.expect("received");
    let stored = b.node.view().stored(&kept.cid.digest).expect("reads");
    let visibility = stored.expect("kept").activity().map(|flag| flag.visibility);
    assert_eq!(visibility, Some(Visibility::Direct));
}

#[tokio::test]
async fn what_can_not_be_said_is_refused_with_what_to_do() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let mut direct = note("between us");
    direct.insert("to", vec![ALICE]);
    let direct = says(&b, "bob", direct).await;
    b.carry(&a).await;
    let before = a.node.view().applied();
    let told = |answer: Result<Published, Refusal>| match answer {
        Ok(published) => format!("published {}", published.id),
        Err(refusal) => refusal.to_string(),
    };
    let unknown = Cid::of_document(Digest::of(b"unknown")).to_string();
    let direct = direct.cid.to_string();
    let mut page = Vec::new();
    for what in [
        &*unknown,
        "https://a.test/actors/alice/objects/none",
        "https://b.test/actors/bob/objects/none",
        BOB,
        "bob",
        &*direct,
    ] {
        let what_of = if what.starts_with("baga") {
            "a CID"
        } else {
            what
        };
        let answer = a.node.announce("alice", what).await;
        page.push(format!("announce {what_of}\n  {}", told(answer)));
    }
    for kind in ["", "two words"] {
        let answer = a.node.endorse("alice", &direct, kind).await;
        page.push(format!("endorse {kind:?}\n  {}", told(answer)));
    }
    insta::assert_snapshot!(page.join("\n"));
    assert_eq!(a.node.view().applied(), before, "nothing was published");

    let agreed = a.node.endorse("alice", &direct, "agree").await;
    let agreed = a.document(&agreed.expect("to its author").cid);
    assert_eq!(
        (all(&agreed, "to"), all(&agreed, "cc")),
        (vec![BOB], vec![])
    );
}

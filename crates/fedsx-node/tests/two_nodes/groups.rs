//! What a group announces of what it receives, once and as received, and what its followers make of it.

use fedsx_core::actor::ActorKind;
use fedsx_core::audience::PUBLIC;
use fedsx_core::entry::LogId;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::group::{Post, Standing};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Published, Status};
use fedsx_store::engine::EngineKind;

use crate::harness::{Instance, Net, note};
use crate::{ALICE, BOB, phase};

const CLUB: &str = "https://a.test/actors/club";
const CAROL: &str = "https://c.test/actors/carol";

fn text<'a>(map: &'a Map, member: &str) -> Option<&'a str> {
    map.get(member).and_then(Value::as_str)
}

/// club and its follower alice here, its follower carol there, and bob who follows nobody.
async fn club(net: &Net, is_closed: bool) -> [Instance; 3] {
    let [a, b, c] = ["a.test", "b.test", "c.test"].map(|at| net.instance(at, EngineKind::Memory));
    a.create_as(ActorKind::Group, "club", is_closed).await;
    a.create("alice", false).await;
    b.create("bob", false).await;
    c.create("carol", false).await;
    a.node.follow("alice", CLUB).await.expect("follows");
    c.node.follow("carol", CLUB).await.expect("follows");
    c.carry(&a).await;
    if is_closed {
        for who in [ALICE, CAROL] {
            a.node.accept("club", who).await.expect("accepts");
        }
    }
    a.settle().await;
    a.carry(&c).await;
    [a, b, c]
}

async fn says(instance: &Instance, name: &str, document: Map) -> Published {
    let options = PublishOptions::default();
    let said = instance.node.publish(name, document, options).await;
    said.expect("published")
}

fn to_club(text: &str) -> Map {
    let mut note = note(text);
    note.insert("to", vec![CLUB, PUBLIC]);
    note
}

/// What a log holds, oldest first.
fn log(
    instance: &Instance,
    log: impl Fn(fedsx_core::entry::ActorNo) -> LogId,
    name: &str,
) -> Vec<Map> {
    let actor = instance.node.actor(name).expect("an actor");
    let range = fedsx_store::SeqRange::default();
    let rows = instance.node.view().log(log(actor.no), range, false, 1_000);
    let rows = rows.expect("reads").into_iter();
    let rows = rows.filter(|row| !row.stored.erased);
    rows.map(|row| row.stored.map().expect("reads")).collect()
}

fn announces(instance: &Instance) -> Vec<Map> {
    let mut said = log(instance, LogId::outbox, "club");
    said.retain(|said| text(said, "type") == Some("Announce"));
    said
}

/// What is in somebody's inbox, by verb and author's last name.
fn inbox(instance: &Instance, name: &str) -> Vec<String> {
    let gist = |said: Map| {
        let actor = text(&said, "actor").unwrap_or_default();
        let name = actor.rsplit('/').next().unwrap_or_default();
        format!("{} {name}", text(&said, "type").unwrap_or_default())
    };
    let received = log(instance, LogId::inbox, name).into_iter().map(gist);
    received
        .filter(|said| !said.starts_with("Accept"))
        .collect()
}

#[tokio::test]
async fn a_post_to_a_group_is_announced_as_received_and_reaches_its_followers_as_its_authors() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    let published = says(&b, "bob", to_club("to all of us")).await;
    let document = b.document(&published.cid);
    b.carry(&a).await;
    a.settle().await;

    let announced = announces(&a);
    assert_eq!(announced.len(), 2, "the activity, and the object's id");
    assert_eq!(
        announced[0].get("object"),
        Some(&Value::Map(document.clone()))
    );
    assert_eq!(
        text(&announced[0], "objectCid"),
        Some(&*published.cid.to_string())
    );
    assert_eq!(
        announced[1].get("object"),
        document.get("object").and_then(|note| note.get("id"))
    );
    for announce in &announced {
        assert_eq!(announce.get("to"), Some(&vec![PUBLIC].into()));
        let followers = format!("{CLUB}/followers");
        assert_eq!(announce.get("cc"), Some(&vec![followers].into()));
    }
    let expected = ["Create bob", "Announce club", "Announce club"];
    assert_eq!(inbox(&a, "alice"), expected);
    assert_eq!(a.carry(&c).await, ["Announce", "Announce"]);
    assert_eq!(inbox(&c, "carol"), expected);

    // Again, whoever brings it: nothing new anywhere.
    assert_eq!(
        a.receive(None, &document).await.expect("taken").status,
        Status::Replay
    );
    let outer = c.receive(None, &announced[0]).await.expect("taken");
    assert_eq!(outer.status, Status::Replay);
    a.settle().await;
    assert_eq!(announces(&a).len(), 2);
    assert_eq!(inbox(&c, "carol"), expected);

    // A reply and a like are passed on as activities alone; what is not for the group is not.
    let mut reply = to_club("what do you mean?");
    reply.insert("inReplyTo", text(&announced[1], "object").expect("an id"));
    says(&b, "bob", reply).await;
    let like = Map::from([
        ("type", Value::from("Like")),
        ("object", announced[1].get("object").cloned().expect("it")),
        ("to", vec![CLUB].into()),
    ]);
    says(&b, "bob", like).await;
    let flag = Map::from([
        ("type", Value::from("Flag")),
        ("object", ALICE.into()),
        ("to", vec![CLUB].into()),
    ]);
    says(&b, "bob", flag).await;
    says(&b, "bob", note("for nobody there")).await;
    b.carry(&a).await;
    a.settle().await;
    let further = announces(&a).split_off(2);
    let verbs = further
        .iter()
        .map(|said| text(said.get("object")?.as_map()?, "type"));
    assert_eq!(verbs.collect::<Vec<_>>(), [Some("Create"), Some("Like")]);
    assert_eq!(
        further[1].get("to"),
        Some(&vec![format!("{CLUB}/followers")].into())
    );
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_announced_as_received_is_announced_by_its_id() {
    let net = Net::default();
    let [a, b, _c] = club(&net, false).await;
    let published = says(&b, "bob", to_club(&"x".repeat(260_400))).await;
    b.carry(&a).await;
    a.settle().await;
    let announced = announces(&a);
    assert_eq!(announced.len(), 2);
    assert_eq!(text(&announced[0], "object"), Some(&*published.id));
    assert_eq!(
        text(&announced[0], "objectCid"),
        Some(&*published.cid.to_string())
    );
}

#[tokio::test]
async fn what_its_author_deletes_is_gone_from_the_group() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    let published = says(&b, "bob", to_club("too soon")).await;
    let unheard = says(&b, "bob", to_club("never mind")).await;
    b.carry(&a).await;
    // Deleted before it is announced, and after.
    let of = |published: &Published| {
        let object = b.document(&published.cid).get("object").cloned();
        text(object.expect("a note").as_map().expect("a note"), "id")
            .expect("an id")
            .to_owned()
    };
    let (first, second) = (of(&published), of(&unheard));
    b.node.delete("bob", &second).await.expect("deleted");
    b.carry(&a).await;
    a.settle().await;
    let announced = announces(&a);
    assert_eq!(announced.len(), 3, "two of the post, and the Delete");
    a.carry(&c).await;
    b.node.delete("bob", &first).await.expect("deleted");
    b.carry(&a).await;
    a.settle().await;
    a.carry(&c).await;
    let left = announces(&a);
    let left = left
        .iter()
        .filter_map(|said| text(said.get("object")?.as_map()?, "type"));
    assert_eq!(left.collect::<Vec<_>>(), ["Delete", "Delete"]);
    // The copy in the group's Announce goes too, there as here.
    let carol = log(&c, LogId::inbox, "carol");
    assert!(
        carol
            .iter()
            .all(|said| !format!("{said:?}").contains("too soon"))
    );
    assert!(inbox(&c, "carol").contains(&"Delete bob".to_owned()));
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn a_closed_group_announces_what_its_followers_say_alone() {
    let net = Net::default();
    let [a, b, c] = club(&net, true).await;
    says(&b, "bob", to_club("let me in")).await;
    says(&c, "carol", to_club("hello, members")).await;
    b.carry(&a).await;
    c.carry(&a).await;
    a.settle().await;
    let announced = announces(&a);
    let authors = announced
        .iter()
        .filter_map(|said| text(said.get("object")?.as_map()?, "actor"));
    assert_eq!(authors.collect::<Vec<_>>(), [CAROL]);
    // Nobody whom it blocks says anything in an open one either.
    a.create_as(ActorKind::Group, "open", false).await;
    a.node.block("open", BOB).await.expect("blocks");
    let mut post = note("here then");
    post.insert("to", vec!["https://a.test/actors/open", PUBLIC]);
    says(&b, "bob", post).await;
    b.carry(&a).await;
    a.settle().await;
    let said = log(&a, LogId::outbox, "open");
    assert!(
        said.iter()
            .all(|said| text(said, "type") != Some("Announce"))
    );
}

#[tokio::test]
async fn what_a_group_says_that_somebody_said_counts_only_where_that_is_proved() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    let published = says(&b, "bob", to_club("my own words")).await;
    let mut forged = b.document(&published.cid);
    let mut object = forged
        .get("object")
        .and_then(Value::as_map)
        .expect("it")
        .clone();
    object.insert("content", "words of another");
    forged.insert("object", object);
    // Under an id of its own, with bob's proof of something else; then with none, as its origin does not serve it.
    forged.insert("id", format!("{BOB}/activities/forged"));
    let announce = |forged: &Map| {
        a.raw(
            "club",
            "Announce",
            forged.clone().into(),
            &format!("{CLUB}/followers"),
        )
    };
    let taken = c.receive(None, &announce(&forged)).await.expect("taken");
    assert_eq!(
        taken.status,
        Status::Accepted,
        "the Announce is the group's own"
    );
    forged.remove("proof");
    c.receive(None, &announce(&forged)).await.expect("taken");
    assert_eq!(inbox(&c, "carol"), ["Announce club", "Announce club"]);
    // What its origin serves counts without a proof.
    let mut unproved = b.document(&published.cid);
    unproved.remove("proof");
    net.serve(&published.id, Some(unproved.clone()));
    c.receive(None, &announce(&unproved)).await.expect("taken");
    assert!(inbox(&c, "carol").contains(&"Create bob".to_owned()));
    // A Follow that a group passes on is none.
    let follow = b.raw("bob", "Follow", CAROL.into(), CAROL);
    c.receive(None, &announce(&follow)).await.expect("taken");
    assert!(!inbox(&c, "carol").contains(&"Follow bob".to_owned()));
    // An Announce in an Announce goes no further.
    let nested = b.raw("bob", "Announce", published.id.as_str().into(), CLUB);
    a.receive(None, &nested).await.expect("taken");
    a.settle().await;
    assert!(announces(&a).is_empty());
}

#[tokio::test]
async fn an_author_says_so_much_in_a_group_an_hour() {
    let net = Net::default();
    let [a, b, _c] = club(&net, false).await;
    let limit = fedsx_core::limits::TRIGGERED_PER_HOUR;
    for n in 0..=limit {
        says(&b, "bob", to_club(&format!("post {n}"))).await;
    }
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(announces(&a).len(), 2 * limit);
    net.pass(std::time::Duration::from_secs(3_601));
    says(&b, "bob", to_club("another hour")).await;
    b.carry(&a).await;
    a.settle().await;
    let announced = log(&a, LogId::outbox, "club");
    assert!(
        announced
            .iter()
            .any(|said| format!("{said:?}").contains("another hour"))
    );
    a.close_and_compare();
}

/// Who is told of something at the group: an activity with a target.
fn about(verb: &str, who: &str, collection: &str) -> Map {
    Map::from([
        ("type", Value::from(verb)),
        ("object", who.into()),
        ("target", format!("{CLUB}/{collection}").into()),
        ("to", vec![CLUB].into()),
    ])
}

fn standing(instance: &Instance, who: &str) -> Standing {
    let club = instance.node.actor("club").expect("a group");
    let state = instance.node.view().state();
    state.standing(club.no, who).expect("reads")
}

/// What bob says in the group, announced there and carried to carol; its note's id.
async fn announced_note([a, b, c]: [&Instance; 3], text_of_it: &str) -> (Published, String) {
    let published = says(b, "bob", to_club(text_of_it)).await;
    b.carry(a).await;
    a.settle().await;
    a.carry(c).await;
    let document = b.document(&published.cid);
    let note = document.get("object").and_then(Value::as_map);
    let id = note.and_then(|note| text(note, "id")).expect("an id");
    (published, id.to_owned())
}

/// The actors of what the group announces as a whole.
fn authors(instance: &Instance) -> Vec<String> {
    let announced = announces(instance);
    let whole = announced
        .iter()
        .filter_map(|said| said.get("object")?.as_map());
    let authors = whole.filter_map(|said| text(said, "actor"));
    authors.map(str::to_owned).collect()
}

#[tokio::test]
async fn who_controls_a_group_adds_others_and_nobody_else_does() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    let appoint = a.node.appoint("club", CAROL, Post::Controller, true).await;
    assert_eq!(appoint.expect("appointed").0, CAROL);
    let again = a.node.appoint("club", CAROL, Post::Controller, true).await;
    assert_eq!(again.expect_err("is so already").code, Code::Conflict);
    let group = a.node.actor("club").expect("a group");
    let document = a.node.view().actor_document(&group).expect("reads");
    let controllers = format!("{CLUB}/controllers");
    assert_eq!(text(&document, "attributedTo"), Some(&*controllers));

    let (_, note) = announced_note([&a, &b, &c], "my own").await;
    let refused = a.node.delete("alice", &note).await.expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    let mut add = b.raw("bob", "Add", BOB.into(), CLUB);
    add.insert("target", controllers);
    let mut strange = vec![b.resign("bob", &add)];
    strange.push(b.raw("bob", "Delete", format!("{CAROL}/objects/1").into(), CLUB));
    for strange in strange {
        let refused = a.receive(None, &strange).await.expect_err("refused");
        assert_eq!(refused.code, Code::NotAuthorised);
    }
    // carol adds alice from where she is, who takes her place.
    says(&c, "carol", about("Add", ALICE, "controllers")).await;
    c.carry(&a).await;
    assert!(standing(&a, ALICE).controller && standing(&a, CAROL).controller);
    says(&a, "alice", about("Remove", CAROL, "controllers")).await;
    assert_eq!(standing(&a, CAROL), Standing::default());
    says(&c, "carol", about("Remove", ALICE, "controllers")).await;
    let log = c.node.actor("carol").expect("an actor");
    let log = c.node.view().log(
        LogId::outbox(log.no),
        fedsx_store::SeqRange::default(),
        true,
        1,
    );
    let said = log.expect("reads")[0].stored.map().expect("reads");
    let refused = a.receive(None, &said).await.expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn what_a_controller_removes_is_gone_from_the_group_and_nowhere_else() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    a.node
        .appoint("club", ALICE, Post::Controller, true)
        .await
        .expect("appointed");
    let (published, note) = announced_note([&a, &b, &c], "buy my thing").await;
    a.node.delete("alice", &note).await.expect("removed");
    a.settle().await;
    let left = announces(&a);
    assert_eq!(left.len(), 1, "the Delete alone");
    assert_eq!(authors(&a), [ALICE]);
    assert_eq!(left[0].get("to"), Some(&vec![PUBLIC].into()));
    let again = a.node.delete("alice", &note).await.expect_err("it is gone");
    assert_eq!(again.code, Code::NotAuthorised);
    // What the author made is the author's: it stays where it was sent, and is not announced again.
    assert!(inbox(&a, "club").contains(&"Create bob".to_owned()));
    let mut edited = b.document(&published.cid);
    edited.insert("type", "Update");
    edited.remove("id");
    says(&b, "bob", edited).await;
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(announces(&a).len(), 1);
    a.carry(&c).await;
    let carol = inbox(&c, "carol");
    let count = |said: &str| carol.iter().filter(|it| *it == said).count();
    let counts = (
        count("Announce club"),
        count("Delete club"),
        count("Create bob"),
    );
    assert_eq!(counts, (1, 2, 1), "{carol:?}");
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn a_controller_removes_from_another_instance() {
    let net = Net::default();
    let [a, b, c] = club(&net, false).await;
    a.node
        .appoint("club", CAROL, Post::Controller, true)
        .await
        .expect("appointed");
    let (_, note) = announced_note([&a, &b, &c], "and another").await;
    let delete = Map::from([
        ("type", Value::from("Delete")),
        ("object", note.into()),
        ("to", vec![CLUB].into()),
    ]);
    says(&c, "carol", delete).await;
    c.carry(&a).await;
    a.settle().await;
    assert_eq!(authors(&a), [CAROL]);
    // What is undone and not deleted, too.
    let like = Map::from([
        ("type", Value::from("Like")),
        ("object", ALICE.into()),
        ("to", vec![CLUB].into()),
    ]);
    let like = says(&b, "bob", like).await;
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(authors(&a), [CAROL, BOB]);
    a.carry(&c).await;
    let undo = |of: &str| {
        let undo = [("type", Value::from("Undo")), ("object", of.into())];
        let mut undo = Map::from(undo);
        undo.insert("to", vec![CLUB]);
        undo
    };
    says(&c, "carol", undo(&like.id)).await;
    c.carry(&a).await;
    a.settle().await;
    assert_eq!(authors(&a), [CAROL, CAROL]);
    let strange = b.raw(
        "bob",
        "Undo",
        announces(&a)[0].get("id").cloned().expect("it"),
        CLUB,
    );
    let refused = a.receive(None, &strange).await.expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn members_follow_a_closed_group_without_being_asked() {
    let net = Net::default();
    let [a, b, c] = club(&net, true).await;
    // Beforehand, and while the follow waits.
    a.node
        .appoint("club", BOB, Post::Member, true)
        .await
        .expect("added");
    b.node.follow("bob", CLUB).await.expect("follows");
    b.create("ben", false).await;
    b.node.follow("ben", CLUB).await.expect("follows");
    b.carry(&a).await;
    a.settle().await;
    let ben = "https://b.test/actors/ben";
    let follows = |who: &str| phase(&a, "club", Direction::Follower, who);
    assert_eq!(
        (follows(BOB), follows(ben)),
        (Phase::Accepted, Phase::Pending)
    );
    // By a controller, who follows nothing.
    b.create("bea", false).await;
    let bea = "https://b.test/actors/bea";
    a.node
        .appoint("club", bea, Post::Controller, true)
        .await
        .expect("added");
    says(&b, "bea", about("Add", ben, "followers")).await;
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(follows(ben), Phase::Accepted);
    a.carry(&b).await;
    assert_eq!(
        phase(&b, "ben", Direction::Following, CLUB),
        Phase::Accepted
    );
    says(&b, "bea", to_club("welcome, ben")).await;
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(announces(&a).len(), 2, "of who controls it");
    // Removed, whether added or not.
    for who in [ben, CAROL] {
        a.node
            .appoint("club", who, Post::Member, false)
            .await
            .expect("removed");
    }
    a.settle().await;
    assert_eq!((follows(ben), follows(CAROL)), (Phase::None, Phase::None));
    a.carry(&c).await;
    assert_eq!(phase(&c, "carol", Direction::Following, CLUB), Phase::None);
    assert_eq!(standing(&a, ben), Standing::default());
    // And asked for again, it waits.
    c.node.follow("carol", CLUB).await.expect("follows");
    c.carry(&a).await;
    a.settle().await;
    assert_eq!(follows(CAROL), Phase::Pending);
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

//! The whole follow table between two processes, in random order: whatever their actors say to each
//! other, and whichever of the two is stopped or killed meanwhile, both end with the same relations, and
//! nobody is stuck.
//!
//! `FEDSX_SEED=…` says the same things again in the same order (as far as the machine's own timing lets
//! it); `FEDSX_SOAK=1` runs 5,000 pairs of actors instead of 50.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fedsx_admin::client::{Client, ClientError};
use fedsx_admin::proto;
use futures_util::future::join_all;

use crate::harness::{Chance, Instance, PATIENCE, Web, soak, within};

/// Rounds, and pairs of actors that are at it at once in each. No pair meets twice.
const SHORT: (usize, usize) = (5, 10);
const LONG: (usize, usize) = (200, 25);
/// What a pair says while both sides are up, each time.
const STEPS: u32 = 6;

/// What one actor does about the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Follow,
    Unfollow,
    Accept,
    Reject,
    Block,
    Unblock,
    /// What it said last is sent once more.
    Again,
}

/// Follows and their ends most, because blocks end all.
const ACTS: [Act; 13] = [
    Act::Follow,
    Act::Follow,
    Act::Follow,
    Act::Follow,
    Act::Unfollow,
    Act::Unfollow,
    Act::Accept,
    Act::Accept,
    Act::Reject,
    Act::Reject,
    Act::Block,
    Act::Unblock,
    Act::Again,
];

/// What befalls a side in the middle of a round.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Stopped(usize),
    Killed(usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_end_with_the_same_relations_whatever_is_said_and_killed() {
    let (rounds, pairs) = if soak() { LONG } else { SHORT };
    let mut chance = Chance::seeded();
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    let mut sides = [a, b];
    // As many on each side as make so many pairs.
    let actors = (rounds * pairs).isqrt() + 1;
    create(&sides, actors, &mut chance).await;
    let mut ends = BTreeMap::new();
    for number in 0..rounds {
        let numbers = number * pairs..(number + 1) * pairs;
        let pairs = numbers.map(|pair| Pair::new(&sides, pair, actors, &mut chance));
        let round = Round {
            number,
            pairs: pairs.collect(),
        };
        round.know_each_other(&sides).await;
        let trouble = match number % 5 {
            1 | 3 => Trouble::Stopped(chance.of(&[0, 1])),
            4 => Trouble::Killed(chance.of(&[0, 1])),
            _ => Trouble::None,
        };
        round.run(&mut sides, trouble).await;
        for end in round.settled(&sides).await {
            *ends.entry(end).or_insert(0) += 1;
        }
        round.nobody_is_stuck(&sides).await;
    }
    // A run in which everything ends alike would show little.
    for end in ["none", "pending", "accepted"] {
        assert!(ends.contains_key(end), "{ends:?}");
    }
    for side in &mut sides {
        side.rebuilt_equals_live().await;
    }
}

/// Two actors, one on each side.
#[derive(Debug)]
struct Pair {
    names: [String; 2],
    urls: [String; 2],
    chance: Mutex<Chance>,
    /// What each said last.
    said: Mutex<[Option<String>; 2]>,
}

#[derive(Debug)]
struct Round {
    number: usize,
    pairs: Vec<Pair>,
}

impl Round {
    /// Each looks the other up, so that a stopped server is not waited for.
    async fn know_each_other(&self, sides: &[Instance; 2]) {
        for (side, instance) in sides.iter().enumerate() {
            let client = instance.client().await;
            join_all(self.pairs.iter().map(|pair| async {
                pair.act(&client, None, side, Act::Unfollow).await;
            }))
            .await;
        }
    }

    /// Says things while both are up, then while one may be down, then while both are up again.
    async fn run(&self, sides: &mut [Instance; 2], trouble: Trouble) {
        self.say(sides, &[0, 1]).await;
        match trouble {
            Trouble::None => {}
            Trouble::Stopped(side) => {
                sides[side].signal("STOP");
                self.say(sides, &[1 - side]).await;
                sides[side].signal("CONT");
            }
            Trouble::Killed(side) => {
                sides[side].kill();
                self.say(sides, &[1 - side]).await;
                sides[side].restart().await;
            }
        }
        self.say(sides, &[0, 1]).await;
    }

    /// All pairs at once say things, by those sides that are up.
    async fn say(&self, sides: &[Instance; 2], up: &[usize]) {
        let mut doors = Vec::new();
        for side in sides
            .iter()
            .enumerate()
            .map(|(number, side)| (up.contains(&number), side))
        {
            doors.push(match side {
                (true, side) => Some((side.client().await, side.web())),
                (false, _) => None,
            });
        }
        let doors = &doors;
        join_all(self.pairs.iter().map(|pair| async move {
            for _ in 0..STEPS {
                let (side, act) = pair.draw(|chance| (chance.of(up), chance.of(&ACTS)));
                let (client, _) = doors[side].as_ref().expect("it is up");
                let peer = doors[1 - side].as_ref().map(|(_, web)| web);
                pair.act(client, peer, side, act).await;
            }
        }))
        .await;
    }

    /// Waits until all queues are empty and both sides of each pair say the same, both ways: the relations.
    async fn settled(&self, sides: &[Instance; 2]) -> Vec<String> {
        let clients = [sides[0].client().await, sides[1].client().await];
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.same(&clients).await {
                Ok(ends) => return ends,
                Err(seen) => assert!(
                    Instant::now() < deadline,
                    "round {}: {seen:#?}",
                    self.number
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The relations, if nothing is on its way and both sides say the same; else what is not so.
    async fn same(&self, clients: &[Client; 2]) -> Result<Vec<String>, Vec<String>> {
        let mut seen = Vec::new();
        let before = [offset(&clients[0]).await, offset(&clients[1]).await];
        for client in clients {
            let lanes = client.lanes(proto::LanesRequest::default()).await;
            let lanes = lanes.expect("the lanes");
            if lanes.unexpanded > 0 || lanes.lanes.iter().any(is_busy) {
                seen.push(format!("{lanes:?}"));
            }
        }
        let mut ends = Vec::new();
        for pair in &self.pairs {
            for follower in [0, 1] {
                let followed = 1 - follower;
                let (me, them) = (&pair.names, &pair.urls);
                let following = following(&clients[follower], &me[follower], &them[followed]).await;
                let followers = followers(&clients[followed], &me[followed], &them[follower]).await;
                if !is_agreed(&following, &followers) {
                    let (one, other) = (&me[follower], &me[followed]);
                    seen.push(format!(
                        "{one} says it follows {other}: {following}; {other} says: {followers}"
                    ));
                }
                ends.push(following);
            }
        }
        let after = [offset(&clients[0]).await, offset(&clients[1]).await];
        if before != after {
            seen.push(format!("more is said: {before:?}, {after:?}"));
        }
        if seen.is_empty() { Ok(ends) } else { Err(seen) }
    }

    /// Once nobody blocks any more, who asks to follow does.
    async fn nobody_is_stuck(&self, sides: &[Instance; 2]) {
        let clients = [sides[0].client().await, sides[1].client().await];
        for side in [0, 1] {
            join_all(self.pairs.iter().map(|pair| async {
                pair.act(&clients[side], None, side, Act::Unblock).await;
            }))
            .await;
        }
        for side in [0, 1] {
            join_all(self.pairs.iter().map(|pair| async {
                pair.act(&clients[side], None, side, Act::Follow).await;
            }))
            .await;
        }
        for (follower, pair) in self.pairs.iter().flat_map(|pair| [(0, pair), (1, pair)]) {
            let (client, followed) = (&clients[1 - follower], 1 - follower);
            let (me, them) = (&pair.names, &pair.urls);
            let what = format!(
                "round {}: {} to follow {}",
                self.number, me[follower], me[followed]
            );
            within(PATIENCE, &what, async || {
                let has = followers(client, &me[followed], &them[follower]).await;
                if has == "pending" {
                    pair.act(client, None, followed, Act::Accept).await;
                }
                let says = following(&clients[follower], &me[follower], &them[followed]).await;
                (has == "accepted" && says == "accepted").then_some(())
            })
            .await;
        }
    }
}

impl Pair {
    fn new(sides: &[Instance; 2], number: usize, actors: usize, chance: &mut Chance) -> Self {
        let names = [
            format!("a{}", number / actors),
            format!("b{}", number % actors),
        ];
        let urls = [sides[0].actor_url(&names[0]), sides[1].actor_url(&names[1])];
        Self {
            names,
            urls,
            chance: Mutex::new(chance.fork()),
            said: Mutex::default(),
        }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.lock().expect("no panic with it"))
    }

    /// One actor does something about the other; what makes no sense as things stand is refused.
    async fn act(&self, client: &Client, peer: Option<&Web>, side: usize, act: Act) {
        let (actor, who) = (self.names[side].clone(), self.urls[1 - side].clone());
        macro_rules! verb {
            ($verb:ident, $request:ident $(, $more:ident: $value:expr)?) => {{
                let request = proto::$request { actor, who $(, $more: $value)? };
                let answer = client.$verb(request).await;
                answer.map(|answer| answer.published)
            }};
        }
        let published = match act {
            Act::Follow => verb!(follow, FollowRequest, backfill: String::new()),
            Act::Unfollow => verb!(unfollow, UnfollowRequest),
            Act::Accept => verb!(accept, AcceptRequest),
            Act::Reject => verb!(reject, RejectRequest),
            Act::Block => verb!(block, BlockRequest),
            Act::Unblock => verb!(unblock, UnblockRequest),
            Act::Again => return self.again(client, peer, side).await,
        };
        match published {
            Ok(published) if !matches!(act, Act::Block | Act::Unblock) => {
                let cid = published.expect("what was published").cid;
                self.said.lock().expect("no panic with it")[side] = Some(cid);
            }
            Ok(_) => {}
            // Nobody to accept, a follow of who is blocked, a peer that can't be looked up while it is down.
            Err(ClientError::Refused { code, .. })
                if ["conflict", "blocked", "unresolvable"].contains(&&*code) => {}
            Err(error) => panic!("{act:?} by {}: {error}", self.names[side]),
        }
    }

    /// Sends what one actor said last to the other's inbox, as whoever holds it can: its proof stands.
    async fn again(&self, client: &Client, peer: Option<&Web>, side: usize) {
        let cid = self.said.lock().expect("no panic with it")[side].clone();
        let (Some(peer), Some(cid_or_url)) = (peer, cid) else {
            return;
        };
        let lanes = client.lanes(proto::LanesRequest::default()).await;
        let lanes = lanes.expect("the lanes");
        if lanes.unexpanded > 0 || lanes.lanes.iter().any(is_busy) {
            return;
        }
        let request = proto::GetActivityRequest { cid_or_url };
        let entry = client.activity(request).await.expect("what was published");
        let inbox = format!("/actors/{}/inbox", self.names[1 - side]);
        let answer = peer.post(&inbox, entry.document_json).await;
        assert!([202, 403].contains(&answer.status), "{}", answer.text());
    }
}

/// Actors `a0`, `a1`… on one side and `b0`, `b1`… on the other; some answer by hand.
async fn create(sides: &[Instance; 2], count: usize, chance: &mut Chance) {
    for (instance, letter) in sides.iter().zip(["a", "b"]) {
        let client = instance.client().await;
        let requests = (0..count).map(|number| proto::CreateActorRequest {
            name: format!("{letter}{number}"),
            manual_approval: chance.below(3) == 0,
            ..Default::default()
        });
        let requests: Vec<_> = requests.collect();
        // A few at once: each has keys made for it, and the number of the next is known when it is there.
        for some in requests.chunks(4) {
            let created = some.iter().map(|new| client.create_actor(new.clone()));
            for created in join_all(created).await {
                created.expect("an actor");
            }
        }
    }
}

/// What was refused and came from another hand later, the follower hears of with its answer.
fn is_agreed(following: &str, followers: &str) -> bool {
    match following {
        "refused" => followers != "accepted",
        _ => following == followers,
    }
}

async fn offset(client: &Client) -> u64 {
    let status = client.status(proto::StatusRequest::default()).await;
    status.expect("a status").offset
}

async fn following(client: &Client, name: &str, peer: &str) -> String {
    let list = client.list_following(relations(name)).await;
    state(list.expect("a list"), peer)
}

async fn followers(client: &Client, name: &str, peer: &str) -> String {
    let list = client.list_followers(relations(name)).await;
    state(list.expect("a list"), peer)
}

fn relations(name: &str) -> proto::ListRelationsRequest {
    proto::ListRelationsRequest {
        actor: name.to_owned(),
        limit: 1_000,
        ..Default::default()
    }
}

fn state(list: proto::ListRelationsResponse, peer: &str) -> String {
    let found = list.relations.into_iter().find(|one| one.peer == peer);
    found.map_or_else(|| "none".to_owned(), |one| one.state)
}

fn is_busy(lane: &proto::Lane) -> bool {
    lane.queued > 0 || lane.set_aside > 0 || lane.in_flight > 0
}

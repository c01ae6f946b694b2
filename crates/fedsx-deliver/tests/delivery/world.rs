//! The made-up rest: entries, followers, and hosts that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::{Follower, ReceivesAt};
use fedsx_deliver::attempt::lane_of;
use fedsx_deliver::lane::Class;
use fedsx_deliver::outbound::{
    Answered, BatchParcel, Entry, Fault, Followers, Local, LookedUp, Offer, Outbound, Parcel,
    PeerStanding, Posted, PostedBatch,
};
use fedsx_store::engine::{Batch, Engine};
use tokio::sync::watch;

/// How a host answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    /// It takes everything.
    Well,
    /// No connection.
    Down,
    /// Always this status.
    Answers(u16),
    /// This status for the entries of these offsets.
    AnswersOn(u16, BTreeSet<u64>),
}

/// Everything behind [`Outbound`], to be changed by a test.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) now_ms: i64,
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) followers: BTreeMap<ActorNo, Vec<Follower>>,
    pub(crate) blocked: BTreeSet<(ActorNo, String)>,
    pub(crate) moods: BTreeMap<String, Mood>,
    /// Inboxes that are not beside their actor.
    pub(crate) inboxes: BTreeMap<String, String>,
    pub(crate) gone: BTreeSet<String>,
    /// The entries that have been erased.
    pub(crate) erased: BTreeSet<u64>,
    /// What arrived: host, inbox, sender, offset, in order.
    pub(crate) arrived: Vec<(String, String, ActorNo, u64)>,
    /// Every request, also those that failed.
    pub(crate) tried: Vec<(String, u64)>,
    pub(crate) placed: BTreeSet<(Digest, ActorNo)>,
    pub(crate) ended: Vec<String>,
    /// The hosts that take batches.
    pub(crate) batching: BTreeSet<String>,
    /// Batches that were taken.
    pub(crate) batches: usize,
    /// Whether time is tokio's.
    pub(crate) paused: Option<tokio::time::Instant>,
    /// How long an answer takes, milliseconds.
    pub(crate) delay_ms: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    facts: Mutex<Facts>,
    applied: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(facts: Facts) -> Arc<Self> {
        Arc::new(Self {
            facts: Mutex::new(facts),
            applied: watch::Sender::new(0),
        })
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().expect("no test panics with it")
    }

    pub(crate) fn set_mood(&self, host: &str, mood: Mood) {
        self.facts().moods.insert(host.to_owned(), mood);
    }

    /// Appends an entry, as the writer would.
    pub(crate) fn publish(
        &self,
        engine: &dyn Engine,
        actor: ActorNo,
        entry: impl FnOnce(&mut Entry),
    ) {
        let mut facts = self.facts();
        let offset = facts.entries.len() as u64 + 1;
        let mut new = Entry {
            digest: Digest::of(&offset.to_be_bytes()),
            bytes: 1_000,
            sender: format!("https://here/a{}", actor.0),
            followers: true,
            named: Vec::new(),
            hidden: Vec::new(),
            past_blocks: false,
            takes_back: None,
        };
        entry(&mut new);
        facts.entries.insert(offset, new);
        drop(facts);
        apply(engine, offset, actor);
        self.applied.send_replace(offset);
    }

    fn offset_of(&self, digest: &Digest) -> u64 {
        let facts = self.facts();
        let found = facts
            .entries
            .iter()
            .find(|(_, entry)| entry.digest == *digest);
        *found.expect("a document that was published").0
    }
}

/// The row that applying a published entry leaves.
pub(crate) fn apply(engine: &dyn Engine, offset: u64, actor: ActorNo) {
    let mut key = vec![0x80];
    key.extend(offset.to_be_bytes());
    let mut batch = Batch::new();
    batch.put(key, minicbor::to_vec(actor).expect("a vector takes all"));
    engine.commit(batch).expect("memory takes all");
}

pub(crate) fn follower(peer: &str, inbox: &str, shared: Option<&str>) -> Follower {
    Follower {
        peer: peer.to_owned(),
        from: 0,
        until: None,
        inbox: Some(inbox.to_owned()),
        shared_inbox: shared.map(str::to_owned),
    }
}

fn page(
    all: &[Follower],
    range: &RangeInclusive<u64>,
    cursor: Option<Vec<u8>>,
    limit: usize,
) -> Followers {
    let from = cursor.map_or(0, |cursor| {
        usize::from_be_bytes(cursor.try_into().expect("a cursor from here"))
    });
    let to = (from + limit).min(all.len());
    let page = all[from..to]
        .iter()
        .filter(|follower| {
            let has_ended = follower.until.is_some_and(|until| until <= *range.start());
            follower.from <= *range.end() && !has_ended
        })
        .cloned()
        .collect();
    (page, (to < all.len()).then(|| to.to_be_bytes().to_vec()))
}

impl Outbound for World {
    fn now_ms(&self) -> i64 {
        let facts = self.facts();
        let passed = facts.paused.map_or(0, |start| start.elapsed().as_millis());
        facts.now_ms + i64::try_from(passed).expect("tests are short")
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn entry(&self, offset: u64, _: ActorNo) -> Result<Option<Entry>, Fault> {
        let facts = self.facts();
        let is_erased = facts.erased.contains(&offset);
        Ok(facts.entries.get(&offset).filter(|_| !is_erased).cloned())
    }

    fn followers(
        &self,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault> {
        let all = self.facts().followers.get(&actor).cloned();
        Ok(page(&all.unwrap_or_default(), &range, cursor, limit))
    }

    fn followers_at(
        &self,
        host: &str,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault> {
        let all = self.facts().followers.get(&actor).cloned();
        let mut here = all.unwrap_or_default();
        here.retain(|follower| {
            let at = follower.receives_at().map(ReceivesAt::inbox);
            at.and_then(lane_of).as_deref() == Some(host)
        });
        Ok(page(&here, &range, cursor, limit))
    }

    fn published(&self, actor: ActorNo, from: u64, limit: usize) -> Result<Vec<u64>, Fault> {
        let facts = self.facts();
        let sender = format!("https://here/a{}", actor.0);
        let own = facts.entries.range(from..);
        let own = own.filter(|(_, entry)| entry.sender == sender);
        Ok(own.map(|(offset, _)| *offset).take(limit).collect())
    }

    fn is_followed_at(&self, actor: ActorNo, shared_inbox: &str) -> Result<bool, Fault> {
        let facts = self.facts();
        let all = facts.followers.get(&actor).into_iter().flatten();
        Ok(all
            .filter(|follower| follower.until.is_none())
            .any(|follower| {
                follower.receives_at() == Some(ReceivesAt::Shared(shared_inbox))
                    && !facts.blocked.contains(&(actor, follower.peer.clone()))
            }))
    }

    fn standing(&self, actor: ActorNo, peer: &str) -> Result<PeerStanding, Fault> {
        let facts = self.facts();
        let follower = facts.followers.get(&actor).and_then(|all| {
            all.iter()
                .rfind(|follower| follower.peer == peer && follower.until.is_none())
        });
        Ok(PeerStanding {
            follows_since: follower.map(|follower| follower.from),
            blocked: facts.blocked.contains(&(actor, peer.to_owned())),
            inbox: follower.and_then(|follower| follower.inbox.clone()),
        })
    }

    fn local(&self, url: &str) -> Result<Local, Fault> {
        Ok(match url.strip_prefix("https://here/") {
            None => Local::No,
            Some(name) => match name.strip_prefix('a').and_then(|no| no.parse().ok()) {
                Some(no) => Local::Actor(ActorNo(no)),
                None => Local::Nobody,
            },
        })
    }

    fn is_placed(&self, digest: &Digest, actor: ActorNo) -> Result<bool, Fault> {
        Ok(self.facts().placed.contains(&(*digest, actor)))
    }

    async fn place(&self, digest: Digest, actors: Vec<ActorNo>) -> Result<(), Fault> {
        assert!(actors.len() <= 256, "a chunk");
        self.facts()
            .placed
            .extend(actors.into_iter().map(|actor| (digest, actor)));
        Ok(())
    }

    async fn end_relations(&self, peer: &str) -> Result<(), Fault> {
        self.facts().ended.push(peer.to_owned());
        Ok(())
    }

    fn is_barred(&self, _host: &str) -> Result<bool, Fault> {
        Ok(false)
    }

    fn blocks_host(&self, _actor: ActorNo, _host: &str) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn refused(&self, _actor: ActorNo, _digest: &Digest) -> Result<(), Fault> {
        Ok(())
    }

    async fn taken(&self, _actor: ActorNo, _peer: &str, _digest: &Digest) -> Result<(), Fault> {
        Ok(())
    }

    async fn post(&self, parcel: Parcel) -> Posted {
        let delay_ms = self.facts().delay_ms;
        if delay_ms > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
        }
        let offset = self.offset_of(&parcel.digest);
        let host = lane_of(&parcel.inbox).expect("an inbox has a host");
        let mut facts = self.facts();
        if facts.erased.contains(&offset) {
            return Posted::Erased;
        }
        facts.tried.push((host.clone(), offset));
        let status = match facts.moods.get(&host).unwrap_or(&Mood::Well) {
            Mood::Down => return Posted::HostFailed("no connection".to_owned()),
            Mood::Answers(status) => *status,
            Mood::AnswersOn(status, offsets) if offsets.contains(&offset) => *status,
            Mood::Well | Mood::AnswersOn(..) => 202,
        };
        if status == 202 {
            facts
                .arrived
                .push((host, parcel.inbox, parcel.actor, offset));
        }
        Posted::Answer(Answered {
            status,
            retry_after_ms: None,
            text: format!("it is {status}"),
        })
    }

    async fn offer(&self, inbox: &str) -> Result<Option<Offer>, String> {
        let host = lane_of(inbox).expect("an inbox has a host");
        let facts = self.facts();
        let offer = facts.batching.contains(&host).then(|| Offer {
            url: format!("https://{host}/batch"),
            most: 5,
        });
        match facts.moods.get(&host) {
            Some(Mood::Down) => Err("no connection".to_owned()),
            _ => Ok(offer),
        }
    }

    async fn post_batch(&self, parcel: BatchParcel) -> PostedBatch {
        let host = lane_of(&parcel.url).expect("a host");
        let mood = self.facts().moods.get(&host).cloned();
        if !self.facts().batching.contains(&host) {
            return PostedBatch::Refused("no batches any more".to_owned());
        }
        assert!(
            (1..=5).contains(&parcel.digests.len()),
            "as many as it takes"
        );
        match mood {
            Some(Mood::Down) => {
                return PostedBatch::HostFailed {
                    why: "no connection".to_owned(),
                    retry_after_ms: None,
                };
            }
            Some(Mood::Answers(status)) if Class::of(status) == Class::Host => {
                return PostedBatch::HostFailed {
                    why: status.to_string(),
                    retry_after_ms: None,
                };
            }
            _ => {}
        }
        self.facts().batches += 1;
        let mut answers = Vec::new();
        for digest in parcel.digests {
            let offset = self.offset_of(&digest);
            let sender = self.facts().entries[&offset].sender.clone();
            let (_, no) = sender.rsplit_once('a').expect("an actor");
            let single = Parcel {
                actor: ActorNo(no.parse().expect("a number")),
                digest,
                inbox: format!("https://{host}/inbox"),
                to_followers: true,
            };
            answers.push(self.post(single).await);
        }
        PostedBatch::Answers(answers)
    }

    async fn look_up(&self, peer: &str, _: bool) -> LookedUp {
        let facts = self.facts();
        let host = lane_of(peer).expect("a peer has a host");
        if facts.moods.get(&host) == Some(&Mood::Down) {
            return LookedUp::HostFailed("no connection".to_owned());
        }
        if facts.gone.contains(peer) {
            return LookedUp::Gone;
        }
        let inbox = facts.inboxes.get(peer).cloned();
        LookedUp::Found {
            inbox: inbox.unwrap_or(format!("{peer}/inbox")),
            shared_inbox: None,
        }
    }
}

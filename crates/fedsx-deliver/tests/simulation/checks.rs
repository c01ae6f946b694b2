//! What must hold once a world has come to rest, read from the journals, the logs and the relations of its instances.
//!
//! Whom something is for is judged here by what its document says and by who ever asked to follow whom, not by what the
//! instances made of it.

use std::collections::{BTreeMap, BTreeSet};

use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, Effect, LogId, Side, Visibility};
use fedsx_core::envelope::Recipients;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::state::Actor;
use fedsx_store::{SeqRange, Stored, check};

use crate::instance::{Instance, scratch};
use crate::world::World;

/// More entries than any journal or log here has.
const ALL: usize = 100_000;

/// What an instance holds.
struct Held {
    /// Everything in its journal, in order.
    entries: Vec<Stored>,
    actors: Vec<Actor>,
    /// What stands in which log.
    logs: BTreeMap<(u32, bool), Vec<Digest>>,
}

impl Held {
    fn of(instance: &mut Instance) -> Result<Self, String> {
        let on = instance.index;
        let view = instance.up().node.view().clone();
        let read = |error: fedsx_store::ReadError| format!("i{on} can't be read: {error}");
        let entries = view.tail(0).next(ALL).map_err(read)?;
        let actors = view.actors().map_err(read)?;
        let mut logs = BTreeMap::new();
        for actor in &actors {
            for side in [Side::Outbox, Side::Inbox] {
                let log = LogId {
                    actor: actor.no,
                    side,
                };
                let kept = view
                    .log(log, SeqRange::default(), false, ALL)
                    .map_err(read)?;
                let digests = kept.iter().filter_map(|entry| entry.stored.activity());
                let digests = digests.map(|activity| activity.digest).collect();
                logs.insert((actor.no.0, side == Side::Outbox), digests);
            }
        }
        Ok(Self {
            entries,
            actors,
            logs,
        })
    }

    fn activities(&self) -> impl Iterator<Item = (&Stored, &Activity)> {
        let activity = |stored| Some((stored, Stored::activity(stored)?));
        self.entries.iter().filter_map(activity)
    }

    /// By which Accept those here follow others, since they last began to.
    fn accepted(&self) -> BTreeMap<(String, String), Digest> {
        let mut accepted = BTreeMap::new();
        let is_here = |url: &String| self.actors.iter().any(|actor| actor.url == *url);
        for (_, activity) in self.activities() {
            match &activity.effect {
                Some(Effect::Accept { follow }) if is_here(&follow.follower) => {
                    let pair = (follow.follower.clone(), follow.followed.clone());
                    accepted.entry(pair).or_insert(activity.digest);
                }
                Some(Effect::Reject { follow } | Effect::UndoFollow { follow }) => {
                    let pair = (follow.follower.clone(), follow.followed.clone());
                    accepted.remove(&pair);
                }
                Some(Effect::Block { blocker, blocked }) => {
                    accepted.remove(&(blocker.clone(), blocked.clone()));
                    accepted.remove(&(blocked.clone(), blocker.clone()));
                }
                _ => {}
            }
        }
        accepted
    }

    fn log(&self, actor: &Actor, is_outbox: bool) -> &[Digest] {
        &self.logs[&(actor.no.0, is_outbox)]
    }
}

/// What is known of something that somebody said.
struct Said {
    by: String,
    on: usize,
    offset: u64,
    verb: String,
    visibility: Visibility,
    /// The actors it names, openly or not.
    named: BTreeSet<String>,
}

/// All instances at once.
struct Whole<'a> {
    world: &'a World,
    held: Vec<Held>,
    said: BTreeMap<Digest, Said>,
    /// Who ever asked to follow whom.
    asked: BTreeSet<(String, String)>,
    /// Who ever blocked whom.
    blocked: BTreeSet<(String, String)>,
    /// What was deleted, by the `id` of the activity that brought it.
    deleted: BTreeSet<String>,
    /// Who follows whom, as the follower knows, and by which Accept.
    accepted: BTreeMap<(String, String), Digest>,
}

/// Holds a world that has come to rest to all of it.
pub(crate) fn check(world: &mut World) -> Result<(), String> {
    for instance in &mut world.instances {
        rebuilt_equals_live(instance)?;
    }
    let held = world.instances.iter_mut().map(Held::of);
    let held = held.collect::<Result<Vec<_>, _>>()?;
    let whole = Whole::of(world, held);
    whole.nothing_is_lost()?;
    whole.nothing_is_there_twice()?;
    whole.nothing_is_forged()?;
    whole.nothing_leaks()?;
    whole.both_sides_agree()?;
    whole.everybody_has_what_it_should()?;
    whole.what_is_deleted_is_gone()?;
    whole.nothing_is_left()
}

/// The journal is whole, and the index is what it folds into.
fn rebuilt_equals_live(instance: &mut Instance) -> Result<(), String> {
    let on = instance.index;
    let live = instance.up().store.digest().expect("memory reads");
    if instance.rebuilt() != live {
        return Err(format!("i{on}: the index made anew is another"));
    }
    let dir = scratch();
    instance.copy_to(dir.path());
    let report = check::verify(dir.path()).map_err(|error| format!("i{on}: {error}"))?;
    match report.faults.first() {
        Some(fault) => Err(format!("i{on}, entry {}: {}", fault.offset, fault.what)),
        None => Ok(()),
    }
}

impl<'a> Whole<'a> {
    fn of(world: &'a World, held: Vec<Held>) -> Self {
        let mut whole = Self {
            world,
            held: Vec::new(),
            said: BTreeMap::new(),
            asked: BTreeSet::new(),
            blocked: BTreeSet::new(),
            deleted: BTreeSet::new(),
            accepted: BTreeMap::new(),
        };
        for (on, held) in held.iter().enumerate() {
            for actor in &held.actors {
                let own: BTreeSet<&Digest> = held.log(actor, true).iter().collect();
                for (stored, activity) in held.activities() {
                    if own.contains(&activity.digest) && activity.actor == actor.url {
                        whole.note(on, stored, activity);
                    }
                }
            }
        }
        whole.accepted = held.iter().flat_map(Held::accepted).collect();
        whole.held = held;
        whole
    }

    fn note(&mut self, on: usize, stored: &Stored, activity: &Activity) {
        let document = stored.map().expect("it reads");
        let open = Recipients::of(&document).unwrap_or_default();
        let hidden = activity.hidden.iter().map(String::as_str);
        let mut named: BTreeSet<String> = open.all().chain(hidden).map(str::to_owned).collect();
        // Of what is erased the header alone is left.
        let addressed = self.world.record.addressed.get(&activity.digest);
        named.extend(addressed.into_iter().flatten().cloned());
        match &activity.effect {
            Some(Effect::Follow {
                follower, followed, ..
            }) => {
                self.asked.insert((follower.clone(), followed.clone()));
            }
            Some(Effect::Block { blocker, blocked }) => {
                self.blocked.insert((blocker.clone(), blocked.clone()));
            }
            Some(Effect::Deleted { object, .. }) => {
                self.deleted.insert(object.clone());
            }
            _ => {}
        }
        let said = Said {
            by: activity.actor.clone(),
            on,
            offset: stored.header.offset,
            verb: activity.verb.clone(),
            visibility: activity.visibility,
            named,
        };
        self.said.insert(activity.digest, said);
    }

    fn is_blocked(&self, one: &str, other: &str) -> bool {
        let pair = |a: &str, b: &str| self.blocked.contains(&(a.to_owned(), b.to_owned()));
        pair(one, other) || pair(other, one)
    }

    fn is_deleted(&self, activity: &Activity) -> bool {
        let ids = activity.object_id.iter().chain([&activity.id]);
        ids.into_iter().any(|id| self.deleted.contains(id))
    }

    /// Everybody on an instance, by URL.
    fn people_on(&self, on: usize) -> impl Iterator<Item = &str> {
        let people = self
            .world
            .people
            .iter()
            .filter(move |person| person.on == on);
        people.map(|person| &*person.url)
    }

    fn nothing_is_lost(&self) -> Result<(), String> {
        for (on, digest, offset, person) in &self.world.record.published {
            let at = usize::try_from(*offset).expect("small") - 1;
            let entry = self.held[*on].entries.get(at).and_then(Stored::activity);
            if entry.is_none_or(|entry| entry.digest != *digest) {
                let who = &self.world.people[*person].name;
                return Err(format!(
                    "{who} was told of {digest:?} at {offset}, and it is not there"
                ));
            }
        }
        for (on, digest) in &self.world.record.accepted {
            if !self.held[*on]
                .activities()
                .any(|(_, it)| it.digest == *digest)
            {
                return Err(format!("i{on} has taken {digest:?}, and it is not there"));
            }
        }
        Ok(())
    }

    fn nothing_is_there_twice(&self) -> Result<(), String> {
        for (on, held) in self.held.iter().enumerate() {
            let mut entries = BTreeSet::new();
            if let Some((stored, _)) = held.activities().find(|(_, it)| !entries.insert(it.digest))
            {
                let offset = stored.header.offset;
                return Err(format!(
                    "i{on}, entry {offset}: it is in the journal already"
                ));
            }
            for (log, digests) in &held.logs {
                let mut once = BTreeSet::new();
                if let Some(twice) = digests.iter().find(|digest| !once.insert(**digest)) {
                    return Err(format!("i{on}: {twice:?} is in log {log:?} twice"));
                }
            }
        }
        Ok(())
    }

    /// What is kept of somebody is what it said, word for word.
    fn nothing_is_forged(&self) -> Result<(), String> {
        for (on, held) in self.held.iter().enumerate() {
            for (stored, activity) in held.activities() {
                let said = self.said.get(&activity.digest);
                if said.is_none_or(|said| said.by != activity.actor) {
                    let (offset, actor) = (stored.header.offset, &activity.actor);
                    return Err(format!("i{on}, entry {offset}: {actor} never said that"));
                }
            }
        }
        Ok(())
    }

    /// Whether something may be told to one of those.
    fn is_for<'b>(&self, said: &Said, mut readers: impl Iterator<Item = &'b str>) -> bool {
        // A Delete goes to whoever had what it takes back.
        let goes_to_followers = said.visibility == Visibility::Followers || said.verb == "Delete";
        said.visibility == Visibility::Public
            || readers.any(|reader| {
                let has_asked = self.asked.contains(&(reader.to_owned(), said.by.clone()));
                said.named.contains(reader) || goes_to_followers && has_asked
            })
    }

    fn nothing_leaks(&self) -> Result<(), String> {
        for (from, to, digest) in &self.world.record.sent {
            let Some(said) = self.said.get(digest) else {
                return Err(format!("i{from} sent {digest:?}, which nobody said"));
            };
            if said.verb == "Block" || said.on != *from || !self.is_for(said, self.people_on(*to)) {
                return Err(format!(
                    "i{from} sent {} of {} at {}, {:?}, to i{to}",
                    said.verb, said.by, said.offset, said.visibility
                ));
            }
        }
        for (on, held) in self.held.iter().enumerate() {
            for actor in &held.actors {
                for digest in held.log(actor, false) {
                    let said = &self.said[digest];
                    if !self.is_for(said, std::iter::once(&*actor.url)) {
                        let (by, who) = (&said.by, &actor.name);
                        return Err(format!(
                            "i{on}: {who} has {} of {by} at {}, {:?}",
                            said.verb, said.offset, said.visibility
                        ));
                    }
                }
            }
            for (stored, _) in held.activities() {
                let document = stored.map().expect("it reads");
                if ["bto", "bcc"]
                    .iter()
                    .any(|name| document.contains_key(name))
                {
                    let offset = stored.header.offset;
                    return Err(format!(
                        "i{on}, entry {offset}: it tells of hidden recipients"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Both sides hold the same relation.
    fn both_sides_agree(&self) -> Result<(), String> {
        for one in &self.world.people {
            for other in &self.world.people {
                let following = self.phase(one.on, &one.url, Direction::Following, &other.url);
                let follower = self.phase(other.on, &other.url, Direction::Follower, &one.url);
                if following != follower {
                    return Err(format!(
                        "{} follows {}: {following:?} there and {follower:?} here",
                        one.name, other.name
                    ));
                }
                let blocks = self.blocks(one.on, &one.url, &other.url);
                if blocks && following != Some(Phase::None) {
                    return Err(format!("{} blocks {} and follows it", one.name, other.name));
                }
            }
        }
        Ok(())
    }

    fn actor(&self, on: usize, url: &str) -> Option<&Actor> {
        self.held[on].actors.iter().find(|actor| actor.url == url)
    }

    /// None where there is nobody of that name.
    fn phase(&self, on: usize, url: &str, direction: Direction, peer: &str) -> Option<Phase> {
        let running = self.world.instances[on].running.as_ref().expect("it is up");
        let state = running.node.view().state();
        let relation = self
            .actor(on, url)
            .map(|actor| state.relation(actor.no, direction, peer).expect("reads"));
        Some(match relation.map(|relation| relation.phase) {
            // Known to the one that asked alone.
            Some(Phase::Refused) | None => Phase::None,
            Some(phase) => phase,
        })
    }

    fn blocks(&self, on: usize, url: &str, peer: &str) -> bool {
        let running = self.world.instances[on].running.as_ref().expect("it is up");
        let state = running.node.view().state();
        self.actor(on, url)
            .is_some_and(|actor| state.blocks(actor.no, peer).expect("reads").ours)
    }

    /// Those who follow, since before something was said, have it; so have those whom it names.
    fn everybody_has_what_it_should(&self) -> Result<(), String> {
        for (on, held) in self.held.iter().enumerate() {
            for (stored, activity) in held.activities() {
                let said = &self.said[&activity.digest];
                if said.on != on || activity.verb != "Create" || self.is_deleted(activity) {
                    continue;
                }
                if stored.header.offset != said.offset {
                    continue;
                }
                for reader in self.should_have(said) {
                    let person = self.world.people.iter().find(|person| person.url == reader);
                    let Some(person) = person else { continue };
                    let Some(actor) = self.actor(person.on, &reader) else {
                        continue;
                    };
                    if !self.held[person.on]
                        .log(actor, false)
                        .contains(&activity.digest)
                    {
                        return Err(format!(
                            "{} lacks entry {} of i{on} by {}, {:?}",
                            person.name, said.offset, said.by, said.visibility
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn should_have(&self, said: &Said) -> BTreeSet<String> {
        let mut readers = said.named.clone();
        readers.retain(|reader| !self.is_blocked(reader, &said.by));
        if said.visibility != Visibility::Direct
            && let Some(actor) = self.actor(said.on, &said.by)
        {
            let running = self.world.instances[said.on].running.as_ref().expect("up");
            let range = said.offset..=said.offset;
            let followers = running.node.view().followers(actor.no, range, None, ALL);
            let followers = followers.expect("reads").0.into_iter();
            let standing = followers.filter(|follower| follower.until.is_none());
            // Who asked twice at once is a follower here before it knows: the first answer is none to its second
            // Follow.
            readers.extend(standing.map(|follower| follower.peer).filter(|peer| {
                let accept = self.accepted.get(&(peer.clone(), said.by.clone()));
                let accept = accept.and_then(|accept| self.said.get(accept));
                accept.is_some_and(|accept| accept.offset < said.offset)
            }));
        }
        readers.remove(&said.by);
        readers
    }

    /// What was deleted is erased wherever it went and can be told so.
    fn what_is_deleted_is_gone(&self) -> Result<(), String> {
        for (on, held) in self.held.iter().enumerate() {
            for (stored, activity) in held.activities() {
                let is_create = activity.verb == "Create" && activity.object_id.is_some();
                if is_create && self.is_deleted(activity) && !stored.erased {
                    let offset = stored.header.offset;
                    return Err(format!(
                        "i{on}, entry {offset}: it is deleted and still there"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Nothing waits any more, and what was given up is what the other side refuses for good.
    fn nothing_is_left(&self) -> Result<(), String> {
        for instance in &self.world.instances {
            let running = instance.running.as_ref().expect("it is up");
            let on = instance.index;
            let queued = running.deliveries.hosts_queued().expect("reads");
            let aside = running.deliveries.hosts_aside().expect("reads");
            if !queued.is_empty() || !aside.is_empty() {
                return Err(format!("i{on}: something waits for {queued:?} {aside:?}"));
            }
            let letters = running.deliveries.dead_letters(0, ALL).expect("reads");
            for (_, letter) in letters {
                if letter.status != Some(403) {
                    return Err(format!("i{on} has given up {letter:?}"));
                }
            }
        }
        Ok(())
    }
}

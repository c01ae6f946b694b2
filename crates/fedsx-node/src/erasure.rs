//! Deletion: the `Delete` that an actor publishes, and the erasing of every copy that is kept, behind any
//! `Delete` that is accepted (design, section 4, "Erasure").
//!
//! Invariants: the `Delete` is durable before anything is erased, and each copy is on record as erased before
//! it is overwritten; a walk over the deletions keeps its place, so that what ends the process half-way
//! is gone on with. A copy goes only where it says itself that it is the deleter's. Deliberately absent:
//! the overwriting (the store's), and copies that come later in others' documents.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fedsx_core::address::is_http_url;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::erase::{is_copy_of, is_erasable};
use fedsx_core::decide::group::controls;
use fedsx_core::entry::{Activity, Control, Effect, LogId};
use fedsx_core::envelope::reference;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, Deleted};
use fedsx_core::tombstone::tombstone;
use fedsx_core::value::{Map, Value};
use fedsx_store::{Answer, Deletion, SeqRange, Stored};
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio_util::sync::CancellationToken;

use crate::control::written;
use crate::{Node, PublishOptions, Published, fault};

/// Copies looked at between two waits for the writer.
const AT_ONCE: usize = 64;
/// How long the walk waits after a fault of our own.
const PAUSE: Duration = Duration::from_secs(1);

/// Actors of other hosts of which one pass through the journal looks for what they said.
const PEERS_AT_ONCE: usize = 256;
/// Entries of the journal that such a pass reads at once.
const PASSED_AT_ONCE: usize = 512;
/// How long who deletes something waits for a walk that goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What those who delete share with the walk.
#[derive(Debug, Default)]
pub(crate) struct Erasing {
    /// Held by who walks: the actors of other hosts of which everything is on record as erased, and whose turn has
    /// not come.
    walk: Mutex<BTreeSet<String>>,
    /// There is something left to do.
    left: Notify,
}

impl Node {
    /// Deletes what an actor made, and erases every copy of it: by the CID or URL of an activity, or the
    /// URL of an object. A `Create` stands for its object.
    ///
    /// # Errors
    /// `not-found`; `gone`, where it is deleted already; `not-authorised`, where another made it; `conflict`,
    /// for what is undone and not deleted.
    pub async fn delete(&self, name: &str, what: &str) -> Result<Published, Refusal> {
        let what = what.trim();
        let id = match what.parse::<Cid>() {
            Ok(cid) => {
                let stored = self.0.view.stored(&cid.digest).map_err(fault::read)?;
                let activity = stored.as_ref().and_then(Stored::activity);
                let activity = activity.ok_or_else(unknown)?;
                let object = activity.object_id.clone();
                let object = object.filter(|_| activity.verb == "Create");
                object.unwrap_or_else(|| activity.id.clone())
            }
            Err(_) if is_http_url(what) => what.to_owned(),
            Err(_) => {
                let why = format!("`{what}` is neither a CID nor the URL of an activity or object");
                return Err(Refusal::new(Code::Malformed, why));
            }
        };
        let document = Map::from([("type", "Delete"), ("object", &*id)]);
        let options = PublishOptions::default();
        self.publish(name, document, options).await
    }

    /// A `Delete` as it goes out: with a Tombstone in place of whatever it was given, to everybody who was
    /// sent what is deleted. Another document stays as it is.
    pub(crate) fn as_deletion<'a>(
        &self,
        actor: &Actor,
        document: &'a Map,
    ) -> Result<Cow<'a, Map>, Refusal> {
        let is_delete = document.get("type").and_then(Value::as_str) == Some("Delete");
        let id = reference(document.get("object")).filter(|id| is_delete && *id != actor.url);
        let Some(id) = id else {
            return Ok(Cow::Borrowed(document));
        };
        let state = self.0.view.state();
        if state
            .deleted(id, &actor.url)
            .map_err(fault::state)?
            .is_some()
        {
            return Err(Refusal::new(Code::Gone, "it is deleted already"));
        }
        let kept = self.copies_of(id)?;
        let (first, activity) = kept
            .iter()
            .find_map(|stored| Some((stored, stored.activity()?)))
            .ok_or_else(unknown)?;
        let map = first.map().map_err(fault::read)?;
        let former_type = match activity.id == id {
            true => Some(&*activity.verb),
            false => map
                .get("object")
                .and_then(|object| object.get("type")?.as_str()),
        };
        let mut tombstone = tombstone(id, former_type, None);
        tombstone.remove("@context");
        let mut deletion = document.clone();
        deletion.insert("object", tombstone);
        for stored in &kept {
            let own = stored.activity().filter(|own| own.actor == actor.url);
            let Some(own) = own else { continue };
            let map = stored.map().map_err(fault::read)?;
            for member in ["to", "cc", "audience"] {
                let sent_to = map.get(member).into_iter().flat_map(Value::items);
                add(&mut deletion, member, sent_to.cloned());
            }
            let hidden = own.hidden.iter().map(|url| Value::from(&**url));
            add(&mut deletion, "bto", hidden);
        }
        self.name_groups(&mut deletion, actor, &kept)?;
        Ok(Cow::Owned(deletion))
    }

    /// A `Delete` of what another said in groups goes to those of them that its actor controls.
    fn name_groups(
        &self,
        deletion: &mut Map,
        actor: &Actor,
        kept: &[Stored],
    ) -> Result<(), Refusal> {
        let kept: Vec<&Activity> = kept.iter().filter_map(Stored::activity).collect();
        if kept.iter().any(|kept| kept.actor == actor.url) {
            return Ok(());
        }
        let is_announced =
            |kept: &&&Activity| matches!(kept.effect, Some(Effect::Announced { .. }));
        for announced in kept.iter().filter(is_announced) {
            let group = &announced.actor;
            if controls(self.0.view.state(), group, &actor.url).map_err(fault::state)? {
                add(deletion, "to", std::iter::once(Value::from(&**group)));
            }
        }
        Ok(())
    }

    /// What is kept under an `id`, and the first that hold a copy of it.
    fn copies_of(&self, id: &str) -> Result<Vec<Stored>, Refusal> {
        let view = &self.0.view;
        let mut copies: Vec<Stored> = view
            .activity_by_id(id)
            .map_err(fault::read)?
            .into_iter()
            .collect();
        for (_, digest) in view.carriers(id, 0, AT_ONCE).map_err(fault::read)? {
            copies.extend(view.stored(&digest).map_err(fault::read)?);
        }
        Ok(copies)
    }

    /// Goes on with the deletions that something cut off, until stopped.
    pub async fn erase(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let walk = self.0.erasing.walk.lock().await;
            let pause = match self.carry_out_deletions(walk).await {
                Ok(()) => None,
                Err(refusal) => {
                    tracing::error!(%refusal, "what is deleted can't be erased yet");
                    Some(PAUSE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.erasing.left.notified() => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    /// Goes on once with the deletions that something cut off: what [`Node::erase`] does when it begins.
    pub async fn erase_left(&self) {
        self.deleted().await;
    }

    /// Erases what an accepted `Delete` takes back. It is accepted whatever comes of this: where that
    /// fails, the walk goes on with it.
    pub(crate) async fn deleted(&self) {
        let walk = self.0.erasing.walk.lock();
        let Some(walk) = self.in_time(PATIENCE, walk).await else {
            return self.deleted_elsewhere();
        };
        if let Err(refusal) = self.carry_out_deletions(walk).await {
            tracing::error!(%refusal, "what is deleted can't be erased yet");
            self.0.erasing.left.notify_one();
        }
    }

    /// An actor of another host is gone: the walk looks for what it said, which takes a pass through the journal.
    pub(crate) fn deleted_elsewhere(&self) {
        self.0.erasing.left.notify_one();
    }

    async fn carry_out_deletions(
        &self,
        mut walk: MutexGuard<'_, BTreeSet<String>>,
    ) -> Result<(), Refusal> {
        let view = &self.0.view;
        while let Some(deletion) = view.next_deletions(1).map_err(fault::read)?.pop() {
            let deleted = &deletion.deleted;
            match self.local_actor(deleted)? {
                Some(actor) => self.erase_actor(&actor, deleted).await?,
                None if deleted.id != deleted.owner => self.erase_copies(deleted).await?,
                None if walk.remove(&deleted.owner) => {}
                None => {
                    *walk = self.erase_peers().await?;
                    walk.remove(&deleted.owner);
                }
            }
            self.discard_deleted(deleted).await?;
            view.carried_out(deletion).map_err(fault::read)?;
        }
        Ok(())
    }

    /// The local actor that deleted itself by this.
    fn local_actor(&self, deleted: &Deleted) -> Result<Option<Actor>, Refusal> {
        if deleted.id != deleted.owner {
            return Ok(None);
        }
        let actor = self.0.view.state().actor_by_url(&deleted.owner);
        actor.map_err(fault::state)
    }

    /// Puts on record that everything a deleted local actor said, and every copy of it, is erased; its files too.
    async fn erase_actor(&self, actor: &Actor, deleted: &Deleted) -> Result<(), Refusal> {
        let view = &self.0.view;
        self.erase_unnamed(actor.no).await?;
        let mut after = 0;
        loop {
            let range = SeqRange {
                after: Some(after),
                before: None,
            };
            let log = view.log(LogId::outbox(actor.no), range, false, AT_ONCE);
            let log = log.map_err(fault::read)?;
            let Some(last) = log.last() else {
                return Ok(());
            };
            after = last.seq;
            let mut queued = BTreeMap::new();
            for said in log.iter().filter_map(|entry| entry.stored.activity()) {
                self.queue_said(said, deleted, &mut queued).await?;
            }
            written(queued.into_values()).await?;
        }
    }

    /// Puts on record that everything that actors of other hosts said is erased, of all who have deleted themselves
    /// and wait for it: no index says what one of them said, and one pass through the journal finds it for many.
    /// Returns whose that is.
    async fn erase_peers(&self) -> Result<BTreeSet<String>, Refusal> {
        let waiting = self.0.view.next_deletions(PEERS_AT_ONCE);
        let mut gone = BTreeMap::new();
        for Deletion { deleted, .. } in waiting.map_err(fault::read)? {
            if deleted.id == deleted.owner && self.local_actor(&deleted)?.is_none() {
                gone.insert(deleted.owner.clone(), deleted);
            }
        }
        let through = gone.values().map(|deleted| deleted.offset).max();
        let mut tail = self.0.view.tail(0);
        loop {
            let read = move || tail.next(PASSED_AT_ONCE).map(|entries| (tail, entries));
            let read = self.aside(read).await;
            let read = read.map_err(|error| fault::internal("the journal was not read", &error))?;
            let entries;
            (tail, entries) = read.map_err(fault::read)?;
            let mut queued = BTreeMap::new();
            for said in entries.iter().filter_map(Stored::activity) {
                if let Some(deleted) = gone.get(&said.actor) {
                    self.queue_said(said, deleted, &mut queued).await?;
                }
            }
            written(queued.into_values()).await?;
            let last = entries.last().map(|entry| entry.header.offset);
            if last.is_none_or(|last| Some(last) >= through) {
                return Ok(gone.into_keys().collect());
            }
        }
    }

    /// Queues that it is put on record, of what an actor said that deleted itself and of what that brought.
    async fn queue_said(
        &self,
        said: &Activity,
        deleted: &Deleted,
        queued: &mut BTreeMap<Digest, Answer>,
    ) -> Result<(), Refusal> {
        let brought = said.object_id.as_ref();
        let brought = brought.filter(|_| said.verb == "Create");
        for id in std::iter::once(&said.id).chain(brought) {
            let one = Deleted {
                id: id.clone(),
                ..deleted.clone()
            };
            self.queue_copies(&one, queued).await?;
        }
        Ok(())
    }

    /// Puts on record that every copy of something is erased.
    async fn erase_copies(&self, deleted: &Deleted) -> Result<(), Refusal> {
        let mut queued = BTreeMap::new();
        self.queue_copies(deleted, &mut queued).await?;
        written(queued.into_values()).await
    }

    /// Queues that it is put on record, once for each document, and waits where much is queued.
    async fn queue_copies(
        &self,
        deleted: &Deleted,
        queued: &mut BTreeMap<Digest, Answer>,
    ) -> Result<(), Refusal> {
        let view = &self.0.view;
        let itself = view
            .state()
            .digest_of_id(&deleted.id)
            .map_err(fault::state)?;
        let mut copies: Vec<Digest> = itself.into_iter().collect();
        let mut after = 0;
        loop {
            let carriers = view.carriers(&deleted.id, after, AT_ONCE);
            let carriers = carriers.map_err(fault::read)?;
            copies.extend(carriers.iter().map(|(_, digest)| *digest));
            if copies.is_empty() {
                return Ok(());
            }
            for digest in copies.drain(..) {
                if !queued.contains_key(&digest) && self.is_to_be_erased(&digest, deleted)? {
                    let deleted_ms = deleted.deleted_ms;
                    let control = Control::Erased { digest, deleted_ms };
                    queued.insert(digest, self.queue_control(control)?);
                }
            }
            if queued.len() >= AT_ONCE {
                written(std::mem::take(queued).into_values()).await?;
            }
            match carriers.last() {
                Some((last, _)) => after = *last,
                None => return Ok(()),
            }
        }
    }

    /// Whether a document holds what its owner deleted, and may go as a whole.
    fn is_to_be_erased(&self, digest: &Digest, deleted: &Deleted) -> Result<bool, Refusal> {
        let Some(stored) = self.0.view.stored(digest).map_err(fault::read)? else {
            return Ok(false);
        };
        let activity = stored.activity().filter(|_| !stored.erased);
        let Some(activity) = activity.filter(|activity| is_erasable(activity)) else {
            return Ok(false);
        };
        let brings = activity.id == deleted.id
            || matches!(&*activity.verb, "Create" | "Update")
                && activity.object_id.as_ref() == Some(&deleted.id);
        if brings && activity.actor == deleted.owner {
            return Ok(true);
        }
        let map = stored.map().map_err(fault::read)?;
        Ok(is_copy_of(&map, &deleted.id, &deleted.owner))
    }
}

/// Whether an activity takes something back.
pub(crate) const fn is_deletion(effect: Option<&Effect>) -> bool {
    matches!(
        effect,
        Some(Effect::Deleted { .. } | Effect::ActorDeleted { .. })
    )
}

/// Adds recipients that a member does not have yet.
fn add(document: &mut Map, member: &str, more: impl Iterator<Item = Value>) {
    let have = document.get(member).into_iter().flat_map(Value::items);
    let mut all: Vec<Value> = have.cloned().collect();
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    if !all.is_empty() {
        document.insert(member, all);
    }
}

fn unknown() -> Refusal {
    let why = "nothing is kept here under that name; `fedsx outbox NAME` shows what is";
    Refusal::new(Code::NotFound, why)
}

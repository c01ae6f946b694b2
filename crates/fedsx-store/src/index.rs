//! The applied state, read from rows: [`State`] over an engine, or over an engine with the writer's
//! batches that are not committed yet.

use std::sync::Arc;

use fedsx_core::backfill::Backfill;
use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, ActorNo, Header, LogId, Role, Subject};
use fedsx_core::follow::{Direction, Owed, Partial, Relation};
use fedsx_core::group::{Post, Standing};
use fedsx_core::limits::EVIDENCE_PER_ACTOR;
use fedsx_core::state::{
    Actor, At, Blocks, Deleted, Follower, Kept, KeptBlob, OutboxTotals, RelationTotals, Seen,
    State, StateError, Subscription, TriggerTotals,
};
use fedsx_core::transparency::{Fork, Frontier, Witnessed};
use fedsx_core::trust::Trust;
use minicbor::Decode;

mod overlay;

pub(crate) use overlay::{Overlay, Pending};

use crate::blobs::blob_key;
use crate::engine::{Batch, Engine, EngineError, Row};
use crate::groups;
use crate::hosts::actor_host_key;
use crate::journal::{JournalReader, Place};
use crate::partial::{followers_here_key, followers_on_key};
use crate::schema::{self, Of, RelationRow, Table, key, pair_key, url_hash};
use crate::transparency::{forks_prefix, frontier_key, witnessed_key};

/// Rows to read: an engine, alone or with what is pending above it.
pub(crate) trait Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;
    fn scan_prefix(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError>;
}

impl Rows for Arc<dyn Engine> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        (**self).get(key)
    }

    fn scan_prefix(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        (**self).scan_prefix(prefix, limit, reverse)
    }
}

/// The applied state over some rows, and the journal for what only its headers say.
#[derive(Clone, Debug)]
pub(crate) struct Index<R> {
    rows: R,
    journal: Option<JournalReader>,
}

impl<R: Rows> Index<R> {
    /// The state by its rows alone: what `apply` and the writer need.
    pub(crate) const fn over(rows: R) -> Self {
        Self {
            rows,
            journal: None,
        }
    }

    /// The state with the headers of the journal.
    pub(crate) const fn with_journal(rows: R, journal: JournalReader) -> Self {
        Self {
            rows,
            journal: Some(journal),
        }
    }
}

/// A row that is not what its table says.
#[derive(Debug, thiserror::Error)]
#[error("a row of the index can't be read ({0}); `fedsx reindex` makes the index anew")]
pub(crate) struct BadRow(pub(crate) String);

pub(crate) fn decode<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, StateError> {
    minicbor::decode(bytes).map_err(|error| state_error(BadRow(error.to_string())))
}

pub(crate) fn state_error(error: impl std::error::Error + Send + Sync + 'static) -> StateError {
    StateError(Box::new(error))
}

fn shared_hash(one: &str, other: &str) -> StateError {
    state_error(BadRow(format!("{one} and {other} share a hash")))
}

pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StateError> {
    bytes
        .try_into()
        .map_err(|_| state_error(BadRow(format!("{} bytes, not {N}", bytes.len()))))
}

/// A digest that is a whole value.
pub(crate) fn digest_of(value: &[u8]) -> Result<Digest, StateError> {
    Ok(Digest::from(fixed(value)?))
}

impl<R: Rows> Index<R> {
    pub(crate) fn row<T: for<'b> Decode<'b, ()>>(
        &self,
        key: &[u8],
    ) -> Result<Option<T>, StateError> {
        self.rows
            .get(key)
            .map_err(state_error)?
            .map(|bytes| decode(&bytes))
            .transpose()
    }

    fn has(&self, key: &[u8]) -> Result<bool, StateError> {
        Ok(self.rows.get(key).map_err(state_error)?.is_some())
    }

    /// A row that repeats the peer whose hash is in its key.
    fn of_peer<T: for<'b> Decode<'b, ()> + Default>(
        &self,
        key: &[u8],
        peer: &str,
    ) -> Result<T, StateError> {
        match self.row::<Of<T>>(key)? {
            None => Ok(T::default()),
            Some(row) if row.peer == peer => Ok(row.value),
            Some(row) => Err(shared_hash(&row.peer, peer)),
        }
    }

    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StateError> {
        self.rows
            .scan_prefix(prefix, limit, reverse)
            .map_err(state_error)
    }

    fn header_of(&self, digest: &Digest) -> Result<Option<Box<Activity>>, StateError> {
        let (Some(seen), Some(journal)) = (self.seen(digest)?, &self.journal) else {
            return Ok(None);
        };
        let place = Place {
            segment: seen.at.segment,
            position: seen.at.position,
        };
        let frame = journal.read(place).map_err(state_error)?;
        match Header::decode(&frame.header).map_err(state_error)?.subject {
            Subject::Activity(activity) => Ok(Some(activity)),
            Subject::Control(_) => Ok(None),
        }
    }

    fn digest(&self, key: &[u8]) -> Result<Option<Digest>, StateError> {
        let bytes = self.rows.get(key).map_err(state_error)?;
        Ok(bytes
            .map(|bytes| fixed(&bytes))
            .transpose()?
            .map(Digest::from))
    }

    fn numbered(&self, key: &[u8]) -> Result<Option<Actor>, StateError> {
        match self.rows.get(key).map_err(state_error)? {
            None => Ok(None),
            Some(no) => self.actor(ActorNo(u32::from_be_bytes(fixed(numbers(&no))?))),
        }
    }
}

/// The number in a row by an actor's name or URL.
fn numbers(row: &[u8]) -> &[u8] {
    row.get(..4).unwrap_or(row)
}

impl<R: Rows> State for Index<R> {
    fn actor_by_name(&self, name: &str) -> Result<Option<Actor>, StateError> {
        self.numbered(&key(Table::ActorName, &[name.as_bytes()]))
    }

    fn actor_no(&self, name: &str) -> Result<Option<ActorNo>, StateError> {
        let no = self
            .rows
            .get(&key(Table::ActorName, &[name.as_bytes()]))
            .map_err(state_error)?;
        // One that was deleted has a longer row.
        let no = no.filter(|no| numbers(no).len() == no.len());
        let no = no.map(|no| fixed(&no)).transpose()?;
        Ok(no.map(|no| ActorNo(u32::from_be_bytes(no))))
    }

    fn actor_by_url(&self, url: &str) -> Result<Option<Actor>, StateError> {
        let actor = self.numbered(&key(Table::ActorUrl, &[&url_hash(url)]))?;
        Ok(actor.filter(|actor| actor.url == url))
    }

    fn actor(&self, no: ActorNo) -> Result<Option<Actor>, StateError> {
        self.row(&key(Table::Actor, &[&no.0.to_be_bytes()]))
    }

    fn actor_count(&self) -> Result<u32, StateError> {
        match self.scan(&[Table::Actor as u8], 1, true)?.first() {
            None => Ok(0),
            Some((key, _)) => Ok(u32::from_be_bytes(fixed(&key[1..])?) + 1),
        }
    }

    fn seen(&self, digest: &Digest) -> Result<Option<Seen>, StateError> {
        self.row(&key(Table::Seen, &[digest.as_bytes()]))
    }

    fn in_log(&self, digest: &Digest, log: LogId) -> Result<bool, StateError> {
        let Some(seen) = self.seen(digest)? else {
            return Ok(false);
        };
        Ok(seen.joined.iter().any(|joined| joined.log == log)
            || self
                .rows
                .get(&schema::placed_key(digest, log))
                .map_err(state_error)?
                .is_some())
    }

    fn deleted(&self, id: &str, owner: &str) -> Result<Option<Deleted>, StateError> {
        let row: Option<Deleted> = self.row(&schema::deleted_key(id, owner))?;
        Ok(row.filter(|row| row.id == id && row.owner == owner))
    }

    fn carriers(&self, id: &str, limit: usize) -> Result<Vec<Digest>, StateError> {
        let rows = self.scan(&key(Table::Carrier, &[&url_hash(id)]), limit, false)?;
        let digests = rows
            .iter()
            .map(|(_, digest)| Ok(Digest::from(fixed(digest)?)));
        digests.collect()
    }

    fn activity(&self, digest: &Digest) -> Result<Option<Box<Activity>>, StateError> {
        self.header_of(digest)
    }

    fn logs_of(&self, digest: &Digest) -> Result<Vec<LogId>, StateError> {
        let joined = self.seen(digest)?.map(|seen| seen.joined);
        let joined = joined.into_iter().flatten().map(|joined| joined.log);
        let placed = self.scan(&key(Table::Placed, &[digest.as_bytes()]), usize::MAX, false)?;
        let placed = placed.iter().filter_map(|(key, _)| schema::placed_log(key));
        Ok(joined.chain(placed).collect())
    }

    fn digest_of_id(&self, id: &str) -> Result<Option<Digest>, StateError> {
        self.digest(&key(Table::Id, &[&url_hash(id)]))
    }

    fn digest_of_object(&self, object_id: &str) -> Result<Option<Digest>, StateError> {
        self.digest(&key(Table::Object, &[&url_hash(object_id)]))
    }

    fn activity_of_id(&self, id: &str) -> Result<Option<Box<Activity>>, StateError> {
        let Some(digest) = self.digest_of_id(id)? else {
            return Ok(None);
        };
        let activity = self.header_of(&digest)?;
        Ok(activity.filter(|activity| activity.id == id))
    }

    fn activity_of_object(&self, object_id: &str) -> Result<Option<Box<Activity>>, StateError> {
        let Some(digest) = self.digest_of_object(object_id)? else {
            return Ok(None);
        };
        let activity = self.header_of(&digest)?;
        Ok(activity.filter(|create| create.object_id.as_deref() == Some(object_id)))
    }

    fn has_evidence_room(&self, actor: &str, id: &str) -> Result<bool, StateError> {
        let of_actor = key(Table::Evidence, &[&url_hash(actor)]);
        let of_id = key(Table::Evidence, &[&url_hash(actor), &url_hash(id)]);
        let kept = self.scan(&of_actor, EVIDENCE_PER_ACTOR, false)?;
        Ok(kept.len() < EVIDENCE_PER_ACTOR && kept.iter().all(|(key, _)| *key != of_id))
    }

    fn log_len(&self, log: LogId) -> Result<u64, StateError> {
        let prefix = schema::log_prefix(log);
        match self.scan(&prefix, 1, true)?.first() {
            None => Ok(0),
            Some((key, _)) => Ok(u64::from_be_bytes(fixed(&key[prefix.len()..])?)),
        }
    }

    fn relation(
        &self,
        actor: ActorNo,
        direction: Direction,
        peer: &str,
    ) -> Result<Relation, StateError> {
        self.of_peer(&schema::relation_key(actor, direction, peer), peer)
    }

    fn last_follower(&self, actor: ActorNo, peer: &str) -> Result<Option<Follower>, StateError> {
        let rows = self.scan(&pair_key(Table::Follower, actor, peer), 1, true)?;
        rows.first().map(|(_, value)| decode(value)).transpose()
    }

    fn has_role(&self, actor: ActorNo, role: Role) -> Result<bool, StateError> {
        self.has(&schema::role_key(actor, role))
    }

    fn standing(&self, group: ActorNo, who: &str) -> Result<Standing, StateError> {
        self.of_peer(&pair_key(Table::Standing, group, who), who)
    }

    fn appointed(&self, group: ActorNo, post: Post) -> Result<usize, StateError> {
        let standings = groups::standings(self.scan(&groups::prefix(group), usize::MAX, false)?)?;
        let appointed = standings.iter().filter(|(_, standing)| standing.has(post));
        Ok(appointed.count())
    }

    fn pair_blocks(&self, actor: ActorNo, peer: &str) -> Result<Blocks, StateError> {
        self.of_peer(&pair_key(Table::Blocks, actor, peer), peer)
    }

    fn locals_related(&self, peer: &str) -> Result<Vec<(ActorNo, bool)>, StateError> {
        let prefix = key(Table::Related, &[&url_hash(peer)]);
        self.scan(&prefix, usize::MAX, false)?
            .into_iter()
            .map(|(key, value)| {
                let no = ActorNo(u32::from_be_bytes(fixed(&key[prefix.len()..])?));
                Ok((no, decode::<Of<bool>>(&value)?.value))
            })
            .collect()
    }

    fn owed(&self, actor: ActorNo, peer: &str) -> Result<Vec<Owed>, StateError> {
        self.of_peer(&pair_key(Table::Owed, actor, peer), peer)
    }

    fn kept(&self, offset: u64) -> Result<Option<Kept>, StateError> {
        self.row(&schema::kept_key(offset))
    }

    fn kept_total(&self, whose: &str) -> Result<u64, StateError> {
        self.of_peer(&key(Table::KeptTotal, &[&url_hash(whose)]), whose)
    }

    fn last_defined(&self) -> Result<u64, StateError> {
        Ok(self.row(&key(Table::LastDefined, &[]))?.unwrap_or_default())
    }

    fn blob(&self, actor: ActorNo, digest: &Digest) -> Result<Option<KeptBlob>, StateError> {
        self.row(&blob_key(digest, actor))
    }

    fn is_host_blocked(&self, host: &str) -> Result<bool, StateError> {
        self.has(&key(Table::HostBlock, &[host.as_bytes()]))
    }

    fn blocks_host(&self, actor: ActorNo, host: &str) -> Result<bool, StateError> {
        self.has(&actor_host_key(Table::ActorHostBlock, actor, host))
    }

    fn is_peer_blocked(&self, peer: &str) -> Result<bool, StateError> {
        self.of_peer(&key(Table::PeerBlock, &[&url_hash(peer)]), peer)
    }

    fn recovery_of(&self, peer: &str) -> Result<Option<String>, StateError> {
        self.of_peer(&key(Table::Recovery, &[&url_hash(peer)]), peer)
    }

    fn trust(&self) -> Result<Trust, StateError> {
        Ok(self.row(&key(Table::Trust, &[]))?.unwrap_or_default())
    }

    fn outbox_totals(&self, actor: ActorNo) -> Result<OutboxTotals, StateError> {
        let totals = self.row(&key(Table::OutboxTotals, &[&actor.0.to_be_bytes()]))?;
        Ok(totals.unwrap_or_default())
    }

    fn log_frontier(&self, actor: ActorNo) -> Result<Frontier, StateError> {
        Ok(self.row(&frontier_key(actor))?.unwrap_or_default())
    }

    fn witnessed(&self, peer: &str) -> Result<Option<Witnessed>, StateError> {
        self.of_peer(&witnessed_key(peer), peer)
    }

    fn forks(&self, peer: &str, limit: usize) -> Result<Vec<Fork>, StateError> {
        let rows = self.scan(&forks_prefix(peer), limit, false)?;
        rows.iter()
            .map(|(_, row)| Ok(decode::<Of<Fork>>(row)?.value))
            .collect()
    }

    fn is_settled(&self, source: &Digest, trigger: &Digest) -> Result<bool, StateError> {
        let row = self.rows.get(&schema::settled_key(source, trigger));
        Ok(row.map_err(state_error)?.is_some())
    }

    fn spent(&self, trigger: &Digest, source_actor: &str) -> Result<Vec<i64>, StateError> {
        self.of_peer(&schema::spent_key(trigger, source_actor), source_actor)
    }

    fn trigger_totals(&self, trigger: &Digest) -> Result<TriggerTotals, StateError> {
        let totals = self.row(&key(Table::TriggerTotals, &[trigger.as_bytes()]))?;
        Ok(totals.unwrap_or_default())
    }

    fn subscription(
        &self,
        actor: ActorNo,
        subscribe: &Digest,
    ) -> Result<Option<Subscription>, StateError> {
        self.row(&schema::subscription_key(actor, subscribe))
    }

    fn subscriptions(&self, actor: ActorNo) -> Result<Vec<Subscription>, StateError> {
        let prefix = key(Table::Subscription, &[&actor.0.to_be_bytes()]);
        let rows = self.scan(&prefix, usize::MAX, false)?;
        rows.iter().map(|(_, value)| decode(value)).collect()
    }

    fn backfill(&self, actor: ActorNo, peer: &str) -> Result<Option<Backfill>, StateError> {
        let row: Option<Of<Backfill>> = self.row(&pair_key(Table::Backfill, actor, peer))?;
        match row {
            Some(row) if row.peer != peer => Err(shared_hash(&row.peer, peer)),
            row => Ok(row.map(|row| row.value)),
        }
    }

    fn relation_totals(&self, actor: ActorNo) -> Result<RelationTotals, StateError> {
        let totals = self.row(&key(Table::RelationTotals, &[&actor.0.to_be_bytes()]))?;
        Ok(totals.unwrap_or_default())
    }

    fn followers_on(&self, actor: ActorNo, origin: &str) -> Result<Partial, StateError> {
        self.of_peer(&followers_on_key(actor, origin), origin)
    }

    fn followers_here(&self, peer: &str) -> Result<Option<Partial>, StateError> {
        let row: Option<Of<Partial>> = self.row(&followers_here_key(peer))?;
        match row {
            Some(row) if row.peer != peer => Err(shared_hash(&row.peer, peer)),
            row => Ok(row.map(|row| row.value)),
        }
    }
}

/// The rows of a batch by key.
pub(crate) fn pending(batch: Batch, pending: &mut Pending) {
    pending.extend(batch);
}

/// What is known of the relation rows under a prefix.
pub(crate) fn relation_row(value: &[u8]) -> Result<(String, Relation), StateError> {
    let row: RelationRow = decode(value)?;
    Ok((row.peer, row.value))
}

/// The place a log row holds.
pub(crate) fn log_row(key: &[u8], value: &[u8]) -> Result<(u64, At), StateError> {
    let seq = key
        .len()
        .checked_sub(8)
        .map(|at| &key[at..])
        .unwrap_or_default();
    Ok((u64::from_be_bytes(fixed(seq)?), decode(value)?))
}

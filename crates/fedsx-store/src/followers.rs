//! The followers of local actors, by actor and by the host that they receive at: their rows, and how they are read.
//!
//! Invariant: a follower's period is on record for ever, so that whom an entry was for is found out again
//! whenever a host comes back. A row of [`Table::FollowerAt`] stays where a follower no longer receives; who reads
//! it sees that by the follower itself. Design, section 9.1.

use std::ops::RangeInclusive;

use fedsx_core::address::Origin;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::Follower;

use crate::engine::{Batch, Row, prefix_end};
use crate::index;
use crate::schema::{Table, encode, key, pair_key, url_hash};
use crate::view::{ReadError, View};

/// A page of followers, and the cursor to go on from, where there are more.
pub type FollowersPage = (Vec<Follower>, Option<Vec<u8>>);

/// Lays a follower's period out as writes of a batch.
pub(crate) fn write(actor: ActorNo, follower: Follower, batch: &mut Batch) {
    let mut of_actor = pair_key(Table::Follower, actor, &follower.peer);
    of_actor.extend_from_slice(&follower.from.to_be_bytes());
    let authority = follower.receives_at().and_then(|at| Origin::of(at.inbox()));
    if let Some(origin) = authority {
        let mut at = url_hash(origin.authority()).to_vec();
        // What follows the table in the key of the period itself.
        at.extend_from_slice(&of_actor[1..]);
        batch.put(key(Table::FollowerAt, &[&at]), []);
    }
    batch.put(of_actor, encode(follower));
}

fn is_within(follower: &Follower, range: &RangeInclusive<u64>) -> bool {
    let has_ended = follower.until.is_some_and(|until| until <= *range.start());
    follower.from <= *range.end() && !has_ended
}

impl View {
    /// Those who were accepted followers at some time in a range of offsets, a page at a time: the cursor to go on
    /// from comes with each page, none with the last.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn followers(
        &self,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<FollowersPage, ReadError> {
        let prefix = key(Table::Follower, &[&actor.0.to_be_bytes()]);
        let (rows, next) = self.page(&prefix, cursor, limit)?;
        let mut followers = Vec::with_capacity(rows.len());
        for (_, value) in rows {
            let follower: Follower = index::decode(&value)?;
            if is_within(&follower, &range) {
                followers.push(follower);
            }
        }
        Ok((followers, next))
    }

    /// The same of those who receive, or once received, at the host of that authority.
    ///
    /// # Errors
    /// As above.
    pub fn followers_at(
        &self,
        authority: &str,
        actor: ActorNo,
        range: &RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<FollowersPage, ReadError> {
        let parts: [&[u8]; 2] = [&url_hash(authority), &actor.0.to_be_bytes()];
        let prefix = key(Table::FollowerAt, &parts);
        let (rows, next) = self.page(&prefix, cursor, limit)?;
        let mut followers = Vec::with_capacity(rows.len());
        for (row, _) in rows {
            let period = key(Table::Follower, &[&row[1 + url_hash(authority).len()..]]);
            let follower: Option<Follower> = self.index.row(&period)?;
            followers.extend(follower.filter(|follower| is_within(follower, range)));
        }
        Ok((followers, next))
    }

    /// The rows under a prefix from a cursor on, and the cursor behind them where there may be more.
    fn page(
        &self,
        prefix: &[u8],
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<(Vec<Row>, Option<Vec<u8>>), ReadError> {
        let from = cursor.unwrap_or_else(|| prefix.to_vec());
        let rows = self.engine.scan(&from, &prefix_end(prefix), limit, false)?;
        let last = rows.last().filter(|_| rows.len() == limit);
        let next = last.map(|(key, _)| prefix_end(key));
        Ok((rows, next))
    }
}

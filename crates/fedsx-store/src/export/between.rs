//! What an export reads of the index: the rows between an actor and its peers, and where a document joined
//! a log.

use fedsx_core::cid::Digest;
use fedsx_core::entry::{ActorNo, Control, LogId, Subject};
use fedsx_core::export::Between;
use fedsx_core::follow::{Direction, Owed, Relation};
use fedsx_core::group::Standing;
use fedsx_core::state::{Blocks, State as _};

use crate::engine::prefix_end;
use crate::index;
use crate::schema::{self, Of, Table, key};
use crate::view::{ReadError, View};

/// Rows read at once.
const CHUNK: usize = 256;

/// Reads what is between an actor and its peers, a few rows at a time.
#[derive(Debug)]
pub struct BetweenScan {
    view: View,
    /// What is left to read, the last first.
    tables: Vec<(Part, Vec<u8>)>,
    from: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Relation(Direction),
    Blocks,
    Owed,
    Standing,
}

impl BetweenScan {
    /// The next rows; none when there are no more.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn next_rows(&mut self) -> Result<Vec<Between>, ReadError> {
        while let Some((part, prefix)) = self.tables.last() {
            let from = self.from.take().unwrap_or_else(|| prefix.clone());
            let rows = self
                .view
                .engine
                .scan(&from, &prefix_end(prefix), CHUNK, false)?;
            let read = rows.iter().map(|(_, value)| read(*part, value));
            let read = read.collect::<Result<Vec<_>, _>>()?;
            match rows.last() {
                Some((last, _)) if rows.len() == CHUNK => self.from = Some(prefix_end(last)),
                _ => {
                    self.tables.pop();
                }
            }
            if !read.is_empty() {
                return Ok(read);
            }
        }
        Ok(Vec::new())
    }
}

fn read(part: Part, value: &[u8]) -> Result<Between, ReadError> {
    Ok(match part {
        Part::Relation(direction) => {
            let Of::<Relation> {
                peer,
                value: relation,
            } = index::decode(value)?;
            Between::Relation {
                direction,
                peer,
                relation,
            }
        }
        Part::Blocks => {
            let Of::<Blocks> {
                peer,
                value: blocks,
            } = index::decode(value)?;
            Between::Blocks { peer, blocks }
        }
        Part::Owed => {
            let Of::<Vec<Owed>> { peer, value: owed } = index::decode(value)?;
            Between::Owed { peer, owed }
        }
        Part::Standing => {
            let Of::<Standing> {
                peer,
                value: standing,
            } = index::decode(value)?;
            Between::Standing { peer, standing }
        }
    })
}

impl View {
    /// What is between an actor and its peers.
    #[must_use]
    pub fn between(&self, actor: ActorNo) -> BetweenScan {
        let no = actor.0.to_be_bytes();
        let relations = |direction| {
            let prefix = schema::relation_prefix(actor, direction);
            (Part::Relation(direction), prefix)
        };
        BetweenScan {
            view: self.clone(),
            tables: vec![
                (Part::Standing, key(Table::Standing, &[&no])),
                (Part::Owed, key(Table::Owed, &[&no])),
                (Part::Blocks, key(Table::Blocks, &[&no])),
                relations(Direction::Following),
                relations(Direction::Follower),
            ],
            from: None,
        }
    }

    /// The offset of the entry by which a document joined a log; none where it is not in it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn joined_at(&self, digest: &Digest, log: LogId) -> Result<Option<u64>, ReadError> {
        let Some(seen) = self.index.seen(digest)? else {
            return Ok(None);
        };
        if seen.joined.iter().any(|joined| joined.log == log) {
            return Ok(Some(seen.at.offset));
        }
        let placed = self.engine.get(&schema::placed_key(digest, log))?;
        let placed = placed.and_then(|value| schema::placed_of(&value));
        Ok(placed.map(|(_, offset)| offset))
    }

    /// The offset of the entry that holds a document, the first where there are several.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn place_of(&self, digest: &Digest) -> Result<Option<u64>, ReadError> {
        Ok(self.index.seen(digest)?.map(|seen| seen.at.offset))
    }

    /// The key by which a document was proved whose proof came later.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn attached_key(&self, digest: &Digest) -> Result<Option<String>, ReadError> {
        let seen = self.index.seen(digest)?;
        let Some(at) = seen.and_then(|seen| seen.with_proof) else {
            return Ok(None);
        };
        match self.at(at)?.header.subject {
            Subject::Control(Control::ProofAttached { key, .. }) => Ok(Some(key)),
            _ => Ok(None),
        }
    }
}

//! The leaves of a log, read whole or from some leaf on and held against its checkpoint, and what was received held
//! against them.

use std::collections::BTreeSet;

use crate::cid::{Cid, Digest};

use super::note::Checkpoint;
use super::proof::{Subtrees, tree_root};
use super::tile::TILE_WIDTH;
use super::tree::{leaf_hash, node_hash};

/// Why leaves are not those of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeavesError<E> {
    /// They end where the checkpoint does not, or begin within a tile.
    #[error("the leaves don't end where the checkpoint does")]
    Size,
    /// They lead to another root than the one that was signed.
    #[error("the leaves lead to another root than the signed one")]
    Root,
    /// A hash of what lies before them is not to be had.
    #[error(transparent)]
    Before(E),
}

/// The last leaves of a log, which its checkpoint covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaves {
    first: u64,
    leaves: Vec<Cid>,
}

/// In what documents differ from a log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// Leaves that nothing received is, and their numbers: withheld, or erased since.
    pub missing: Vec<(u64, Cid)>,
    /// Received as public, and no leaf: altered, or added behind the log's back.
    pub foreign: Vec<Cid>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.foreign.is_empty()
    }
}

impl Leaves {
    /// Takes leaves from number `first` on, the beginning of a tile, to the last; `before` gives the hashes of what
    /// lies before them.
    ///
    /// # Errors
    /// [`LeavesError`], when they are not what the checkpoint's root covers.
    pub fn verified<S: Subtrees>(
        checkpoint: &Checkpoint,
        first: u64,
        leaves: Vec<Cid>,
        before: &mut S,
    ) -> Result<Self, LeavesError<S::Error>> {
        let is_tiled = first.is_multiple_of(TILE_WIDTH);
        if !is_tiled || first.checked_add(leaves.len() as u64) != Some(checkpoint.size) {
            return Err(LeavesError::Size);
        }
        let hashes: Vec<Digest> = leaves.iter().map(leaf_hash).collect();
        let mut over = Over {
            first,
            hashes: &hashes,
            before,
        };
        let root = tree_root(&mut over, checkpoint.size).map_err(LeavesError::Before)?;
        match root == checkpoint.root {
            true => Ok(Self { first, leaves }),
            false => Err(LeavesError::Root),
        }
    }

    /// The number of the first.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The leaves themselves, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Cid] {
        &self.leaves
    }

    /// Holds what was received as public of the time that these leaves cover against them.
    #[must_use]
    pub fn compare<'a>(&self, received: impl IntoIterator<Item = &'a Cid>) -> Difference {
        let known: BTreeSet<&Cid> = self.leaves.iter().collect();
        let mut had = BTreeSet::new();
        let mut foreign = Vec::new();
        for cid in received {
            if had.insert(cid) && !known.contains(cid) {
                foreign.push(*cid);
            }
        }
        let numbered = (self.first..).zip(&self.leaves);
        let missing = numbered.filter(|(_, cid)| !had.contains(cid));
        Difference {
            missing: missing.map(|(number, cid)| (number, *cid)).collect(),
            foreign,
        }
    }
}

/// Subtrees over leaves that are at hand, and over what lies before them.
struct Over<'a, S> {
    first: u64,
    hashes: &'a [Digest],
    before: &'a mut S,
}

impl<S: Subtrees> Subtrees for Over<'_, S> {
    type Error = S::Error;

    fn subtree(&mut self, height: u8, index: u64) -> Result<Digest, S::Error> {
        let begin = index << height;
        if begin + (1 << height) <= self.first {
            return self.before.subtree(height, index);
        }
        if height == 0 {
            let place = usize::try_from(begin - self.first).expect("in memory");
            return Ok(self.hashes[place]);
        }
        let left = self.subtree(height - 1, index * 2)?;
        Ok(node_hash(&left, &self.subtree(height - 1, index * 2 + 1)?))
    }
}

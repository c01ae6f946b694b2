//! The tree itself: its hashes, and its right edge, which is all that growing needs (RFC 6962, section 2.1).

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::cid::{Cid, Digest};

use super::tile::TILE_HEIGHT;

/// The hash of a leaf: the binary CID behind a zero byte.
#[must_use]
pub fn leaf_hash(cid: &Cid) -> Digest {
    hash(&[&[0], &cid.to_bytes()])
}

/// The hash of a node over its two children.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest::from(<[u8; 32]>::from(hasher.finalize()))
}

/// A hash of a tile above the lowest that became known: that of a full tile below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completed {
    /// The level of the tile that it belongs to, from 1.
    pub level: u8,
    /// Its place on that level, in hashes.
    pub index: u64,
    /// The hash.
    pub hash: Digest,
}

/// The right edge of a tree: the roots of its largest full subtrees from left to right, one for each bit of its size.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Frontier {
    #[n(0)]
    size: u64,
    #[n(1)]
    hashes: Vec<Digest>,
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash; tells which hashes of tiles above the lowest that completes.
    pub fn append(&mut self, leaf: Digest) -> Vec<Completed> {
        let mut completed = Vec::new();
        let mut hash = leaf;
        let place = self.size;
        for height in 1..=place.trailing_ones() {
            let left = self.hashes.pop().expect("one for each bit of the size");
            hash = node_hash(&left, &hash);
            if height % u32::from(TILE_HEIGHT) == 0 {
                let level = u8::try_from(height).expect("at most 64") / TILE_HEIGHT;
                let index = place >> height;
                completed.push(Completed { level, index, hash });
            }
        }
        self.hashes.push(hash);
        self.size += 1;
        completed
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut from_the_right = self.hashes.iter().rev();
        let Some(last) = from_the_right.next() else {
            return empty_root();
        };
        from_the_right.fold(*last, |right, left| node_hash(left, &right))
    }
}

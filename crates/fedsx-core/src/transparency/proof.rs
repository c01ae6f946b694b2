//! Proofs that a leaf is in a tree, and that one tree is the beginning of another (RFC 6962, sections 2.1.1 and 2.1.2):
//! made of the hashes of full subtrees, verified by RFC 9162, sections 2.1.3.2 and 2.1.4.2.
//!
//! Invariant: verifying looks at no more hashes than a tree of 2^64 leaves has levels.

use crate::cid::Digest;

use super::tree::{empty_root, node_hash};

/// Where the hashes of full subtrees are had from.
pub trait Subtrees {
    /// Why one is not to be had.
    type Error;
    /// The root of the subtree over the leaves `index << height .. (index + 1) << height`, all of which there are.
    ///
    /// # Errors
    /// When it is not to be had.
    fn subtree(&mut self, height: u8, index: u64) -> Result<Digest, Self::Error>;
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// The sizes or the leaf's number don't go together.
    #[error("there is no proof for these sizes")]
    Range,
    /// More or fewer hashes than such a proof has.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The root of the first `size` leaves.
///
/// # Errors
/// When a subtree is not to be had; so for all of these.
pub fn tree_root<S: Subtrees>(subtrees: &mut S, size: u64) -> Result<Digest, S::Error> {
    match size {
        0 => Ok(empty_root()),
        size => range_root(subtrees, 0, size),
    }
}

/// The hashes that lead from a leaf to the root of `size` leaves, the nearest first; `leaf < size`.
///
/// # Errors
/// When a subtree is not to be had.
pub fn inclusion_proof<S: Subtrees>(
    subtrees: &mut S,
    leaf: u64,
    size: u64,
) -> Result<Vec<Digest>, S::Error> {
    let (mut begin, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if leaf < middle {
            proof.push(range_root(subtrees, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(subtrees, begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show that the first `old` of `new` leaves are the older tree; `0 < old <= new`.
///
/// # Errors
/// When a subtree is not to be had.
pub fn consistency_proof<S: Subtrees>(
    subtrees: &mut S,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, S::Error> {
    let (mut begin, mut end) = (0, new);
    let mut proof = Vec::new();
    // Down to the subtree that ends where the older tree does.
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            proof.push(range_root(subtrees, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(subtrees, begin, middle)?);
            begin = middle;
        }
    }
    if begin > 0 {
        proof.push(range_root(subtrees, begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Where a range of more than one leaf divides: the largest power of two below its length.
const fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The root over leaves of which the first stands at a multiple of every power of two up to their number.
fn range_root<S: Subtrees>(subtrees: &mut S, begin: u64, end: u64) -> Result<Digest, S::Error> {
    let length = end - begin;
    if length.is_power_of_two() {
        let height = u8::try_from(length.ilog2()).expect("below 64");
        return subtrees.subtree(height, begin >> height);
    }
    let middle = begin + split(length);
    let left = range_root(subtrees, begin, middle)?;
    Ok(node_hash(&left, &range_root(subtrees, middle, end)?))
}

/// That the leaf of this hash is number `leaf` of the `size` under `root`.
///
/// # Errors
/// [`ProofError`]; then nothing is proved.
pub fn verify_inclusion(
    proof: &[Digest],
    (leaf, hash): (u64, &Digest),
    (size, root): (u64, &Digest),
) -> Result<(), ProofError> {
    if leaf >= size {
        return Err(ProofError::Range);
    }
    let (mut place, mut last) = (leaf, size - 1);
    let mut reached = *hash;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            reached = node_hash(sibling, &reached);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            reached = node_hash(&reached, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    match last {
        0 if reached == *root => Ok(()),
        0 => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// That the tree of `old` leaves and root is the beginning of the tree of `new`. An empty tree is the beginning of
/// every other.
///
/// # Errors
/// [`ProofError`]; then nothing is proved.
pub fn verify_consistency(
    proof: &[Digest],
    old: (u64, &Digest),
    new: (u64, &Digest),
) -> Result<(), ProofError> {
    let (older, newer) = reached(proof, old, new)?;
    match older == *old.1 && newer == *new.1 {
        true => Ok(()),
        false => Err(ProofError::Root),
    }
}

/// The roots of the older and of the newer tree that a proof leads to.
fn reached(
    proof: &[Digest],
    old: (u64, &Digest),
    new: (u64, &Digest),
) -> Result<(Digest, Digest), ProofError> {
    let (old_size, new_size) = (old.0, new.0);
    if old_size > new_size {
        return Err(ProofError::Range);
    }
    if old_size == 0 || old_size == new_size {
        let older = if old_size == 0 { empty_root() } else { *new.1 };
        let newer = if new_size == 0 { empty_root() } else { *new.1 };
        return match proof.is_empty() {
            true => Ok((older, newer)),
            false => Err(ProofError::Length),
        };
    }
    let mut hashes = proof.iter();
    // A full older tree is itself the first hash, and left out.
    let first = match old_size.is_power_of_two() {
        true => old.1,
        false => hashes.next().ok_or(ProofError::Length)?,
    };
    let shared = (old_size - 1).trailing_ones();
    let (mut place, mut last) = ((old_size - 1) >> shared, (new_size - 1) >> shared);
    let (mut older, mut newer) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            older = node_hash(sibling, &older);
            newer = node_hash(sibling, &newer);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            newer = node_hash(&newer, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    match last {
        0 => Ok((older, newer)),
        _ => Err(ProofError::Length),
    }
}

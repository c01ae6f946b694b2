//! Which `id`s are certainly new: a Bloom filter over the ids of all activities and of all that was deleted, so that an activity
//! that arrives for the first time, as nearly all do, costs no look into the engine.
//!
//! Invariant: once it is complete, every id that the index shows is in it, because the writer adds an
//! id before it commits it; until it has been filled from the index, after each start, everybody
//! looks. Deliberately absent: removal, and a place on disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The hash by which an id stands in the index.
pub(crate) type IdHash = [u8; 16];

/// Ids of one part; a further part is begun behind it.
const PART_IDS: u64 = 1 << 20;
/// Blocks of a part: 16 bits for each id.
const BLOCKS: usize = 1 << 15;
/// The bits of an id all lie in one block, which is a cache line.
const BLOCK_WORDS: usize = 8;
/// Bits set for each id: with 16 to choose from, one new id in some hundreds is looked up in vain.
const PROBES: u32 = 7;
/// Bits of a hash that choose one of the 512 bits of a block.
const PROBE_BITS: u32 = 9;

/// The ids of all activities, and of all that was deleted.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    parts: RwLock<Vec<Arc<Part>>>,
    complete: AtomicBool,
}

impl KnownIds {
    /// Adds an id.
    pub(crate) fn add(&self, id: &IdHash) {
        let newest = self.read().last().cloned();
        let part = newest.filter(|part| part.ids.load(Ordering::Relaxed) < PART_IDS);
        part.unwrap_or_else(|| self.begin()).add(id);
    }

    /// Says that every id of the index has been added.
    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Whether this id is certainly not in the index.
    pub(crate) fn is_new(&self, id: &IdHash) -> bool {
        self.complete.load(Ordering::Acquire) && !self.read().iter().any(|part| part.has(id))
    }

    fn begin(&self) -> Arc<Part> {
        let part = Arc::new(Part::new());
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.push(Arc::clone(&part));
        part
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Part>>> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Part {
    ids: AtomicU64,
    blocks: Box<[[AtomicU64; BLOCK_WORDS]]>,
}

impl Part {
    fn new() -> Self {
        let empty = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            ids: AtomicU64::new(0),
            blocks: std::iter::repeat_with(empty).take(BLOCKS).collect(),
        }
    }

    fn add(&self, id: &IdHash) {
        let (block, bits) = self.place(id);
        for (word, mask) in bits {
            block[word].fetch_or(mask, Ordering::Relaxed);
        }
        self.ids.fetch_add(1, Ordering::Relaxed);
    }

    fn has(&self, id: &IdHash) -> bool {
        let (block, mut bits) = self.place(id);
        bits.all(|(word, mask)| block[word].load(Ordering::Relaxed) & mask != 0)
    }

    /// The block of an id and its bits there. The hash is one of SHA-256, so that its bytes need no
    /// further mixing.
    fn place(
        &self,
        id: &IdHash,
    ) -> (
        &[AtomicU64; BLOCK_WORDS],
        impl Iterator<Item = (usize, u64)> + use<>,
    ) {
        let number = u128::from_le_bytes(*id);
        let block = usize::try_from(number % BLOCKS as u128).expect("below BLOCKS");
        let bits = (0..PROBES).map(move |probe| {
            let bit = (number >> (64 + probe * PROBE_BITS)) as usize % (BLOCK_WORDS * 64);
            (bit / 64, 1 << (bit % 64))
        });
        (&self.blocks[block], bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::url_hash;

    fn id(number: u64) -> IdHash {
        url_hash(&format!("https://a.example/activities/{number}"))
    }

    #[test]
    fn what_was_added_is_never_new_and_what_was_not_mostly_is() {
        let known = KnownIds::default();
        let added = PART_IDS + 50_000;
        for number in 0..added {
            known.add(&id(number));
        }
        assert!(
            !known.is_new(&id(added)),
            "nothing is certain before it is complete"
        );
        known.complete();
        assert!((0..added).all(|number| !known.is_new(&id(number))));
        assert_eq!(known.read().len(), 2);
        let in_vain = (added..added + 10_000).filter(|&number| !known.is_new(&id(number)));
        let in_vain = in_vain.count();
        assert!(in_vain < 100, "{in_vain} of 10,000 new ids are looked up");
    }
}

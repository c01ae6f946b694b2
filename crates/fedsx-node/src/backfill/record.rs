//! What of an outbox was met, in its order, and which leaves of its log that leaves out.
//!
//! A log's leaves are the public part of the outbox in the same order, erased or not. Of what is erased the outbox has
//! a Tombstone that names no leaf, but stands where it does: between two that are known there may be no more leaves
//! missing than others were met. What was met before a restart is not remembered but by its number and by what of it
//! is kept here. Deliberately absent: what was served as public and is no leaf, which may have become public elsewhere.

use std::collections::HashMap;

use fedsx_core::backfill::Mode;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::transparency::Leaves;
use fedsx_store::backfill::Progress;

use super::enter::{Fate, Met};

/// Something that was met.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Of the past.
    Past(Digest),
    /// Published later.
    Later(Digest),
    /// It stands in the place of a leaf that it is not: a Tombstone, or what its source altered.
    Other,
}

/// What a part of a log begins behind.
#[derive(Clone, Copy, Debug)]
enum Place {
    Start,
    Leaf(Digest),
}

/// What of an outbox was met.
#[derive(Default, Debug)]
pub(super) struct Record {
    /// Whether there is nothing further to be met.
    pub(super) is_walked: bool,
    /// Whether something was met before it begins.
    pub(super) is_part: bool,
    /// How many leaves the log had before anything was met, where that is known.
    size: Option<u64>,
    behind: Option<Place>,
    /// Met before it begins, and not kept here.
    unknown: u64,
    items: Vec<Item>,
}

/// Leaves that were not met.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Gaps {
    /// What was published before something that was asked for.
    pub(super) between: Vec<Gap>,
    /// What follows the last that was met: it may have been published later.
    pub(super) behind: Vec<Cid>,
}

/// Between two leaves that were met.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Gap {
    /// The leaves that were not.
    pub(super) missing: Vec<Cid>,
    /// What was met there and is no leaf.
    pub(super) others: u64,
}

impl Record {
    /// Nothing yet, of an outbox that is walked behind a place, while the log has so many leaves.
    pub(super) fn behind(place: &str, size: Option<u64>) -> Self {
        let leaf = place.parse::<Cid>().ok();
        Self {
            behind: Some(leaf.map_or(Place::Start, |leaf| Place::Leaf(leaf.digest))),
            size,
            ..Self::default()
        }
    }

    /// Nothing any more, of a walk that has come so far.
    pub(super) fn lost(mode: &Mode, progress: &Progress) -> Self {
        let behind = match mode {
            Mode::Full => Some(Place::Start),
            Mode::Since { digest } => Some(Place::Leaf(*digest)),
            // Found by the walk, and forgotten.
            Mode::Last { .. } | Mode::Window { .. } => None,
        };
        Self {
            behind,
            is_part: progress.next.is_some(),
            unknown: progress.deleted + progress.left_out + progress.refused,
            ..Self::default()
        }
    }

    /// How much was met.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn meet(&mut self, met: &Met) {
        self.items.push(match (&met.fate, met.digest) {
            (Fate::Deleted | Fate::Refused(Some(_)), _) | (_, None) => Item::Other,
            (Fate::Later, Some(digest)) => Item::Later(digest),
            (_, Some(digest)) => Item::Past(digest),
        });
    }

    /// Whether all leaves are needed.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.behind, Some(Place::Start))
    }

    /// Whether the leaves go back to where this begins.
    pub(super) fn is_in(&self, leaves: &Leaves) -> bool {
        leaves.first() == 0
            || match self.behind {
                Some(Place::Leaf(leaf)) => leaves.as_slice().contains(&Cid::of_document(leaf)),
                _ => false,
            }
    }

    /// The leaves that were not met; `tip` is the newest that is of the past for certain.
    pub(super) fn gaps(&self, leaves: &Leaves, tip: Option<Digest>) -> Gaps {
        let numbered = (leaves.first()..).zip(leaves.as_slice());
        let numbers: HashMap<Digest, u64> = numbered.map(|(at, leaf)| (leaf.digest, at)).collect();
        let number = |digest: &Digest| numbers.get(digest).copied();
        let known = self.items.iter().filter_map(Item::digest);
        let first = || known.clone().find_map(|digest| number(&digest));
        let begin = match &self.behind {
            Some(Place::Start) => Some(leaves.first()),
            Some(Place::Leaf(leaf)) => number(leaf).map(|at| at + 1).or_else(first),
            None => first(),
        };
        let (Some(begin), true) = (begin, !self.is_part || first().is_some()) else {
            return Gaps::default();
        };
        let cids: Vec<Cid> = known.clone().map(Cid::of_document).collect();
        let missing = leaves.compare(&cids).missing.into_iter();
        let mut missing = missing.skip_while(|(at, _)| *at < begin).peekable();
        let mut before = |end: u64| -> Vec<Cid> {
            std::iter::from_fn(|| missing.next_if(|(at, _)| *at < end))
                .map(|(_, leaf)| leaf)
                .collect()
        };
        let (mut gaps, mut others, mut place) = (Gaps::default(), self.unknown, begin);
        let mut later = None;
        for item in &self.items {
            match item {
                Item::Other => others += 1,
                Item::Later(digest) => {
                    later = number(digest);
                    if later.is_some() {
                        break;
                    }
                }
                Item::Past(digest) => {
                    if let Some(at) = number(digest).filter(|at| *at >= place) {
                        gaps.add(before(at), others);
                        (place, others) = (at + 1, 0);
                    }
                }
            }
        }
        match tip.and_then(|tip| number(&tip)) {
            Some(tip) => gaps.add(before(tip + 1), others),
            None => {
                let end = later.or(self.size).unwrap_or_default();
                gaps.behind = before(self.size.map_or(end, |size| size.min(end)));
            }
        }
        gaps
    }
}

impl Item {
    const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Past(digest) | Self::Later(digest) => Some(*digest),
            Self::Other => None,
        }
    }
}

impl Gaps {
    fn add(&mut self, missing: Vec<Cid>, others: u64) {
        if !missing.is_empty() {
            self.between.push(Gap { missing, others });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fedsx_core::transparency::{Checkpoint, Frontier, Tiles, leaf_hash};

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn log(size: u32) -> Leaves {
        let leaves: Vec<Cid> = (0..size).map(digest).map(Cid::of_document).collect();
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier.append(leaf_hash(leaf));
        }
        let checkpoint = Checkpoint {
            origin: "b.test/actors/bob/log".to_owned(),
            size: frontier.size(),
            root: frontier.root(),
        };
        let mut before = Tiles::of(checkpoint.size);
        Leaves::verified(&checkpoint, 0, leaves, &mut before).expect("its own")
    }

    fn cids(numbers: &[u32]) -> Vec<Cid> {
        let digests = numbers.iter().copied().map(digest);
        digests.map(Cid::of_document).collect()
    }

    fn record(behind: Option<Place>, items: Vec<Item>) -> Record {
        Record {
            behind,
            items,
            size: Some(10),
            ..Record::default()
        }
    }

    fn past(number: u32) -> Item {
        Item::Past(digest(number))
    }

    #[test]
    fn what_is_missing_lies_between_what_was_met() {
        let leaves = log(10);
        // 2 and 5 are erased, 3 and 7 withheld, and 9 came later.
        let items = vec![
            past(0),
            past(1),
            Item::Other,
            past(4),
            Item::Other,
            past(6),
            past(8),
            past(77),
            Item::Later(digest(9)),
        ];
        let whole = record(Some(Place::Start), items.clone());
        let gap = |missing: &[u32], others| Gap {
            missing: cids(missing),
            others,
        };
        let all = [gap(&[2, 3], 1), gap(&[5], 1), gap(&[7], 0)];
        let found = whole.gaps(&leaves, Some(digest(8)));
        assert_eq!((&found.between[..], &found.behind[..]), (&all[..], &[][..]));
        // Of a part, what is older is not expected, also where it begins behind something that is no leaf.
        for place in [Place::Leaf(digest(3)), Place::Leaf(digest(99))] {
            let part = record(Some(place), items[3..].to_vec());
            assert_eq!(part.gaps(&leaves, Some(digest(8))).between, all[1..]);
        }
        // The newest of the past, and what follows it where nobody says which that is.
        let cut = record(Some(Place::Start), vec![past(0), past(1)]);
        let found = cut.gaps(&leaves, Some(digest(3)));
        assert_eq!(
            (found.between, found.behind),
            (vec![gap(&[2, 3], 0)], vec![])
        );
        let found = cut.gaps(&leaves, None);
        assert_eq!(found.behind, cids(&[2, 3, 4, 5, 6, 7, 8, 9]));
        // What is in another order is not missing.
        let swapped = [0, 2, 1, 3].map(past).to_vec();
        let swapped = record(Some(Place::Start), swapped).gaps(&leaves, Some(digest(3)));
        assert_eq!(swapped, Gaps::default());
        // Of what nothing is known but its number, nothing is said.
        let lost = Record {
            is_part: true,
            ..record(Some(Place::Start), vec![Item::Other])
        };
        assert_eq!(lost.gaps(&leaves, Some(digest(8))), Gaps::default());
    }

    #[test]
    fn one_of_fifty_thousand_is_found() {
        let items = (0..50_000).filter(|number| *number != 30_000);
        let whole = record(Some(Place::Start), items.map(past).collect());
        let found = whole.gaps(&log(50_000), Some(digest(49_999)));
        let missing: Vec<Cid> = found
            .between
            .into_iter()
            .flat_map(|it| it.missing)
            .collect();
        assert_eq!(missing, cids(&[30_000]));
    }
}

//! Tiles: 256 hashes side by side, by which the whole tree is served as files that never change, and bundles of the
//! leaves themselves (C2SP tlog-tiles).
//!
//! Invariant: a tile has exactly the width that the size of its tree gives it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::cid::{Cid, Digest};
use crate::limits;

use super::proof::Subtrees;
use super::tree::node_hash;

/// Levels of the tree between the hashes of a tile and the hash of all of them.
pub(super) const TILE_HEIGHT: u8 = 8;
/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// Levels of tiles that a tree has at most.
const LEVELS: u8 = 64 / TILE_HEIGHT;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Which tile: `width` hashes from `index * 256` on, each over `256^level` leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TileId {
    /// 0 for the hashes of leaves.
    pub level: u8,
    /// Its place on the level.
    pub index: u64,
    /// Its hashes, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// The tile of that place in a tree of `size` leaves; none where the tree has no hash there.
    #[must_use]
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        if level >= LEVELS {
            return None;
        }
        let hashes = size >> (level * TILE_HEIGHT);
        let before = index.checked_mul(TILE_WIDTH)?;
        let width = hashes.checked_sub(before)?.min(TILE_WIDTH);
        let width = u16::try_from(width).expect("at most 256");
        (width > 0).then_some(Self {
            level,
            index,
            width,
        })
    }

    /// Whether it will never be wider.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width as u64 == TILE_WIDTH
    }

    /// Whether a tree of `size` leaves has all of it.
    #[must_use]
    pub fn is_in(&self, size: u64) -> bool {
        Self::at(self.level, self.index, size).is_some_and(|tile| tile.width >= self.width)
    }
}

/// What a path below a log's prefix names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TilePath {
    /// Hashes.
    Hashes(TileId),
    /// The leaves of a tile of level 0.
    Entries(TileId),
}

impl TilePath {
    /// The path, without a slash before it: `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        let (level, tile) = match self {
            Self::Hashes(tile) => (tile.level.to_string(), tile),
            Self::Entries(tile) => ("entries".to_owned(), tile),
        };
        let mut elements = vec![format!("{:03}", tile.index % 1_000)];
        let mut rest = tile.index / 1_000;
        while rest > 0 {
            elements.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        elements.reverse();
        let index = elements.join("/");
        match tile.is_full() {
            true => format!("tile/{level}/{index}"),
            false => format!("tile/{level}/{index}.p/{}", tile.width),
        }
    }

    /// What a path names; none for any other spelling than that of [`Self::path`].
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok()?),
            None => (rest, 1 << TILE_HEIGHT),
        };
        let mut number = 0_u64;
        for element in index.split('/') {
            let digits = element.strip_prefix('x').unwrap_or(element);
            let digits: u64 = digits.parse().ok()?;
            number = number.checked_mul(1_000)?.checked_add(digits)?;
        }
        let of_level = |level| TileId {
            level,
            index: number,
            width,
        };
        let named = match level {
            "entries" => Self::Entries(of_level(0)),
            level => Self::Hashes(of_level(level.parse().ok()?)),
        };
        let (Self::Hashes(tile) | Self::Entries(tile)) = named;
        let is_sound = tile.level < LEVELS && (1..=1 << TILE_HEIGHT).contains(&tile.width);
        // One spelling each, so that caches hold one copy.
        (is_sound && named.path() == path).then_some(named)
    }
}

/// Why tiles don't give a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TilesError {
    /// A tile is not among them, or not of the width that the tree gives it.
    #[error("the tile {level}/{index} is missing or has another width")]
    Missing {
        /// Its level.
        level: u8,
        /// Its place.
        index: u64,
    },
    /// The tree has no such subtree.
    #[error("the tree does not reach that far")]
    Beyond,
}

/// Tiles of one tree, of which proofs are made. Nothing they give is true until a proof leads to a signed root.
#[derive(Debug)]
pub struct Tiles {
    size: u64,
    tiles: BTreeMap<(u8, u64), Vec<Digest>>,
}

impl Tiles {
    /// No tiles yet of a tree of that size.
    #[must_use]
    pub const fn of(size: u64) -> Self {
        Self {
            size,
            tiles: BTreeMap::new(),
        }
    }

    /// The tiles that a calculation over a tree of `size` leaves looks at.
    #[must_use]
    pub fn needed(
        size: u64,
        calculation: impl FnOnce(&mut Recorder) -> Result<(), Infallible>,
    ) -> Vec<TileId> {
        let mut recorder = Recorder {
            size,
            tiles: BTreeMap::new(),
        };
        let Ok(()) = calculation(&mut recorder);
        recorder.tiles.into_values().collect()
    }

    /// Takes a tile as it is served.
    ///
    /// # Errors
    /// When it has another length than the tree gives it.
    pub fn insert(&mut self, tile: TileId, bytes: &[u8]) -> Result<(), TilesError> {
        let missing = TilesError::Missing {
            level: tile.level,
            index: tile.index,
        };
        let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else {
            return Err(missing);
        };
        let is_right = TileId::at(tile.level, tile.index, self.size) == Some(tile);
        if !is_right || hashes.len() != usize::from(tile.width) {
            return Err(missing);
        }
        let hashes = hashes.iter().copied().map(Digest::from).collect();
        self.tiles.insert((tile.level, tile.index), hashes);
        Ok(())
    }
}

impl Subtrees for Tiles {
    type Error = TilesError;

    fn subtree(&mut self, height: u8, index: u64) -> Result<Digest, TilesError> {
        let place = Place::of(height, index, self.size).ok_or(TilesError::Beyond)?;
        let TileId { level, index, .. } = place.tile;
        let tile = self.tiles.get(&(level, index));
        let hashes = tile.and_then(|tile| tile.get(place.begin..place.begin + place.width));
        let hashes = hashes.ok_or(TilesError::Missing { level, index })?;
        Ok(full_root(hashes))
    }
}

/// Notes which tiles are looked at.
#[derive(Debug)]
pub struct Recorder {
    size: u64,
    tiles: BTreeMap<(u8, u64), TileId>,
}

impl Subtrees for Recorder {
    type Error = Infallible;

    fn subtree(&mut self, height: u8, index: u64) -> Result<Digest, Infallible> {
        if let Some(Place { tile, .. }) = Place::of(height, index, self.size) {
            self.tiles.insert((tile.level, tile.index), tile);
        }
        Ok(super::tree::empty_root())
    }
}

/// The hashes of a tile that a subtree lies over.
struct Place {
    tile: TileId,
    begin: usize,
    width: usize,
}

impl Place {
    fn of(height: u8, index: u64, size: u64) -> Option<Self> {
        let (level, above) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let begin = index.checked_mul(1 << above)?;
        let tile = TileId::at(level, begin / TILE_WIDTH, size)?;
        let within = |number: u64| usize::try_from(number).expect("within a tile");
        let (begin, width) = (within(begin % TILE_WIDTH), 1 << above);
        let fits = begin + width <= usize::from(tile.width);
        fits.then_some(Self { tile, begin, width })
    }
}

/// The root over hashes whose number is a power of two.
fn full_root(hashes: &[Digest]) -> Digest {
    match hashes {
        [hash] => *hash,
        hashes => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&full_root(left), &full_root(right))
        }
    }
}

/// The leaves of a tile as they are served: each behind its length, two bytes, big-endian.
#[must_use]
pub fn bundle(leaves: &[Cid]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(leaves.len() * limits::LOG_ENTRY_BYTES);
    for leaf in leaves {
        let leaf = leaf.to_bytes();
        let length = u16::try_from(leaf.len()).expect("a CID is short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&leaf);
    }
    bytes
}

/// The leaves of what [`bundle`] wrote; none when it is anything else, or has more leaves than a tile.
#[must_use]
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<Cid>> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if leaves.len() as u64 == TILE_WIDTH {
            return None;
        }
        leaves.push(Cid::from_bytes(leaf).ok()?);
        bytes = rest;
    }
    bytes.is_empty().then_some(leaves)
}

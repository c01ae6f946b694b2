//! What is read of a peer's log: its newest checkpoint, tiles, and leaves.
//!
//! Invariant: every file is bounded in bytes, and their number by the size that was signed.

use std::sync::Arc;

use fedsx_core::actor::{ActorLog, PeerActor};
use fedsx_core::limits;
use fedsx_core::transparency::{
    Checkpoint, Leaves, LeavesError, Note, TILE_WIDTH, TileId, TilePath, Tiles, TilesError,
    tree_root, unbundle,
};
use fedsx_discovery::pool::Purpose;

use super::{FetchError, JudgeError, NoteError, Refusal, StateError, Witnessed};
use crate::Node;

/// A full tile, bytes.
const TILE_BYTES: usize = 8_192;
/// A full bundle of leaves, bytes.
const BUNDLE_BYTES: usize = 256 * limits::LOG_ENTRY_BYTES;

/// Why nothing could be found out of a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Its actor can't be had.
    #[error("its actor's document can't be had: {0}")]
    Actor(String),
    /// Its actor keeps none.
    #[error("it keeps no verifiable log")]
    None,
    /// A file of it can't be had.
    #[error("its log can't be read: {0}")]
    Fetch(#[from] FetchError),
    /// Its checkpoint is none, or not signed by its key.
    #[error("its checkpoint does not hold: {0}")]
    Note(#[from] NoteError),
    /// What it serves does not hold together.
    #[error("{0}")]
    Judge(#[from] JudgeError),
    /// A file of it is none.
    #[error("what it serves as {0} is no such file")]
    File(String),
    /// Its leaves are not those that its checkpoint covers.
    #[error("{0}")]
    Leaves(#[from] LeavesError<TilesError>),
    /// Refused here.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The store can't be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl LogError {
    /// Whether it is the log that does not hold, and not the way to it.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(
            self,
            Self::Note(_) | Self::Judge(_) | Self::File(_) | Self::Leaves(_)
        )
    }
}

/// The newest checkpoint of a log.
#[derive(Debug)]
pub(crate) struct Head {
    pub(super) actor: Arc<PeerActor>,
    pub(crate) log: ActorLog,
    pub(super) note: Note,
    pub(crate) checkpoint: Checkpoint,
    pub(super) witnessed: Witnessed,
}

impl Node {
    /// The newest checkpoint of a remote actor's log, signed by the key that its document names; which is fetched anew
    /// where it is not.
    pub(crate) async fn log_head(&self, peer: &str) -> Result<Head, LogError> {
        self.let_in(peer)?;
        let known = self.0.peers.actor(peer, Purpose::Own).await;
        let known = known.map_err(|error| LogError::Actor(error.to_string()))?;
        match self.head_by(known).await {
            Err(LogError::Note(_) | LogError::None | LogError::Fetch(FetchError::NotFound)) => {
                let anew = self.0.peers.refetch(peer, Purpose::Own).await;
                self.head_by(anew.map_err(|error| LogError::Actor(error.to_string()))?)
                    .await
            }
            found => found,
        }
    }

    async fn head_by(&self, actor: Arc<PeerActor>) -> Result<Head, LogError> {
        let log = actor.log.clone().ok_or(LogError::None)?;
        let url = log.checkpoint_url();
        let bytes = self
            .0
            .fetcher
            .log_file(&url, limits::NOTE_BYTES, Purpose::Own);
        let note = Note::parse(&bytes.await?)?;
        let (checkpoint, witnessed) = Witnessed::of(&note, &log.note_key()?)?;
        Ok(Head {
            actor,
            log,
            note,
            checkpoint,
            witnessed,
        })
    }

    /// Tiles of the tree of that checkpoint.
    pub(super) async fn log_tiles(
        &self,
        head: &Head,
        needed: Vec<TileId>,
    ) -> Result<Tiles, LogError> {
        self.tiles_of(&head.log, head.checkpoint.size, needed).await
    }

    /// Tiles of the tree of a log at some size.
    pub(super) async fn tiles_of(
        &self,
        log: &ActorLog,
        size: u64,
        needed: Vec<TileId>,
    ) -> Result<Tiles, LogError> {
        let mut tiles = Tiles::of(size);
        for tile in needed {
            let path = TilePath::Hashes(tile).path();
            let url = format!("{}/{path}", log.url);
            let bytes = self.0.fetcher.log_file(&url, TILE_BYTES, Purpose::Own);
            let is_sound = tiles.insert(tile, &bytes.await?);
            is_sound.map_err(|_| LogError::File(path))?;
        }
        Ok(tiles)
    }

    /// The last leaves of a log under a checkpoint of it that was verified: at least `count`, as far as it has so many.
    ///
    /// # Errors
    /// [`LogError`], also when they are not those that the checkpoint covers.
    pub async fn log_leaves(
        &self,
        log: &ActorLog,
        checkpoint: &Checkpoint,
        count: u64,
    ) -> Result<Leaves, LogError> {
        let size = checkpoint.size;
        let first = size.saturating_sub(count) / TILE_WIDTH * TILE_WIDTH;
        let needed = Tiles::needed(size, |tiles| tree_root(tiles, first).map(drop));
        let mut before = self.tiles_of(log, size, needed).await?;
        let mut leaves = Vec::new();
        let mut index = first / TILE_WIDTH;
        while let Some(tile) = TileId::at(0, index, size) {
            let path = TilePath::Entries(tile).path();
            let url = format!("{}/{path}", log.url);
            let bytes = self.0.fetcher.log_file(&url, BUNDLE_BYTES, Purpose::Own);
            let bundled = unbundle(&bytes.await?);
            let bundled = bundled.filter(|bundled| bundled.len() == usize::from(tile.width));
            leaves.extend(bundled.ok_or(LogError::File(path))?);
            index += 1;
        }
        Ok(Leaves::verified(checkpoint, first, leaves, &mut before)?)
    }
}

//! The logs of local actors as others read them: signed checkpoints, tiles, and bundles of leaves.
//!
//! Invariants: what is signed is visible, so that it is durable and never taken back; a checkpoint is signed by the key
//! that the actor's document names at that moment. Deliberately absent: what others say of their logs (`witness`).
//! Design, section 10; C2SP tlog-tiles.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fedsx_core::actor::{ActorLog, first_log};
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::entry::ActorNo;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::transparency::{Checkpoint, Note, TILE_WIDTH, TileId, TilePath, bundle, leaf_hash};

use crate::{Node, fault};

/// Signed checkpoints kept in memory.
const SIGNED: usize = 1_024;

/// Checkpoints that were signed, each for as long as its log and its actor's document stay as they were.
#[derive(Debug, Default)]
pub(crate) struct Signed(Mutex<HashMap<ActorNo, (u64, Checkpoint, Note)>>);

/// What is served below the prefix of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogFile {
    /// The signed checkpoint.
    Checkpoint(Note),
    /// A tile or bundle, and whether it will stay as it is for ever.
    Tile {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it is as wide as it gets.
        is_full: bool,
    },
}

impl Node {
    /// The file of a local actor's log that `path` names, behind `/actors/{name}/log/`.
    ///
    /// # Errors
    /// `no-such-actor`, `gone`; `not-found` for what the log does not have, or not yet.
    pub fn log_file(&self, name: &str, path: &str) -> Result<LogFile, Refusal> {
        let not_found = || Refusal::new(Code::NotFound, "the log has no such file");
        let actor = self.actor(name)?;
        let log = self.log_of(&actor)?;
        // Of a later log, its number comes first.
        let below = log.url.strip_prefix(&first_log(&actor.url));
        let below = below.map(|number| number.trim_start_matches('/'));
        let path = match below.ok_or_else(not_found)? {
            "" => Some(path),
            number => path
                .strip_prefix(number)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        let path = path.ok_or_else(not_found)?;
        if path == "checkpoint" {
            let (checkpoint, mut note) = self.checkpoint(&actor)?;
            self.add_cosignatures(actor.no, checkpoint.size, &mut note);
            return Ok(LogFile::Checkpoint(note));
        }
        let named = TilePath::parse(path).ok_or_else(not_found)?;
        let frontier = self.0.view.state().log_frontier(actor.no);
        let size = frontier.map_err(fault::state)?.size();
        let (TilePath::Hashes(tile) | TilePath::Entries(tile)) = named;
        if !tile.is_in(size) {
            return Err(not_found());
        }
        Ok(LogFile::Tile {
            bytes: self.tile(actor.no, &named)?,
            is_full: tile.is_full(),
        })
    }

    /// The newest checkpoint of a local actor's log, as it is signed.
    ///
    /// # Errors
    /// `not-found`, when the actor has no log yet.
    pub(crate) fn checkpoint(&self, actor: &Actor) -> Result<(Checkpoint, Note), Refusal> {
        let frontier = self.0.view.state().log_frontier(actor.no);
        let frontier = frontier.map_err(fault::state)?;
        let document = actor.document.offset;
        let signed = &self.0.signed.0;
        let kept = signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, checkpoint, note)) = kept.get(&actor.no)
            && (*of, checkpoint.size) == (document, frontier.size())
        {
            return Ok((checkpoint.clone(), note.clone()));
        }
        drop(kept);
        let log = self.log_of(actor)?;
        let checkpoint = Checkpoint {
            origin: log.origin().to_owned(),
            size: frontier.size(),
            root: frontier.root(),
        };
        let signer = match self.0.vault.signer(&log.key_id) {
            Ok(Some(signer)) => signer,
            Ok(None) => return Err(fault::internal("the vault lacks a log's key", &log.key_id)),
            Err(error) => return Err(fault::internal("the vault can't give a log's key", &error)),
        };
        let note = Note::sign(&checkpoint, &log.key, &*signer);
        let note = note.map_err(|error| fault::internal("a checkpoint can't be signed", &error))?;
        let mut kept = signed.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SIGNED {
            kept.clear();
        }
        kept.insert(actor.no, (document, checkpoint.clone(), note.clone()));
        Ok((checkpoint, note))
    }

    /// The log that a local actor's document names.
    pub(crate) fn log_of(&self, actor: &Actor) -> Result<ActorLog, Refusal> {
        let document = self.0.view.actor_document(actor).map_err(fault::read)?;
        ActorLog::of(&document).ok_or_else(|| {
            let why = "the actor has no log yet; it gets one with the next change of its document";
            Refusal::new(Code::NotFound, why)
        })
    }

    /// A tile or bundle that the log has.
    pub(crate) fn tile(&self, actor: ActorNo, path: &TilePath) -> Result<Vec<u8>, Refusal> {
        let (TilePath::Hashes(tile) | TilePath::Entries(tile)) = *path;
        let TileId {
            level,
            index,
            width,
        } = tile;
        let (first, count) = (index * TILE_WIDTH, usize::from(width));
        let view = &self.0.view;
        let digests = match level {
            0 => view.log_leaves(actor, first, count),
            level => view.log_hashes(actor, level, first, count),
        };
        let digests = digests.map_err(fault::read)?;
        if digests.len() != count {
            return Err(fault::internal("a log has gaps", &path.path()));
        }
        let cids = || digests.iter().copied().map(Cid::of_document);
        let concat = |hashes: &[Digest]| hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        Ok(match path {
            TilePath::Entries(_) => bundle(&cids().collect::<Vec<_>>()),
            TilePath::Hashes(_) if level == 0 => {
                concat(&cids().map(|cid| leaf_hash(&cid)).collect::<Vec<_>>())
            }
            TilePath::Hashes(_) => concat(&digests),
        })
    }
}

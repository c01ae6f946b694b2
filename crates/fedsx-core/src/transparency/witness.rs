//! What somebody who watches a log from outside keeps of it, and what its next checkpoint means beside that.
//!
//! Invariant: a [`Fork`] stands by itself: two checkpoints that one log signed, of which neither is the beginning of the
//! other, for anybody to check who has the keys in it. Deliberately absent: fetching, and when to look.

use minicbor::{Decode, Encode};

use crate::cid::Digest;
use crate::key::PublicKey;

use super::note::{Checkpoint, Note, NoteError, NoteKey, Role};
use super::proof::{ProofError, consistency_proof, tree_root, verify_consistency};
use super::tile::{TileId, Tiles, TilesError};

/// A checkpoint as its log signed it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Witnessed {
    /// The note, with the log's own signature and no other.
    #[n(0)]
    note: String,
    /// The key of the log at that time.
    #[n(1)]
    key: PublicKey,
}

impl Witnessed {
    /// What a note says that a log signed, and what is kept of it.
    ///
    /// # Errors
    /// [`NoteError`], where the log of that key did not sign it.
    pub fn of(note: &Note, key: &NoteKey) -> Result<(Checkpoint, Self), NoteError> {
        let checkpoint = note.checkpoint(key)?;
        let id = key.id();
        let note = note.keeping(|signature| signature.name == key.name() && signature.is_by(id));
        let witnessed = Self {
            note: note.to_string(),
            key: key.key().clone(),
        };
        Ok((checkpoint, witnessed))
    }

    /// The note.
    ///
    /// # Errors
    /// [`NoteError`], where what was kept is damaged.
    pub fn note(&self) -> Result<Note, NoteError> {
        Note::parse(self.note.as_bytes())
    }

    /// The key of the log at that time.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The checkpoint, verified again.
    ///
    /// # Errors
    /// [`NoteError`], where what was kept is damaged.
    pub fn checkpoint(&self) -> Result<Checkpoint, NoteError> {
        let note = self.note()?;
        let origin = note.text().lines().next().unwrap_or_default();
        note.checkpoint(&NoteKey::new(origin, self.key.clone(), Role::Log)?)
    }
}

/// Two checkpoints of one log that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Fork {
    /// The smaller one.
    #[n(0)]
    pub first: Witnessed,
    /// The other one.
    #[n(1)]
    pub second: Witnessed,
    /// The root that the tree of the second had at the size of the first.
    #[n(2)]
    pub prefix: Digest,
    /// That it had.
    #[n(3)]
    pub proof: Vec<Digest>,
}

impl Fork {
    /// Whether it is what it says.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        let (Ok(first), Ok(second)) = (self.first.checkpoint(), self.second.checkpoint()) else {
            return false;
        };
        let older = (first.size, &self.prefix);
        let is_prefix = verify_consistency(&self.proof, older, (second.size, &second.root));
        first.origin == second.origin && first.root != self.prefix && is_prefix.is_ok()
    }
}

/// What a checkpoint means beside the one that was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judged {
    /// It says the same.
    Same,
    /// The log has grown.
    Grown,
    /// The log is shorter than it was. That alone proves nothing: it may be an old copy.
    Behind,
    /// The log is another than it was.
    Forked(Box<Fork>),
}

/// Why a checkpoint can't be judged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JudgeError {
    /// A checkpoint does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// They are of different logs.
    #[error("the two checkpoints are of different logs")]
    Origin,
    /// The log does not serve what its own checkpoint covers.
    #[error("the log does not serve what its checkpoint covers: {0}")]
    Tiles(#[from] TilesError),
    /// What the log serves does not lead to its own checkpoint.
    #[error("the tiles of the log don't lead to its checkpoint: {0}")]
    Proof(#[from] ProofError),
}

/// The tiles of the larger tree that [`judge`] looks at.
#[must_use]
pub fn tiles_to_judge(kept: u64, new: u64) -> Vec<TileId> {
    if kept == 0 || kept >= new {
        return Vec::new();
    }
    Tiles::needed(new, |tiles| {
        tree_root(tiles, kept)?;
        consistency_proof(tiles, kept, new).map(drop)
    })
}

/// What a checkpoint means beside the one that was kept; `tiles` are those of the new one's tree.
///
/// # Errors
/// [`JudgeError`]; then nothing is known.
pub fn judge(kept: &Witnessed, new: &Witnessed, tiles: &mut Tiles) -> Result<Judged, JudgeError> {
    let (old, head) = (kept.checkpoint()?, new.checkpoint()?);
    if old.origin != head.origin {
        return Err(JudgeError::Origin);
    }
    if head.size < old.size {
        return Ok(Judged::Behind);
    }
    let (prefix, proof) = match old.size {
        size if size == head.size => (head.root, Vec::new()),
        0 => (tree_root(tiles, 0)?, Vec::new()),
        size => (
            tree_root(tiles, size)?,
            consistency_proof(tiles, size, head.size)?,
        ),
    };
    verify_consistency(&proof, (old.size, &prefix), (head.size, &head.root))?;
    Ok(match prefix == old.root {
        true if old.size == head.size => Judged::Same,
        true => Judged::Grown,
        false => Judged::Forked(Box::new(Fork {
            first: kept.clone(),
            second: new.clone(),
            prefix,
            proof,
        })),
    })
}

//! Verifiable logs: what an actor says in public is the leaves of a tree that only grows, and anyone can hold it to
//! that.
//!
//! A leaf is the 38-byte CID of an activity, erased or not; the tree is that of RFC 6962, served as tiles, under a
//! signed checkpoint that other servers countersign. Invariants: nothing here trusts a hash that was not computed from
//! what a signed root covers, and texts and paths are read in exactly the spelling in which they are written.
//! Deliberately absent: where tiles come from, private activities (their CIDs could be guessed), and proofs on the
//! wire: readers make them of tiles. Design, section 10.
//!
//! Specs: RFC 6962 section 2.1, C2SP tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature (v1, Ed25519).

mod leaves;
mod note;
mod proof;
mod tile;
mod tree;
mod witness;

pub use leaves::{Difference, Leaves, LeavesError};
pub use note::{Checkpoint, Cosignature, Note, NoteError, NoteKey, NoteSignature, Role};
pub use proof::{
    ProofError, Subtrees, consistency_proof, inclusion_proof, tree_root, verify_consistency,
    verify_inclusion,
};
pub use tile::{TILE_WIDTH, TileId, TilePath, Tiles, TilesError, bundle, unbundle};
pub use tree::{Completed, Frontier, empty_root, leaf_hash, node_hash};
pub use witness::{Fork, JudgeError, Judged, Witnessed, judge, tiles_to_judge};

#[cfg(test)]
mod tests;

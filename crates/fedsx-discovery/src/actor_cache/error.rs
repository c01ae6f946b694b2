//! Why an actor is not to be had.

use std::sync::Arc;

use fedsx_core::actor::PeerActor;

/// Why there is no actor.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// Its host could not be asked, or gave no answer of use now.
    #[error("the actor's host gave no answer now: {reason}")]
    Unreachable {
        /// When another try makes sense.
        retry_after_s: u32,
        /// What happened.
        reason: String,
    },
    /// There is no such actor.
    #[error("there is no such actor")]
    NotFound,
    /// It was deleted.
    #[error("the actor was deleted")]
    Gone {
        /// Its Tombstone, or what was last known of it: its keys verify what it once signed.
        last_known: Option<Arc<PeerActor>>,
    },
    /// There is something else at that URL.
    #[error("there is no actor at that URL: {0}")]
    NotAnActor(String),
    /// Its document has lost or changed the recovery key that it committed to.
    #[error("the actor's document is not taken: {0}")]
    Usurped(String),
    /// The guard refuses to dial there.
    #[error("{0}")]
    Forbidden(String),
}

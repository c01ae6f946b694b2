//! Recovery keys that peers commit to: a document that commits to another than its actor did is taken only with the
//! `Update` by which the key itself says so, fetched from the actor's origin.
//!
//! Held to is what the instance has on record of the actor, or else what the document at hand says. Design,
//! section 6.

use std::fmt;
use std::sync::Arc;

use fedsx_core::actor::{PeerActor, Succession};
use fedsx_core::envelope::Document;
use fedsx_core::evidence::recovered;
use fedsx_core::key::Commitment;
use fedsx_core::limits;

use super::{Inner, PeerError, judge};
use crate::pool::Purpose;

/// Recoveries that one document is followed through. Who makes more of them than that while a peer is away is not
/// known to it any more.
const RECOVERIES: usize = 4;

/// What actors are on record to commit to, by their ids.
#[derive(Clone)]
pub struct Pins(Arc<Of>);

type Of = dyn Fn(&str) -> Option<Commitment> + Send + Sync;

impl Pins {
    /// What `of` says.
    pub fn new(of: impl Fn(&str) -> Option<Commitment> + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }
}

impl Default for Pins {
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pins(…)")
    }
}

impl Inner {
    /// The document, when it may take the place of what is known of its actor.
    pub(super) async fn successor(
        &self,
        actor: PeerActor,
        purpose: Purpose,
    ) -> Result<PeerActor, PeerError> {
        let at_hand = || {
            self.good(&actor.id)
                .and_then(|known| known.recovery.clone())
        };
        let held_to = (self.options.pins.0)(&actor.id).or_else(at_hand);
        let Some(mut held_to) = held_to else {
            return Ok(actor);
        };
        for _ in 0..=RECOVERIES {
            let update = match actor.succession(&held_to) {
                Succession::Same => return Ok(actor),
                Succession::By(update) => update,
                Succession::Broken => break,
            };
            let fetched = self.fetcher.document(&update, purpose).await;
            let fetched = fetched.map_err(|error| judge(&error))?;
            let document =
                Document::read(fetched.notation, fetched.bytes, limits::DOCUMENT_IN_BYTES);
            let next = document.and_then(|document| recovered(&document, &actor, &held_to));
            held_to = next.map_err(|refusal| PeerError::Usurped(refusal.detail.to_string()))?;
        }
        let why = "it commits to another recovery key, and no recovery says so";
        Err(PeerError::Usurped(why.to_owned()))
    }
}

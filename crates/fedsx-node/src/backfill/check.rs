//! Whether what a source served is what it says it has: by its `Accept`, which it signed.
//!
//! The newest activity that it named must have been met, of a whole history as many as it counted, and of what its log
//! has in that part every leaf (`against`). What is altered is found by its proof, and what is out of its order by the
//! walk. Deliberately absent: which one is missing of what the log does not have.

use fedsx_core::actor::PeerActor;
use fedsx_core::backfill::{Mode, Wrong};
use fedsx_core::cid::Cid;

use super::walk::{Halt, Walk};

impl Walk<'_> {
    /// Holds what was met against the log of the followed, and against what it answered.
    pub(super) async fn check(&mut self, owner: &PeerActor) -> Result<(), Halt> {
        let named = self.against_log(owner).await?;
        self.against_answer(named);
        Ok(())
    }

    /// Holds what was met, and what is named as withheld already, against what the followed answered.
    fn against_answer(&mut self, named: u64) {
        let Some(answer) = &self.answer else {
            return;
        };
        let progress = &self.progress;
        if let Some(tip) = answer.tip {
            let is_asked_for = match &self.backfill.mode {
                Mode::Since { digest } => *digest != tip,
                // It may be older than the window.
                Mode::Window { .. } => progress.met() > 0,
                Mode::Last { .. } | Mode::Full => true,
            };
            // Its owner may have deleted it since.
            if is_asked_for && !progress.met_tip && progress.deleted == 0 {
                let what = Cid::of_document(tip).to_string();
                self.found(Wrong::Withheld, what);
                return;
            }
        }
        let (served, total) = (progress.met() - progress.direct + named, answer.total);
        if self.backfill.mode == Mode::Full && served < total {
            let what = format!("{} of {total} activities", total - served);
            self.found(Wrong::Withheld, what);
        }
    }
}

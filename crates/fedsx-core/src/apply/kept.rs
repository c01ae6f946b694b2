//! What is kept for a definition, and what offers one: until it is settled (design, section 8.2).

use super::Moment;
use crate::cid::Digest;
use crate::entry::{Activity, Effect, Mark};
use crate::state::{At, Kept, Outcome, Row, Seen, StateError, Waiting};

impl Moment<'_> {
    /// Keeps an activity whose verb is not defined here, or that offers a definition.
    pub(super) fn keep(
        &self,
        activity: &Activity,
        at: At,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let waiting = match (activity.mark, &activity.effect) {
            (Some(Mark::UndefinedVerb), _) => Waiting::Verb {
                verb: activity.verb.clone(),
                defined_by: activity.defined_by,
            },
            // What is filled in from history changes nothing that the kernel trusts.
            (None, Some(Effect::Offered { .. })) if activity.backfilled => return Ok(()),
            (None, Some(Effect::Offered { kind, name, digest })) => Waiting::Trust {
                kind: *kind,
                name: name.clone(),
                definition: *digest,
            },
            (None, _) => return Ok(()),
        };
        let kept = Kept {
            digest: activity.digest,
            actor: activity.actor.clone(),
            received_ms: self.now_ms,
            at,
            waiting,
        };
        self.count(&kept, |total| total + 1, rows)?;
        rows.push(Row::Kept(kept));
        Ok(())
    }

    /// What waited waits no longer. What is settled already stays as it is.
    pub(super) fn settle(
        &self,
        digest: &Digest,
        outcome: Outcome,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Some(seen) = self.state.seen(digest)? else {
            return Ok(());
        };
        let Some(kept) = self.state.kept(seen.at.offset)? else {
            return Ok(());
        };
        self.count(&kept, |total| total.saturating_sub(1), rows)?;
        rows.push(Row::Unkept(kept));
        rows.push(Row::Seen {
            digest: *digest,
            seen: Seen {
                outcome: Some(outcome),
                ..seen
            },
        });
        Ok(())
    }

    pub(super) fn count(
        &self,
        kept: &Kept,
        next: impl Fn(u64) -> u64,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        for whose in [kept.actor.clone(), kept.host()] {
            let total = next(self.state.kept_total(&whose)?);
            rows.push(Row::KeptTotal { whose, total });
        }
        Ok(())
    }
}

//! Admission: what was kept under an undefined verb is judged when the verb is defined, in the order in
//! which it came, and folded where it passes; what has waited too long, or is too much, expires.
//!
//! What does not pass stays kept: a later definition of the verb judges it again.

use std::sync::Arc;
use std::time::Duration;

use fedsx_core::decide::schema::{Circumstances, Judges};
use fedsx_core::definition::Kind;
use fedsx_core::entry::{Activity, Control};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::Registry;
use fedsx_core::state::{Kept, Waiting};
use fedsx_store::{Answer, KeptUnder, Stored};
use tokio_util::sync::CancellationToken;

use super::{CHUNK, LearnOptions};
use crate::control::written;
use crate::programs::{Judged, Question};
use crate::{Node, fault};

/// The loop looks at least this often whether something has waited too long.
const LOOK: Duration = Duration::from_secs(3_600);
/// How long it waits after a fault of our own.
const PAUSE: Duration = Duration::from_secs(1);

/// How far it has come.
#[derive(Default)]
struct Place {
    /// What is kept up to this offset was looked at.
    after: u64,
    /// By what was defined up to this offset; none before the first look.
    through: Option<u64>,
}

impl Node {
    /// Admits and lets expire, until stopped.
    pub(super) async fn admit(&self, options: &LearnOptions, stop: &CancellationToken) {
        let mut kept = self.0.learning.kept.subscribe();
        let mut registry = self.watch_registry();
        let mut place = Place::default();
        while !stop.is_cancelled() {
            kept.borrow_and_update();
            let generation = Arc::clone(&registry.borrow_and_update());
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(&mut place, &generation, options) => looked,
            };
            let pause = pause.unwrap_or_else(|refusal| {
                tracing::error!(%refusal, "what is kept can't be looked at");
                PAUSE
            });
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = kept.changed() => {}
                Ok(()) = registry.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at everything that is new; how long nothing comes of itself.
    async fn look(
        &self,
        place: &mut Place,
        registry: &Arc<Registry>,
        options: &LearnOptions,
    ) -> Result<Duration, Refusal> {
        if let Some(through) = place.through {
            let verbs = registry.active(Some(Kind::Activity));
            let new = verbs.filter(|active| active.offset > through);
            let new: Vec<String> = new
                .map(|active| active.definition.name().to_owned())
                .collect();
            for verb in new {
                self.admit_verb(registry, &verb).await?;
            }
        }
        loop {
            let rows = self.0.view.kept(place.after, CHUNK).map_err(fault::read)?;
            let Some(last) = rows.last().map(|kept| kept.at.offset) else {
                break;
            };
            for kept in &rows {
                self.admit_one(registry, kept).await?;
                self.expire_excess(&kept.actor, options.kept_per_actor)
                    .await?;
                self.expire_excess(&kept.host(), options.kept_per_host)
                    .await?;
            }
            place.after = last;
        }
        place.through = Some(registry.through());
        self.expire_old(options).await
    }

    /// Admits what passes of all that is kept under a verb.
    async fn admit_verb(&self, registry: &Arc<Registry>, verb: &str) -> Result<(), Refusal> {
        let mut after = 0;
        loop {
            let under = KeptUnder::Verb(verb);
            let rows = self.0.view.kept_under(under, after, CHUNK);
            let rows = rows.map_err(fault::read)?;
            let Some(last) = rows.last().map(|kept| kept.at.offset) else {
                return Ok(());
            };
            for kept in &rows {
                self.admit_one(registry, kept).await?;
            }
            after = last;
        }
    }

    /// Admits one that is kept, if its verb is defined and it passes.
    async fn admit_one(&self, registry: &Arc<Registry>, kept: &Kept) -> Result<(), Refusal> {
        let verdict = self.verdict(registry, kept).await?;
        let Some(Ok(judged)) = verdict else {
            return Ok(());
        };
        let control = Control::Admitted {
            digest: kept.digest,
            definitions: judged.definitions,
        };
        self.control(control).await
    }

    /// What stages 9 and 10 say to something kept: nothing where its verb is not defined.
    pub(crate) async fn verdict(
        &self,
        registry: &Arc<Registry>,
        kept: &Kept,
    ) -> Result<Option<Result<Judged, Refusal>>, Refusal> {
        let Waiting::Verb { verb, .. } = &kept.waiting else {
            return Ok(None);
        };
        // Before its document is read.
        if !registry.is_named(Kind::Activity, verb) {
            return Ok(None);
        }
        let stored = self.0.view.stored(&kept.digest).map_err(fault::read)?;
        let Some((stored, activity)) = stored.as_ref().and_then(with_activity) else {
            return Ok(None);
        };
        let act = stored.map().map_err(fault::read)?;
        let judges = Judges::of(registry, &act);
        if judges.is_undefined() {
            return Ok(None);
        }
        // Only validators ask for it.
        let followed = match !registry.validators(verb).is_empty() {
            true => {
                let joined = self.0.view.joined_before(&kept.digest, u64::MAX);
                let joined = joined.map_err(fault::read)?;
                self.is_followed(&kept.actor, joined.iter().map(|joined| joined.log.actor))?
            }
            false => false,
        };
        let circumstances = Circumstances {
            digest: Some(kept.digest),
            received_ms: kept.received_ms,
            visibility: activity.visibility,
            authenticated: activity.authenticated,
            followed,
            backfilled: activity.backfilled,
        };
        let question = Question {
            registry: Arc::clone(registry),
            act,
            circumstances,
            excused: None,
        };
        match self.judge(question).await {
            Err(refusal) if refusal.code == Code::Internal => Err(refusal),
            outcome => Ok(Some(outcome)),
        }
    }

    /// Lets the oldest expire of an actor, or a host, of which too much is kept.
    async fn expire_excess(&self, whose: &str, most: u64) -> Result<(), Refusal> {
        let view = &self.0.view;
        loop {
            let total = view.state().kept_total(whose).map_err(fault::state)?;
            if total <= most {
                return Ok(());
            }
            let excess = usize::try_from(total - most).unwrap_or(CHUNK).min(CHUNK);
            let oldest = view.kept_under(KeptUnder::Whose(whose), 0, excess);
            let oldest = oldest.map_err(fault::read)?;
            if oldest.is_empty() {
                return Ok(());
            }
            self.expire(&oldest).await?;
        }
    }

    /// Lets expire what has waited too long; how long until the next one has.
    async fn expire_old(&self, options: &LearnOptions) -> Result<Duration, Refusal> {
        loop {
            let now_ms = self.now_ms();
            let left_ms = |kept: &Kept| kept.received_ms + options.kept_ms - now_ms;
            // The oldest alone, because this is asked each time that something is kept.
            let oldest = self.0.view.kept(0, 1).map_err(fault::read)?;
            let until_ms = oldest.first().map_or(i64::MAX, left_ms);
            if let Ok(until_ms @ 1..) = u64::try_from(until_ms) {
                return Ok(Duration::from_millis(until_ms).min(LOOK));
            }
            let rows = self.0.view.kept(0, CHUNK).map_err(fault::read)?;
            let old = rows.into_iter().take_while(|kept| left_ms(kept) <= 0);
            self.expire(&old.collect::<Vec<_>>()).await?;
        }
    }

    async fn expire(&self, old: &[Kept]) -> Result<(), Refusal> {
        let expired = |kept: &Kept| {
            let digest = kept.digest;
            self.queue_control(Control::Expired { digest })
        };
        let queued: Vec<Answer> = old.iter().map(expired).collect::<Result<_, _>>()?;
        written(queued).await?;
        tracing::info!(
            count = old.len(),
            "what was kept for a definition has expired"
        );
        Ok(())
    }
}

fn with_activity(stored: &Stored) -> Option<(&Stored, &Activity)> {
    Some((stored, stored.activity()?))
}

//! What an `Accept` says to who asked for a part of the past: where it is, and how much (design, section 9.5).

use fedsx_core::backfill::{Answer, Mode};
use fedsx_core::cid::Digest;
use fedsx_core::entry::{LogId, Visibility};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_store::SeqRange;

use crate::{Node, fault};

/// Entries of an outbox that are looked at for the newest one that followers may read.
const LOOKED_AT: usize = 1_024;
/// Of them, read at once.
const CHUNK: usize = 16;

impl Node {
    /// The answer to a `Follow` of a local actor; nothing where that asks for nothing.
    pub(crate) fn answer_to(&self, name: &str, follow: &Value) -> Result<Option<Map>, Refusal> {
        let asked = follow.as_map().and_then(|follow| follow.get("backfill"));
        if Mode::of(asked).is_none() {
            return Ok(None);
        }
        let actor = self.actor(name)?;
        let totals = self.0.view.state().outbox_totals(actor.no);
        let totals = totals.map_err(fault::state)?;
        let answer = Answer {
            outbox: self.0.instance.outbox_url(name),
            tip: self.tip(&actor)?,
            total: totals.public + totals.followers,
            checkpoint: self.checkpoint_url(&actor)?,
        };
        Ok(Some(answer.to_map()))
    }

    /// Where the checkpoint of an actor's log is, if it has one.
    fn checkpoint_url(&self, actor: &Actor) -> Result<Option<String>, Refusal> {
        match self.log_of(actor) {
            Ok(log) => Ok(Some(log.checkpoint_url())),
            Err(refusal) if refusal.code == Code::NotFound => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The newest activity of an actor that its followers may read, and that is not erased.
    fn tip(&self, actor: &Actor) -> Result<Option<Digest>, Refusal> {
        let log = LogId::outbox(actor.no);
        let mut range = SeqRange::default();
        for _ in 0..LOOKED_AT / CHUNK {
            let entries = self.0.view.log(log, range, true, CHUNK);
            let entries = entries.map_err(fault::read)?;
            for entry in &entries {
                let activity = entry.stored.activity().filter(|_| !entry.stored.erased);
                let tip = activity.filter(|it| it.visibility != Visibility::Direct);
                if let Some(tip) = tip {
                    return Ok(Some(tip.digest));
                }
            }
            match entries.last() {
                Some(last) => range.before = Some(last.seq),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

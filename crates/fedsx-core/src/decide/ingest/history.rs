//! What an actor's own outbox gives of its past, for one who follows it here (design, section 9.5).
//!
//! Judged as what is delivered is, with three differences. The outbox lies on the actor's origin, which vouches for
//! what stands in it as it does for what it serves under an `id`. Relevance is no question: the follower asked. And
//! nothing that would change kernel state is taken, because the copy in the log would keep out the one that is
//! delivered, and counts; but for a `Delete` of something, which says the same whenever it is said.

use super::{Here, Target, in_time, is_equivocation};
use crate::actor::PeerActor;
use crate::audience::visibility;
use crate::decide::authority::{self, Meaning};
use crate::decide::{DecideError, Draft, Facts, erase};
use crate::entry::{ActorNo, Effect, LogId, Visibility};
use crate::envelope::{Document, Envelope};
use crate::evidence::{Delivery, Judged, Verified, authenticate};
use crate::refusal::{Code, Refusal};

/// An activity as an actor's outbox gives it.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    /// What it gives.
    pub document: Document,
    /// The actor whose outbox it is, by its document as it is now.
    pub owner: &'a PeerActor,
    /// The local actor who follows.
    pub reader: ActorNo,
    /// What was published before this is history, Unix milliseconds.
    pub until_ms: i64,
}

/// What becomes of it.
#[derive(Clone, Debug)]
pub enum Remembered {
    /// It is to be appended.
    Append(Box<Draft>),
    /// It is in the reader's log already.
    Here,
    /// It is no history: it was published later, and is delivered.
    Later,
    /// It is not taken, with the reason for the log.
    LeftOut(&'static str),
}

/// A decision, and what is known of the document whatever it is.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What becomes of it.
    pub remembered: Remembered,
    /// Whether it is addressed, openly, and not to followers or everybody.
    pub is_direct: bool,
}

/// Judges an activity of the past.
///
/// # Errors
/// The refusal of the first stage that refuses, or a fault of the store.
pub fn remember(facts: Facts<'_>, past: Past<'_>) -> Result<Judgement, DecideError> {
    let envelope = Envelope::of(&past.document.map)?;
    if envelope.actor != past.owner.id {
        let why = "what stands in an actor's outbox is another's";
        return Err(Refusal::new(Code::NotAuthorised, why).into());
    }
    let followers = past.owner.followers.as_deref();
    let is_direct = envelope.recipients.all().next().is_some()
        && visibility(&envelope.recipients, followers) == Visibility::Direct;
    let remembered = past.judge(facts, envelope)?;
    Ok(Judgement {
        remembered,
        is_direct,
    })
}

impl Past<'_> {
    fn judge(self, facts: Facts<'_>, envelope: Envelope) -> Result<Remembered, DecideError> {
        let here = Here {
            facts,
            target: Some(Target {
                no: self.reader,
                name: "",
            }),
            kept: facts.state.digest_of_id(&envelope.id)?,
            alias_asked: false,
            via: None,
        };
        let is_later = envelope
            .published_ms
            .is_some_and(|published_ms| published_ms >= self.until_ms);
        if is_later {
            return Ok(Remembered::Later);
        }
        if here.is_replay(&self.document, &envelope)? {
            return Ok(Remembered::Here);
        }
        let delivery = Delivery {
            head: None,
            from_origin: true,
            refreshed: true,
            now_ms: facts.now_ms,
        };
        match authenticate(self.document, envelope, Some(self.owner), delivery)? {
            Judged::Verified(verified) => {
                here.remember(&verified, self.reader, self.owner.followers.as_deref())
            }
            Judged::Need(_) => {
                let why = "nothing stands for it but its place in the outbox";
                Err(Refusal::new(Code::BadSignature, why).into())
            }
        }
    }
}

impl Here<'_> {
    fn remember(
        &self,
        verified: &Verified,
        reader: ActorNo,
        followers: Option<&str>,
    ) -> Result<Remembered, DecideError> {
        let (facts, envelope) = (self.facts, verified.envelope());
        let published_ms = in_time(facts, envelope)?;
        let is_other = |kept: &_| *kept != verified.document().digest;
        let other = self.kept.filter(is_other);
        let effect = match other {
            // The writer refuses it, and keeps it as evidence.
            Some(other) if is_equivocation(facts.state, verified.authenticated(), &other)? => None,
            Some(_) => {
                return Ok(Remembered::LeftOut(
                    "the first document under this `id` is kept",
                ));
            }
            None if erase::is_farewelled(facts.state, envelope)? => {
                return Ok(Remembered::LeftOut("its owner has deleted it"));
            }
            None if self.passes_on_blocked(envelope)? => {
                return Ok(Remembered::LeftOut(
                    "it passes on what a blocked actor made",
                ));
            }
            None => match authority::judge(facts, envelope)? {
                Meaning::Plain => None,
                Meaning::Effect(effect @ Effect::Deleted { .. }) => Some(effect),
                // What it undoes may be further on.
                Meaning::Ignored(_) if envelope.verb == "Undo" => None,
                Meaning::Ignored(why) => return Ok(Remembered::LeftOut(why)),
                Meaning::Effect(_) => {
                    return Ok(Remembered::LeftOut(
                        "what changes how actors stand is no history",
                    ));
                }
            },
        };
        let mut draft = self.draft(verified, published_ms, effect, followers)?;
        draft.activity.backfilled = true;
        draft.logs = vec![LogId::inbox(reader)];
        draft.new_as_of = self.kept.is_none().then_some(facts.applied);
        Ok(Remembered::Append(Box::new(draft)))
    }
}

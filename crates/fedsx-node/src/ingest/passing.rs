//! One delivery on its way through the stages: up to the writer's queue, and from there to its answer.
//!
//! The two are apart so that who brings several may queue the next while one waits for the disk. Invariant: what is
//! queued is answered for, also where its own waits for others' definitions and has to pass the stages again.

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::{Decision, Draft};
use fedsx_core::entry::{Effect, LogId};
use fedsx_core::evidence::Need;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Map;
use fedsx_discovery::pool::Purpose;
use fedsx_store::{Answer, AppendError, Priority};

use super::{Evidence, InboxPost, Receipt, SUPERSEDED, Status, UNPROVED, changed_actor};
use crate::erasure::is_deletion;
use crate::learning::News;
use crate::{Node, fault};

/// Fetches that one activity may need before it is refused: its actor, a newer key, the document from
/// its origin, and the actor of that.
pub(crate) const ROUNDS: usize = 5;
/// Local inboxes that one entry joins; further ones are placed by entries of their own.
const LOGS_PER_ENTRY: usize = 256;

/// A delivery on its way.
pub(crate) struct Taking<'a> {
    pub(crate) post: &'a InboxPost,
    /// What is needed is fetched for that.
    pub(crate) purpose: Purpose,
    /// The refusal of this code passes.
    pub(crate) excused: Option<&'a str>,
    /// What comes by a group stands for itself: who sent it is no evidence, and pays nothing.
    pub(crate) via: Option<&'a str>,
    /// Nothing is fetched for it but actors' documents.
    pub(crate) keys_only: bool,
    pub(crate) evidence: Evidence,
    pub(crate) is_paid: bool,
    pub(crate) rounds: usize,
}

impl<'a> Taking<'a> {
    /// One that has passed nothing yet.
    pub(crate) fn of(post: &'a InboxPost, purpose: Purpose) -> Self {
        Self {
            post,
            excused: None,
            via: None,
            keys_only: false,
            evidence: Evidence {
                notation: post.notation,
                bytes: post.body.clone(),
                from_origin: false,
                refreshed: false,
                alias_asked: false,
            },
            is_paid: !matches!(purpose, Purpose::Inbound { .. }),
            purpose,
            rounds: 0,
        }
    }
}

/// What has passed the stages.
pub(crate) enum Taken {
    /// There is nothing to append.
    Settled(Receipt),
    /// It is in the writer's queue.
    Queued(Box<Queued>),
}

/// What is in the queue, and what follows when it is durable.
pub(crate) struct Queued {
    cid: Cid,
    news: News,
    changed: Option<String>,
    is_farewell: bool,
    deletes: bool,
    /// Whether it changes what others of its actor are judged by.
    pub(crate) has_effect: bool,
    appending: Result<Appending, AppendError>,
}

struct Appending {
    answer: Answer,
    digest: Digest,
    further: Vec<LogId>,
}

impl Node {
    /// The stages up to the writer's queue. Of one that has to pass them again, what was found out before is kept.
    pub(crate) async fn pass_stages(&self, taking: &mut Taking<'_>) -> Result<Taken, Refusal> {
        let Taking { post, via, .. } = *taking;
        while taking.rounds < ROUNDS {
            taking.rounds += 1;
            let (cid, act, decision) = self.decide(post, &taking.evidence, via)?;
            let settled = |status| Ok(Taken::Settled(Receipt { cid, status }));
            match decision {
                Decision::Replay => return settled(Status::Replay),
                Decision::Dropped(why) => {
                    tracing::debug!(%cid, why, "dropped");
                    return settled(Status::Dropped(why));
                }
                Decision::Append(draft) => {
                    return self.enqueue_judged(taking, (cid, act), draft).await;
                }
                Decision::Need(need) => {
                    if taking.keys_only {
                        refuse_beyond_keys(&need)?;
                    }
                    let evidence = &mut taking.evidence;
                    self.provide(need, taking.purpose, evidence).await?;
                }
            }
        }
        let why = "the evidence for this activity could not be brought together";
        Err(Refusal::new(Code::BadSignature, why))
    }

    /// Stages 9 and 10 of what the kernel would append, and its place in the queue.
    async fn enqueue_judged(
        &self,
        taking: &mut Taking<'_>,
        (cid, act): (Cid, Map),
        mut draft: Box<Draft>,
    ) -> Result<Taken, Refusal> {
        let Taking { post, via, .. } = *taking;
        if via.is_none() {
            self.contact(&draft.activity.actor);
            let is_paid = std::mem::replace(&mut taking.is_paid, true);
            if !is_paid {
                self.charge_host(&draft.activity.actor)?;
            }
            self.take_passed_on(post, &act, taking.purpose).await;
        }
        if let Err(refusal) = self.judge_draft(&mut draft, act, taking.excused).await {
            if via.is_none() {
                self.put_in_quarantine(post, *draft, &refusal).await;
            }
            return Err(refusal);
        }
        self.pin(&draft.activity.actor).await?;
        let activity = &draft.activity;
        let effect = activity.effect.as_ref();
        let is_farewell = matches!(effect, Some(Effect::ActorDeleted { .. }));
        let queued = Queued {
            cid,
            news: News::of(activity),
            changed: changed_actor(activity),
            is_farewell,
            deletes: is_deletion(effect) && !is_farewell,
            has_effect: effect.is_some(),
            appending: self.enqueue(*draft),
        };
        Ok(Taken::Queued(Box::new(queued)))
    }

    /// Waits for what is queued; nothing where it has to pass the stages again, since what it was judged by has changed.
    pub(crate) async fn finish(&self, taken: Taken) -> Result<Option<Receipt>, Refusal> {
        let queued = match taken {
            Taken::Settled(receipt) => return Ok(Some(receipt)),
            Taken::Queued(queued) => *queued,
        };
        let appended = match queued.appending {
            Ok(appending) => self.appended(appending).await,
            Err(error) => Err(error),
        };
        match appended {
            Ok(status) => {
                self.0.learning.appended(&queued.news);
                if queued.deletes {
                    self.deleted().await;
                }
                if queued.is_farewell {
                    self.deleted_elsewhere();
                }
                if let Some(actor) = queued.changed {
                    // What it pushed changes nothing by itself.
                    self.0.peers.expire(&actor);
                }
                let cid = queued.cid;
                Ok(Some(Receipt { cid, status }))
            }
            Err(AppendError::Changed) => {
                self.take_up_definitions()?;
                Ok(None)
            }
            Err(error) => Err(fault::append(error)),
        }
    }

    /// Appends a draft, in as many entries as its logs need, and waits for all.
    pub(crate) async fn append(&self, draft: Draft) -> Result<Status, AppendError> {
        self.appended(self.enqueue(draft)?).await
    }

    /// Queues a draft, in as many entries as its logs need.
    fn enqueue(&self, mut draft: Draft) -> Result<Appending, AppendError> {
        let further = match draft.logs.len() {
            0..=LOGS_PER_ENTRY => Vec::new(),
            _ => draft.logs.split_off(LOGS_PER_ENTRY),
        };
        let digest = draft.activity.digest;
        let answer = self.0.writer.append(draft, Priority::Inbound)?;
        Ok(Appending {
            answer,
            digest,
            further,
        })
    }

    /// Waits for what was queued, and for its further logs.
    async fn appended(&self, appending: Appending) -> Result<Status, AppendError> {
        let Appending {
            answer,
            digest,
            further,
        } = appending;
        let appended = answer.wait().await?;
        for logs in further.chunks(LOGS_PER_ENTRY) {
            self.0
                .writer
                .place(digest, logs.to_vec(), self.now_ms())?
                .wait()
                .await?;
        }
        Ok(match appended {
            fedsx_store::Appended::New { .. } => Status::Accepted,
            fedsx_store::Appended::Replay => Status::Replay,
        })
    }
}

/// Refuses what would be fetched on the word of whoever sent it.
fn refuse_beyond_keys(need: &Need) -> Result<(), Refusal> {
    let (code, why) = match need {
        Need::Actor(_) | Need::Key { .. } | Need::Alias { .. } => return Ok(()),
        Need::Origin(_) => UNPROVED,
        Need::Witness(_) => SUPERSEDED,
    };
    let why = format!("{why}; for what comes in a batch nothing else is asked for");
    Err(Refusal::new(code, why))
}

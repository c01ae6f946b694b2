//! Comparison of followers' sets with peers: who follows a remote actor from here, by its server's word and by ours.
//!
//! FEP-8fcf; design, section 7. The server of the follower compares, because only the follower may ask and take back,
//! so that two instances that both do so mend either side's mistakes. What starts one: the header of a delivery whose
//! digest is another than ours, a pass over all peers that were ever asked, and the operator. Mended is by what the
//! follow table has anyway, said to the peer: a follow that is lost there is asked for anew, since the user wants it
//! still; a request that was answered, unheard, as well, since only the followed accepts; what is not wanted is
//! undone. Invariants: nothing is mended that changed lately, is on its way, or was not the same in two looks;
//! one comparison per host at a time, and after each a rest, longer after one that had to mend. Deliberately absent:
//! the other direction, which is the other server's; what was heard, and how far a pass is, over a restart.

mod look;
mod mend;
mod pass;
mod schedule;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fedsx_core::address::Origin;
use fedsx_core::follow::synchronization::{HEADER, Synchronization, is_signed_by};
use fedsx_core::http_signature;
use fedsx_core::reader::actor_of_key;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, StateError, host};
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{InboxPost, Node};

use look::{Difference, Look};
use mend::Mended;
use schedule::{First, Schedule};

/// Comparisons at once.
const WORKERS: usize = 4;
/// How long a worker waits at most before it looks again.
const GLANCE_MS: i64 = 60_000;
/// What lies between the two looks that an operator asked for.
const BY_HAND: Duration = Duration::from_secs(1);

/// When is compared and what is mended, all in milliseconds.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Between two passes over all peers; 0 is none.
    pub every_ms: i64,
    /// Between two comparisons with one actor, at least.
    pub pause_ms: i64,
    /// How long a difference has to last before it is mended.
    pub settle_ms: i64,
    /// After how long a request without an answer is said again; each time after as long as it waited till then.
    pub ask_again_ms: i64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        const MINUTE_MS: i64 = 60_000;
        Self {
            every_ms: 24 * 60 * MINUTE_MS,
            pause_ms: 60 * MINUTE_MS,
            settle_ms: 10 * MINUTE_MS,
            ask_again_ms: 6 * 60 * MINUTE_MS,
        }
    }
}

/// What a comparison found and did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Comparison {
    /// Followers from here, by the peer's server.
    pub listed: u64,
    /// Followers from here, by ours.
    pub here: u64,
    /// Follows said anew.
    pub asked: u64,
    /// Follows taken back that the peer's server took for lasting.
    pub undone: u64,
    /// Differences left alone: too young, on their way, or of nobody here.
    pub left: u64,
}

/// What those who compare share with those who bring them work.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    schedule: Mutex<Schedule>,
    changed: Notify,
    options: OnceLock<CompareOptions>,
}

impl Comparing {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// What a delivery to an actor's followers says of those behind an inbox; nothing where none is there.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn synchronization(
        &self,
        actor: &Actor,
        inbox: &str,
    ) -> Result<Option<Synchronization>, StateError> {
        let Some(origin) = Origin::of(inbox) else {
            return Ok(None);
        };
        let state = self.0.view.state();
        let partial = state.followers_on(actor.no, origin.as_str())?;
        let instance = &self.0.instance;
        Ok((partial.count > 0).then(|| Synchronization {
            collection_id: instance.followers_url(&actor.name),
            url: instance.followers_synchronization_url(&actor.name),
            digest: partial.hex(),
        }))
    }

    /// A delivery came through: what it says of the followers here of who sent it may start a comparison.
    pub(crate) fn heard(&self, post: &InboxPost) {
        let said = post.head.headers.get(HEADER);
        let said = said.and_then(|value| Synchronization::parse(value.to_str().ok()?));
        let (Some(said), Some(options)) = (said, self.0.comparing.options.get()) else {
            return;
        };
        if let Err(error) = self.weigh(post, &said, options) {
            tracing::error!(%error, "what a peer says of its followers can't be weighed");
        }
    }

    fn weigh(
        &self,
        post: &InboxPost,
        said: &Synchronization,
        options: &CompareOptions,
    ) -> Result<(), StateError> {
        let head = post.head.at(&self.0.instance);
        let signer = match http_signature::present(&head) {
            Ok(Some(presented)) => self.0.peers.peek(actor_of_key(presented.key_id())),
            // Who passes on what another proved says nothing of that one's followers.
            Ok(None) | Err(_) => None,
        };
        let Some(sender) = signer.filter(|sender| said.is_of(sender)) else {
            return Ok(());
        };
        let here = self.0.view.state().followers_here(&sender.id)?;
        let is_same = here.unwrap_or_default().hex() == said.digest;
        let now_ms = self.now_ms();
        let news = {
            let schedule = self.0.comparing.schedule();
            let is_resting = schedule.is_resting(&sender.id, now_ms);
            (!is_same && !is_resting) || !schedule.knows(&sender.id, &said.url)
        };
        // Looked at last, because it costs the most.
        if !news || !is_signed_by(&head, &post.body, &sender, now_ms) {
            return Ok(());
        }
        let due_ms = now_ms + self.jitter(options.settle_ms);
        let mut schedule = self.0.comparing.schedule();
        schedule.learn(&sender.id, &said.url, now_ms);
        if !is_same {
            schedule.ask(&sender.id, now_ms, due_ms);
            self.0.comparing.changed.notify_one();
        }
        Ok(())
    }

    /// How many peers wait for a first look at their followers from here, and how many for a second.
    #[must_use]
    pub fn comparisons_waiting(&self) -> [usize; 2] {
        self.0.comparing.schedule().waiting()
    }

    /// Compares, until stopped.
    pub async fn compare(self, options: CompareOptions, stop: CancellationToken) {
        // A second time would mean two of these over one node, which the wiring never builds.
        let options = self.0.comparing.options.get_or_init(|| options);
        let workers = join_all((0..WORKERS).map(|_| self.compare_waiting(options, &stop)));
        tokio::join!(workers, self.pass(options, &stop));
    }

    async fn compare_waiting(&self, options: &CompareOptions, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let now_ms = self.now_ms();
            let (next, due_ms) = {
                let mut schedule = self.0.comparing.schedule();
                (schedule.take(now_ms), schedule.next_ms())
            };
            if let Some((peer, first)) = next {
                // Others may be due, and whoever waits for this host.
                self.0.comparing.changed.notify_one();
                let turn = self.turn(&peer, first, options);
                if stop.run_until_cancelled(turn).await.is_none() {
                    self.0.comparing.schedule().free(&peer);
                    return;
                }
                self.0.comparing.changed.notify_one();
                continue;
            }
            let wait_ms = due_ms.map_or(GLANCE_MS, |due_ms| (due_ms - now_ms).clamp(1, GLANCE_MS));
            let wait = Duration::from_millis(wait_ms.unsigned_abs());
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.comparing.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look at a peer's followers from here: the first, or the second, after which is mended.
    async fn turn(&self, peer: &str, first: Option<First>, options: &CompareOptions) {
        let looked = match self.partial_of(peer).await {
            Some(url) => self.look_at(peer, &url).await,
            None => Err(look::LookError::NotOffered),
        };
        let mut mends = 0;
        match (looked, first) {
            (Err(error), _) => tracing::debug!(peer, %error, "followers can't be compared"),
            (Ok(look), None) if !look.differences.is_empty() => {
                let now_ms = self.now_ms();
                let due_ms = now_ms + options.settle_ms + self.jitter(options.settle_ms);
                let first = look.differences;
                self.0.comparing.schedule().again(peer, first, due_ms);
                return;
            }
            (Ok(_), None) => {}
            (Ok(look), Some(first)) => {
                let comparison = self.mend_all(peer, &first, look, options.settle_ms).await;
                tracing::info!(peer, ?comparison, "followers were compared");
                mends = comparison.asked + comparison.undone;
            }
        }
        let mut schedule = self.0.comparing.schedule();
        schedule.ended(peer, self.now_ms(), options.pause_ms, mends > 0);
    }

    /// Compares the followers from here of a remote actor at once, and mends what is not on its way.
    ///
    /// # Errors
    /// `unresolvable`, also where its followers can't be read; `conflict` for an actor of this instance, and while it
    /// is compared already.
    pub async fn compare_now(&self, who: &str) -> Result<Comparison, Refusal> {
        let peer = self.resolve(who).await?;
        if self.0.instance.owns(&peer) {
            let why = format!("{peer} is of this instance: there is nothing to compare");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let options = self.0.comparing.options.get().cloned().unwrap_or_default();
        if !self.0.comparing.schedule().occupy(&peer) {
            let why = format!("followers are being compared with {}", host(&peer));
            return Err(Refusal::new(Code::Conflict, why).retry_after(30));
        }
        let compared = async {
            let url = self.partial_of(&peer).await;
            let url = url.ok_or(look::LookError::NotOffered)?;
            let first = self.look_at(&peer, &url).await?;
            let pause = BY_HAND.min(Duration::from_millis(options.settle_ms.unsigned_abs()));
            tokio::time::sleep(pause).await;
            let second = self.look_at(&peer, &url).await?;
            let first = first.differences;
            Ok(self
                .mend_all(&peer, &first, second, options.settle_ms)
                .await)
        };
        let compared: Result<Comparison, look::LookError> = compared.await;
        self.0.comparing.schedule().free(&peer);
        self.0.comparing.changed.notify_one();
        compared.map_err(|error| {
            let why = format!("the followers of {peer} can't be compared: {error}");
            Refusal::new(Code::Unresolvable, why)
        })
    }

    /// Mends what is as it was at the first look.
    async fn mend_all(
        &self,
        peer: &str,
        first: &[Difference],
        look: Look,
        settle_ms: i64,
    ) -> Comparison {
        let mut comparison = Comparison {
            listed: look.listed,
            here: look.here,
            left: look.unknown,
            ..Comparison::default()
        };
        for difference in look.differences {
            let mended = match first.contains(&difference) {
                true => self.mend(peer, &difference, settle_ms).await,
                false => Ok(Mended::Left),
            };
            match mended {
                Ok(Mended::Asked) => comparison.asked += 1,
                Ok(Mended::Undone) => comparison.undone += 1,
                Ok(Mended::Left) => comparison.left += 1,
                Err(refusal) => {
                    tracing::warn!(peer, %refusal, "a follow is not mended yet");
                    comparison.left += 1;
                }
            }
        }
        comparison
    }

    /// A random part of a tenth of a duration, so that not everybody comes at once.
    fn jitter(&self, ms: i64) -> i64 {
        let tenth = (ms / 10).max(1).unsigned_abs();
        // Without randomness it is only less spread.
        let random = getrandom::u64().unwrap_or_default();
        i64::try_from(random % tenth).unwrap_or_default()
    }
}

//! Several deliveries at once, each judged by itself (design, section 9.3).
//!
//! Those of one actor are taken in their order: what follows from one is applied before the next is judged, but for
//! notes and the like, which wait for the disk together. Those of different actors are taken side by side, on threads
//! where verifying holds up nobody. Invariants: there is an answer to each; nothing is fetched but actors' documents;
//! where one has to come again, so do those of its actor behind it. Deliberately absent: what the request's own
//! signature says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use fedsx_core::address::Origin;
use fedsx_core::batch::Glimpse;
use fedsx_core::cid::Cid;
use fedsx_core::envelope::Document;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::document::FetchError;
use fedsx_discovery::nodeinfo::{Batches, batches};
use fedsx_discovery::pool::Purpose;
use futures_util::future::join_all;
use http::{HeaderMap, Method};
use tokio::runtime::Handle;

use crate::ingest::{InboxPost, Receipt, RequestParts, Taken, Taking};
use crate::{Node, fault};

/// Threads that take batches at the same time, in all.
pub(crate) const AT_ONCE: usize = 4;

/// What became of one activity of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InBatch {
    /// Its CID; none of what can't be read.
    pub cid: Option<Cid>,
    /// As if it had come alone.
    pub outcome: Result<Receipt, Refusal>,
}

/// Activities of one actor, in their order, with their places in the batch.
type Chain = Vec<(usize, InboxPost)>;
/// What became of them.
type Outcomes = Vec<(usize, InBatch)>;

impl Node {
    /// Takes activities through the stages, as if each had come to the shared inbox by itself without a signature of
    /// its request; answers in their order, when all that is accepted is durable.
    ///
    /// # Errors
    /// `rate-limited`, where who signed the request has nothing left; then nothing was looked at.
    pub async fn ingest_batch(
        &self,
        activities: Vec<Bytes>,
        head: &RequestParts,
        source: IpAddr,
    ) -> Result<Vec<InBatch>, Refusal> {
        self.refuse_spent(head)?;
        let count = activities.len();
        let shares = shares(activities, &head.path_and_query, source);
        let taken = join_all(shares.into_iter().map(|share| self.take_share(share))).await;
        let mut answers = vec![None; count];
        for share in taken {
            for (place, answer) in share? {
                answers[place] = Some(answer);
            }
        }
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.expect("each is in one share"))
            .collect())
    }

    /// Asks the host of an inbox how it takes batches; none where it does not, or is of another kind.
    ///
    /// # Errors
    /// Where it could not be asked.
    pub async fn batches_of(&self, inbox: &str) -> Result<Option<Batches>, FetchError> {
        let Some(origin) = Origin::of(inbox) else {
            return Ok(None);
        };
        match self.0.fetcher.capabilities(&origin, Purpose::Own).await {
            Ok(page) => Ok(batches(&page, &origin)),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Takes some of the chains on a thread of their own, side by side as far as they wait.
    async fn take_share(&self, share: Vec<Chain>) -> Result<Outcomes, Refusal> {
        let place = Arc::clone(&self.0.batches).acquire_owned().await;
        let place = place.map_err(|error| fault::internal("no place for a batch", &error))?;
        let (node, runtime) = (self.clone(), Handle::current());
        let span = tracing::Span::current();
        let taken = tokio::task::spawn_blocking(move || {
            let _in_span = span.enter();
            let chains = share.into_iter().map(|chain| node.take_chain(chain));
            let outcomes = runtime.block_on(join_all(chains));
            drop(place);
            outcomes.into_iter().flatten().collect()
        });
        taken
            .await
            .map_err(|error| fault::internal("taking a batch broke", &error))
    }

    async fn take_chain(&self, chain: Chain) -> Outcomes {
        let mut outcomes = Vec::with_capacity(chain.len());
        let mut queued: Vec<(usize, &InboxPost, Taken)> = Vec::new();
        let mut held: Option<Refusal> = None;
        for (place, post) in &chain {
            if !is_independent(post) {
                // It may be about one that is queued.
                self.finish_all(&mut queued, &mut outcomes, &mut held).await;
            }
            if let Some(held) = &held {
                outcomes.push((*place, refused(post, held.clone())));
                continue;
            }
            let mut taking = taking(post);
            match self.pass_stages(&mut taking).await {
                Ok(taken) => {
                    let is_waited_for = matches!(&taken, Taken::Queued(one) if one.has_effect);
                    queued.push((*place, post, taken));
                    if is_waited_for {
                        self.finish_all(&mut queued, &mut outcomes, &mut held).await;
                    }
                }
                Err(refusal) => {
                    held = held_by(&refusal);
                    outcomes.push((*place, self.note(post, refusal)));
                }
            }
        }
        self.finish_all(&mut queued, &mut outcomes, &mut held).await;
        outcomes
    }

    /// Waits for all that is queued.
    async fn finish_all(
        &self,
        queued: &mut Vec<(usize, &InboxPost, Taken)>,
        outcomes: &mut Outcomes,
        held: &mut Option<Refusal>,
    ) {
        for (place, post, taken) in queued.drain(..) {
            let outcome = match self.finish(taken).await {
                Ok(Some(receipt)) => Ok(receipt),
                Ok(None) => self.take_again(post).await,
                Err(refusal) => Err(refusal),
            };
            let answer = match outcome {
                Ok(receipt) => InBatch {
                    cid: Some(receipt.cid),
                    outcome: Ok(receipt),
                },
                Err(refusal) => {
                    if held.is_none() {
                        *held = held_by(&refusal);
                    }
                    self.note(post, refusal)
                }
            };
            outcomes.push((place, answer));
        }
    }

    async fn take_again(&self, post: &InboxPost) -> Result<Receipt, Refusal> {
        let mut taking = taking(post);
        loop {
            let taken = self.pass_stages(&mut taking).await?;
            if let Some(receipt) = self.finish(taken).await? {
                return Ok(receipt);
            }
        }
    }

    fn note(&self, post: &InboxPost, refusal: Refusal) -> InBatch {
        self.note_refusal(post, &refusal);
        refused(post, refusal)
    }
}

fn taking(post: &InboxPost) -> Taking<'_> {
    let source = post.source;
    Taking {
        keys_only: true,
        ..Taking::of(post, Purpose::Inbound { source })
    }
}

fn refused(post: &InboxPost, refusal: Refusal) -> InBatch {
    let document = Document::read(post.notation, post.body.clone(), DOCUMENT_IN_BYTES);
    InBatch {
        cid: document.ok().map(|document| document.cid()),
        outcome: Err(refusal),
    }
}

/// What those of an actor behind one that has to come again are refused with, so that they come in order.
fn held_by(refusal: &Refusal) -> Option<Refusal> {
    // What an ended key signed comes again alone, with its sender's signature to vouch for it.
    let comes_again = matches!(
        refusal.code,
        Code::QueueFull | Code::RateLimited | Code::KeysUnresolved | Code::NoActiveKey
    );
    comes_again.then(|| {
        let detail = "an earlier activity of its actor has to come again";
        Refusal {
            detail: detail.to_owned(),
            ..refusal.clone()
        }
    })
}

/// Whether an activity says something new, so that nothing queued before it is what it is about.
fn is_independent(post: &InboxPost) -> bool {
    Glimpse::of(&post.body).verb.as_deref() == Some("Create")
}

/// The activities by actor, as whom they say they are, the actors shared out evenly by bytes.
fn shares(activities: Vec<Bytes>, path: &str, source: IpAddr) -> Vec<Vec<Chain>> {
    let mut chains: Vec<(usize, Chain)> = Vec::new();
    let mut of_actor: HashMap<Option<String>, usize> = HashMap::new();
    for (place, body) in activities.into_iter().enumerate() {
        let actor = Glimpse::of(&body).actor;
        let chain = *of_actor.entry(actor).or_insert_with(|| {
            chains.push((0, Chain::new()));
            chains.len() - 1
        });
        let (bytes, chain) = &mut chains[chain];
        *bytes += body.len();
        let head = RequestParts {
            method: Method::POST,
            path_and_query: path.to_owned(),
            headers: HeaderMap::new(),
        };
        chain.push((
            place,
            InboxPost {
                target: None,
                notation: Notation::Json,
                body,
                head,
                source,
            },
        ));
    }
    let threads = available_parallelism().map_or(1, usize::from).min(AT_ONCE);
    let mut shares = vec![(0, Vec::new()); threads.min(chains.len())];
    chains.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    for (bytes, chain) in chains {
        let least = shares.iter_mut().min_by_key(|(bytes, _)| *bytes);
        let (sum, share) = least.expect("as many as there are chains, or threads");
        *sum += bytes;
        share.push(chain);
    }
    shares.into_iter().map(|(_, share)| share).collect()
}

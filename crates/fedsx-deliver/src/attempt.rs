//! One try of one item: whether it is still wanted, where it goes, the request, and what its answer
//! calls for before it can be judged (looking the recipient up where its inbox is not there).

mod batch;

use fedsx_core::address::Origin;
use fedsx_store::delivery::{Item, Place, Placed, Recipient};

use crate::lane::{Class, Outcome};
use crate::outbound::{Answered, LookedUp, Outbound, Parcel, Posted};

pub(crate) use self::batch::goes_along;
pub use self::batch::{Batch, Batching};

/// An item that is being sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Try {
    /// The item and its place.
    pub placed: Placed,
    /// The lane's failures when it began.
    pub lane_failures: u32,
    /// What goes along with it in one request.
    pub batch: Option<Batch>,
}

/// A try that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// Which.
    pub tried: Try,
    /// What it came to.
    pub outcome: Outcome,
    /// What those that went along came to, in their order.
    pub others: Vec<Outcome>,
    /// Whether the host takes batches as it said.
    pub batching: Batching,
}

impl Done {
    /// A try of one item.
    #[must_use]
    pub const fn of_one(tried: Try, outcome: Outcome) -> Self {
        Self {
            tried,
            outcome,
            others: Vec::new(),
            batching: Batching::Goes,
        }
    }
}

/// The lane that leads to a URL.
#[must_use]
pub fn lane_of(url: &str) -> Option<String> {
    Origin::of(url).map(|origin| origin.authority().to_owned())
}

/// Carries a try out.
pub async fn attempt<O: Outbound>(outbound: &O, tried: Try) -> Done {
    if tried.batch.is_some() {
        return batch::attempt(outbound, tried).await;
    }
    let outcome = outcome(outbound, &tried.placed).await;
    Done::of_one(tried, outcome)
}

async fn outcome<O: Outbound>(outbound: &O, placed: &Placed) -> Outcome {
    let Placed { place, item } = placed;
    match is_wanted(outbound, place, item) {
        Ok(true) => {}
        Ok(false) => return Outcome::Withdrawn,
        Err(fault) => {
            return Outcome::Ours {
                why: fault.to_string(),
            };
        }
    }
    let inbox = match &item.inbox {
        Some(inbox) => inbox.clone(),
        None => match outbound.look_up(item.recipient.peer(), false).await {
            LookedUp::Found { inbox, .. } if is_lane(&inbox, place) => inbox,
            LookedUp::Found { inbox, .. } => {
                return Outcome::Elsewhere {
                    inbox,
                    refused: false,
                };
            }
            LookedUp::Gone => return gone(outbound, item).await,
            other => return not_found(other, None),
        },
    };
    let parcel = Parcel {
        actor: place.actor,
        digest: item.digest,
        inbox: inbox.clone(),
        to_followers: !matches!(item.recipient, Recipient::Named(_)),
    };
    let answered = match answered(outbound.post(parcel).await) {
        Ok(answered) => answered,
        Err(outcome) => return outcome,
    };
    match Class::of(answered.status) {
        Class::Success => taken(outbound, place, item).await,
        Class::Nowhere => {
            let refused = (answered.status, answered.text);
            nowhere(outbound, item, &inbox, refused).await
        }
        class => refused(outbound, placed, class, answered).await,
    }
}

/// The answer, or what it comes to that there is none.
fn answered(posted: Posted) -> Result<Answered, Outcome> {
    Err(match posted {
        Posted::Answer(answered) => return Ok(answered),
        Posted::HostFailed(why) => Outcome::HostFailed {
            why,
            retry_after_ms: None,
        },
        Posted::Unsendable(answer) => Outcome::Refused {
            status: None,
            answer,
            retry_after_ms: None,
        },
        Posted::Erased => Outcome::Withdrawn,
        Posted::Ours(why) => Outcome::Ours { why },
    })
}

/// An answer that is no success, of which nothing more is to be found out.
async fn refused<O: Outbound>(
    outbound: &O,
    Placed { place, item }: &Placed,
    class: Class,
    answered: Answered,
) -> Outcome {
    if class == Class::Never
        && let Err(fault) = outbound.refused(place.actor, &item.digest).await
    {
        return Outcome::Ours {
            why: fault.to_string(),
        };
    }
    Outcome::Refused {
        status: Some(answered.status),
        answer: answered.text,
        retry_after_ms: answered.retry_after_ms,
    }
}

async fn taken<O: Outbound>(outbound: &O, place: &Place, item: &Item) -> Outcome {
    if let Recipient::Named(peer) = &item.recipient
        && let Err(fault) = outbound.taken(place.actor, peer, &item.digest).await
    {
        return Outcome::Ours {
            why: fault.to_string(),
        };
    }
    Outcome::Arrived
}

/// Follow and block are looked at again: much may have happened since it was queued. What takes something back
/// goes to whoever may have that, follower or not.
fn is_wanted<O: Outbound>(
    outbound: &O,
    place: &Place,
    item: &Item,
) -> Result<bool, crate::outbound::Fault> {
    if outbound.is_barred(&place.host)? {
        return Ok(false);
    }
    if !item.past_blocks && outbound.blocks_host(place.actor, &place.host)? {
        return Ok(false);
    }
    let peer = match &item.recipient {
        Recipient::Shared(_) if item.past_follows => return Ok(true),
        // Of many followers behind one inbox, one is enough.
        Recipient::Shared(_) => {
            let inbox = item.inbox.as_deref();
            let is_followed = |inbox| outbound.is_followed_at(place.actor, inbox);
            return inbox.map_or(Ok(true), is_followed);
        }
        Recipient::Named(_) if item.past_blocks => return Ok(true),
        Recipient::Named(peer) | Recipient::Follower(peer) => peer,
    };
    let standing = outbound.standing(place.actor, peer)?;
    let is_follower = matches!(item.recipient, Recipient::Follower(_)) && !item.past_follows;
    Ok(!standing.blocked && (!is_follower || standing.follows_since.is_some()))
}

/// The inbox is not there: the recipient may have another one, or be gone.
async fn nowhere<O: Outbound>(
    outbound: &O,
    item: &Item,
    inbox: &str,
    (status, answer): (u16, String),
) -> Outcome {
    let refused = || Outcome::Refused {
        status: Some(status),
        answer: answer.clone(),
        retry_after_ms: None,
    };
    let is_shared = matches!(item.recipient, Recipient::Shared(_));
    match outbound.look_up(item.recipient.peer(), true).await {
        LookedUp::Found {
            inbox: own,
            shared_inbox,
        } => {
            let present = if is_shared {
                shared_inbox.unwrap_or(own)
            } else {
                own
            };
            if present == inbox {
                return refused();
            }
            Outcome::Elsewhere {
                inbox: present,
                refused: true,
            }
        }
        // Of those behind a shared inbox one is gone, and the others are not heard of.
        LookedUp::Gone if is_shared => match outbound.end_relations(item.recipient.peer()).await {
            Ok(()) => refused(),
            Err(fault) => Outcome::Ours {
                why: fault.to_string(),
            },
        },
        LookedUp::Gone => gone(outbound, item).await,
        other => not_found(other, Some((status, answer))),
    }
}

async fn gone<O: Outbound>(outbound: &O, item: &Item) -> Outcome {
    match outbound.end_relations(item.recipient.peer()).await {
        Ok(()) => Outcome::Gone,
        Err(fault) => Outcome::Ours {
            why: fault.to_string(),
        },
    }
}

fn not_found(looked_up: LookedUp, refused: Option<(u16, String)>) -> Outcome {
    match looked_up {
        LookedUp::HostFailed(why) => Outcome::HostFailed {
            why,
            retry_after_ms: None,
        },
        LookedUp::Ours(why) => Outcome::Ours { why },
        LookedUp::Nowhere(why) => {
            let (status, answer) = refused.unzip();
            Outcome::Refused {
                status,
                answer: answer.unwrap_or(why),
                retry_after_ms: None,
            }
        }
        LookedUp::Found { .. } | LookedUp::Gone => unreachable!("taken by the callers"),
    }
}

fn is_lane(inbox: &str, place: &Place) -> bool {
    lane_of(inbox).is_some_and(|host| *host == *place.host)
}

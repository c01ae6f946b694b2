//! What an answer means, for the lane it came from and for the item that was sent.
//!
//! Pure and total: every (lane, item, outcome) has a next step, and a test prints them as one page. Time
//! and jitter come in as arguments. The rule (design, section 9.2): a failure of the host belongs to
//! the lane, which backs off as a whole and gives nothing up; a failure of an item is the item's own,
//! and the lane goes on. Deliberately absent: rows, queues and the network.
//!
//! A host that has failed for long is dormant: it is tried once a day, whatever it asks for, and nothing is queued for
//! it (`fanout/missed.rs`).

use std::fmt;

use fedsx_store::delivery::{Lane, clip};

use crate::options::DeliveryOptions;

/// What a try came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The peer has it.
    Arrived,
    /// It is no longer to be sent: blocked, unfollowed or erased since.
    Withdrawn,
    /// The host could not be reached, or says that it can't answer.
    HostFailed {
        /// What happened.
        why: String,
        /// The wait it asked for, milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// The host answered, and not with success.
    Refused {
        /// The status; nothing where the item can't be sent at all.
        status: Option<u16>,
        /// What it said.
        answer: String,
        /// The wait it asked for, milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// The recipient receives at another inbox.
    Elsewhere {
        /// That inbox.
        inbox: String,
        /// Whether the one it was sent to refused it, so that this counts as a failure.
        refused: bool,
    },
    /// The recipient is gone for good, and its relations have been ended.
    Gone,
    /// The batch that it was in was not taken, or it was not in that batch: it goes by itself.
    NotTaken,
    /// Something failed on this side; nothing is learnt of the peer.
    Ours {
        /// What.
        why: String,
    },
}

/// What becomes of the item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It leaves the queue.
    Settled,
    /// It stays where it is, to be sent when the lane is.
    Waits,
    /// It stays where it is, and what is behind it waits until then.
    AgainInPlace {
        /// Not before this time.
        at_ms: i64,
    },
    /// It leaves its place and comes back by itself.
    SetAside {
        /// When.
        due_ms: i64,
    },
    /// It goes to another inbox.
    Moved {
        /// That inbox.
        inbox: String,
    },
    /// It is given up.
    Dead {
        /// The status of the last answer.
        status: Option<u16>,
        /// The last answer.
        answer: String,
    },
}

/// The state after a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Of the lane.
    pub lane: Lane,
    /// Of the item.
    pub fate: Fate,
    /// How often the item has failed by itself.
    pub failures: u32,
}

/// What a status says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// It arrived.
    Success,
    /// The host can't answer now.
    Host,
    /// The host failed on this item.
    Fault,
    /// Not now, perhaps later.
    Later,
    /// The inbox is not there: the recipient has to be looked up.
    Nowhere,
    /// Never.
    Never,
}

impl Class {
    /// The class of an HTTP status. Redirects are not followed on POST: an inbox that redirects has
    /// moved, which the actor document tells.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            // Beside 502 to 504: what a proxy in front says of a host that it can't reach.
            429 | 502..=504 | 520..=527 | 530 => Self::Host,
            500..=599 => Self::Fault,
            401 | 408 | 425 => Self::Later,
            300..=399 | 404 | 410 => Self::Nowhere,
            _ => Self::Never,
        }
    }
}

/// Whether a lane may be tried.
#[must_use]
pub fn is_open(lane: &Lane, now_ms: i64) -> bool {
    lane.next_try_ms
        .is_none_or(|next_try_ms| next_try_ms <= now_ms)
}

/// How many deliveries at once a lane takes: one, to see whether a failed host is back.
#[must_use]
pub const fn width(lane: &Lane, options: &DeliveryOptions) -> usize {
    match lane.next_try_ms {
        Some(_) => 1,
        None => options.in_flight_per_host,
    }
}

/// How a lane stands, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is sent what there is.
    Ready,
    /// It waits for its next try.
    BackingOff,
    /// It has failed for so long that it is only probed.
    Dormant,
}

impl Standing {
    /// Of a lane.
    #[must_use]
    pub fn of(lane: &Lane, now_ms: i64) -> Self {
        if lane.dormant_since_ms.is_some() {
            Self::Dormant
        } else if is_open(lane, now_ms) {
            Self::Ready
        } else {
            Self::BackingOff
        }
    }

    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::BackingOff => "backing-off",
            Self::Dormant => "dormant",
        }
    }
}

/// A sign of life of the host ends its back-off, and its schedule begins anew. Soon after a failure it
/// waits as long as a try in place does, so that who calls often is not called as often.
#[must_use]
pub fn wake(lane: &Lane, now_ms: i64, options: &DeliveryOptions) -> Lane {
    if is_open(lane, now_ms) {
        return lane.clone();
    }
    let soon_ms = lane.failed_at_ms + options.pause_in_place_ms;
    Lane {
        failures: 0,
        next_try_ms: Some(soon_ms.max(now_ms)),
        ..lane.clone()
    }
}

/// The facts of a try besides its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// How often the item had failed by itself.
    pub failures: u32,
    /// The lane's failures when it began: a host that fails four deliveries at once has failed once.
    pub lane_failures: u32,
    /// The time, Unix milliseconds.
    pub now_ms: i64,
    /// Any number, for the jitter.
    pub random: u64,
}

/// The next state of the lane and of the item.
#[must_use]
pub fn step(lane: &Lane, tried: Tried, outcome: Outcome, options: &DeliveryOptions) -> Step {
    let unchanged = |fate| Step {
        lane: lane.clone(),
        fate,
        failures: tried.failures,
    };
    match outcome {
        Outcome::Arrived => answered(tried, Fate::Settled),
        Outcome::Withdrawn | Outcome::Gone => unchanged(Fate::Settled),
        Outcome::NotTaken => unchanged(Fate::Waits),
        Outcome::Ours { .. } => unchanged(Fate::AgainInPlace {
            at_ms: tried.now_ms + options.pause_in_place_ms,
        }),
        Outcome::HostFailed {
            why,
            retry_after_ms,
        } => Step {
            lane: host_failed(lane, tried, &why, retry_after_ms, options),
            fate: Fate::Waits,
            failures: tried.failures,
        },
        Outcome::Elsewhere {
            inbox,
            refused: false,
        } => unchanged(Fate::Moved { inbox }),
        Outcome::Elsewhere {
            inbox,
            refused: true,
        } => {
            let failures = tried.failures + 1;
            if failures < options.item_failures_max {
                let step = answered(tried, Fate::Moved { inbox });
                return Step { failures, ..step };
            }
            let answer = format!("its inbox moves about; it is now said to be {inbox}");
            answered(
                tried,
                Fate::Dead {
                    status: None,
                    answer: clip(&answer),
                },
            )
        }
        Outcome::Refused {
            status: None,
            answer,
            ..
        } => unchanged(Fate::Dead {
            status: None,
            answer: clip(&answer),
        }),
        Outcome::Refused {
            status: Some(status),
            answer,
            retry_after_ms,
        } => {
            let refusal = Refusal {
                class: Class::of(status),
                status,
                answer,
                retry_after_ms,
            };
            refused(lane, tried, refusal, options)
        }
    }
}

/// The host is there, whatever it says of the item.
fn answered(tried: Tried, fate: Fate) -> Step {
    Step {
        lane: Lane::default(),
        fate,
        failures: tried.failures,
    }
}

struct Refusal {
    class: Class,
    status: u16,
    answer: String,
    retry_after_ms: Option<i64>,
}

fn refused(lane: &Lane, tried: Tried, refusal: Refusal, options: &DeliveryOptions) -> Step {
    let dead = |refusal: &Refusal| Fate::Dead {
        status: Some(refusal.status),
        answer: clip(&refusal.answer),
    };
    let is_fault = refusal.class == Class::Fault;
    match refusal.class {
        Class::Success => return answered(tried, Fate::Settled),
        Class::Nowhere | Class::Never => return answered(tried, dead(&refusal)),
        Class::Later => {}
        // With so many faults in a row nothing gets through: it is the host's.
        Class::Fault if lane.faults < options.faults_max => {}
        Class::Host | Class::Fault => {
            let asked_ms = refusal.retry_after_ms;
            return Step {
                lane: host_failed(lane, tried, &refusal.to_string(), asked_ms, options),
                fate: Fate::Waits,
                failures: tried.failures,
            };
        }
    }
    // A failure of the item that may pass: tried again in place, then set aside, then given up.
    let failures = tried.failures + 1;
    let is_last_in_place = failures >= options.tries_in_place;
    let lane = Lane {
        faults: if is_fault {
            lane.faults + u32::from(is_last_in_place)
        } else {
            0
        },
        last_error: Some(clip(&refusal.to_string())),
        ..Lane::default()
    };
    let fate = if failures >= options.item_failures_max {
        dead(&refusal)
    } else if is_last_in_place {
        let nth = failures - options.tries_in_place;
        let wait_ms = jittered(scheduled(nth, options), tried.random, options);
        let asked_ms = refusal
            .retry_after_ms
            .unwrap_or(0)
            .min(options.retry_after_max_ms);
        Fate::SetAside {
            due_ms: tried.now_ms + wait_ms.max(asked_ms),
        }
    } else {
        Fate::AgainInPlace {
            at_ms: tried.now_ms + options.pause_in_place_ms,
        }
    };
    Step {
        lane,
        fate,
        failures,
    }
}

fn host_failed(
    lane: &Lane,
    tried: Tried,
    why: &str,
    retry_after_ms: Option<i64>,
    options: &DeliveryOptions,
) -> Lane {
    if lane.failures > tried.lane_failures {
        return lane.clone();
    }
    let now_ms = tried.now_ms;
    let since_ms = lane.failing_since_ms.unwrap_or(now_ms);
    let is_dormant = now_ms - since_ms >= options.dormant_after_ms;
    let jittered = |wait_ms| jittered(wait_ms, tried.random, options);
    let wait_ms = match retry_after_ms {
        _ if is_dormant => jittered(options.probe_ms),
        // It may ask for less than the schedule has by now, but not to be asked all the time.
        Some(asked_ms) => asked_ms
            .min(options.retry_after_max_ms)
            .max(jittered(scheduled(0, options))),
        None => jittered(scheduled(lane.failures, options)),
    };
    Lane {
        failures: lane.failures.saturating_add(1),
        failing_since_ms: Some(since_ms),
        failed_at_ms: now_ms,
        next_try_ms: Some(now_ms + wait_ms),
        faults: lane.faults,
        last_error: Some(clip(why)),
        dormant_since_ms: is_dormant.then(|| lane.dormant_since_ms.unwrap_or(now_ms)),
    }
}

fn scheduled(failures: u32, options: &DeliveryOptions) -> i64 {
    let nth = usize::try_from(failures).unwrap_or(usize::MAX);
    let schedule = &options.schedule_ms;
    schedule
        .get(nth)
        .or(schedule.last())
        .copied()
        .unwrap_or(options.probe_ms)
}

fn jittered(wait_ms: i64, random: u64, options: &DeliveryOptions) -> i64 {
    let span_ms = wait_ms.saturating_mul(i64::from(options.jitter_percent)) / 100;
    if span_ms <= 0 {
        return wait_ms;
    }
    let off = random % (2 * span_ms.unsigned_abs() + 1);
    wait_ms - span_ms + i64::try_from(off).unwrap_or(0)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {}", self.status)?;
        if self.answer.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.answer)
    }
}

#[cfg(test)]
mod tests;

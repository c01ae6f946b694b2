//! Who reads over HTTP, and what of the kept documents it may read (design, sections 9.1, 9.3 and 11).
//!
//! A GET is signed as a delivery is, without a digest. Invariants: who signs nothing reads what is
//! public; who is addressed, openly or not, reads it for ever, followers as long as they follow, and
//! the blocked only what is public. A signature that does not hold is refused, so that nobody takes
//! a part for the whole. Deliberately absent: fetching keys, and bearer tokens.

use crate::actor::PeerActor;
use crate::address::same_origin;
use crate::entry::{Activity, Effect, LogId, Visibility};
use crate::envelope::Recipients;
use crate::evidence::http_key;
use crate::follow::{Direction, Phase};
use crate::http_signature::{self, Presented, RequestHead};
use crate::refusal::{Code, Refusal};
use crate::state::{State, StateError};
use crate::value::Map;

/// Who reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Whoever asks.
    Everybody,
    /// The actor of that URL.
    Actor(String),
}

/// The signature of a GET, as far as it can be judged without its key; `None` when it has none.
///
/// # Errors
/// `bad-signature`.
pub fn presented(head: &RequestHead<'_>, now_ms: i64) -> Result<Option<Presented>, Refusal> {
    let presented = http_signature::present(head)?;
    if let Some(presented) = &presented {
        http_signature::check(presented, head, None, now_ms)?;
    }
    Ok(presented)
}

/// Where the actor of a key is found: the key id without its fragment. (What GoToSocial serves there
/// is the actor's document under its own `id`.)
#[must_use]
pub fn actor_of_key(key_id: &str) -> &str {
    key_id.split_once('#').map_or(key_id, |(actor, _)| actor)
}

/// Why a signature is not the actor's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The key may have been replaced: worth a look at the actor's document as it is now.
    Key(Refusal),
    /// It won't get better.
    Refused(Refusal),
}

impl Doubt {
    /// The refusal, when nothing is left to look at.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Key(refusal) | Self::Refused(refusal) => refusal,
        }
    }
}

/// Whether a GET was signed by that actor, with a key that is its own now.
///
/// # Errors
/// [`Doubt`].
pub fn signed_by(
    presented: &Presented,
    head: &RequestHead<'_>,
    actor: &PeerActor,
    now_ms: i64,
) -> Result<(), Doubt> {
    let bad = |why: &str| Refusal::new(Code::BadSignature, why);
    if !same_origin(presented.key_id(), &actor.id) {
        return Err(Doubt::Refused(bad("the key is of another origin")));
    }
    let Some((key, _)) = http_key(actor, presented.key_id()) else {
        return Err(Doubt::Key(bad("the actor's document has no such key")));
    };
    match http_signature::verify(presented, head, None, &key, now_ms) {
        Ok(()) if actor.is_gone() => Err(Doubt::Refused(bad("the actor is gone"))),
        Ok(()) => Ok(()),
        Err(why) if why.blames_key() => Err(Doubt::Key(why.into())),
        Err(why) => Err(Doubt::Refused(why.into())),
    }
}

/// Whether the actor of the URL `reader` may read a kept activity, whose document this is.
///
/// # Errors
/// When the state can't be read.
pub fn may_read(
    state: &dyn State,
    reader: &str,
    activity: &Activity,
    document: &Map,
) -> Result<bool, StateError> {
    if activity.visibility == Visibility::Public || activity.actor == reader {
        return Ok(true);
    }
    if let Some(local) = state.actor_by_url(reader)?
        && state.in_log(&activity.digest, LogId::inbox(local.no))?
    {
        return Ok(true);
    }
    // Whom it is about is addressed in it, and never told.
    let is_block = matches!(
        activity.effect,
        Some(Effect::Block { .. } | Effect::UndoBlock { .. })
    );
    if is_block {
        return Ok(false);
    }
    if let Some(author) = state.actor_by_url(&activity.actor)? {
        if state.blocks(author.no, reader)?.any() {
            return Ok(false);
        }
        if activity.visibility == Visibility::Followers {
            let relation = state.relation(author.no, Direction::Follower, reader)?;
            if relation.phase == Phase::Accepted {
                return Ok(true);
            }
        }
    }
    let besides = [&activity.hidden, &activity.audience];
    Ok(besides.into_iter().flatten().any(|one| one == reader)
        || Recipients::of(document).is_ok_and(|open| open.all().any(|one| one == reader)))
}

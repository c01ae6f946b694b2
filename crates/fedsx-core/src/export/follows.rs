//! The handshakes of a log: which follows were asked for, and what was answered last.
//!
//! Independent of order where one log tells of the asking and the other of the answer.

use std::collections::BTreeMap;

use crate::cid::Digest;
use crate::envelope::{Envelope, reference};
use crate::follow::{Direction, Phase, Relation};
use crate::limits;
use crate::refusal::{Code, Refusal};

/// Sixteen bytes of a hash: two of one are not met by chance.
pub(super) type Hash = [u8; 16];

pub(super) fn hash(text: &str) -> Hash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..16]);
    hash
}

fn pair(follower: &str, followed: &str) -> Hash {
    hash(&format!("{follower}\n{followed}"))
}

/// The handshakes of a log: which follows were asked for, and what was answered last.
#[derive(Default, Debug)]
pub struct Follows {
    asked: BTreeMap<Hash, Hash>,
    /// By the follow's id, and by the pair: whether it was accepted last.
    answered: BTreeMap<Hash, bool>,
}

impl Follows {
    /// Takes an activity of the log into account.
    ///
    /// # Errors
    /// `too-large` when there are more than can be held.
    pub fn see(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        let object = &envelope.object;
        match envelope.verb.as_str() {
            "Follow" => {
                if let Some(followed) = object.id() {
                    let asked = pair(&envelope.actor, followed);
                    self.asked.insert(hash(&envelope.id), asked);
                }
            }
            "Accept" | "Reject" | "Undo" => {
                let accepted = envelope.verb == "Accept";
                let embedded = object.embedded();
                let both = embedded.and_then(|follow| {
                    let follower = reference(follow.get("actor"))?;
                    Some((follower, reference(follow.get("object"))?))
                });
                // Only the followed may accept.
                let may = !accepted || both.is_none_or(|(_, who)| who == envelope.actor);
                if let Some((follower, followed)) = both.filter(|_| may) {
                    self.answered.insert(pair(follower, followed), accepted);
                }
                if let Some(id) = object.id().filter(|_| may) {
                    self.answered.insert(hash(id), accepted);
                }
            }
            _ => {}
        }
        if self.asked.len() + self.answered.len() > limits::HANDSHAKES {
            let why = format!("more than {} handshakes", limits::HANDSHAKES);
            return Err(Refusal::new(Code::TooLarge, why));
        }
        Ok(())
    }

    /// Whether a relation of `actor` stands on a follow that was asked for, and where it is accepted on an
    /// answer that says so.
    #[must_use]
    pub fn backs(
        &self,
        actor: &str,
        direction: Direction,
        peer: &str,
        relation: &Relation,
    ) -> bool {
        let pair = match direction {
            Direction::Follower => pair(peer, actor),
            Direction::Following => pair(actor, peer),
        };
        let is_asked = |id: &String| self.asked.get(&hash(id)) == Some(&pair);
        let answer = |id: &String| {
            let by_id = self.answered.get(&hash(id));
            by_id.or_else(|| self.answered.get(&pair)) == Some(&true)
        };
        match (relation.phase, &relation.id) {
            (Phase::None, _) => true,
            (Phase::Pending | Phase::Refused, Some(id)) => is_asked(id),
            (Phase::Accepted, Some(id)) => is_asked(id) && answer(id),
            (Phase::Pending | Phase::Accepted | Phase::Refused, None) => false,
        }
    }
}

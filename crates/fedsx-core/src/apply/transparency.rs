//! How an actor's log grows: by each public activity of its outbox, in the order of the outbox; and what is kept of
//! the logs of peers (design, section 10).

use crate::cid::{Cid, Digest};
use crate::entry::{ActorNo, Control};
use crate::limits;
use crate::state::{Actor, Row, State, StateError};
use crate::transparency::leaf_hash;

/// A public activity joined the outbox of an actor.
pub(super) fn grow(
    state: &dyn State,
    actor: ActorNo,
    digest: Digest,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let mut frontier = state.log_frontier(actor)?;
    let number = frontier.size();
    let completed = frontier.append(leaf_hash(&Cid::of_document(digest)));
    rows.push(Row::Leaf {
        actor,
        number,
        digest,
    });
    rows.extend(
        completed
            .into_iter()
            .map(|hash| Row::LogHash { actor, hash }),
    );
    rows.push(Row::LogFrontier { actor, frontier });
    Ok(())
}

/// What an entry says of the log of a peer, or of whether one of our own goes on.
pub(super) fn control(
    state: &dyn State,
    control: &Control,
    offset: u64,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    match control {
        Control::LogWitnessed { peer, witnessed } => {
            let (peer, witnessed) = (peer.clone(), (**witnessed).clone());
            rows.push(Row::Witnessed { peer, witnessed });
        }
        Control::LogForked { peer, fork } => {
            let most = limits::FORKS_PER_ACTOR;
            if state.forks(peer, most)?.len() < most {
                let (peer, fork) = (peer.clone(), (**fork).clone());
                rows.push(Row::Fork { peer, offset, fork });
            }
        }
        Control::LogHeld { actor, held } => {
            let is_read_only = *held;
            let actor = state.actor(*actor)?;
            rows.extend(actor.map(|actor| {
                Row::Actor(Actor {
                    is_read_only,
                    ..actor
                })
            }));
        }
        other => unreachable!("{other:?} is applied by `control`"),
    }
    Ok(())
}

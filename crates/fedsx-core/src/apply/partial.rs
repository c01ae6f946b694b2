//! The parts of followers collections that instances host, kept beside the relations they follow from.
//!
//! A local actor's followers by origin (FEP-8fcf: those whose `id` shares its scheme and authority), and the local
//! actors that follow a peer. Invariant: made of the rows of relations that an entry changes and of nothing else,
//! so that no way of changing a relation can forget them.

use std::collections::BTreeMap;

use crate::address::Origin;
use crate::entry::ActorNo;
use crate::follow::{Direction, Partial, Phase};
use crate::state::{Row, State, StateError};

/// Adds the rows of the parts that these rows change.
pub(super) fn keep(state: &dyn State, rows: &mut Vec<Row>) -> Result<(), StateError> {
    // One entry may change what is between many local actors and one peer.
    let mut here: BTreeMap<String, Partial> = BTreeMap::new();
    let mut there: BTreeMap<(ActorNo, String), Partial> = BTreeMap::new();
    let mut members = Vec::new();
    for row in &*rows {
        let Row::Relation {
            actor,
            direction,
            peer,
            relation,
        } = row
        else {
            continue;
        };
        let before = state.relation(*actor, *direction, peer)?;
        let follows = relation.phase == Phase::Accepted;
        let has_changed = follows != (before.phase == Phase::Accepted);
        match direction {
            // Kept from the first request on: a peer at which nobody follows any more is asked as well.
            Direction::Following => {
                if !here.contains_key(peer) {
                    let kept = state.followers_here(peer)?;
                    if kept.is_some() && !has_changed {
                        continue;
                    }
                    here.insert(peer.clone(), kept.unwrap_or_default());
                }
                if has_changed
                    && let Some(local) = state.actor(*actor)?
                    && let Some(partial) = here.get_mut(peer)
                {
                    *partial = partial.with(&local.url, follows);
                }
            }
            Direction::Follower if has_changed => {
                let Some(origin) = Origin::of(peer) else {
                    continue;
                };
                let origin = origin.as_str().to_owned();
                let key = (*actor, origin.clone());
                let partial = match there.get(&key) {
                    Some(partial) => *partial,
                    None => state.followers_on(*actor, &origin)?,
                };
                there.insert(key, partial.with(peer, follows));
                members.push(Row::FollowerOn {
                    actor: *actor,
                    origin,
                    peer: peer.clone(),
                    follows,
                });
            }
            Direction::Follower => {}
        }
    }
    rows.append(&mut members);
    rows.extend(
        there
            .into_iter()
            .map(|((actor, origin), partial)| Row::FollowersOn {
                actor,
                origin,
                partial,
            }),
    );
    let here = here.into_iter();
    rows.extend(here.map(|(peer, partial)| Row::FollowersHere { peer, partial }));
    Ok(())
}

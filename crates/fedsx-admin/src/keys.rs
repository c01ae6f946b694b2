//! The keys of an actor, and who is known not to have taken up that one was superseded.
//!
//! Known is what delivery knows: to whom the `Update` that superseded a key is still to go, who refused it, and
//! who refused the signature of something newer. Which document a peer goes by, it tells nobody.
//! Design, section 6.

use std::collections::BTreeMap;

use fedsx_core::cid::Cid;
use fedsx_core::limits::DEAD_LETTERS;
use fedsx_core::refusal::Refusal;
use fedsx_core::state::Actor;
use fedsx_node::Node;

use crate::deliveries::{DeadLetter, DeliveryAdmin};
use crate::proto::{KeyHolder, ListKeysResponse};
use crate::refused::internal;
use crate::to_proto;

/// The answer to a signature that is not known.
const UNAUTHORIZED: u16 = 401;

/// Lists them, newest first; may wait for the disk.
pub(crate) fn list(
    node: &Node,
    deliveries: &dyn DeliveryAdmin,
    actor: &Actor,
) -> Result<ListKeysResponse, Refusal> {
    let mut letters = deliveries.dead_letters(DEAD_LETTERS)?;
    letters.retain(|letter| letter.actor == actor.name);
    let lanes = deliveries.backlog()?.lanes.into_iter();
    let failed: BTreeMap<String, String> = lanes
        .filter_map(|lane| Some((lane.host, lane.last_error?)))
        .collect();
    let mut keys = Vec::with_capacity(actor.keys.len());
    for record in actor.keys.iter().rev() {
        let mut key = to_proto::key(record);
        if let Some(update) = &record.superseded_by
            && let Some(stored) = node.view().activity_by_id(update).map_err(internal)?
            && let Some(activity) = stored.activity()
        {
            let offset = stored.header.offset;
            let waiting = deliveries.waiting_of(actor.no, offset)?;
            key.unexpanded = waiting.unexpanded;
            let cid = Cid::of_document(activity.digest).to_string();
            let mut holders: BTreeMap<String, KeyHolder> = BTreeMap::new();
            for letter in &letters {
                if let Some(state) = refused(letter, &cid, offset) {
                    let holder = holder(&letter.host, state, &letter.answer);
                    holders.insert(letter.host.clone(), holder);
                }
            }
            for host in waiting.hosts {
                let detail = failed.get(&host).map_or("", String::as_str);
                holders.insert(host.clone(), holder(&host, "waiting", detail));
            }
            key.holders = holders.into_values().collect();
        }
        keys.push(key);
    }
    Ok(ListKeysResponse { keys })
}

/// What a dead letter says of the key that an `Update` superseded.
fn refused(letter: &DeadLetter, update: &str, offset: u64) -> Option<&'static str> {
    if letter.cid == update {
        return Some("refused");
    }
    (letter.offset > offset && letter.status == Some(UNAUTHORIZED)).then_some("unheard")
}

fn holder(host: &str, state: &str, detail: &str) -> KeyHolder {
    KeyHolder {
        host: host.to_owned(),
        state: state.to_owned(),
        detail: detail.to_owned(),
    }
}

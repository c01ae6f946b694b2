//! `Activities.Explain`: what has become of an activity, as a message.

use fedsx_core::cid::Cid;
use fedsx_core::limits::DEAD_LETTERS;
use fedsx_core::refusal::Refusal;
use fedsx_node::{Explanation, Found, Node};

use crate::deliveries::{DeadLetter, DeliveryAdmin};
use crate::refused::internal;
use crate::{proto, to_proto};

/// Accounts of deliveries that are told at most.
const RECORDS: usize = 1_000;

/// Explains; reads the dead letters, and may wait for the disk.
pub(crate) fn message(
    node: &Node,
    deliveries: &dyn DeliveryAdmin,
    explanation: Explanation,
) -> Result<proto::Explanation, Refusal> {
    let cid = explanation.cid.to_string();
    let mut answer = proto::Explanation {
        cid: cid.clone(),
        standing: explanation.standing.as_str().to_owned(),
        settled_offset: explanation.standing.offset(),
        why: explanation.why.unwrap_or_default(),
        next: explanation.next.unwrap_or_default(),
        definitions: explanation.definitions.iter().map(Cid::to_string).collect(),
        caused_by: explanation.caused_by,
        ..proto::Explanation::default()
    };
    match explanation.found {
        Found::Account {
            id,
            actor,
            verb,
            code,
            at_ms,
        } => {
            (answer.id, answer.actor, answer.verb) = (id, actor, verb);
            (answer.code, answer.at_ms) = (code, at_ms);
        }
        Found::Journal(stored) => {
            if let Some(activity) = stored.activity() {
                (answer.id, answer.actor) = (activity.id.clone(), activity.actor.clone());
                answer.verb.clone_from(&activity.verb);
                let mark = activity.mark.map(|mark| mark.as_str().to_owned());
                answer.mark = mark.unwrap_or_default();
            }
            answer.at_ms = stored.header.received_ms;
            answer.entry = to_proto::Entries::new(node.view()).entry(&stored, None)?;
            let is_it = |letter: &DeadLetter| letter.cid == cid;
            let letters = deliveries.dead_letters(DEAD_LETTERS).map_err(internal)?;
            let letters = letters.into_iter().filter(is_it);
            answer.dead_letters = letters.map(to_proto::dead_letter).collect();
            let records = deliveries.records_of(stored.header.offset, RECORDS)?;
            answer.deliveries = records.into_iter().map(to_proto::record).collect();
        }
    }
    Ok(answer)
}

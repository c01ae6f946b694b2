//! How much an input takes in the journal at most, known before it is encoded.

use fedsx_core::entry::Activity;

use crate::queue::Work;

/// Beside its strings, logs and payload, what an entry takes in a batch at most, bytes.
const ENTRY_OVERHEAD: usize = 512;
/// What a place in a log takes in a header at most, bytes.
const LOG_BYTES: usize = 32;

/// What an input takes in the journal at most, bytes: twice, because a proof may be attached and the
/// activity placed besides.
pub(super) fn size_bound(work: &Work) -> u64 {
    let (strings, logs) = match work {
        Work::Append(draft) => (header_strings(&draft.activity), draft.logs.len()),
        Work::Place { logs, .. } => (0, logs.len()),
        Work::Import { .. } => unreachable!("`step` takes it"),
        Work::Control { control, .. } => {
            let bytes = minicbor::to_vec(control).expect("writing to a Vec can't fail");
            (bytes.len(), 0)
        }
    };
    (2 * (ENTRY_OVERHEAD + strings + LOG_BYTES * logs + work.payload_len())) as u64
}

/// The strings of a header, which are all of it but some numbers.
fn header_strings(activity: &Activity) -> usize {
    let lists = [
        Some(&activity.hidden),
        Some(&activity.audience),
        activity.embeds.as_ref(),
    ];
    let lists = lists.into_iter().flatten().flatten();
    let lists: usize = lists.map(|url| url.len() + 8).sum();
    // Few have one, and it may list as many keys as an actor may have.
    let effect = activity.effect.as_ref().map_or(0, |effect| {
        let bytes = minicbor::to_vec(effect);
        bytes.expect("writing to a Vec can't fail").len()
    });
    let object = activity.object_id.as_ref().map_or(0, String::len);
    let key = activity.key.as_ref().map_or(0, String::len);
    let derived = activity.derived.as_ref();
    let derived = derived.map_or(0, |derived| derived.source_actor.len() + 96);
    let announced_by = activity.announced_by.as_ref().map_or(0, Vec::len) * 16;
    let digests = 40 * (activity.definitions.len() + 1);
    derived
        + announced_by
        + digests
        + activity.id.len()
        + activity.verb.len()
        + activity.actor.len()
        + object
        + key
        + lists
        + effect
}

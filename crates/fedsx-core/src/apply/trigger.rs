//! What subscriptions and triggers leave in the index.

use crate::cid::Digest;
use crate::entry::{Activity, Effect};
use crate::state::{At, Row, State, StateError, Subscription};
use crate::trigger::{Derived, Reason, Settled, spend};

/// An activity that a trigger made.
pub(super) fn derived(
    state: &dyn State,
    derived: &Derived,
    received_ms: i64,
    offset: u64,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let Derived {
        source,
        trigger,
        source_actor,
    } = derived;
    rows.push(Row::Settled {
        source: *source,
        trigger: *trigger,
        offset,
    });
    spent(state, *trigger, source_actor, received_ms, rows)?;
    let mut totals = state.trigger_totals(trigger)?;
    totals.published += 1;
    rows.push(Row::TriggerTotals {
        trigger: *trigger,
        totals,
    });
    Ok(())
}

/// Something was made of an actor's activity, by what is counted under this digest.
pub(super) fn spent(
    state: &dyn State,
    trigger: Digest,
    source_actor: &str,
    now_ms: i64,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let before = state.spent(&trigger, source_actor)?;
    rows.push(Row::Spent {
        trigger,
        source_actor: source_actor.to_owned(),
        times_ms: spend(&before, now_ms),
    });
    Ok(())
}

/// An activity of which a trigger makes nothing.
pub(super) fn settled(
    state: &dyn State,
    settled: &Settled,
    at: At,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let Settled {
        source,
        trigger,
        reason,
        ..
    } = settled;
    // A walk that was cut leaves what it had queued, and the next one says it again.
    if state.is_settled(source, trigger)? {
        return Ok(());
    }
    rows.push(Row::Settled {
        source: *source,
        trigger: *trigger,
        offset: at.offset,
    });
    let mut totals = state.trigger_totals(trigger)?;
    match reason {
        Reason::Nothing => totals.nothing += 1,
        Reason::Limited => totals.limited += 1,
        Reason::Failed => {
            totals.failed += 1;
            totals.last_failure = Some(at);
        }
    }
    rows.push(Row::TriggerTotals {
        trigger: *trigger,
        totals,
    });
    Ok(())
}

/// A `Subscribe`, or its `Undo`.
pub(super) fn subscription(
    state: &dyn State,
    activity: &Activity,
    effect: &Effect,
    at: At,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let Some(actor) = state.actor_by_url(&activity.actor)? else {
        return Ok(());
    };
    match effect {
        Effect::Subscribed { name, version } => rows.push(Row::Subscription(Subscription {
            actor: actor.no,
            subscribe: activity.digest,
            name: name.clone(),
            version: *version,
            from: at.offset,
            until: None,
            at,
        })),
        Effect::Unsubscribed { subscribe } => {
            ended(state.subscription(actor.no, subscribe)?, at, rows)
        }
        _ => {}
    }
    Ok(())
}

fn ended(subscription: Option<Subscription>, at: At, rows: &mut Vec<Row>) {
    let lasting = subscription.filter(|subscription| subscription.until.is_none());
    rows.extend(lasting.map(|subscription| {
        Row::Subscription(Subscription {
            until: Some(at.offset),
            ..subscription
        })
    }));
}

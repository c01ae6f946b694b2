//! Of `Definitions`: the triggers and what they came to, and the subscriptions of an actor.

use fedsx_core::canonical::jcs;
use fedsx_core::cid::Cid;
use fedsx_core::definition::{Body, Kind};
use fedsx_core::entry::{Control, Subject};
use fedsx_core::refusal::Refusal;
use fedsx_core::registry::{Active, Authority};
use fedsx_node::Node;
use fedsx_store::Stored;

use crate::actors::named;
use crate::page;
use crate::proto::{
    ListSubscriptionsRequest, ListSubscriptionsResponse, ListTriggersRequest, ListTriggersResponse,
    Subscription, Trigger, TriggerFailure,
};
use crate::refused::internal;

/// The active triggers by name.
pub(crate) fn list(
    node: &Node,
    asked: &ListTriggersRequest,
) -> Result<ListTriggersResponse, Refusal> {
    let start = page::number(&asked.page_token)?.unwrap_or(0);
    let start = usize::try_from(start).map_err(internal)?;
    let limit = page::limit(asked.limit);
    let registry = node.registry();
    let triggers = registry.active(Some(Kind::Trigger));
    let mut own = triggers.filter(|active| active.authority == Authority::Local);
    let triggers = own.by_ref().skip(start).take(limit);
    let triggers = triggers.map(|active| trigger(node, active));
    let mut answer = ListTriggersResponse {
        triggers: triggers.collect::<Result<_, _>>()?,
        next_page_token: String::new(),
    };
    if own.next().is_some() {
        answer.next_page_token = (start + limit).to_string();
    }
    Ok(answer)
}

fn trigger(node: &Node, active: &Active) -> Result<Trigger, Refusal> {
    let view = node.view();
    let definition = &active.definition;
    let create = active.create.map(|digest| view.stored(&digest)).transpose();
    let create = create.map_err(internal)?.flatten();
    let owner = create.as_ref().and_then(Stored::activity);
    let owner = owner.map(|create| view.state().actor_by_url(&create.actor));
    let owner = owner.transpose().map_err(internal)?.flatten();
    let on = match definition.body() {
        Body::Trigger { on, .. } => on.clone(),
        _ => String::new(),
    };
    let (totals, failure) = view.trigger(&definition.digest()).map_err(internal)?;
    Ok(Trigger {
        name: definition.name().to_owned(),
        cid: definition.cid().to_string(),
        on,
        actor: owner.map(|owner| owner.name).unwrap_or_default(),
        offset: active.offset,
        published: totals.published,
        nothing: totals.nothing,
        limited: totals.limited,
        failed: totals.failed,
        last_failure: failure.as_ref().and_then(last_failure),
    })
}

fn last_failure(entry: &Stored) -> Option<TriggerFailure> {
    let Subject::Control(Control::TriggerSettled(settled)) = &entry.header.subject else {
        return None;
    };
    Some(TriggerFailure {
        offset: entry.header.offset,
        cid: Cid::of_document(settled.source).to_string(),
        error: settled.error.clone().unwrap_or_default(),
        at_ms: entry.header.received_ms,
    })
}

/// What an actor selects from its logs.
pub(crate) fn subscriptions(
    node: &Node,
    asked: &ListSubscriptionsRequest,
) -> Result<ListSubscriptionsResponse, Refusal> {
    let actor = named(node, &asked.actor)?;
    let view = node.view();
    let mut subscriptions = view.state().subscriptions(actor.no).map_err(internal)?;
    subscriptions.retain(|subscription| subscription.until.is_none());
    subscriptions.sort_by_key(|subscription| subscription.from);
    let told = subscriptions.into_iter().map(|subscription| {
        let stored = view.subscribe_of(&subscription).map_err(internal)?;
        let document = stored.map().map_err(internal)?;
        let id = stored.activity().map(|activity| activity.id.clone());
        Ok(Subscription {
            name: subscription.name,
            version: subscription
                .version
                .map(|digest| Cid::of_document(digest).to_string())
                .unwrap_or_default(),
            id: id.unwrap_or_default(),
            cid: Cid::of_document(subscription.subscribe).to_string(),
            offset: subscription.from,
            params_json: jcs(&document.get("params").cloned().unwrap_or_default()),
        })
    });
    Ok(ListSubscriptionsResponse {
        subscriptions: told.collect::<Result<_, Refusal>>()?,
    })
}

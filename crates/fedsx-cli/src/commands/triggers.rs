//! `triggers` and `subscriptions`.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::{self, Notation};
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::deliveries::count;
use crate::args::{Global, Limit};
use crate::failure::Failure;
use crate::output::{clean, short_cid, shortened, stdout};

/// The longest account of a failure in a table, characters.
const EXCERPT: usize = 60;

/// What follows from activities here, and what came of it.
pub(crate) async fn list(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let columns = [
        "name",
        "on",
        "actor",
        "published",
        "nothing",
        "limited",
        "failed",
        "last failure",
    ];
    let mut list = stdout(global.output).list(&columns);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListTriggersRequest { limit, page_token };
        let answer = client.triggers(request).await.map_err(Failure::from)?;
        for trigger in &answer.triggers {
            list.push(&trigger_value(trigger), || {
                let failure = trigger.last_failure.as_ref();
                let failure = failure.map(|failure| shortened(&failure.error, EXCERPT));
                vec![
                    trigger.name.clone(),
                    clean(&trigger.on),
                    trigger.actor.clone(),
                    trigger.published.to_string(),
                    trigger.nothing.to_string(),
                    trigger.limited.to_string(),
                    trigger.failed.to_string(),
                    failure.unwrap_or_default(),
                ]
            })?;
        }
        Ok((answer.triggers.len(), answer.next_page_token))
    })
    .await?;
    list.finish(
        "nothing follows from anything; `fedsx define FILE.sx --as NAME` takes a DefineTrigger",
    )?;
    Ok(())
}

fn trigger_value(trigger: &proto::Trigger) -> Map {
    let failure = trigger.last_failure.as_ref().map(|failure| {
        Value::Map(Map::from([
            ("offset", count(failure.offset)),
            ("cid", Value::from(&*failure.cid)),
            ("error", Value::from(&*failure.error)),
            ("at", Value::from(format_rfc3339_ms(failure.at_ms))),
        ]))
    });
    Map::from([
        ("name", Value::from(&*trigger.name)),
        ("cid", Value::from(&*trigger.cid)),
        ("on", Value::from(&*trigger.on)),
        ("actor", Value::from(&*trigger.actor)),
        ("offset", count(trigger.offset)),
        ("published", count(trigger.published)),
        ("nothing", count(trigger.nothing)),
        ("limited", count(trigger.limited)),
        ("failed", count(trigger.failed)),
        ("lastFailure", failure.unwrap_or_default()),
    ])
}

/// What an actor selects from its logs.
pub(crate) async fn subscriptions(global: &Global, actor: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["subscription", "params", "since", "cid"]);
    let request = proto::ListSubscriptionsRequest { actor };
    let answer = client.subscriptions(request).await.map_err(Failure::from)?;
    for subscription in &answer.subscriptions {
        let params = notation::read(Notation::Json, &subscription.params_json, DOCUMENT_IN_BYTES);
        let params = params.with_context(|| format!("the parameters of {}", subscription.cid))?;
        let value = Map::from([
            ("name", Value::from(&*subscription.name)),
            ("version", Value::from(&*subscription.version)),
            ("id", Value::from(&*subscription.id)),
            ("cid", Value::from(&*subscription.cid)),
            ("offset", count(subscription.offset)),
            ("params", params),
        ]);
        list.push(&value, || {
            let params = String::from_utf8_lossy(&subscription.params_json);
            vec![
                subscription.name.clone(),
                shortened(&params, EXCERPT),
                subscription.offset.to_string(),
                short_cid(&subscription.cid),
            ]
        })?;
    }
    list.finish("no subscriptions; publish a Subscribe to begin one")?;
    Ok(())
}

//! `timeline`, `outbox`, `inbox`, `get`, `tail`.

use fedsx_admin::client::ClientError;
use fedsx_admin::proto;
use fedsx_core::notation::json;
use fedsx_core::value::Value;

use super::connect::{connect, pages};
use crate::args::{Global, Named, Tail};
use crate::failure::Failure;
use crate::output::{COLUMNS, clock, entry_row, entry_value, note, stdout, tail_line};

/// How many entries `tail` begins with.
const TAIL: u64 = 10;

/// Which list of activities.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Timeline,
    Outbox,
    Inbox,
}

/// Lists activities, newest first.
pub(crate) async fn list(global: &Global, which: Which, named: Named) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(COLUMNS);
    let mut lag = 0;
    pages(named.limit.limit, async |limit, page_token| {
        let actor = named.name.clone();
        let log = |side: proto::Side| proto::ListLogRequest {
            actor: actor.clone(),
            side: side.into(),
            limit,
            page_token: page_token.clone(),
        };
        let page = |answer: proto::ListLogResponse| (answer.entries, answer.next_page_token);
        let answer = match which {
            Which::Timeline => client
                .timeline(proto::TimelineRequest {
                    actor,
                    limit,
                    page_token,
                })
                .await
                .map(|answer| {
                    lag += answer.lag;
                    (answer.entries, answer.next_page_token)
                }),
            Which::Outbox => client.list_log(log(proto::Side::Outbox)).await.map(page),
            Which::Inbox => client.list_log(log(proto::Side::Inbox)).await.map(page),
        };
        let (entries, next) = answer.map_err(Failure::from)?;
        for entry in &entries {
            list.push(&entry_value(entry)?, || entry_row(entry))?;
        }
        Ok((entries.len(), next))
    })
    .await?;
    list.finish("nothing there yet")?;
    if lag > 0 {
        note(&format!(
            "the timeline is {lag} entries behind the journal, and the newest may be missing; `fedsx projection list` \
             tells how it comes on"
        ));
    }
    Ok(())
}

/// Shows one activity, or an actor by its URL.
pub(crate) async fn get(global: &Global, what: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::GetActivityRequest { cid_or_url: what };
    let entry = client.activity(request).await.map_err(Failure::from)?;
    let value = entry_value(&entry)?;
    stdout(global.output).one(&value, || {
        let document = value.get("document").cloned().unwrap_or(Value::Nil);
        format!(
            "cid       {}\njournal   {}\nreceived  {} (by {}, {})\n\n{}",
            entry.cid,
            entry.offset,
            clock(entry.received_ms),
            entry.authenticated,
            entry.visibility,
            json::pretty(&document),
        )
    })?;
    Ok(())
}

/// Shows activities as they are stored, until Ctrl-C.
pub(crate) async fn tail(global: &Global, tail: Tail) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let after = match tail.from {
        Some(after) => after,
        None => {
            let status = client.status(proto::StatusRequest { digest: false }).await;
            status.map_err(Failure::from)?.offset.saturating_sub(TAIL)
        }
    };
    let request = proto::TailRequest {
        after_offset: Some(after),
    };
    let mut stream = client.tail(request).await.map_err(Failure::from)?;
    let mut output = stdout(global.output);
    let mut left = tail.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let next = tokio::select! {
            next = stream.next() => next,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match next {
            Ok(Some(entry)) => output.line(&entry_value(&entry)?, || tail_line(&entry))?,
            Ok(None) | Err(ClientError::Unreachable { .. }) => {
                return Err(Failure::unreachable("the server has stopped").into());
            }
            Err(error) => return Err(Failure::from(error).into()),
        }
        left -= 1;
    }
    Ok(())
}

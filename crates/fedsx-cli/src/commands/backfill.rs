//! `backfill`: has the history of whom an actor follows fetched, and says how far that is.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use fedsx_admin::client::Client;
use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use crate::args::{Backfill, Global};
use crate::failure::Failure;
use crate::output::{clean, clock, handle, stdout};

/// How often the server is asked how far it is.
const GLANCE: Duration = Duration::from_millis(200);

/// Begins one and waits for its end, or lists them.
pub(crate) async fn run(global: &Global, asked: Backfill) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let Some(who) = asked.who else {
        return list(global, &client, asked.name, asked.limit).await;
    };
    let request = proto::BeginBackfillRequest {
        actor: asked.name.clone(),
        who,
        mode: asked.mode.unwrap_or_default(),
    };
    let mut backfill = client
        .begin_backfill(request)
        .await
        .map_err(Failure::from)?;
    if !asked.detach {
        backfill = ended(&client, asked.name, backfill).await?;
    }
    stdout(global.output).one(&value(&backfill), || shown(&backfill))?;
    let peer = clean(&backfill.peer);
    match &*backfill.state {
        "failed" => Err(Failure::failed(format!("{peer}: {}", clean(&backfill.why))).into()),
        "disputed" => {
            let why = format!("{peer} was caught at serving a history that is not its own");
            Err(Failure::failed(why).into())
        }
        "running" if backfill.retry_ms > 0 && !asked.detach => {
            let (why, at) = (clean(&backfill.why), clock(backfill.retry_ms));
            let why = format!("{peer}: {why}; it is tried again at {at}, and goes on by itself");
            Err(Failure::failed(why).into())
        }
        _ => Ok(()),
    }
}

/// Waits until it has ended, or waits itself; shows how far it is where a terminal is there.
async fn ended(
    client: &Client,
    actor: String,
    mut backfill: proto::Backfill,
) -> anyhow::Result<proto::Backfill> {
    let mut stderr = io::stderr();
    let is_shown = stderr.is_terminal();
    while backfill.state == "running" && backfill.retry_ms == 0 {
        if is_shown {
            write!(stderr, "\r\x1b[K{}", progress(&backfill))?;
            stderr.flush()?;
        }
        tokio::time::sleep(GLANCE).await;
        let request = proto::GetBackfillRequest {
            actor: actor.clone(),
            peer: backfill.peer.clone(),
        };
        backfill = client.backfill(request).await.map_err(Failure::from)?;
    }
    if is_shown {
        write!(stderr, "\r\x1b[K")?;
    }
    Ok(backfill)
}

fn progress(backfill: &proto::Backfill) -> String {
    let done = backfill.entered + backfill.here;
    let done = match backfill.expected {
        Some(expected) => format!("{done} of {expected}"),
        None => done.to_string(),
    };
    format!("{done} activities, {} KiB", backfill.bytes / 1_024)
}

async fn list(global: &Global, client: &Client, actor: String, limit: u32) -> anyhow::Result<()> {
    let columns = ["who", "mode", "state", "activities", "found", "why"];
    let mut list = stdout(global.output).list(&columns);
    pages(limit, async |limit, page_token| {
        let request = proto::ListBackfillsRequest {
            actor: actor.clone(),
            limit,
            page_token,
        };
        let answer = client.list_backfills(request).await;
        let answer = answer.map_err(Failure::from)?;
        for backfill in &answer.backfills {
            list.push(&value(backfill), || {
                vec![
                    handle(&backfill.peer),
                    backfill.mode.clone(),
                    backfill.state.clone(),
                    (backfill.entered + backfill.here).to_string(),
                    backfill.found.len().to_string(),
                    clean(&backfill.why),
                ]
            })?;
        }
        Ok((answer.backfills.len(), answer.next_page_token))
    })
    .await?;
    list.finish("it asked for nobody's past; `fedsx follow NAME WHO --backfill MODE` does")?;
    Ok(())
}

fn value(backfill: &proto::Backfill) -> Map {
    let count = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let found = backfill.found.iter().map(|found| {
        Value::Map(Map::from([
            ("wrong", Value::from(&*found.wrong)),
            ("what", Value::from(&*found.what)),
        ]))
    });
    let mut value = Map::from([
        ("peer", Value::from(&*backfill.peer)),
        ("mode", (*backfill.mode).into()),
        ("state", (*backfill.state).into()),
        ("entered", count(backfill.entered)),
        ("here", count(backfill.here)),
        ("leftOut", count(backfill.left_out)),
        ("refused", count(backfill.refused)),
        ("deleted", count(backfill.deleted)),
        ("found", found.collect::<Vec<_>>().into()),
    ]);
    if let Some(expected) = backfill.expected {
        value.insert("expected", count(expected));
    }
    if !backfill.why.is_empty() {
        value.insert("why", &*backfill.why);
    }
    value
}

/// One for people.
fn shown(backfill: &proto::Backfill) -> String {
    let mut lines = vec![format!(
        "{} of {}: {}",
        backfill.mode,
        clean(&backfill.peer),
        backfill.state
    )];
    lines.push(format!(
        "  {} entered, {} here already",
        backfill.entered, backfill.here
    ));
    let found = backfill.found.iter();
    lines.extend(found.map(|found| format!("  {}  {}", found.wrong, clean(&found.what))));
    if !backfill.why.is_empty() {
        lines.push(format!("  {}", clean(&backfill.why)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_for_people() {
        let backfill = proto::Backfill {
            peer: "https://b.example/actors/bob\u{7}".to_owned(),
            mode: "full".to_owned(),
            state: "disputed".to_owned(),
            entered: 41,
            here: 1,
            bytes: 70_000,
            expected: Some(43),
            found: vec![proto::BackfillFinding {
                wrong: "altered".to_owned(),
                what: "https://b.example/actors/bob/activities/7".to_owned(),
            }],
            ..proto::Backfill::default()
        };
        insta::assert_snapshot!(shown(&backfill), @r"
        full of https://b.example/actors/bob: disputed
          41 entered, 1 here already
          altered  https://b.example/actors/bob/activities/7
        ");
        insta::assert_snapshot!(progress(&backfill), @"42 of 43 activities, 68 KiB");
    }
}

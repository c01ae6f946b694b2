//! `projection list`, `show` and `rebuild`.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use fedsx_admin::client::Client;
use fedsx_admin::proto;
use fedsx_core::notation::{self, Notation, json};
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::deliveries::count;
use crate::args::{Global, Limit, Projection, Show};
use crate::failure::Failure;
use crate::output::{clean, note, short_cid, shortened, stdout};

/// How often a rebuild is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Projections looked through for one.
const ALL: u32 = 100_000;

/// Asks for what the command says.
pub(crate) async fn run(global: &Global, command: Projection) -> anyhow::Result<()> {
    match command {
        Projection::List(limit) => list(global, limit).await,
        Projection::Show(show) if show.failures => failures(global, show).await,
        Projection::Show(show) => state(global, show).await,
        Projection::Rebuild { name } => rebuild(global, name).await,
    }
}

async fn list(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let columns = [
        "name",
        "scope",
        "folded",
        "behind",
        "failures",
        "definition",
    ];
    let mut list = stdout(global.output).list(&columns);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListProjectionsRequest { limit, page_token };
        let answer = client.projections(request).await.map_err(Failure::from)?;
        for one in &answer.projections {
            list.push(&value_of(one), || {
                vec![
                    clean(&one.name),
                    format!("{}{}", one.scope, if one.keyed { ", by key" } else { "" }),
                    folded(one),
                    one.lag.to_string(),
                    one.failures.to_string(),
                    short_cid(&one.definition),
                ]
            })?;
        }
        Ok((answer.projections.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no projections; `fedsx define FILE.sx --as NAME` defines one")?;
    Ok(())
}

/// How far the journal is folded: all of it, or a part while history is.
fn folded(one: &proto::Projection) -> String {
    let end = one.offset.saturating_add(one.lag);
    let percent = |offset: u64| offset.saturating_mul(100) / end.max(1);
    let live = if one.complete {
        "all".to_owned()
    } else {
        format!("{} %", percent(one.offset))
    };
    match one.rebuilding {
        Some(offset) => format!("{live} (anew: {} %)", percent(offset)),
        None => live,
    }
}

/// The state, or page after page of keys.
async fn state(global: &Global, show: Show) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut answer = query(&client, &show, show.limit.limit, String::new()).await?;
    let about = answer
        .projection
        .take()
        .context("the server sent no projection")?;
    if show.wait.is_some_and(|offset| about.offset < offset) {
        note(&format!(
            "that offset is not folded yet; this is the state as of {}",
            about.offset
        ));
    }
    if !answer.state_json.is_empty() {
        return whole(global, &show, &about, &answer.state_json);
    }
    let mut list = stdout(global.output).list(&["key", "state"]);
    let mut first = Some(answer);
    pages(show.limit.limit, async |limit, page_token| {
        let answer = match first.take() {
            Some(first) => first,
            None => query(&client, &show, limit, page_token).await?,
        };
        for one in &answer.states {
            let state = document(&one.state_json)?;
            let value = Map::from([("key", Value::from(&*one.key)), ("state", state.clone())]);
            list.push(&value, || vec![clean(&one.key), clean(&short(&state))])?;
        }
        Ok((answer.states.len(), answer.next_page_token))
    })
    .await?;
    list.finish("nothing is folded into any key yet")?;
    if about.failures > 0 && stdout(global.output).is_for_people() {
        note(&failed(&about));
    }
    Ok(())
}

async fn query(
    client: &Client,
    show: &Show,
    limit: u32,
    page_token: String,
) -> anyhow::Result<proto::QueryProjectionResponse> {
    let request = proto::QueryProjectionRequest {
        name: show.name.clone(),
        key: show.key.clone(),
        at: show.at,
        // What is waited for once need not be waited for again.
        wait: show.wait.filter(|_| page_token.is_empty()),
        limit,
        page_token,
    };
    Ok(client.projection(request).await.map_err(Failure::from)?)
}

fn whole(
    global: &Global,
    show: &Show,
    about: &proto::Projection,
    state_json: &[u8],
) -> anyhow::Result<()> {
    let state = document(state_json)?;
    let mut value = value_of(about);
    if let Some(key) = &show.key {
        value.insert("key", &**key);
    }
    if let Some(offset) = show.at {
        value.insert("at", count(offset));
    }
    value.insert("state", state.clone());
    stdout(global.output).one(&value, || people(show, about, &state))?;
    Ok(())
}

fn people(show: &Show, about: &proto::Projection, state: &Value) -> String {
    let mut lines = vec![
        format!("{} ({})", clean(&about.name), about.scope),
        format!("  definition  {}", about.definition),
        format!(
            "  folded      {}, up to {} of {}",
            folded(about),
            about.offset,
            about.offset.saturating_add(about.lag)
        ),
    ];
    if about.failures > 0 {
        lines.push(format!("  failures    {}", failed(about)));
    }
    if let Some(key) = &show.key {
        lines.push(format!("  key         {}", clean(key)));
    }
    if let Some(offset) = show.at {
        lines.push(format!("  as of       {offset}"));
    }
    format!("{}\n\n{}", lines.join("\n"), json::pretty(state))
}

fn failed(about: &proto::Projection) -> String {
    let entries = match about.failures {
        1 => "1 entry".to_owned(),
        many => format!("{many} entries"),
    };
    format!(
        "{entries} could not be folded; `fedsx projection show {} --failures` lists the newest",
        clean(&about.name)
    )
}

/// The entries that could not be folded, newest first.
async fn failures(global: &Global, show: Show) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let answer = query(&client, &show, 1, String::new()).await?;
    let mut list = stdout(global.output).list(&["journal", "cid", "error"]);
    let newest = answer.failures.iter().rev();
    for failure in newest.take(show.limit.limit as usize) {
        let value = Map::from([
            ("offset", count(failure.offset)),
            ("cid", Value::from(&*failure.cid)),
            ("error", Value::from(&*failure.error)),
        ]);
        list.push(&value, || {
            vec![
                failure.offset.to_string(),
                failure.cid.clone(),
                clean(&failure.error),
            ]
        })?;
    }
    list.finish("everything could be folded")?;
    Ok(())
}

/// Orders a rebuild and waits for its end, which comes without this command as well.
async fn rebuild(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::RebuildProjectionRequest { name: name.clone() };
    let before = client.rebuild(request).await.map_err(Failure::from)?;
    let terminal = std::io::stderr().is_terminal();
    let mut about = before.clone();
    while about.generation <= before.generation.max(1) {
        tokio::time::sleep(LOOK).await;
        about = listed(&client, &name).await?;
        if about.definition != before.definition {
            let why = "another definition has taken its place meanwhile; it is folded by itself";
            return Err(Failure::failed(why).into());
        }
        if terminal {
            let end = about.offset.saturating_add(about.lag).max(1);
            let percent = about.rebuilding.unwrap_or_default().saturating_mul(100) / end;
            // Progress that can't be shown is no failure.
            let _ = write!(anstream::stderr(), "\r{percent:>3} % ");
        }
    }
    if terminal {
        let _ = writeln!(anstream::stderr(), "\r100 %");
    }
    stdout(global.output).one(&value_of(&about), || {
        format!("{} is folded anew, up to {}", clean(&name), about.offset)
    })?;
    Ok(())
}

/// How one is now, without its state.
async fn listed(client: &Client, name: &str) -> anyhow::Result<proto::Projection> {
    let mut found = None;
    pages(ALL, async |limit, page_token| {
        let request = proto::ListProjectionsRequest { limit, page_token };
        let mut answer = client.projections(request).await.map_err(Failure::from)?;
        let came = answer.projections.len();
        let is_it = |one: &mut proto::Projection| one.name == name;
        found = found
            .take()
            .or(answer.projections.extract_if(.., is_it).next());
        Ok((came, answer.next_page_token))
    })
    .await?;
    let gone = || Failure::failed("it is folded no more; `fedsx projection list` lists what is");
    Ok(found.ok_or_else(gone)?)
}

fn value_of(one: &proto::Projection) -> Map {
    Map::from([
        ("name", Value::from(&*one.name)),
        ("definition", Value::from(&*one.definition)),
        ("scope", Value::from(&*one.scope)),
        ("keyed", Value::Bool(one.keyed)),
        ("offset", count(one.offset)),
        ("lag", count(one.lag)),
        ("complete", Value::Bool(one.complete)),
        ("failures", count(one.failures)),
        ("rebuilding", one.rebuilding.map_or(Value::Nil, count)),
    ])
}

fn document(json: &[u8]) -> anyhow::Result<Value> {
    notation::read(Notation::Json, json, json.len()).context("the state that the server sent")
}

/// The beginning of a state.
fn short(state: &Value) -> String {
    const CHARS: usize = 80;
    shortened(
        &String::from_utf8_lossy(&notation::write(Notation::Json, state)),
        CHARS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Form;

    fn about() -> proto::Projection {
        proto::Projection {
            name: "pin-state".to_owned(),
            definition: "baga6yaqse".to_owned(),
            scope: "public".to_owned(),
            offset: 42,
            lag: 58,
            failures: 3,
            ..proto::Projection::default()
        }
    }

    #[test]
    fn a_state_for_people() {
        let show = Show {
            name: "pin-state".to_owned(),
            key: None,
            at: Some(40),
            wait: None,
            failures: false,
            limit: Limit { limit: 100 },
        };
        let state = Map::from([("a", "https://a.example/\u{1b}[31m")]).into();
        insta::assert_snapshot!(people(&show, &about(), &state));
    }

    #[test]
    fn progress_is_told_while_history_is_folded() {
        let done = |complete, rebuilding| proto::Projection {
            complete,
            rebuilding,
            ..about()
        };
        let shown = [
            done(false, None),
            done(true, None),
            done(true, Some(7)),
            proto::Projection::default(),
        ];
        let shown = shown.map(|one| folded(&one));
        assert_eq!(shown, ["42 %", "all", "all (anew: 7 %)", "0 %"]);
    }

    #[test]
    fn a_projection_for_programs() {
        let mut bytes = Vec::new();
        let output = crate::output::Output::new(Form::Sx, &mut bytes);
        let written = output.one(&value_of(&about()), String::new);
        written.expect("a Vec takes all");
        insta::assert_snapshot!(String::from_utf8(bytes).expect("text"));
    }
}

//! `verify actor` and `log begin|forks`.

use fedsx_admin::proto;
use fedsx_core::limits::INTEGER_MAX;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use crate::args::{Global, Limit, Log, Verify};
use crate::failure::Failure;
use crate::output::stdout;

/// Runs one of them.
pub(crate) async fn run(global: &Global, command: Log) -> anyhow::Result<()> {
    match command {
        Log::Begin { name } => begin(global, name).await,
        Log::Forks(limit) => forks(global, limit).await,
    }
}

/// Has a remote log walked, and fails where it does not hold.
pub(crate) async fn verify(global: &Global, what: Verify) -> anyhow::Result<()> {
    let Verify::Actor {
        who,
        activities,
        leaves,
    } = what;
    let client = connect(global).await?;
    let request = proto::VerifyLogRequest {
        who,
        leaves,
        activities,
    };
    let verified = client.verify_log(request).await.map_err(Failure::from)?;
    stdout(global.output).one(&value(&verified), || page(&verified))?;
    match verified.faults.first() {
        None => Ok(()),
        Some(first) => {
            let why = format!("the log of {} does not hold: {first}", verified.actor);
            Err(Failure::failed(why).into())
        }
    }
}

fn value(verified: &proto::VerifyLogResponse) -> Map {
    let count = |count| Value::from(i64::try_from(count).unwrap_or(INTEGER_MAX));
    Map::from([
        ("actor", Value::from(&*verified.actor)),
        ("origin", Value::from(&*verified.origin)),
        ("size", count(verified.size)),
        ("before", count(verified.before)),
        ("outcome", Value::from(&*verified.outcome)),
        ("leaves", count(verified.leaves)),
        ("proved", count(verified.proved)),
        ("erased", count(verified.erased)),
        ("compared", count(verified.compared)),
        ("faults", verified.faults.clone().into()),
    ])
}

fn page(verified: &proto::VerifyLogResponse) -> String {
    let beside = match &*verified.outcome {
        "first" => "never looked at before: kept from here on".to_owned(),
        "same" => "as it was when it was last looked at".to_owned(),
        "grown" => format!("goes on from the {} leaves that were kept", verified.before),
        "another" => "another one than before, as its actor declared".to_owned(),
        "behind" => format!("shorter than the {} leaves that were kept", verified.before),
        _ => "CONTRADICTS what was kept; `fedsx log forks` lists the evidence".to_owned(),
    };
    let mut page = format!(
        "{}: {} leaves, {beside}\n  {} of them read: they lead to the root that was signed",
        verified.origin, verified.size, verified.leaves
    );
    let told = [
        (verified.proved, "activities have a proof by the actor"),
        (verified.erased, "activities were erased"),
        (verified.compared, "other instances were compared with"),
    ];
    for (count, what) in told {
        if count > 0 {
            page.push_str(&format!("\n  {count} {what}"));
        }
    }
    for fault in &verified.faults {
        page.push_str(&format!("\n  WRONG: {fault}"));
    }
    page
}

async fn begin(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let begun = client.begin_log(proto::BeginLogRequest { name }).await;
    let begun = begun.map_err(Failure::from)?;
    let value = Map::from([("url", Value::from(&*begun.url))]);
    stdout(global.output).one(&value, || {
        format!("the log is at {} from now on", begun.url)
    })?;
    Ok(())
}

async fn forks(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["actor", "checkpoint", "contradicts"]);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListForksRequest { limit, page_token };
        let answer = client.log_forks(request).await.map_err(Failure::from)?;
        for fork in &answer.forks {
            let value = Map::from([
                ("actor", Value::from(&*fork.actor)),
                ("first", Value::from(&*fork.first)),
                ("firstKey", Value::from(&*fork.first_key)),
                ("second", Value::from(&*fork.second)),
                ("secondKey", Value::from(&*fork.second_key)),
                ("prefix", Value::from(&*fork.prefix)),
                ("proof", fork.proof.clone().into()),
            ]);
            let size = |note: &str| note.lines().nth(1).unwrap_or_default().to_owned();
            list.push(&value, || {
                vec![fork.actor.clone(), size(&fork.first), size(&fork.second)]
            })?;
        }
        Ok((answer.forks.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no log contradicts itself")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_walk_proved_is_told() {
        let grown = proto::VerifyLogResponse {
            origin: "b.example/actors/bob/log".to_owned(),
            size: 300,
            before: 200,
            outcome: "grown".to_owned(),
            leaves: 300,
            proved: 99,
            erased: 1,
            compared: 2,
            ..Default::default()
        };
        let forked = proto::VerifyLogResponse {
            outcome: "forked".to_owned(),
            faults: vec!["the log contradicts what was kept of it".to_owned()],
            proved: 0,
            erased: 0,
            compared: 0,
            ..grown.clone()
        };
        insta::assert_snapshot!([page(&grown), page(&forked)].join("\n"), @r"
        b.example/actors/bob/log: 300 leaves, goes on from the 200 leaves that were kept
          300 of them read: they lead to the root that was signed
          99 activities have a proof by the actor
          1 activities were erased
          2 other instances were compared with
        b.example/actors/bob/log: 300 leaves, CONTRADICTS what was kept; `fedsx log forks` lists the evidence
          300 of them read: they lead to the root that was signed
          WRONG: the log contradicts what was kept of it
        ");
    }
}

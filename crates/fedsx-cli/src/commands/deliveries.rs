//! `deliveries` and `dead-letters`.

use std::io::{self, Write};

use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use crate::args::{DeadLetters, Deliveries, Global, Letters};
use crate::failure::Failure;
use crate::output::{Output, clean, clock, short_cid, stdout};

/// Lanes and dead letters listed at most.
const LIMIT: u32 = 10_000;

/// Tells what is still to be delivered, or has a host tried at once.
pub(crate) async fn lanes(global: &Global, action: Option<Deliveries>) -> anyhow::Result<()> {
    match action {
        None => list_lanes(global).await,
        Some(Deliveries::Wake { host }) => wake(global, host).await,
    }
}

async fn wake(global: &Global, host: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::WakeRequest { host: host.clone() };
    let failing = client.wake(request).await.map_err(Failure::from)?.failing;
    let value = Map::from([
        ("host", Value::from(&*host)),
        ("failing", Value::Bool(failing)),
    ]);
    stdout(global.output).one(&value, || match failing {
        true => format!("{host} is tried now; `fedsx deliveries` shows how it answers"),
        false => format!("{host} is not failing"),
    })?;
    Ok(())
}

async fn list_lanes(global: &Global) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut unexpanded = None;
    let mut lanes = Vec::new();
    pages(LIMIT, async |limit, page_token| {
        let request = proto::LanesRequest { limit, page_token };
        let answer = client.lanes(request).await.map_err(Failure::from)?;
        // As of before all lanes were read, so that nothing is in neither.
        unexpanded.get_or_insert(answer.unexpanded);
        let came = answer.lanes.len();
        lanes.extend(answer.lanes);
        Ok((came, answer.next_page_token))
    })
    .await?;
    tell(
        stdout(global.output),
        unexpanded.unwrap_or_default(),
        &lanes,
    )?;
    Ok(())
}

fn tell<W: Write>(out: Output<W>, unexpanded: u64, lanes: &[proto::Lane]) -> io::Result<()> {
    if !out.is_for_people() {
        let lanes: Vec<Value> = lanes.iter().map(|lane| lane_value(lane).into()).collect();
        let value = Map::from([("unexpanded", count(unexpanded)), ("lanes", lanes.into())]);
        return out.one(&value, String::new);
    }
    let columns = [
        "host",
        "state",
        "queued",
        "missed from",
        "aside",
        "in flight",
        "failures",
        "next try",
        "last error",
    ];
    let mut list = out.list(&columns);
    if unexpanded > 0 {
        let entries = match unexpanded {
            1 => "1 entry".to_owned(),
            many => format!("{many} entries"),
        };
        let mut row = vec!["(not queued yet)".to_owned(), entries];
        row.resize(columns.len(), String::new());
        list.push(&Map::new(), || row)?;
    }
    for lane in lanes {
        list.push(&Map::new(), || {
            vec![
                clean(&lane.host),
                lane.state.clone(),
                lane.queued.to_string(),
                lane.missed_from.map_or(String::new(), |at| at.to_string()),
                lane.set_aside.to_string(),
                lane.in_flight.to_string(),
                lane.failures.to_string(),
                lane.next_try_ms.map_or(String::new(), clock),
                clean(&lane.last_error),
            ]
        })?;
    }
    list.finish("everything is delivered")
}

fn lane_value(lane: &proto::Lane) -> Map {
    Map::from([
        ("host", Value::from(&*lane.host)),
        ("state", Value::from(&*lane.state)),
        ("queued", count(lane.queued)),
        ("setAside", count(lane.set_aside)),
        ("inFlight", count(lane.in_flight.into())),
        ("failures", count(lane.failures.into())),
        ("nextTry", lane.next_try_ms.map_or(Value::Nil, time)),
        ("lastError", text_or_nil(&lane.last_error)),
        ("oldestOffset", lane.oldest_offset.map_or(Value::Nil, count)),
        ("missedFrom", lane.missed_from.map_or(Value::Nil, count)),
    ])
}

/// Tells what came of the deliveries of an activity so far.
pub(crate) async fn of(global: &Global, cid_or_url: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::ExplainRequest { cid_or_url };
    let explanation = client.explain(request).await.map_err(Failure::from)?;
    let columns = ["host", "state", "status", "tried", "recipient", "answer"];
    let mut list = stdout(global.output).list(&columns);
    for record in &explanation.deliveries {
        list.push(&record_value(record), || {
            vec![
                clean(&record.host),
                record.state.clone(),
                status(record.status),
                clock(record.at_ms),
                clean(&record.recipient),
                clean(&record.answer).chars().take(60).collect(),
            ]
        })?;
    }
    list.finish("nothing is on record of its deliveries")?;
    Ok(())
}

pub(super) fn record_value(record: &proto::DeliveryRecord) -> Map {
    Map::from([
        ("host", Value::from(&*record.host)),
        ("actor", Value::from(&*record.actor)),
        ("recipient", Value::from(&*record.recipient)),
        ("state", Value::from(&*record.state)),
        (
            "status",
            match record.status {
                0 => Value::Nil,
                status => count(status.into()),
            },
        ),
        ("answer", text_or_nil(&record.answer)),
        ("failures", count(record.failures.into())),
        ("at", time(record.at_ms)),
    ])
}

/// A record in a line.
pub(super) fn record_line(record: &proto::DeliveryRecord) -> String {
    let mut words = vec![clean(&record.host), record.state.clone()];
    if record.status > 0 {
        words.push(record.status.to_string());
    }
    words.push(clock(record.at_ms));
    words.push(clean(&record.answer));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn status(status: u32) -> String {
    match status {
        0 => "-".to_owned(),
        status => status.to_string(),
    }
}

/// Lists, retries or drops dead letters.
pub(crate) async fn dead_letters(
    global: &Global,
    action: Option<DeadLetters>,
) -> anyhow::Result<()> {
    match action {
        None => list(global).await,
        Some(DeadLetters::Retry(letters)) => retry(global, letters).await,
        Some(DeadLetters::Drop(letters)) => drop(global, letters).await,
    }
}

async fn list(global: &Global) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let columns = ["id", "given up", "host", "status", "actor", "cid", "answer"];
    let mut list = stdout(global.output).list(&columns);
    pages(LIMIT, async |limit, page_token| {
        let request = proto::DeadLettersRequest { limit, page_token };
        let answer = client.dead_letters(request).await.map_err(Failure::from)?;
        for letter in &answer.dead_letters {
            list.push(&letter_value(letter), || {
                let answer: String = clean(&letter.answer).chars().take(60).collect();
                vec![
                    letter.id.clone(),
                    clock(letter.at_ms),
                    clean(&letter.host),
                    status(letter.status),
                    letter.actor.clone(),
                    short_cid(&letter.cid),
                    answer,
                ]
            })?;
        }
        Ok((answer.dead_letters.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no dead letters")?;
    Ok(())
}

pub(super) fn letter_value(letter: &proto::DeadLetter) -> Map {
    let status = if letter.status == 0 {
        Value::Nil
    } else {
        count(letter.status.into())
    };
    Map::from([
        ("id", Value::from(&*letter.id)),
        ("host", Value::from(&*letter.host)),
        ("inbox", Value::from(&*letter.inbox)),
        ("cid", Value::from(&*letter.cid)),
        ("actor", Value::from(&*letter.actor)),
        ("offset", count(letter.offset)),
        ("status", status),
        ("answer", text_or_nil(&letter.answer)),
        ("at", time(letter.at_ms)),
    ])
}

async fn retry(global: &Global, letters: Letters) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::RetryRequest {
        selection: Some(selection(letters)),
    };
    let answer = client.retry(request).await.map_err(Failure::from)?;
    told(global, "retried", answer.count)
}

async fn drop(global: &Global, letters: Letters) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::DropRequest {
        selection: Some(selection(letters)),
    };
    let answer = client.discard(request).await.map_err(Failure::from)?;
    told(global, "dropped", answer.count)
}

fn told(global: &Global, what: &str, many: u64) -> anyhow::Result<()> {
    let value = Map::from([(what, count(many))]);
    stdout(global.output).one(&value, || format!("{what} {many}"))?;
    Ok(())
}

fn selection(letters: Letters) -> proto::Selection {
    use proto::selection::Which;
    let which = match letters {
        Letters { id: Some(id), .. } => Which::Id(id),
        Letters {
            host: Some(host), ..
        } => Which::Host(host),
        Letters { all, .. } => Which::All(all),
    };
    proto::Selection { which: Some(which) }
}

pub(super) fn count(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(fedsx_core::limits::INTEGER_MAX))
}

pub(super) fn time(ms: i64) -> Value {
    Value::from(fedsx_core::time::format_rfc3339_ms(ms))
}

pub(super) fn text_or_nil(text: &str) -> Value {
    if text.is_empty() {
        Value::Nil
    } else {
        Value::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Form;

    fn told(unexpanded: u64, lanes: &[proto::Lane]) -> String {
        let forms = [Form::Table, Form::Json, Form::Sx];
        let told = forms.map(|form| {
            let mut bytes = Vec::new();
            tell(Output::new(form, &mut bytes), unexpanded, lanes).expect("a Vec takes all");
            String::from_utf8(bytes).expect("text")
        });
        told.join("\n").replace('\x1b', "ESC")
    }

    #[test]
    fn what_is_queued_nowhere_yet_is_told() {
        let lane = proto::Lane {
            host: "b.example".to_owned(),
            state: "ready".to_owned(),
            queued: 3,
            in_flight: 1,
            ..proto::Lane::default()
        };
        let dormant = proto::Lane {
            host: "c.example".to_owned(),
            state: "dormant".to_owned(),
            failures: 12,
            missed_from: Some(4_711),
            oldest_offset: Some(4_711),
            ..proto::Lane::default()
        };
        let all = [told(0, &[]), told(2, &[]), told(1, &[lane, dormant])];
        insta::assert_snapshot!(all.join("\n"));
    }
}

//! `explain`.

use std::io::{self, Write};

use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::connect;
use super::deliveries::{count, letter_value, record_line, record_value, text_or_nil, time};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{Output, clean, clock, place, stdout};

/// The state of an entry that was filled in from history.
const BACKFILLED: &str = "backfilled";

/// Says what has become of an activity.
pub(crate) async fn run(global: &Global, what: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::ExplainRequest { cid_or_url: what };
    let explanation = client.explain(request).await.map_err(Failure::from)?;
    tell(stdout(global.output), &explanation)?;
    Ok(())
}

fn tell<W: Write>(out: Output<W>, explanation: &proto::Explanation) -> io::Result<()> {
    out.one(&value(explanation), || people(explanation))
}

fn value(explanation: &proto::Explanation) -> Map {
    let texts = |list: &[String]| -> Value {
        let items = list.iter().map(|text| Value::from(&**text));
        items.collect::<Vec<_>>().into()
    };
    let letters = explanation.dead_letters.iter();
    let letters: Vec<Value> = letters.map(|letter| letter_value(letter).into()).collect();
    let records = explanation.deliveries.iter();
    let records: Vec<Value> = records.map(|record| record_value(record).into()).collect();
    let mut value = Map::from([
        ("cid", Value::from(&*explanation.cid)),
        ("id", Value::from(&*explanation.id)),
        ("actor", Value::from(&*explanation.actor)),
        ("verb", Value::from(&*explanation.verb)),
        ("standing", Value::from(&*explanation.standing)),
        ("mark", text_or_nil(&explanation.mark)),
        ("code", text_or_nil(&explanation.code)),
        ("why", text_or_nil(&explanation.why)),
        ("next", text_or_nil(&explanation.next)),
        ("at", time(explanation.at_ms)),
        ("definitions", texts(&explanation.definitions)),
        ("causedBy", texts(&explanation.caused_by)),
        ("deliveries", records.into()),
        ("deadLetters", letters.into()),
    ]);
    if let Some(entry) = &explanation.entry {
        let places = entry.places.iter().map(|one| Value::from(place(one)));
        value.insert("offset", count(entry.offset));
        value.insert("places", places.collect::<Vec<_>>());
        value.insert("authenticated", &*entry.authenticated);
        value.insert("visibility", &*entry.visibility);
        value.insert("backfilled", entry.state == BACKFILLED);
    }
    if let Some(offset) = explanation.settled_offset {
        value.insert("settled", count(offset));
    }
    value
}

fn people(explanation: &proto::Explanation) -> String {
    let mut lines = vec![explanation.cid.clone()];
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {name:<12}{text}"));
        }
    };
    let (verb, actor) = (clean(&explanation.verb), clean(&explanation.actor));
    line("what", format!("{verb} by {actor}"));
    let standing = match explanation.settled_offset {
        Some(offset) => format!("{} at offset {offset}", explanation.standing),
        None => explanation.standing.clone(),
    };
    line("standing", standing);
    line("code", clean(&explanation.code));
    line("why", clean(&explanation.why));
    line("next", clean(&explanation.next));
    line("mark", explanation.mark.clone());
    line("time", clock(explanation.at_ms));
    if let Some(entry) = &explanation.entry {
        let places: Vec<String> = entry.places.iter().map(place).collect();
        line("journal", format!("offset {}", entry.offset));
        line("logs", places.join(" "));
        line("evidence", entry.authenticated.clone());
        line("visibility", entry.visibility.clone());
        if entry.state == BACKFILLED {
            line(
                "history",
                "it was filled in after a follow; nobody answers it".to_owned(),
            );
        }
    }
    line("judged by", explanation.definitions.join(" "));
    line("caused by", clean(&explanation.caused_by.join(" ")));
    for record in &explanation.deliveries {
        line("delivery", record_line(record));
    }
    for letter in &explanation.dead_letters {
        let why = clean(&letter.answer);
        line(
            "given up",
            format!("{} {} {why}", clean(&letter.host), letter.status),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Form;

    #[test]
    fn what_is_kept_is_told_with_its_reason() {
        let kept = proto::Explanation {
            cid: "baga".to_owned(),
            id: "https://a.example/1".to_owned(),
            actor: "https://a.example/actors/a".to_owned(),
            verb: "Pin\u{1b}[31m".to_owned(),
            standing: "kept".to_owned(),
            mark: "undefined-verb".to_owned(),
            why: "`Pin` is not defined here".to_owned(),
            next: "define it".to_owned(),
            at_ms: 1_767_225_600_000,
            entry: Some(proto::Entry {
                offset: 7,
                authenticated: "proof".to_owned(),
                visibility: "public".to_owned(),
                state: "backfilled".to_owned(),
                places: vec![proto::Place {
                    actor: "bob".to_owned(),
                    side: proto::Side::Inbox.into(),
                    seq: 3,
                }],
                ..proto::Entry::default()
            }),
            ..proto::Explanation::default()
        };
        let told = [Form::Table, Form::Json].map(|form| {
            let mut bytes = Vec::new();
            tell(Output::new(form, &mut bytes), &kept).expect("a Vec takes all");
            String::from_utf8(bytes).expect("text")
        });
        insta::assert_snapshot!(told.join("\n").replace('\x1b', "ESC"));
    }
}

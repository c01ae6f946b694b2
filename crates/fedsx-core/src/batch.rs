//! A batch: several activities in one POST, as an `OrderedCollection`, and the answer to each of them.
//!
//! ```text
//! POST /inbox/batch  {"type":"OrderedCollection","orderedItems":[activity, …]}
//! 200                [{"cid":…,"status":202}, {"cid":…,"status":403,"code":"blocked","detail":…}, …]
//! ```
//!
//! Invariants: each activity is taken as the bytes that it was sent as, so that what is hashed is what came; there are
//! as many answers as activities, in their order. Deliberately absent: other notations than JSON, because a batch is
//! an envelope that is kept nowhere; and any meaning of the wrapper's other members. Design, section 9.3.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::canonical::jcs;
use crate::cid::Cid;
use crate::limits::{BATCH_ITEMS, WRAPPER_BYTES};
use crate::notation::{self, Notation};
use crate::refusal::{Code, Refusal};
use crate::value::{Map, Value};

/// What a batch begins with.
const HEAD: &[u8] = br#"{"@context":"https://www.w3.org/ns/activitystreams","type":"OrderedCollection","orderedItems":["#;
/// What it ends with.
const TAIL: &[u8] = b"]}";
/// Of a batch, bytes that are no activity's, where it holds as many as it may.
pub const FRAME_BYTES: usize = HEAD.len() + TAIL.len() + BATCH_ITEMS;

/// What became of one activity of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Its CID; none of what could not be read.
    pub cid: Option<Cid>,
    /// The HTTP status that a POST of it alone would have been answered with.
    pub status: u16,
    /// The stable code of its refusal.
    pub code: Option<String>,
    /// Why it was refused, in a sentence.
    pub detail: Option<String>,
    /// When to come again, seconds from now.
    pub retry_after_s: Option<u32>,
}

#[derive(serde::Deserialize)]
struct Wrapper<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "orderedItems", borrow)]
    items: Items<'a>,
}

struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted;

        impl<'de> Visitor<'de> for Counted {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of activities")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    if all.len() == BATCH_ITEMS {
                        return Err(A::Error::custom(TooMany));
                    }
                    all.push(item);
                }
                Ok(all)
            }
        }

        deserializer.deserialize_seq(Counted).map(Items)
    }
}

/// By its text it is known again, since the grammar's errors carry nothing else.
struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a batch holds {BATCH_ITEMS} activities at most")
    }
}

/// The activities of a batch, as they were sent, in their order.
///
/// # Errors
/// `too-large`; `malformed` for what is no JSON or no such wrapper; `envelope` for a wrapper that is no
/// `OrderedCollection`.
pub fn read(body: &Bytes) -> Result<Vec<Bytes>, Refusal> {
    if body.len() > WRAPPER_BYTES {
        let why = format!("a batch has {WRAPPER_BYTES} bytes at most");
        return Err(Refusal::new(Code::TooLarge, why));
    }
    let wrapper: Wrapper<'_> = serde_json::from_slice(body).map_err(|error| {
        let why = error.to_string();
        match why.starts_with(&TooMany.to_string()) {
            true => Refusal::new(Code::TooLarge, TooMany.to_string()),
            false => Refusal::new(Code::Malformed, format!("no batch: {why}")),
        }
    })?;
    if wrapper.kind != "OrderedCollection" {
        let why = "a batch is an OrderedCollection";
        return Err(Refusal::new(Code::Envelope, why));
    }
    let items = wrapper.items.0.into_iter();
    Ok(items
        .map(|item| body.slice_ref(item.get().as_bytes()))
        .collect())
}

/// What an activity is told apart by before it is read: whose it says it is, and of which verb, as they are written.
/// Nothing is decided by it but what waits for what.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Deserialize)]
#[serde(default)]
pub struct Glimpse {
    /// `actor`, where that is a text.
    #[serde(deserialize_with = "text")]
    pub actor: Option<String>,
    /// `type`, where that is a text.
    #[serde(rename = "type", deserialize_with = "text")]
    pub verb: Option<String>,
}

impl Glimpse {
    /// Of the bytes of an activity; nothing of what is none.
    #[must_use]
    pub fn of(activity: &[u8]) -> Self {
        serde_json::from_slice(activity).unwrap_or_default()
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    // What is no text is nobody's; it is refused when it is read.
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Activities in JSON as one batch.
#[must_use]
pub fn write<'a>(activities: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut batch = HEAD.to_vec();
    for (nth, activity) in activities.enumerate() {
        if nth > 0 {
            batch.push(b',');
        }
        batch.extend_from_slice(activity);
    }
    batch.extend_from_slice(TAIL);
    batch
}

/// Answers as they are sent.
#[must_use]
pub fn write_answers(answers: &[Answer]) -> Vec<u8> {
    let value = |answer: &Answer| {
        let cid = answer.cid.map_or(Value::Nil, |cid| cid.to_string().into());
        let mut map = Map::from([("cid", cid), ("status", i64::from(answer.status).into())]);
        if let Some(code) = &answer.code {
            map.insert("code", &**code);
        }
        if let Some(detail) = &answer.detail {
            map.insert("detail", &**detail);
        }
        if let Some(seconds) = answer.retry_after_s {
            map.insert("retryAfter", i64::from(seconds));
        }
        Value::Map(map)
    };
    jcs(&Value::List(answers.iter().map(value).collect()))
}

/// The answers to `count` activities; none where that is not what these bytes are.
#[must_use]
pub fn read_answers(bytes: &[u8], count: usize) -> Option<Vec<Answer>> {
    let value = notation::read(Notation::Json, bytes, WRAPPER_BYTES).ok()?;
    let Value::List(list) = &value else {
        return None;
    };
    let answer = |value: &Value| {
        let text = |member: &str| Some(value.get(member)?.as_str()?.to_owned());
        let number = |member: &str| value.get(member)?.as_int();
        Some(Answer {
            cid: text("cid").and_then(|cid| cid.parse().ok()),
            status: u16::try_from(number("status")?).ok()?,
            code: text("code"),
            detail: text("detail"),
            retry_after_s: number("retryAfter").and_then(|seconds| u32::try_from(seconds).ok()),
        })
    };
    let answers: Vec<Answer> = list.iter().map(answer).collect::<Option<_>>()?;
    (answers.len() == count).then_some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Code {
        read(&Bytes::copy_from_slice(body.as_bytes()))
            .expect_err(body)
            .code
    }

    #[test]
    fn activities_come_out_as_they_went_in() {
        let activities = [&br#"{"a": 1.0 , "b":"\u0041"}"#[..], b"{}", b"[1e0]"];
        let batch = Bytes::from(write(activities.into_iter()));
        assert_eq!(read(&batch).expect("a batch"), activities);
        assert_eq!(
            read(&Bytes::from(write(std::iter::empty()))),
            Ok(Vec::new())
        );
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let many = vec!["{}"; BATCH_ITEMS + 1];
        let batch = |items: &[&str]| {
            String::from_utf8(write(items.iter().map(|item| item.as_bytes()))).expect("JSON")
        };
        assert!(read(&Bytes::from(batch(&many[1..]))).is_ok());
        let long = format!("\"{}\"", "x".repeat(WRAPPER_BYTES));
        let cases = [
            (batch(&many), Code::TooLarge),
            (batch(&[&long]), Code::TooLarge),
            (batch(&["{"]), Code::Malformed),
            (batch(&["{}"]) + "x", Code::Malformed),
            (
                r#"{"type":"OrderedCollection"}"#.to_owned(),
                Code::Malformed,
            ),
            (
                r#"{"type":"OrderedCollection","orderedItems":{}}"#.to_owned(),
                Code::Malformed,
            ),
            (
                r#"{"type":"Create","orderedItems":[]}"#.to_owned(),
                Code::Envelope,
            ),
            (
                r#"{"type":"OrderedCollection","orderedItems":[],"orderedItems":[]}"#.to_owned(),
                Code::Malformed,
            ),
            ("[".repeat(100_000), Code::Malformed),
            (
                format!(
                    r#"{{"x":{},"type":"OrderedCollection","orderedItems":[]}}"#,
                    "[".repeat(100_000)
                ),
                Code::Malformed,
            ),
            ("\u{feff}{}".to_owned(), Code::Malformed),
        ];
        for (body, code) in cases {
            assert_eq!(refused(&body), code, "{}", &body[..body.len().min(80)]);
        }
    }

    #[test]
    fn answers_come_out_as_they_went_in_and_others_are_none() {
        let answers = [
            Answer {
                cid: Some(Cid::of_document(crate::cid::Digest::of(b"one"))),
                status: 202,
                code: None,
                detail: None,
                retry_after_s: None,
            },
            Answer {
                cid: None,
                status: 429,
                code: Some("rate-limited".to_owned()),
                detail: Some("later".to_owned()),
                retry_after_s: Some(7),
            },
        ];
        let bytes = write_answers(&answers);
        assert_eq!(read_answers(&bytes, 2).expect("answers"), answers);
        insta::assert_snapshot!(String::from_utf8_lossy(&bytes));
        assert_eq!(read_answers(&bytes, 3), None);
        for other in [
            &b"{}"[..],
            b"[1,2]",
            b"[{},{}]",
            b"",
            b"[{\"status\":70000},{}]",
        ] {
            assert_eq!(read_answers(other, 2), None);
        }
    }
}

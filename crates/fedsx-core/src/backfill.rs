//! Backfill: what of the past a follower asks for when it follows, what the followed answers, and how far that has
//! come (design, section 9.5).
//!
//! On the wire both are an object under `backfill`, in the `Follow` and in its `Accept`. What stands in it that is
//! none of the modes here asks for nothing, so that a later mode refuses nobody. Deliberately absent: how history is
//! fetched (the node), and how far a fetch is, which is no state but progress (the store).

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::address::{is_http_url, same_origin};
use crate::cid::{Cid, Codec, Digest};
use crate::refusal::{Code, Refusal};
use crate::value::{Map, Value};

/// How much of the past is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Mode {
    /// The last so many that the follower may read.
    #[n(0)]
    Last {
        /// How many, at least one.
        #[n(0)]
        count: u32,
    },
    /// What was published in the time before the follow was accepted.
    #[n(1)]
    Window {
        /// How long before, at least one.
        #[n(0)]
        seconds: u32,
    },
    /// What was published after something.
    #[n(2)]
    Since {
        /// The digest inside its CID.
        #[n(0)]
        digest: Digest,
    },
    /// All of it.
    #[n(3)]
    Full,
}

impl Mode {
    /// The names of all modes, as the capabilities page lists them.
    pub const NAMES: [&'static str; 5] = ["none", "last", "window", "since", "full"];

    /// What a `Follow` asks for by its `backfill`; nothing where that is no mode.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Option<Self> {
        let asked = value?.as_map()?;
        let number = |member| {
            let number = asked.get(member).and_then(Value::as_int)?;
            u32::try_from(number).ok().filter(|number| *number > 0)
        };
        match asked.get("mode")?.as_str()? {
            "last" => number("count").map(|count| Self::Last { count }),
            "window" => number("seconds").map(|seconds| Self::Window { seconds }),
            "since" => {
                let digest = document(asked.get("cid")?.as_str()?)?;
                Some(Self::Since { digest })
            }
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    /// The object that asks for it.
    #[must_use]
    pub fn to_map(&self) -> Map {
        match self {
            Self::Last { count } => Map::from([
                ("mode", Value::from("last")),
                ("count", Value::Int((*count).into())),
            ]),
            Self::Window { seconds } => Map::from([
                ("mode", Value::from("window")),
                ("seconds", Value::Int((*seconds).into())),
            ]),
            Self::Since { digest } => Map::from([
                ("mode", Value::from("since")),
                ("cid", Cid::of_document(*digest).to_string().into()),
            ]),
            Self::Full => Map::from([("mode", "full")]),
        }
    }

    /// Reads `last:N`, `window:SECONDS`, `since:CID`, `full`, or `none`, which is nothing.
    ///
    /// # Errors
    /// `malformed`, with what is taken.
    pub fn parse(text: &str) -> Result<Option<Self>, Refusal> {
        let malformed = || {
            let why = format!(
                "`{text}` is no backfill mode; there are none, last:N, window:SECONDS, since:CID and full"
            );
            Refusal::new(Code::Malformed, why)
        };
        let number = |text: &str| match u32::from_str(text) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(malformed()),
        };
        Ok(Some(match text.split_once(':') {
            None if text == "none" => return Ok(None),
            None if text == "full" => Self::Full,
            Some(("last", count)) => Self::Last {
                count: number(count)?,
            },
            Some(("window", seconds)) => Self::Window {
                seconds: number(seconds)?,
            },
            Some(("since", cid)) => Self::Since {
                digest: document(cid).ok_or_else(malformed)?,
            },
            _ => return Err(malformed()),
        }))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last { count } => write!(f, "last:{count}"),
            Self::Window { seconds } => write!(f, "window:{seconds}"),
            Self::Since { digest } => write!(f, "since:{}", Cid::of_document(*digest)),
            Self::Full => f.write_str("full"),
        }
    }
}

/// What the followed says in its `Accept` of where its history is, and how much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The URL of its outbox.
    pub outbox: String,
    /// The newest activity that its followers may read, by the digest inside its CID; none in an empty outbox.
    pub tip: Option<Digest>,
    /// How many activities its followers may read.
    pub total: u64,
    /// The URL of the checkpoint of its log, where it has one.
    pub checkpoint: Option<String>,
}

impl Answer {
    /// Reads the `backfill` of an `Accept` by `actor`; nothing where it is none, or names another origin.
    #[must_use]
    pub fn of(value: Option<&Value>, actor: &str) -> Option<Self> {
        let said = value?.as_map()?;
        let url = |member| {
            let url = said.get(member)?.as_str()?;
            (is_http_url(url) && same_origin(url, actor)).then(|| url.to_owned())
        };
        let tip = said.get("tip").and_then(Value::as_str).and_then(document);
        let total = said.get("totalItems").and_then(Value::as_int);
        Some(Self {
            outbox: url("outbox")?,
            tip,
            total: total
                .and_then(|total| total.try_into().ok())
                .unwrap_or_default(),
            checkpoint: url("checkpoint"),
        })
    }

    /// The object that says it.
    #[must_use]
    pub fn to_map(&self) -> Map {
        let mut map = Map::from([("outbox", self.outbox.as_str())]);
        if let Some(tip) = self.tip {
            map.insert("tip", Cid::of_document(tip).to_string());
        }
        let total = i64::try_from(self.total).unwrap_or(crate::limits::INTEGER_MAX);
        map.insert("totalItems", Value::Int(total));
        if let Some(checkpoint) = &self.checkpoint {
            map.insert("checkpoint", checkpoint.as_str());
        }
        map
    }
}

/// What a local actor asked of a peer's past.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Backfill {
    /// How much.
    #[n(0)]
    pub mode: Mode,
    /// The id of the `Follow` on whose `Accept` it is due; none where it was asked for by hand.
    #[n(1)]
    pub follow: Option<String>,
    /// Since when it is due.
    #[n(2)]
    pub due: Option<Due>,
    /// What came of it.
    #[n(3)]
    pub ended: Option<Ended>,
}

impl Backfill {
    /// Whether it is still to be done, or to be gone on with.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.due.is_some() && self.ended.is_none()
    }

    /// The word for where it stands.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (&self.due, &self.ended) {
            (_, Some(ended)) => ended.outcome.as_str(),
            (Some(_), None) => "running",
            (None, None) => "asked",
        }
    }
}

/// Since when a backfill is due.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Due {
    /// The offset of the entry that made it so: this one and no later one of the two.
    #[n(0)]
    pub since: u64,
    /// What was published before this counts, Unix milliseconds; what came later is delivered.
    #[n(1)]
    pub until_ms: i64,
    /// The `Accept` that made it so.
    #[n(2)]
    pub accept: Option<Digest>,
}

/// The end of a backfill.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Ended {
    /// How.
    #[n(0)]
    pub outcome: Outcome,
    /// Activities entered.
    #[n(1)]
    pub entered: u64,
    /// Those that were here already.
    #[n(2)]
    pub here: u64,
    /// What the source was caught at, the first few.
    #[n(3)]
    pub found: Vec<Finding>,
    /// Why it went no further, for whoever asks.
    #[n(4)]
    pub why: Option<String>,
}

/// How a backfill ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// All that was asked for is here.
    #[n(0)]
    Complete,
    /// All that was served is here, and the source was caught at something.
    #[n(1)]
    Disputed,
    /// The follow ended before.
    #[n(2)]
    Unfollowed,
    /// It reached a bound.
    #[n(3)]
    Bounded,
    /// It could not be had.
    #[n(4)]
    Failed,
}

impl Outcome {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Disputed => "disputed",
            Self::Unfollowed => "unfollowed",
            Self::Bounded => "bounded",
            Self::Failed => "failed",
        }
    }
}

/// What a source of history was caught at.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Finding {
    /// The kind.
    #[n(0)]
    pub wrong: Wrong,
    /// What: an `id`, a CID, or a sentence where it is no one thing.
    #[n(1)]
    pub what: String,
}

/// The kinds of what a source can do wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Wrong {
    /// A document that its actor did not make so.
    #[n(0)]
    Altered,
    /// Something that it must have was not served.
    #[n(1)]
    Withheld,
    /// Another history than it told, here or elsewhere.
    #[n(2)]
    Forked,
}

impl Wrong {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Withheld => "withheld",
            Self::Forked => "forked",
        }
    }
}

fn document(text: &str) -> Option<Digest> {
    let cid: Cid = text.parse().ok()?;
    (cid.codec == Codec::JsonJcs).then_some(cid.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes() -> [Mode; 4] {
        let digest = Digest::of(b"x");
        [
            Mode::Last { count: 20 },
            Mode::Window { seconds: 3_600 },
            Mode::Since { digest },
            Mode::Full,
        ]
    }

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in modes() {
            let value = Value::Map(mode.to_map());
            assert_eq!(Mode::of(Some(&value)).as_ref(), Some(&mode));
            assert_eq!(Mode::parse(&mode.to_string()), Ok(Some(mode)));
        }
        assert_eq!(Mode::parse("none"), Ok(None));
    }

    #[test]
    fn anything_else_asks_for_nothing() {
        let object = |members: &[(&'static str, Value)]| {
            let map: Map = members.iter().cloned().collect();
            Some(Value::Map(map))
        };
        let raw = Cid::of_raw(b"x").to_string();
        let cases = [
            None,
            Some(Value::from("full")),
            object(&[("mode", "none".into())]),
            object(&[("mode", "later".into())]),
            object(&[("mode", "last".into())]),
            object(&[("mode", "last".into()), ("count", 0.into())]),
            object(&[("mode", "last".into()), ("count", (-1).into())]),
            object(&[("mode", "last".into()), ("count", (1_i64 << 40).into())]),
            object(&[("mode", "window".into()), ("seconds", "1".into())]),
            object(&[("mode", "since".into()), ("cid", raw.as_str().into())]),
        ];
        for case in cases {
            assert_eq!(Mode::of(case.as_ref()), None, "{case:?}");
        }
        for text in ["", "last", "last:0", "last:x", "full:1", "since:x", "None"] {
            let refused = Mode::parse(text).expect_err(text);
            assert_eq!(refused.code, Code::Malformed);
        }
    }

    #[test]
    fn an_answer_speaks_of_its_own_origin_alone() {
        let answer = Answer {
            outbox: "https://b.test/actors/bob/outbox".to_owned(),
            tip: Some(Digest::of(b"x")),
            total: 7,
            checkpoint: Some("https://b.test/actors/bob/log/checkpoint".to_owned()),
        };
        let value = Value::Map(answer.to_map());
        let read = |actor| Answer::of(Some(&value), actor);
        assert_eq!(read("https://b.test/actors/bob"), Some(answer.clone()));
        assert_eq!(read("https://c.test/actors/bob"), None);
    }
}

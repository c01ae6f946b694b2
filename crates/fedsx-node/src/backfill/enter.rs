//! Enters a page of history: verified in parallel, appended in the order of the page.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use fedsx_core::actor::PeerActor;
use fedsx_core::backfill::{Finding, Wrong};
use fedsx_core::cid::Digest;
use fedsx_core::decide::Draft;
use fedsx_core::decide::ingest::history::{Past, Remembered, remember};
use fedsx_core::entry::ActorNo;
use fedsx_core::envelope::Document;
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::time::parse_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use fedsx_store::{Answer, AppendError, Appended, Priority};
use futures_util::future::join_all;
use http::{HeaderMap, Method};

use crate::erasure::is_deletion;
use crate::ingest::{InboxPost, RequestParts};
use crate::learning::News;
use crate::programs::Question;
use crate::{Known, Node, fault};

/// Decisions on one activity until it is left for refused.
const DECISIONS: usize = 3;
/// How long the writer is given to make room.
const FULL: Duration = Duration::from_millis(20);

/// For whom a page is entered, and of whom.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// The local actor who follows.
    pub(super) reader: ActorNo,
    /// Its name.
    pub(super) name: String,
    /// Whose outbox it is.
    pub(super) owner: Arc<PeerActor>,
    /// What was published before this is history, Unix milliseconds.
    pub(super) until_ms: i64,
}

/// What became of one activity.
#[derive(Clone, Debug)]
pub(super) struct Met {
    /// Its `id`, as far as it has one.
    pub(super) id: String,
    /// Its digest; none of a Tombstone.
    pub(super) digest: Option<Digest>,
    /// When it was published, where it says so, Unix milliseconds.
    pub(super) published_ms: Option<i64>,
    /// Whether it is addressed to some alone.
    pub(super) is_direct: bool,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What becomes of an activity of the past.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It was entered.
    Entered,
    /// It is here already.
    Here,
    /// It is no history.
    Later,
    /// Its owner deleted it.
    Deleted,
    /// It is not taken.
    LeftOut,
    /// It was refused; its source may be to blame.
    Refused(Option<Finding>),
}

/// One activity, judged.
enum Verdict {
    /// To be appended, when what others wrote has judged it too.
    Append(Box<Draft>, Option<Box<Question>>),
    Done(Fate),
}

impl Node {
    /// Enters what a page gives, in its order. Returns when all of it that is taken is durable.
    ///
    /// # Errors
    /// A fault of our own; what is appended by then is there.
    pub(super) async fn enter(
        &self,
        reading: &Reading,
        items: Vec<Map>,
    ) -> Result<Vec<Met>, Refusal> {
        let judged = self.verify(reading, items).await?;
        let mut met = Vec::with_capacity(judged.len());
        let mut appended = Vec::new();
        let (mut news, mut deletes) = (News::Nothing, false);
        for (map, mut one, verdict) in judged {
            let (draft, question) = match verdict {
                Verdict::Append(draft, question) => (draft, question),
                Verdict::Done(fate) => {
                    one.fate = fate;
                    met.push(one);
                    continue;
                }
            };
            match self.judged_by_others(draft, question).await {
                Ok(draft) => {
                    if draft.activity.mark.is_some() {
                        news = News::of(&draft.activity);
                    }
                    deletes |= is_deletion(draft.activity.effect.as_ref());
                    appended.push((met.len(), map, self.queue_past(*draft).await?));
                }
                Err(refusal) => one.fate = self.refused(reading, map, refusal)?,
            }
            met.push(one);
        }
        for (place, map, answer) in appended {
            met[place].fate = match answer.wait().await {
                Ok(appended) => fate_of(&appended),
                Err(error) => self.again(reading, map, error).await?,
            };
        }
        self.0.learning.appended(&news);
        if deletes {
            self.deleted().await;
        }
        Ok(met)
    }

    /// Verifies and judges on blocking threads, a part of the page on each.
    async fn verify(
        &self,
        reading: &Reading,
        items: Vec<Map>,
    ) -> Result<Vec<(Map, Met, Verdict)>, Refusal> {
        let threads = available_parallelism().map_or(1, NonZero::get);
        let size = items.len().div_ceil(threads).max(1);
        let parts: Vec<Vec<Map>> = items.chunks(size).map(<[Map]>::to_vec).collect();
        let parts = parts.into_iter().map(|part| {
            let (node, reading) = (self.clone(), reading.clone());
            tokio::task::spawn_blocking(move || {
                let judged = part.into_iter().map(|map| node.judge_past(&reading, map));
                judged.collect::<Result<Vec<_>, Refusal>>()
            })
        });
        let mut judged = Vec::with_capacity(items.len());
        for part in join_all(parts).await {
            let part = part.map_err(|error| fault::internal("verifying history broke", &error))?;
            judged.extend(part?);
        }
        Ok(judged)
    }

    /// All that can be judged of an activity where it stands.
    fn judge_past(&self, reading: &Reading, map: Map) -> Result<(Map, Met, Verdict), Refusal> {
        let text = |member| map.get(member).and_then(Value::as_str);
        let mut met = Met {
            id: text("id").unwrap_or_default().to_owned(),
            digest: None,
            published_ms: text("published").and_then(parse_rfc3339_ms),
            is_direct: false,
            fate: Fate::LeftOut,
        };
        if text("type") == Some("Tombstone") {
            return Ok((map, met, Verdict::Done(Fate::Deleted)));
        }
        let verdict = match self.decide_past(reading, &map, &mut met) {
            Ok(verdict) => verdict,
            Err(refusal) => Verdict::Done(self.refused(reading, map.clone(), refusal)?),
        };
        Ok((map, met, verdict))
    }

    fn decide_past(&self, reading: &Reading, map: &Map, met: &mut Met) -> Result<Verdict, Refusal> {
        let document = Document::from_map(map.clone());
        met.digest = Some(document.digest);
        if document.bytes.len() > limits::DOCUMENT_IN_BYTES {
            let why = "a document of an outbox is too large";
            return Err(Refusal::new(Code::TooLarge, why));
        }
        let known = Known(self);
        let past = Past {
            document,
            owner: &reading.owner,
            reader: reading.reader,
            until_ms: reading.until_ms,
        };
        let judgement = remember(self.facts(&known), past).map_err(fault::decide)?;
        met.is_direct = judgement.is_direct;
        Ok(match judgement.remembered {
            Remembered::Here => Verdict::Done(Fate::Here),
            Remembered::Later => Verdict::Done(Fate::Later),
            Remembered::LeftOut(why) => {
                tracing::debug!(id = met.id, why, "left out of history");
                Verdict::Done(Fate::LeftOut)
            }
            Remembered::Append(mut draft) => {
                let question = self.question(&mut draft, map.clone(), None)?;
                match question.judge_here() {
                    Some(judged) => {
                        judged?.put_into(&mut draft);
                        Verdict::Append(draft, None)
                    }
                    None => Verdict::Append(draft, Some(Box::new(question))),
                }
            }
        })
    }

    async fn judged_by_others(
        &self,
        mut draft: Box<Draft>,
        question: Option<Box<Question>>,
    ) -> Result<Box<Draft>, Refusal> {
        if let Some(question) = question {
            self.judge(*question).await?.put_into(&mut draft);
        }
        Ok(draft)
    }

    /// Queues what is to be appended; waits while too much waits already.
    async fn queue_past(&self, draft: Draft) -> Result<Answer, Refusal> {
        loop {
            match self.0.writer.append(draft.clone(), Priority::Inbound) {
                Ok(answer) => return Ok(answer),
                Err(AppendError::QueueFull) => tokio::time::sleep(FULL).await,
                Err(error) => return Err(fault::append(error)),
            }
        }
    }

    /// What was not appended: where it is not the activity's fault, it is decided again.
    async fn again(
        &self,
        reading: &Reading,
        map: Map,
        mut error: AppendError,
    ) -> Result<Fate, Refusal> {
        for _ in 0..DECISIONS {
            match error {
                AppendError::Changed => self.take_up_definitions()?,
                AppendError::Refused(refusal) => return self.refused(reading, map, refusal),
                error => return Err(fault::append(error)),
            }
            let (_, _, verdict) = self.judge_past(reading, map.clone())?;
            let (draft, question) = match verdict {
                Verdict::Append(draft, question) => (draft, question),
                Verdict::Done(fate) => return Ok(fate),
            };
            let draft = match self.judged_by_others(draft, question).await {
                Ok(draft) => draft,
                Err(refusal) => return self.refused(reading, map, refusal),
            };
            match self.queue_past(*draft).await?.wait().await {
                Ok(appended) => return Ok(fate_of(&appended)),
                Err(next) => error = next,
            }
        }
        Err(fault::append(error))
    }

    /// Notes a refusal for whoever asks after the activity; a fault of our own is none.
    fn refused(&self, reading: &Reading, map: Map, refusal: Refusal) -> Result<Fate, Refusal> {
        if matches!(refusal.code, Code::Internal | Code::QueueFull) {
            return Err(refusal);
        }
        let id = map.get("id").and_then(Value::as_str).unwrap_or_default();
        let what = id.chars().take(limits::URL_BYTES).collect();
        let found = |wrong| Some(Finding { wrong, what });
        let found = match refusal.code {
            Code::BadSignature | Code::NoActiveKey => found(Wrong::Altered),
            Code::Equivocation => found(Wrong::Forked),
            _ => None,
        };
        tracing::info!(id, %refusal, "an activity of the past is refused");
        let document = Document::from_map(map.clone());
        let post = InboxPost {
            target: Some(reading.name.clone()),
            notation: document.notation,
            body: document.bytes,
            head: RequestParts {
                method: Method::GET,
                path_and_query: String::new(),
                headers: HeaderMap::new(),
            },
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        self.note_refusal(&post, &refusal);
        Ok(Fate::Refused(found))
    }
}

const fn fate_of(appended: &Appended) -> Fate {
    match appended {
        Appended::New { .. } => Fate::Entered,
        Appended::Replay => Fate::Here,
    }
}

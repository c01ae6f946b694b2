//! What comes in: decide, fetch what is missing, decide again, append, answer (design, section 5).

mod passing;

use std::net::IpAddr;

use bytes::Bytes;
use fedsx_core::address::{Instance, Origin};
use fedsx_core::cid::Cid;
use fedsx_core::decide::ingest::{Inbound, ingest};
use fedsx_core::decide::schema::Circumstances;
use fedsx_core::decide::{Decision, Draft};
use fedsx_core::entry::{Activity, ActorNo};
use fedsx_core::envelope::{Document, reference};
use fedsx_core::evidence::{Delivery, Need};
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::http_signature::RequestHead;
use fedsx_core::limits;
use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Map;
use fedsx_discovery::actor_cache::PeerError;
use fedsx_discovery::pool::Purpose;
use http::HeaderMap;

use crate::programs::Question;
use crate::{Known, Node, fault};

pub(crate) use passing::{ROUNDS, Taken, Taking};

/// Why a document is asked of its origin, and the refusal when that does not have it.
const UNPROVED: (Code, &str) = (Code::BadSignature, "the activity brings no proof");
const SUPERSEDED: (Code, &str) = (
    Code::NoActiveKey,
    "the key was superseded before the activity came here and no present key stands for it",
);

/// The request line and headers of a delivery, for its HTTP signature.
#[derive(Clone, Debug)]
pub struct RequestParts {
    /// The method.
    pub method: http::Method,
    /// Path and query as received.
    pub path_and_query: String,
    /// The headers as received.
    pub headers: HeaderMap,
}

impl RequestParts {
    /// What a signature may cover, with the authority of this instance, whatever `Host` says.
    pub(crate) fn at<'a>(&'a self, instance: &'a Instance) -> RequestHead<'a> {
        RequestHead {
            method: self.method.as_str(),
            origin: instance.origin(),
            path_and_query: &self.path_and_query,
            headers: &self.headers,
        }
    }
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct InboxPost {
    /// The name of the actor whose inbox it is; `None` for the shared inbox.
    pub target: Option<String>,
    /// The notation of the body.
    pub notation: Notation,
    /// The body.
    pub body: Bytes,
    /// What an HTTP signature covers.
    pub head: RequestParts,
    /// Who sent it: it pays for what has to be fetched.
    pub source: IpAddr,
}

/// What became of a delivery. All of it is answered alike, 202.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Durable and visible.
    Accepted,
    /// Here already.
    Replay,
    /// About nobody and nothing here: not kept.
    Dropped(&'static str),
}

/// The answer to a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The CID of what was received.
    pub cid: Cid,
    /// What became of it.
    pub status: Status,
}

impl Node {
    /// Takes a delivery through the stages; returns when what is accepted is durable.
    ///
    /// # Errors
    /// The refusal of the first stage that refuses.
    pub async fn ingest(&self, post: InboxPost) -> Result<Receipt, Refusal> {
        let purpose = Purpose::Inbound {
            source: post.source,
        };
        let outcome = match self.refuse_spent(&post.head) {
            Ok(()) => self.take(&post, purpose, None, None).await,
            Err(refusal) => Err(refusal),
        };
        match &outcome {
            // Also what is dropped: the sender may take somebody here for a follower who is none.
            Ok(_) => self.heard(&post),
            Err(refusal) => self.note_refusal(&post, refusal),
        }
        outcome
    }

    /// The stages; what is needed is fetched for `purpose`, and the refusal of the code `excused` passes. What comes
    /// `via` a group stands for itself: who sent it is no evidence.
    pub(crate) async fn take(
        &self,
        post: &InboxPost,
        purpose: Purpose,
        excused: Option<&str>,
        via: Option<&str>,
    ) -> Result<Receipt, Refusal> {
        let mut taking = Taking {
            excused,
            via,
            ..Taking::of(post, purpose)
        };
        loop {
            let taken = self.pass_stages(&mut taking).await?;
            if let Some(receipt) = self.finish(taken).await? {
                return Ok(receipt);
            }
        }
    }

    /// One pass of the pure stages. Reads the document each time, so that nothing of it is held while a
    /// draft waits for the disk; a second pass comes only after a fetch or a change.
    fn decide(
        &self,
        post: &InboxPost,
        evidence: &Evidence,
        via: Option<&str>,
    ) -> Result<(Cid, Map, Decision), Refusal> {
        let bytes = evidence.bytes.clone();
        let document = Document::read(evidence.notation, bytes, limits::DOCUMENT_IN_BYTES)?;
        let (cid, act) = (document.cid(), document.map.clone());
        if let Some(actor) = reference(act.get("actor")) {
            self.let_in(actor)?;
        }
        let known = Known(self);
        let facts = self.facts(&known);
        let head = post.head.at(&self.0.instance);
        let delivery = Delivery {
            // The signature covers the body that was sent, not what its origin serves.
            head: (!evidence.from_origin && via.is_none()).then_some(&head),
            from_origin: evidence.from_origin,
            refreshed: evidence.refreshed,
            now_ms: facts.now_ms,
        };
        let inbound = Inbound {
            target: post.target.as_deref(),
            document,
            delivery,
            alias_asked: evidence.alias_asked,
            via,
        };
        let decision = ingest(facts, inbound).map_err(fault::decide)?;
        Ok((cid, act, decision))
    }

    /// Stages 9 and 10 for what is about to be appended. What its verb means may be unknown here: it is
    /// kept and marked, and nobody judges it yet.
    pub(crate) async fn judge_draft(
        &self,
        draft: &mut Draft,
        act: Map,
        excused: Option<&str>,
    ) -> Result<(), Refusal> {
        let question = self.question(draft, act, excused)?;
        self.judge(question).await?.put_into(draft);
        Ok(())
    }

    /// What is asked of stages 9 and 10 for a draft, by the present generation of the registry.
    pub(crate) fn question(
        &self,
        draft: &mut Draft,
        act: Map,
        excused: Option<&str>,
    ) -> Result<Question, Refusal> {
        let registry = self.registry();
        draft.judged_as_of = Some(registry.through());
        let activity = &draft.activity;
        // Only validators ask for it.
        let has_validators = !registry.validators(&activity.verb).is_empty();
        let reached = draft.logs.iter().map(|log| log.actor);
        let followed = has_validators && self.is_followed(&activity.actor, reached)?;
        let circumstances = Circumstances {
            digest: Some(activity.digest),
            received_ms: draft.received_ms,
            visibility: activity.visibility,
            authenticated: activity.authenticated,
            followed,
            backfilled: activity.backfilled,
        };
        Ok(Question {
            registry,
            act,
            circumstances,
            excused: excused.map(str::to_owned),
        })
    }

    /// Whether one of the local actors that something reaches follows its sender.
    pub(crate) fn is_followed(
        &self,
        sender: &str,
        reached: impl Iterator<Item = ActorNo>,
    ) -> Result<bool, Refusal> {
        let state = self.0.view.state();
        for actor in reached {
            let relation = state.relation(actor, Direction::Following, sender);
            if relation.map_err(fault::state)?.phase == Phase::Accepted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches what the kernel asked for.
    pub(crate) async fn provide(
        &self,
        need: Need,
        purpose: Purpose,
        evidence: &mut Evidence,
    ) -> Result<(), Refusal> {
        match need {
            Need::Actor(url) => {
                let actor = self
                    .0
                    .peers
                    .actor(&url, purpose)
                    .await
                    .map_err(unresolved)?;
                if actor.id != url {
                    let why = format!("the actor's document calls itself {}", actor.id);
                    return Err(Refusal::new(Code::BadSignature, why));
                }
            }
            Need::Key { actor, key_id } => {
                self.0
                    .peers
                    .refresh(&actor, &key_id, purpose)
                    .await
                    .map_err(unresolved)?;
                evidence.refreshed = true;
            }
            Need::Alias { actor, other } => {
                let own = self.0.instance.owns(&actor);
                if !own
                    && let Err(PeerError::Unreachable { retry_after_s, .. }) =
                        self.0.peers.refresh(&actor, &other, purpose).await
                {
                    let why = "the actor that it moves to could not be fetched";
                    let refusal = Refusal::new(Code::KeysUnresolved, why);
                    return Err(refusal.retry_after(retry_after_s.max(1)));
                }
                evidence.alias_asked = true;
            }
            Need::Origin(id) => self.ask_origin(&id, purpose, evidence, UNPROVED).await?,
            Need::Witness(id) => {
                self.ask_origin(&id, purpose, evidence, SUPERSEDED).await?;
            }
        }
        Ok(())
    }

    /// The document of that `id` as its origin serves it; why it is asked for, the refusal says.
    async fn ask_origin(
        &self,
        id: &str,
        purpose: Purpose,
        evidence: &mut Evidence,
        (code, asked): (Code, &str),
    ) -> Result<(), Refusal> {
        let fetched = match self.0.fetcher.document(id, purpose).await {
            Ok(fetched) => fetched,
            Err(error) if error.is_passing() => {
                let why = format!("{asked}, and its origin could not be asked");
                return Err(Refusal::new(Code::KeysUnresolved, why).retry_after(60));
            }
            Err(_) => {
                let why = format!("{asked}, and its origin does not serve it");
                return Err(Refusal::new(code, why));
            }
        };
        if fetched.final_url != id {
            let why = format!("{asked}, and its origin serves another document under {id}");
            return Err(Refusal::new(code, why));
        }
        evidence.notation = fetched.notation;
        evidence.bytes = fetched.bytes;
        evidence.from_origin = true;
        Ok(())
    }

    pub(crate) fn contact(&self, actor: &str) {
        if let Some(origin) = Origin::of(actor) {
            self.heard_from(origin.authority());
        }
        if let (Some(tell), Some(origin)) = (self.0.on_contact.get(), Origin::of(actor)) {
            tell(origin.authority());
        }
    }
}

/// The actor that says by this that its document has changed.
fn changed_actor(activity: &Activity) -> Option<String> {
    let says = activity.verb == "Update" && activity.object_id.as_ref() == Some(&activity.actor);
    says.then(|| activity.actor.clone())
}

/// How far the evidence for one activity has come.
pub(crate) struct Evidence {
    pub(crate) notation: Notation,
    pub(crate) bytes: Bytes,
    pub(crate) from_origin: bool,
    pub(crate) refreshed: bool,
    /// Whether the actor that one moved to was asked anew who it is as well.
    pub(crate) alias_asked: bool,
}

pub(crate) fn unresolved(error: PeerError) -> Refusal {
    match error {
        PeerError::Unreachable { retry_after_s, .. } => {
            let why = "the actor's keys could not be fetched";
            Refusal::new(Code::KeysUnresolved, why).retry_after(retry_after_s.max(1))
        }
        other => Refusal::new(Code::BadSignature, format!("the actor's keys: {other}")),
    }
}

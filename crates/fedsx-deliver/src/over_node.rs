//! [`Outbound`] over the node: its view, writer, keys and peers, and a transport.
//!
//! Every request is signed afresh, by whoever is its sender, with its present key. Deliberately absent:
//! redirects on POST, and copies of documents but for the few that are being sent.

mod batch;
mod documents;

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fedsx_core::audience::parts;
use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, ActorNo, Control, Effect, LogId, Subject};
use fedsx_core::envelope::Recipients;
use fedsx_core::follow::synchronization::HEADER;
use fedsx_core::follow::{Direction, Phase, Relation};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, ReceivesAt, StateError};
use fedsx_discovery::actor_cache::PeerError;
use fedsx_discovery::client::{BodyLimit, Request, Transport, TransportError};
use fedsx_discovery::pool::Purpose;
use fedsx_node::Node;
use fedsx_store::View;
use fedsx_store::delivery::{ANSWER_BYTES, Deliveries};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::watch;

use crate::attempt::lane_of;
use crate::delivery::Delivery;
use crate::options::DeliveryOptions;
use crate::outbound::{
    Answered, BatchParcel, Entry, Fault, Followers, Local, LookedUp, Offer, Outbound, Parcel,
    PeerStanding, Posted, PostedBatch,
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/activity+json");
/// Followers that are looked at together, where one is enough.
const FOLLOWERS_AT: usize = 16;
/// Memory for documents at hand, bytes.
const DOCUMENTS_BYTES: usize = 4 << 20;

/// [`Outbound`] over the node.
pub struct OverNode {
    node: Node,
    transport: Arc<dyn Transport>,
    documents: Mutex<VecDeque<(Digest, Bytes)>>,
    documents_max: usize,
}

impl Delivery<OverNode> {
    /// Delivery of what `node` publishes. Requests that prove a host alive end its back-off.
    #[must_use]
    pub fn over_node(
        node: Node,
        transport: Arc<dyn Transport>,
        deliveries: Arc<Deliveries>,
        options: DeliveryOptions,
    ) -> Self {
        let outbound = OverNode::new(node.clone(), transport, &options);
        let delivery = Self::new(Arc::new(outbound), deliveries, options);
        let woken = delivery.contacts();
        node.on_contact(move |host| woken.wake_host(host));
        delivery
    }
}

impl Outbound for OverNode {
    fn now_ms(&self) -> i64 {
        self.node.now_ms()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.node.view().watch()
    }

    fn entry(&self, offset: u64, actor: ActorNo) -> Result<Option<Entry>, Fault> {
        const DOING: &str = "reading a published entry";
        let view = self.node.view();
        let found = view
            .outbox_entry(actor, offset)
            .map_err(|error| Fault::new(DOING, error))?;
        let Some(found) = found else { return Ok(None) };
        let activity = found.stored.activity().filter(|_| !found.stored.erased);
        let activity = activity.filter(|activity| activity.fan_out);
        let Some(activity) = activity else {
            return Ok(None);
        };
        if matches!(
            activity.effect,
            Some(Effect::Block { .. } | Effect::UndoBlock { .. })
        ) {
            return Ok(None);
        }
        let document = found
            .stored
            .map()
            .map_err(|error| Fault::new(DOING, error))?;
        let open = match Recipients::of(&document) {
            Ok(open) => open,
            Err(refusal) => {
                // It passed when it was published; one entry must not hold up all behind it.
                tracing::error!(offset, %refusal, "an entry that can't be read goes to nobody");
                return Ok(None);
            }
        };
        let sender = view
            .state()
            .actor(actor)
            .map_err(|error| Fault::new(DOING, error))?;
        let Some(sender) = sender else {
            return Ok(None);
        };
        let followers = self.node.instance().followers_url(&sender.name);
        let hidden = activity.hidden.iter().map(String::as_str);
        let hidden = parts(hidden, &sender.url, &followers);
        let open = parts(open.all(), &sender.url, &followers);
        let takes_back = taken_back(view, activity);
        let takes_back = takes_back.map_err(|error| Fault::new(DOING, error))?;
        Ok(Some(Entry {
            takes_back,
            digest: activity.digest,
            bytes: u32::try_from(found.stored.document.len()).unwrap_or(u32::MAX),
            sender: sender.url,
            followers: open.followers || hidden.followers,
            named: open.actors,
            hidden: hidden.actors,
            past_blocks: matches!(
                activity.effect,
                Some(Effect::Reject { .. } | Effect::UndoFollow { .. } | Effect::Deleted { .. })
            ),
        }))
    }

    fn followers(
        &self,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault> {
        let page = self.node.view().followers(actor, range, cursor, limit);
        page.map_err(|error| Fault::new("reading followers", error))
    }

    fn followers_at(
        &self,
        host: &str,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault> {
        let view = self.node.view();
        let page = view.followers_at(host, actor, &range, cursor, limit);
        page.map_err(|error| Fault::new("reading the followers at a host", error))
    }

    fn published(&self, actor: ActorNo, from: u64, limit: usize) -> Result<Vec<u64>, Fault> {
        let offsets = self.node.view().outbox_offsets(actor, from, limit);
        offsets.map_err(|error| Fault::new("reading an outbox", error))
    }

    fn is_followed_at(&self, actor: ActorNo, shared_inbox: &str) -> Result<bool, Fault> {
        let Some(host) = lane_of(shared_inbox) else {
            return Ok(false);
        };
        // Those who follow now.
        let now = u64::MAX..=u64::MAX;
        // It is asked for each delivery, and the first one mostly tells.
        let (mut cursor, mut limit) = (None, 1);
        loop {
            let (followers, next) = self.followers_at(&host, actor, now.clone(), cursor, limit)?;
            limit = FOLLOWERS_AT;
            for follower in followers {
                if follower.receives_at() == Some(ReceivesAt::Shared(shared_inbox))
                    && !self.is_blocked(actor, &follower.peer)?
                {
                    return Ok(true);
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(false),
            }
        }
    }

    fn standing(&self, actor: ActorNo, peer: &str) -> Result<PeerStanding, Fault> {
        let state = self.node.view().state();
        let read = || {
            let relation = state.relation(actor, Direction::Follower, peer)?;
            let follows_since = match relation.phase {
                Phase::Accepted => state.last_follower(actor, peer)?.map(|last| last.from),
                Phase::None | Phase::Pending | Phase::Refused => None,
            };
            Ok((follows_since, relation.inbox))
        };
        let (follows_since, inbox) = read().map_err(|error: StateError| stands(error))?;
        Ok(PeerStanding {
            follows_since,
            blocked: self.is_blocked(actor, peer)?,
            inbox,
        })
    }

    fn is_barred(&self, host: &str) -> Result<bool, Fault> {
        let barred = self.node.hosts().barred(host);
        let barred = barred.map_err(|error| Fault::new("reading whether a host is blocked", error));
        Ok(barred?.is_some())
    }

    fn blocks_host(&self, actor: ActorNo, host: &str) -> Result<bool, Fault> {
        let blocks = self.node.view().state().blocks_host(actor, host);
        blocks.map_err(|error| Fault::new("reading whether an actor blocks a host", error))
    }

    fn local(&self, url: &str) -> Result<Local, Fault> {
        let instance = self.node.instance();
        if !instance.owns(url) {
            return Ok(Local::No);
        }
        let actor = self.node.view().state().actor_by_url(url);
        let actor = actor.map_err(|error| Fault::new("reading a local actor", error))?;
        Ok(actor.map_or(Local::Nobody, |actor| Local::Actor(actor.no)))
    }

    fn is_placed(&self, digest: &Digest, actor: ActorNo) -> Result<bool, Fault> {
        let placed = self.node.view().state().in_log(digest, LogId::inbox(actor));
        placed.map_err(|error| Fault::new("reading an inbox log", error))
    }

    async fn place(&self, digest: Digest, actors: Vec<ActorNo>) -> Result<(), Fault> {
        let logs = actors.into_iter().map(LogId::inbox).collect();
        let placed = async {
            self.node
                .writer()
                .place(digest, logs, self.node.now_ms())?
                .wait()
                .await?;
            Ok(())
        };
        placed.await.map_err(|error: fedsx_store::AppendError| {
            Fault::new("placing an activity in local inbox logs", error)
        })
    }

    async fn end_relations(&self, peer: &str) -> Result<(), Fault> {
        const DOING: &str = "ending the relations with a peer that is gone";
        let related = self.node.view().state().locals_related(peer);
        if related
            .map_err(|error| Fault::new(DOING, error))?
            .is_empty()
        {
            return Ok(());
        }
        let peer = peer.to_owned();
        self.append(Control::PeerGone { peer }, DOING).await
    }

    async fn refused(&self, actor: ActorNo, digest: &Digest) -> Result<(), Fault> {
        const DOING: &str = "noting that a follow was refused";
        let Some((peer, id)) = self.follow(digest, DOING)? else {
            return Ok(());
        };
        let relation = self.following(actor, &peer, DOING)?;
        if relation.id.as_ref() != Some(&id) || relation.phase == Phase::Refused {
            return Ok(());
        }
        self.append(Control::FollowRefused { actor, peer, id }, DOING)
            .await
    }

    async fn taken(&self, actor: ActorNo, peer: &str, digest: &Digest) -> Result<(), Fault> {
        const DOING: &str = "noting that a follow was taken after all";
        let relation = self.following(actor, peer, DOING)?;
        if relation.phase != Phase::Refused {
            return Ok(());
        }
        let Some((peer, id)) = self.follow(digest, DOING)? else {
            return Ok(());
        };
        if relation.id.as_ref() != Some(&id) {
            return Ok(());
        }
        self.append(Control::FollowTaken { actor, peer, id }, DOING)
            .await
    }

    async fn post(&self, parcel: Parcel) -> Posted {
        let request = match self.request(&parcel) {
            Ok(Some(request)) => request,
            Ok(None) => return Posted::Erased,
            Err(fault) => return Posted::Ours(fault.to_string()),
        };
        match self.transport.send(request).await {
            Ok(response) => Posted::Answer(Answered {
                status: response.status.as_u16(),
                retry_after_ms: response
                    .retry_after_s(self.node.now_ms())
                    .map(|seconds| i64::from(seconds) * 1_000),
                text: String::from_utf8_lossy(&response.body).into_owned(),
            }),
            Err(error) if error.is_host_failure() => Posted::HostFailed(error.to_string()),
            Err(error @ (TransportError::Busy { .. } | TransportError::Unsigned(_))) => {
                Posted::Ours(error.to_string())
            }
            Err(error) => Posted::Unsendable(error.to_string()),
        }
    }

    async fn offer(&self, inbox: &str) -> Result<Option<Offer>, String> {
        let batches = self.node.batches_of(inbox).await;
        let batches = batches.map_err(|error| error.to_string())?;
        Ok(batches.map(|batches| Offer {
            url: batches.url,
            most: batches.activities,
        }))
    }

    async fn post_batch(&self, parcel: BatchParcel) -> PostedBatch {
        self.send_batch(parcel).await
    }

    async fn look_up(&self, peer: &str, afresh: bool) -> LookedUp {
        let peers = self.node.peers();
        let known = if afresh { None } else { peers.peek(peer) };
        let found = match known {
            Some(actor) if !actor.is_gone() => Ok(actor),
            // Not the cached answer: a host that was away may be back.
            _ => peers.refetch(peer, Purpose::Own).await,
        };
        match found {
            Ok(actor) => match &actor.inbox {
                Some(inbox) => LookedUp::Found {
                    inbox: inbox.clone(),
                    shared_inbox: actor.shared_inbox.clone(),
                },
                None => LookedUp::Nowhere("the actor has no inbox".to_owned()),
            },
            Err(PeerError::Gone { .. }) => LookedUp::Gone,
            Err(error @ PeerError::Unreachable { .. }) => LookedUp::HostFailed(error.to_string()),
            Err(
                error @ (PeerError::NotFound
                | PeerError::NotAnActor(_)
                | PeerError::Usurped(_)
                | PeerError::Forbidden(_)),
            ) => LookedUp::Nowhere(error.to_string()),
        }
    }
}

/// The offset of what a `Delete` takes back, the first where it is several; all that its actor ever said, where
/// that goes.
fn taken_back(view: &View, delete: &Activity) -> Result<Option<u64>, StateError> {
    let (object, with) = match &delete.effect {
        Some(Effect::ActorDeleted { .. }) => return Ok(Some(0)),
        Some(Effect::Deleted { object, with, .. }) => (object, with),
        _ => return Ok(None),
    };
    let state = view.state();
    let mut first: Option<u64> = None;
    for id in std::iter::once(object).chain(with) {
        for digest in [state.digest_of_id(id)?, state.digest_of_object(id)?] {
            let seen = digest.map_or(Ok(None), |digest| state.seen(&digest))?;
            let offset = seen.map(|seen| seen.at.offset);
            first = [first, offset].into_iter().flatten().min();
        }
    }
    Ok(first)
}

fn stands(error: StateError) -> Fault {
    Fault::new("reading how a peer stands", error)
}

impl OverNode {
    /// What delivery needs, by way of `node` and `transport`.
    #[must_use]
    pub fn new(node: Node, transport: Arc<dyn Transport>, options: &DeliveryOptions) -> Self {
        Self {
            node,
            transport,
            documents: Mutex::default(),
            documents_max: options.documents,
        }
    }

    /// Whom a document asks to follow, and its id, if it is a Follow.
    fn follow(
        &self,
        digest: &Digest,
        doing: &'static str,
    ) -> Result<Option<(String, String)>, Fault> {
        let stored = self.node.view().stored(digest);
        let stored = stored.map_err(|error| Fault::new(doing, error))?;
        let Some(Subject::Activity(activity)) = stored.map(|stored| stored.header.subject) else {
            return Ok(None);
        };
        Ok(match activity.effect {
            Some(Effect::Follow { followed, .. }) => Some((followed, activity.id)),
            _ => None,
        })
    }

    fn following(
        &self,
        actor: ActorNo,
        peer: &str,
        doing: &'static str,
    ) -> Result<Relation, Fault> {
        let state = self.node.view().state();
        let relation = state.relation(actor, Direction::Following, peer);
        relation.map_err(|error| Fault::new(doing, error))
    }

    /// Whether an actor and a peer, or this instance and it, have blocked one another.
    fn is_blocked(&self, actor: ActorNo, peer: &str) -> Result<bool, Fault> {
        let state = self.node.view().state();
        let blocks = state.blocks(actor, peer).map_err(stands)?;
        Ok(blocks.any() || state.is_peer_blocked(peer).map_err(stands)?)
    }

    async fn append(&self, control: Control, doing: &'static str) -> Result<(), Fault> {
        let appended = async {
            let now_ms = self.node.now_ms();
            let writer = self.node.writer();
            writer.control(control, Bytes::new(), now_ms)?.wait().await
        };
        let appended = appended.await;
        appended.map_err(|error| Fault::new(doing, error))?;
        Ok(())
    }

    /// The request for a parcel, to be signed by its sender; nothing when the document is no longer there.
    fn request(&self, parcel: &Parcel) -> Result<Option<Request>, Fault> {
        const DOING: &str = "signing a delivery";
        let Some(body) = self.document(&parcel.digest)? else {
            return Ok(None);
        };
        let actor = self.sender(parcel.actor)?;
        let signatory = self
            .node
            .signatory(&actor)
            .map_err(|refusal| Fault::new(DOING, refusal))?;
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, MEDIA_TYPE)]);
        if parcel.to_followers {
            let said = self.node.synchronization(&actor, &parcel.inbox);
            if let Some(said) = said.map_err(|error| Fault::new(DOING, error))? {
                let said = HeaderValue::try_from(said.to_string());
                headers.insert(HEADER, said.map_err(|error| Fault::new(DOING, error))?);
            }
        }
        let limit = BodyLimit::Cut(ANSWER_BYTES);
        let request = Request::post(parcel.inbox.clone(), headers, body, limit);
        Ok(Some(request.signed_by(signatory).covering(&[HEADER])))
    }

    fn sender(&self, no: ActorNo) -> Result<Actor, Fault> {
        const DOING: &str = "reading a sender";
        let actor = self.node.view().state().actor(no);
        let actor = actor.map_err(|error| Fault::new(DOING, error))?;
        actor.ok_or_else(|| {
            let missing = format!("there is no actor {} here", no.0);
            Fault::new(DOING, Refusal::new(Code::NoSuchActor, missing))
        })
    }
}

impl fmt::Debug for OverNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverNode")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

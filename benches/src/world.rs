//! Data directories made ready in this process, through the same writer as the server's, and what a
//! remote actor would send.
//!
//! What is only there to be there (followers, a long journal) is appended without signatures: nothing
//! that is measured reads them again.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use fedsx_core::actor::{ActorKind, LocalActor, ed25519_key_id};
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::audience::PUBLIC;
use fedsx_core::cid::Digest;
use fedsx_core::context;
use fedsx_core::decide::Draft;
use fedsx_core::entry::{Activity, Authenticated, Effect, FollowRef, LogId, Visibility};
use fedsx_core::key::{Ed25519Signer, KeyRecord};
use fedsx_core::notation::{self, Notation};
use fedsx_core::proof;
use fedsx_core::state::Actor;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{Request, Response, Transport, TransportError};
use fedsx_discovery::clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_node::{HostPolicy, NewActor, Node, Parts, PublishOptions};
use fedsx_store::engine::EngineKind;
use fedsx_store::{Answer, Priority, Store, StoreOptions, WriterHandle};
use futures_util::future::BoxFuture;

/// Bytes of a note with its proof, about.
pub(crate) const NOTE_BYTES: usize = 1_350;
/// Entries that wait for the writer at once.
const WINDOW: usize = 1_024;
/// The segments of a server that nothing else was said to.
const SEGMENT_BYTES: u32 = 256 << 20;

/// An instance without a server: its store and its stages.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) node: Node,
}

impl World {
    /// Opens a data directory, made when missing, for the instance at `base_url`.
    pub(crate) fn open(dir: &Path, engine: EngineKind, base_url: &str) -> anyhow::Result<Self> {
        let options = StoreOptions {
            engine,
            segment_bytes: SEGMENT_BYTES,
            flush_every: Duration::from_secs(1),
            base_url: base_url.to_owned(),
            secret: None,
        };
        let (store, _) = Store::open(dir, &options).context("can't open the store")?;
        let transport: Arc<dyn Transport> = Arc::new(Silent);
        let fetcher = Fetcher::new(transport, PoolOptions::default(), clock::system());
        let fetcher = Arc::new(fetcher);
        let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
        let parts = Parts {
            instance: Instance::new(base_url).context("no base URL")?,
            store: &store,
            webfinger: WebFinger::new(Arc::clone(&fetcher), peers.clone(), true),
            fetcher,
            peers,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        };
        let node = Node::new(parts, clock::system());
        Ok(Self { store, node })
    }

    /// A local actor that accepts every follow.
    pub(crate) async fn actor(&self, name: &str) -> anyhow::Result<Actor> {
        let new = NewActor {
            name: name.to_owned(),
            kind: ActorKind::Person,
            display_name: None,
            summary: None,
            manual_approval: false,
        };
        let (actor, _) = self.node.create_actor(new).await?;
        Ok(actor)
    }

    /// Notes that a local actor publishes.
    pub(crate) async fn posts(&self, name: &str, count: usize) -> anyhow::Result<()> {
        for post in 0..count {
            let note = Map::from([
                ("type", "Note".to_owned()),
                ("content", format!("Post {post} of {name}")),
            ]);
            let options = PublishOptions::default();
            self.node.publish(name, note, options).await?;
        }
        Ok(())
    }

    /// Appends these, in order, and waits for all.
    pub(crate) async fn append(&self, drafts: impl Iterator<Item = Draft>) -> anyhow::Result<()> {
        append(&self.store.writer(), drafts).await
    }

    /// Lets the directory go.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let Self { store, node } = self;
        drop(node);
        store.close().context("can't close the store")
    }
}

/// Appends these, in order, and waits for all.
pub(crate) async fn append(
    writer: &WriterHandle,
    drafts: impl Iterator<Item = Draft>,
) -> anyhow::Result<()> {
    let mut waiting: VecDeque<Answer> = VecDeque::with_capacity(WINDOW);
    for draft in drafts {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.wait().await?;
        }
        waiting.push_back(writer.append(draft, Priority::Local)?);
    }
    for answer in waiting {
        answer.wait().await?;
    }
    Ok(())
}

/// A network on which nothing ever answers.
#[derive(Debug)]
pub(crate) struct Silent;

impl Transport for Silent {
    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(std::future::pending())
    }
}

/// An entry with nothing behind it.
pub(crate) fn draft(actor: &str, id: String, log: LogId, effect: Option<Effect>) -> Draft {
    let verb = match &effect {
        Some(Effect::Follow { .. }) => "Follow",
        Some(Effect::Accept { .. }) => "Accept",
        _ => "Create",
    };
    let is_local = log.side == fedsx_core::entry::Side::Outbox;
    Draft {
        activity: Activity {
            digest: Digest::of(id.as_bytes()),
            object_id: Some(format!("{id}/object")),
            id,
            verb: verb.to_owned(),
            actor: actor.to_owned(),
            published_ms: 1_767_225_600_000,
            authenticated: if is_local {
                Authenticated::Local
            } else {
                Authenticated::Proof
            },
            key: None,
            visibility: Visibility::Public,
            notation: Notation::Json,
            joined: Vec::new(),
            hidden: Vec::new(),
            effect,
            fan_out: false,
            backfilled: false,
            audience: Vec::new(),
            definitions: Vec::new(),
            mark: None,
            derived: None,
            defined_by: None,
            announced_by: None,
            embeds: None,
            imported: None,
        },
        logs: vec![log],
        payload: Bytes::from_static(b"{}"),
        received_ms: 1_767_225_600_000,
        new_as_of: None,
        judged_as_of: None,
    }
}

/// A follow between two actors and the answer to it: the local one's entries stand in its outbox, the
/// other's in its inbox.
pub(crate) fn follow(local: &Actor, follower: &Peer<'_>, followed: &Peer<'_>) -> [Draft; 2] {
    let log = |url: &str| {
        if url == local.url {
            LogId::outbox(local.no)
        } else {
            LogId::inbox(local.no)
        }
    };
    let id = format!("{}/follows?of={}", follower.url, followed.url);
    let asked = Effect::Follow {
        follower: follower.url.to_owned(),
        followed: followed.url.to_owned(),
        inbox: follower.inbox.map(str::to_owned),
        shared_inbox: follower.shared_inbox.map(str::to_owned),
        backfill: None,
    };
    let accepted = Effect::Accept {
        follow: FollowRef {
            follower: follower.url.to_owned(),
            followed: followed.url.to_owned(),
            id: Some(id.clone()),
            embedded: true,
        },
    };
    let answer = format!("{}/accepts?of={id}", followed.url);
    [
        draft(follower.url, id, log(follower.url), Some(asked)),
        draft(followed.url, answer, log(followed.url), Some(accepted)),
    ]
}

/// One side of a follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<'a> {
    pub(crate) url: &'a str,
    pub(crate) inbox: Option<&'a str>,
    pub(crate) shared_inbox: Option<&'a str>,
}

impl<'a> Peer<'a> {
    /// Somebody of whom nothing but the URL is needed.
    pub(crate) const fn of(url: &'a str) -> Self {
        Self {
            url,
            inbox: None,
            shared_inbox: None,
        }
    }
}

/// An actor of another instance, with its key.
#[derive(Debug)]
pub(crate) struct Remote {
    instance: Instance,
    name: ActorName,
    signer: Ed25519Signer,
}

impl Remote {
    pub(crate) fn new(base_url: &str) -> anyhow::Result<Self> {
        let instance = Instance::new(base_url).context("no base URL")?;
        let name = ActorName::parse("remote").context("a name")?;
        let key_id = ed25519_key_id(&instance.actor_url(name.as_str()), 1);
        Ok(Self {
            instance,
            name,
            signer: Ed25519Signer::new(key_id, &[7; 32]),
        })
    }

    pub(crate) fn url(&self) -> String {
        self.instance.actor_url(self.name.as_str())
    }

    /// Its key, as a Multikey.
    pub(crate) fn multikey(&self) -> String {
        self.signer.public_key().multibase().to_owned()
    }

    /// Its document, as its own server would serve it.
    pub(crate) fn document(&self) -> Bytes {
        let key = KeyRecord {
            id: ed25519_key_id(&self.url(), 1),
            key: self.signer.public_key(),
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        let actor = LocalActor {
            instance: &self.instance,
            name: &self.name,
            kind: ActorKind::Person,
            display_name: None,
            summary: None,
            manually_approves: false,
            keys: &[key],
            rsa_pem: None,
            published_ms: 1_767_225_600_000,
        };
        json(actor.document())
    }

    /// The `number`th public note, wrapped in `Create` and proved.
    pub(crate) fn note(&self, number: usize, now_ms: i64) -> Bytes {
        let url = self.url();
        let id = |kind| format!("{url}/{kind}/0199c3f0-0000-7000-8000-{number:012x}");
        let published = format_rfc3339_ms(now_ms);
        let cc = vec![format!("{url}/followers")];
        let note = Map::from([
            ("id", Value::from(id("objects"))),
            ("type", "Note".into()),
            ("attributedTo", url.as_str().into()),
            (
                "content",
                "A line of a note, as long as people write. "
                    .repeat(5)
                    .into(),
            ),
            ("published", published.as_str().into()),
            ("to", vec![PUBLIC].into()),
            ("cc", cc.clone().into()),
        ]);
        let create = Map::from([
            ("@context", context::of_activity()),
            ("id", id("activities").into()),
            ("type", "Create".into()),
            ("actor", url.as_str().into()),
            ("published", published.into()),
            ("to", vec![PUBLIC].into()),
            ("cc", cc.into()),
            ("object", note.into()),
        ]);
        json(proof::sign(&create, &self.signer, now_ms))
    }
}

fn json(map: Map) -> Bytes {
    Bytes::from(notation::write(Notation::Json, &Value::Map(map)))
}

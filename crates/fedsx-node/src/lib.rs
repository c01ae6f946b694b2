//! Where the stages run in order: what comes in ([`Node::ingest`]), what is published
//! ([`Node::publish`]) and what is owed in answer (`reactions`).
//!
//! Verification runs on the caller's task, before the writer; the writer only looks again at what can
//! have changed. What the pure kernel needs is fetched here, within bounds. Deliberately absent: a
//! server, gRPC, delivery.

mod actors;
mod announce;
mod backfill;
mod barred;
mod batch;
mod comparing;
mod control;
mod document;
mod erasure;
mod explain;
mod export;
mod farewell;
mod fault;
mod fold;
mod groups;
mod hosts;
mod import;
mod ingest;
mod keys;
mod learning;
mod log;
mod machine;
mod main_key;
mod moving;
mod profile;
mod programs;
mod publish;
mod quarantine;
mod reactions;
mod reader;
mod recovery;
mod refusals;
mod signatory;
mod social;
mod tokens;
mod triggers;
mod witness;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use fedsx_core::actor::PeerActor;
use fedsx_core::address::Instance;
use fedsx_core::decide;
use fedsx_core::entry::ActorNo;
use fedsx_core::key::{Ed25519Signer, KeyRecord};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_discovery::actor_cache::Peers;
use fedsx_discovery::budget::HostBudget;
use fedsx_discovery::clock::Clock;
use fedsx_discovery::pool::Fetcher;
use fedsx_discovery::webfinger::WebFinger;
use fedsx_store::delivery::Deliveries;
use fedsx_store::quarantine::Quarantine;
use fedsx_store::vault::Vault;
use fedsx_store::{Imports, Store, View, WriterHandle};
use tokio::sync::Semaphore;

pub use actors::NewActor;
pub use backfill::{BackfillOptions, BackfillStatus};
pub use barred::HostPolicy;
pub use batch::InBatch;
pub use comparing::{CompareOptions, Comparison};
pub use explain::{Explanation, Found, Standing};
pub use export::Exporter;
pub use fedsx_store::projections::Failure;
pub use fedsx_store::vault::{Scope, Token, TokenText};
pub use fold::{Answer, FoldFailed, Folds, Overview, WAIT_MAX, no_such_projection};
pub use import::{Import, Importer};
pub use ingest::{InboxPost, Receipt, RequestParts, Status};
pub use keys::Rotation;
pub use learning::LearnOptions;
pub use log::LogFile;
pub use machine::{Machine, NoRandomness, System};
pub use main_key::MainKeyRotation;
pub use publish::{PublishOptions, Published};
pub use reactions::Failed as FailedToSay;
pub use signatory::Itself;
pub use triggers::{Triggers, TriggersFailed};
pub use witness::{
    Asked, Declared, LogError, Outcome, Seen, Verification, Verified, WitnessOptions,
};

/// What a node is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// This instance's addresses.
    pub instance: Instance,
    /// The open data directory.
    pub store: &'a Store,
    /// How documents are fetched.
    pub fetcher: Arc<Fetcher>,
    /// The cache of peers' documents.
    pub peers: Peers,
    /// How handles are looked up.
    pub webfinger: WebFinger,
    /// Which hosts are shut out.
    pub hosts: HostPolicy,
}

/// The stages of an instance. A clone is the same node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

type OnContact = Box<dyn Fn(&str) + Send + Sync>;

struct Inner {
    instance: Instance,
    view: View,
    writer: WriterHandle,
    vault: Arc<Vault>,
    fetcher: Arc<Fetcher>,
    peers: Peers,
    webfinger: WebFinger,
    host_policy: HostPolicy,
    clock: Clock,
    machine: Arc<dyn Machine>,
    programs: programs::Programs,
    folds: Folds,
    triggers: Triggers,
    learning: learning::Learning,
    erasing: erasure::Erasing,
    comparing: comparing::Comparing,
    signed: log::Signed,
    cosigned: witness::Cosigned,
    watching: witness::Watching,
    deliveries: Arc<Deliveries>,
    quarantine: Arc<Quarantine>,
    imports: Imports,
    backfilling: backfill::Backfilling,
    /// Held while the pictures of an actor change.
    pictures: tokio::sync::Mutex<()>,
    refusals: refusals::Refusals,
    /// Who writes next as each actor.
    pens: Mutex<HashMap<ActorNo, Arc<Mutex<document::Pen>>>>,
    on_contact: OnceLock<OnContact>,
    /// Places on the threads that take batches.
    batches: Arc<Semaphore>,
    hosts: OnceLock<HostBudget>,
    itself: OnceLock<Itself>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("instance", &self.0.instance)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// A node over an open store. The time is `clock`'s.
    #[must_use]
    pub fn new(parts: Parts<'_>, clock: Clock) -> Self {
        Self::on(Arc::new(System), parts, clock)
    }

    /// The same on another machine.
    #[must_use]
    pub fn on(machine: Arc<dyn Machine>, parts: Parts<'_>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            instance: parts.instance,
            view: parts.store.view(),
            writer: parts.store.writer(),
            vault: parts.store.vault(),
            fetcher: parts.fetcher,
            peers: parts.peers,
            webfinger: parts.webfinger,
            host_policy: parts.hosts,
            clock,
            machine,
            programs: programs::Programs::new(),
            folds: Folds::new(parts.store.view(), parts.store.projections()),
            triggers: Triggers::new(parts.store.projections()),
            learning: learning::Learning::default(),
            erasing: erasure::Erasing::default(),
            comparing: comparing::Comparing::default(),
            signed: log::Signed::default(),
            cosigned: witness::Cosigned::default(),
            watching: witness::Watching::default(),
            deliveries: parts.store.deliveries(),
            quarantine: parts.store.quarantine(),
            imports: parts.store.imports(),
            backfilling: backfill::Backfilling::new(parts.store.backfills()),
            pictures: tokio::sync::Mutex::default(),
            refusals: refusals::Refusals::default(),
            pens: Mutex::default(),
            on_contact: OnceLock::new(),
            batches: Arc::new(Semaphore::new(batch::AT_ONCE)),
            hosts: OnceLock::new(),
            itself: OnceLock::new(),
        }))
    }

    /// This instance's addresses.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.0.instance
    }

    /// Everything that is applied.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.0.view
    }

    /// The write side, for control entries.
    #[must_use]
    pub fn writer(&self) -> &WriterHandle {
        &self.0.writer
    }

    /// The cache of peers' documents.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// The projections.
    #[must_use]
    pub fn folds(&self) -> &Folds {
        &self.0.folds
    }

    /// The triggers.
    #[must_use]
    pub fn triggers(&self) -> &Triggers {
        &self.0.triggers
    }

    /// Now, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    /// The clock itself.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Calls `tell` with the host (and port) of each request that was proved to come from it. Set once;
    /// later calls change nothing.
    pub fn on_contact(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        // A second one would mean two deliveries over one node, which the wiring never builds.
        let _already = self.0.on_contact.set(Box::new(tell));
    }

    /// The signer of an actor's present key, for its documents.
    ///
    /// # Errors
    /// `internal`, when the vault has no such key.
    pub fn signer(&self, actor: &Actor) -> Result<Arc<Ed25519Signer>, Refusal> {
        Ok(self.signing_key(&actor.keys)?.0)
    }

    /// The newest current one of an actor's keys.
    fn signing_key<'a>(
        &self,
        keys: &'a [KeyRecord],
    ) -> Result<(Arc<Ed25519Signer>, &'a KeyRecord), Refusal> {
        let record = keys.iter().rev().find(|key| key.is_current());
        let Some(record) = record else {
            let why = "the actor has no key to sign with";
            return Err(Refusal::new(Code::NoActiveKey, why));
        };
        match self.0.vault.signer(&record.id) {
            Ok(Some(signer)) => Ok((signer, record)),
            Ok(None) => Err(fault::internal("the vault lacks a key", &record.id)),
            Err(error) => Err(fault::internal("the vault can't give a key", &error)),
        }
    }

    /// The local actor of that name.
    ///
    /// # Errors
    /// `no-such-actor`; `gone`, when it was deleted.
    pub fn actor(&self, name: &str) -> Result<Actor, Refusal> {
        let found = self
            .0
            .view
            .state()
            .actor_by_name(name)
            .map_err(fault::state)?;
        match found {
            Some(actor) if actor.is_gone() => {
                let why = format!("the actor `{name}` was deleted");
                Err(Refusal::new(Code::Gone, why))
            }
            Some(actor) => Ok(actor),
            None => {
                let why = format!("there is no actor `{name}` here");
                Err(Refusal::new(Code::NoSuchActor, why))
            }
        }
    }

    fn facts<'a>(&'a self, known: &'a Known<'a>) -> decide::Facts<'a> {
        // Before anything is read, so that what is read is at least as new.
        let applied = self.0.view.applied();
        decide::Facts {
            applied,
            state: self.0.view.state(),
            peers: known,
            instance: &self.0.instance,
            now_ms: self.now_ms(),
        }
    }
}

/// Actors' documents, as the kernel asks for them.
struct Known<'a>(&'a Node);

impl decide::Peers for Known<'_> {
    fn peek(&self, actor: &str) -> Option<Arc<PeerActor>> {
        self.0.0.peers.peek(actor)
    }

    fn also_known_as(&self, actor: &str, other: &str) -> Option<bool> {
        let document = match self.0.0.instance.owns(actor) {
            // One that can't be read says nothing.
            true => self.0.own_document(actor).ok()?,
            false => self.peek(actor)?,
        };
        Some(document.also_known_as.iter().any(|alias| alias == other))
    }
}

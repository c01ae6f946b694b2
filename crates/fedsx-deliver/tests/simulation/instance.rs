//! One instance: a store on a disk that loses what a crash loses, a node and a delivery over it, and what makes each
//! step of them due. It runs nothing by itself; the world asks it for its next step.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fedsx_core::address;
use fedsx_core::export::{KeyKind, SecretKey};
use fedsx_deliver::fanout::Expander;
use fedsx_deliver::scheduler::Scheduler;
use fedsx_deliver::{DeliveryOptions, OverNode};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::Transport;
use fedsx_discovery::clock::Clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_node::{FailedToSay, HostPolicy, Node, Parts};
use fedsx_store::delivery::Deliveries;
use fedsx_store::engine::EngineKind;
use fedsx_store::simulation::{self, CrashDisk, CrashEngine, Dice, Stepper};
use fedsx_store::{Store, StoreError, StoreOptions};
use tempfile::TempDir;

use crate::machine::{Simulated, Waiting};
use crate::network::{Link, Outgoing};

/// The RSA key of everybody: drawing one takes longer than the rest of a run, and nobody looks at it here.
const RSA: &[u8] = include_bytes!("rsa-2048.pk8");

/// What an instance shares with the world for one life.
#[derive(Clone, Default)]
pub(crate) struct Ports {
    pub(crate) outgoing: Arc<Mutex<Vec<Outgoing>>>,
    pub(crate) waiting: Arc<Mutex<Waiting>>,
    /// The hosts that requests were proved to come from.
    pub(crate) contacts: Arc<Mutex<Vec<String>>>,
}

/// An instance, up or down.
pub(crate) struct Instance {
    pub(crate) index: usize,
    pub(crate) authority: String,
    options: StoreOptions,
    delivery: DeliveryOptions,
    dir: TempDir,
    disk: CrashDisk,
    engine: Arc<CrashEngine>,
    /// Its own clock, Unix milliseconds.
    clock: Arc<AtomicI64>,
    /// How far that is off.
    pub(crate) skew_ms: i64,
    pub(crate) life: u64,
    pub(crate) running: Option<Running>,
}

/// An instance that is up.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) stepper: Stepper,
    pub(crate) node: Node,
    pub(crate) outbound: Arc<OverNode>,
    pub(crate) deliveries: Arc<Deliveries>,
    /// Away while it expands.
    pub(crate) expander: Option<Expander<OverNode>>,
    pub(crate) scheduler: Scheduler,
    /// Away while something is said.
    pub(crate) failed: Option<FailedToSay>,
    pub(crate) ports: Ports,
    pub(crate) due: Due,
}

/// What may have come to have something to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) expand: bool,
    pub(crate) send: bool,
    pub(crate) say: bool,
}

/// What is left of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// The process was killed: the disk is as it was left.
    Killed,
    /// Power went off: of the disk there is what was synced, and anything of the rest.
    PowerLost,
    /// Killed, and the index was thrown away.
    IndexLost,
}

impl Instance {
    pub(crate) fn new(index: usize, skew_ms: i64, delivery: DeliveryOptions) -> Self {
        let authority = format!("i{index}.test");
        let options = StoreOptions {
            engine: EngineKind::Memory,
            segment_bytes: 96 << 10,
            flush_every: Duration::from_secs(1),
            base_url: format!("https://{authority}"),
            secret: Some(vec![7; 32]),
        };
        Self {
            index,
            authority,
            options,
            delivery,
            dir: scratch(),
            disk: CrashDisk::default(),
            engine: Arc::default(),
            clock: Arc::default(),
            skew_ms,
            life: 0,
            running: None,
        }
    }

    /// Takes up the world's time.
    pub(crate) fn set_time(&self, now_ms: i64) {
        self.clock.store(now_ms + self.skew_ms, Ordering::Relaxed);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Opens the store and whatever stands on it.
    pub(crate) fn start(&mut self, seed: u64, marks_apart: bool) -> Result<(), StoreError> {
        self.life += 1;
        let engine = Arc::clone(&self.engine);
        let files = Arc::new(self.disk.clone());
        let (store, stepper, _) = simulation::open(self.dir.path(), &self.options, files, engine)?;
        let stepper = match marks_apart {
            true => stepper.with_marks_apart(),
            false => stepper,
        };
        let ports = Ports::default();
        let ticks = Arc::clone(&self.clock);
        let clock: Clock = Arc::new(move || ticks.load(Ordering::Relaxed));
        let transport: Arc<dyn Transport> = Arc::new(Link {
            from: self.index,
            outgoing: Arc::clone(&ports.outgoing),
        });
        let pool = PoolOptions {
            // Nobody ever waits for a place: that would be tokio's time.
            concurrent: 10_000,
            per_host: 10_000,
            ..PoolOptions::default()
        };
        let fetcher = Fetcher::new(Arc::clone(&transport), pool, Arc::clone(&clock));
        let fetcher = Arc::new(fetcher);
        let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
        let parts = Parts {
            instance: address::Instance::new(&self.options.base_url).expect("a base URL"),
            store: &store,
            webfinger: WebFinger::new(Arc::clone(&fetcher), peers.clone(), false),
            fetcher,
            peers,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        };
        let machine = Simulated::new(seed, Arc::clone(&ports.waiting));
        let node = Node::on(Arc::new(machine), parts, clock);
        node.take_up_definitions().expect("reads");
        let contacts = Arc::clone(&ports.contacts);
        node.on_contact(move |host| contacts.lock().expect("one thread").push(host.to_owned()));
        let options = self.delivery.clone();
        let outbound = Arc::new(OverNode::new(node.clone(), transport, &options));
        let deliveries = store.deliveries();
        let expander = Expander::new(
            Arc::clone(&outbound),
            Arc::clone(&deliveries),
            options.clone(),
        );
        let scheduler =
            Scheduler::new(Arc::clone(&deliveries), options, seed).expect("memory reads");
        self.running = Some(Running {
            store,
            stepper,
            node,
            outbound,
            deliveries,
            expander: Some(expander),
            scheduler,
            failed: Some(FailedToSay::default()),
            ports,
            due: Due {
                expand: true,
                send: true,
                say: true,
            },
        });
        Ok(())
    }

    /// Ends the process, and leaves what that leaves.
    pub(crate) fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        self.running = None;
        self.disk = match crash {
            Crash::PowerLost => self.disk.after_power_loss(dice),
            Crash::Killed | Crash::IndexLost => self.disk.after_kill(),
        };
        self.engine = Arc::new(match crash {
            Crash::IndexLost => CrashEngine::default(),
            Crash::Killed | Crash::PowerLost => {
                self.engine.after_crash(dice).expect("memory takes all")
            }
        });
    }

    /// Has power go off at one of the next writes and syncs.
    pub(crate) fn cut_power_at(&self, operation: u64) {
        self.disk.power_off_at(Some(operation));
    }

    /// Power comes back before it was noticed to be off.
    pub(crate) fn keep_power(&self) {
        self.disk.power_off_at(None);
    }

    /// Keeps the keys that an actor gets next where it looks for them.
    pub(crate) fn leave_keys(&self, actor: &str, number: u32) {
        let running = self.running.as_ref().expect("it is up");
        let leave = |id: String, kind, secret: &[u8]| {
            let secret = secret.to_vec();
            let key = SecretKey { id, kind, secret };
            simulation::leave_key(&running.store, &key).expect("kept");
        };
        for kind in ["ed25519", "log"] {
            let id = format!("{actor}#{kind}-{number}");
            let seed = fedsx_core::cid::Digest::of(id.as_bytes());
            leave(id, KeyKind::Ed25519, seed.as_bytes());
        }
        if number == 1 {
            leave(format!("{actor}#main-key"), KeyKind::Rsa, RSA);
        }
    }

    /// A copy of the data directory as the disk has it, journal included.
    pub(crate) fn copy_to(&self, dir: &Path) {
        let journal = dir.join("journal");
        std::fs::create_dir_all(&journal).expect("a directory");
        let files: &dyn fedsx_store::journal::Files = &self.disk;
        for name in files.list().expect("memory lists") {
            std::fs::write(journal.join(&name), self.disk.contents(&name)).expect("written");
        }
    }

    /// The index made anew from the journal: its digest and its rows.
    pub(crate) fn rebuilt(&self) -> (fedsx_core::cid::Digest, u64) {
        let dir = scratch();
        let disk = Arc::new(self.disk.after_kill());
        let opened = simulation::open(
            dir.path(),
            &self.options,
            disk,
            Arc::new(CrashEngine::default()),
        );
        let (store, _, _) = opened.expect("opens");
        store.digest().expect("reads")
    }
}

/// A directory in memory where there is such a thing: what lies in it is synced, and a disk takes longer over that than the
/// rest of a run.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => TempDir::new_in(memory),
        false => TempDir::new(),
    };
    made.expect("a directory")
}

impl Running {
    /// Something was committed: whoever reads the index looks again.
    pub(crate) const fn committed(&mut self) {
        self.due.expand = true;
        self.due.say = true;
    }
}

impl Instance {
    /// What runs, of an instance that is up.
    pub(crate) const fn up(&mut self) -> &mut Running {
        self.running.as_mut().expect("it is up")
    }
}

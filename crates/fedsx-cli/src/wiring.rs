//! `serve`: puts an instance together, owns each of its tasks, and ends them in order.
//!
//! Invariants: no task runs that is not listed here; the end goes listeners → workers → writer drained
//! → index flushed → ledger, and what does not get there in time is cut and named. The process ends
//! badly when the store fails, because nothing may be promised any more.

mod addresses;
mod deliveries;
mod options;
mod tasks;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use fedsx_admin::{About, Token};
use fedsx_core::address::Instance;
use fedsx_core::genesis;
use fedsx_core::key::Commitment;
use fedsx_core::value::{Map, Value};
use fedsx_deliver::{Delivery, OverNode};
use fedsx_discovery::actor_cache::{Peers, PeersOptions, Pins};
use fedsx_discovery::client::{Bar, ClientOptions, GuardedClient, Transport};
use fedsx_discovery::clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_http::{AdminState, HttpState, ServeOptions, admin_router, router};
use fedsx_node::{HostPolicy, Itself, Node, Parts};
use fedsx_store::check::engine_of;
use fedsx_store::{Store, StoreOptions, View, WriterError};
use tokio::sync::oneshot;

use crate::admin_file::{AdminFile, Written};
use crate::args::Global;
use crate::config::{Config, Server};
use crate::failure::{Failure, sentence};
use crate::logging;
use crate::output::stdout;
use crate::shutdown::Signals;
use addresses::Addresses;
use deliveries::AdminDeliveries;
use options::{
    backfill_options, compare_options, delivery_options, http_options, learn_options, ms, rate,
    witness_options,
};
use tasks::Tasks;

/// What the store's own threads get beyond the deadline to end, before the process just ends, and to say
/// why they ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// The instance's token, bytes.
const TOKEN_BYTES: usize = 32;

/// Runs an instance until a signal or a failure; `adopt` takes the genesis of this program where the
/// data directory goes by another.
pub(crate) fn run(global: &Global, config: Config, adopt: bool) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(serve(global, config, adopt));
    runtime.shutdown_timeout(LAST_MOMENT);
    outcome
}

/// How a data directory is opened under these settings.
pub(crate) fn store_options(config: &Config, data_dir: &Path, base_url: String) -> StoreOptions {
    StoreOptions {
        engine: config.store.engine.unwrap_or_else(|| engine_of(data_dir)),
        segment_bytes: config.store.segment_mib << 20,
        flush_every: config.store.flush_every,
        base_url,
        secret: None,
    }
}

async fn serve(global: &Global, config: Config, adopt: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("can't catch signals")?;
    let addresses = Addresses::take(&global.data_dir, &config.server).await?;
    let mut running = Running::start(global, &config, addresses, adopt).await?;
    if let Err(error) = running.announce(global) {
        // Whoever started it need not read where it is; admin.json says it too.
        tracing::warn!(%error, "stdout can't be written");
    }
    let ended = tokio::select! {
        () = signals.first() => Ok(()),
        failed = &mut running.failure => Err(store_failure(failed)),
        task = running.tasks.ended() => Err(running.cause_of(task).await),
    };
    match &ended {
        Ok(()) => tracing::info!("stopping; a second signal stops at once"),
        Err(error) => tracing::error!(error = sentence(error), "stopping"),
    }
    let left = running.tasks.left();
    tokio::select! {
        stopped = running.stop(config.server.drain) => ended.and(stopped),
        () = signals.first() => {
            let cut = left.names().join(", ");
            tracing::warn!("stopped at once; what was accepted is safe in the journal; cut: {cut}");
            std::process::exit(1)
        }
    }
}

/// The definitions that are compiled in must be whole, and those that the data directory goes by.
async fn check_genesis(store: &Store, dir: &Path, adopt: bool) -> anyhow::Result<()> {
    genesis::verify().context("this program is damaged; install it anew")?;
    if !adopt {
        return Ok(store.check_genesis(dir)?);
    }
    if store.adopt_genesis(dir, clock::system()()).await? {
        tracing::warn!(bundle = %genesis::bundle(), "another genesis was adopted");
    }
    Ok(())
}

/// The writer has stopped by itself.
fn store_failure(
    outcome: Result<Result<(), WriterError>, oneshot::error::RecvError>,
) -> anyhow::Error {
    let what = "the journal can't be written, so nothing more is accepted";
    match outcome {
        Ok(Err(error @ WriterError::Engine(_))) => {
            let what = "the index can't be written, so nothing more is accepted; the journal has \
                        all that was answered, and the next start applies it";
            anyhow::Error::new(error).context(what)
        }
        Ok(Err(error)) => anyhow::Error::new(error).context(what),
        Ok(Ok(())) | Err(_) => anyhow::anyhow!(what),
    }
}

/// Everything that runs.
struct Running {
    url: String,
    admin_url: String,
    store: Store,
    node: Node,
    failure: oneshot::Receiver<Result<(), WriterError>>,
    tasks: Tasks,
    engine: &'static str,
    admin_file: Option<Written>,
}

impl Running {
    async fn start(
        global: &Global,
        config: &Config,
        addresses: Addresses,
        adopt: bool,
    ) -> anyhow::Result<Self> {
        let dir = &global.data_dir;
        let options = store_options(config, dir, addresses.base_url.clone());
        let (mut store, report) = Store::open(dir, &options)?;
        if let Some(cut) = &report.recovered.cut {
            tracing::warn!(
                offset = cut.offset,
                bytes = cut.bytes,
                "cut the torn tail that a crash had left"
            );
        }
        tracing::info!(
            entries = report.recovered.last_offset,
            applied_again = report.applied_again,
            "store open"
        );
        check_genesis(&store, dir, adopt).await?;
        let failure = store.failure().context("the writer is watched once")?;
        let (node, transport) = node(config, &store, &addresses.base_url)?;
        node.take_up_definitions()
            .context("the definitions can't be read")?;
        node.set_trust(config.definitions.trust.clone())
            .await
            .context("the trust policy can't be put on record")?;
        let delivery = Arc::new(Delivery::over_node(
            node.clone(),
            transport,
            store.deliveries(),
            delivery_options(config),
        ));
        let token = random_hex()?;
        let engine = options.engine.as_str();
        let mut running = Self {
            url: addresses.base_url.clone(),
            admin_url: addresses.admin_url()?,
            store,
            node,
            failure,
            tasks: Tasks::default(),
            engine,
            admin_file: None,
        };
        running.listen(&config.server, addresses, &delivery, Token::new(&token))?;
        running.work(config, delivery);
        let file = AdminFile {
            url: running.admin_url.clone(),
            token,
            pid: std::process::id(),
        };
        running.admin_file = Some(file.write(dir).context("can't write admin.json")?);
        Ok(running)
    }

    fn listen(
        &mut self,
        server: &Server,
        addresses: Addresses,
        delivery: &Arc<Delivery<OverNode>>,
        token: Token,
    ) -> anyhow::Result<()> {
        let salt = getrandom::u64().context("no randomness")?;
        let http = HttpState::new(self.node.clone(), &http_options(server, salt));
        let deliveries = Arc::new(AdminDeliveries::new(
            Arc::clone(delivery),
            self.node.clone(),
        ));
        let gauged = Arc::clone(&deliveries);
        let stopping = self.tasks.listeners.clone();
        let routes = admin_router(
            AdminState::new(http.clone())
                .ready_when(move || match stopping.is_cancelled() {
                    true => Err("stopping".to_owned()),
                    false => Ok(()),
                })
                .with_gauges(move |out| gauged.gauges(out)),
        );
        let admin = fedsx_admin::AdminState {
            node: self.node.clone(),
            deliveries,
            token,
            about: About {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                engine: self.engine.to_owned(),
                started_ms: self.node.now_ms(),
            },
            routes,
        };
        let options = ServeOptions {
            connections: server.connections,
            head_time: server.head_timeout,
            // Workers and store need the rest of the time.
            drain_time: server.drain / 2,
        };
        let stop = self.tasks.listeners.clone();
        let public = fedsx_http::serve(
            addresses.public,
            router(http.clone()),
            http.metrics(),
            options,
            stop,
        );
        self.tasks.listener("the public listener", async move {
            match public.await {
                0 => Ok(()),
                cut => anyhow::bail!("{cut} connections were cut"),
            }
        });
        let stop = self.tasks.listeners.clone();
        let admin = fedsx_admin::serve(addresses.admin, admin, stop);
        self.tasks
            .listener("the admin listener", async move { Ok(admin.await?) });
        Ok(())
    }

    fn work(&mut self, config: &Config, delivery: Arc<Delivery<OverNode>>) {
        let stop = self.tasks.workers.clone();
        self.tasks
            .worker("deliveries", async move { Ok(delivery.run(stop).await?) });
        let (stop, folds) = (self.tasks.workers.clone(), self.node.folds().clone());
        self.tasks
            .worker("projections", async move { Ok(folds.run(stop).await?) });
        if config.triggers.run {
            let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
            let triggers = node.triggers().clone();
            self.tasks.worker(
                "triggers",
                async move { Ok(triggers.run(node, stop).await?) },
            );
        }
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        let learn = learn_options(config);
        self.tasks.worker("definitions of others", async move {
            node.learn(learn, stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        let compare = compare_options(config);
        self.tasks.worker("comparison of followers", async move {
            node.compare(compare, stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        let backfill = backfill_options(config);
        self.tasks.worker("backfills", async move {
            node.backfill(backfill, stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        let watch = witness_options(config);
        self.tasks.worker("logs of others", async move {
            node.watch_logs(watch, stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        self.tasks.worker("old keys", async move {
            node.drop_former_keys(stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        self.tasks.worker("erasures", async move {
            node.erase(stop).await;
            Ok(())
        });
        let (stop, node) = (self.tasks.workers.clone(), self.node.clone());
        self.tasks.worker("answers to follows", async move {
            node.run(stop).await;
            Ok(())
        });
    }

    /// Why a task ended: when the writer stops, whoever follows the journal may be seen to end first.
    async fn cause_of(&mut self, task: anyhow::Error) -> anyhow::Error {
        match tokio::time::timeout(LAST_MOMENT, &mut self.failure).await {
            Ok(failed) => store_failure(failed),
            Err(_) => task,
        }
    }

    /// Says where everything is.
    fn announce(&self, global: &Global) -> anyhow::Result<()> {
        let dir = global.data_dir.display().to_string();
        let value = Map::from([
            ("url", Value::from(&*self.url)),
            ("admin", Value::from(&*self.admin_url)),
            ("dataDir", Value::from(&*dir)),
            ("store", Value::from(self.engine)),
        ]);
        let actors = self.node.view().state().actor_count().unwrap_or_default();
        stdout(global.output).one(&value, || {
            let next = match actors {
                0 => format!("fedsx actor create NAME --data-dir {dir}"),
                _ => format!("fedsx status --data-dir {dir}"),
            };
            format!(
                "fed-sx {} is running\n  public  {}\n  admin   {}  (token in {dir}/admin.json)\n  \
                 data    {dir}  ({}, {actors} actors)\n  next    {next}",
                env!("CARGO_PKG_VERSION"),
                self.url,
                self.admin_url,
                self.engine,
            )
        })?;
        Ok(())
    }

    /// Listeners, workers, writer, index, ledger; what is not done in time is named.
    async fn stop(self, drain: Duration) -> anyhow::Result<()> {
        let Self {
            store,
            tasks,
            admin_file,
            mut failure,
            ..
        } = self;
        let deadline = tokio::time::Instant::now() + drain;
        // First, so that no client comes to a server that ends.
        drop(admin_file);
        let running = tasks.left();
        let mut left = tasks.stop(deadline).await;
        running.also("the store");
        let closing = tokio::task::spawn_blocking(move || store.close());
        let closed = match tokio::time::timeout_at(deadline + LAST_MOMENT, closing).await {
            Ok(closed) => closed
                .context("the store broke while it closed")?
                .map_err(anyhow::Error::from),
            Err(_) => {
                left.push("the store".to_owned());
                Ok(())
            }
        };
        if !left.is_empty() {
            tracing::warn!(
                "cut, because {} s had passed: {}",
                drain.as_secs(),
                left.join(", ")
            );
        }
        if let Ok(Err(error)) = failure.try_recv() {
            return Err(store_failure(Ok(Err(error))));
        }
        closed
    }
}

/// The node, and the one client by which everything goes out.
fn node(
    config: &Config,
    store: &Store,
    base_url: &str,
) -> anyhow::Result<(Node, Arc<dyn Transport>)> {
    let instance = Instance::new(base_url).map_err(|error| Failure::usage(error.to_string()))?;
    let allow_private_peers = config.server.allow_private_peers || instance.is_loopback();
    let hosts = HostPolicy::new(store.view(), config.peers.allow.clone());
    let client = GuardedClient::new(&ClientOptions {
        allow_private_peers,
        timeout: config.peers.timeout,
        max_concurrent: config.peers.max_concurrent,
        bar: Bar::new({
            let hosts = hosts.clone();
            move |host| hosts.is_barred(host)
        }),
        ..ClientOptions::new(base_url)
    })?;
    let transport: Arc<dyn Transport> = Arc::new(client);
    let pool = PoolOptions {
        concurrent: config.peers.inbound_concurrent,
        per_minute: config.peers.inbound_per_minute,
        ..PoolOptions::default()
    };
    let itself = Itself::open(&instance, &store.vault(), clock::system())
        .context("the instance's own actor can't be made")?;
    let fetcher = Fetcher::new(Arc::clone(&transport), pool, clock::system());
    let fetcher = Arc::new(fetcher.signing(itself.signatory()));
    let peers = Peers::new(
        Arc::clone(&fetcher),
        PeersOptions {
            ttl_ms: ms(config.peers.ttl),
            negative_ttl_ms: ms(config.peers.negative_ttl),
            pins: pins(store.view()),
            ..PeersOptions::default()
        },
    );
    let webfinger = WebFinger::new(Arc::clone(&fetcher), peers.clone(), allow_private_peers);
    let parts = Parts {
        instance,
        store,
        fetcher,
        peers,
        webfinger,
        hosts,
    };
    let node = Node::new(parts, clock::system());
    node.be(itself);
    if let Some(rate) = rate(config.peers.posts_per_minute, config.peers.posts_burst) {
        node.limit_hosts(rate);
    }
    Ok((node, transport))
}

/// What peers are on record to commit to. Where that can't be read, the document at hand says it.
fn pins(view: View) -> Pins {
    Pins::new(move |actor| match view.state().recovery_of(actor) {
        Ok(digest) => Commitment::parse(&digest?),
        Err(error) => {
            tracing::error!(%error, "which recovery key a peer commits to can't be read");
            None
        }
    })
}

fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).context("no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

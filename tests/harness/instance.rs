//! One instance: a `fedsx serve` process on a directory, which is started, stopped, killed and started
//! again under the same URL.
//!
//! Invariant: the process ends with its owner, by its own id. When a test fails, the end of the log is
//! shown.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fedsx_admin::client::Client;
use fedsx_core::cid::Cid;
use serde_json::Value;
use tempfile::TempDir;

use super::program::send;
use super::{PATIENCE, Ran, Web, fedsx, program, within};

/// Deliveries are tried again soon, what could not be fetched is asked for again soon, and a host that is a
/// test may send what it wants.
const SOON: [&str; 5] = [
    "delivery.retry=50ms,100ms,200ms,200ms,200ms",
    "delivery.ledger_every=200ms",
    "peers.negative_ttl=100ms",
    "peers.inbound_per_minute=100000",
    "peers.posts_per_minute=0",
];
/// Lines of a log that a failing test shows.
const LINES: usize = 30;

/// How an instance is run.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The index engine.
    pub(crate) engine: &'static str,
    /// Further settings.
    pub(crate) settings: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            engine: "fjall",
            settings: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Instance {
    place: TempDir,
    port: u16,
    setup: Setup,
    running: Option<Running>,
}

/// A process that does not outlive its owner.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How to reach the admin API of an instance, whichever process serves it at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    dir: PathBuf,
}

impl Contact {
    /// Connects, if a server answers.
    pub(crate) async fn client(&self) -> Option<Client> {
        let (url, token, _) = admin_file(&self.dir)?;
        Client::connect(&url, &token).await.ok()
    }
}

impl Instance {
    /// A new instance, ready.
    pub(crate) async fn start() -> Self {
        Self::start_as(Setup::default()).await
    }

    /// [`Self::start`], run otherwise.
    pub(crate) async fn start_as(setup: Setup) -> Self {
        let mut instance = Self::not_started(setup);
        instance.restart().await;
        instance
    }

    /// Two of them, on an engine.
    pub(crate) async fn two_on(engine: &'static str) -> (Self, Self) {
        let setup = Setup {
            engine,
            ..Setup::default()
        };
        tokio::join!(Self::start_as(setup.clone()), Self::start_as(setup.clone()))
    }

    /// An instance that has a place and an address, and no process yet.
    pub(crate) fn not_started(setup: Setup) -> Self {
        Self {
            place: TempDir::new().expect("a temporary directory"),
            port: free_port(),
            setup,
            running: None,
        }
    }

    /// Its data directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    pub(crate) fn actor_url(&self, name: &str) -> String {
        format!("{}/actors/{name}", self.url())
    }

    /// `acct:name@127.0.0.1:port`.
    pub(crate) fn handle(&self, name: &str) -> String {
        format!("acct:{name}@{}", self.authority())
    }

    /// Another setting, for its next process.
    pub(crate) fn set(&mut self, setting: &str) {
        self.setup.settings.push(setting.to_owned());
    }

    /// HTTP to its public listener.
    pub(crate) fn web(&self) -> Web {
        Web::new(self.url())
    }

    pub(crate) fn contact(&self) -> Contact {
        Contact { dir: self.dir() }
    }

    /// Address and token of the admin API.
    pub(crate) fn admin(&self) -> (String, String) {
        let (url, token, _) = admin_file(&self.dir()).expect("it runs");
        (url, token)
    }

    /// The admin API.
    pub(crate) async fn client(&self) -> Client {
        let client = self.contact().client().await;
        client.expect("the admin API answers")
    }

    /// The command that serves it.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.dir())
            .args(["--listen", &self.authority()])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(["--store", self.setup.engine]);
        let settings = SOON.iter().copied();
        for setting in settings.chain(self.setup.settings.iter().map(String::as_str)) {
            command.args(["--set", setting]);
        }
        command
    }

    /// Has it run with these settings from its next start on.
    pub(crate) fn run_with(&mut self, settings: Vec<String>) {
        self.setup.settings = settings;
    }

    /// Starts the process, on whatever data is there, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.run(self.command()).await;
    }

    /// [`Self::restart`], with no file longer than `kib` KiB: a write behind that fails, as on a disk that
    /// is full or broken.
    pub(crate) async fn restart_with_files_up_to(&mut self, kib: u64) {
        let plain = self.command();
        let mut limited = Command::new("bash");
        // Ignored signals stay ignored over `exec`: the write fails, and doesn't kill.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
        limited
            .args(["-c", &script, "bash"])
            .arg(plain.get_program())
            .args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited.stdin(Stdio::null());
        self.run(limited).await;
    }

    async fn run(&mut self, mut command: Command) {
        assert!(self.running.is_none(), "it runs already");
        let log = self.log_file();
        let child = command
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.running = Some(Running(child));
        let pid = self.pid();
        let url = within(PATIENCE, "the admin file of a new process", async || {
            self.must_run();
            let (url, _, of) = admin_file(&self.dir())?;
            (of == pid).then_some(url)
        })
        .await;
        let admin = Web::new(url);
        within(PATIENCE, "the instance to be ready", async || {
            self.must_run();
            let answer = admin.try_get("/readyz").await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("it runs").0.id()
    }

    /// It must not have ended.
    pub(crate) fn must_run(&mut self) {
        let running = self.running.as_mut().expect("it was started");
        if let Some(status) = running.0.try_wait().expect("its state") {
            panic!("the instance ended by itself: {status}");
        }
    }

    /// SIGKILL: what a crash leaves is what is on disk.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.0.kill().expect("killed");
        running.0.wait().expect("it ended");
    }

    /// SIGTERM, to its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, self.pid());
    }

    /// What it has logged, in all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).expect("a log")
    }

    /// SIGTERM, to an end that must be in order.
    pub(crate) async fn stop(&mut self) {
        let status = self.terminate().await;
        assert_eq!(status.code(), Some(0), "an orderly end");
    }

    /// Waits for the process to end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let running = self.running.as_mut().expect("it runs");
        let status = within(Duration::from_secs(30), "the process to end", async || {
            running.0.try_wait().expect("its state")
        })
        .await;
        self.running = None;
        status
    }

    /// Runs a command of the program on this instance, with answers in JSON.
    pub(crate) fn cli<const N: usize>(&self, args: [&str; N]) -> Ran {
        let dir = self.dir();
        let dir = dir.to_str().expect("a path in UTF-8");
        let global = ["--data-dir", dir, "--output", "json"];
        fedsx(global.into_iter().chain(args))
    }

    /// [`Self::cli`], whose answer must be JSON.
    #[track_caller]
    pub(crate) fn json<const N: usize>(&self, args: [&str; N]) -> Value {
        self.cli(args).json()
    }

    /// Creates actors.
    pub(crate) fn create(&self, names: &[&str]) {
        for name in names {
            let created = self.json(["actor", "create", name]);
            assert_eq!(created["url"], *self.actor_url(name), "{created}");
        }
    }

    /// `name` follows `who`, a handle or URL; the CID of its Follow.
    pub(crate) fn follow(&self, name: &str, who: &str) -> String {
        cid_of(&self.json(["follow", name, who]))
    }

    /// Posts a public note; its Create's CID.
    pub(crate) fn post(&self, name: &str, text: &str) -> String {
        cid_of(&self.json(["post", name, text]))
    }

    /// Waits until `name` follows `count` others, all accepted.
    pub(crate) async fn following(&self, name: &str, count: usize) {
        self.relations("following", name, count).await;
    }

    /// Waits until all that `name` asked to follow was refused.
    pub(crate) async fn is_refused(&self, name: &str) {
        let what = format!("{name}'s follows are refused");
        within(PATIENCE, &what, async || {
            let list = self.json(["following", name]);
            let list = list.as_array().expect("a list");
            let refused = list.iter().filter(|one| one["state"] == "refused");
            (refused.count() == list.len() && !list.is_empty()).then_some(())
        })
        .await;
    }

    /// Waits until `count` others follow `name`, all accepted.
    pub(crate) async fn followers(&self, name: &str, count: usize) {
        self.relations("followers", name, count).await;
    }

    async fn relations(&self, which: &str, name: &str, count: usize) {
        let what = format!("{count} {which} of {name}");
        within(PATIENCE, &what, async || {
            let list = self.json([which, name]);
            let list = list.as_array().expect("a list");
            let accepted = list.iter().filter(|one| one["state"] == "accepted");
            (accepted.count() == count && list.len() == count).then_some(())
        })
        .await;
    }

    /// Waits until everything published so far is delivered.
    pub(crate) async fn delivered(&self) {
        within(PATIENCE, "an empty queue", async || {
            let backlog = self.json(["deliveries"]);
            let lanes = backlog["lanes"].as_array().expect("a list");
            (backlog["unexpanded"] == 0 && lanes.iter().all(is_done)).then_some(())
        })
        .await;
    }

    /// The newest offset and the hash of the derived rows.
    pub(crate) fn state(&self) -> (u64, String) {
        let status = self.json(["status", "--digest"]);
        let digest = status["digest"].as_str().expect("a digest").to_owned();
        (status["offset"].as_u64().expect("an offset"), digest)
    }

    /// `fedsx verify` finds nothing wrong.
    pub(crate) fn verify(&self) -> Value {
        let report = self.json(["verify"]);
        assert_eq!(report["clean"], true, "{report}");
        report
    }

    /// What is on disk verifies, and the index made anew from the journal is what the live one was.
    pub(crate) async fn rebuilt_equals_live(&mut self) {
        let live = self.state();
        self.stop().await;
        self.verify();
        let reindexed = self.json(["reindex"]);
        assert_eq!(reindexed["entries"], live.0, "{reindexed}");
        self.restart().await;
        assert_eq!(self.state(), live, "rebuilt equals live");
    }

    fn log_file(&self) -> File {
        let path = self.log_path();
        let log = OpenOptions::new().create(true).append(true).open(path);
        log.expect("a log file")
    }

    fn log_path(&self) -> PathBuf {
        self.place.path().join("log")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.running = None;
        if !std::thread::panicking() {
            return;
        }
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        show(&format!("the log of {} ends:\n{end}\n", self.url()));
    }
}

#[expect(clippy::print_stderr, reason = "the test's own account of a failure")]
fn show(text: &str) {
    eprintln!("{text}");
}

fn is_done(lane: &Value) -> bool {
    let has_none = ["queued", "setAside", "inFlight"]
        .iter()
        .all(|count| lane[count] == 0);
    has_none && lane["missedFrom"].is_null()
}

#[track_caller]
fn cid_of(published: &Value) -> String {
    let cid = published["cid"].as_str().expect("a CID");
    cid.parse::<Cid>().expect("a CID");
    cid.to_owned()
}

/// Address, token and process of the server of a directory, if it wrote them.
fn admin_file(dir: &Path) -> Option<(String, String, u32)> {
    let text = std::fs::read(dir.join("admin.json")).ok()?;
    let file: Value = serde_json::from_slice(&text).expect("admin.json is whole");
    let text = |key: &str| file[key].as_str().expect("a text").to_owned();
    let pid = file["pid"].as_u64().expect("a process");
    Some((
        text("url"),
        text("token"),
        u32::try_from(pid).expect("a process"),
    ))
}

/// A free port that stays ours while the process that listened on it is dead: below the range from
/// which systems give ports to those who name none, and begun elsewhere by each test process.
fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    const EACH: u32 = 16;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let number = std::process::id().wrapping_mul(EACH) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + number % PORTS).expect("below 32,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
        assert!(Instant::now() < deadline, "no port is free");
    }
}

//! The server under measurement: `fedsx serve` as a process of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How often it is asked.
const GLANCE: Duration = Duration::from_millis(2);

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    admin: SocketAddr,
    /// From starting the process until it said that it is ready.
    pub(crate) took: Duration,
}

/// A free port of the loopback address. Nobody else takes it in the moment until it is used.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("it is bound")?.port())
}

/// The base URL of an instance on a port.
pub(crate) fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Server {
    /// Starts a server on a data directory and waits until it is ready.
    pub(crate) fn start(fedsx: &Path, dir: &Path, port: u16, engine: &str) -> anyhow::Result<Self> {
        let log = dir.join("bench.log");
        let output = File::create(&log).with_context(|| format!("can't make {}", log.display()))?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let begun = Instant::now();
        let child = Command::new(fedsx)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen", &admin.to_string()])
            .args(["--store", engine, "--allow-private-peers"])
            // One host sends all there is.
            .args(["--set", "peers.posts_per_minute=0"])
            .arg("--data-dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("a file can be shared")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {}", fedsx.display()))?;
        let mut server = Self {
            child,
            admin,
            took: Duration::ZERO,
        };
        while !is_ready(admin) {
            if let Some(status) = server.child.try_wait().context("can't wait")? {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("the server ended with {status}:\n{log}");
            }
            if begun.elapsed() > READY {
                bail!("the server is not ready after {READY:?}");
            }
            std::thread::sleep(GLANCE);
        }
        server.took = begun.elapsed();
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The newest offset of its journal.
    pub(crate) fn journal_offset(&self) -> anyhow::Result<u64> {
        let page = metrics(self.admin)?;
        let offset = page
            .lines()
            .find_map(|line| line.strip_prefix("fedsx_journal_offset "));
        let offset = offset.context("the metrics tell no offset")?;
        offset.parse().context("an offset is a number")
    }

    /// Waits until every projection has folded all there is.
    pub(crate) async fn folded(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !metrics(self.admin)?.contains("\nfedsx_projections_lag 0\n") {
            if begun.elapsed() > READY {
                bail!("the projections are behind after {READY:?}");
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement that misses it has told.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).context("no admin listener")?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
        .context("the admin listener takes no request")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("the admin listener gives no answer")?;
    Ok(answer)
}

fn is_ready(address: SocketAddr) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    asked().unwrap_or(false)
}

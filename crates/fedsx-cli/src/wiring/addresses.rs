//! Where the instance listens and what it is called, taken before anything is opened.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use fedsx_core::address::Instance;
use fedsx_store::lock::DirectoryLock;
use fedsx_store::recorded_url;
use tokio::net::TcpListener;

use crate::config::Server;
use crate::failure::Failure;

/// Both listeners and the base URL.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) public: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) base_url: String,
}

impl Addresses {
    /// Binds both listeners. Port 0 takes a free port, but for a data directory that belongs to an
    /// address already: that one.
    pub(super) async fn take(data_dir: &Path, server: &Server) -> anyhow::Result<Self> {
        if data_dir.is_dir() {
            // Looked at before the ports, so that a second server on a directory says what is wrong. It
            // is taken for good when the store opens.
            drop(DirectoryLock::acquire(data_dir)?);
        }
        let recorded = recorded_url(data_dir)?;
        let known = recorded.as_deref().filter(|_| server.url.is_none());
        let listen = known
            .and_then(|url| same_place(url, server.listen))
            .unwrap_or(server.listen);
        let public = bind(listen, "--listen").await?;
        let admin = bind(server.admin_listen, "--admin-listen").await?;
        let real = public.local_addr().context("the listener has no address")?;
        let base_url = base_url(server.url.as_deref(), recorded.as_deref(), real)?;
        Ok(Self {
            public,
            admin,
            base_url,
        })
    }

    pub(super) fn admin_url(&self) -> anyhow::Result<String> {
        let address = self
            .admin
            .local_addr()
            .context("the listener has no address")?;
        // From here, a listener on all addresses is reached on the loopback one.
        let address = match (address.ip().is_unspecified(), address) {
            (false, address) => address,
            (true, SocketAddr::V4(_)) => SocketAddr::from(([127, 0, 0, 1], address.port())),
            (true, SocketAddr::V6(_)) => {
                SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port()))
            }
        };
        Ok(format!("http://{address}"))
    }
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!(
            "can't listen on {address}: {error}; choose another address with {flag} (port 0 takes a free one)"
        ))
    })
}

/// The address of a recorded URL, when `listen` leaves the port open and means the same interface.
fn same_place(url: &str, listen: SocketAddr) -> Option<SocketAddr> {
    let recorded: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
    (listen.port() == 0 && listen.ip() == recorded.ip()).then_some(recorded)
}

/// The URL asked for; else the one the data directory belongs to, unless that one only names a
/// listener; else the listener's.
fn base_url(
    asked: Option<&str>,
    recorded: Option<&str>,
    real: SocketAddr,
) -> Result<String, Failure> {
    let public = |url: &&str| Instance::new(url).is_ok_and(|instance| !instance.is_loopback());
    if let Some(url) = asked.or_else(|| recorded.filter(|url| public(url))) {
        return Ok(url.to_owned());
    }
    if real.ip().is_unspecified() {
        return recorded.map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!(
                "{real} is every address of this machine and none that others could use: say with --url which they do"
            ))
        });
    }
    let url = format!("http://{real}");
    // Written as every other URL is (port 80 is left out).
    Instance::new(&url)
        .map(|instance| instance.base_url().to_owned())
        .map_err(|error| Failure::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_free_port_is_the_one_the_directory_belongs_to() {
        let recorded = "http://127.0.0.1:4711";
        assert_eq!(
            same_place(recorded, address("127.0.0.1:0")),
            Some(address("127.0.0.1:4711"))
        );
        for other in ["127.0.0.1:8080", "127.0.0.2:0"] {
            assert_eq!(same_place(recorded, address(other)), None);
        }
        assert_eq!(
            same_place("https://a.example", address("127.0.0.1:0")),
            None
        );
    }

    #[test]
    fn the_base_url_is_asked_for_or_kept_or_the_listeners() {
        let url = |asked, recorded, real| {
            base_url(asked, recorded, address(real)).map_err(|failure| failure.exit)
        };
        let (kept, local) = (Some("https://a.example"), Some("http://127.0.0.1:1"));
        assert_eq!(
            url(None, None, "127.0.0.1:80"),
            Ok("http://127.0.0.1".to_owned())
        );
        assert_eq!(
            url(None, None, "[::1]:8080"),
            Ok("http://[::1]:8080".to_owned())
        );
        assert_eq!(
            url(Some("http://b.example"), kept, "127.0.0.1:1"),
            Ok("http://b.example".to_owned())
        );
        assert_eq!(
            url(None, kept, "0.0.0.0:80"),
            Ok("https://a.example".to_owned())
        );
        // The store refuses, because this directory belongs to another port.
        assert_eq!(
            url(None, local, "127.0.0.1:2"),
            Ok("http://127.0.0.1:2".to_owned())
        );
        assert_eq!(
            url(None, None, "0.0.0.0:80"),
            Err(crate::failure::Exit::Usage)
        );
    }
}

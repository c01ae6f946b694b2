//! The other side of federation, as cheap as it can be: takes every POST with 202 and counts it, of a batch each
//! activity, and answers every GET with the one actor document it has.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use fedsx_core::batch::{self, Answer, write_answers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::load::content_length;

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) posts: usize,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

/// Listens on some ports for as long as it lives.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) ports: Vec<u16>,
    state: Arc<State>,
    /// Its tasks, which end with it.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    document: Mutex<Bytes>,
    arrived: watch::Sender<Option<Arrived>>,
}

impl Sink {
    pub(crate) async fn open(ports: usize) -> anyhow::Result<Self> {
        Self::at(&vec![Ipv4Addr::LOCALHOST; ports]).await
    }

    /// Listens on one port for whoever comes from this machine, at whichever of its addresses.
    pub(crate) async fn on_all_loopback_addresses() -> anyhow::Result<Self> {
        Self::at(&[Ipv4Addr::UNSPECIFIED]).await
    }

    async fn at(addresses: &[Ipv4Addr]) -> anyhow::Result<Self> {
        let state = Arc::new(State {
            document: Mutex::default(),
            arrived: watch::channel(None).0,
        });
        let mut tasks = JoinSet::new();
        let mut bound = Vec::with_capacity(addresses.len());
        for address in addresses {
            let address = SocketAddr::from((*address, 0));
            let listener = TcpListener::bind(address).await.context("no free port")?;
            bound.push(listener.local_addr().context("it is bound")?.port());
            tasks.spawn(listen(listener, Arc::clone(&state)));
        }
        Ok(Self {
            ports: bound,
            state,
            _tasks: tasks,
        })
    }

    /// Answers every GET with this from now on.
    pub(crate) fn serve(&self, document: Bytes) {
        *self.state.lock() = document;
    }

    /// Waits until so many posts have arrived.
    pub(crate) async fn posts(&self, count: usize) -> anyhow::Result<Arrived> {
        let mut arrived = self.state.arrived.subscribe();
        let enough = |arrived: &Option<Arrived>| arrived.is_some_and(|all| all.posts >= count);
        let seen = arrived.wait_for(enough).await.context("the sink is open")?;
        seen.context("some arrived")
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Bytes> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, posts: usize) {
        let now = Instant::now();
        self.arrived.send_modify(|arrived| {
            let all = arrived.get_or_insert(Arrived {
                posts: 0,
                first: now,
                last: now,
            });
            all.posts += posts;
            all.last = now;
        });
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, from)) = listener.accept().await {
        if !from.ip().is_loopback() {
            continue;
        }
        let state = Arc::clone(&state);
        // What breaks off is the sender's to notice.
        connections.spawn(async move { converse(stream, &state).await.unwrap_or_default() });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received: Vec<u8> = Vec::with_capacity(8_192);
    loop {
        let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let whole = head + 4 + content_length(&received[..head]).unwrap_or(0);
        while received.len() < whole {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        let answer = if received.starts_with(b"POST /inbox/batch ") {
            let body = Bytes::copy_from_slice(&received[head + 4..whole]);
            let count = batch::read(&body).map_or(0, |activities| activities.len());
            state.count(count);
            taken(count)
        } else if received.starts_with(b"POST") {
            state.count(1);
            Bytes::from_static(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        } else {
            let document = state.lock().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/activity+json\r\ncontent-length: {}\r\n\r\n",
                document.len()
            );
            Bytes::from([head.as_bytes(), &document].concat())
        };
        stream.write_all(&answer).await?;
        received.drain(..whole);
    }
}

/// The answer to a batch of so many.
fn taken(count: usize) -> Bytes {
    let taken = Answer {
        cid: None,
        status: 202,
        code: None,
        detail: None,
        retry_after_s: None,
    };
    let body = write_answers(&vec![taken; count]);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from([head.as_bytes(), &body].concat())
}

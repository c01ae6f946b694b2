//! The pass over the logs of all whom somebody here follows, and over those of our own that wait for a word of their
//! followers.

use std::time::Duration;

use fedsx_core::refusal::Refusal;
use fedsx_store::UrlHash;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::LogError;
use crate::{Node, fault};

/// Peers read at once.
const PAGE: usize = 64;
/// Logs that one pass looks at.
const LOGS: usize = 10_000;
/// Logs looked at at once.
const AT_ONCE: usize = 4;
/// How long one log may take.
const TIME: Duration = Duration::from_secs(120);

/// When logs are looked at, all in milliseconds.
#[derive(Clone, Debug)]
pub struct WitnessOptions {
    /// Between two passes over all who are followed; 0 is none.
    pub every_ms: i64,
    /// Between two rounds of asking the followers of an actor that came back from a copy.
    pub ask_every_ms: i64,
    /// For how long those of its followers are waited for that give no answer.
    pub wait_ms: i64,
}

impl Default for WitnessOptions {
    fn default() -> Self {
        const MINUTE_MS: i64 = 60_000;
        Self {
            every_ms: 6 * 60 * MINUTE_MS,
            ask_every_ms: MINUTE_MS,
            wait_ms: 60 * MINUTE_MS,
        }
    }
}

impl Node {
    /// Looks at the logs of those who are followed, and has those of our own released, until stopped.
    pub async fn watch_logs(self, options: WitnessOptions, stop: CancellationToken) {
        tokio::join!(
            self.watch_theirs(&options, &stop),
            self.release_ours(&options, &stop)
        );
    }

    async fn watch_theirs(&self, options: &WitnessOptions, stop: &CancellationToken) {
        if options.every_ms == 0 {
            return;
        }
        let mut place = None;
        // The first one soon: an instance that never runs for long keeps up as well.
        let mut wait_ms = options.every_ms / 16;
        loop {
            let rest = tokio::time::sleep(Duration::from_millis(wait_ms.max(1).unsigned_abs()));
            if stop.run_until_cancelled(rest).await.is_none() {
                return;
            }
            match stop.run_until_cancelled(self.look_at_all(&mut place)).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(refusal)) => tracing::error!(%refusal, "a pass over logs broke off"),
            }
            wait_ms = options.every_ms;
        }
    }

    /// Looks at the logs of those who are followed from a place on, as many as one pass may.
    async fn look_at_all(&self, place: &mut Option<UrlHash>) -> Result<(), Refusal> {
        for _ in 0..LOGS / PAGE {
            let page = self.0.view.peers_asked(place.as_ref(), PAGE);
            let page = page.map_err(fault::read)?;
            let Some((last, _)) = page.last() else {
                *place = None;
                return Ok(());
            };
            *place = Some(*last);
            let mut followed = Vec::new();
            for (_, peer) in page {
                let related = self.0.view.state().locals_related(&peer);
                let is_followed = related
                    .map_err(fault::state)?
                    .iter()
                    .any(|(_, follows)| *follows);
                if is_followed && !self.0.instance.owns(&peer) {
                    followed.push(peer);
                }
            }
            let looks = followed
                .into_iter()
                .map(|peer| async move { self.look_in_pass(&peer).await });
            stream::iter(looks)
                .for_each_concurrent(AT_ONCE, |look| look)
                .await;
        }
        Ok(())
    }

    /// One look at a log in a pass, and what others kept of it.
    async fn look_in_pass(&self, peer: &str) {
        let look = async {
            let (head, seen) = self.look_at_log(peer).await?;
            self.compare_log(peer, &head).await;
            Ok::<_, LogError>(seen)
        };
        match tokio::time::timeout(TIME, look).await {
            Ok(Ok(seen)) => tracing::debug!(peer, ?seen, "a log was looked at"),
            Ok(Err(error)) if error.is_broken() => {
                tracing::warn!(peer, %error, "a log does not hold together");
            }
            Ok(Err(error)) => tracing::debug!(peer, %error, "a log can't be looked at"),
            Err(_) => tracing::debug!(peer, "a log takes too long"),
        }
    }

    async fn release_ours(&self, options: &WitnessOptions, stop: &CancellationToken) {
        let until_ms = self.now_ms() + options.wait_ms;
        loop {
            let released = self.release_held(self.now_ms() < until_ms);
            match stop.run_until_cancelled(released).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(refusal)) => tracing::error!(%refusal, "our own logs can't be released"),
            }
            let wait = Duration::from_millis(options.ask_every_ms.max(1).unsigned_abs());
            if stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

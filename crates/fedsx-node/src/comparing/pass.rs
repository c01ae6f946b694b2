//! The pass over all peers that were ever asked: those who say nothing by themselves are compared as well, and
//! requests that got no answer are said again.
//!
//! It goes in the order of places, a bounded part each time, and on from there the next. It begins anywhere, so that
//! an instance that never runs for long comes to all of them as well.

use std::time::Duration;

use fedsx_core::refusal::Refusal;
use fedsx_core::state::Actor;
use fedsx_store::UrlHash;
use tokio_util::sync::CancellationToken;

use super::CompareOptions;
use super::schedule::Asked;
use crate::{Node, fault};

/// Peers read at once.
const PAGE: usize = 64;
/// Peers that one pass visits.
const PEERS: usize = 10_000;
/// Requests that one pass says again.
const REQUESTS: usize = 1_000;
/// The first pass comes after this part of the time between two.
const FIRST: i64 = 16;
/// How long is waited for room among those who wait.
const ROOM: Duration = Duration::from_secs(1);

impl Node {
    pub(super) async fn pass(&self, options: &CompareOptions, stop: &CancellationToken) {
        if options.every_ms == 0 {
            return;
        }
        let mut place = UrlHash::default();
        // Without randomness it begins at the beginning.
        let _random = getrandom::fill(&mut place);
        let mut place = Some(place);
        let mut wait_ms = options.every_ms / FIRST;
        loop {
            // The time between two passes, which nothing waits for: apart by chance, so that instances that were started
            // together don't ask at once.
            let rest = Duration::from_millis((wait_ms + self.jitter(wait_ms)).unsigned_abs());
            let rest = tokio::time::sleep(rest);
            if stop.run_until_cancelled(rest).await.is_none() {
                return;
            }
            let visits = self.visit_all(&mut place, options);
            match stop.run_until_cancelled(visits).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(refusal)) => tracing::error!(%refusal, "a pass over followers broke off"),
            }
            wait_ms = options.every_ms;
        }
    }

    /// Visits peers from a place on, round to it again or as many as one pass may.
    async fn visit_all(
        &self,
        place: &mut Option<UrlHash>,
        options: &CompareOptions,
    ) -> Result<(), Refusal> {
        let begun_at = *place;
        let mut is_round = begun_at.is_none();
        let (mut peers, mut requests) = (0, 0);
        loop {
            let page = self.0.view.peers_asked(place.as_ref(), PAGE);
            let page = page.map_err(fault::read)?;
            if page.is_empty() {
                *place = None;
                if is_round {
                    return Ok(());
                }
                is_round = true;
                continue;
            }
            for (at, peer) in page {
                if is_round && begun_at.is_some_and(|begun_at| at > begun_at) {
                    return Ok(());
                }
                *place = Some(at);
                requests += self.visit(&peer, options, REQUESTS - requests).await?;
                peers += 1;
                if peers == PEERS || requests == REQUESTS {
                    return Ok(());
                }
            }
        }
    }

    /// Has one peer compared, once the requests to it that are stuck were said again, `most` of them; how many were.
    async fn visit(
        &self,
        peer: &str,
        options: &CompareOptions,
        most: usize,
    ) -> Result<usize, Refusal> {
        if self.0.instance.owns(peer) || self.let_in(peer).is_err() {
            return Ok(0);
        }
        let mut said = 0;
        let related = self.0.view.state().locals_related(peer);
        for (no, follows) in related.map_err(fault::state)? {
            if follows || said == most {
                continue;
            }
            let actor = self.0.view.state().actor(no).map_err(fault::state)?;
            let Some(actor) = actor.filter(|actor: &Actor| !actor.is_gone()) else {
                continue;
            };
            match self.ask_again(&actor, peer, options.ask_again_ms).await {
                Ok(again) => said += usize::from(again),
                Err(refusal) => {
                    tracing::warn!(actor = actor.name, peer, %refusal, "not asked again");
                }
            }
        }
        loop {
            let now_ms = self.now_ms();
            let asked = self.0.comparing.schedule().ask(peer, now_ms, now_ms);
            if asked != Asked::Full {
                self.0.comparing.changed.notify_one();
                return Ok(said);
            }
            tokio::time::sleep(ROOM).await;
        }
    }
}

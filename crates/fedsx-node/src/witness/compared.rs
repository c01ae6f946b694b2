//! Comparing what is kept of a log with what others kept of it.
//!
//! Asked are two whose cosignatures the log shows, and two who were heard of lately: a log that shows different things
//! to different people does not show them each other. Invariant: what others say is nothing but a checkpoint that the
//! log signed; it is believed by its signature and the log's own tiles.

use fedsx_core::actor::{with_scheme, without_scheme};
use fedsx_core::limits;
use fedsx_core::transparency::{Judged, Note, Witnessed, judge, tiles_to_judge};
use fedsx_discovery::log::witness_url;
use fedsx_discovery::pool::Purpose;

use super::{Head, LogError};
use crate::Node;

/// Of each kind, how many are asked.
const ASKED: usize = 2;

impl Node {
    /// Asks some others what they kept of a log that was just looked at; how many answered, and whether any had
    /// something that contradicts it.
    pub(super) async fn compare_log(&self, peer: &str, head: &Head) -> (usize, bool) {
        let (mut answered, mut forked) = (0, false);
        for base in self.others(peer, head) {
            match self.compare_with(peer, head, &base).await {
                Ok(Some(is_forked)) => {
                    answered += 1;
                    forked |= is_forked;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(base, %error, "a log can't be compared"),
            }
        }
        (answered, forked)
    }

    /// The base URLs of those who are asked.
    fn others(&self, peer: &str, head: &Head) -> Vec<String> {
        let own = without_scheme(self.0.instance.base_url());
        let of_log = fedsx_core::state::host(peer);
        let cosigners = head
            .note
            .signatures()
            .iter()
            .filter_map(|by| by.name.strip_suffix("/actor"));
        let mut others: Vec<String> = Vec::new();
        let mut add = |host: &str| {
            let is_new = host != own && host != of_log && !others.iter().any(|other| other == host);
            if is_new {
                others.push(host.to_owned());
            }
            is_new
        };
        let _cosigners = cosigners.filter(|host| add(host)).take(ASKED).count();
        let contacts = self.0.watching.contacts.lock();
        let mut contacts = contacts.unwrap_or_else(std::sync::PoisonError::into_inner);
        let _heard = contacts.iter().filter(|host| add(host)).take(ASKED).count();
        // Others next time.
        let places = ASKED.min(contacts.len());
        contacts.rotate_left(places);
        drop(contacts);
        others.iter().map(|name| with_scheme(name)).collect()
    }

    /// Whether what is kept at another instance contradicts this head; nothing where nothing is kept there that can be
    /// compared yet.
    async fn compare_with(
        &self,
        peer: &str,
        head: &Head,
        base: &str,
    ) -> Result<Option<bool>, LogError> {
        self.let_in(base)?;
        let url = witness_url(base, peer);
        let bytes = self
            .0
            .fetcher
            .log_file(&url, limits::NOTE_BYTES, Purpose::Own);
        let note = Note::parse(&bytes.await?)?;
        let (theirs, kept) = Witnessed::of(&note, &head.log.note_key()?)?;
        let is_ahead = theirs.size > head.checkpoint.size;
        let (older, newer) = match is_ahead {
            true => (&head.witnessed, &kept),
            false => (&kept, &head.witnessed),
        };
        let sizes = match is_ahead {
            true => (head.checkpoint.size, theirs.size),
            false => (theirs.size, head.checkpoint.size),
        };
        let needed = tiles_to_judge(sizes.0, sizes.1);
        // Of a fork, the log may serve this side alone. Then they will see it, or we, once this one is the longer.
        let mut tiles = self.tiles_of(&head.log, sizes.1, needed).await?;
        match judge(older, newer, &mut tiles)? {
            Judged::Forked(fork) => {
                self.keep_fork(peer, fork).await?;
                Ok(Some(true))
            }
            Judged::Same | Judged::Grown | Judged::Behind => Ok(Some(false)),
        }
    }
}

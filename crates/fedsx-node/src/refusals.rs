//! The last refusals of what others sent, for whoever asks why something did not arrive.
//!
//! In memory and bounded; the oldest go first. Deliberately absent: what was refused because too much
//! waited or came from its host, since that says nothing about it, and sources, which are in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::envelope::Document;
use fedsx_core::limits::{self, ACCOUNTS};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Value;

use crate::{InboxPost, Node};

/// The longest text kept of what was refused, bytes.
const TEXT_BYTES: usize = 256;

/// One refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    pub(crate) digest: Digest,
    pub(crate) id: String,
    pub(crate) actor: String,
    pub(crate) verb: String,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) at_ms: i64,
}

/// The newest refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<VecDeque<Refused>>);

impl Refusals {
    fn add(&self, refused: Refused) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= ACCOUNTS {
            ring.pop_front();
        }
        ring.push_back(refused);
    }

    /// The newest refusal of a document of that CID, or with that `id`.
    pub(crate) fn find(&self, cid: Option<&Cid>, id: &str) -> Option<Refused> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |refused: &&Refused| match cid {
            Some(cid) => Cid::of_document(refused.digest) == *cid,
            None => refused.id == id,
        };
        ring.iter().rev().find(is_it).cloned()
    }
}

impl Node {
    /// Notes a refusal of what is a document at all. It is read again for that, so that who is not
    /// refused pays nothing.
    pub(crate) fn note_refusal(&self, post: &InboxPost, refusal: &Refusal) {
        if matches!(
            refusal.code,
            Code::QueueFull | Code::RateLimited | Code::Internal
        ) {
            return;
        }
        let bytes = post.body.clone();
        let Ok(document) = Document::read(post.notation, bytes, limits::DOCUMENT_IN_BYTES) else {
            return;
        };
        let text = |member| {
            let text = document.map.get(member).and_then(Value::as_str);
            shortened(text.unwrap_or_default())
        };
        self.0.refusals.add(Refused {
            digest: document.digest,
            id: text("id"),
            actor: text("actor"),
            verb: text("type"),
            code: refusal.code_text().into_owned(),
            detail: shortened(&refusal.detail),
            at_ms: self.now_ms(),
        });
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_found_by_cid_and_id() {
        let refusals = Refusals::default();
        let digest = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 0..=ACCOUNTS {
            refusals.add(Refused {
                digest: digest(number),
                id: format!("https://a.example/{}", number / 2),
                actor: "https://a.example/a".to_owned(),
                verb: "Pin".to_owned(),
                code: "schema".to_owned(),
                detail: number.to_string(),
                at_ms: 7,
            });
        }
        let by_cid = |number| refusals.find(Some(&Cid::of_document(digest(number))), "");
        assert_eq!(by_cid(0), None, "the oldest went");
        assert_eq!(by_cid(1).map(|refused| refused.detail), Some("1".into()));
        let newest = refusals.find(None, "https://a.example/7");
        assert_eq!(newest.map(|refused| refused.detail), Some("15".into()));
    }
}

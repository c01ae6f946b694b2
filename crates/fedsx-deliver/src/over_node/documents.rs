//! The documents that are sent, with those at hand that go to many.

use std::sync::PoisonError;

use bytes::Bytes;
use fedsx_core::cid::Digest;
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::Value;

use super::{DOCUMENTS_BYTES, OverNode};
use crate::outbound::Fault;

impl OverNode {
    /// The document as JSON. One that goes to many is read once.
    pub(super) fn document(&self, digest: &Digest) -> Result<Option<Bytes>, Fault> {
        const DOING: &str = "reading a document to send";
        let at_hand = || {
            self.documents
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let view = self.node.view();
        let seen = view.state().seen(digest);
        let seen = seen.map_err(|error| Fault::new(DOING, error))?;
        if seen.is_none_or(|seen| seen.erased.is_some()) {
            at_hand().retain(|(have, _)| have != digest);
            return Ok(None);
        }
        if let Some((_, body)) = at_hand().iter().find(|(have, _)| have == digest) {
            return Ok(Some(body.clone()));
        }
        let stored = view
            .stored(digest)
            .map_err(|error| Fault::new(DOING, error))?;
        let Some(stored) = stored.filter(|stored| !stored.erased) else {
            return Ok(None);
        };
        let body = match stored.notation {
            Notation::Json => stored.document,
            _ => {
                let document = stored.map().map_err(|error| Fault::new(DOING, error))?;
                Bytes::from(notation::write(Notation::Json, &Value::Map(document)))
            }
        };
        let mut at_hand = at_hand();
        at_hand.push_back((*digest, body.clone()));
        let mut bytes: usize = at_hand.iter().map(|(_, body)| body.len()).sum();
        while at_hand.len() > self.documents_max || bytes > DOCUMENTS_BYTES {
            let Some((_, body)) = at_hand.pop_front() else {
                break;
            };
            bytes -= body.len();
        }
        Ok(Some(body))
    }
}

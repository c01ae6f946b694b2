//! Who signed a GET: its actor's document is fetched if it is not at hand, and once more when its key
//! does not fit, for whose source pays as for a delivery's.

use std::net::IpAddr;

use fedsx_core::reader::{Doubt, Reader, actor_of_key, presented, signed_by};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::pool::Purpose;

use crate::ingest::unresolved;
use crate::{Node, RequestParts};

impl Node {
    /// Who asks by this request: everybody, where it is not signed.
    ///
    /// # Errors
    /// `blocked`; `bad-signature`, or `keys-unresolved` with the seconds to wait.
    pub async fn reader(&self, head: &RequestParts, source: IpAddr) -> Result<Reader, Refusal> {
        let head = head.at(&self.0.instance);
        let now_ms = self.now_ms();
        let Some(presented) = presented(&head, now_ms)? else {
            return Ok(Reader::Everybody);
        };
        let url = actor_of_key(presented.key_id());
        if self.0.instance.owns(url) {
            let why = "an actor of this instance reads with its token, not with a signature";
            return Err(Refusal::new(Code::BadSignature, why));
        }
        self.let_in(url)?;
        let purpose = Purpose::Inbound { source };
        let found = self.0.peers.actor(url, purpose).await;
        let mut actor = found.map_err(unresolved)?;
        let mut signed = signed_by(&presented, &head, &actor, now_ms);
        if let Err(Doubt::Key(_)) = signed {
            let peers = &self.0.peers;
            let found = peers.refresh(&actor.id, presented.key_id(), purpose).await;
            actor = found.map_err(unresolved)?;
            signed = signed_by(&presented, &head, &actor, now_ms);
        }
        signed.map_err(Doubt::into_refusal)?;
        self.contact(&actor.id);
        Ok(Reader::Actor(actor.id.clone()))
    }
}

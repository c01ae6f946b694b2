//! Verifying as somebody would who has the library and the network, and trusts neither instance.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use fedsx_admin::proto;
use fedsx_core::entry::Authenticated;
use fedsx_core::envelope::{Document, Envelope};
use fedsx_core::evidence::{Delivery, Judged, authenticate};
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::Notation;
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{ClientOptions, GuardedClient};
use fedsx_discovery::clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions, Purpose};

pub(super) struct ThirdParty {
    peers: Peers,
    clock: clock::Clock,
}

impl ThirdParty {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut options = ClientOptions::new("http://third-party.invalid");
        options.allow_private_peers = true;
        let client = GuardedClient::new(&options).context("no HTTP client")?;
        let clock = clock::system();
        let fetcher = Fetcher::new(Arc::new(client), PoolOptions::default(), Arc::clone(&clock));
        Ok(Self {
            peers: Peers::new(Arc::new(fetcher), PeersOptions::default()),
            clock,
        })
    }

    /// Checks the CID, and the proof by the key in the actor's own document.
    pub(super) async fn verify(&self, entry: &proto::Entry) -> anyhow::Result<()> {
        let bytes = entry.document_json.clone().into();
        let document = Document::read(Notation::Json, bytes, DOCUMENT_IN_BYTES)?;
        if document.cid().to_string() != entry.cid {
            bail!("its CID is {}", document.cid());
        }
        let envelope = Envelope::of(&document.map)?;
        let owner = self.peers.actor(&envelope.actor, Purpose::Own).await;
        let owner = owner.with_context(|| format!("{} can't be fetched", envelope.actor))?;
        let delivery = Delivery {
            head: None,
            from_origin: false,
            refreshed: true,
            now_ms: (self.clock)(),
        };
        match authenticate(document, envelope, Some(&owner), delivery)? {
            Judged::Verified(verified) if verified.authenticated() == Authenticated::Proof => {
                Ok(())
            }
            _ => bail!("it has no proof that its actor's document vouches for"),
        }
    }
}

//! What a schema or validator refused of what others sent, for the operator to look at: a release goes
//! through the stages again, under the present state, and lets pass only what refused it (design,
//! section 5).
//!
//! Deliberately absent: what other stages refuse, which nobody could release.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use fedsx_core::cid::Cid;
use fedsx_core::decide::Draft;
use fedsx_core::envelope::embedded;
use fedsx_core::notation::read_document;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Deleted;
use fedsx_discovery::pool::Purpose;
use fedsx_store::quarantine::{Quarantine, QuarantineError, Quarantined};
use http::{HeaderMap, Method};

use crate::ingest::{InboxPost, Receipt, RequestParts, Status};
use crate::{Node, fault};

impl Node {
    /// Everything in quarantine, newest first.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.0.quarantine.list()
    }

    /// One document in quarantine, with its bytes.
    ///
    /// # Errors
    /// `not-found`, `internal`.
    pub async fn quarantined_document(&self, cid: &Cid) -> Result<(Quarantined, Bytes), Refusal> {
        let digest = cid.digest;
        let read = self.in_quarantine(move |quarantine| quarantine.read(&digest));
        read.await?.ok_or_else(|| not_there(cid))
    }

    /// Takes a document out of quarantine through the stages again. It stays in where another stage
    /// refuses it now. Returns when it is durable in the journal.
    ///
    /// # Errors
    /// `not-found`; `conflict` when it is about nobody here any more; the refusal of a stage.
    pub async fn release(&self, cid: &Cid) -> Result<Receipt, Refusal> {
        let (account, body) = self.quarantined_document(cid).await?;
        let post = InboxPost {
            target: account.target,
            notation: account.notation,
            body,
            // What came under an HTTP signature is asked for at its origin.
            head: RequestParts {
                method: Method::POST,
                path_and_query: "/inbox".to_owned(),
                headers: HeaderMap::new(),
            },
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let receipt = self
            .take(&post, Purpose::Own, Some(&account.code), None)
            .await?;
        if let Status::Dropped(why) = receipt.status {
            return Err(Refusal::new(Code::Conflict, format!("it stays: {why}")));
        }
        self.let_go(cid).await?;
        Ok(receipt)
    }

    /// Lets a document in quarantine go for good.
    ///
    /// # Errors
    /// `not-found`, `internal`.
    pub async fn discard(&self, cid: &Cid) -> Result<(), Refusal> {
        match self.let_go(cid).await? {
            true => Ok(()),
            false => Err(not_there(cid)),
        }
    }

    async fn let_go(&self, cid: &Cid) -> Result<bool, Refusal> {
        let digest = cid.digest;
        self.in_quarantine(move |quarantine| quarantine.discard(&digest))
            .await
    }

    /// Lets go what its owner deleted.
    pub(crate) async fn discard_deleted(&self, deleted: &Deleted) -> Result<(), Refusal> {
        for account in self.quarantined() {
            if account.actor != deleted.owner {
                continue;
            }
            let cid = Cid::of_document(account.digest);
            let digest = account.digest;
            let read = self.in_quarantine(move |quarantine| quarantine.read(&digest));
            let Some((_, body)) = read.await? else {
                continue;
            };
            let map = read_document(account.notation, &body, body.len())?;
            let brings = embedded(&map).iter().any(|(id, _)| *id == deleted.id);
            let is_all = deleted.id == deleted.owner;
            if is_all || brings || account.id == deleted.id {
                self.let_go(&cid).await?;
            }
        }
        Ok(())
    }

    /// Puts in quarantine what stage 9 or 10 refused.
    pub(crate) async fn put_in_quarantine(
        &self,
        post: &InboxPost,
        draft: Draft,
        refusal: &Refusal,
    ) {
        if !matches!(
            refusal.code,
            Code::Schema | Code::ObjectSchema | Code::Validator
        ) {
            return;
        }
        let Draft {
            activity, payload, ..
        } = draft;
        let account = Quarantined {
            digest: activity.digest,
            id: activity.id,
            actor: activity.actor,
            verb: activity.verb,
            code: refusal.code_text().into_owned(),
            detail: refusal.detail.clone(),
            refused_ms: self.now_ms(),
            target: post.target.clone(),
            notation: activity.notation,
        };
        let put = self.in_quarantine(move |quarantine| quarantine.put(account, &payload));
        // The refusal is the answer all the same; that it could not be kept is logged.
        let _logged = put.await;
    }

    async fn in_quarantine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Quarantine) -> Result<T, QuarantineError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let quarantine = Arc::clone(&self.0.quarantine);
        let done = self.aside(move || work(&quarantine)).await;
        done.map_err(|error| fault::internal("the quarantine broke", &error))?
            .map_err(|error| fault::internal("the quarantine failed", &error))
    }
}

fn not_there(cid: &Cid) -> Refusal {
    let why = format!("{cid} is not in quarantine; `fedsx quarantine list` shows what is");
    Refusal::new(Code::NotFound, why)
}

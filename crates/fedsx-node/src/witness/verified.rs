//! A remote log walked on demand: that it goes on from what was kept, that its leaves are what its checkpoint covers, and
//! that the newest of them are activities of its actor.

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::envelope::{Document, Envelope};
use fedsx_core::evidence::{Delivery, Judged, authenticate};
use fedsx_core::limits;
use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::document::FetchError;
use fedsx_discovery::pool::Purpose;

use super::{Head, LogError, Outcome, Seen};
use crate::Node;

/// Findings that are told one by one.
const TOLD: usize = 64;

/// What was asked to be verified.
#[derive(Clone, Copy, Debug)]
pub struct Verification {
    /// Leaves that are read and held against the checkpoint, from the newest back.
    pub leaves: u64,
    /// Activities that are fetched and verified, from the newest back.
    pub activities: u64,
}

/// What a walk over a log proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// What the log is beside what was kept of it.
    pub seen: Seen,
    /// Leaves that were read: they lead to the root that was signed.
    pub leaves: u64,
    /// Activities of them that are their actor's by its proof.
    pub proved: u64,
    /// Activities of them that were erased.
    pub erased: u64,
    /// What is wrong, one sentence each, the first of them.
    pub faults: Vec<String>,
    /// How many others' checkpoints it was compared with.
    pub compared: u64,
}

impl Node {
    /// Walks the log of a remote actor.
    ///
    /// # Errors
    /// `unresolvable`, where the log can't be read; `inconsistent`, where it does not hold together.
    pub async fn verify_log(&self, who: &str, what: Verification) -> Result<Verified, Refusal> {
        let peer = self.resolve(who).await?;
        if self.0.instance.owns(&peer) {
            let why = format!("{peer} is of this instance: `fedsx verify` checks its log");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let walked = self.walk_log(&peer, what).await;
        walked.map_err(|error| match error {
            LogError::Refused(refusal) => refusal,
            error if error.is_broken() => {
                let why = format!("the log of {peer} does not hold together: {error}");
                Refusal::new(Code::Inconsistent, why)
            }
            error => {
                let why = format!("the log of {peer} can't be verified: {error}");
                Refusal::new(Code::Unresolvable, why)
            }
        })
    }

    async fn walk_log(&self, peer: &str, what: Verification) -> Result<Verified, LogError> {
        let (head, seen) = self.look_at_log(peer).await?;
        let (compared, is_forked) = self.compare_log(peer, &head).await;
        let leaves = self
            .log_leaves(&head.log, &head.checkpoint, what.leaves)
            .await?;
        let mut verified = Verified {
            seen,
            leaves: leaves.as_slice().len() as u64,
            proved: 0,
            erased: 0,
            faults: Vec::new(),
            compared: compared as u64,
        };
        match verified.seen.outcome {
            Outcome::Behind => verified.fault("the log is shorter than when it was last looked at"),
            Outcome::Forked => verified.fault("the log contradicts what was kept of it"),
            _ => {}
        }
        if is_forked {
            verified.fault("the log contradicts what another instance kept of it");
        }
        let most = usize::try_from(what.activities).unwrap_or(usize::MAX);
        for cid in leaves.as_slice().iter().rev().take(most) {
            match self.activity_of_leaf(&head, cid).await {
                Ok(true) => verified.proved += 1,
                Ok(false) => verified.erased += 1,
                Err(why) => verified.fault(&format!("{cid}: {why}")),
            }
        }
        Ok(verified)
    }

    /// Whether a leaf is an activity of the log's actor; `false` where it was erased.
    async fn activity_of_leaf(&self, head: &Head, cid: &Cid) -> Result<bool, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let origin = fedsx_core::address::Origin::of(&head.actor.id);
        let origin = origin.ok_or("its actor has no origin")?;
        let url = origin.artifact_url(cid);
        let fetched = self
            .0
            .fetcher
            .artifact(&url, Purpose::Own, limits::DOCUMENT_IN_BYTES);
        let fetched = match fetched.await {
            Ok(fetched) => fetched,
            Err(FetchError::Gone { .. }) => return Ok(false),
            Err(error) => return Err(told(&error)),
        };
        let (notation, bytes) = (fetched.notation, fetched.bytes);
        self.judge_leaf(head, cid.digest, notation, bytes)
            .map(|()| true)
            .map_err(|refusal| refusal.detail)
    }

    fn judge_leaf(
        &self,
        head: &Head,
        digest: Digest,
        notation: Notation,
        bytes: bytes::Bytes,
    ) -> Result<(), Refusal> {
        let wrong = |why: &str| Refusal::new(Code::Inconsistent, why);
        let document = Document::read(notation, bytes, limits::DOCUMENT_IN_BYTES)?;
        if document.digest != digest {
            return Err(wrong("what is served under its CID is another document"));
        }
        let envelope = Envelope::of(&document.map)?;
        if envelope.actor != head.actor.id {
            return Err(wrong("it is another actor's"));
        }
        let delivery = Delivery {
            head: None,
            from_origin: true,
            refreshed: true,
            now_ms: self.now_ms(),
        };
        match authenticate(document, envelope, Some(&head.actor), delivery)? {
            Judged::Verified(verified)
                if verified.authenticated() == fedsx_core::entry::Authenticated::Proof =>
            {
                Ok(())
            }
            Judged::Verified(_) | Judged::Need(_) => Err(wrong("it has no proof by its actor")),
        }
    }
}

impl Verified {
    fn fault(&mut self, why: &str) {
        if self.faults.len() < TOLD {
            self.faults.push(why.to_owned());
        }
    }
}

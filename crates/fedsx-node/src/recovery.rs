//! Recovery: a key that a local actor's owner keeps elsewhere replaces every key that the server holds.
//!
//! Invariant: a new key is durable before the `Update` that names it, and nothing that the vault held before is
//! needed, so that it may be lost, or in others' hands. A recovery key is here for as long as it signs that one
//! `Update`, by which it is spent. For peers' sake it is put on record what each of them commits to, before
//! anything that it says is. Design, section 6.

use std::sync::Arc;

use fedsx_core::actor::{
    ed25519_key_id, list_log_key, list_rsa_key, log_key_id, next_key_number, recovery_key_id,
    rsa_key_id,
};
use fedsx_core::entry::Control;
use fedsx_core::key::{Commitment, KeyRecord, RecoveryKey, rotated, spki_to_pem};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};

use crate::document::{Amended, ByUpdate};
use crate::{Node, Published, Rotation, fault};

/// The member of an actor's document by which it commits to a key.
const COMMITS: &str = "recoveryDigest";

impl Node {
    /// Has a local actor commit to a recovery key, once. Returns when the new document is served.
    ///
    /// # Errors
    /// `no-such-actor`; `conflict` when it has committed to one already.
    pub async fn commit_recovery(
        &self,
        name: &str,
        commitment: &Commitment,
    ) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let commit = |amended: &mut Amended, _: ByUpdate<'_>| {
            if amended.document.contains_key(COMMITS) {
                let why = "the actor has a recovery key; only that one can replace it";
                return Err(Refusal::new(Code::Conflict, why));
            }
            amended.document.insert(COMMITS, commitment.as_str());
            Ok(())
        };
        self.amend(&actor, commit).await
    }

    /// Replaces every key of a local actor by the recovery key that it committed to, and has it commit to another.
    /// Returns when the new document is served.
    ///
    /// # Errors
    /// `no-such-actor`; `not-authorised` when the actor committed to another key, or to none; `conflict` when its
    /// keys are changed meanwhile, or the document has no room for further ones.
    pub async fn recover(
        &self,
        name: &str,
        recovery: &RecoveryKey,
        next: &Commitment,
    ) -> Result<Rotation, Refusal> {
        let actor = self.actor(name)?;
        let document = self.0.view.actor_document(&actor).map_err(fault::read)?;
        committed(&document, recovery)?;
        if *next == recovery.commitment() {
            let why = "a recovery key that was used is spent; commit to another";
            return Err(Refusal::new(Code::Conflict, why));
        }
        let number = next_key_number(&actor.keys);
        let key_id = ed25519_key_id(&actor.url, number);
        let key = self.make_key(key_id.clone()).await?;
        let log_key_id = log_key_id(&actor.url, number);
        let log_key = self.make_key(log_key_id.clone()).await?;
        let rsa_pem = self.make_rsa(&actor.url).await?;
        let recovery_id = recovery_key_id(&actor.url, &actor.keys);
        let signer = Arc::new(recovery.signer(recovery_id.clone()));
        let revealed = signer.public_key();
        let mut begun = None;
        let replace = |amended: &mut Amended, update: ByUpdate<'_>| {
            committed(&amended.document, recovery)?;
            if next_key_number(&amended.keys) != number {
                let why = "a key was replaced by somebody else meanwhile; try again";
                return Err(Refusal::new(Code::Conflict, why));
            }
            if amended.keys.len() + 2 > limits::KEYS {
                let why = format!("an actor has at most {} keys in all", limits::KEYS);
                return Err(Refusal::new(Code::Conflict, why));
            }
            let (published_ms, id) = (update.published_ms, update.id);
            amended.keys = rotated(&amended.keys, (key_id, key), published_ms, id);
            let revealed = KeyRecord {
                id: recovery_id,
                key: revealed,
                created_ms: Some(published_ms),
                superseded_ms: Some(published_ms),
                superseded_by: Some(id.to_owned()),
            };
            // Before the one that is in force: documents list what ended by when it began.
            amended.keys.insert(amended.keys.len() - 1, revealed);
            amended.document.insert(COMMITS, next.as_str());
            list_rsa_key(&mut amended.document, &actor.url, &rsa_pem);
            list_log_key(&mut amended.document, &actor.url, &log_key_id, &log_key);
            // They may be in others' hands, as the one that is replaced.
            amended.former_rsa = None;
            begun = amended.keys.last().cloned();
            Ok(())
        };
        let published = self.amend_by(Some(signer), &actor, replace).await?;
        let key = begun.expect("asked once where it is published");
        Ok(Rotation { key, published })
    }

    /// A further RSA key of an actor in the vault, durable: PEM of its public half.
    pub(crate) async fn make_rsa(&self, actor: &str) -> Result<String, Refusal> {
        let (vault, id) = (Arc::clone(&self.0.vault), rsa_key_id(actor));
        let made = self.aside(move || vault.renew_rsa(&id));
        match made.await {
            Ok(Ok(key)) => Ok(spki_to_pem(key.spki())),
            Ok(Err(error)) => Err(fault::internal("a key can't be made", &error)),
            Err(error) => Err(fault::internal("a key was not made", &error)),
        }
    }

    /// Puts on record which recovery key a peer commits to, where that is new, so that its document is held to it
    /// from here on.
    pub(crate) async fn pin(&self, peer: &str) -> Result<(), Refusal> {
        let document = self.0.peers.peek(peer);
        let Some(recovery) = document.and_then(|document| document.recovery.clone()) else {
            return Ok(());
        };
        let known = self.0.view.state().recovery_of(peer);
        let known = known.map_err(fault::state)?;
        if known.as_deref() == Some(recovery.as_str()) {
            return Ok(());
        }
        let pinned = Control::RecoveryPinned {
            peer: peer.to_owned(),
            digest: recovery.as_str().to_owned(),
            instead_of: known,
        };
        self.control(pinned).await
    }
}

/// Refuses a recovery key that the actor of this document did not commit to.
fn committed(document: &Map, recovery: &RecoveryKey) -> Result<(), Refusal> {
    let commits = document.get(COMMITS).and_then(Value::as_str);
    match commits {
        Some(commits) if commits == recovery.commitment().as_str() => Ok(()),
        Some(_) => {
            let why = "that is not the recovery key that the actor committed to";
            Err(Refusal::new(Code::NotAuthorised, why))
        }
        None => {
            let why = "the actor has no recovery key; `fedsx actor recovery-key create` makes one";
            Err(Refusal::new(Code::NotAuthorised, why))
        }
    }
}

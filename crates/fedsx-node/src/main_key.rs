//! Rotation of a local actor's RSA key, whose id is `#main-key` for ever and which signs requests alone.
//!
//! Servers that know no other key go by the copy they fetched, and some fetch another only when they are told. So
//! what goes to them is signed by the key that was replaced for as long as they take it (`signatory`, and the
//! client, which finds out which one that is). Invariant: a new key is durable before the `Update` that lists it; a
//! replaced one is on record with that `Update`, is of use for 7 days, and is dropped then. Deliberately absent:
//! `keyHistory`, in which no RSA key stands: what was signed by one is a request, which nobody keeps.
//! Design, section 6.

use std::time::Duration;

use fedsx_core::actor::{list_rsa_key, rsa_key_id};
use fedsx_core::entry::ActorNo;
use fedsx_core::key::FormerRsa;
use fedsx_core::limits::{FORMER_RSA_KEYS, FORMER_RSA_MS};
use fedsx_core::refusal::{Code, Refusal};
use tokio_util::sync::CancellationToken;

use crate::document::{Amended, ByUpdate};
use crate::signatory::rsa_spki;
use crate::{Node, Published, fault};

/// How often it is looked for keys that are of no use any more.
const EVERY: Duration = Duration::from_hours(1);

/// A rotation of an RSA key that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MainKeyRotation {
    /// Its id, as before.
    pub key_id: String,
    /// The key from here on, PEM.
    pub pem: String,
    /// Until when the one before is shown to servers that may still go by it, Unix milliseconds.
    pub former_until_ms: i64,
    /// The `Update`.
    pub published: Published,
}

impl Node {
    /// Replaces the RSA key of a local actor. Returns when the new document is served.
    ///
    /// # Errors
    /// `no-such-actor`; `conflict` when it was replaced too often of late, or its document lists none.
    pub async fn rotate_main_key(&self, name: &str) -> Result<MainKeyRotation, Refusal> {
        let actor = self.actor(name)?;
        // Before a key is made that nothing would drop.
        let of_use = actor.former_rsa.iter().flatten();
        not_too_often(of_use.filter(|key| key.until_ms > self.now_ms()).count())?;
        let pem = self.make_rsa(&actor.url).await?;
        let mut former_until_ms = 0;
        let replace = |amended: &mut Amended, update: ByUpdate<'_>| {
            let Some(spki) = rsa_spki(&amended.document) else {
                let why = "the actor's document lists no RSA key";
                return Err(Refusal::new(Code::Conflict, why));
            };
            let mut former = amended.former_rsa.take().unwrap_or_default();
            former.retain(|key| key.until_ms > update.published_ms);
            not_too_often(former.len())?;
            former_until_ms = update.published_ms + FORMER_RSA_MS;
            former.push(FormerRsa {
                spki,
                until_ms: former_until_ms,
            });
            amended.former_rsa = Some(former);
            list_rsa_key(&mut amended.document, &actor.url, &pem);
            Ok(())
        };
        let published = self.amend(&actor, replace).await?;
        Ok(MainKeyRotation {
            key_id: rsa_key_id(&actor.url),
            pem,
            former_until_ms,
            published,
        })
    }

    /// Drops replaced RSA keys from the vault when they are of no use any more, until stopped.
    pub async fn drop_former_keys(&self, stop: CancellationToken) {
        loop {
            let node = self.clone();
            let dropped = tokio::task::spawn_blocking(move || node.drop_useless_keys());
            match dropped.await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => tracing::error!(%refusal, "old keys are not dropped"),
                Err(error) => tracing::error!(%error, "old keys are not dropped"),
            }
            let pause = tokio::time::sleep(EVERY);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Drops the replaced RSA keys that are of no use any more.
    ///
    /// # Errors
    /// `internal`, when the store or the vault fails.
    pub fn drop_useless_keys(&self) -> Result<(), Refusal> {
        let state = self.0.view.state();
        let now_ms = self.now_ms();
        for no in 0..state.actor_count().map_err(fault::state)? {
            let Some(actor) = state.actor(ActorNo(no)).map_err(fault::state)? else {
                continue;
            };
            let former = actor.former_rsa.iter().flatten();
            for key in former.filter(|key| key.until_ms <= now_ms) {
                self.0
                    .vault
                    .drop_rsa(&rsa_key_id(&actor.url), &key.spki)
                    .map_err(|error| fault::internal("a key can't be dropped", &error))?;
            }
        }
        Ok(())
    }
}

fn not_too_often(of_use: usize) -> Result<(), Refusal> {
    if of_use < FORMER_RSA_KEYS {
        return Ok(());
    }
    let why = format!(
        "the RSA key was replaced {FORMER_RSA_KEYS} times in 7 days, and servers may go by each of these; a recovery \
         key replaces all at once"
    );
    Err(Refusal::new(Code::Conflict, why))
}

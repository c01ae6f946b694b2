//! Definitions of peers: fetched where a kept activity names one, judged, and activated.
//!
//! The `Create` that defines is fetched from the host that sent the activity, and is taken by its CID and
//! its proof, like any activity; trust is judged on the actor who signed it. It is in the journal before
//! it is active, so that a crash in between leaves only the activation to do.

use std::sync::Arc;

use fedsx_core::address::Origin;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::Decision;
use fedsx_core::decide::ingest::fetched_definition;
use fedsx_core::definition::{Definition, Kind};
use fedsx_core::entry::{Control, Effect};
use fedsx_core::envelope::{Document, Envelope};
use fedsx_core::evidence::{Delivery, Judged, Verified, authenticate};
use fedsx_core::limits::FETCHED_DEFINITION_BYTES;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::Authority;
use fedsx_core::state::{Kept, Waiting};
use fedsx_core::trust::{Declined, Offer, Trust};
use fedsx_core::value::Map;
use fedsx_discovery::document::Fetched;
use fedsx_discovery::pool::Purpose;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::{CHUNK, LearnOptions};
use crate::ingest::{Evidence, ROUNDS};
use crate::{Known, Node, fault};

/// Hosts asked at once.
const AT_ONCE: usize = 4;
/// How long the loop waits after a fault of our own, milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Why a fetched definition is not taken.
enum Untaken {
    /// By policy, or by what is defined already.
    Declined(Declined),
    /// It was not to be had, or was no such thing.
    Unusable(String),
    /// A fault of our own.
    Fault(Refusal),
}

impl From<Refusal> for Untaken {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            Code::Internal | Code::QueueFull => Self::Fault(refusal),
            _ => Self::Unusable(refusal.to_string()),
        }
    }
}

impl Node {
    /// Takes what peers define, until stopped.
    pub(super) async fn take_definitions(&self, options: &LearnOptions, stop: &CancellationToken) {
        let learning = &self.0.learning;
        let mut kept = learning.kept.subscribe();
        let mut followed = learning.followed.subscribe();
        let every_ms = u64::try_from(options.fetch_every_ms).unwrap_or(u64::MAX);
        let mut after = 0;
        while !stop.is_cancelled() {
            kept.borrow_and_update();
            let mut pause_ms = every_ms;
            tokio::select! {
                () = stop.cancelled() => return,
                taken = self.take_behind(&mut after, options) => if let Err(refusal) = taken {
                    tracing::error!(%refusal, "definitions of others can't be taken");
                    pause_ms = PAUSE_MS;
                },
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = kept.changed() => {}
                Ok(()) = followed.changed() => {
                    learning.forget_distrust();
                    after = 0;
                }
                // What could not be had is asked for again.
                () = tokio::time::sleep(std::time::Duration::from_millis(pause_ms)) => after = 0,
            }
        }
    }

    /// Looks at what is kept behind an offset, which is moved on.
    async fn take_behind(&self, after: &mut u64, options: &LearnOptions) -> Result<(), Refusal> {
        loop {
            let trust = self.trust()?;
            let rows = self.0.view.kept(*after, CHUNK).map_err(fault::read)?;
            let Some(last) = rows.last().map(|kept| kept.at.offset) else {
                return Ok(());
            };
            if trust != Trust::None {
                for kept in &rows {
                    self.activate_offered(&trust, kept).await?;
                }
                let mut fetches = FuturesUnordered::new();
                for kept in &rows {
                    if fetches.len() == AT_ONCE {
                        fetches.next().await.transpose()?;
                    }
                    fetches.push(self.learn_verb(&trust, kept, options));
                }
                while let Some(outcome) = fetches.next().await {
                    outcome?;
                }
            }
            *after = last;
        }
    }

    /// Makes a definition active that a kept `Create` offers, if it is to be taken.
    async fn activate_offered(&self, trust: &Trust, kept: &Kept) -> Result<(), Refusal> {
        let Waiting::Trust {
            kind,
            name,
            definition,
        } = &kept.waiting
        else {
            return Ok(());
        };
        if let Some(declined) = self.declined(trust, kept).await? {
            tracing::debug!(name, actor = kept.actor, %declined, "a definition is not taken");
            return Ok(());
        }
        let control = Control::Activated {
            authority: kept.actor.clone(),
            kind: *kind,
            name: name.clone(),
            digest: *definition,
            create: kept.digest,
        };
        self.control(control).await?;
        tracing::info!(name, actor = kept.actor, "took a definition of a peer");
        self.take_up_definitions()
    }

    /// Why what a kept `Create` offers is not taken; none where it is to be.
    pub(crate) async fn declined(
        &self,
        trust: &Trust,
        kept: &Kept,
    ) -> Result<Option<Declined>, Refusal> {
        // Before its code is read.
        let distrusted = trust.distrust(self.0.view.state(), &kept.actor);
        if let Some(declined) = distrusted.map_err(fault::state)? {
            return Ok(Some(declined));
        }
        let stored = self.0.view.stored(&kept.digest).map_err(fault::read)?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let published_ms = stored
            .activity()
            .map_or(0, |activity| activity.published_ms);
        let object = object_of(&stored.map().map_err(fault::read)?);
        self.declined_object(trust, &kept.actor, published_ms, object)
            .await
    }

    async fn declined_object(
        &self,
        trust: &Trust,
        actor: &str,
        published_ms: i64,
        object: Map,
    ) -> Result<Option<Declined>, Refusal> {
        let read = self.at_a_place(move || Definition::of(&object)).await?;
        let definition = match read {
            Ok(definition) => definition,
            Err(error) => return Ok(Some(Declined::Unreadable(error.to_string()))),
        };
        let registry = self.registry();
        let own = Authority::Peer(actor.to_owned());
        let active = registry.held(definition.kind(), definition.name(), &own);
        let active_published_ms = match active.and_then(|active| active.create) {
            Some(create) => {
                let stored = self.0.view.stored(&create).map_err(fault::read)?;
                stored.and_then(|stored| Some(stored.activity()?.published_ms))
            }
            None => None,
        };
        let offer = Offer {
            actor,
            definition: &definition,
            published_ms,
            active_published_ms,
        };
        let declined = offer.declined(trust, self.0.view.state(), &registry);
        declined.map_err(fault::state)
    }

    /// Fetches the definition that a kept activity names, where it is needed and may be asked for.
    async fn learn_verb(
        &self,
        trust: &Trust,
        kept: &Kept,
        options: &LearnOptions,
    ) -> Result<(), Refusal> {
        let Waiting::Verb {
            verb,
            defined_by: Some(create),
        } = &kept.waiting
        else {
            return Ok(());
        };
        let registry = self.registry();
        let is_defined = registry.resolve(Kind::Activity, verb, None).is_some();
        // One that is here waits for trust, and not for the network.
        let is_here = self
            .0
            .view
            .state()
            .seen(create)
            .map_err(fault::state)?
            .is_some();
        let learning = &self.0.learning;
        if is_defined
            || is_here
            || learning
                .spend(*create, &kept.host(), self.now_ms(), options)
                .is_err()
        {
            return Ok(());
        }
        let why = match self.fetch_definition(trust, create, &kept.actor).await {
            Ok(()) => None,
            Err(Untaken::Declined(declined)) => {
                Some((declined.to_string(), declined.is_of_trust()))
            }
            Err(Untaken::Unusable(why)) => Some((why, false)),
            Err(Untaken::Fault(refusal)) => return Err(refusal),
        };
        if let Some((why, _)) = &why {
            tracing::info!(create = %Cid::of_document(*create), why, "a definition was not taken");
        }
        learning.ended(create, why);
        Ok(())
    }

    /// Fetches a `Create` by CID from the host of `sender`, appends it and makes what it defines active.
    async fn fetch_definition(
        &self,
        trust: &Trust,
        create: &Digest,
        sender: &str,
    ) -> Result<(), Untaken> {
        let cid = Cid::of_document(*create);
        let host = Origin::of(sender).map(|origin| origin.as_str().to_owned());
        let url = format!("{}/artifacts/{cid}", host.unwrap_or_default());
        let fetcher = &self.0.fetcher;
        let fetched = fetcher.artifact(&url, Purpose::Own, FETCHED_DEFINITION_BYTES);
        let fetched = fetched.await.map_err(|error| {
            Untaken::Unusable(format!(
                "its definition could not be fetched from {url}: {error}"
            ))
        })?;
        let (verified, followers) = self.verified(create, fetched).await?;
        let act = verified.document().map.clone();
        let decision = {
            let known = Known(self);
            fetched_definition(self.facts(&known), &verified, followers.as_deref())
                .map_err(fault::decide)?
        };
        if let Decision::Append(mut draft) = decision {
            let actor = draft.activity.actor.clone();
            let published_ms = draft.activity.published_ms;
            let object = object_of(&act);
            let declined = self
                .declined_object(trust, &actor, published_ms, object)
                .await?;
            if let Some(declined) = declined {
                return Err(Untaken::Declined(declined));
            }
            debug_assert!(matches!(
                draft.activity.effect,
                Some(Effect::Offered { .. })
            ));
            self.judge_draft(&mut draft, act, None).await?;
            // Whether it is taken is decided again when it is activated.
            draft.judged_as_of = None;
            self.append(*draft).await.map_err(fault::append)?;
        }
        let state = self.0.view.state();
        let Some(seen) = state.seen(create).map_err(fault::state)? else {
            return Err(Untaken::Unusable("its definition was not kept".to_owned()));
        };
        if let Some(kept) = state.kept(seen.at.offset).map_err(fault::state)? {
            self.activate_offered(trust, &kept).await?;
        }
        Ok(())
    }

    /// What was fetched, known to be what its CID says and its actor's own.
    async fn verified(
        &self,
        create: &Digest,
        fetched: Fetched,
    ) -> Result<(Arc<Verified>, Option<String>), Refusal> {
        let mut evidence = Evidence {
            notation: fetched.notation,
            bytes: fetched.bytes,
            from_origin: false,
            refreshed: false,
            alias_asked: false,
        };
        let refuse = |why: &str| Err(Refusal::new(Code::BadSignature, why));
        for _ in 0..ROUNDS {
            let bytes = evidence.bytes.clone();
            let document = Document::read(evidence.notation, bytes, FETCHED_DEFINITION_BYTES)?;
            if document.digest != *create {
                return refuse("another document is served under the CID of its definition");
            }
            if !document.map.contains_key("proof") {
                return refuse("its definition has no proof");
            }
            let envelope = Envelope::of(&document.map)?;
            if self.0.instance.owns(&envelope.actor) {
                return refuse("its definition claims to be of this instance, and is not");
            }
            let owner = self.0.peers.peek(&envelope.actor);
            let delivery = Delivery {
                head: None,
                from_origin: evidence.from_origin,
                refreshed: evidence.refreshed,
                now_ms: self.now_ms(),
            };
            match authenticate(document, envelope, owner.as_deref(), delivery)? {
                Judged::Verified(verified) => {
                    let followers = owner.and_then(|owner| owner.followers.clone());
                    return Ok((Arc::from(verified), followers));
                }
                Judged::Need(need) => self.provide(need, Purpose::Own, &mut evidence).await?,
            }
        }
        refuse("the evidence for its definition could not be brought together")
    }
}

/// What a `Create` embeds.
fn object_of(create: &Map) -> Map {
    let object = fedsx_core::envelope::object_of(create);
    object.cloned().unwrap_or_default()
}

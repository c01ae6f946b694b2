//! An actor that came back from a copy publishes nothing until its followers were asked for its newest checkpoint.
//!
//! Asked are the instances of its followers, each for what it kept of the actor's log. Where none that answers knows of
//! more than is here, the actor is released; those that give no answer are waited for as long as the options say.
//! Where one knows of more, the actor stays as it is, until what is missing is there, or its operator has it begin
//! another log, which its document says. Deliberately absent: fetching what is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use fedsx_core::actor::begin_log;
use fedsx_core::address::Origin;
use fedsx_core::entry::Control;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::transparency::{Note, NoteKey};
use fedsx_discovery::document::FetchError;
use fedsx_discovery::log::witness_url;
use fedsx_discovery::pool::Purpose;

use super::{LogError, Witnessed};
use crate::document::{Amended, ByUpdate};
use crate::{Node, Published, fault};

/// Instances that are asked; of an actor with followers on more, these suffice to find a newer checkpoint.
const ASKED: usize = 256;
/// How long an import waits for its followers' answers.
const SOON: Duration = Duration::from_secs(10);
/// Followers read at once.
const PAGE: usize = 512;

/// What an actor's followers know of its log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Asked {
    /// Instances that answered.
    pub answered: usize,
    /// Instances that gave no answer.
    pub silent: usize,
    /// The largest size that any of them kept, leaves.
    pub known: u64,
    /// Whether one of them kept a checkpoint that this log is not the end of.
    pub is_newer: bool,
}

/// A log was declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declared {
    /// Its URL.
    pub url: String,
    /// The `Update` that says so.
    pub published: Published,
}

impl Node {
    /// Asks the instances of an actor's followers what they kept of its log.
    ///
    /// # Errors
    /// `no-such-actor`, `not-found` where it has no log.
    pub async fn ask_followers(&self, name: &str) -> Result<Asked, Refusal> {
        let actor = self.actor(name)?;
        let key = self.log_of(&actor)?.note_key();
        let key = key.map_err(|error| fault::internal("a log has no sound name", &error))?;
        let frontier = self.0.view.state().log_frontier(actor.no);
        let size = frontier.map_err(fault::state)?.size();
        let mut asked = Asked::default();
        for origin in self.origins_of_followers(&actor)? {
            match self.kept_by(&actor, &origin, &key).await {
                Ok(None) => asked.answered += 1,
                Ok(Some(kept)) => {
                    asked.answered += 1;
                    asked.known = asked.known.max(kept.size);
                    asked.is_newer |=
                        kept.size > size || self.log_root(actor.no, kept.size)? != kept.root;
                }
                Err(error) => {
                    tracing::debug!(%origin, %error, "a follower's instance says nothing of the log");
                    asked.silent += 1;
                }
            }
        }
        Ok(asked)
    }

    async fn kept_by(
        &self,
        actor: &Actor,
        origin: &Origin,
        key: &NoteKey,
    ) -> Result<Option<fedsx_core::transparency::Checkpoint>, LogError> {
        let url = witness_url(origin.as_str(), &actor.url);
        let bytes = self
            .0
            .fetcher
            .log_file(&url, limits::NOTE_BYTES, Purpose::Own);
        let bytes = match bytes.await {
            Ok(bytes) => bytes,
            // It keeps nothing, or is no server that does.
            Err(FetchError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (checkpoint, _) = Witnessed::of(&Note::parse(&bytes)?, key)?;
        Ok(Some(checkpoint))
    }

    fn origins_of_followers(&self, actor: &Actor) -> Result<BTreeSet<Origin>, Refusal> {
        let mut origins = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let (direction, view) = (Direction::Follower, &self.0.view);
            let page = view.relations(actor.no, direction, after.as_deref(), PAGE);
            let page = page.map_err(fault::read)?;
            for (peer, relation) in &page {
                if relation.phase == Phase::Accepted && !self.0.instance.owns(peer) {
                    origins.extend(Origin::of(peer));
                }
            }
            match page.last() {
                Some((peer, _)) if origins.len() < ASKED => after = Some(peer.clone()),
                _ => return Ok(origins),
            }
        }
    }

    /// Asks the followers of every actor that publishes nothing, and releases those of whom nobody knows more than is
    /// here. `waits` is whether those that give no answer are still waited for.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn release_held(&self, waits: bool) -> Result<(), Refusal> {
        for actor in self.0.view.actors().map_err(fault::read)? {
            if actor.is_read_only
                && !actor.is_gone()
                && let Err(refusal) = self.release_one(&actor, waits).await
            {
                tracing::error!(actor = actor.name, %refusal, "its followers can't be asked");
            }
        }
        Ok(())
    }

    /// Asks the followers of one that has just come back, for as long as whoever waits for it can be kept waiting.
    pub(crate) async fn release_soon(&self, actor: &Actor) {
        match tokio::time::timeout(SOON, self.release_one(actor, true)).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => {
                tracing::error!(actor = actor.name, %refusal, "its followers can't be asked");
            }
            Err(_) => tracing::info!(actor = actor.name, "its followers are still to be asked"),
        }
    }

    async fn release_one(&self, actor: &Actor, waits: bool) -> Result<(), Refusal> {
        let asked = match self.log_of(actor) {
            Ok(_) => self.ask_followers(&actor.name).await?,
            // What nobody could have kept, nobody knows more of.
            Err(refusal) if refusal.code == Code::NotFound => Asked::default(),
            Err(refusal) => return Err(refusal),
        };
        if asked.is_newer {
            tracing::error!(
                actor = actor.name,
                known = asked.known,
                "followers know of more of its log than is here: it publishes nothing until it begins another one"
            );
            return Ok(());
        }
        if asked.silent > 0 && (waits || asked.answered == 0) {
            let silent = asked.silent;
            tracing::warn!(actor = actor.name, silent, "followers give no answer yet");
            return Ok(());
        }
        tracing::info!(
            actor = actor.name,
            ?asked,
            "nobody knows of more of its log"
        );
        let (actor, held) = (actor.no, false);
        self.control(Control::LogHeld { actor, held }).await
    }

    /// Has a local actor begin another log, which its document says by a signed `Update`. Where it published nothing,
    /// it does again from then on.
    ///
    /// # Errors
    /// `no-such-actor`; what publishing the `Update` refuses.
    pub async fn begin_log(&self, name: &str) -> Result<Declared, Refusal> {
        let actor = self.actor(name)?;
        let mut url = String::new();
        let declare = |amended: &mut Amended, _: ByUpdate<'_>| {
            url = begin_log(&mut amended.document, &actor.url);
            Ok(())
        };
        let released = Actor {
            is_read_only: false,
            ..actor.clone()
        };
        let published = self.amend(&released, declare).await?;
        Ok(Declared { url, published })
    }

    /// Refuses to publish as an actor whose log may be an old copy.
    pub(crate) fn refuse_held(&self, actor: &Actor) -> Result<(), Refusal> {
        if !actor.is_read_only {
            return Ok(());
        }
        let why = "the actor came back from a copy and publishes nothing until its followers were asked for its newest \
                   checkpoint, or it begins another log (`fedsx log begin`)";
        Err(Refusal::new(Code::ReadOnly, why).retry_after(60))
    }
}

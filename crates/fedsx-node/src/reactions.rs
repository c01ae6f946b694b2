//! What is owed: the automatic `Accept`, the `Reject` and `Undo` of a block, the new follow of an actor that
//! moved, and what groups announce (`groups`). A row says what is owed, the entry that says it strikes the row out, so that it is said once however often the process
//! dies between the two.

use std::collections::HashMap;
use std::time::Duration;

use fedsx_core::entry::ActorNo;
use fedsx_core::follow::Owed;
use fedsx_core::refusal::Refusal;
use tokio_util::sync::CancellationToken;

use crate::{Node, fault, groups};

/// Rows looked at in one round.
const ROUND: usize = 256;
/// How long one that failed is left alone.
const PAUSE_MS: i64 = 30_000;
/// How soon it is looked whether that is over.
const RETRY: Duration = Duration::from_secs(5);

/// What could not be said, and until when each is left alone.
#[derive(Clone, Default, Debug)]
pub struct Failed {
    relations: HashMap<(u32, String), i64>,
    groups: groups::Failed,
    /// Relations with blocked hosts are not ended.
    blocks: bool,
}

impl Failed {
    /// Whether there is anything.
    #[must_use]
    pub fn any(&self) -> bool {
        self.blocks || !self.relations.is_empty() || !self.groups.is_empty()
    }
}

impl Node {
    /// Says what is owed, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut applied = self.0.view.watch();
        let mut failed = Failed::default();
        loop {
            applied.mark_unchanged();
            if self.say_owed(&mut failed).await && !stop.is_cancelled() {
                continue;
            }
            let retry = tokio::time::sleep(RETRY);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = applied.changed() => if changed.is_err() { return },
                () = retry, if failed.any() => {}
            }
        }
    }

    /// Says what is owed now, but for what `failed` a moment ago; whether there is more.
    pub async fn say_owed(&self, failed: &mut Failed) -> bool {
        let ended = self.end_blocked_relations().await;
        failed.blocks = ended.is_err();
        if let Err(refusal) = ended {
            tracing::error!(%refusal, "relations with a blocked host are not ended yet");
        }
        if let Err(refusal) = self.settle(&mut failed.relations).await {
            tracing::error!(%refusal, "what is owed can't be read");
        }
        match self.settle_groups(&mut failed.groups).await {
            Ok(is_more) => is_more,
            Err(refusal) => {
                tracing::error!(%refusal, "what groups have to announce can't be read");
                false
            }
        }
    }

    async fn settle(&self, failed: &mut HashMap<(u32, String), i64>) -> Result<(), Refusal> {
        let now_ms = self.now_ms();
        failed.retain(|_, until_ms| now_ms < *until_ms);
        for (no, peer, owed) in self.0.view.owed_all(ROUND).map_err(fault::read)? {
            let key = (no.0, peer);
            if failed.contains_key(&key) {
                continue;
            }
            let Some(actor) = self.0.view.state().actor(no).map_err(fault::state)? else {
                continue;
            };
            if actor.is_gone() {
                // Nobody is there to say it.
                continue;
            }
            for owed in owed {
                let (verb, id) = match &owed {
                    Owed::Accept { id } => ("Accept", id),
                    Owed::Reject { id } => ("Reject", id),
                    Owed::Undo { id } | Owed::Refollow { id, .. } => ("Undo", id),
                };
                let said = async {
                    if let Owed::Refollow { target, .. } = &owed {
                        self.go_along(&actor, target).await?;
                    }
                    let follow = self.follow_document(id)?;
                    self.say(&actor.name, verb, follow, &key.1).await
                };
                // What came between may have settled it, and the next is not to wait for that.
                if let Err(refusal) = said.await
                    && self.is_owed(no, &key.1, &owed)?
                {
                    tracing::warn!(actor = actor.name, peer = key.1, verb, %refusal, "still owed");
                    failed.insert(key.clone(), now_ms + PAUSE_MS);
                }
            }
        }
        Ok(())
    }

    fn is_owed(&self, no: ActorNo, peer: &str, owed: &Owed) -> Result<bool, Refusal> {
        let all = self.0.view.state().owed(no, peer).map_err(fault::state)?;
        Ok(all.contains(owed))
    }
}

//! What a local actor says of itself, changed by an `Update` of its document, and the pictures that are uploaded for
//! it. Design, section 6.
//!
//! Invariant: a picture is durable before the `Update` that names it, and is erased when its actor's document names
//! it no longer. What is left of a change that failed or was cut off goes with the next one.

use bytes::Bytes;
use fedsx_core::actor::set_profile;
use fedsx_core::blob::{Blob, Media};
use fedsx_core::canonical::jcs_map;
use fedsx_core::cid::{Cid, Codec};
use fedsx_core::entry::{ActorNo, Control};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::Map;

use crate::control::written;
use crate::{Node, Published, fault};

impl Node {
    /// Sets members of an actor's document, each as a whole; `null` takes one away. `icon` is the file of a
    /// picture, which is kept and served here. Returns the actor and the `Update` when the new document is
    /// served.
    ///
    /// # Errors
    /// `no-such-actor`; `malformed`, `not-authorised` or `too-large` as [`set_profile`] says; `too-large` or
    /// `media-type` for a file that is not taken; or the refusal of publishing it.
    pub async fn update_actor(
        &self,
        name: &str,
        members: &Map,
        icon: Option<Bytes>,
    ) -> Result<(Actor, Published), Refusal> {
        let actor = self.actor(name)?;
        // Nobody else finds a picture unnamed that is about to be named.
        let _changing = self.0.pictures.lock().await;
        let mut members = members.clone();
        if let Some(file) = icon {
            if members.contains_key("icon") {
                let why = "the icon is given twice: as a file, and as a member";
                return Err(Refusal::new(Code::Malformed, why));
            }
            members.insert("icon", self.keep_picture(&actor, file).await?);
        }
        let published = self
            .amend(&actor, |amended, update| {
                set_profile(&mut amended.document, &members)?;
                let updated = format_rfc3339_ms(update.published_ms);
                amended.document.insert("updated", updated);
                Ok(())
            })
            .await;
        if let Err(refusal) = self.erase_unnamed(actor.no).await {
            tracing::error!(%refusal, "a picture that nothing names is erased with the next change");
        }
        Ok((self.actor(name)?, published?))
    }

    /// Keeps the file of a picture, durably, and says how a document names it.
    async fn keep_picture(&self, actor: &Actor, file: Bytes) -> Result<Map, Refusal> {
        let media = Media::of_upload(&file)?;
        let cid = Cid::of_raw(&file);
        let (no, digest) = (actor.no, cid.digest);
        let kept = self.0.view.state().blob(no, &digest);
        let is_kept = kept.map_err(fault::state)?.is_some_and(|it| !it.is_erased);
        if !is_kept {
            let control = Control::Blob(Blob::Kept {
                actor: no,
                digest,
                media,
            });
            // A buffer of its own: the request that it came in goes.
            let file = Bytes::copy_from_slice(&file);
            let queued = self.0.writer.control(control, file, self.now_ms());
            written([queued.map_err(fault::append)?]).await?;
        }
        Ok(Map::from([
            ("type", "Image".to_owned()),
            ("mediaType", media.as_str().to_owned()),
            ("url", self.instance().artifact_url(&cid)),
        ]))
    }

    /// Puts on record that the files are erased that an actor's document does not name; all, of one that is gone.
    pub(crate) async fn erase_unnamed(&self, no: ActorNo) -> Result<(), Refusal> {
        let view = &self.0.view;
        let blobs = view.blobs_of(no).map_err(fault::read)?;
        if blobs.is_empty() {
            return Ok(());
        }
        let actor = view.state().actor(no).map_err(fault::state)?;
        let named = match actor.filter(|actor| !actor.is_gone()) {
            Some(actor) => jcs_map(&view.actor_document(&actor).map_err(fault::read)?),
            None => Vec::new(),
        };
        let named = String::from_utf8_lossy(&named);
        let mut queued = Vec::new();
        for (digest, kept) in blobs {
            let codec = Codec::Raw;
            if !named.contains(&Cid { codec, digest }.to_string()) {
                queued.push(self.queue_control(Control::Blob(Blob::Erased {
                    actor: no,
                    digest,
                    offset: kept.at.offset,
                }))?);
            }
        }
        written(queued).await
    }
}

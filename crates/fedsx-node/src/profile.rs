//! What a local actor says of itself, changed by an `Update` of its document. Design, section 6.

use fedsx_core::actor::set_profile;
use fedsx_core::refusal::Refusal;
use fedsx_core::state::Actor;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::Map;

use crate::{Node, Published};

impl Node {
    /// Sets members of an actor's document, each as a whole; `null` takes one away. Returns the actor and the
    /// `Update` when the new document is served.
    ///
    /// # Errors
    /// `no-such-actor`; `malformed`, `not-authorised` or `too-large` as [`set_profile`] says, or the refusal of
    /// publishing it.
    pub async fn update_actor(
        &self,
        name: &str,
        members: &Map,
    ) -> Result<(Actor, Published), Refusal> {
        let actor = self.actor(name)?;
        let published = self
            .amend(&actor, |amended, update| {
                set_profile(&mut amended.document, members)?;
                let updated = format_rfc3339_ms(update.published_ms);
                amended.document.insert("updated", updated);
                Ok(())
            })
            .await?;
        Ok((self.actor(name)?, published))
    }
}

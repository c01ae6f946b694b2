//! What an entry of the journal is to projections: an activity with its document and the actors whose
//! logs it joined there, or nothing.
//!
//! A `placed` entry is shown as the document that it places, to projections whose keys read the actors.
//! What was kept under an undefined verb is shown where it was admitted, as having joined there all logs
//! that it had joined by then; never before.

use std::borrow::Cow;
use std::collections::HashMap;

use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, ActorNo, Control, Joined, Subject};
use fedsx_core::projection::Shown;
use fedsx_core::state::Outcome;
use fedsx_core::value::Map;
use fedsx_store::{ReadError, Stored, View};

/// Logs that are shown at once, as many as one entry joins.
const LOGS: usize = 256;

/// Reads what entries refer to.
pub(crate) struct Entries {
    view: View,
    /// URLs of local actors, which never change.
    urls: HashMap<ActorNo, String>,
}

/// An entry that is shown.
pub(crate) struct Met<'a> {
    /// The activity that a control entry is about.
    about: Option<Stored>,
    entry: &'a Stored,
    joined: Cow<'a, [Joined]>,
    is_further: bool,
}

impl Entries {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            urls: HashMap::new(),
        }
    }

    /// What there is to show of an entry in its parts, which count from 0: an admission may have more
    /// than one. Of what joins further logs there is something only `with_placed`.
    pub(crate) fn meet<'a>(
        &self,
        entry: &'a Stored,
        with_placed: bool,
        part: usize,
    ) -> Result<Option<Met<'a>>, ReadError> {
        let offset = entry.header.offset;
        let (about, joined, is_further) = match &entry.header.subject {
            Subject::Activity(activity) if part == 0 => {
                // What an imported actor brings along may be here for another.
                let is_further = activity.imported.is_some()
                    && self.view.place_of(&activity.digest)? != Some(offset);
                if is_further && !with_placed {
                    return Ok(None);
                }
                // Then its document stands there.
                let about = match is_further {
                    true => self.about(&activity.digest, offset)?,
                    false => None,
                };
                (about, (&*activity.joined).into(), is_further)
            }
            Subject::Control(Control::Placed { digest, joined, .. })
                if with_placed && part == 0 =>
            {
                (self.about(digest, offset)?, (&**joined).into(), true)
            }
            Subject::Control(Control::Admitted { digest, .. }) if with_placed || part == 0 => {
                let joined = self.view.joined_before(digest, offset)?;
                let joined: Vec<Joined> = joined.into_iter().skip(part * LOGS).take(LOGS).collect();
                let outcome = self.view.outcome(digest)?;
                let is_it = outcome == Some(Outcome::Admitted(offset));
                if !is_it || (part > 0 && joined.is_empty()) {
                    return Ok(None);
                }
                (self.about(digest, offset)?, joined.into(), part > 0)
            }
            _ => return Ok(None),
        };
        let is_control = matches!(entry.header.subject, Subject::Control(_));
        if is_control && about.is_none() {
            return Ok(None);
        }
        Ok(Some(Met {
            about,
            entry,
            joined,
            is_further,
        }))
    }

    /// An activity that an entry at `offset` is about, as it was known there: with what it was marked,
    /// unless it had been admitted.
    pub(super) fn about(&self, digest: &Digest, offset: u64) -> Result<Option<Stored>, ReadError> {
        let Some(mut stored) = self.view.stored(digest)? else {
            return Ok(None);
        };
        let outcome = self.view.outcome(digest)?;
        let Subject::Activity(activity) = &mut stored.header.subject else {
            return Ok(None);
        };
        if matches!(outcome, Some(Outcome::Admitted(at)) if at <= offset) {
            activity.mark = None;
        }
        Ok(Some(stored))
    }

    /// The entry as projections see it.
    pub(crate) fn show(&mut self, met: &Met<'_>) -> Result<Shown, ReadError> {
        let mut actors: Vec<String> = Vec::with_capacity(met.joined.len());
        for joined in &*met.joined {
            let url = self.url(joined.log.actor)?;
            if !actors.contains(&url) {
                actors.push(url);
            }
        }
        let document = met.document()?;
        let header = &met.entry.header;
        Ok(Shown::new(
            met.activity(),
            header.offset,
            header.received_ms,
            &actors,
            document,
        ))
    }

    fn url(&mut self, no: ActorNo) -> Result<String, ReadError> {
        if let Some(url) = self.urls.get(&no) {
            return Ok(url.clone());
        }
        let actor = self.view.state().actor(no)?;
        let url = actor.map(|actor| actor.url).unwrap_or_default();
        self.urls.insert(no, url.clone());
        Ok(url)
    }
}

impl Met<'_> {
    pub(crate) fn activity(&self) -> &Activity {
        let stored = self.about.as_ref().unwrap_or(self.entry);
        stored.activity().expect("only activities are met")
    }

    /// The logs that it joins there.
    pub(crate) fn joined(&self) -> &[Joined] {
        &self.joined
    }

    /// The document, unless it is erased.
    pub(crate) fn document(&self) -> Result<Option<Map>, ReadError> {
        document(self.about.as_ref().unwrap_or(self.entry))
    }

    /// Whether it is shown again, because it joined further logs.
    pub(super) const fn is_further(&self) -> bool {
        self.is_further
    }
}

/// The document of an entry, unless it is erased.
pub(super) fn document(stored: &Stored) -> Result<Option<Map>, ReadError> {
    match stored.erased {
        true => Ok(None),
        false => stored.map().map(Some),
    }
}

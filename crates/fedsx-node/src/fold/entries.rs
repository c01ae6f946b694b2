//! What an entry of the journal is to projections: an activity with its document and the actors whose
//! logs it joined there, or nothing.
//!
//! A `placed` entry is shown as the document that it places, to projections whose keys read the actors.

use std::collections::HashMap;

use fedsx_core::entry::{Activity, ActorNo, Control, Joined, Subject};
use fedsx_core::projection::Shown;
use fedsx_core::value::Map;
use fedsx_store::{ReadError, Stored, View};

/// Reads what entries refer to.
pub(crate) struct Entries {
    view: View,
    /// URLs of local actors, which never change.
    urls: HashMap<ActorNo, String>,
}

/// An entry that is shown.
pub(crate) struct Met<'a> {
    placed: Option<Stored>,
    entry: &'a Stored,
    joined: &'a [Joined],
}

impl Entries {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            urls: HashMap::new(),
        }
    }

    /// What there is to show of an entry; of a placing one only `with_placed`.
    pub(crate) fn meet<'a>(
        &self,
        entry: &'a Stored,
        with_placed: bool,
    ) -> Result<Option<Met<'a>>, ReadError> {
        let (placed, joined) = match &entry.header.subject {
            Subject::Activity(activity) => (None, &*activity.joined),
            Subject::Control(Control::Placed { digest, joined }) if with_placed => {
                match self.view.stored(digest)? {
                    Some(stored) if stored.activity().is_some() => (Some(stored), &**joined),
                    _ => return Ok(None),
                }
            }
            Subject::Control(_) => return Ok(None),
        };
        Ok(Some(Met {
            placed,
            entry,
            joined,
        }))
    }

    /// The entry as projections see it.
    pub(crate) fn show(&mut self, met: &Met<'_>) -> Result<Shown, ReadError> {
        let mut actors: Vec<String> = Vec::with_capacity(met.joined.len());
        for joined in met.joined {
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
        let stored = self.placed.as_ref().unwrap_or(self.entry);
        stored.activity().expect("only activities are met")
    }

    /// The logs that it joins there.
    pub(crate) const fn joined(&self) -> &[Joined] {
        self.joined
    }

    /// The document.
    pub(crate) fn document(&self) -> Result<Map, ReadError> {
        self.placed.as_ref().unwrap_or(self.entry).map()
    }

    /// Whether it is shown again, because it joined further logs.
    pub(crate) const fn is_placed(&self) -> bool {
        self.placed.is_some()
    }
}

//! What was appended lately, by `id`, so that the writer need not ask the index again whether a draft
//! is new when it was new a moment ago.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use fedsx_core::decide::Draft;
use fedsx_core::entry::{Activity, Effect};

/// Entries remembered.
const REMEMBERED: usize = 16_384;

/// The `id`s of all activities from an offset on, and of what they delete, by a hash of this process's own: two that share one
/// only cost a look at the index. An `id` is enough: it is part of what a digest covers.
#[derive(Debug)]
pub(crate) struct Recent {
    from: u64,
    hasher: RandomState,
    ids: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
}

impl Recent {
    /// Nothing yet; `next` is the offset of the next entry.
    pub(crate) fn from(next: u64) -> Self {
        Self {
            from: next,
            hasher: RandomState::new(),
            ids: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether a draft that was new when it was decided is certainly new still, and was not deleted
    /// meanwhile. One with an effect is always looked at again.
    pub(crate) fn is_new(&self, draft: &Draft) -> bool {
        let activity = &draft.activity;
        let covered = draft.new_as_of.is_some_and(|as_of| as_of + 1 >= self.from);
        let is_recent = |id: &String| self.ids.contains_key(&self.hasher.hash_one(id));
        covered
            && activity.effect.is_none()
            && !is_recent(&activity.id)
            && !activity.object_id.as_ref().is_some_and(is_recent)
    }

    /// Remembers an activity, and what it deletes.
    pub(crate) fn add(&mut self, offset: u64, activity: &Activity) {
        let deleted = match &activity.effect {
            Some(Effect::Deleted { object, with, .. }) => [Some(object), with.as_ref()],
            _ => [None, None],
        };
        let deleted = deleted.into_iter().flatten();
        for id in std::iter::once(&activity.id).chain(deleted) {
            let id = self.hasher.hash_one(id);
            self.ids.insert(id, offset);
            self.order.push_back((offset, id));
        }
        while self.order.len() > REMEMBERED
            && let Some((oldest, id)) = self.order.pop_front()
        {
            self.from = oldest + 1;
            if self.ids.get(&id) == Some(&oldest) {
                self.ids.remove(&id);
            }
        }
    }
}

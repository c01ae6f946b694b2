//! Who is what in a local group, and what it has to announce: owed by the entry that it received, until the one that holds the `Announce`
//! or says that there will be none.

use super::between::Pair;
use super::{Moment, trigger};
use crate::cid::Digest;
use crate::entry::{Activity, Effect};
use crate::group::{Announcing, Form, Post, ToAnnounce, rate_key};
use crate::state::{Row, State, StateError};

/// Groups have to announce the activity of this digest, since the entry at this offset.
pub(super) fn owed(
    source: Digest,
    announced_by: Option<&[Announcing]>,
    offset: u64,
    rows: &mut Vec<Row>,
) {
    let announced_by = announced_by.into_iter().flatten();
    rows.extend(announced_by.map(|announcing| Row::ToAnnounce {
        owed: ToAnnounce {
            offset,
            announcing: *announcing,
            source,
        },
        is_owed: true,
    }));
}

impl Moment<'_> {
    /// Somebody is added to a group, or removed from it.
    pub(super) fn appointed(&self, effect: &Effect, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let Effect::Appointed {
            group,
            who,
            post,
            given,
        } = effect
        else {
            return Ok(());
        };
        let Some(group) = self.state.actor_by_url(group)? else {
            return Ok(());
        };
        let standing = self.state.standing(group.no, who)?.with(*post, *given);
        rows.push(Row::Standing {
            group: group.no,
            who: who.clone(),
            standing,
        });
        if *post == Post::Controller {
            return Ok(());
        }
        let mut pair = Pair::load(self, group, who)?;
        pair.answer(*given);
        pair.rows(self, rows)
    }
}

/// A group announces something of an author's.
pub(super) fn announced(
    state: &dyn State,
    announce: &Activity,
    (owed, author): (&ToAnnounce, &str),
    now_ms: i64,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    settled(owed, rows);
    // One post counts once, in however many forms.
    if owed.announcing.form == Form::Activity {
        trigger::spent(state, rate_key(&announce.actor), author, now_ms, rows)?;
    }
    Ok(())
}

/// There is no more to be done about it.
pub(super) fn settled(owed: &ToAnnounce, rows: &mut Vec<Row>) {
    rows.push(Row::ToAnnounce {
        owed: *owed,
        is_owed: false,
    });
}

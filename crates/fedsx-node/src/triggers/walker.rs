//! The walk along the journal: which triggers meet which entry, and what they say.
//!
//! Everything here is read or evaluated; nothing is written.

use std::collections::VecDeque;

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::definition::{Definition, Kind};
use fedsx_core::entry::Effect;
use fedsx_core::envelope::{Recipients, object_of};
use fedsx_core::projection::Shown;
use fedsx_core::state::Actor;
use fedsx_core::trigger::{
    Chain, Derivation, Derived, Due, Met, Ran, Reason, Settled, Source, Standing, Subscribed,
    address, chain, has_room,
};
use fedsx_core::value::{Map, Value};
use fedsx_store::{ReadError, Stored, Tail};

use super::Verdict;
use crate::Node;
use crate::fold::entries::{self, Entries};

/// Entries read at once.
const CHUNK: usize = 64;
/// Entries passed in one step at most.
const STEP: usize = 1_024;

/// What a step came to.
pub(super) enum Step {
    /// There is nothing more to meet yet.
    Idle,
    /// Nothing is to be done about the entries passed; so many chains ended there.
    Passed { ended: u64 },
    /// This is to be done, in order, before the next step.
    Due(Vec<Verdict>),
}

pub(super) struct Walker {
    node: Node,
    entries: Entries,
    standing: Standing,
    tail: Tail,
    read: VecDeque<Stored>,
    /// The entry last looked at.
    at: u64,
    /// Everything up to here is done.
    through: u64,
    ended: u64,
}

impl Walker {
    /// A walk from behind `met` on, or from the first trigger on where that is later.
    pub(super) fn begin(node: Node, met: u64) -> Result<Self, ReadError> {
        let view = node.view().clone();
        // Kept of another journal, it says nothing of this one.
        let met = if met > view.applied() { 0 } else { met };
        let definitions = view.definitions(0)?;
        let mut own = definitions.iter().filter(|defined| defined.peer.is_none());
        let first = own.find(|defined| defined.kind == Kind::Trigger);
        let through = first.map_or(met, |first| met.max(first.offset - 1));
        let mut walker = Self {
            entries: Entries::new(view.clone()),
            standing: Standing::default(),
            tail: view.tail(through),
            read: VecDeque::new(),
            at: through,
            through,
            ended: 0,
            node,
        };
        for defined in definitions {
            if defined.offset <= through
                && defined.peer.is_none()
                && let Some(create) = view.stored(&defined.create)?
            {
                let object = view.definition_object(&defined)?;
                walker.define(defined.kind, &create, object, defined.offset)?;
            }
        }
        for subscription in view.subscriptions()? {
            let has_ended = subscription.until.is_some_and(|until| until <= through);
            if subscription.from <= through && !has_ended {
                let params = params(&view.subscribe_of(&subscription)?.map()?);
                walker.standing.subscribe(Subscribed {
                    actor: subscription.actor,
                    subscribe: subscription.subscribe,
                    name: subscription.name,
                    version: subscription.version,
                    params,
                    from: subscription.from,
                });
            }
        }
        Ok(walker)
    }

    /// The offset up to which everything is done.
    pub(super) const fn settled_through(&self) -> u64 {
        self.through
    }

    /// What the step before asked for is done.
    pub(super) const fn carried_out(&mut self) {
        self.through = self.at;
    }

    /// Goes on along the journal, until something is to be done.
    pub(super) fn step(&mut self) -> Result<Step, ReadError> {
        for passed in 0..STEP {
            if self.read.is_empty() {
                self.read.extend(self.tail.next(CHUNK)?);
            }
            let Some(entry) = self.read.pop_front() else {
                return Ok(match passed {
                    0 => Step::Idle,
                    _ => self.passed(),
                });
            };
            self.at = entry.header.offset;
            self.take_up(&entry)?;
            let verdicts = self.verdicts(&entry)?;
            if !verdicts.is_empty() {
                return Ok(Step::Due(verdicts));
            }
            self.through = self.at;
        }
        Ok(self.passed())
    }

    fn passed(&mut self) -> Step {
        Step::Passed {
            ended: std::mem::take(&mut self.ended),
        }
    }

    /// What an entry changes of the triggers and subscriptions that hold.
    fn take_up(&mut self, entry: &Stored) -> Result<(), ReadError> {
        let Some(activity) = entry.activity() else {
            return Ok(());
        };
        match &activity.effect {
            Some(Effect::Defined { kind, .. }) => {
                let object = match kind {
                    Kind::Trigger | Kind::Subscription => object_of(&entry.map()?).cloned(),
                    _ => None,
                };
                self.define(*kind, entry, object, entry.header.offset)?;
            }
            Some(Effect::Subscribed { name, version }) => {
                if let Some(actor) = self.actor(&activity.actor)? {
                    self.standing.subscribe(Subscribed {
                        actor: actor.no,
                        subscribe: activity.digest,
                        name: name.clone(),
                        version: *version,
                        params: params(&entry.map()?),
                        from: entry.header.offset,
                    });
                }
            }
            Some(Effect::Unsubscribed { subscribe }) => self.standing.unsubscribe(subscribe),
            _ => {}
        }
        Ok(())
    }

    fn define(
        &mut self,
        kind: Kind,
        create: &Stored,
        object: Option<Map>,
        offset: u64,
    ) -> Result<(), ReadError> {
        let of_interest = matches!(kind, Kind::Trigger | Kind::Subscription);
        let (Some(activity), Some(object), true) = (create.activity(), object, of_interest) else {
            return Ok(());
        };
        let Some(owner) = self.actor(&activity.actor)? else {
            return Ok(());
        };
        match Definition::of(&object) {
            Ok(definition) => self.standing.define(definition, owner.no, offset),
            // It compiled when it was appended; another version of the program may not agree.
            Err(error) => tracing::error!(offset, %error, "a definition is left out"),
        }
        Ok(())
    }

    /// What the triggers that an entry is for say to it.
    fn verdicts(&mut self, entry: &Stored) -> Result<Vec<Verdict>, ReadError> {
        // What came with an imported actor was met where the actor was.
        let is_imported = entry.activity().is_some_and(|it| it.imported.is_some());
        if !self.standing.has_triggers() || is_imported {
            return Ok(Vec::new());
        }
        let mut verdicts = Vec::new();
        let mut part = 0;
        while let Some(met) = self.entries.meet(entry, true, part)? {
            part += 1;
            self.verdicts_on(&met, entry.header.offset, &mut verdicts)?;
        }
        Ok(verdicts)
    }

    fn verdicts_on(
        &mut self,
        met: &entries::Met<'_>,
        offset: u64,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), ReadError> {
        let due = self.standing.due(Met {
            offset,
            activity: met.activity(),
            joined: met.joined(),
        });
        if due.is_empty() {
            return Ok(());
        }
        // Of what is erased nothing follows any more.
        let Some(document) = met.document()? else {
            return Ok(());
        };
        let source = met.activity().clone();
        let recipients = Recipients {
            hidden: source.hidden.clone(),
            // Some that can't be read are nobody's.
            ..Recipients::of(&document).unwrap_or_default()
        };
        let meeting = Meeting {
            cid: Cid::of_document(source.digest),
            document,
            actor: source.actor.clone(),
            source: Source {
                visibility: source.visibility,
                actor: &source.actor,
                recipients: &recipients,
            },
            shown: self.entries.show(met)?,
        };
        for due in due {
            verdicts.extend(self.verdict(&due, &meeting)?);
        }
        Ok(())
    }

    /// What one trigger says to an entry; nothing where it is none of its own, or it is done with it.
    fn verdict(&mut self, due: &Due, meeting: &Meeting<'_>) -> Result<Option<Verdict>, ReadError> {
        let view = self.node.view();
        let state = view.state();
        let (source, trigger) = (meeting.cid.digest, due.cid().digest);
        if state.is_settled(&source, &trigger)? {
            return Ok(None);
        }
        let trigger_of = |digest: &Digest| -> Result<Option<Digest>, ReadError> {
            let stored = view.stored(digest)?;
            let derived = stored.and_then(|stored| stored.activity()?.derived.clone());
            Ok(derived.map(|derived| derived.trigger))
        };
        let ancestors = match chain(meeting.cid, &meeting.document, &trigger, trigger_of)? {
            Chain::Goes(ancestors) => ancestors,
            Chain::Ends(why) => {
                self.ended += 1;
                tracing::debug!(source = %meeting.cid, trigger = %due.cid(), why, "a chain ends");
                return Ok(None);
            }
        };
        let failed = |error: &str| Verdict::Settle(Settled::failed(source, trigger, error));
        let settled = |reason| {
            Verdict::Settle(Settled {
                source,
                trigger,
                reason,
                error: None,
            })
        };
        let activity = match due.run(&meeting.shown) {
            Ok(Ran::Passed) => return Ok(None),
            Ok(Ran::Nothing) => return Ok(Some(settled(Reason::Nothing))),
            Ok(Ran::Activity(activity)) => activity,
            Err(error) => return Ok(Some(failed(&error))),
        };
        if !has_room(&state.spent(&trigger, &meeting.actor)?, self.node.now_ms()) {
            return Ok(Some(settled(Reason::Limited)));
        }
        let Some(owner) = state.actor(due.trigger.owner)? else {
            return Ok(None);
        };
        Ok(Some(match address(activity, meeting.source, &owner.url) {
            Ok(activity) => {
                let derived = Derived {
                    source,
                    trigger,
                    source_actor: meeting.actor.clone(),
                };
                Verdict::Publish(owner.name, activity, Derivation { derived, ancestors })
            }
            Err(refusal) => failed(&refusal.to_string()),
        }))
    }

    fn actor(&self, url: &str) -> Result<Option<Actor>, ReadError> {
        Ok(self.node.view().state().actor_by_url(url)?)
    }
}

/// An entry that triggers meet.
struct Meeting<'a> {
    cid: Cid,
    document: Map,
    actor: String,
    source: Source<'a>,
    shown: Shown,
}

/// What the `match` of a subscription is given.
fn params(subscribe: &Map) -> Value {
    subscribe.get("params").cloned().unwrap_or_default()
}

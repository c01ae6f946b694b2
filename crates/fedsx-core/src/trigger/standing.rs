//! The triggers and subscriptions that hold at a place of the journal, and what they make of an entry.
//!
//! A fold of the definitions and subscriptions up to there, so that which version of a trigger meets an
//! entry does not depend on when it is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedsx_sx::program::Program;

use crate::cid::{Cid, Digest};
use crate::decide::schema::{FUEL, Fuel};
use crate::definition::{Body, Definition};
use crate::entry::{Activity, ActorNo, Effect, Joined};
use crate::projection::Shown;
use crate::value::{Map, Value, to_document};

/// A trigger, and whose it is.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The definition.
    pub definition: Definition,
    /// Who defined it, and publishes what it makes.
    pub owner: ActorNo,
    /// The offset of its `Create`.
    pub offset: u64,
}

/// A subscription of a local actor.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// Whose.
    pub actor: ActorNo,
    /// The `Subscribe`.
    pub subscribe: Digest,
    /// The name of the `DefineSubscription`.
    pub name: String,
    /// Its version, where that was named.
    pub version: Option<Digest>,
    /// What its `match` is given.
    pub params: Value,
    /// The offset of the `Subscribe`.
    pub from: u64,
}

/// What holds.
#[derive(Clone, Default, Debug)]
pub struct Standing {
    triggers: BTreeMap<String, Arc<Trigger>>,
    /// What the name of a subscription means.
    named: BTreeMap<String, Definition>,
    versions: BTreeMap<Digest, Definition>,
    subscribed: Vec<Arc<Subscribed>>,
}

/// An entry that triggers may meet: an activity, and the logs that it joins there.
#[derive(Clone, Copy, Debug)]
pub struct Met<'a> {
    /// Where.
    pub offset: u64,
    /// The activity.
    pub activity: &'a Activity,
    /// The logs.
    pub joined: &'a [Joined],
}

/// A trigger that is to be asked about an entry.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which.
    pub trigger: Arc<Trigger>,
    /// Whether its verb is that of the entry; else one of the selections must have the entry.
    by_verb: bool,
    selections: Vec<(Definition, Arc<Subscribed>)>,
}

/// What a trigger answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Ran {
    /// That the entry is none of its own: no subscription has it, or `guard` says so.
    Passed,
    /// Nothing.
    Nothing,
    /// An activity.
    Activity(Map),
}

impl Standing {
    /// Takes up a definition of a local actor; others than triggers and subscriptions are nothing to it.
    pub fn define(&mut self, definition: Definition, owner: ActorNo, offset: u64) {
        let name = definition.name().to_owned();
        match definition.body() {
            Body::Trigger { .. } => {
                let trigger = Trigger {
                    definition,
                    owner,
                    offset,
                };
                self.triggers.insert(name, Arc::new(trigger));
            }
            Body::Subscription { .. } => {
                self.versions
                    .insert(definition.digest(), definition.clone());
                self.named.insert(name, definition);
            }
            _ => {}
        }
    }

    /// Takes up a subscription.
    pub fn subscribe(&mut self, subscribed: Subscribed) {
        self.subscribed.push(Arc::new(subscribed));
    }

    /// Ends the subscription that a `Subscribe` began.
    pub fn unsubscribe(&mut self, subscribe: &Digest) {
        self.subscribed
            .retain(|subscribed| subscribed.subscribe != *subscribe);
    }

    /// Whether there is anything that may follow from an entry.
    #[must_use]
    pub fn has_triggers(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// The triggers that are to be asked about an entry, by name.
    #[must_use]
    pub fn due(&self, met: Met<'_>) -> Vec<Due> {
        let Met {
            offset, activity, ..
        } = met;
        // Nothing follows from what is filled in, from what means nothing here, and from a block, of
        // which nobody is told.
        let is_block = matches!(
            activity.effect,
            Some(Effect::Block { .. } | Effect::UndoBlock { .. })
        );
        if activity.backfilled || activity.mark.is_some() || is_block {
            return Vec::new();
        }
        let triggers = self.triggers.values().filter(|trigger| {
            let in_own_log = || met.joined.iter().any(|one| one.log.actor == trigger.owner);
            trigger.offset < offset && in_own_log()
        });
        let due = triggers.filter_map(|trigger| {
            let Body::Trigger { on, .. } = trigger.definition.body() else {
                return None;
            };
            let by_verb = *on == activity.verb;
            let selections = match by_verb {
                true => Vec::new(),
                false => self.selections(trigger.owner, on, offset),
            };
            (by_verb || !selections.is_empty()).then(|| Due {
                trigger: Arc::clone(trigger),
                by_verb,
                selections,
            })
        });
        due.collect()
    }

    /// What an actor selects by the subscription of that name.
    fn selections(
        &self,
        actor: ActorNo,
        name: &str,
        offset: u64,
    ) -> Vec<(Definition, Arc<Subscribed>)> {
        let own = self.subscribed.iter().filter(|subscribed| {
            subscribed.actor == actor && subscribed.name == name && subscribed.from < offset
        });
        let selections = own.filter_map(|subscribed| {
            let definition = match &subscribed.version {
                Some(version) => self.versions.get(version),
                None => self.named.get(&subscribed.name),
            };
            Some((definition?.clone(), Arc::clone(subscribed)))
        });
        selections.collect()
    }
}

impl Due {
    /// The CID of the trigger.
    #[must_use]
    pub fn cid(&self) -> Cid {
        self.trigger.definition.cid()
    }

    /// Asks the trigger: whether the entry is selected, whether `guard` has it, and what `then` makes of
    /// it, all within [`FUEL`].
    ///
    /// # Errors
    /// What failed, in a sentence.
    pub fn run(&self, shown: &Shown) -> Result<Ran, String> {
        let mut fuel = Fuel(FUEL);
        if !self.is_selected(shown, &mut fuel)? {
            return Ok(Ran::Passed);
        }
        let Body::Trigger { guard, then, .. } = self.trigger.definition.body() else {
            return Ok(Ran::Passed);
        };
        let arguments = || [shown.act().clone(), shown.env().clone()];
        if let Some(guard) = guard
            && !is_true("guard", call("guard", guard, arguments(), &mut fuel)?)?
        {
            return Ok(Ran::Passed);
        }
        match call("then", then, arguments(), &mut fuel)? {
            Value::Nil => Ok(Ran::Nothing),
            value @ Value::Map(_) => match to_document(&value) {
                Ok(Value::Map(map)) => Ok(Ran::Activity(map)),
                Ok(_) => unreachable!("a map stays one"),
                Err(error) => Err(format!("`then` answered no document: {error}")),
            },
            _ => Err("`then` must answer an activity or nil".to_owned()),
        }
    }

    fn is_selected(&self, shown: &Shown, fuel: &mut Fuel) -> Result<bool, String> {
        if self.by_verb {
            return Ok(true);
        }
        for (definition, subscribed) in &self.selections {
            let Body::Subscription { matches } = definition.body() else {
                continue;
            };
            let arguments = [shown.act().clone(), subscribed.params.clone()];
            if is_true("match", call("match", matches, arguments, fuel)?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn call(
    member: &str,
    program: &Program,
    arguments: [Value; 2],
    fuel: &mut Fuel,
) -> Result<Value, String> {
    let answer = fuel.call(program, arguments);
    answer.map_err(|why| format!("`{member}` failed: {why}"))
}

fn is_true(member: &str, value: Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("`{member}` must answer a boolean"))
}

#[cfg(test)]
mod tests;

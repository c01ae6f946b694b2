//! The definitions that hold here, compiled, and the stages that run them: 9 and 10 (design, sections
//! 5 and 8.2).
//!
//! Readers take one generation and keep it. What came with the program is evaluated where it is asked
//! for, because it is known to be short; what others wrote may take all of its fuel, which is tens of
//! milliseconds, and runs on blocking threads, a few at a time, so that no loop holds up a connection.
//! Deliberately absent: which definitions of peers are taken, and what is owed to kept activities of
//! verbs that become defined (`learning`).

use std::sync::{Arc, Mutex, PoisonError};

use fedsx_core::cid::{Cid, Codec, Digest};
use fedsx_core::decide::Draft;
use fedsx_core::decide::schema::{Circumstances, Judges};
use fedsx_core::definition::{Definition, Kind};
use fedsx_core::entry::{Control, Mark, Role};
use fedsx_core::genesis::definitions;
use fedsx_core::refusal::Refusal;
use fedsx_core::registry::{Active, Authority, Registry};
use fedsx_core::state::Defined;
use fedsx_core::value::Map;
use tokio::sync::{Semaphore, watch};

use crate::{Node, fault};

/// Evaluations of what others wrote that run at once.
const PLACES: usize = 2;

/// The present generation, and the places to run it.
pub(crate) struct Programs {
    current: watch::Sender<Arc<Registry>>,
    /// Held while a generation is made of the one before.
    catching_up: Mutex<()>,
    places: Arc<Semaphore>,
}

impl Programs {
    pub(crate) fn new() -> Self {
        Self {
            current: watch::Sender::new(Arc::new(Registry::of_genesis(definitions()))),
            catching_up: Mutex::new(()),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

/// An activity to be judged.
pub(crate) struct Question {
    pub(crate) registry: Arc<Registry>,
    pub(crate) act: Map,
    pub(crate) circumstances: Circumstances,
    /// The code of a refusal that the operator lets pass.
    pub(crate) excused: Option<String>,
}

impl Question {
    fn judges(&self) -> Judges<'_> {
        let judges = match self.circumstances.digest {
            Some(_) => Judges::of(&self.registry, &self.act),
            None => Judges::of_own(&self.registry, &self.act),
        };
        judges.excusing(self.excused.as_deref())
    }

    fn judge(&self) -> Result<(), Refusal> {
        self.judges().judge(&self.act, &self.circumstances)
    }

    /// The outcome where nobody else's definition has to be run for it.
    pub(crate) fn judge_here(&self) -> Option<Result<Judged, Refusal>> {
        let judges = self.judges();
        if judges.is_undefined() {
            return Some(Ok(Judged {
                mark: Some(Mark::UndefinedVerb),
                defined_by: defined_by(&self.act),
                ..Judged::default()
            }));
        }
        let judged = || judges.judge(&self.act, &self.circumstances);
        (!judges.is_foreign()).then(|| judged().map(|()| Judged::default()))
    }
}

/// What passed, and by what.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) definitions: Vec<Digest>,
    pub(crate) mark: Option<Mark>,
    /// Of an undefined verb: the `Create` that defines it, as the activity itself says.
    pub(crate) defined_by: Option<Digest>,
}

impl Judged {
    /// Puts it on record in what is about to be appended.
    pub(crate) fn put_into(self, draft: &mut Draft) {
        draft.activity.defined_by = self.defined_by;
        draft.activity.definitions = self.definitions;
        draft.activity.mark = self.mark;
        if self.mark.is_some() {
            // No group passes on what nobody could judge.
            draft.activity.announced_by = None;
        }
    }
}

impl Node {
    /// The present generation of the registry.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.0.programs.current.borrow())
    }

    /// Tells each generation of the registry, the present one first.
    #[must_use]
    pub fn watch_registry(&self) -> watch::Receiver<Arc<Registry>> {
        self.0.programs.current.subscribe()
    }

    /// Takes what was defined since into the registry: once when the node starts, and after each
    /// definition.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn take_up_definitions(&self) -> Result<(), Refusal> {
        let programs = &self.0.programs;
        let lock = programs.catching_up.lock();
        let _one_at_a_time = lock.unwrap_or_else(PoisonError::into_inner);
        let before = self.registry();
        let defined = self.0.view.definitions(before.through());
        let defined = defined.map_err(fault::read)?;
        if defined.is_empty() {
            self.fold_what_is_meant(&before);
            return Ok(());
        }
        let mut registry = Registry::clone(&before);
        for defined in defined {
            let offset = defined.offset;
            match self.active(defined)? {
                Some(active) => registry.add(active),
                None => registry.leave_out(offset),
            }
        }
        self.fold_what_is_meant(&registry);
        programs.current.send_replace(Arc::new(registry));
        Ok(())
    }

    /// Has the projections folded that their names mean in this generation.
    fn fold_what_is_meant(&self, registry: &Registry) {
        for active in registry.active(Some(Kind::Projection)) {
            let definition = &active.definition;
            let meant = registry.resolve(Kind::Projection, definition.name(), None);
            if meant.is_some_and(|meant| meant.definition.digest() == definition.digest()) {
                // One that the kernel does itself is nothing to fold by.
                let _is_folded = self.0.folds.activate(definition);
            } else {
                // Two peers of one name: then neither is meant, as after a restart.
                let _was_folded = self.0.folds.deactivate(definition);
            }
        }
    }

    fn active(&self, defined: Defined) -> Result<Option<Active>, Refusal> {
        let object = self.0.view.definition_object(&defined);
        let object = object.map_err(fault::read)?.unwrap_or_default();
        match Definition::of(&object) {
            Ok(definition) => Ok(Some(Active {
                definition,
                authority: defined.peer.map_or(Authority::Local, Authority::Peer),
                offset: defined.offset,
                create: Some(defined.create),
            })),
            Err(error) => {
                // It compiled when it was appended; another version of the program may not agree.
                tracing::error!(name = defined.name, %error, "a definition is left out");
                Ok(None)
            }
        }
    }

    /// Stages 9 and 10.
    pub(crate) async fn judge(&self, question: Question) -> Result<Judged, Refusal> {
        if let Some(judged) = question.judge_here() {
            return judged;
        }
        let definitions = question.judges().named();
        self.at_a_place(move || question.judge()).await??;
        Ok(Judged {
            definitions,
            ..Judged::default()
        })
    }

    /// Runs what may take tens of milliseconds on a blocking thread, when one of a few places is free.
    pub(crate) async fn at_a_place<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.0.programs.places).acquire_owned().await;
        let place = place.map_err(|error| fault::internal("no place to judge", &error))?;
        // The place is held as long as the work runs, also when whoever asked is gone.
        let done = self.aside(move || {
            let done = work();
            drop(place);
            done
        });
        done.await
            .map_err(|error| fault::internal("the judging broke", &error))
    }

    /// Gives a local actor a role, or takes it: the admin's act. Returns when that is durable.
    ///
    /// # Errors
    /// `no-such-actor`, or why nothing was appended.
    pub async fn set_role(&self, name: &str, role: Role, given: bool) -> Result<(), Refusal> {
        let actor = self.actor(name)?.no;
        let has = self.0.view.state().has_role(actor, role);
        if has.map_err(fault::state)? == given {
            return Ok(());
        }
        self.control(Control::Role { actor, role, given }).await
    }
}

fn defined_by(act: &Map) -> Option<Digest> {
    let cid: Cid = act.get("definedBy")?.as_str()?.parse().ok()?;
    (cid.codec == Codec::JsonJcs).then_some(cid.digest)
}

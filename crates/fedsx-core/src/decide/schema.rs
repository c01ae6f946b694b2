//! Stages 9 and 10: what the definitions of an activity say to it (design, sections 5 and 8.2).
//!
//! All of it happens against one generation of the registry and within [`FUEL`]. A predicate must
//! return a boolean: an error, or any other value, refuses. Pure; when and on which thread it runs is
//! the caller's. Deliberately absent: definitions in activities, which are judged by compiling them.

mod types;

use std::sync::Arc;

use fedsx_sx::budget::{self, Limits};
use fedsx_sx::program::Program;

use crate::cid::{Cid, Digest};
use crate::decide::authority::is_definition;
use crate::definition::{Body, Kind};
use crate::entry::{Authenticated, Visibility};
use crate::envelope::object_of;
use crate::refusal::{Code, Refusal};
use crate::registry::{Active, Authority, Registry, Verb};
use crate::value::{Map, Value};

/// What the schemas and validators of one activity may use together, units.
pub const FUEL: u64 = 2_000_000;
/// Object types that one may narrow, one after the other.
const NARROWINGS: usize = 8;

/// What a validator is told beside the activity.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The digest inside the activity's CID; none of one that is not published yet.
    pub digest: Option<Digest>,
    /// When it was received, Unix milliseconds.
    pub received_ms: i64,
    /// Who may read it.
    pub visibility: Visibility,
    /// By what it was authenticated.
    pub authenticated: Authenticated,
    /// Whether a local actor that it reaches follows its sender.
    pub followed: bool,
    /// Whether it is filled in from history.
    pub backfilled: bool,
}

impl Circumstances {
    fn env(&self) -> Value {
        let cid = self
            .digest
            .map(|digest| Cid::of_document(digest).to_string());
        Value::Map(Map::from([
            ("cid", cid.map_or(Value::Nil, Value::from)),
            ("received", Value::Int(self.received_ms)),
            ("visibility", self.visibility.as_str().into()),
            ("backfilled", Value::Bool(self.backfilled)),
            ("authenticated", self.authenticated.as_str().into()),
            ("follows?", Value::Bool(self.followed)),
            (
                "local?",
                Value::Bool(self.authenticated == Authenticated::Local),
            ),
        ]))
    }
}

/// The definitions that judge one activity.
#[derive(Clone, Copy, Debug)]
pub struct Judges<'a> {
    registry: &'a Registry,
    verb: Verb<'a>,
    object: Option<&'a Active>,
    host_type: Option<&'a Arc<Active>>,
    validators: &'a [Arc<Active>],
    excused: Option<&'a str>,
}

impl<'a> Judges<'a> {
    /// Those of a received activity, or of one that is published here.
    #[must_use]
    pub fn of(registry: &'a Registry, act: &Map) -> Self {
        let nothing = Self {
            registry,
            verb: registry.verb(act),
            object: None,
            host_type: None,
            validators: &[],
            excused: None,
        };
        if nothing.is_undefined() {
            return nothing;
        }
        let verb = act.get("type").and_then(Value::as_str);
        let object = object_of(act);
        let host_type = object.and_then(|object| types::named(registry, object));
        let kind = object.and_then(|object| object.get("type")?.as_str());
        let object = kind.and_then(|kind| registry.resolve(Kind::Object, kind, None));
        Self {
            object: object.map(|active| &**active),
            host_type,
            validators: verb.map_or(&[], |verb| registry.validators(verb)),
            ..nothing
        }
    }

    /// Those of an activity that is published here. A definition is judged by the `Create` of genesis
    /// alone, and by compiling it, so that no definition can keep its own correction out.
    #[must_use]
    pub fn of_own(registry: &'a Registry, act: &Map) -> Self {
        let object = object_of(act);
        if !object.is_some_and(is_definition) || act.get("type") != Some(&Value::from("Create")) {
            return Self::of(registry, act);
        }
        let create = registry.active(Some(Kind::Activity)).find(|active| {
            active.authority == Authority::Genesis && active.definition.name() == "Create"
        });
        Self {
            registry,
            verb: create.map_or(Verb::Plain, |active| Verb::Defined(active)),
            object: None,
            host_type: None,
            validators: &[],
            excused: None,
        }
    }

    /// The same, but for the refusal of this code, with the validator's name: the operator has let it
    /// pass.
    #[must_use]
    pub const fn excusing(self, code: Option<&'a str>) -> Self {
        Self {
            excused: code,
            ..self
        }
    }

    /// Whether the verb means nothing here, so that nothing can judge it.
    #[must_use]
    pub const fn is_undefined(&self) -> bool {
        matches!(self.verb, Verb::Undefined)
    }

    /// Whether anything is to be evaluated that did not come with the program: then it may take all of
    /// its fuel.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.active()
            .any(|active| active.authority != Authority::Genesis)
    }

    /// The digests of those that an entry names: all but genesis.
    #[must_use]
    pub fn named(&self) -> Vec<Digest> {
        self.active()
            .filter(|active| active.authority != Authority::Genesis)
            .map(|active| active.definition.digest())
            .collect()
    }

    fn active(&self) -> impl Iterator<Item = &'a Active> {
        let verb = match self.verb {
            Verb::Defined(active) => Some(active),
            Verb::Plain | Verb::Undefined => None,
        };
        let host_type = self.host_type.iter().flat_map(|by| {
            let wider = self.registry.wider_types(&by.definition.digest());
            [*by].into_iter().chain(wider).map(|active| &**active)
        });
        let validators = self.validators.iter().map(|active| &**active);
        let object = self.object.into_iter().chain(host_type);
        verb.into_iter().chain(object).chain(validators)
    }

    /// Judges.
    ///
    /// # Errors
    /// `schema`, `object-schema` or `validator:NAME`, of the first that refuses.
    pub fn judge(&self, act: &Map, circumstances: &Circumstances) -> Result<(), Refusal> {
        let mut fuel = Fuel(FUEL);
        if let Verb::Defined(active) = self.verb
            && let Body::Activity { schema, .. } = active.definition.body()
        {
            let judged = fuel.demand(schema, act, active);
            self.excuse(judged.map_err(|why| Refusal::new(Code::Schema, why)))?;
        }
        if let Some(object) = object_of(act) {
            self.excuse(self.judge_object(object, &mut fuel))?;
            if let Some(by) = self.host_type {
                let judged = types::judge(self.registry, object, by, &mut fuel);
                self.excuse(judged.map_err(|why| Refusal::new(Code::ObjectSchema, why)))?;
            }
        }
        for active in self.validators {
            if let Body::Validator { check, .. } = active.definition.body() {
                let arguments = [Value::Map(act.clone()), circumstances.env()];
                let reason = match fuel.call(check, arguments) {
                    Ok(Value::Nil) => continue,
                    Ok(Value::Str(reason)) => reason.to_string(),
                    Ok(_) => "it must return nil or a reason, which is a string".to_owned(),
                    Err(why) => why,
                };
                self.excuse(Err(Refusal::of_validator(active.definition.name(), reason)))?;
            }
        }
        Ok(())
    }

    fn excuse(&self, judged: Result<(), Refusal>) -> Result<(), Refusal> {
        match judged {
            Err(refusal) if self.excused == Some(&*refusal.code_text()) => Ok(()),
            judged => judged,
        }
    }

    /// The schema of an object's type, and those of the types that it narrows. A type that is not
    /// defined here passes.
    fn judge_object(&self, object: &Map, fuel: &mut Fuel) -> Result<(), Refusal> {
        let mut next = self.object;
        for _ in 0..NARROWINGS {
            let Some(active) = next else { break };
            let Body::Object { schema, extends } = active.definition.body() else {
                break;
            };
            fuel.demand(schema, object, active)
                .map_err(|why| Refusal::new(Code::ObjectSchema, why))?;
            let wider = extends.as_deref();
            next = wider
                .and_then(|name| self.registry.resolve(Kind::Object, name, None))
                .map(|active| &**active);
        }
        Ok(())
    }
}

/// What is left to spend.
pub(crate) struct Fuel(pub(crate) u64);

impl Fuel {
    /// Asks a predicate, which must say `true`; the error is the sentence that is answered.
    fn demand(&mut self, schema: &Program, subject: &Map, of: &Active) -> Result<(), String> {
        let name = of.definition.name();
        let value = self.call(schema, [Value::Map(subject.clone())]);
        match value.map_err(|why| format!("the schema of `{name}` failed: {why}"))? {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => Err(format!("it is no `{name}`: its schema says so")),
            _ => Err(format!("the schema of `{name}` returned no boolean")),
        }
    }

    pub(crate) fn call<const N: usize>(
        &mut self,
        program: &Program,
        arguments: [Value; N],
    ) -> Result<Value, String> {
        let limits = Limits {
            fuel: self.0.min(budget::FUEL),
        };
        let outcome = program.call(arguments, limits);
        self.0 = self.0.saturating_sub(outcome.fuel_used);
        outcome.result.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    fn registry(sources: &[&str]) -> Registry {
        let mut registry = Registry::default();
        for (offset, source) in (1..).zip(sources) {
            registry.add(Active {
                definition: Definition::from_source(source).expect(source),
                authority: Authority::Local,
                offset,
                create: None,
            });
        }
        registry
    }

    fn judged(registry: &Registry, source: &str) -> String {
        let act = crate::notation::sx::read_definition(source, &[]).expect(source);
        let circumstances = Circumstances {
            digest: None,
            received_ms: 7,
            visibility: Visibility::Public,
            authenticated: Authenticated::Local,
            followed: false,
            backfilled: false,
        };
        let judges = Judges::of(registry, &act);
        match judges.judge(&act, &circumstances) {
            Ok(()) if judges.is_undefined() => "undefined".to_owned(),
            Ok(()) => "passes".to_owned(),
            Err(refusal) => format!("{}: {}", refusal.code_text(), refusal.detail),
        }
    }

    #[test]
    fn refusals_of_definitions() {
        let registry = registry(&[
            "(DefineActivity :name \"Pin\" :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))",
            "(DefineActivity :name \"Odd\" :schema (fn (act) (get act :path)))",
            "(DefineActivity :name \"Loop\" :schema (fn (act) (let ((f (fn (f) (f f)))) (f f))))",
            "(DefineActivity :name \"Fail\" :schema (fn (act) (+ 1 (get act :path))))",
            "(DefineObject :name \"Link\" :schema (fn (obj) (string? (get obj :href))))",
            "(DefineObject :name \"Mark\" :extends \"Link\" :schema (fn (obj) (string? (get obj :name))))",
            "(DefineValidator :name \"polite\" :on [\"Say\" \"Pin\"] :check (fn (act env) (if (= (get act :path) \"rude\") \"not so\" nil)))",
            "(DefineActivity :name \"Say\" :schema (fn (act) true))",
            "(DefineValidator :name \"stranger\" :on [\"Say\"] :check (fn (act env) (get env :local?)))",
        ]);
        let page: Vec<String> = [
            "(Pin :path \"a\" :object \"b\")",
            "(Pin :path \"a\")",
            "(Pin :path \"rude\" :object \"b\")",
            "(Odd :path \"a\")",
            "(Loop)",
            "(Fail :path \"a\")",
            "(Frob)",
            "(Like :object (Link))",
            "(Create :object (Mark :name \"x\"))",
            "(Create :object (Mark :name \"x\" :href \"y\"))",
            "(Create :object (Thing))",
            "(Say)",
        ]
        .into_iter()
        .map(|source| format!("{source}\n  {}", judged(&registry, source)))
        .collect();
        insta::assert_snapshot!(page.join("\n"));
    }
}

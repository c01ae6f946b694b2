//! The members of a definition, read by kind: what is missing or of another shape is refused by name.

use fedsx_sx::program::Program;

use super::fields::{self, Field};
use super::{Body, DefinitionError, Kind, Projection, Scope, VERBS, host, is_name, text};
use crate::cid::Cid;
use crate::value::{Map, Value};

/// Reads the members of one kind.
pub(super) struct Reader<'a>(pub(super) &'a Map);

impl Reader<'_> {
    pub(super) fn body(&self, kind: Kind) -> Result<Body, DefinitionError> {
        Ok(match kind {
            Kind::Activity => Body::Activity {
                schema: self.code("schema")?,
                fallback: self.optional("fallback")?,
            },
            Kind::Object => Body::Object {
                schema: self.code("schema")?,
                extends: self.optional("extends")?,
            },
            Kind::Projection => Body::Projection(self.projection()?),
            Kind::Validator => Body::Validator {
                on: self
                    .verbs()?
                    .ok_or_else(|| missing("on", "the verbs that it checks"))?,
                check: self.code("check")?,
            },
            Kind::Audience => Body::Audience {
                resolve: self.code_or_built_in("resolve")?,
            },
            Kind::Subscription => Body::Subscription {
                matches: self.code("match")?,
            },
            Kind::Trigger => Body::Trigger {
                on: self.text("on", "the name of a verb or of a subscription")?,
                guard: self.optional_code("guard")?,
                then: self.code("then")?,
            },
            Kind::Codec | Kind::SigSuite => {
                Body::BuiltIn(self.text("builtin", "the name of what is built in")?)
            }
            Kind::Type => Body::Type {
                fields: self.fields()?,
                schema: self.optional_code("schema")?,
            },
            Kind::Subtype => {
                let (parent, child) = (self.cid("parent")?, self.cid("child")?);
                if parent == child {
                    return Err(missing("child", "another type than `parent`"));
                }
                Body::Subtype { parent, child }
            }
        })
    }

    fn projection(&self) -> Result<Projection, DefinitionError> {
        let scope = match self.optional("scope")?.as_deref() {
            None | Some("private") => Scope::Private,
            Some("public") => Scope::Public,
            Some(_) => return Err(missing("scope", "`public` or `private`")),
        };
        Ok(Projection {
            initial: self.0.get("initialState").cloned().unwrap_or_default(),
            fold: self.code_or_built_in("fold")?,
            on: self.verbs()?,
            key: self.optional_code("key")?,
            scope,
        })
    }

    fn verbs(&self) -> Result<Option<Vec<String>>, DefinitionError> {
        let Some(value) = self.0.get("on") else {
            return Ok(None);
        };
        let verbs: Option<Vec<String>> = value
            .items()
            .map(|verb| {
                verb.as_str()
                    .filter(|verb| is_name(verb))
                    .map(str::to_owned)
            })
            .collect();
        let verbs = verbs.filter(|verbs| (1..=VERBS).contains(&verbs.len()));
        let verbs = verbs.ok_or_else(|| missing("on", "a verb, or a list of up to 64 verbs"))?;
        Ok(Some(verbs))
    }

    fn fields(&self) -> Result<Vec<Field>, DefinitionError> {
        let fields = self.0.get("fields").and_then(Value::as_map);
        fields.and_then(fields::fields).ok_or_else(|| {
            missing(
                "fields",
                "an object of up to 256 fields, each with `string`, `integer`, `number`, `boolean`, \
                 `object`, `list`, `any` or the CID of a type; a `?` behind where it may be absent",
            )
        })
    }

    fn cid(&self, member: &'static str) -> Result<Cid, DefinitionError> {
        let cid = text(self.0, member).and_then(|text| text.parse().ok());
        cid.ok_or_else(|| missing(member, "the CID of a `DefineType`"))
    }

    fn text(
        &self,
        member: &'static str,
        expected: &'static str,
    ) -> Result<String, DefinitionError> {
        let text = text(self.0, member).filter(|text| !text.is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| missing(member, expected))
    }

    fn optional(&self, member: &'static str) -> Result<Option<String>, DefinitionError> {
        match self.0.get(member) {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text.to_string())),
            Some(_) => Err(missing(member, "a string, where it is given")),
        }
    }

    fn optional_code(&self, member: &'static str) -> Result<Option<Program>, DefinitionError> {
        match self.0.get(member) {
            None | Some(Value::Nil) => Ok(None),
            Some(_) => self.code(member).map(Some),
        }
    }

    /// Code, or `builtin` instead: the kernel does it itself.
    fn code_or_built_in(&self, member: &'static str) -> Result<Option<Program>, DefinitionError> {
        if self.0.get("builtin").and_then(Value::as_bool) == Some(true) {
            return Ok(None);
        }
        self.code(member).map(Some)
    }

    fn code(&self, member: &'static str) -> Result<Program, DefinitionError> {
        let source = text(self.0, member).ok_or_else(|| missing(member, "SX code"))?;
        let program = Program::compile(source, host()).map_err(|error| DefinitionError::Code {
            member,
            source_text: source.to_owned(),
            error,
        })?;
        if program.parameters().is_none() {
            return Err(missing(member, "a function, as `(fn (act) …)` is"));
        }
        Ok(program)
    }
}

const fn missing(member: &'static str, expected: &'static str) -> DefinitionError {
    DefinitionError::Member { member, expected }
}

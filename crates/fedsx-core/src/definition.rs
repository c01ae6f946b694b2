//! Definitions: the objects by which verbs, object types, projections and the rest are published, read
//! strictly and compiled (design, section 8.2).
//!
//! A definition is data with code in some of its members, as text. Its CID is its version and covers
//! exactly the object as embedded in its `Create`, unknown members included. Invariant: holding a
//! [`Definition`] means that all of its code compiles. Deliberately absent: who may define, which
//! definition is active (`registry`), and running it.

mod fields;
mod members;

use std::sync::{Arc, LazyLock};

use fedsx_sx::error::{CompileError, Fault};
use fedsx_sx::host::Host;
use fedsx_sx::program::Program;
use minicbor::{Decode, Encode};

use crate::canonical::document_bytes;
use crate::cid::{Cid, Codec, Digest};
use crate::notation::NotationError;
use crate::notation::sx::read_definition;
use crate::value::{Map, Value, check_document};

use members::Reader;

pub use fields::{Field, Holds};

/// The longest name of a definition, bytes.
pub const NAME_BYTES: usize = 128;
/// Verbs that one definition may be about.
const VERBS: usize = 64;

/// What a definition defines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// An activity type: a verb.
    #[n(0)]
    Activity,
    /// An object type.
    #[n(1)]
    Object,
    /// A fold of the journal.
    #[n(2)]
    Projection,
    /// A further check of activities.
    #[n(3)]
    Validator,
    /// A named audience.
    #[n(4)]
    Audience,
    /// What `Subscribe` may name.
    #[n(5)]
    Subscription,
    /// What follows from an activity.
    #[n(6)]
    Trigger,
    /// A notation or hash the instance offers.
    #[n(7)]
    Codec,
    /// A signature suite the instance offers.
    #[n(8)]
    SigSuite,
    /// A host type: a record with a refinement.
    #[n(9)]
    Type,
    /// That one host type refines another.
    #[n(10)]
    Subtype,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Activity,
        Self::Object,
        Self::Projection,
        Self::Validator,
        Self::Audience,
        Self::Subscription,
        Self::Trigger,
        Self::Codec,
        Self::SigSuite,
        Self::Type,
        Self::Subtype,
    ];

    /// As `type` of an object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "DefineActivity",
            Self::Object => "DefineObject",
            Self::Projection => "DefineProjection",
            Self::Validator => "DefineValidator",
            Self::Audience => "DefineAudience",
            Self::Subscription => "DefineSubscription",
            Self::Trigger => "DefineTrigger",
            Self::Codec => "DefineCodec",
            Self::SigSuite => "DefineSigSuite",
            Self::Type => "DefineType",
            Self::Subtype => "SubtypeOf",
        }
    }

    /// The kind that an object's `type` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The members that hold code.
    #[must_use]
    pub const fn code(self) -> &'static [&'static str] {
        match self {
            Self::Activity | Self::Object | Self::Type => &["schema"],
            Self::Projection => &["fold", "key"],
            Self::Validator => &["check"],
            Self::Audience => &["resolve"],
            Self::Subscription => &["match"],
            Self::Trigger => &["guard", "then"],
            Self::Codec | Self::SigSuite | Self::Subtype => &[],
        }
    }

    /// Whether a peer may supply it, as far as the policy trusts that peer.
    #[must_use]
    pub const fn may_come_from_peers(self) -> bool {
        matches!(
            self,
            Self::Activity | Self::Object | Self::Projection | Self::Type
        )
    }
}

/// Who sees a projection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Scope {
    /// Everybody; it folds public entries only.
    Public,
    /// The admin.
    #[default]
    Private,
}

/// What a definition says, by kind.
#[derive(Clone, Debug)]
pub enum Body {
    /// `DefineActivity`.
    Activity {
        /// `(fn (act) bool)`.
        schema: Program,
        /// An AS2 type that peers who don't know the verb may show.
        fallback: Option<String>,
    },
    /// `DefineObject`.
    Object {
        /// `(fn (obj) bool)`.
        schema: Program,
        /// The type it narrows.
        extends: Option<String>,
    },
    /// `DefineProjection`.
    Projection(Projection),
    /// `DefineValidator`.
    Validator {
        /// The verbs it checks.
        on: Vec<String>,
        /// `(fn (act env) → nil or reason)`.
        check: Program,
    },
    /// `DefineAudience`.
    Audience {
        /// `(fn (act sets) → list)`; none in one that is built in.
        resolve: Option<Program>,
    },
    /// `DefineSubscription`.
    Subscription {
        /// `(fn (act params) bool)`.
        matches: Program,
    },
    /// `DefineTrigger`.
    Trigger {
        /// The verb or subscription it follows.
        on: String,
        /// `(fn (act env) bool)`.
        guard: Option<Program>,
        /// `(fn (act env) → activity or nil)`.
        then: Program,
    },
    /// `DefineCodec` and `DefineSigSuite`: the name of what is built in.
    BuiltIn(String),
    /// `DefineType`.
    Type {
        /// The fields of the record.
        fields: Vec<Field>,
        /// The refinement, `(fn (obj) bool)`.
        schema: Option<Program>,
    },
    /// `SubtypeOf`.
    Subtype {
        /// The CID of the wider type.
        parent: Cid,
        /// The CID of the narrower one.
        child: Cid,
    },
}

/// What a `DefineProjection` says.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The state before anything was folded, of each key where there are keys.
    pub initial: Value,
    /// `(fn (state act env) state)`; none in one that the kernel folds itself.
    pub fold: Option<Program>,
    /// The verbs it folds; all where it names none.
    pub on: Option<Vec<String>>,
    /// `(fn (act env) → string or list of strings)`: the state is kept per key.
    pub key: Option<Program>,
    /// Who sees it.
    pub scope: Scope,
}

/// A definition whose code compiles. A clone shares it.
#[derive(Clone, Debug)]
pub struct Definition(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    name: String,
    digest: Digest,
    map: Map,
    body: Body,
}

/// Why an object is no definition.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum DefinitionError {
    /// `type` names no kind of definition.
    #[error("`type` must name a kind of definition, as `DefineActivity` does")]
    Kind,
    /// `name` is missing or none.
    #[error(
        "`name` must begin with a letter and go on in letters, digits, `_` and `-`, 128 at most"
    )]
    Name,
    /// A member is missing, or not what it must be.
    #[error("`{member}` must be {expected}")]
    Member {
        /// Which.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member's code does not compile.
    #[error("`{member}` does not compile: {error}")]
    Code {
        /// Which.
        member: &'static str,
        /// The code.
        source_text: String,
        /// What is wrong with it, and where.
        error: CompileError,
    },
    /// A `.sx` file that is no definition at all.
    #[error(transparent)]
    Notation(#[from] NotationError),
}

impl DefinitionError {
    /// The error for people: with the line of code and a caret where code is at fault.
    #[must_use]
    pub fn page(&self) -> String {
        match self {
            Self::Code {
                member,
                source_text,
                error,
            } => error.page_of(member, source_text),
            other => other.to_string(),
        }
    }
}

impl Definition {
    /// Reads the object of a `Create`.
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub fn of(map: &Map) -> Result<Self, DefinitionError> {
        let kind = text(map, "type").and_then(Kind::parse);
        let kind = kind.ok_or(DefinitionError::Kind)?;
        let name = text(map, "name").filter(|name| is_name(name));
        let name = name.ok_or(DefinitionError::Name)?.to_owned();
        let body = Reader(map).body(kind)?;
        Ok(Self(Arc::new(Inner {
            kind,
            name,
            digest: Digest::of(&document_bytes(map)),
            map: map.clone(),
            body,
        })))
    }

    /// Reads a `.sx` file, whose code is written as code.
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub fn from_source(source: &str) -> Result<Self, DefinitionError> {
        Self::of(&read_source(source)?)
    }

    /// What it defines.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The digest inside its CID, which is its version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its CID.
    #[must_use]
    pub fn cid(&self) -> Cid {
        Cid {
            codec: Codec::JsonJcs,
            digest: self.0.digest,
        }
    }

    /// What it is for, in words.
    #[must_use]
    pub fn doc(&self) -> Option<&str> {
        text(&self.0.map, "doc")
    }

    /// The object as published.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.0.map
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.0.body
    }
}

/// The object that a `.sx` file stands for, its code as the text that documents carry.
///
/// # Errors
/// What is no SX, or no data outside the members of code.
pub fn read_source(source: &str) -> Result<Map, NotationError> {
    // Which members hold code depends on the kind, and no member is code in one kind and data in
    // another.
    const CODE: [&str; 7] = [
        "schema", "fold", "key", "check", "resolve", "match", "guard",
    ];
    let code: Vec<&str> = CODE.into_iter().chain(["then"]).collect();
    read_definition(source, &code)
}

/// The functions that fed-sx adds to SX: `(cid value)`, the CID of a document.
#[must_use]
pub fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        Host::new().with("cid", 1, |budget, arguments| {
            let [Value::Map(map)] = arguments else {
                return Err(Fault::host("`cid` takes a document, which is a dict"));
            };
            // The weight bounds what is written out and hashed; it is paid before.
            let weight = usize::try_from(arguments[0].weight()).unwrap_or(usize::MAX);
            budget.read(weight)?;
            check_document(&arguments[0]).map_err(|error| Fault::host(error.to_string()))?;
            let cid = Cid {
                codec: Codec::JsonJcs,
                digest: Digest::of(&document_bytes(map)),
            };
            let text = cid.to_string();
            budget.text(text.len())?;
            Ok(Value::from(text))
        })
    });
    &HOST
}

/// Whether a definition may have that name.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn text<'a>(map: &'a Map, member: &str) -> Option<&'a str> {
    map.get(member)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand."
      :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))) ; a note for people
      :fallback "Announce")"#;

    #[test]
    fn a_file_and_the_object_it_stands_for_are_one_definition() {
        let from_file = Definition::from_source(PIN).expect(PIN);
        assert_eq!(
            (from_file.kind(), from_file.name()),
            (Kind::Activity, "Pin")
        );
        assert_eq!(from_file.doc(), Some("To keep a link at hand."));
        let published = Definition::of(from_file.map()).expect("the same object");
        assert_eq!(published.cid(), from_file.cid());
        insta::assert_snapshot!(from_file.cid());
    }

    #[test]
    fn what_is_no_definition_is_refused_at_its_place() {
        let pages: Vec<_> = [
            "(Note :name \"Pin\")",
            "(DefineActivity :name \"9\" :schema (fn (act) true))",
            "(DefineActivity :name \"Pin\")",
            "(DefineActivity :name \"Pin\" :schema 1)",
            "(DefineActivity :name \"Pin\" :schema (fn (act) (gett act :path)))",
            "(DefineActivity :name \"Pin\" :schema \"(fn (act) (get act\")",
            "(DefineProjection :name \"p\")",
            "(DefineProjection :name \"p\" :scope \"all\" :fold (fn (s a) s))",
            "(DefineProjection :name \"p\" :on [] :fold (fn (s a) s))",
            "(SubtypeOf :name \"s\" :parent \"x\" :child \"y\")",
        ]
        .into_iter()
        .map(|source| {
            let error = Definition::from_source(source).expect_err(source);
            format!("{source}\n{}\n", error.page().trim_end())
        })
        .collect();
        insta::assert_snapshot!(pages.join("\n"));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn a_program_can_name_a_document_by_its_cid() {
        let program = Program::compile("(fn (doc) (cid doc))", host()).expect("it compiles");
        let document = Definition::from_source(PIN).expect(PIN);
        let outcome = program.call(
            vec![Value::Map(document.map().clone())],
            fedsx_sx::budget::Limits::default(),
        );
        assert_eq!(outcome.result, Ok(Value::from(document.cid().to_string())));
        let refused = program.call(vec![Value::Int(1)], fedsx_sx::budget::Limits::default());
        assert!(refused.result.is_err());
    }
}

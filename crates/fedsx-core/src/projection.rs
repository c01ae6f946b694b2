//! What a projection makes of one entry: into which keys it is folded, and what their state becomes
//! (design, section 8.4).
//!
//! Invariants: state is a document value, within the bound on a result (1 MiB), and depends on the
//! definition and the entries alone; the document is shown without `proof` and `signature`, because who
//! vouched for it may come later than it did, and an entry has to look the same when it is folded again.
//! Deliberately absent: where state is kept and in what order entries come (store and node).

use std::borrow::Cow;

use fedsx_sx::budget::Limits;
use fedsx_sx::error::EvalError;
use fedsx_sx::program::Program;

use crate::canonical::jcs;
use crate::cid::{Cid, Digest};
use crate::definition::{Projection, Scope};
use crate::entry::{Activity, Visibility};
use crate::limits::{PROJECTION_KEY_BYTES, PROJECTION_KEYS};
use crate::time::format_rfc3339_ms;
use crate::value::{List, Map, ProfileError, Value, to_document_from};

/// The key of a state that is kept whole: no other key is empty.
pub const WHOLE: &str = "";

/// An entry as every projection sees it; made once for all of them.
#[derive(Clone, Debug)]
pub struct Shown {
    act: Value,
    env: Value,
}

impl Shown {
    /// The activity of an entry, received at an offset and time, with its document, unless that is erased:
    /// it is shown as nil then. `actors` are the URLs of those whose logs it joined there.
    #[must_use]
    pub fn new(
        activity: &Activity,
        offset: u64,
        received_ms: i64,
        actors: &[String],
        document: Option<Map>,
    ) -> Self {
        let act = document.map_or(Value::Nil, |mut document| {
            document.remove("proof");
            document.remove("signature");
            Value::Map(document)
        });
        let actors: List = actors.iter().map(|url| Value::from(&**url)).collect();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let cid = Cid::of_document(activity.digest).to_string();
        let env = Map::from([
            ("cid", Value::from(cid)),
            ("offset", Value::Int(offset)),
            ("received", Value::from(format_rfc3339_ms(received_ms))),
            ("actors", Value::List(actors)),
            ("visibility", Value::from(activity.visibility.as_str())),
            ("backfilled", Value::Bool(activity.backfilled)),
            (
                "authenticated",
                Value::from(activity.authenticated.as_str()),
            ),
        ]);
        Self {
            act,
            env: Value::Map(env),
        }
    }

    /// The document.
    pub(crate) const fn act(&self) -> &Value {
        &self.act
    }

    /// What surrounds it.
    pub(crate) const fn env(&self) -> &Value {
        &self.env
    }
}

/// Why an entry was not folded. The state stays as it was.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum FoldError {
    /// `key` failed.
    #[error("`key`: {0}")]
    Key(EvalError),
    /// `key` answered something else than keys.
    #[error(
        "`key` must answer a string of 1 to {PROJECTION_KEY_BYTES} bytes, or a list of up to {PROJECTION_KEYS} of them"
    )]
    NoKey,
    /// `fold` failed.
    #[error("`fold`: {0}")]
    Fold(EvalError),
    /// `fold` answered what no document holds.
    #[error("`fold` answered no document value: {0}")]
    Profile(#[from] ProfileError),
}

impl Projection {
    /// Whether it folds such activities at all; those whose verb means nothing here it does not.
    #[must_use]
    pub fn takes(&self, activity: &Activity) -> bool {
        let in_scope = match self.scope {
            Scope::Public => activity.visibility == Visibility::Public,
            Scope::Private => true,
        };
        let on = self.on.as_ref();
        let is_defined = activity.mark.is_none();
        in_scope && is_defined && on.is_none_or(|verbs| verbs.contains(&activity.verb))
    }

    /// Whether its keys depend on the logs that an entry joins, so that it is shown an entry again when
    /// it joins further ones.
    #[must_use]
    pub fn reads_actors(&self) -> bool {
        let key = self.key.as_ref();
        key.is_some_and(|key| key.source().contains("actors"))
    }

    /// Into which keys an entry is folded, each once: [`WHOLE`] where state is not kept per key.
    ///
    /// # Errors
    /// When `key` fails, or answers no keys.
    pub fn keys(&self, shown: &Shown) -> Result<Vec<String>, FoldError> {
        let Some(key) = &self.key else {
            return Ok(vec![WHOLE.to_owned()]);
        };
        let answer = call(key, [shown.act.clone(), shown.env.clone()]);
        let answer = answer.map_err(FoldError::Key)?;
        let mut keys = Vec::with_capacity(1);
        for item in answer.items() {
            let key = item.as_str().filter(|key| is_key(key));
            let key = key.ok_or(FoldError::NoKey)?;
            if keys.len() == PROJECTION_KEYS {
                return Err(FoldError::NoKey);
            }
            if !keys.iter().any(|have| have == key) {
                keys.push(key.to_owned());
            }
        }
        Ok(keys)
    }

    /// The state of a key after an entry.
    ///
    /// # Errors
    /// When `fold` fails, or answers what no document holds.
    pub fn fold(&self, state: &Value, shown: &Shown) -> Result<Value, FoldError> {
        let Some(fold) = &self.fold else {
            return Ok(state.clone());
        };
        let arguments = [state.clone(), shown.act.clone(), shown.env.clone()];
        let next = call(fold, arguments).map_err(FoldError::Fold)?;
        Ok(to_document_from(state, next)?)
    }
}

fn call<const N: usize>(program: &Program, arguments: [Value; N]) -> Result<Value, EvalError> {
    program.call(arguments, Limits::default()).result
}

fn is_key(key: &str) -> bool {
    (1..=PROJECTION_KEY_BYTES).contains(&key.len())
}

/// The CID of a state: two states of one CID are the same.
#[must_use]
pub fn state_cid(state: &Value) -> Cid {
    Cid::of_document(Digest::of(&jcs(state)))
}

impl FoldError {
    /// The error for the account, its length bounded.
    #[must_use]
    pub fn shortened(&self) -> String {
        const BYTES: usize = 512;
        let text = self.to_string();
        let end = text.floor_char_boundary(BYTES);
        let cut: Cow<'_, str> = match end < text.len() {
            true => format!("{}…", &text[..end]).into(),
            false => text.into(),
        };
        cut.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Body, Definition};
    use crate::entry::Authenticated;
    use crate::notation::Notation;

    fn projection(source: &str) -> Projection {
        let definition = Definition::from_source(source).expect(source);
        match definition.body() {
            Body::Projection(projection) => projection.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn activity(verb: &str, visibility: Visibility) -> Activity {
        Activity {
            digest: Digest::of(b"x"),
            id: "https://a.example/1".to_owned(),
            verb: verb.to_owned(),
            actor: "https://a.example/actors/alice".to_owned(),
            object_id: None,
            published_ms: 0,
            authenticated: Authenticated::Proof,
            key: None,
            visibility,
            notation: Notation::Json,
            joined: Vec::new(),
            hidden: Vec::new(),
            effect: None,
            fan_out: false,
            backfilled: false,
            audience: Vec::new(),
            definitions: Vec::new(),
            mark: None,
            derived: None,
            defined_by: None,
            announced_by: None,
            embeds: None,
            imported: None,
        }
    }

    fn shown(document: Map) -> Shown {
        let actors = ["https://a.example/actors/bob".to_owned()];
        let activity = activity("Create", Visibility::Public);
        Shown::new(&activity, 7, 1_767_225_600_000, &actors, Some(document))
    }

    #[test]
    fn an_entry_and_its_surroundings_are_shown() {
        let shown = shown([("type", "Create"), ("proof", "x"), ("signature", "y")].into());
        let text = crate::notation::json::pretty(&Value::from(vec![shown.act, shown.env]));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn scope_and_verbs_choose_what_is_folded() {
        let public = projection(
            "(DefineProjection :name \"p\" :scope \"public\" :on [\"Create\" \"Announce\"] :fold (fn (s) s))",
        );
        let takes = |verb, visibility| public.takes(&activity(verb, visibility));
        assert!(takes("Announce", Visibility::Public));
        assert!(!takes("Announce", Visibility::Followers));
        assert!(!takes("Like", Visibility::Public));
        let private = projection("(DefineProjection :name \"p\" :fold (fn (s) s))");
        assert!(private.takes(&activity("Like", Visibility::Direct)));
    }

    #[test]
    fn keys_are_one_string_or_a_list_of_them() {
        let keys = |code: &str| {
            let source = format!("(DefineProjection :name \"p\" :key {code} :fold (fn (s) s))");
            projection(&source).keys(&shown([("type", "Create")].into()))
        };
        assert_eq!(
            keys("(fn (a) (get a :type))"),
            Ok(vec!["Create".to_owned()])
        );
        assert_eq!(
            keys("(fn (a) [\"x\" \"y\" \"x\"])").expect("two"),
            ["x", "y"]
        );
        assert_eq!(keys("(fn (a) nil)"), Ok(vec![]));
        assert_eq!(
            keys("(fn (a e) (get e :actors))").expect("one"),
            ["https://a.example/actors/bob"]
        );
        for wrong in [
            "(fn (a) 1)",
            "(fn (a) \"\")",
            "(fn (a) (map str (range 0 257)))",
        ] {
            assert_eq!(keys(wrong), Err(FoldError::NoKey), "{wrong}");
        }
        assert!(matches!(keys("(fn (a) (+ a 1))"), Err(FoldError::Key(_))));
    }

    #[test]
    fn a_fold_makes_the_next_state_or_says_why_not() {
        let fold = |code: &str, state: Value| {
            let source = format!("(DefineProjection :name \"p\" :fold {code})");
            projection(&source).fold(&state, &shown([("type", "Create")].into()))
        };
        assert_eq!(fold("(fn (s) (+ s 1))", Value::Int(1)), Ok(Value::Int(2)));
        assert_eq!(
            fold("(fn (s) (* s 2.0))", Value::Int(1)),
            Ok(Value::Int(2)),
            "numbers have one representation"
        );
        let errors = [
            "(fn (s) :keyword)",
            "(fn (s) (fn (x) x))",
            "(fn (s) (get s :x) (error \"no\"))",
            "(fn (s) (join \"\" (map (fn (n) (str s)) (range 0 1100))))",
            "(fn (s) (reduce + 0 (range 0 2000000)))",
        ]
        .map(|code| {
            fold(code, Value::from("x".repeat(1_000)))
                .expect_err(code)
                .shortened()
        });
        insta::assert_snapshot!(errors.join("\n"));
    }
}

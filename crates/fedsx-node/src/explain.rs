//! Why something is where it is: kept, admitted, refused, or nowhere (design, section 5).
//!
//! Looks in the journal, in quarantine and among the last refusals, in that order. What keeps an
//! activity of an undefined verb waiting is worked out when it is asked for, from what holds then.

use fedsx_core::cid::{Cid, Digest};
use fedsx_core::definition::Kind;
use fedsx_core::entry::{Control, Effect, Mark, Subject};
use fedsx_core::envelope::object_of;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Kept, Outcome, Waiting};
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::trust::{Declined, Trust};
use fedsx_core::value::{Map, Value};
use fedsx_store::Stored;

use crate::{Node, fault};

/// Where something was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// In the journal: its entry.
    Journal(Box<Stored>),
    /// In quarantine, or among the last refusals.
    Account {
        /// Its `id`.
        id: String,
        /// Its `actor`.
        actor: String,
        /// Its `type`.
        verb: String,
        /// By what it was refused.
        code: String,
        /// When, Unix milliseconds.
        at_ms: i64,
    },
}

/// What has become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Stored; nothing is open.
    Stored,
    /// Kept until its verb is defined.
    Kept,
    /// It was kept, and was admitted at that offset.
    Admitted(u64),
    /// It was kept, or offered a definition, for too long: it expired at that offset.
    Expired(u64),
    /// It offers a definition, which is not taken.
    Offered,
    /// The definition that it offers became active at that offset.
    Activated(u64),
    /// Its owner deleted it: erased at that offset.
    Erased(u64),
    /// In quarantine.
    Quarantined,
    /// Refused.
    Refused,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Kept => "kept",
            Self::Admitted(_) => "admitted",
            Self::Expired(_) => "expired",
            Self::Offered => "offered",
            Self::Activated(_) => "activated",
            Self::Erased(_) => "erased",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
        }
    }

    /// The offset of the control entry that says so.
    #[must_use]
    pub const fn offset(self) -> Option<u64> {
        match self {
            Self::Admitted(offset)
            | Self::Expired(offset)
            | Self::Activated(offset)
            | Self::Erased(offset) => Some(offset),
            _ => None,
        }
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The CID of what was asked for.
    pub cid: Cid,
    /// Where it was found.
    pub found: Found,
    /// What has become of it.
    pub standing: Standing,
    /// Why it is not folded, in a sentence.
    pub why: Option<String>,
    /// What can be done about it.
    pub next: Option<String>,
    /// The definitions that judged it, those of genesis left out.
    pub definitions: Vec<Cid>,
    /// The CIDs of what it was derived from, as it says itself.
    pub caused_by: Vec<String>,
}

impl Node {
    /// Explains what has become of an activity, by its CID or `id`.
    ///
    /// # Errors
    /// `malformed-cid`; `not-found` when nothing is known of it; `internal`.
    pub async fn explain(&self, what: &str) -> Result<Explanation, Refusal> {
        let cid = match what.parse::<Cid>() {
            Ok(cid) => Some(cid),
            Err(error) if !what.contains("://") => return Err(error.into()),
            Err(_) => None,
        };
        let view = &self.0.view;
        let stored = match &cid {
            Some(cid) => view.stored(&cid.digest),
            None => view.activity_by_id(what),
        };
        if let Some(stored) = stored.map_err(fault::read)? {
            return self.explain_stored(stored).await;
        }
        self.explain_refused(cid.as_ref(), what)
    }

    fn explain_refused(&self, cid: Option<&Cid>, id: &str) -> Result<Explanation, Refusal> {
        let held = match cid {
            Some(cid) => self.0.quarantine.find(&cid.digest),
            None => {
                let mut all = self.0.quarantine.list().into_iter();
                all.find(|account| account.id == id)
            }
        };
        if let Some(held) = held {
            let found = Found::Account {
                id: held.id,
                actor: held.actor,
                verb: held.verb,
                code: held.code,
                at_ms: held.refused_ms,
            };
            let cid = Cid::of_document(held.digest);
            let next = format!("`fedsx quarantine release {cid}` takes it all the same");
            let standing = Standing::Quarantined;
            return Ok(Explanation::of_account(
                cid,
                found,
                standing,
                held.detail,
                next,
            ));
        }
        let Some(refused) = self.0.refusals.find(cid, id) else {
            let why = "nothing is known here under that name: it never arrived, was about nobody here, or was \
                       refused too long ago; ask its sender, or look with `fedsx get`";
            return Err(Refusal::new(Code::NotFound, why));
        };
        let found = Found::Account {
            id: refused.id,
            actor: refused.actor,
            verb: refused.verb,
            code: refused.code,
            at_ms: refused.at_ms,
        };
        let next = "its sender was told; nothing of it is kept here".to_owned();
        let cid = Cid::of_document(refused.digest);
        let standing = Standing::Refused;
        Ok(Explanation::of_account(
            cid,
            found,
            standing,
            refused.detail,
            next,
        ))
    }

    async fn explain_stored(&self, stored: Stored) -> Result<Explanation, Refusal> {
        let view = &self.0.view;
        let Some(activity) = stored.activity() else {
            let why = "that is no activity";
            return Err(Refusal::new(Code::NotFound, why));
        };
        let digest = activity.digest;
        let outcome = view.outcome(&digest).map_err(fault::read)?;
        let kept = view
            .state()
            .kept(stored.header.offset)
            .map_err(fault::state)?;
        let seen = view.state().seen(&digest).map_err(fault::state)?;
        let erased = seen.and_then(|seen| seen.erased);
        let standing = match (outcome, &kept, &activity.effect) {
            _ if let Some(erasure) = erased => Standing::Erased(erasure.offset),
            (Some(Outcome::Admitted(offset)), ..) => Standing::Admitted(offset),
            (Some(Outcome::Activated(offset)), ..) => Standing::Activated(offset),
            (Some(Outcome::Expired(offset)), ..) => Standing::Expired(offset),
            (None, Some(_), Some(Effect::Offered { .. })) => Standing::Offered,
            (None, Some(_), _) => Standing::Kept,
            (None, None, _) => Standing::Stored,
        };
        let definitions = match standing {
            Standing::Admitted(offset) => self.admitted_by(offset)?,
            _ => activity.definitions.clone(),
        };
        let map = stored.map().map_err(fault::read)?;
        let why = match (standing, &kept) {
            (Standing::Kept | Standing::Offered, Some(kept)) => self.why_waiting(kept).await?,
            (Standing::Expired(_), _) => match activity.mark {
                Some(Mark::UndefinedVerb) => Some(format!(
                    "`{}` was not defined here in its time",
                    activity.verb
                )),
                None => Some("the definition was not taken in its time".to_owned()),
            },
            // Such are no offers at all.
            (Standing::Stored, _) if !self.0.instance.owns(&activity.actor) => {
                let kind = kind_of_object(&map).filter(|kind| !kind.may_come_from_peers());
                kind.map(|kind| Declined::Kind(kind).to_string())
            }
            _ => None,
        };
        let next = match standing {
            Standing::Kept => Some(format!(
                "`fedsx define` a `{}` here, or trust its definer with `definitions.trust`",
                activity.verb
            )),
            _ => None,
        };
        let caused_by = map.get("causedBy").into_iter().flat_map(Value::items);
        let caused_by = caused_by.filter_map(Value::as_str).map(str::to_owned);
        Ok(Explanation {
            cid: Cid::of_document(digest),
            standing,
            why,
            next,
            definitions: definitions.into_iter().map(Cid::of_document).collect(),
            caused_by: caused_by.collect(),
            found: Found::Journal(Box::new(stored)),
        })
    }

    fn admitted_by(&self, offset: u64) -> Result<Vec<Digest>, Refusal> {
        let mut tail = self.0.view.tail(offset.saturating_sub(1));
        let entries = tail.next(1).map_err(fault::read)?;
        Ok(match entries.first().map(|entry| &entry.header.subject) {
            Some(Subject::Control(Control::Admitted { definitions, .. })) => definitions.clone(),
            _ => Vec::new(),
        })
    }

    /// Why something still waits; none when it is about to go on.
    async fn why_waiting(&self, kept: &Kept) -> Result<Option<String>, Refusal> {
        let trust = self.trust()?;
        let (verb, defined_by) = match &kept.waiting {
            Waiting::Trust { .. } => return self.why_declined(&trust, kept).await,
            Waiting::Verb { verb, defined_by } => (verb, defined_by),
        };
        match self.verdict(&self.registry(), kept).await? {
            Some(Err(refusal)) => {
                let why = format!("`{verb}` is defined here, and refuses it: {refusal}");
                return Ok(Some(why));
            }
            Some(Ok(_)) => return Ok(None),
            None => {}
        }
        let undefined = |why: &str| Ok(Some(format!("`{verb}` is not defined here: {why}")));
        if trust == Trust::None {
            return undefined(&Declined::NobodyTrusted.to_string());
        }
        let Some(create) = defined_by else {
            return undefined("the activity names no `Create` that defines it (`definedBy`)");
        };
        let state = self.0.view.state();
        if let Some(seen) = state.seen(create).map_err(fault::state)? {
            return match state.kept(seen.at.offset).map_err(fault::state)? {
                Some(offered) => match self.why_declined(&trust, &offered).await? {
                    Some(why) => undefined(&why),
                    None => Ok(None),
                },
                None => undefined("its definition was taken, and is no longer active, or expired"),
            };
        }
        let now_ms = self.now_ms();
        match self.0.learning.account(create) {
            Some(account) if account.why.is_some() => {
                let again = format_rfc3339_ms(account.until_ms);
                let why = account.why.unwrap_or_default();
                undefined(&format!("{why}; asked for again after {again}"))
            }
            None if self.0.learning.is_spent(&kept.host(), now_ms) => undefined(&format!(
                "as many definitions were asked of {} as may be in a day",
                kept.host()
            )),
            _ => undefined("its definition is being fetched"),
        }
    }

    async fn why_declined(&self, trust: &Trust, kept: &Kept) -> Result<Option<String>, Refusal> {
        let declined = self.declined(trust, kept).await?;
        Ok(declined.map(|declined| declined.to_string()))
    }
}

fn kind_of_object(act: &Map) -> Option<Kind> {
    let object = object_of(act)?;
    Kind::parse(object.get("type")?.as_str()?)
}

impl Explanation {
    fn of_account(cid: Cid, found: Found, standing: Standing, why: String, next: String) -> Self {
        Self {
            cid,
            found,
            standing,
            why: Some(why),
            next: Some(next),
            definitions: Vec::new(),
            caused_by: Vec::new(),
        }
    }
}

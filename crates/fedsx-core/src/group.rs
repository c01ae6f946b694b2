//! Groups: what a local one passes on of what it receives, and what stands in its entries of that (FEP-1b12;
//! design, section 9.1).
//!
//! Invariants: that something is to be announced is decided when it is received, once, and owed by its entry; what
//! ends that is the entry that holds the `Announce`, or one that says that there will be none. Who may say something
//! in a group, and who controls it, is judged in `decide/group`. Deliberately absent: what a peer's group announces, which
//! is judged like anything else that its author says.

use minicbor::{Decode, Encode};

use crate::cid::Digest;
use crate::entry::ActorNo;

/// As what something is announced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Form {
    /// The whole activity, as received.
    #[n(0)]
    Activity,
    /// The `id` of the object that it brings, for those who take nothing else for a boost.
    #[n(1)]
    Object,
}

impl Form {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Object => "object",
        }
    }

    /// Its number in keys.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Activity => 0,
            Self::Object => 1,
        }
    }
}

/// That a local group has to announce an activity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Announcing {
    /// The group.
    #[n(0)]
    pub group: ActorNo,
    /// As what.
    #[n(1)]
    pub form: Form,
}

/// Something that a local group has to announce, by the entry that owes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ToAnnounce {
    /// The offset of that entry.
    #[n(0)]
    pub offset: u64,
    /// By whom and as what.
    #[n(1)]
    pub announcing: Announcing,
    /// The digest of the activity that is announced.
    #[n(2)]
    pub source: Digest,
}

impl ToAnnounce {
    /// The same as something else.
    #[must_use]
    pub const fn in_form(self, form: Form) -> Self {
        Self {
            announcing: Announcing {
                group: self.announcing.group,
                form,
            },
            ..self
        }
    }
}

/// Why a group does not announce what it had to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Unannounced {
    /// Its author said as much in the group as one may in an hour.
    #[n(0)]
    Limited,
    /// It was deleted, or the group was.
    #[n(1)]
    Gone,
    /// The `Announce` was refused.
    #[n(2)]
    Refused,
}

impl Unannounced {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }
}

/// What somebody may be in a local group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Post {
    /// Who decides what is in it and who is.
    #[n(0)]
    Controller,
    /// Who may follow it without being asked, where it is closed.
    #[n(1)]
    Member,
}

/// What somebody is in a local group.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Standing {
    /// Decides what is in it and who is.
    #[n(0)]
    pub controller: bool,
    /// May follow it without being asked, where it is closed.
    #[n(1)]
    pub member: bool,
}

impl Standing {
    /// Whether it is that.
    #[must_use]
    pub const fn has(self, post: Post) -> bool {
        match post {
            Post::Controller => self.controller,
            Post::Member => self.member,
        }
    }

    /// The same, with or without that.
    #[must_use]
    pub const fn with(self, post: Post, given: bool) -> Self {
        match post {
            Post::Controller => Self {
                controller: given,
                ..self
            },
            Post::Member => Self {
                member: given,
                ..self
            },
        }
    }
}

/// By what the rate of one author in a group is counted, where that of a trigger is.
#[must_use]
pub fn rate_key(group: &str) -> Digest {
    Digest::of(&[b"group\n", group.as_bytes()].concat())
}

//! Who follows a local actor, from when until when, and where it receives.
//!
//! Invariant: the journal alone says so, so that whom an entry was for can be found out again at any time.
//! Deliberately absent: lanes, which are made of this. Design, section 9.1.

use minicbor::{Decode, Encode};

/// An accepted follower, for as long as it was one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Follower {
    /// The follower's URL.
    #[n(0)]
    pub peer: String,
    /// The offset of the Accept.
    #[n(1)]
    pub from: u64,
    /// The offset at which it ended, exclusive.
    #[n(2)]
    pub until: Option<u64>,
    /// Where a remote follower receives.
    #[n(3)]
    pub inbox: Option<String>,
    /// Its shared inbox.
    #[n(4)]
    pub shared_inbox: Option<String>,
}

impl Follower {
    /// Where it is sent what goes to followers: a shared inbox on the host of the actor, else its own inbox.
    /// Nothing for one of this instance.
    #[must_use]
    pub fn receives_at(&self) -> Option<ReceivesAt<'_>> {
        let own = self.inbox.as_deref()?;
        let shared = self.shared_inbox.as_deref();
        Some(
            match shared.filter(|shared| same_host(shared, &self.peer)) {
                Some(shared) => ReceivesAt::Shared(shared),
                None => ReceivesAt::Own(own),
            },
        )
    }
}

/// Where a follower is sent what goes to followers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceivesAt<'a> {
    /// At an inbox that others of its host receive at as well.
    Shared(&'a str),
    /// At its own inbox.
    Own(&'a str),
}

impl<'a> ReceivesAt<'a> {
    /// The inbox.
    #[must_use]
    pub const fn inbox(self) -> &'a str {
        match self {
            Self::Shared(inbox) | Self::Own(inbox) => inbox,
        }
    }
}

/// Whether two URLs lie on one host. Compared as text up to the path: they were normalised when they were
/// let in, and a shared inbox that is not recognised costs a request, no more.
fn same_host(a: &str, b: &str) -> bool {
    let host = |url: &str| {
        let path = url.find("://").map(|scheme| scheme + 3)?;
        Some(
            url[path..]
                .find('/')
                .map_or(url.len(), |slash| path + slash),
        )
    };
    match (host(a), host(b)) {
        (Some(a_end), Some(b_end)) => a[..a_end].eq_ignore_ascii_case(&b[..b_end]),
        _ => false,
    }
}

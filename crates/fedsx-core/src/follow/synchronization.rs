//! The `Collection-Synchronization` header: which of its receiver's actors follow its sender, by digest.
//!
//! FEP-8fcf. Parameters are written as those of a `Signature` header: `name="value"`, with commas between.
//! Invariant: what is read says nothing of a third party, because collection and URL lie on the sender's
//! origin. Deliberately absent: quoted pairs, which no URL and no digest has.

use std::fmt;

use crate::actor::PeerActor;
use crate::address::same_origin;
use crate::evidence::http_key;
use crate::http_signature::{RequestHead, present, verify};
use crate::limits;

/// The name of the header, as HTTP libraries write it.
pub const HEADER: &str = "collection-synchronization";
/// The digits of a digest.
const HEX: usize = 64;

/// What the header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synchronization {
    /// The followers collection of the sender.
    pub collection_id: String,
    /// Where the part of it is that the receiver hosts.
    pub url: String,
    /// The digest of that part, 64 hex digits, lower case.
    pub digest: String,
}

impl Synchronization {
    /// Reads the header; `None` where it is not well-formed, names a parameter twice or lacks one.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        // Two URLs, a digest, and room for what comes later.
        if header.len() > 3 * limits::URL_BYTES {
            return None;
        }
        let (mut collection_id, mut url, mut digest) = (None, None, None);
        let mut rest = header.trim();
        while !rest.is_empty() {
            let (name, quoted) = rest.split_once('=')?;
            let (value, behind) = quoted.strip_prefix('"')?.split_once('"')?;
            let slot = match name.trim() {
                "collectionId" => Some(&mut collection_id),
                "url" => Some(&mut url),
                "digest" => Some(&mut digest),
                _ => None,
            };
            if let Some(slot) = slot
                && slot.replace(value).is_some()
            {
                return None;
            }
            rest = match behind.trim_start() {
                "" => "",
                more => more.strip_prefix(',')?.trim_start(),
            };
        }
        let digest = digest?.to_ascii_lowercase();
        let is_digest = digest.len() == HEX && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then_some(())?;
        Some(Self {
            collection_id: collection_id?.to_owned(),
            url: url?.to_owned(),
            digest,
        })
    }

    /// Whether `sender` may say this: it is of its own followers collection, and the part lies on its origin.
    #[must_use]
    pub fn is_of(&self, sender: &PeerActor) -> bool {
        sender.followers.as_ref() == Some(&self.collection_id)
            && same_origin(&self.collection_id, &sender.id)
            && same_origin(&self.url, &sender.id)
    }
}

/// Whether `sender` signed the header of a delivery together with its body: a proof inside the body stands for the
/// body alone, whoever passes it on.
#[must_use]
pub fn is_signed_by(head: &RequestHead<'_>, body: &[u8], sender: &PeerActor, now_ms: i64) -> bool {
    let Ok(Some(presented)) = present(head) else {
        return false;
    };
    if !presented.covers(HEADER) || !same_origin(presented.key_id(), &sender.id) {
        return false;
    }
    http_key(sender, presented.key_id())
        .is_some_and(|(key, _)| verify(&presented, head, Some(body), &key, now_ms).is_ok())
}

impl fmt::Display for Synchronization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "collectionId=\"{}\", url=\"{}\", digest=\"{}\"",
            self.collection_id, self.url, self.digest
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Map, Value};

    /// The example of FEP-8fcf ("The `Collection-Synchronization` HTTP Header", CC0).
    const EXAMPLE: &str = "collectionId=\"https://example.org/users/1/followers\", \
        url=\"https://example.org/users/1/followers_synchronization\", \
        digest=\"c33f48cd341ef046a206b8a72ec97af65079f9a3a9b90eef79c5920dce45c61f\"";

    fn sender(id: &str, followers: &str) -> PeerActor {
        let document = Map::from([
            ("id", Value::from(id)),
            ("type", "Person".into()),
            ("inbox", format!("{id}/inbox").into()),
            ("followers", followers.into()),
        ]);
        PeerActor::parse(&document).expect("an actor")
    }

    #[test]
    fn the_example_of_fep_8fcf() {
        let read = Synchronization::parse(EXAMPLE).expect("well-formed");
        assert_eq!(read.to_string(), EXAMPLE);
        let id = "https://example.org/users/1";
        assert!(read.is_of(&sender(id, "https://example.org/users/1/followers")));
    }

    #[test]
    fn order_space_and_what_comes_later_do_not_matter() {
        let read = Synchronization::parse(EXAMPLE).expect("well-formed");
        let other = format!(
            " digest=\"{}\",url=\"{}\" ,  new=\"a,b\", collectionId=\"{}\"",
            read.digest.to_uppercase(),
            read.url,
            read.collection_id
        );
        assert_eq!(Synchronization::parse(&other), Some(read));
    }

    #[test]
    fn what_is_not_well_formed_says_nothing() {
        let url = "https://example.org/users/1/followers_synchronization";
        for wrong in [
            String::new(),
            "collectionId".to_owned(),
            EXAMPLE.replace("digest=\"c3", "digest=\"c"),
            EXAMPLE.replace("digest=\"c3", "digest=\"zz"),
            EXAMPLE.replace("digest=", "hash="),
            EXAMPLE.replace("\", url", "\" url"),
            EXAMPLE.replace("url=\"", "url="),
            format!("{EXAMPLE}, url=\"{url}\""),
            EXAMPLE[..EXAMPLE.len() - 1].to_owned(),
            format!("{EXAMPLE}, new=\"{}\"", "a".repeat(3 * limits::URL_BYTES)),
        ] {
            assert_eq!(Synchronization::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_speaks_for_another() {
        let read = Synchronization::parse(EXAMPLE).expect("well-formed");
        let (id, followers) = (
            "https://example.org/users/1",
            "https://example.org/users/1/followers",
        );
        let owner = sender(id, followers);
        let elsewhere = Synchronization {
            url: "https://example.com/users/1/followers_synchronization".to_owned(),
            ..read.clone()
        };
        assert!(!elsewhere.is_of(&owner), "the part is on another origin");
        let other = sender(
            "https://example.org/users/2",
            "https://example.org/users/2/followers",
        );
        assert!(!read.is_of(&other), "another actor's collection");
        let stranger = sender("https://example.com/users/1", followers);
        assert!(!read.is_of(&stranger), "another origin's collection");
    }
}

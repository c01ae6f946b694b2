//! The digest of a part of a followers collection: those of an actor's followers that one instance hosts.
//!
//! FEP-8fcf, "Partial follower collection digest": the SHA-256 of each follower's `id`, combined by XOR. Who is
//! added or taken away changes it by one step, so that it is kept beside the follows and never counted anew.

use minicbor::{Decode, Encode};

use crate::cid::Digest;

/// How many followers a part has, and their digest.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Partial {
    /// How many.
    #[n(0)]
    pub count: u64,
    /// The digests of their ids, combined; all zero where there is none.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

impl Partial {
    /// The same with one more follower, or with one less.
    #[must_use]
    pub fn with(self, id: &str, follows: bool) -> Self {
        let mut digest = self.digest;
        for (byte, other) in digest.iter_mut().zip(Digest::of(id.as_bytes()).as_bytes()) {
            *byte ^= other;
        }
        let count = match follows {
            true => self.count + 1,
            false => self.count.saturating_sub(1),
        };
        Self { count, digest }
    }

    /// The digest as headers carry it: 64 hex digits, lower case.
    #[must_use]
    pub fn hex(&self) -> String {
        self.digest.map(|byte| format!("{byte:02x}")).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FEP-8fcf ("Partial follower collection digest", CC0): the followers of
    /// `https://example.org/users/1` on `https://testing.example.org`.
    #[test]
    fn the_example_of_fep_8fcf() {
        let followers = [
            "https://testing.example.org/users/1",
            "https://testing.example.org/users/2",
        ];
        let [one, two] = followers.map(|id| Partial::default().with(id, true));
        let both = one.with(followers[1], true);
        let page = [one, two, both].map(|partial| partial.hex()).join("\n");
        insta::assert_snapshot!(page, @r"
        3a06e99569547f444c352ab7f52e4bab207abec5ca6f07b0045cfdc9723f8fa9
        f939a1585d4a8f02ee339210dbe7315d7003476663d6095f7d996fc4bc7a49b6
        c33f48cd341ef046a206b8a72ec97af65079f9a3a9b90eef79c5920dce45c61f
        ");
        assert_eq!(both.count, 2);
        assert_eq!(two.with(followers[0], true), both, "in any order");
        let none = both.with(followers[0], false).with(followers[1], false);
        assert_eq!(none, Partial::default());
    }
}

//! The files of `genesis/` and the CID of them all. Written by `cargo xtask genesis`; a test compares
//! it with the folder.

use super::Source;

pub(super) const BUNDLE: &str = "baga6yaqsebzxjf3cszacjsvub22ofj6klbrtlrsbjqhbduuhbl7tn4ii72dmk";

macro_rules! sources {
    ($($section:literal: $($name:literal),*;)*) => {
        pub(super) const SOURCES: &[Source] = &[$($(Source {
            section: $section,
            name: $name,
            text: include_str!(concat!("../../../../genesis/", $section, "/", $name, ".sx")),
        },)*)*];
    };
}

sources! {
    "activity-types":
        "Accept",
        "Add",
        "Announce",
        "Block",
        "Create",
        "DefineType",
        "Delete",
        "Endorse",
        "Follow",
        "Move",
        "Reject",
        "Remove",
        "Subscribe",
        "SubtypeOf",
        "Undo",
        "Update";
    "object-types":
        "Application",
        "Article",
        "Collection",
        "DefineActivity",
        "DefineAudience",
        "DefineCodec",
        "DefineObject",
        "DefineProjection",
        "DefineSigSuite",
        "DefineSubscription",
        "DefineTrigger",
        "DefineType",
        "DefineValidator",
        "Group",
        "Note",
        "OrderedCollection",
        "Person",
        "SXArtifact",
        "Service",
        "SubtypeOf",
        "Tombstone";
    "projections":
        "actor-state",
        "announcements",
        "define-registry",
        "delivery-state",
        "endorsements",
        "follower-graph",
        "notes",
        "timeline";
    "validators":
        "endorsement-kind";
    "codecs":
        "cbor",
        "json-jcs",
        "raw";
    "sig-suites":
        "eddsa-jcs-2022",
        "rfc9421",
        "rsa-sha256-http";
    "audience":
        "direct",
        "followers",
        "public";
}

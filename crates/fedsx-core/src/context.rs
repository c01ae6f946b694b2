//! The `@context` of what is emitted, always an array (design, section 3). Contexts are never
//! fetched: they are here for peers that read JSON-LD.

use crate::value::{List, Map, Value};

/// ActivityStreams 2.0.
pub const ACTIVITYSTREAMS: &str = "https://www.w3.org/ns/activitystreams";
/// Data Integrity proofs.
pub const DATA_INTEGRITY: &str = "https://w3id.org/security/data-integrity/v1";
/// `publicKey` and its members.
pub const SECURITY: &str = "https://w3id.org/security/v1";
/// Controlled identifiers: `assertionMethod`, where JSON-LD peers find it.
pub const CID_V1: &str = "https://www.w3.org/ns/cid/v1";

/// What profiles say beside that.
const SCHEMA: &str = "http://schema.org#";
/// Terms of Mastodon.
const TOOT: &str = "http://joinmastodon.org/ns#";

/// The context of activities and objects.
#[must_use]
pub fn of_activity() -> Value {
    array(&[ACTIVITYSTREAMS, DATA_INTEGRITY], terms())
}

/// The context of actor documents.
#[must_use]
pub fn of_actor() -> Value {
    let mut terms = terms();
    // Used by every server that has follow requests, yet missing in the ActivityStreams context.
    let approval = "manuallyApprovesFollowers";
    terms.insert(approval, format!("as:{approval}"));
    terms.insert("recoveryDigest", "fedsx:recoveryDigest");
    for term in ["log", "logKey"] {
        terms.insert(term, reference(&format!("fedsx:{term}")));
    }
    // What profiles say, by the terms that Mastodon made common.
    terms.insert("alsoKnownAs", reference("as:alsoKnownAs"));
    for (prefix, url) in [("schema", SCHEMA), ("toot", TOOT)] {
        terms.insert(prefix, url);
    }
    for term in ["PropertyValue", "value"] {
        terms.insert(term, format!("schema:{term}"));
    }
    for term in ["discoverable", "indexable"] {
        terms.insert(term, format!("toot:{term}"));
    }
    array(&[ACTIVITYSTREAMS, SECURITY, CID_V1], terms)
}

fn array(urls: &[&str], terms: Map) -> Value {
    let urls = urls.iter().map(|url| Value::from(*url));
    Value::List(urls.chain([Value::Map(terms)]).collect::<List>())
}

/// The terms of our own.
fn terms() -> Map {
    Map::from([
        ("fedsx", Value::from("urn:fedsx:ns#")),
        ("backfill", "fedsx:backfill".into()),
        ("causedBy", "fedsx:causedBy".into()),
        ("definition", "fedsx:definition".into()),
        ("definedBy", "fedsx:definedBy".into()),
        ("keyHistory", reference("fedsx:keyHistory")),
        ("objectCid", "fedsx:objectCid".into()),
        ("superseded", "fedsx:superseded".into()),
        ("supersededBy", reference("fedsx:supersededBy")),
        ("trigger", "fedsx:trigger".into()),
    ])
}

/// A term whose values are ids.
fn reference(id: &str) -> Value {
    Value::Map(Map::from([("@id", id), ("@type", "@id")]))
}

//! What the instance says of itself under `/.well-known/`: NodeInfo and the capabilities page.
//!
//! Invariant: pure functions of plain facts; the NodeInfo document fits its schema. Of what peers say of themselves
//! only what is asked for is read. Sources: NodeInfo 2.1 (nodeinfo.diaspora.software, protocol
//! and schema), design section 9.4.

use std::collections::BTreeMap;

use fedsx_core::address::{Instance, Origin};
use fedsx_core::limits;
use fedsx_core::notation::Notation;
use fedsx_core::value::{Map, Value};

/// The media type of the NodeInfo document.
pub const MEDIA_TYPE: &str =
    "application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.1#\"";
/// The version of the protocol between instances of fed-sx.
pub const PROTOCOL: &str = "fed-sx/1";

/// What the software is called where names are plain.
const SOFTWARE: &str = "fed-sx";
/// The member of the capabilities page by which comparison of followers is offered.
const SYNCHRONIZATION: &str = "followersSynchronization";
/// The member by which batches are offered.
const BATCH: &str = "batch";
const SCHEMA: &str = "http://nodeinfo.diaspora.software/ns/schema/2.1";

/// The facts of the NodeInfo document.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// The version of the software.
    pub version: &'a str,
    /// The instance's name for people; it may be empty.
    pub name: &'a str,
    /// Actors here, the instance's own left out.
    pub actors: u64,
    /// Public objects published here.
    pub posts: u64,
}

/// `/.well-known/nodeinfo`: where the document is.
#[must_use]
pub fn links(instance: &Instance) -> Map {
    let href = format!("{}/nodeinfo/2.1", instance.base_url());
    let link = Map::from([("rel", SCHEMA.to_owned()), ("href", href)]);
    Map::from([("links", Value::from(vec![link]))])
}

/// `/nodeinfo/2.1`.
#[must_use]
pub fn document(usage: &Usage<'_>) -> Map {
    let software = Map::from([("name", SOFTWARE), ("version", usage.version)]);
    let nobody = || Value::List(Vec::<Value>::new().into_iter().collect());
    let services = Map::from([("inbound", nobody()), ("outbound", nobody())]);
    let users = Map::from([("total", count(usage.actors))]);
    let counts = Map::from([
        ("users", Value::from(users)),
        ("localPosts", count(usage.posts)),
    ]);
    let metadata = Map::from([("nodeName", usage.name)]);
    Map::from([
        ("version", Value::from("2.1")),
        ("software", software.into()),
        ("protocols", vec!["activitypub"].into()),
        ("services", services.into()),
        ("openRegistrations", false.into()),
        ("usage", counts.into()),
        ("metadata", metadata.into()),
    ])
}

/// The facts of the capabilities page.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities<'a> {
    /// The version of the software.
    pub version: &'a str,
    /// Codecs by name.
    pub codecs: &'a [&'a str],
    /// Signature suites by name.
    pub suites: &'a [&'a str],
    /// Verbs and the CIDs of their definitions, where there is one.
    pub verbs: &'a BTreeMap<String, Option<String>>,
    /// Backfill modes by name.
    pub backfill: &'a [&'a str],
    /// How many activities one batch may hold; none where batches are not taken.
    pub batch: Option<usize>,
}

/// How an instance takes batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batches {
    /// Where to.
    pub url: String,
    /// Activities in one of them, at most.
    pub activities: usize,
}

/// `/.well-known/sx-capabilities`.
#[must_use]
pub fn capabilities(instance: &Instance, facts: &Capabilities<'_>) -> Map {
    let software = Map::from([("name", SOFTWARE), ("version", facts.version)]);
    let notations = Notation::ALL.map(Notation::media_type).to_vec();
    let verbs = facts.verbs.iter().map(|(verb, cid)| {
        let cid = cid.as_deref().map_or(Value::Nil, Value::from);
        (verb.as_str(), cid)
    });
    let bounds = Map::from([
        ("depth", size(limits::DEPTH)),
        ("members", size(limits::MEMBERS)),
        ("documentBytes", size(limits::DOCUMENT_IN_BYTES)),
        ("wrapperBytes", size(limits::WRAPPER_BYTES)),
        ("urlBytes", size(limits::URL_BYTES)),
        ("recipients", size(limits::RECIPIENTS)),
    ]);
    let mut page = Map::from([
        ("protocol", Value::from(PROTOCOL)),
        ("software", software.into()),
        ("instance", instance.base_url().into()),
        ("notations", notations.into()),
        ("codecs", facts.codecs.to_vec().into()),
        ("suites", facts.suites.to_vec().into()),
        ("verbs", Value::Map(verbs.collect())),
        ("backfill", facts.backfill.to_vec().into()),
        (SYNCHRONIZATION, true.into()),
        (
            "transparencyLogs",
            vec!["c2sp-tlog-tiles", "c2sp-tlog-cosignature"].into(),
        ),
        ("limits", bounds.into()),
    ]);
    if let Some(activities) = facts.batch {
        let url = format!("{}/inbox/batch", instance.base_url());
        let batch = Map::from([("url", Value::from(url)), ("activities", size(activities))]);
        page.insert(BATCH, batch);
    }
    page
}

/// Whether an instance, by its capabilities page, says to each host who follows its actors from there (FEP-8fcf):
/// at the URL of an actor's followers with `_synchronization` behind it.
#[must_use]
pub fn offers_synchronization(capabilities: &Map) -> bool {
    capabilities.get(SYNCHRONIZATION) == Some(&Value::Bool(true))
}

/// How an instance takes batches, by its capabilities page; none where it does not, or elsewhere than at its own origin.
#[must_use]
pub fn batches(capabilities: &Map, of: &Origin) -> Option<Batches> {
    let batch = capabilities.get(BATCH)?;
    let url = batch.get("url")?.as_str()?;
    let activities = usize::try_from(batch.get("activities")?.as_int()?).ok()?;
    let is_its_own = Origin::of(url).is_some_and(|origin| origin == *of);
    let takes_several = activities > 1 && url.len() <= limits::URL_BYTES;
    (is_its_own && takes_several).then(|| Batches {
        url: url.to_owned(),
        activities: activities.min(limits::BATCH_ITEMS),
    })
}

fn count(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(limits::INTEGER_MAX))
}

fn size(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(limits::INTEGER_MAX))
}

#[cfg(test)]
mod tests;

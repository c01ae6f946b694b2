//! `verify`, `reindex` and `journal dump`: the data directory itself, without a server.

use std::path::Path;

use anyhow::Context as _;
use fedsx_core::blob::Blob;
use fedsx_core::cid::{Cid, Codec, Digest};
use fedsx_core::entry::{Activity, ActorNo, Control, Joined, Side, Subject};
use fedsx_core::group::{ToAnnounce, Unannounced};
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::trigger::Settled;
use fedsx_core::value::{Map, Value};
use fedsx_store::Stored;
use fedsx_store::check::{self, VerifyReport};

use super::deliveries::{count, time};
use crate::args::Global;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{clean, clock, handle, short_cid, stdout};
use crate::wiring;

/// Checks everything that the journal holds.
pub(crate) fn verify(global: &Global) -> anyhow::Result<()> {
    let dir = journal_of(global)?;
    let report = check::verify(dir)?;
    stdout(global.output).one(&report_value(&report), || people(&report))?;
    match report.faults.first() {
        None => Ok(()),
        Some(first) => Err(Failure::failed(format!(
            "{} is damaged, first at offset {}: keep it as it is, and restore a backup beside it",
            dir.display(),
            first.offset
        ))
        .into()),
    }
}

fn report_value(report: &VerifyReport) -> Map {
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            Value::Map(Map::from([
                ("offset", count(fault.offset)),
                ("what", Value::from(&*fault.what)),
            ]))
        })
        .collect();
    let torn = report.torn.as_ref().map_or(Value::Nil, |torn| {
        Value::Map(Map::from([
            ("offset", count(torn.offset)),
            ("segment", count(torn.segment.into())),
            ("position", count(torn.position.into())),
            ("bytes", count(torn.bytes)),
        ]))
    });
    Map::from([
        ("clean", Value::from(report.faults.is_empty())),
        ("entries", count(report.entries)),
        ("activities", count(report.activities)),
        ("proofs", count(report.proofs)),
        ("erased", count(report.erased)),
        ("erased", count(report.erased)),
        ("logs", count(report.logs)),
        ("faults", Value::from(faults)),
        ("torn", torn),
    ])
}

fn people(report: &VerifyReport) -> String {
    let mut lines = vec![format!(
        "{} entries, {} activities, {} proofs, {} erased, {} logs: {}",
        report.entries,
        report.activities,
        report.proofs,
        report.erased,
        report.logs,
        if report.faults.is_empty() {
            "all sound"
        } else {
            "DAMAGED"
        },
    )];
    if let Some(torn) = &report.torn {
        lines.push(format!(
            "after offset {}: {} bytes that a crash left, or that are being written just now; the next start cuts \
             them if they are torn",
            torn.offset.saturating_sub(1),
            torn.bytes
        ));
    }
    lines.extend(
        report
            .faults
            .iter()
            .map(|fault| format!("offset {}: {}", fault.offset, fault.what)),
    );
    lines.join("\n")
}

/// Builds the index anew.
pub(crate) fn reindex(global: &Global, config: &Config) -> anyhow::Result<()> {
    let dir = journal_of(global)?;
    let url =
        fedsx_store::recorded_url(dir)?.context("the data directory does not say whose it is")?;
    let options = wiring::store_options(config, dir, url);
    let report = check::reindex(dir, &options)?;
    let value = Map::from([
        ("engine", Value::from(options.engine.as_str())),
        ("entries", count(report.applied_again)),
    ]);
    stdout(global.output).one(&value, || {
        format!(
            "the {} index is made anew of {} entries",
            options.engine, report.applied_again
        )
    })?;
    Ok(())
}

/// Reads the journal out.
pub(crate) fn dump(global: &Global, from: u64) -> anyhow::Result<()> {
    let dir = journal_of(global)?;
    let mut output = stdout(global.output);
    check::dump(dir, from, &mut |stored| {
        output.line(&dumped_value(&stored), || dumped_line(&stored))
    })?;
    Ok(())
}

fn dumped_value(stored: &Stored) -> Map {
    let mut value = Map::from([
        ("offset", count(stored.header.offset)),
        ("received", time(stored.header.received_ms)),
    ]);
    match &stored.header.subject {
        Subject::Activity(activity) => activity_members(&mut value, activity),
        Subject::Control(control) => control_members(&mut value, control),
    }
    let is_blob = matches!(stored.header.subject, Subject::Control(Control::Blob(_)));
    if stored.erased {
        value.insert("erased", true);
    } else if is_blob {
        value.insert("bytes", count(stored.document.len() as u64));
    } else if !stored.document.is_empty() {
        match stored.map() {
            Ok(document) => value.insert("document", document),
            Err(error) => value.insert("unreadable", error.to_string()),
        };
    }
    value
}

fn activity_members(value: &mut Map, activity: &Activity) {
    let optional = |text: &Option<String>| text.as_deref().map_or(Value::Nil, Value::from);
    value.insert("kind", "activity");
    value.insert("cid", Cid::of_document(activity.digest).to_string());
    value.insert("id", &*activity.id);
    value.insert("verb", &*activity.verb);
    value.insert("actor", &*activity.actor);
    value.insert("objectId", optional(&activity.object_id));
    value.insert("published", time(activity.published_ms));
    value.insert("authenticated", activity.authenticated.as_str());
    value.insert("key", optional(&activity.key));
    value.insert("visibility", activity.visibility.as_str());
    value.insert("notation", activity.notation.as_str());
    value.insert("joined", places(&activity.joined));
    value.insert(
        "hidden",
        activity
            .hidden
            .iter()
            .map(|url| Value::from(&**url))
            .collect::<Vec<_>>(),
    );
    value.insert("fanOut", activity.fan_out);
    value.insert("backfilled", activity.backfilled);
    if !activity.definitions.is_empty() {
        let cids = activity.definitions.iter();
        let cids = cids.map(|digest| Value::from(Cid::of_document(*digest).to_string()));
        value.insert("definitions", cids.collect::<Vec<_>>());
    }
    if let Some(mark) = activity.mark {
        value.insert("mark", mark.as_str());
    }
    if let Some(derived) = &activity.derived {
        value.insert("source", Cid::of_document(derived.source).to_string());
        value.insert("trigger", Cid::of_document(derived.trigger).to_string());
    }
}

fn admitted(value: &mut Map, digest: &Digest, definitions: &[Digest]) {
    let definitions = definitions.iter().copied().map(Cid::of_document);
    let definitions = definitions.map(|cid| Value::from(cid.to_string()));
    value.insert("cid", Cid::of_document(*digest).to_string());
    value.insert("definitions", definitions.collect::<Vec<_>>());
}

fn unannounced(value: &mut Map, owed: &ToAnnounce, reason: Unannounced) {
    value.insert("cid", Cid::of_document(owed.source).to_string());
    value.insert("actor", count(owed.announcing.group.0.into()));
    value.insert("form", owed.announcing.form.as_str());
    value.insert("reason", reason.as_str());
}

fn control_members(value: &mut Map, control: &Control) {
    value.insert("kind", control_kind(control));
    match control {
        Control::Placed { digest, joined, .. } => {
            value.insert("cid", Cid::of_document(*digest).to_string());
            value.insert("joined", places(joined));
        }
        Control::Unannounced { owed, reason } => unannounced(value, owed, *reason),
        Control::ProofAttached { digest, key, .. } => {
            value.insert("cid", Cid::of_document(*digest).to_string());
            value.insert("key", &**key);
        }
        Control::Admitted {
            digest,
            definitions,
        } => admitted(value, digest, definitions),
        Control::Expired { digest } | Control::Erased { digest, .. } => {
            value.insert("cid", Cid::of_document(*digest).to_string());
        }
        Control::Trust { trust } => {
            value.insert("trust", trust.to_string());
        }
        Control::GenesisAdopted { bundle } => {
            value.insert("bundle", &**bundle);
        }
        Control::Between { between, .. } => peer(value, between.peer()),
        Control::PeerGone { peer: gone } => peer(value, gone),
        Control::InstanceBlock { .. }
        | Control::ActorHostBlock { .. }
        | Control::HostRelationsEnded { .. } => block_members(value, control),
        Control::RecoveryPinned { peer, digest, .. } => {
            value.insert("peer", &**peer);
            value.insert("recoveryDigest", &**digest);
        }
        Control::FollowRefused { .. }
        | Control::FollowTaken { .. }
        | Control::FollowLost { .. }
        | Control::BackfillBegun { .. }
        | Control::BackfillEnded { .. } => following_members(value, control),
        Control::TriggerSettled(settled) => settled_members(value, settled),
        Control::Role { actor, role, given } => {
            value.insert("role", role.as_str());
            self::given(value, *actor, ("given", *given));
        }
        Control::Activated {
            authority,
            kind,
            name,
            digest,
            create,
        } => {
            value.insert("actor", &**authority);
            value.insert("defines", kind.as_str());
            value.insert("name", &**name);
            value.insert("cid", Cid::of_document(*digest).to_string());
            value.insert("create", Cid::of_document(*create).to_string());
        }
        Control::Blob(blob) => blob_members(value, blob),
        Control::LogWitnessed { peer: of, .. } | Control::LogForked { peer: of, .. } => {
            peer(value, of)
        }
        Control::LogHeld { actor, held } => given(value, *actor, ("held", *held)),
        Control::Equivocation {
            kept, id, actor, ..
        } => {
            value.insert("cid", Cid::of_document(*kept).to_string());
            value.insert("id", &**id);
            value.insert("actor", &**actor);
        }
    }
}

fn given(value: &mut Map, actor: ActorNo, (what, is_so): (&str, bool)) {
    value.insert("actor", count(actor.0.into()));
    value.insert(what, is_so);
}

fn peer(value: &mut Map, peer: &str) {
    value.insert("peer", peer);
}

fn block_members(value: &mut Map, control: &Control) {
    match control {
        Control::InstanceBlock {
            host,
            blocked,
            actor,
        } => {
            value.insert("host", &**host);
            if let Some(actor) = actor {
                value.insert("peer", &**actor);
            }
            value.insert("blocked", *blocked);
        }
        Control::ActorHostBlock {
            actor,
            host,
            blocked,
        } => {
            value.insert("actor", count(actor.0.into()));
            value.insert("host", &**host);
            value.insert("blocked", *blocked);
        }
        Control::HostRelationsEnded { actor, host, peers } => {
            value.insert("actor", count(actor.0.into()));
            value.insert("host", &**host);
            value.insert("peers", peers.clone());
        }
        _ => {}
    }
}

fn blob_members(value: &mut Map, blob: &Blob) {
    let (actor, digest) = match blob {
        Blob::Kept {
            actor,
            digest,
            media,
        } => {
            value.insert("mediaType", media.as_str());
            (actor, digest)
        }
        Blob::Erased {
            actor,
            digest,
            offset,
        } => {
            value.insert("entry", count(*offset));
            (actor, digest)
        }
    };
    let (codec, digest) = (Codec::Raw, *digest);
    value.insert("actor", count(actor.0.into()));
    value.insert("cid", Cid { codec, digest }.to_string());
}

fn settled_members(value: &mut Map, settled: &Settled) {
    value.insert("cid", Cid::of_document(settled.source).to_string());
    value.insert("trigger", Cid::of_document(settled.trigger).to_string());
    value.insert("reason", settled.reason.as_str());
    if let Some(error) = &settled.error {
        value.insert("error", &**error);
    }
}

/// What became of a local actor's follow, or of the history that it asked for.
fn following_members(value: &mut Map, control: &Control) {
    match control {
        Control::FollowRefused { actor, peer, id }
        | Control::FollowTaken { actor, peer, id }
        | Control::FollowLost { actor, peer, id } => {
            value.insert("actor", count(actor.0.into()));
            value.insert("peer", &**peer);
            value.insert("id", &**id);
        }
        Control::BackfillBegun {
            actor,
            peer,
            mode,
            until_ms,
        } => {
            value.insert("actor", count(actor.0.into()));
            value.insert("peer", &**peer);
            value.insert("mode", mode.to_string());
            value.insert("until", format_rfc3339_ms(*until_ms));
        }
        Control::BackfillEnded {
            actor, peer, ended, ..
        } => {
            value.insert("actor", count(actor.0.into()));
            value.insert("peer", &**peer);
            value.insert("outcome", ended.outcome.as_str());
            value.insert("entered", count(ended.entered));
            let found = ended.found.iter();
            let found = found.map(|found| format!("{}: {}", found.wrong.as_str(), found.what));
            value.insert("found", found.collect::<Vec<_>>());
        }
        _ => {}
    }
}

const fn control_kind(control: &Control) -> &'static str {
    match control {
        Control::Placed { .. } => "placed",
        Control::Unannounced { .. } => "unannounced",
        Control::ProofAttached { .. } => "proof-attached",
        Control::Between { .. } => "between",
        Control::PeerGone { .. } => "peer-gone",
        Control::InstanceBlock { actor: None, .. } => "host-block",
        Control::InstanceBlock { actor: Some(_), .. } => "peer-block",
        Control::ActorHostBlock { .. } => "actor-host-block",
        Control::HostRelationsEnded { .. } => "host-relations-ended",
        Control::RecoveryPinned { .. } => "recovery-pinned",
        Control::FollowRefused { .. } => "follow-refused",
        Control::FollowTaken { .. } => "follow-taken",
        Control::FollowLost { .. } => "follow-lost",
        Control::TriggerSettled(_) => "trigger-settled",
        Control::BackfillBegun { .. } => "backfill-begun",
        Control::BackfillEnded { .. } => "backfill-ended",
        Control::GenesisAdopted { .. } => "genesis-adopted",
        Control::Equivocation { .. } => "equivocation",
        Control::Role { .. } => "role",
        Control::Activated { .. } => "activated",
        Control::Admitted { .. } => "admitted",
        Control::Expired { .. } => "expired",
        Control::Erased { .. } => "erased",
        Control::Trust { .. } => "trust",
        Control::LogWitnessed { .. } => "log-witnessed",
        Control::LogForked { .. } => "log-forked",
        Control::LogHeld { .. } => "log-held",
        Control::Blob(Blob::Kept { .. }) => "blob",
        Control::Blob(Blob::Erased { .. }) => "blob-erased",
    }
}

fn places(joined: &[Joined]) -> Vec<Value> {
    let place = |joined: &Joined| {
        Value::Map(Map::from([
            ("actor", count(joined.log.actor.0.into())),
            ("side", Value::from(side(joined.log.side))),
            ("seq", count(joined.seq)),
        ]))
    };
    joined.iter().map(place).collect()
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Outbox => "outbox",
        Side::Inbox => "inbox",
    }
}

fn dumped_line(stored: &Stored) -> String {
    let what = match &stored.header.subject {
        Subject::Activity(activity) => {
            let places = activity.joined.iter().map(|joined| {
                format!(
                    "{}/{}#{}",
                    joined.log.actor.0,
                    side(joined.log.side),
                    joined.seq
                )
            });
            format!(
                "{}  {}  {}  → {}",
                short_cid(&Cid::of_document(activity.digest).to_string()),
                handle(&activity.actor),
                clean(&activity.verb),
                places.collect::<Vec<_>>().join(" ")
            )
        }
        Subject::Control(control) => control_kind(control).to_owned(),
    };
    let erased = if stored.erased { "  erased" } else { "" };
    format!(
        "{:>6}  {}  {what}{erased}",
        stored.header.offset,
        clock(stored.header.received_ms)
    )
}

fn journal_of(global: &Global) -> Result<&Path, Failure> {
    let dir = &*global.data_dir;
    if dir.join("journal").is_dir() {
        Ok(dir)
    } else {
        Err(Failure::failed(format!(
            "{} holds no journal; name the data directory of an instance with --data-dir",
            dir.display()
        )))
    }
}

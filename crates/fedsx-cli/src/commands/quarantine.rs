//! `quarantine list|show|release|discard`.

use fedsx_admin::proto;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::deliveries::{text_or_nil, time};
use crate::args::{Global, Limit, Quarantine};
use crate::failure::Failure;
use crate::output::{clean, clock, handle, short_cid, shortened, stdout};

/// Runs one of them.
pub(crate) async fn run(global: &Global, command: Quarantine) -> anyhow::Result<()> {
    match command {
        Quarantine::List(limit) => list(global, limit).await,
        Quarantine::Show { cid } => show(global, cid).await,
        Quarantine::Release { cid } => release(global, cid).await,
        Quarantine::Discard { cid } => discard(global, cid).await,
    }
}

async fn list(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let columns = ["refused", "actor", "verb", "code", "why", "cid"];
    let mut list = stdout(global.output).list(&columns);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListQuarantineRequest { limit, page_token };
        let answer = client.quarantine(request).await.map_err(Failure::from)?;
        for held in &answer.quarantined {
            list.push(&value(held), || {
                vec![
                    clock(held.refused_ms),
                    handle(&held.actor),
                    clean(&held.verb),
                    clean(&held.code),
                    shortened(&held.detail, 60),
                    short_cid(&held.cid),
                ]
            })?;
        }
        Ok((answer.quarantined.len(), answer.next_page_token))
    })
    .await?;
    list.finish("nothing is in quarantine")?;
    Ok(())
}

fn value(held: &proto::Quarantined) -> Map {
    Map::from([
        ("cid", Value::from(&*held.cid)),
        ("id", Value::from(&*held.id)),
        ("actor", Value::from(&*held.actor)),
        ("verb", Value::from(&*held.verb)),
        ("code", Value::from(&*held.code)),
        ("why", Value::from(&*held.detail)),
        ("refused", time(held.refused_ms)),
        ("target", text_or_nil(&held.target)),
    ])
}

async fn show(global: &Global, cid: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::GetQuarantinedRequest { cid };
    let held = client.quarantined(request).await.map_err(Failure::from)?;
    let document = notation::read(Notation::Json, &held.document_json, DOCUMENT_IN_BYTES)?;
    let mut shown = value(&held);
    let text = notation::json::pretty(&document);
    shown.insert("document", document);
    stdout(global.output).one(&shown, || {
        format!(
            "{}\n  actor    {}\n  verb     {}\n  refused  {} [{}] {}\n{text}",
            held.cid,
            clean(&held.actor),
            clean(&held.verb),
            clock(held.refused_ms),
            clean(&held.code),
            clean(&held.detail),
        )
    })?;
    Ok(())
}

async fn release(global: &Global, cid: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::ReleaseRequest { cid };
    let answer = client.release(request).await.map_err(Failure::from)?;
    told(global, "released", &answer.cid)
}

async fn discard(global: &Global, cid: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::DiscardRequest { cid: cid.clone() };
    let gone = client.discard_quarantined(request).await;
    gone.map_err(Failure::from)?;
    told(global, "discarded", &cid)
}

fn told(global: &Global, what: &str, cid: &str) -> anyhow::Result<()> {
    let value = Map::from([(what, Value::from(cid))]);
    stdout(global.output).one(&value, || format!("{what} {cid}"))?;
    Ok(())
}

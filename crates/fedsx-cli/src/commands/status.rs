//! `status`.

use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::connect;
use super::deliveries::{count, time};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{clock, stdout};

/// Says how the instance is.
pub(crate) async fn run(global: &Global, digest: bool) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let status = client
        .status(proto::StatusRequest { digest })
        .await
        .map_err(Failure::from)?;
    let mut value = Map::from([
        ("version", Value::from(&*status.version)),
        ("url", Value::from(&*status.url)),
        ("engine", Value::from(&*status.engine)),
        ("started", time(status.started_ms)),
        ("offset", count(status.offset)),
        ("actors", count(status.actors)),
        ("queued", count(status.queued)),
        ("lanes", count(status.lanes)),
        ("deadLetters", count(status.dead_letters)),
        ("trust", Value::from(&*status.trust)),
        ("quarantined", count(status.quarantined)),
    ]);
    if let Some(digest) = &status.digest {
        value.insert("digest", &**digest);
    }
    stdout(global.output).one(&value, || people(&status))?;
    Ok(())
}

fn people(status: &proto::StatusResponse) -> String {
    let mut lines = vec![
        format!("url           {}", status.url),
        format!("version       {}", status.version),
        format!("store         {}", status.engine),
        format!("started       {}", clock(status.started_ms)),
        format!("journal       {}", status.offset),
        format!("actors        {}", status.actors),
        format!("deliveries    {} to {} hosts", status.queued, status.lanes),
        format!("dead letters  {}", status.dead_letters),
        format!("trust         {}", status.trust),
        format!("quarantine    {}", status.quarantined),
    ];
    lines.extend(
        status
            .digest
            .iter()
            .map(|digest| format!("digest        {digest}")),
    );
    lines.join("\n")
}

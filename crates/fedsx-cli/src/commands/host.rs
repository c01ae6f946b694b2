//! `host block|unblock|list`.

use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use crate::args::{Global, Host, Limit};
use crate::failure::Failure;
use crate::output::stdout;

/// Runs one of them.
pub(crate) async fn run(global: &Global, command: Host) -> anyhow::Result<()> {
    match command {
        Host::Block { host } => set(global, true, host, String::new()).await,
        Host::Unblock { host } => set(global, false, host, String::new()).await,
        Host::List { of, limit } => list(global, of.unwrap_or_default(), limit).await,
    }
}

/// Blocks a host for one actor, or for all where none is named; or lets it in again.
pub(super) async fn set(
    global: &Global,
    blocked: bool,
    host: String,
    actor: String,
) -> anyhow::Result<()> {
    let client = connect(global).await?;
    if blocked {
        let request = proto::BlockHostRequest { host, actor };
        let answer = client.block_host(request).await.map_err(Failure::from)?;
        told(global, "blocked", &answer.host)
    } else {
        let request = proto::UnblockHostRequest { host, actor };
        let answer = client.unblock_host(request).await.map_err(Failure::from)?;
        told(global, "unblocked", &answer.host)
    }
}

/// Says what became of a host or an actor.
pub(super) fn told(global: &Global, what: &str, whom: &str) -> anyhow::Result<()> {
    let value = Map::from([(what, Value::from(whom))]);
    stdout(global.output).one(&value, || format!("{what} {whom}"))?;
    Ok(())
}

async fn list(global: &Global, actor: String, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["blocked host"]);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListBlockedHostsRequest {
            limit,
            page_token,
            actor: actor.clone(),
        };
        let answer = client.blocked_hosts(request).await.map_err(Failure::from)?;
        for host in &answer.hosts {
            let value = Map::from([("host", Value::from(&**host))]);
            list.push(&value, || vec![host.clone()])?;
        }
        Ok((answer.hosts.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no host is blocked")?;
    Ok(())
}

//! `peer block|unblock|list|compare`.

mod compare;

use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::host::told;
use crate::args::{Global, Limit, Peer};
use crate::failure::Failure;
use crate::output::stdout;

/// Runs one of them.
pub(crate) async fn run(global: &Global, command: Peer) -> anyhow::Result<()> {
    match command {
        Peer::Block { who } => {
            let client = connect(global).await?;
            let request = proto::BlockPeerRequest { who };
            let answer = client.block_peer(request).await.map_err(Failure::from)?;
            told(global, "blocked", &answer.actor)
        }
        Peer::Unblock { who } => {
            let client = connect(global).await?;
            let request = proto::UnblockPeerRequest { who };
            let answer = client.unblock_peer(request).await.map_err(Failure::from)?;
            told(global, "unblocked", &answer.actor)
        }
        Peer::List(limit) => list(global, limit).await,
        Peer::Compare { who } => compare::run(global, who).await,
    }
}

async fn list(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["blocked actor"]);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListBlockedPeersRequest { limit, page_token };
        let answer = client.blocked_peers(request).await.map_err(Failure::from)?;
        for actor in &answer.actors {
            let value = Map::from([("actor", Value::from(&**actor))]);
            list.push(&value, || vec![actor.clone()])?;
        }
        Ok((answer.actors.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no actor is blocked")?;
    Ok(())
}

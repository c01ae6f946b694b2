//! `follow`, `unfollow`, `accept`, `reject`, `block`, `unblock`, and the lists of relations.

use anyhow::Context as _;
use fedsx_admin::client::Client;
use fedsx_admin::proto;

use super::connect::{connect, pages};
use super::host;
use super::post::say;
use crate::args::{Blocked, Follow, Global, Named, Pair};
use crate::failure::Failure;
use crate::output::{clean, clock, handle, relation_value, short_cid, stdout};

/// What an actor says to another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Unfollow,
    Accept,
    Reject,
    Block,
    Unblock,
}

/// Which relations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    Followers,
    Following,
    Requests,
}

/// Asks to follow, and writes what was published.
pub(crate) async fn follow(global: &Global, asked: Follow) -> anyhow::Result<()> {
    let Follow {
        name,
        who,
        backfill,
    } = asked;
    let client = connect(global).await?;
    let said = format!("asked to follow {}", clean(&who));
    let published = ask(&client, name, who, backfill).await?;
    say(global, &said, &published)
}

/// Asks to follow, and for what of the past; for what the server is set to where that is not said.
pub(crate) async fn ask(
    client: &Client,
    actor: String,
    who: String,
    backfill: Option<String>,
) -> anyhow::Result<proto::Published> {
    let backfill = backfill.unwrap_or_default();
    let request = proto::FollowRequest {
        actor,
        who,
        backfill,
    };
    let answer = client.follow(request).await.map_err(Failure::from)?;
    answer.published.context("the server sent no activity")
}

/// Says it, and writes what was published.
pub(crate) async fn run(global: &Global, verb: Verb, pair: Pair) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let said = format!("{} {}", verb.past(), clean(&pair.who));
    let published = tell(&client, verb, pair.name, pair.who).await?;
    say(global, &said, &published)
}

/// Blocks an actor, which is said, or a host, which is put on record; or lifts such a block.
pub(crate) async fn block(global: &Global, verb: Verb, blocked: Blocked) -> anyhow::Result<()> {
    let Blocked { name, who, host } = blocked;
    match (who, host) {
        (Some(who), _) => run(global, verb, Pair { name, who }).await,
        (None, host) => {
            let blocked = matches!(verb, Verb::Block);
            host::set(global, blocked, host.unwrap_or_default(), name).await
        }
    }
}

/// Says it.
async fn tell(
    client: &Client,
    verb: Verb,
    actor: String,
    who: String,
) -> anyhow::Result<proto::Published> {
    /// All take the same two and answer the same one.
    macro_rules! ask {
        ($method:ident, $request:ident) => {
            client
                .$method(proto::$request { actor, who })
                .await
                .map(|answer| answer.published)
        };
    }
    let published = match verb {
        Verb::Unfollow => ask!(unfollow, UnfollowRequest),
        Verb::Accept => ask!(accept, AcceptRequest),
        Verb::Reject => ask!(reject, RejectRequest),
        Verb::Block => ask!(block, BlockRequest),
        Verb::Unblock => ask!(unblock, UnblockRequest),
    };
    published
        .map_err(Failure::from)?
        .context("the server sent no activity")
}

impl Verb {
    const fn past(self) -> &'static str {
        match self {
            Self::Unfollow => "no longer follows",
            Self::Accept => "accepted",
            Self::Reject => "rejected",
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
        }
    }
}

/// Lists relations, with their state.
pub(crate) async fn list(global: &Global, which: Which, named: Named) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["who", "state", "since", "url", "follow"]);
    pages(named.limit.limit, async |limit, page_token| {
        let request = proto::ListRelationsRequest {
            actor: named.name.clone(),
            limit,
            page_token,
        };
        let answer = match which {
            Which::Followers => client.list_followers(request).await,
            Which::Following => client.list_following(request).await,
            Which::Requests => client.list_requests(request).await,
        };
        let answer = answer.map_err(Failure::from)?;
        for relation in &answer.relations {
            list.push(&relation_value(relation)?, || {
                vec![
                    handle(&relation.peer),
                    relation.state.clone(),
                    clock(relation.since_ms),
                    clean(&relation.peer),
                    relation
                        .follow
                        .as_ref()
                        .map_or(String::new(), |follow| short_cid(&follow.cid)),
                ]
            })?;
        }
        Ok((answer.relations.len(), answer.next_page_token))
    })
    .await?;
    list.finish(match which {
        Which::Followers => "nobody follows it yet",
        Which::Following => "it follows nobody yet; `fedsx follow NAME WHO` asks",
        Which::Requests => "no requests are waiting",
    })?;
    Ok(())
}

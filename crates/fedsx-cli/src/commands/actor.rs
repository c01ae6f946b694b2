//! `actor create|list|show|update|move|delete|role|rotate-key|recovery-key|keys`; tokens stand in `token.rs`, export and import in
//! `transfer.rs`.

mod keys;
mod recovery;
mod update;

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::notation::json;
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::post;
use crate::args::{Actor, Global, Kind, Limit, Pair};
use crate::failure::Failure;
use crate::output::{actor_value, clean, published_value, stdout};

/// Runs it.
pub(crate) async fn run(global: &Global, command: Actor) -> anyhow::Result<()> {
    match command {
        Actor::Create {
            name,
            kind,
            display_name,
            summary,
            manual_approval,
        } => {
            let kind = match kind {
                Kind::Person => proto::ActorKind::Person,
                Kind::Service => proto::ActorKind::Service,
                Kind::Group => proto::ActorKind::Group,
            };
            let request = proto::CreateActorRequest {
                name,
                kind: kind.into(),
                display_name,
                summary: summary.as_deref().map(post::html),
                manual_approval,
            };
            create(global, request).await
        }
        Actor::List { limit } => list(global, limit).await,
        Actor::Show { name } => show(global, name).await,
        Actor::Update(profile) => update::run(global, profile).await,
        Actor::Move(pair) => moved(global, pair).await,
        Actor::Delete { name, confirm } => delete(global, name, &confirm).await,
        Actor::Role { name, change } => role(global, name, &change).await,
        Actor::RotateKey { name, rsa } => keys::rotate(global, name, rsa).await,
        Actor::Keys { name } => keys::list(global, name).await,
        Actor::RecoveryKey(command) => recovery::run(global, command).await,
        Actor::Export(export) => super::transfer::export(global, export).await,
        Actor::Import(import) => super::transfer::import(global, import).await,
        Actor::Token(command) => super::token::run(global, command).await,
    }
}

async fn create(global: &Global, request: proto::CreateActorRequest) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let answer = client.create_actor(request).await.map_err(Failure::from)?;
    let actor = answer.actor.context("the server sent no actor")?;
    let published = answer.published.context("the server sent no activity")?;
    let shown = actor_value(&actor)?;
    let mut value = published_value(&published);
    for key in ["name", "url", "handle", "kind"] {
        value.insert(key, shown.get(key).cloned().unwrap_or_default());
    }
    stdout(global.output).one(&value, || {
        format!(
            "{} is here\n  handle  {}\n  url     {}",
            actor.name, actor.handle, actor.url
        )
    })?;
    Ok(())
}

async fn list(global: &Global, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&[
        "name",
        "kind",
        "followers",
        "following",
        "outbox",
        "inbox",
        "url",
    ]);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListActorsRequest { limit, page_token };
        let answer = client.list_actors(request).await.map_err(Failure::from)?;
        for actor in &answer.actors {
            let value = actor_value(actor)?;
            list.push(&value, || {
                let kind = match actor.deleted_ms {
                    Some(_) => "deleted",
                    None => value
                        .get("kind")
                        .and_then(Value::as_str)
                        .unwrap_or_default(),
                };
                vec![
                    actor.name.clone(),
                    kind.to_owned(),
                    actor.followers.to_string(),
                    actor.following.to_string(),
                    actor.outbox.to_string(),
                    actor.inbox.to_string(),
                    actor.url.clone(),
                ]
            })?;
        }
        Ok((answer.actors.len(), answer.next_page_token))
    })
    .await?;
    list.finish("no actors yet; make one with `fedsx actor create NAME`")?;
    Ok(())
}

async fn show(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let actor = client
        .actor(proto::GetActorRequest { name })
        .await
        .map_err(Failure::from)?;
    let value = actor_value(&actor)?;
    stdout(global.output).one(&value, || described(&actor, &value))?;
    Ok(())
}

async fn moved(global: &Global, pair: Pair) -> anyhow::Result<()> {
    let Pair { name, who } = pair;
    let client = connect(global).await?;
    let request = proto::MoveActorRequest {
        name: name.clone(),
        who,
    };
    let answer = client.move_actor(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = published_value(&published);
    value.insert("target", &*answer.target);
    stdout(global.output).one(&value, || {
        format!(
            "{name} goes on as {}\n  its followers are told",
            answer.target
        )
    })?;
    Ok(())
}

async fn delete(global: &Global, name: String, confirm: &str) -> anyhow::Result<()> {
    if name != confirm {
        let why = format!("to delete {name} for good, say `--confirm {name}`");
        return Err(Failure::usage(why).into());
    }
    let client = connect(global).await?;
    let request = proto::DeleteActorRequest { name: name.clone() };
    let answer = client.delete_actor(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    stdout(global.output).one(&published_value(&published), || {
        format!("{name} is deleted\n  its followers are told")
    })?;
    Ok(())
}

async fn role(global: &Global, name: String, change: &str) -> anyhow::Result<()> {
    let (role, given) = match (change.strip_prefix('+'), change.strip_prefix('-')) {
        (Some(role), _) => (role, true),
        (_, Some(role)) => (role, false),
        _ => {
            let why = "a role is given as +definer and taken as -definer";
            return Err(Failure::usage(why).into());
        }
    };
    let client = connect(global).await?;
    let request = proto::SetRoleRequest {
        name: name.clone(),
        role: role.to_owned(),
        given,
    };
    client.set_role(request).await.map_err(Failure::from)?;
    let value = Map::from([
        ("name", Value::from(&*name)),
        ("role", role.into()),
        ("given", Value::Bool(given)),
    ]);
    stdout(global.output).one(&value, || match given {
        true => format!("{name} is {role}"),
        false => format!("{name} is {role} no more"),
    })?;
    Ok(())
}

fn described(actor: &proto::Actor, value: &Map) -> String {
    let document = value.get("document").cloned().unwrap_or_default();
    let member = |key| {
        clean(
            document
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    };
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut text = format!("{} ({kind})  {}", actor.name, member("name"));
    let summary = member("summary");
    if !summary.is_empty() {
        text += &format!("\n  {summary}");
    }
    text + &format!(
        "\n  handle     {}\n  url        {}\n  followers  {}\n  following  {}\n  \
         outbox     {}\n  inbox      {}\n\n{}",
        actor.handle,
        actor.url,
        actor.followers,
        actor.following,
        actor.outbox,
        actor.inbox,
        json::pretty(&document),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_with_and_without_a_summary() {
        let shown = |document: &str| {
            let actor = proto::Actor {
                name: "alice".to_owned(),
                url: "https://a.example/actors/alice".to_owned(),
                handle: "acct:alice@a.example".to_owned(),
                followers: 2,
                entry: Some(proto::Entry {
                    document_json: document.as_bytes().to_vec(),
                    ..proto::Entry::default()
                }),
                ..proto::Actor::default()
            };
            described(&actor, &actor_value(&actor).expect("a sound document"))
        };
        let with = shown(r#"{"name":"Alice","summary":"Writes.\u001b[31m"}"#);
        let without = shown(r#"{"name":"Alice"}"#);
        insta::assert_snapshot!(format!("{with}\n\n{without}"));
    }
}

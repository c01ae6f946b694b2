//! `group add|remove|show`.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::value::{Map, Value};

use super::connect::connect;
use super::post::say;
use crate::args::Global;
use crate::args::group::{Appointed, Group};
use crate::failure::Failure;
use crate::output::{clean, stdout};

/// Runs one of them.
pub(crate) async fn run(global: &Global, command: Group) -> anyhow::Result<()> {
    match command {
        Group::Add(appointed) => add(global, appointed).await,
        Group::Remove(appointed) => remove(global, appointed).await,
        Group::Show { name } => show(global, name).await,
    }
}

async fn add(global: &Global, asked: Appointed) -> anyhow::Result<()> {
    let post = post(&asked).into();
    let Appointed { name, who, .. } = asked;
    let client = connect(global).await?;
    let request = proto::AddToGroupRequest { name, who, post };
    let answer = client.add_to_group(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(global, &format!("added {}", clean(&answer.who)), &published)
}

async fn remove(global: &Global, asked: Appointed) -> anyhow::Result<()> {
    let post = post(&asked).into();
    let Appointed { name, who, .. } = asked;
    let client = connect(global).await?;
    let request = proto::RemoveFromGroupRequest { name, who, post };
    let answer = client.remove_from_group(request).await;
    let answer = answer.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(
        global,
        &format!("removed {}", clean(&answer.who)),
        &published,
    )
}

const fn post(asked: &Appointed) -> proto::GroupPost {
    match asked.controller {
        true => proto::GroupPost::Controller,
        false => proto::GroupPost::Member,
    }
}

async fn show(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::GetGroupRequest { name };
    let group = client.group(request).await.map_err(Failure::from)?;
    let urls = |urls: &[String]| -> Value {
        let urls = urls.iter().map(|url| Value::from(&**url));
        urls.collect::<Vec<_>>().into()
    };
    let value = Map::from([
        ("name", Value::from(&*group.name)),
        ("url", Value::from(&*group.url)),
        ("closed", group.closed.into()),
        (
            "followers",
            i64::try_from(group.followers).unwrap_or(i64::MAX).into(),
        ),
        ("controllers", urls(&group.controllers)),
        ("members", urls(&group.members)),
    ]);
    stdout(global.output).one(&value, || shown(&group))?;
    Ok(())
}

/// A group for people.
fn shown(group: &proto::Group) -> String {
    let kind = match group.closed {
        true => "closed",
        false => "open",
    };
    let followers = match group.followers {
        1 => "1 follower".to_owned(),
        count => format!("{count} followers"),
    };
    let mut lines = vec![format!("{} ({kind}, {followers})", clean(&group.url))];
    for (what, those) in [
        ("controller", &group.controllers),
        ("member", &group.members),
    ] {
        lines.extend(those.iter().map(|who| format!("  {what} {}", clean(who))));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_for_people() {
        let group = proto::Group {
            name: "club".to_owned(),
            url: "https://a.example/actors/club".to_owned(),
            closed: true,
            followers: 2,
            controllers: vec!["https://a.example/actors/alice".to_owned()],
            members: vec!["https://b.example/actors/bob\u{7}".to_owned()],
        };
        insta::assert_snapshot!(shown(&group), @r"
        https://a.example/actors/club (closed, 2 followers)
          controller https://a.example/actors/alice
          member https://b.example/actors/bob
        ");
    }
}

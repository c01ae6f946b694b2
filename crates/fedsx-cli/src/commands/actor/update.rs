//! `actor update`.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::canonical::jcs_map;
use fedsx_core::value::{Map, Value};

use crate::args::{Field, Global, Profile};
use crate::commands::connect::connect;
use crate::commands::post;
use crate::failure::Failure;
use crate::output::{actor_value, published_value, stdout};

pub(super) async fn run(global: &Global, profile: Profile) -> anyhow::Result<()> {
    let name = profile.name.clone();
    let request = proto::UpdateActorRequest {
        name: name.clone(),
        members_json: jcs_map(&members(profile)?),
    };
    let client = connect(global).await?;
    let answer = client.update_actor(request).await.map_err(Failure::from)?;
    let actor = answer.actor.context("the server sent no actor")?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = published_value(&published);
    let shown = actor_value(&actor)?;
    value.insert(
        "document",
        shown.get("document").cloned().unwrap_or_default(),
    );
    stdout(global.output).one(&value, || {
        format!("{name} is updated\n  `fedsx actor show {name}` shows the document")
    })?;
    Ok(())
}

/// The members of the document that change.
fn members(profile: Profile) -> anyhow::Result<Map> {
    let mut members = match &profile.members {
        Some(file) => post::document(file, &post::read(file)?)?,
        None => Map::default(),
    };
    let texts = [
        ("name", profile.display_name),
        ("summary", profile.summary.as_deref().map(post::html)),
        ("icon", profile.icon),
        ("image", profile.image),
    ];
    for (member, text) in texts {
        match text {
            Some(text) if text.is_empty() => members.insert(member, Value::Nil),
            Some(text) => members.insert(member, text),
            None => None,
        };
    }
    if let Some(manual) = profile.manual_approval {
        members.insert("manuallyApprovesFollowers", manual);
    }
    let lists = [
        ("alsoKnownAs", profile.also_known_as.map(aliases)),
        ("attachment", profile.fields.map(lines)),
    ];
    for (member, items) in lists {
        if let Some(items) = items {
            members.insert(member, items);
        }
    }
    Ok(members)
}

fn aliases(urls: Vec<String>) -> Vec<Value> {
    let named = urls.into_iter().filter(|url| !url.is_empty());
    named.map(Value::from).collect()
}

/// Lines of a profile, in the form that Mastodon began.
fn lines(fields: Vec<Field>) -> Vec<Value> {
    let line = |field: Field| {
        Map::from([
            ("type", "PropertyValue".to_owned()),
            ("name", field.name),
            ("value", post::html(&field.text)),
        ])
        .into()
    };
    let named = fields.into_iter().filter(|field| !field.name.is_empty());
    named.map(line).collect()
}

//! `actor update`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::canonical::jcs_map;
use fedsx_core::limits::BLOB_BYTES;
use fedsx_core::value::{Map, Value};

use crate::args::{Field, Global, Profile};
use crate::commands::connect::connect;
use crate::commands::post;
use crate::failure::Failure;
use crate::output::{actor_value, published_value, stdout};

pub(super) async fn run(global: &Global, profile: Profile) -> anyhow::Result<()> {
    let name = profile.name.clone();
    let icon_file = profile.icon_file.as_deref().map(picture).transpose()?;
    let request = proto::UpdateActorRequest {
        name: name.clone(),
        icon_file: icon_file.unwrap_or_default(),
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

/// A file, as far as one byte more than is taken: the server refuses it then.
fn picture(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} can't be opened", path.display()))?;
    file.take(BLOB_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{} can't be read", path.display()))?;
    anyhow::ensure!(!bytes.is_empty(), "{} is empty", path.display());
    Ok(bytes)
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

//! `actor rotate-key` and `actor keys`.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};

use crate::args::Global;
use crate::commands::connect::connect;
use crate::failure::Failure;
use crate::output::{clean, published_value, stdout};

pub(super) async fn rotate(global: &Global, name: String, rsa: bool) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::RotateKeyRequest {
        name: name.clone(),
        rsa,
    };
    let answer = client.rotate_key(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = published_value(&published);
    if rsa {
        let key = answer.rsa.context("the server sent no key")?;
        value.insert("key", rsa_value(&key));
        stdout(global.output).one(&value, || {
            format!(
                "{name} has another {} from here on\n  servers that may still go by the one before are shown that \
                 until {}",
                fragment(&key.id),
                format_rfc3339_ms(key.former_until_ms)
            )
        })?;
        return Ok(());
    }
    let key = answer.key.context("the server sent no key")?;
    value.insert("key", key_value(&key));
    stdout(global.output).one(&value, || {
        format!(
            "{name} signs with {} from here on\n  `fedsx actor keys {name}` shows who has not heard of it yet",
            fragment(&key.id)
        )
    })?;
    Ok(())
}

pub(super) async fn list(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::ListKeysRequest { name: name.clone() };
    let answer = client.list_keys(request).await.map_err(Failure::from)?;
    let keys: Vec<Value> = answer
        .keys
        .iter()
        .map(|key| key_value(key).into())
        .collect();
    let value = Map::from([("name", Value::from(&*name)), ("keys", keys.into())]);
    stdout(global.output).one(&value, || page(&answer.keys))?;
    Ok(())
}

pub(super) fn key_value(key: &proto::Key) -> Map {
    let mut value = Map::from([
        ("id", Value::from(&*key.id)),
        ("publicKeyMultibase", (&*key.multibase).into()),
        ("created", format_rfc3339_ms(key.created_ms).into()),
    ]);
    let Some(superseded_ms) = key.superseded_ms else {
        return value;
    };
    let holder = |holder: &proto::KeyHolder| {
        Value::Map(Map::from([
            ("host", &*holder.host),
            ("state", &*holder.state),
            ("detail", &*holder.detail),
        ]))
    };
    let holders: Vec<Value> = key.holders.iter().map(holder).collect();
    value.insert("superseded", format_rfc3339_ms(superseded_ms));
    value.insert("supersededBy", &*key.superseded_by);
    value.insert("holders", holders);
    value.insert("unexpanded", key.unexpanded);
    value
}

fn rsa_value(key: &proto::RsaKey) -> Map {
    Map::from([
        ("id", &*key.id),
        ("publicKeyPem", &*key.pem),
        ("formerUntil", &*format_rfc3339_ms(key.former_until_ms)),
    ])
}

fn page(keys: &[proto::Key]) -> String {
    let mut lines = Vec::new();
    for key in keys {
        let since = format_rfc3339_ms(key.created_ms);
        let until = match key.superseded_ms {
            None => "current".to_owned(),
            Some(ms) => format!("until {}", format_rfc3339_ms(ms)),
        };
        let id = fragment(&key.id);
        lines.push(format!("{id}  {}  since {since}  {until}", key.multibase));
        for holder in &key.holders {
            let why = match &*holder.state {
                "waiting" => "has not been told yet",
                "refused" => "refused to be told",
                _ => "was told, and refused a newer signature",
            };
            let detail = match clean(&holder.detail) {
                none if none.is_empty() => none,
                detail => format!(": {detail}"),
            };
            lines.push(format!("  {} {why}{detail}", clean(&holder.host)));
        }
        if key.unexpanded {
            lines.push("  others are still to be queued".to_owned());
        }
    }
    if keys.iter().any(|key| key.superseded_ms.is_some()) {
        let others = "all others were told; which document they go by, they don't say";
        lines.push(others.to_owned());
    }
    lines.join("\n")
}

/// A key's id without its actor's URL.
pub(super) fn fragment(id: &str) -> &str {
    id.find('#').map_or(id, |at| &id[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_those_who_hold_on_to_them() {
        let holder = |host: &str, state: &str, detail: &str| proto::KeyHolder {
            host: host.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
        };
        let old = proto::Key {
            id: "https://a.example/actors/alice#ed25519-1".to_owned(),
            multibase: "z6MkOld".to_owned(),
            created_ms: 1_767_225_600_000,
            superseded_ms: Some(1_767_225_660_000),
            superseded_by: "https://a.example/actors/alice/activities/2".to_owned(),
            holders: vec![
                holder("b.example", "waiting", "no route"),
                holder("c.example", "refused", "no\u{1b}[31m"),
                holder("d.example", "unheard", ""),
            ],
            unexpanded: true,
        };
        let new = proto::Key {
            id: "https://a.example/actors/alice#ed25519-2".to_owned(),
            multibase: "z6MkNew".to_owned(),
            created_ms: 1_767_225_660_000,
            ..proto::Key::default()
        };
        let shown = page(&[new.clone(), old.clone()]);
        let values =
            [new, old].map(|key| fedsx_core::notation::json::pretty(&Value::Map(key_value(&key))));
        insta::assert_snapshot!(format!("{shown}\n\n{}", values.join("\n")));
    }
}

//! The pages as they are, and NodeInfo against its schema.

use std::collections::BTreeMap;

use fedsx_core::address::Instance;
use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};
use serde_json::Value as Json;

use super::{Capabilities, Usage, capabilities, document, links};

/// Sources: `tests/vectors/README.md`.
const SCHEMA: &str = include_str!("../../tests/vectors/nodeinfo-2.1/schema.json");
const EXAMPLE: &str = include_str!("../../tests/vectors/nodeinfo-2.1/example.json");

const USAGE: Usage<'_> = Usage {
    version: "0.1.0",
    name: "Here",
    actors: 3,
    posts: 1_000,
};

fn here() -> Instance {
    Instance::new("https://here.example").expect("a base URL")
}

fn json(map: Map) -> Json {
    let bytes = write(Notation::Json, &Value::from(map));
    serde_json::from_slice(&bytes).expect("JSON")
}

fn pretty(map: Map) -> String {
    serde_json::to_string_pretty(&json(map)).expect("JSON")
}

/// Checks what that schema uses of JSON Schema draft 4; `Err` is the place and the rule broken.
fn fits(schema: &Json, value: &Json, place: &str) -> Result<(), String> {
    let broken = |rule: &str| Err(format!("{place}: {rule}"));
    if let Some(kind) = schema["type"].as_str() {
        let is_kind = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            other => return broken(&format!("type {other} is not checked here")),
        };
        if !is_kind {
            return broken("type");
        }
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|allowed| !allowed.contains(value))
    {
        return broken("enum");
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        return broken("minimum");
    }
    if let (Some("^[a-z0-9-]+$"), Some(text)) = (schema["pattern"].as_str(), value.as_str()) {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if text.is_empty() || !text.bytes().all(plain) {
            return broken("pattern");
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().expect("a name")).is_none() {
            return broken(&format!("required {required}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(rule) => fits(rule, member, &format!("{place}.{name}"))?,
            None if schema["additionalProperties"] == false => return broken(name),
            None => {}
        }
    }
    let items = value.as_array().into_iter().flatten();
    let least = schema["minItems"].as_u64().unwrap_or(0);
    if value
        .as_array()
        .is_some_and(|items| (items.len() as u64) < least)
    {
        return broken("minItems");
    }
    items
        .into_iter()
        .try_for_each(|item| fits(&schema["items"], item, place))
}

#[test]
fn nodeinfo_fits_its_schema() {
    let schema: Json = serde_json::from_str(SCHEMA).expect("the schema");
    let example: Json = serde_json::from_str(EXAMPLE).expect("the example");
    assert_eq!(fits(&schema, &example, ""), Ok(()));
    let ours = json(document(&USAGE));
    assert_eq!(fits(&schema, &ours, ""), Ok(()));

    let broken: [(&str, Json, &str); 6] = [
        ("/version", "2.0".into(), ".version: enum"),
        ("/software/name", "Fed SX".into(), ".software.name: pattern"),
        (
            "/protocols",
            Json::Array(Vec::new()),
            ".protocols: minItems",
        ),
        (
            "/services/inbound",
            serde_json::json!(["smtp"]),
            ".services.inbound: enum",
        ),
        (
            "/usage/users/total",
            (-1).into(),
            ".usage.users.total: minimum",
        ),
        ("/usage", Json::Null, ".usage: type"),
    ];
    for (place, value, expected) in broken {
        let mut changed = ours.clone();
        *changed.pointer_mut(place).expect("a member") = value;
        assert_eq!(fits(&schema, &changed, ""), Err(expected.to_owned()));
    }
}

#[test]
fn pages() {
    let verbs = BTreeMap::from([
        ("Create".to_owned(), None),
        (
            "Endorse".to_owned(),
            Some("baga6yaqseadzh2gzpyw6jomjwkznpjp25dhzihyqfib4b3fladyd5krdgddfa".to_owned()),
        ),
    ]);
    let facts = Capabilities {
        version: "0.1.0",
        codecs: &["json-jcs", "raw"],
        suites: &["eddsa-jcs-2022", "rfc9421"],
        verbs: &verbs,
        backfill: &["none"],
        batch: Some(256),
    };
    let page = [
        links(&here()),
        document(&USAGE),
        capabilities(&here(), &facts),
    ];
    let unbatched = capabilities(
        &here(),
        &Capabilities {
            batch: None,
            ..facts
        },
    );
    assert!(!unbatched.contains_key("batch"));
    insta::assert_snapshot!(page.map(pretty).join("\n---\n"));
}

//! What an actor says of itself: the members of its document that its owner sets.
//!
//! Invariant: what the server answers for (ids, addresses, keys, times) is not touched, members that are set read
//! back as peers read them, and the document keeps room for all the keys that an actor may have. Sources:
//! ActivityStreams 2.0 vocabulary, FEP-7628 (`alsoKnownAs`), RFC 7396 for `null`.

use crate::address::http_url;
use crate::canonical::jcs_map;
use crate::limits;
use crate::refusal::{Code, Refusal};
use crate::value::{List, Map, Value};

use super::peer::{ALIASES, NAME_BYTES};

/// Members that are the server's own word.
const OWN: [&str; 22] = [
    "@context",
    "assertionMethod",
    "attributedTo",
    "endpoints",
    "followers",
    "following",
    "id",
    "inbox",
    "keyHistory",
    "log",
    "logKey",
    "movedTo",
    "outbox",
    "preferredUsername",
    "proof",
    "publicKey",
    "published",
    "recoveryDigest",
    "signature",
    "type",
    "updated",
    "url",
];

/// Sets members of an actor's document, each as a whole; `null` takes one away.
///
/// # Errors
/// `not-authorised` for a member that is the server's own, `malformed` for one that peers could not read,
/// `too-large` when the document would leave no room for keys. Then nothing is changed.
pub fn set_profile(document: &mut Map, members: &Map) -> Result<(), Refusal> {
    if members.is_empty() {
        return Err(Refusal::new(Code::Malformed, "there is nothing to change"));
    }
    let mut changed = document.clone();
    for (member, value) in members {
        let member = member.as_str();
        if OWN.contains(&member) {
            let why = format!("`{member}` of an actor is the server's own word");
            return Err(Refusal::new(Code::NotAuthorised, why));
        }
        match (member, read(member, value)?) {
            // Nobody goes without a name.
            ("name", Value::Nil) => {
                let plain = changed.get("preferredUsername").cloned();
                changed.insert("name", plain.unwrap_or_default());
            }
            (member, Value::Nil) => {
                changed.remove(member);
            }
            (member, value) => {
                changed.insert(member, value);
            }
        }
    }
    let mut without_keys = changed.clone();
    for keys in ["assertionMethod", "keyHistory"] {
        without_keys.remove(keys);
    }
    let bytes = jcs_map(&without_keys).len();
    if bytes > limits::PROFILE_BYTES {
        let most = limits::PROFILE_BYTES;
        let why = format!("beside its keys an actor's document may have {most} bytes, not {bytes}");
        return Err(Refusal::new(Code::TooLarge, why));
    }
    *document = changed;
    Ok(())
}

/// A member as it goes into the document.
fn read(member: &str, value: &Value) -> Result<Value, Refusal> {
    let is_sound = match (member, value) {
        (_, Value::Nil) => true,
        ("name", value) => {
            let text = value.as_str().unwrap_or_default();
            !text.is_empty() && text.len() <= NAME_BYTES
        }
        ("summary", value) => value.as_str().is_some(),
        ("manuallyApprovesFollowers" | "discoverable" | "indexable", value) => {
            value.as_bool().is_some()
        }
        ("icon" | "image", Value::Map(image)) => {
            image.get("type").and_then(Value::as_str) == Some("Image")
                && image.get("url").is_some_and(is_url)
        }
        ("icon" | "image", url) if is_url(url) => {
            let image = [("type", Value::from("Image")), ("url", url.clone())];
            return Ok(Map::from(image).into());
        }
        ("icon" | "image", _) => false,
        ("alsoKnownAs", aliases) => {
            // A list also where there is one, because some read nothing else.
            let aliases: List = aliases.items().cloned().collect();
            if aliases.len() <= ALIASES && aliases.iter().all(is_url) {
                return Ok(aliases.into());
            }
            false
        }
        ("attachment" | "tag", Value::List(items)) => {
            items.iter().all(|item| item.as_map().is_some())
        }
        ("attachment" | "tag", _) => false,
        _ => true,
    };
    if is_sound {
        return Ok(value.clone());
    }
    Err(Refusal::new(Code::Malformed, shape(member)))
}

fn is_url(value: &Value) -> bool {
    value.as_str().is_some_and(|url| http_url(url).is_some())
}

/// What a member has to be.
fn shape(member: &str) -> String {
    let shape = match member {
        "name" => return format!("`name` must be a text of 1 to {NAME_BYTES} bytes"),
        "alsoKnownAs" => {
            return format!("`alsoKnownAs` must be at most {ALIASES} absolute http or https URLs");
        }
        "summary" => "a text",
        "icon" | "image" => "an absolute http or https URL, or an Image with one",
        "attachment" | "tag" => "a list of objects",
        _ => "true or false",
    };
    format!("`{member}` must be {shape}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::json;

    fn map(text: &str) -> Map {
        let value = json::read(text.as_bytes());
        value.expect("JSON").as_map().expect("an object").clone()
    }

    fn told(members: &str) -> String {
        let before = map(
            r#"{"id":"https://a.example/actors/a","name":"A","preferredUsername":"a","summary":"s"}"#,
        );
        let mut document = before.clone();
        match set_profile(&mut document, &map(members)) {
            Ok(()) => String::from_utf8(jcs_map(&document)).expect("UTF-8"),
            Err(refusal) => {
                assert_eq!(document, before);
                format!("{}: {}", refusal.code.as_str(), refusal.detail)
            }
        }
    }

    #[test]
    fn members_are_set_taken_away_or_refused() {
        let cases = [
            r#"{"name":"Alice","summary":"<p>Writes.</p>"}"#,
            r#"{"name":null,"summary":null}"#,
            r#"{"icon":"https://a.example/a.png"}"#,
            r#"{"image":{"type":"Image","url":"https://a.example/a.png","name":"A hill"}}"#,
            r#"{"alsoKnownAs":"https://b.example/users/a"}"#,
            r#"{"alsoKnownAs":[]}"#,
            r#"{"attachment":[{"type":"PropertyValue","name":"Pronouns","value":"she"}]}"#,
            r#"{"manuallyApprovesFollowers":true,"discoverable":false,"vcard:bday":"1970-01-01"}"#,
            "{}",
            r#"{"name":"B","id":"https://b.example/"}"#,
            r#"{"publicKey":null}"#,
            r#"{"name":""}"#,
            r#"{"name":7}"#,
            r#"{"summary":[]}"#,
            r#"{"icon":"a.png"}"#,
            r#"{"icon":{"type":"Image"}}"#,
            r#"{"alsoKnownAs":["https://b.example/users/a","acct:a@b.example"]}"#,
            r#"{"attachment":["https://a.example"]}"#,
            r#"{"manuallyApprovesFollowers":"yes"}"#,
        ];
        let page = cases.map(|case| format!("{case}\n  {}", told(case)));
        insta::assert_snapshot!(page.join("\n"));
    }

    #[test]
    fn keys_keep_their_room() {
        let long = "x".repeat(limits::PROFILE_BYTES);
        let told = told(&format!(r#"{{"summary":"{long}"}}"#));
        assert!(told.starts_with("too-large: "), "{told}");
    }
}

//! `post`, `publish`, `announce`, `endorse` and `delete`.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::canonical::jcs_map;
use fedsx_core::limits::DOCUMENT_OUT_BYTES;
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};

use super::connect::connect;
use crate::args::{Announce, Delete, Endorse, Global, Post, Visibility};
use crate::failure::Failure;
use crate::output::{published_value, stdout};

/// Publishes a note.
pub(crate) async fn post(global: &Global, post: Post) -> anyhow::Result<()> {
    send(
        global,
        request(&post.name, &post.text, &post.to, post.visibility),
    )
    .await
}

/// The request that publishes a note of plain text.
pub(crate) fn request(
    name: &str,
    text: &str,
    to: &[String],
    visibility: Option<Visibility>,
) -> proto::PublishRequest {
    let visibility = match visibility {
        None => proto::Visibility::Unspecified,
        Some(Visibility::Public) => proto::Visibility::Public,
        Some(Visibility::Followers) => proto::Visibility::Followers,
        Some(Visibility::Direct) => proto::Visibility::Direct,
    };
    proto::PublishRequest {
        actor: name.to_owned(),
        document_json: jcs_map(&note(text)),
        to: to.to_vec(),
        visibility: visibility.into(),
        idempotency_key: None,
    }
}

/// Publishes a document from a file, or from stdin.
pub(crate) async fn publish(global: &Global, name: String, file: &Path) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let document = document(file, &bytes)?;
    let request = proto::PublishRequest {
        actor: name,
        document_json: jcs_map(&document),
        ..Default::default()
    };
    send(global, request).await
}

async fn send(global: &Global, request: proto::PublishRequest) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let answer = client.publish(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(global, "published", &published)
}

/// Passes on what another wrote.
pub(crate) async fn announce(global: &Global, announce: Announce) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::AnnounceRequest {
        actor: announce.name,
        cid_or_url: announce.what,
    };
    let answer = client.announce(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(global, "announced", &published)
}

/// Says something short about what another wrote.
pub(crate) async fn endorse(global: &Global, endorse: Endorse) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::EndorseRequest {
        actor: endorse.object.name,
        cid_or_url: endorse.object.what,
        kind: endorse.kind,
    };
    let answer = client.endorse(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(global, "endorsed", &published)
}

/// Deletes what an actor made.
pub(crate) async fn delete(global: &Global, delete: Delete) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::DeleteRequest {
        actor: delete.name,
        cid_or_url: delete.what,
    };
    let answer = client.delete(request).await.map_err(Failure::from)?;
    let published = answer.published.context("the server sent no activity")?;
    say(global, "deleted", &published)
}

/// Writes what publishing answered.
pub(crate) fn say(global: &Global, what: &str, published: &proto::Published) -> anyhow::Result<()> {
    stdout(global.output).one(&published_value(published), || {
        format!(
            "{what}\n  id   {}\n  cid  {}\n  outbox #{}, journal {}",
            published.id, published.cid, published.seq, published.offset
        )
    })?;
    Ok(())
}

/// A note of plain text.
fn note(text: &str) -> Map {
    Map::from([
        ("type", Value::from("Note")),
        ("content", Value::from(html(text))),
        (
            "source",
            Value::Map(Map::from([("content", text), ("mediaType", "text/plain")])),
        ),
    ])
}

/// Plain text as HTML: escaped; a line break where there is one, paragraphs where there are several.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.trim_end_matches(['\r', '\n']).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => {}
            c => escaped.push(c),
        }
    }
    let paragraphs: Vec<String> = escaped
        .split("\n\n")
        .map(|paragraph| paragraph.trim_matches('\n').replace('\n', "<br>"))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    match &*paragraphs {
        [one] => one.clone(),
        several => several
            .iter()
            .map(|paragraph| format!("<p>{paragraph}</p>"))
            .collect(),
    }
}

/// What a file holds, or stdin.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    // One byte more than is taken, so that too much is seen and not cut.
    let bound = DOCUMENT_OUT_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(bound).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(bound).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("can't read {}: {error}", file.display())))?;
    Ok(bytes)
}

pub(super) fn document(file: &Path, bytes: &[u8]) -> Result<Map, Failure> {
    let name = file.display();
    match notation::read(notation_of(bytes), bytes, DOCUMENT_OUT_BYTES) {
        Ok(Value::Map(document)) => Ok(document),
        Ok(_) => Err(Failure::failed(format!(
            "{name} holds no object: a document begins with {{ or ("
        ))),
        Err(error) => Err(Failure::failed(format!("{name}: {error}"))),
    }
}

/// JSON objects begin with `{"` or `{}`; whatever else begins like SX is SX.
fn notation_of(bytes: &[u8]) -> Notation {
    let mut signs = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (signs.next(), signs.next()) {
        (Some(b'(' | b';'), _) | (Some(b'{'), Some(b':' | b';')) => Notation::Sx,
        _ => Notation::Json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html() {
        assert_eq!(
            html("hello <b>\"you\"</b> & me"),
            "hello &lt;b&gt;&quot;you&quot;&lt;/b&gt; &amp; me"
        );
        assert_eq!(html("one\r\ntwo\n"), "one<br>two");
        assert_eq!(html("one\ntwo\n\n\nthree"), "<p>one<br>two</p><p>three</p>");
        assert_eq!(html(""), "");
    }

    #[test]
    fn a_note_keeps_its_source() {
        assert_eq!(
            String::from_utf8(jcs_map(&note("1 < 2"))).expect("JSON"),
            r#"{"content":"1 &lt; 2","source":{"content":"1 < 2","mediaType":"text/plain"},"type":"Note"}"#
        );
    }

    #[test]
    fn a_file_says_itself_what_it_is() {
        let read = |text: &str| {
            document(Path::new("f"), text.as_bytes()).map_err(|failure| failure.to_string())
        };
        let note: Map = [("type", "Note"), ("content", "hi")].into();
        assert_eq!(read(r#" {"type":"Note","content":"hi"}"#), Ok(note.clone()));
        assert_eq!(read(r#"(Note :content "hi")"#), Ok(note.clone()));
        assert_eq!(
            read(
                r#"; a note
            { :type "Note" :content "hi"}"#
            ),
            Ok(note)
        );
        assert_eq!(read("{}"), Ok(Map::new()));
        assert!(read("[]").is_err() && read("").is_err());
    }
}

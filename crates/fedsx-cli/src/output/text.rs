//! Words for people out of what peers wrote: short, on one line, without control characters.

use fedsx_core::address::Origin;
use fedsx_core::time::format_rfc3339_s;

/// A time: `2026-01-01 12:00:03`, UTC.
pub(crate) fn clock(ms: i64) -> String {
    format_rfc3339_s(ms)
        .replace('T', " ")
        .trim_end_matches('Z')
        .to_owned()
}

/// The end of a CID: all begin alike.
pub(crate) fn short_cid(cid: &str) -> String {
    let at = cid.len().saturating_sub(8);
    match cid.get(at..) {
        Some(end) if at > 0 => format!("…{end}"),
        _ => cid.to_owned(),
    }
}

/// An actor's URL as `name@host`, where it looks like one.
pub(crate) fn handle(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .map(|name| name.trim_start_matches('@'));
    match (name, Origin::of(url)) {
        (Some(name), Some(origin)) if !name.is_empty() && name != origin.authority() => {
            clean(&format!("{name}@{}", origin.authority()))
        }
        _ => clean(url),
    }
}

/// What something is about: an actor by its handle, anything else by its URL without the scheme.
pub(crate) fn about(url: &str) -> String {
    /// Under what servers keep their actors.
    const ACTORS: [&str; 6] = ["actors", "users", "u", "c", "profile", "accounts"];
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut path = rest.trim_end_matches('/').split('/').skip(1);
    let is_actor = match (path.next(), path.next(), path.next()) {
        (Some(name), None, _) => name.starts_with('@'),
        (Some(kind), Some(_), None) => ACTORS.contains(&kind),
        _ => false,
    };
    match is_actor {
        true => handle(url),
        false => clean(rest),
    }
}

/// One line without control characters and without those that turn the writing direction.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    let line: String = text.chars().map(visible).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// HTML as the beginning of its text.
pub(crate) fn excerpt(html: &str, chars: usize) -> String {
    shortened(&unescaped(&without_tags(html)), chars)
}

/// The beginning of a text, in one line.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    let text = clean(text);
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text,
    }
}

fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        // A block or a line break parts words, an inline tag doesn't.
        if ["br", "p", "/p", "div", "li"]
            .iter()
            .any(|tag| after.starts_with(tag))
        {
            text.push(' ');
        }
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text
}

fn unescaped(text: &str) -> String {
    // `&amp;` last, so that nothing is unescaped twice.
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (escaped, plain)| {
        text.replace(escaped, plain)
    })
}

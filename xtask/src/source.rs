//! Reading Rust source without compiling it: what is code, and what of it is test.
//!
//! Good enough for words and line counts on code that rustfmt has laid out; what needs types is clippy's work.

use std::ops::Range;

/// The text with comments, strings and character literals blanked out: same length, same lines.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let Some(end) = end_of_non_code(bytes, at) else {
            at += 1;
            continue;
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn end_of_non_code(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => Some(
            at + rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len()),
        ),
        [b'/', b'*', ..] => Some(at + end_of_block_comment(rest)),
        [b'"', ..] => Some(at + end_of_quoted(rest, b'"')),
        [b'r', b'"' | b'#', ..] if !continues_word(bytes, at) => {
            end_of_raw_string(rest).map(|end| at + end)
        }
        [b'\'', b'\\', ..] => Some(at + end_of_quoted(rest, b'\'')),
        [b'\'', first, ..] => {
            // A lifetime has no closing quote right after its first character.
            let width = if *first < 0x80 {
                1
            } else {
                first.leading_ones() as usize
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(at + width + 2)
        }
        _ => None,
    }
}

/// Whether `at` goes on with an identifier: the `r` of `br"…"` and `cr"…"` does not, as far as raw strings go.
fn continues_word(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| bytes[before]) else {
        return false;
    };
    let prefix =
        matches!(before, b'b' | b'c') && !at.checked_sub(2).is_some_and(|two| is_word(bytes[two]));
    is_word(before) && !prefix
}

fn end_of_block_comment(rest: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn end_of_quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// None for a raw identifier (`r#type`).
fn end_of_raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = 2 + hashes;
    let length = rest[body..]
        .windows(close.len())
        .position(|window| window == close);
    Some(length.map_or(rest.len(), |length| body + length + close.len()))
}

const TEST_MARK: &str = "#[cfg(test)]";

/// The items under `#[cfg(test)]`, each from its attribute to its closing brace or semicolon. Takes what `code_only` gave.
pub(crate) fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(offset) = code[from..].find(TEST_MARK) {
        let start = from + offset;
        let item = start + TEST_MARK.len();
        let end = end_of_item(code.as_bytes(), item);
        spans.push(start..end);
        from = end;
    }
    spans
}

fn end_of_item(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// The code with its test items blanked out: same length, same lines.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for span in test_items(code) {
        for byte in &mut out[span] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Modules declared as tests in other files: `#[cfg(test)] mod NAME;`.
pub(crate) fn test_modules(code: &str) -> Vec<String> {
    let module = |span: Range<usize>| {
        let declared = code[span].strip_suffix(';')?;
        let mut words = declared.split_whitespace().rev();
        let name = words.next()?;
        (words.next()? == "mod").then(|| name.to_owned())
    };
    test_items(code).into_iter().filter_map(module).collect()
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Where `path` (one or more identifiers joined by `::`) stands as whole words.
pub(crate) fn mentions<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(path)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at.checked_sub(1).map(|before| bytes[before]);
            let after = bytes.get(at + path.len()).copied();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

/// Every path that a grouped import names, one by one, with the offset of its `use`: `use std::{fs, env::var};` gives
/// `std::fs` and `std::env::var`.
pub(crate) fn grouped_imports(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in mentions(code, "use") {
        let rest = &code[at + 3..];
        let Some(end) = rest.find(';') else { continue };
        let tree: String = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        if tree.contains('{') {
            let mut flat = Vec::new();
            flatten("", &tree, &mut flat);
            paths.extend(flat.into_iter().map(|path| (at, path)));
        }
    }
    paths
}

fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        if !tree.is_empty() {
            paths.push(format!("{prefix}{tree}"));
        }
        return;
    };
    let inner = tree[open + 1..]
        .strip_suffix('}')
        .unwrap_or(&tree[open + 1..]);
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let mut depth = 0usize;
    let mut begin = 0;
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                flatten(&prefix, &inner[begin..at], paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
    flatten(&prefix, &inner[begin..], paths);
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = "let a = \"std::fs\"; // std::fs\n/* a /* b */ std::fs */ let c = 'x'; fn f<'a>(s: &'a str) {}\n\
                    let r = br#\"std::fs \" \"#; let q = '\\''; let r#type = b'\"'; let e = 'é'; std::env";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(mentions(&code, "std::fs").count(), 0);
        assert_eq!(mentions(&code, "std::env").count(), 1);
        insta::assert_snapshot!(code.split_whitespace().collect::<Vec<_>>().join(" "), @r#"
        let a = ; let c = ; fn f<'a>(s: &'a str) {} let r = b ; let q = ; let r#type = b ; let e = ; std::env
        "#);
    }

    #[test]
    fn test_items_end_where_they_end() {
        let code = "fn a() {}\n#[cfg(test)]\n#[expect(x(y))]\nmod tests {\n fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod d;\n";
        let rest = without_tests(code);
        assert_eq!(
            rest.split_whitespace().collect::<Vec<_>>(),
            ["fn", "a()", "{}", "fn", "c()", "{}"]
        );
        assert_eq!(rest.lines().count(), code.lines().count());
        assert_eq!(test_modules(code), ["d"]);
    }

    #[test]
    fn words_match_whole() {
        let hits = |code, path| mentions(code, path).count();
        assert_eq!(hits("std::fs::read(x)", "std::fs"), 1);
        assert_eq!(hits("std::fs_extra", "std::fs"), 0);
        assert_eq!(hits("MyHashMap HashMap<A>", "HashMap"), 1);
    }

    #[test]
    fn grouped_imports_are_flattened() {
        let code = "use std::{fs, env::{self, var}};\nuse std::time;";
        let paths: Vec<_> = grouped_imports(code)
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(paths, ["std::fs", "std::env::self", "std::env::var"]);
    }
}

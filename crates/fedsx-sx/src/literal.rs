//! How a string and a number are spelt: one spelling, shared by canonical JSON and SX.
//!
//! Strings take the shortest escapes and numbers the digits that RFC 8785 (sections 3.2.2.2 and
//! 3.2.2.3) asks for. Reading them back is the business of the readers.

use std::fmt::Write as _;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` in double quotes, escaping nothing but `"`, `\` and control characters.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        push_escape(out, from.as_bytes()[0]);
        rest = &from[1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn push_escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        0x09 => out.push_str("\\t"),
        0x0a => out.push_str("\\n"),
        0x0c => out.push_str("\\f"),
        0x0d => out.push_str("\\r"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Appends an integer in decimal.
pub fn push_int(out: &mut String, number: i64) {
    write!(out, "{number}").expect("writing to a string can't fail");
}

/// Appends a finite double as ECMAScript's `Number::toString` spells it; `null` for one that is
/// not finite, as `JSON.stringify` does.
pub fn push_double(out: &mut String, number: f64) {
    if number.is_finite() {
        out.push_str(ryu_js::Buffer::new().format_finite(number));
    } else {
        out.push_str("null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_take_the_shortest_escapes() {
        let mut out = String::new();
        push_string(&mut out, "a\"b\\c\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}/é😀");
        assert_eq!(
            out,
            "\"a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}/é😀\""
        );
    }

    #[test]
    fn doubles_are_spelt_as_in_ecmascript() {
        for (number, spelt) in [
            (-0.0, "0"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (0.000_001, "0.000001"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-71.184_902, "-71.184902"),
        ] {
            let mut out = String::new();
            push_double(&mut out, number);
            assert_eq!(out, spelt);
        }
    }
}

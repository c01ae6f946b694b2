//! Bytes from anybody: every reader answers, and what it takes it writes back the same.

use fedsx_core::limits::{DEPTH, MEMBERS};
use fedsx_core::notation::{Notation, read, write};
use fedsx_core::value::check_document;
use proptest::prelude::*;

use crate::arbitrary::value;

const MAX: usize = 1 << 20;

fn survive(bytes: &[u8]) {
    for notation in Notation::ALL {
        match read(notation, bytes, MAX) {
            Ok(value) => {
                assert_eq!(check_document(&value), Ok(()));
                let again = read(notation, &write(notation, &value), MAX);
                assert_eq!(again, Ok(value), "{notation}");
            }
            Err(error) => assert!(error.to_string().len() < 500, "{error}"),
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn arbitrary_text(text in "\\PC{0,60}|[\\[\\](){}:\",;\\\\u0-9a-f+.eE\n -]{0,60}") {
        survive(text.as_bytes());
    }

    #[test]
    fn documents_with_bytes_changed(
        value in value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for notation in Notation::ALL {
            let mut bytes = write(notation, &value);
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            survive(&bytes);
            bytes.truncate(changes[0].0.index(bytes.len()));
            survive(&bytes);
        }
    }
}

#[test]
fn nesting_is_taken_up_to_its_bound() {
    let text = |levels: usize, open: &str, close: &str| {
        format!("{}1{}", open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    let cases = |levels: usize| {
        let mut cbor = vec![0x81; levels];
        cbor.push(1);
        [
            (Notation::Json, text(levels, "[", "]")),
            (Notation::Json, text(levels, "{\"a\":", "}")),
            (Notation::Sx, text(levels, "[", "]")),
            (Notation::Sx, text(levels, "{:a ", "}")),
            (Notation::Sx, text(levels, "(A :a ", ")")),
            (Notation::Sx, text(levels, "(A ", ")")),
            (Notation::Cbor, cbor),
            (
                Notation::Cbor,
                [b"\xa1\x61a".repeat(levels), vec![1]].concat(),
            ),
        ]
    };
    for (notation, bytes) in cases(DEPTH) {
        read(notation, &bytes, MAX).expect("as deep as allowed");
    }
    for (notation, bytes) in cases(DEPTH + 1).into_iter().chain(cases(100_000)) {
        let error = read(notation, &bytes, MAX)
            .expect_err("too deep")
            .to_string();
        assert!(error.contains("64 levels"), "{error}");
    }
}

#[test]
fn members_are_taken_up_to_their_bound() {
    let join = |count: usize, item: &dyn Fn(usize) -> String, separator: &str| {
        (0..count).map(item).collect::<Vec<_>>().join(separator)
    };
    let cases = |count: usize| {
        let length = u16::try_from(count).expect("ten thousand").to_be_bytes();
        let mut cbor = vec![0x99];
        cbor.extend(length);
        cbor.extend(vec![0; count]);
        let mut map = vec![0xb9];
        map.extend(length);
        map.extend((0..count).flat_map(|n| format!("\u{65}{n:05}\u{0}").into_bytes()));
        [
            (
                Notation::Json,
                format!("[{}]", join(count, &|_| "0".into(), ",")).into_bytes(),
            ),
            (
                Notation::Json,
                format!("{{{}}}", join(count, &|n| format!("\"{n}\":0"), ",")).into_bytes(),
            ),
            (
                Notation::Sx,
                format!("[{}]", join(count, &|_| "0".into(), " ")).into_bytes(),
            ),
            (
                Notation::Sx,
                format!("{{{}}}", join(count, &|n| format!(":{n} 0"), " ")).into_bytes(),
            ),
            (Notation::Cbor, cbor),
            (Notation::Cbor, map),
        ]
    };
    for (notation, bytes) in cases(MEMBERS) {
        read(notation, &bytes, MAX).expect("as many as allowed");
    }
    for (notation, bytes) in cases(MEMBERS + 1) {
        let error = read(notation, &bytes, MAX)
            .expect_err("too many")
            .to_string();
        assert!(error.contains("10000 members"), "{error}");
    }
}

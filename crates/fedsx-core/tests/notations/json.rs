//! JSON: JSONTestSuite, and what I-JSON asks for beyond it.

use std::fs;
use std::path::PathBuf;

use fedsx_core::limits::INTEGER_MAX;
use fedsx_core::notation::{Notation, json, read};
use fedsx_core::value::{Map, Value};

/// What the suite wants accepted and I-JSON (RFC 7493, section 2.3) refuses.
const OUTSIDE_PROFILE: [(&str, &str); 2] = [
    ("y_object_duplicated_key.json", "duplicate keys"),
    ("y_object_duplicated_key_and_value.json", "duplicate keys"),
];

fn suite() -> Vec<(String, Vec<u8>)> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/jsontestsuite/test_parsing");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the suite is here")
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("a readable file"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn json_test_suite() {
    let (mut accepted, mut refused, mut free) = (0, 0, String::new());
    for (name, bytes) in suite() {
        let outcome = json::read(&bytes);
        let outside = OUTSIDE_PROFILE.iter().any(|(outside, _)| *outside == name);
        match (&name[..2], outside) {
            ("y_", false) => {
                outcome.expect(&name);
                accepted += 1;
            }
            ("y_", true) | ("n_", _) => {
                outcome.expect_err(&name);
                refused += 1;
            }
            _ => {
                let outcome = match outcome {
                    Ok(value) => format!("accepted as {value:?}"),
                    Err(error) => format!("refused: {error}"),
                };
                free += &format!("{name}\n    {outcome}\n");
            }
        }
    }
    assert_eq!((accepted, refused), (93, 190));
    insta::assert_snapshot!("json_test_suite_implementation_defined", free);
}

fn number(text: &str) -> Option<Value> {
    json::read(text.as_bytes()).ok()
}

#[test]
fn numbers_are_kept_exactly_or_refused() {
    for text in ["0", "-0", "0.0", "-0.0", "0e5", "1e-400", "-1e-400"] {
        assert_eq!(number(text), Some(Value::Int(0)), "{text}");
    }
    for text in ["1", "1.0", "1e0", "10e-1", "0.1e1"] {
        assert_eq!(number(text), Some(Value::Int(1)), "{text}");
    }
    for text in [
        "9007199254740991",
        "9007199254740991.0",
        "9.007199254740991e15",
    ] {
        assert_eq!(number(text), Some(Value::Int(INTEGER_MAX)), "{text}");
        assert_eq!(
            number(&format!("-{text}")),
            Some(Value::Int(-INTEGER_MAX)),
            "{text}"
        );
    }
    for text in ["1e21", "1000000000000000000000", "1000000000000000000000.0"] {
        assert_eq!(number(text), Some(Value::Double(1e21)), "{text}");
    }
    assert_eq!(number("0.1"), Some(Value::Double(0.1)));
    assert_eq!(
        number("4.35"),
        Some(Value::Double(4.35)),
        "read to the nearest double"
    );
    for text in [
        "9007199254740992",
        "9007199254740992.0",
        "9.1e15",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e20",
        "999999999999999868928",
        "1e309",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "0x1",
        "-",
    ] {
        assert_eq!(number(text), None, "{text}");
        assert_eq!(number(&format!("-{text}")), None, "-{text}");
    }
}

#[test]
fn refusals_name_the_place() {
    let long = format!("{{\"{0}\":1,\"{0}\":2}}", "k".repeat(1000));
    let pages: Vec<_> = [
        "",
        "[1,]",
        "{\"a\":1,\n \"a\":2}",
        "{\"a at line 9 column 9\":1,\"a at line 9 column 9\":1}",
        &long,
        "[9007199254740992]",
        "[1e400]",
        "[\"\\ud800\"]",
        "[\"\\udc00\\ud800\"]",
        "[\"a\tb\"]",
        "{1:2}",
        "{} {}",
        "nul",
        "[\"open",
    ]
    .iter()
    .map(|text| {
        let error = read(Notation::Json, text.as_bytes(), 10_000).expect_err(text);
        let shown: String = text.chars().take(60).collect();
        format!("{shown}\n    {error}")
    })
    .collect();
    insta::assert_snapshot!("json_refusals", pages.join("\n"));
    let error = json::read(b"[\n\"\xc3\xa9\xff\"]").expect_err("no UTF-8");
    assert_eq!(error.to_string(), "line 2, column 4: not UTF-8");
}

#[test]
fn json_for_people() {
    let mut map: Map = [
        ("b", Value::from(vec![1, 2])),
        ("a", Value::Map(Map::new())),
    ]
    .into();
    map.insert("c", Value::from(Vec::<Value>::new()));
    insta::assert_snapshot!(json::pretty(&Value::Map(map)), @r#"
    {
      "a": {},
      "b": [
        1,
        2
      ],
      "c": []
    }
    "#);
}

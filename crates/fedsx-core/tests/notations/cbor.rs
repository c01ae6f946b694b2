//! CBOR: RFC 8949's examples, its deterministic encoding, and what is refused.

use fedsx_core::notation::cbor::{read, write};
use fedsx_core::value::{Map, Value};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("hex digits"))
        .collect()
}

#[test]
fn the_examples_of_rfc_8949_appendix_a() {
    let text = |text: &str| Value::from(text);
    for (value, hex) in [
        (Value::Int(0), "00"),
        (Value::Int(23), "17"),
        (Value::Int(24), "1818"),
        (Value::Int(100), "1864"),
        (Value::Int(1_000), "1903e8"),
        (Value::Int(1_000_000), "1a000f4240"),
        (Value::Int(1_000_000_000_000), "1b000000e8d4a51000"),
        (Value::Int(-1), "20"),
        (Value::Int(-10), "29"),
        (Value::Int(-100), "3863"),
        (Value::Int(-1_000), "3903e7"),
        (Value::Double(1.1), "fb3ff199999999999a"),
        (Value::Double(1.5), "f93e00"),
        (Value::Double(3.402_823_466_385_288_6e38), "fa7f7fffff"),
        (Value::Double(1.0e300), "fb7e37e43c8800759c"),
        (Value::Double(5.960_464_477_539_063e-8), "f90001"),
        (Value::Double(0.000_061_035_156_25), "f90400"),
        (Value::Double(-4.1), "fbc010666666666666"),
        (Value::Bool(false), "f4"),
        (Value::Bool(true), "f5"),
        (Value::Nil, "f6"),
        (text(""), "60"),
        (text("IETF"), "6449455446"),
        (text("\"\\"), "62225c"),
        (text("\u{fc}"), "62c3bc"),
        (text("\u{10151}"), "64f0908591"),
        (Value::from(Vec::<i64>::new()), "80"),
        (Value::from(vec![1, 2, 3]), "83010203"),
        (
            Value::from((1..=25).collect::<Vec<i64>>()),
            "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        ),
        (Value::Map(Map::new()), "a0"),
        (Value::Map([("a", 1), ("b", 2)].into()), "a2616101616202"),
    ] {
        assert_eq!(write(&value), bytes(hex), "{value:?}");
        assert_eq!(read(&bytes(hex)), Ok(value));
    }
}

#[test]
fn keys_are_written_in_the_order_of_their_bytes() {
    let map: Map = [
        ("aa", 1),
        ("b", 2),
        ("\u{1f600}", 3),
        ("\u{fb33}", 4),
        ("", 5),
    ]
    .into();
    let expected = "a5 60 05  6162 02  626161 01  63efacb3 04  64f09f9880 03";
    assert_eq!(write(&Value::Map(map)), bytes(expected));
}

#[test]
fn longer_forms_and_other_orders_are_the_same_value() {
    for (hex, value) in [
        ("1800", Value::Int(0)),
        ("1b0000000000000001", Value::Int(1)),
        ("3b0000000000000000", Value::Int(-1)),
        ("f93c00", Value::Int(1)),
        ("f98000", Value::Int(0)),
        ("fb3ff0000000000000", Value::Int(1)),
        ("fb3ff8000000000000", Value::Double(1.5)),
        ("9800", Value::from(Vec::<i64>::new())),
        ("780161", Value::from("a")),
        ("a2616202616101", Value::Map([("a", 1), ("b", 2)].into())),
        ("1b001fffffffffffff", Value::Int((1 << 53) - 1)),
        ("3b001ffffffffffffe", Value::Int(1 - (1 << 53))),
        ("fb444b1ae4d6e2ef50", Value::Double(1e21)),
    ] {
        assert_eq!(read(&bytes(hex)), Ok(value), "{hex}");
    }
}

#[test]
fn what_is_refused_says_where() {
    let pages: Vec<_> = [
        ("", "nothing"),
        ("0000", "a second value"),
        ("18", "cut off in a head"),
        ("f9 3c", "cut off in a half"),
        ("fb 00", "cut off in a double"),
        ("62 61", "cut off in a string"),
        ("82 01", "cut off in an array"),
        ("9b ffffffffffffffff", "an array of 2^64-1"),
        ("9a 00002710", "10,000 items promised"),
        ("bb 0000000000002711", "10,001 members promised"),
        ("b9 0002 6161 01", "more members than bytes"),
        ("7b 7fffffffffffffff 61", "a string of 2^63-1"),
        ("9f 01 ff", "an indefinite array"),
        ("bf ff", "an indefinite map"),
        ("7f 6161 ff", "an indefinite string"),
        ("a1 7f 6161 ff 01", "an indefinite key"),
        ("41 00", "bytes"),
        ("5f ff", "indefinite bytes"),
        ("c0 60", "a tag"),
        ("c2 49 010000000000000000", "a big number"),
        ("d9 d9f7 00", "the tag for CBOR"),
        ("f7", "undefined"),
        ("f0", "a simple value"),
        ("f8 ff", "a simple value of two bytes"),
        ("ff", "a break"),
        ("1c", "reserved"),
        ("a1 01 02", "a number as a key"),
        ("a2 6161 01 6161 02", "a key twice"),
        ("62 c328", "no UTF-8"),
        ("63 eda080", "a surrogate"),
        ("f9 7e00", "NaN"),
        ("f9 7c00", "infinity"),
        ("fa ff800000", "minus infinity"),
        ("fb 7ff8000000000000", "NaN"),
        ("1b 0020000000000000", "2^53"),
        ("1b ffffffffffffffff", "2^64-1"),
        ("3b 001fffffffffffff", "-2^53"),
        ("3b ffffffffffffffff", "-2^64"),
        ("fb 4340000000000000", "2^53 as a double"),
    ]
    .iter()
    .map(|(hex, what)| {
        let error = read(&bytes(hex)).expect_err(what);
        format!("{hex:<24} {what}\n    {error}")
    })
    .collect();
    insta::assert_snapshot!("cbor_refusals", pages.join("\n"));
}

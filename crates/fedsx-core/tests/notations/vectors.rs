//! RFC 8785's own test data, and numbers by the ten thousand.

use fedsx_core::canonical::jcs;
use fedsx_core::cid::Digest;
use fedsx_core::notation::json;
use fedsx_core::value::{ProfileError, Value, number_from_f64};
use fedsx_sx::literal::push_double;

macro_rules! vector {
    ($name:literal) => {
        (
            $name,
            &include_bytes!(concat!("../vectors/rfc8785/input/", $name, ".json"))[..],
            &include_bytes!(concat!("../vectors/rfc8785/output/", $name, ".json"))[..],
            include_str!(concat!("../vectors/rfc8785/outhex/", $name, ".txt")),
        )
    };
}

#[test]
fn rfc_8785_documents() {
    for (name, input, output, hex) in [
        vector!("arrays"),
        vector!("french"),
        vector!("structures"),
        vector!("unicode"),
        vector!("values"),
        vector!("weird"),
    ] {
        let bytes = jcs(&json::read(input).expect(name));
        assert_eq!(bytes, output, "{name}");
        let expected: Vec<u8> = hex
            .split_ascii_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits"))
            .collect();
        assert_eq!(bytes, expected, "{name}");
    }
}

#[test]
fn rfc_8785_numbers() {
    let file = include_str!("../vectors/rfc8785/es6numbers-10000.txt");
    assert_eq!(
        Digest::of(file.as_bytes()).to_string(),
        "b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892"
    );
    let mut refused = 0;
    for line in file.lines() {
        let (bits, expected) = line.split_once(',').expect("bits and a number");
        let bits = u64::from_str_radix(bits, 16).expect("hex digits");
        let number = f64::from_bits(bits);
        let mut spelt = String::new();
        push_double(&mut spelt, number);
        assert_eq!(spelt, expected);
        match number_from_f64(number) {
            Ok(value) => {
                assert_eq!(jcs(&value), expected.as_bytes());
                assert_eq!(json::read(expected.as_bytes()), Ok(value));
            }
            Err(error) => {
                assert_eq!(error, ProfileError::IntegerRange, "{expected}");
                json::read(expected.as_bytes()).expect_err(expected);
                refused += 1;
            }
        }
    }
    assert!((1..1_000).contains(&refused), "{refused}");
}

#[test]
fn known_answer_of_fep_8b32() {
    let signed = include_bytes!("../vectors/fep/fep-8b32-signed.json");
    let Ok(Value::Map(doc)) = json::read(signed) else {
        panic!("the example is an object")
    };
    assert_eq!(
        fedsx_core::cid::cid(&doc).to_string(),
        "baga6yaqseadzh2gzpyw6jomjwkznpjp25dhzihyqfib4b3fladyd5krdgddfa"
    );
}

//! What holds of every document.

use fedsx_core::canonical::{document_bytes, jcs, jcs_map};
use fedsx_core::cid::{Cid, cid};
use fedsx_core::notation::{Notation, json, read, read_document, write};
use fedsx_core::value::{Value, check_document, to_document};
use fedsx_sx::layout;
use proptest::prelude::*;

use crate::arbitrary::{document, value};

const MAX: usize = 1 << 20;

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_value(value in value()) {
        for notation in Notation::ALL {
            let bytes = write(notation, &value);
            let again = read(notation, &bytes, MAX);
            prop_assert_eq!(again.as_ref(), Ok(&value), "{}", notation);
            prop_assert_eq!(write(notation, &value), bytes);
        }
    }

    #[test]
    fn the_layouts_for_people_read_as_the_same_value(value in value()) {
        let from_json = read(Notation::Json, json::pretty(&value).as_bytes(), MAX);
        prop_assert_eq!(from_json.as_ref(), Ok(&value));
        let from_sx = read(Notation::Sx, layout::pretty(&value).as_bytes(), MAX);
        prop_assert_eq!(from_sx.as_ref(), Ok(&value));
    }

    #[test]
    fn the_notations_of_a_document_have_one_cid(doc in document()) {
        let expected = cid(&doc);
        let value = Value::Map(doc.clone());
        for notation in Notation::ALL {
            let again = read_document(notation, &write(notation, &value), MAX).expect("just written");
            prop_assert_eq!(cid(&again), expected);
        }
        let mut vouched = doc.clone();
        vouched.insert("proof", "anything");
        vouched.insert("signature", "anything");
        prop_assert_eq!(cid(&vouched), expected);
        prop_assert_eq!(expected.to_string().parse::<Cid>(), Ok(expected));
    }

    #[test]
    fn the_canonical_form_is_idempotent(doc in document()) {
        let bytes = jcs_map(&doc);
        let again = read(Notation::Json, &bytes, MAX).expect("just written");
        prop_assert_eq!(jcs(&again), bytes);
        let content = document_bytes(&doc);
        let again = read_document(Notation::Json, &content, MAX).expect("just written");
        prop_assert_eq!(document_bytes(&again), content);
    }

    #[test]
    fn the_canonical_form_is_that_of_an_independent_encoder(value in value()) {
        let bytes = jcs(&value);
        let parsed: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        let expected = serde_json_canonicalizer::to_vec(&parsed).expect("it is finite");
        prop_assert_eq!(String::from_utf8(bytes), String::from_utf8(expected));
    }

    #[test]
    fn what_was_read_is_a_document(value in value()) {
        prop_assert_eq!(check_document(&value), Ok(()));
        prop_assert_eq!(to_document(&value), Ok(value));
    }
}

//! Documents of any shape the profile allows.

use fedsx_core::limits::INTEGER_MAX;
use fedsx_core::value::{List, Map, Value, number_from_f64, number_from_i64};
use proptest::prelude::*;

/// A document value: nested, with keys and numbers that are easy to get wrong.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    tree(5, 32)
}

/// A document: an object at the root.
pub(crate) fn document() -> impl Strategy<Value = Map> {
    map(tree(3, 8))
}

fn tree(depth: u32, size: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, size, 6, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..8)
            .prop_map(|items| Value::List(items.into_iter().collect::<List>()));
        prop_oneof![list, map(inner).prop_map(Value::Map)]
    })
}

fn map(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map> {
    let members = prop::collection::vec((key(), inner), 0..6);
    (prop::option::of(kind()), members).prop_map(|(kind, members)| {
        let mut map: Map = members.into_iter().collect();
        if let Some(kind) = kind {
            map.insert("type", kind);
        }
        map
    })
}

/// What `type` may hold: heads, names that only look like heads, anything.
fn kind() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[A-Za-z][A-Za-z0-9_-]{0,8}".prop_map(Value::from),
        1 => "nil|true|false|as:Note|9a|-|Not e|é".prop_map(Value::from),
        1 => text().prop_map(Value::from),
        1 => Just(Value::from(vec!["Note", "Article"])),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z][A-Za-z]{0,8}",
        1 => "@context|object|proof|signature|id|nil|true|:a|a b|-1|1|toot:x",
        2 => text(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '\0',
        '\u{8}',
        '\t',
        '\n',
        '\u{c}',
        '\r',
        '\u{1f}',
        '"',
        '\\',
        '/',
        ';',
        ')',
        '\u{7f}',
        '\u{80}',
        '\u{2028}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fb33}',
        '\u{fffe}',
        '\u{ffff}',
        '\u{10000}',
        '\u{1f600}',
        '\u{10ffff}',
    ]);
    let characters = prop_oneof![2 => prop::char::range('a', 'z'), 2 => odd, 1 => any::<char>()];
    prop_oneof![
        9 => prop::collection::vec(characters, 0..8).prop_map(String::from_iter),
        1 => "[a-z]{20,300}",
    ]
}

fn number() -> impl Strategy<Value = Value> {
    let integer = prop_oneof![
        any::<i64>(),
        -300_i64..300,
        prop::sample::select(vec![INTEGER_MAX, -INTEGER_MAX, INTEGER_MAX - 1, 0]),
        (0_u32..53, any::<bool>()).prop_map(|(bit, minus)| (1 << bit) * if minus { -1 } else { 1 }),
    ];
    let double = prop_oneof![
        any::<f64>(),
        any::<f32>().prop_map(f64::from),
        -1e3..1e3,
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![
            1e21,
            -1e21,
            1e-7,
            1e-6,
            5e-324,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            0.1,
            65_504.5,
            5.960_464_477_539_063e-8,
            3.402_823_466_385_288_6e38,
        ]),
    ];
    // What the profile refuses is tested elsewhere.
    prop_oneof![
        integer.prop_map(|number| number_from_i64(number).unwrap_or_default()),
        double.prop_map(|number| number_from_f64(number).unwrap_or_default()),
    ]
}

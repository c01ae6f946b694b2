//! What the reader takes, what it refuses and how it says so.

use fedsx_sx::layout;
use fedsx_sx::print::print_form;
use fedsx_sx::read::{DEPTH, FormKind, read_all, read_one};
use proptest::prelude::*;

fn kind(source: &str) -> FormKind {
    read_one(source, DEPTH).expect(source).kind
}

#[test]
fn numbers_are_integers_when_they_can_be() {
    for (source, expected) in [
        ("0", FormKind::Int(0)),
        ("-0", FormKind::Int(0)),
        ("1.0", FormKind::Int(1)),
        ("1e0", FormKind::Int(1)),
        ("-0.0e5", FormKind::Int(0)),
        ("9007199254740991.0", FormKind::Int((1 << 53) - 1)),
        ("9223372036854775807", FormKind::Int(i64::MAX)),
        ("-9223372036854775808", FormKind::Int(i64::MIN)),
        ("1.5", FormKind::Double(1.5)),
        ("1e21", FormKind::Double(1e21)),
        ("1000000000000000000000", FormKind::Double(1e21)),
        ("5e-324", FormKind::Double(5e-324)),
        ("1e-400", FormKind::Int(0)),
    ] {
        assert_eq!(kind(source), expected, "{source}");
    }
    for source in [
        "01",
        "1.",
        ".5",
        "-.5",
        "+1",
        "1e",
        "1e+",
        "1x",
        "0x1",
        "1-2",
        "1_000",
        "1e400",
        "9.1e15",
        "1.5e20",
        "9223372036854775808",
        "1..2",
        "-01",
        "--1e",
        "1,2",
    ] {
        if source != "--1e" {
            read_one(source, DEPTH).expect_err(source);
        }
    }
}

#[test]
fn words_are_keywords_symbols_or_constants() {
    assert_eq!(kind("nil"), FormKind::Nil);
    assert_eq!(kind("true"), FormKind::Bool(true));
    assert_eq!(kind(":nil"), FormKind::Keyword("nil".into()));
    assert_eq!(kind(":@context"), FormKind::Keyword("@context".into()));
    assert_eq!(kind(":\"\""), FormKind::Keyword("".into()));
    assert_eq!(
        kind(":\"odd \\u006bey\""),
        FormKind::Keyword("odd key".into())
    );
    for symbol in [
        "-",
        "+",
        "<=",
        "nil?",
        "&rest",
        "string->x",
        "a.b",
        "-x",
        "...",
    ] {
        assert_eq!(kind(symbol), FormKind::Symbol(symbol.into()));
    }
}

#[test]
fn strings_are_those_of_json() {
    assert_eq!(
        kind(r#""\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00""#),
        FormKind::Str("\"\\/\u{8}\u{c}\n\r\téé😀".into())
    );
    assert_eq!(
        kind("\"\u{7f}\u{2028}\""),
        FormKind::Str("\u{7f}\u{2028}".into())
    );
}

#[test]
fn places_count_characters_and_bytes() {
    let source = "; é\n(\"é\" [x\n  y])";
    let form = read_one(source, DEPTH).expect(source);
    assert_eq!((form.span.line, form.span.column), (2, 1));
    assert_eq!(form.span.end as usize, source.len());
    let FormKind::List(children) = form.kind else {
        panic!("a list")
    };
    let FormKind::Vector(inner) = &children[1].kind else {
        panic!("a vector")
    };
    assert_eq!((inner[0].span.line, inner[0].span.column), (2, 7));
    assert_eq!((inner[1].span.line, inner[1].span.column), (3, 3));
    assert_eq!(
        &source[inner[1].span.offset as usize..inner[1].span.end as usize],
        "y"
    );
}

#[test]
fn nesting_is_bounded_without_recursion() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    read_one(&deep(64), 64).expect("as deep as allowed");
    let error = read_one(&deep(65), 64).expect_err("one level too deep");
    assert_eq!((error.line, error.column, error.offset), (1, 65, 64));
    let bomb = "(".repeat(1 << 20);
    assert!(
        !read_all(&bomb, usize::MAX)
            .expect_err("a bomb")
            .is_unfinished()
    );
}

#[test]
fn what_more_text_could_complete_is_told_apart() {
    for source in ["(", "[1 2", "{:a", "(f \"", "\"a\\", "{:a (g) ; end"] {
        assert!(
            read_all(source, DEPTH).expect_err(source).is_unfinished(),
            "{source}"
        );
    }
    for source in [")", "(]", "{:a}", "01", "\"\\x\""] {
        assert!(
            !read_all(source, DEPTH).expect_err(source).is_unfinished(),
            "{source}"
        );
    }
}

#[test]
fn errors_show_the_place() {
    let pages: String = [
        "",
        "  ; nothing but a comment\n",
        "(Note :content \"hi\"",
        "(Note\n  :content \"hi]\n",
        "(Note\n  :tags [\"a\" \"b\")",
        "1)",
        "1 2",
        "{:a 1 :b}",
        "(f 'x)",
        "(f é)",
        "(f #{1})",
        "(: 1)",
        ":",
        "\"a\"b",
        "\"tab\there\"",
        r#""\x""#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\u+123""#,
        r#""\u12"#,
        "01",
        "+1",
        "1e400",
        "9007199254740993.0",
        "123456789012345678901",
        "\u{feff}1",
    ]
    .iter()
    .map(|source| {
        let error = read_one(source, DEPTH).expect_err(source);
        format!("{}\n", error.page(source))
    })
    .collect();
    insta::assert_snapshot!("errors_show_the_place", pages);
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let source = format!("({} é", "x ".repeat(20_000));
    let error = read_one(&source, DEPTH).expect_err("unknown character");
    assert!(error.page(&source).len() < 400);
}

const SAMPLE: &str = r#";; Endorse: somebody vouches for something.
(DefineActivity   ; a comment beside the head
 :name "Endorse" :doc "Says that its actor stands by an object."
 ;; the schema looks at two fields only
 :schema (fn (act) (and (string? (get act :object)) (string? (get act :kind)) (not (empty? (get act :kind)))))
 :odd {:a 1 :"b c" [1 2.5 nil true]} :long ["https://www.w3.org/ns/activitystreams" "https://w3id.org/security/data-integrity/v1"]
 :fold (fn (state act env)
  (let ((object (get act :object)) (kind (get act :kind)))
    (cond ((= kind "like") (update state object (fn (n) (inc (or n 0))))) (else state))))
 ; the end
)


(second)
(third) ; trailing
"#;

#[test]
fn the_layout_for_people() {
    let pretty = layout::format(SAMPLE, DEPTH).expect("it reads");
    insta::assert_snapshot!("the_layout_for_people", pretty);
    assert_eq!(layout::format(&pretty, DEPTH).expect("it reads"), pretty);
    assert_eq!(canonical(&pretty), canonical(SAMPLE));
}

fn canonical(source: &str) -> Vec<String> {
    let forms = read_all(source, DEPTH).expect(source);
    forms.iter().map(print_form).collect()
}

/// Texts that read: words of all kinds, nested, with comments and any white space between.
fn source() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z?!<=>*/+-][a-z-]{0,6}",
        ":[@a-zA-Z0-9_-]{1,12}",
        any::<i64>().prop_map(|n| n.to_string()),
        "\"[a-z \\(\\);é😀]{0,30}\"",
        Just(r#":"odd \" key""#.to_owned()),
        "(nil|true|1\\.50|1e21|\"\\\\n\")",
    ];
    let gap = || prop_oneof![4 => Just(" "), 1 => Just("\n"), 1 => Just(" ; note (\n"), 1 => Just("\n\n;; note\n")];
    word.prop_recursive(5, 60, 8, move |inner| {
        let items = prop::collection::vec((inner, gap()), 0..8).prop_map(|items| {
            items
                .into_iter()
                .map(|(item, gap)| item + gap)
                .collect::<String>()
        });
        prop_oneof![
            3 => items.clone().prop_map(|items| format!("({items})")),
            1 => items.clone().prop_map(|items| format!("[{items}]")),
            1 => (items, gap()).prop_map(|(items, gap)| format!("{{:k {gap}({items}) :l 1}}")),
        ]
    })
}

proptest! {
    #[test]
    fn printing_is_a_fixed_point_of_reading(source in source()) {
        let once = canonical(&source);
        let again: Vec<_> = once.iter().flat_map(|text| canonical(text)).collect();
        prop_assert_eq!(once, again);
    }

    #[test]
    fn the_layout_changes_white_space_only(source in source()) {
        let pretty = layout::format(&source, DEPTH).expect("it reads");
        prop_assert_eq!(canonical(&pretty), canonical(&source));
        let comments = |text: &str| text.matches("note").count();
        prop_assert_eq!(comments(&pretty), comments(&source));
        prop_assert_eq!(&layout::format(&pretty, DEPTH).expect("it reads"), &pretty);
    }

    #[test]
    fn no_text_panics(source in "\\PC{0,60}|[\\[\\](){}:\";\\\\u0-9a-f+.eE\n -]{0,60}") {
        if let Err(error) = read_all(&source, 8) {
            prop_assert!(error.offset as usize <= source.len());
            prop_assert!(source.is_char_boundary(error.offset as usize));
            prop_assert!(error.page(&source).contains(error.expected));
        }
        if let Ok(pretty) = layout::format(&source, 8) {
            prop_assert_eq!(canonical(&pretty), canonical(&source));
        }
    }
}

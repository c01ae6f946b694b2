//! The three forms of lists and single answers.

use fedsx_admin::proto;

use super::*;

fn entry(seq: u64, document: &str) -> proto::Entry {
    proto::Entry {
        cid: "baga6yaqseadzh2gzpyw6jomjwkznpjp25dhzihyqfib4b3fladyd5krdgddfa".to_owned(),
        seq,
        offset: seq + 40,
        state: "stored".to_owned(),
        document_json: document.as_bytes().to_vec(),
        received_ms: 1_767_268_803_000,
        places: vec![proto::Place {
            actor: "bob".into(),
            side: proto::Side::Inbox.into(),
            seq,
        }],
        ..Default::default()
    }
}

fn entries() -> Vec<proto::Entry> {
    vec![
        entry(
            3,
            r#"{"actor":"http://127.0.0.1:8080/actors/alice","type":"Create","object":{"type":"Note",
            "content":"<p>Hello <b>bob</b> &amp; all\u001b[31m, this is a text that goes on and on, and on</p><p>x"}}"#,
        ),
        entry(
            2,
            r#"{"actor":"https://social.example/@carol","type":"Follow","object":"http://127.0.0.1:8080/actors/bob"}"#,
        ),
        entry(
            1,
            r#"{"actor":"https://social.example/users/dan","type":"Like","object":{"id":"x:y"},"n":1.5}"#,
        ),
    ]
}

fn listed(form: Form, entries: &[proto::Entry]) -> String {
    let mut bytes = Vec::new();
    let mut list = Output {
        form,
        out: &mut bytes,
    }
    .list(COLUMNS);
    for entry in entries {
        let value = entry_value(entry).expect("a sound document");
        list.push(&value, || entry_row(entry))
            .expect("a Vec takes all");
    }
    list.finish("nothing there").expect("a Vec takes all");
    String::from_utf8(bytes)
        .expect("text")
        .replace('\x1b', "ESC")
}

#[test]
fn lists() {
    for form in [Form::Table, Form::Json, Form::Sx] {
        insta::assert_snapshot!(format!("list_{form:?}"), listed(form, &entries()));
    }
}

#[test]
fn a_list_in_json_is_an_array_with_nested_documents() {
    let array: serde_json::Value =
        serde_json::from_str(&listed(Form::Json, &entries())).expect("JSON");
    assert_eq!(array[1]["document"]["type"], "Follow");
    assert_eq!(array[0]["offset"], 43);
    assert_eq!(listed(Form::Json, &[]), "[]\n");
    assert_eq!(listed(Form::Table, &[]), "nothing there\n");
}

#[test]
fn single_answers() {
    let published = proto::Published {
        id: "http://127.0.0.1:8080/actors/alice/activities/1".into(),
        cid: "baga".into(),
        seq: 1,
        offset: u64::MAX,
    };
    let written = [Form::Table, Form::Json, Form::Sx].map(|form| {
        let mut bytes = Vec::new();
        let value = published_value(&published);
        Output {
            form,
            out: &mut bytes,
        }
        .one(&value, || "said\n".to_owned())
        .expect("a Vec takes all");
        String::from_utf8(bytes).expect("text")
    });
    insta::assert_snapshot!(written.concat());
}

#[test]
fn lines_of_a_stream() {
    let mut bytes = Vec::new();
    for form in [Form::Table, Form::Json] {
        let mut output = Output {
            form,
            out: &mut bytes,
        };
        for entry in entries() {
            let value = entry_value(&entry).expect("a sound document");
            output
                .line(&value, || tail_line(&entry))
                .expect("a Vec takes all");
        }
    }
    insta::assert_snapshot!(String::from_utf8(bytes).expect("text"));
}

#[test]
fn words_for_people() {
    assert_eq!(short_cid("baga6yaqse12345678"), "…12345678");
    assert_eq!(short_cid("short"), "short");
    assert_eq!(handle("https://a.example/users/bob"), "bob@a.example");
    assert_eq!(handle("https://a.example/@bob/"), "bob@a.example");
    assert_eq!(handle("https://a.example/"), "https://a.example/");
    assert_eq!(handle("no url\n"), "no url");
    assert_eq!(about("https://a.example/users/bob"), "bob@a.example");
    assert_eq!(about("https://a.example/@bob"), "bob@a.example");
    let status = "https://a.example/users/bob/statuses/1";
    assert_eq!(about(status), "a.example/users/bob/statuses/1");
    assert_eq!(about("https://a.example/x"), "a.example/x");
    assert_eq!(clock(1_767_268_803_000), "2026-01-01 12:00:03");
    assert_eq!(excerpt("a &amp;lt; b<br>c", 20), "a &lt; b c");
    assert_eq!(excerpt("<p>one</p><p>two", 5), "one t…");
}

//! Every way in which a file can be another than what was sealed.

use fedsx_core::export::{End, KeyKind, SecretKey};

use super::*;

fn record(bytes: usize) -> Record {
    Record::Key(SecretKey {
        id: "https://a.example/actors/alice#ed25519-1".to_owned(),
        kind: KeyKind::Ed25519,
        secret: vec![7; bytes],
    })
}

/// Three chunks.
fn records() -> Vec<Record> {
    vec![
        record(32),
        record(100_000),
        record(60_000),
        Record::End(End::default()),
    ]
}

fn sealed(records: &[Record]) -> Vec<u8> {
    let mut sealing = Sealing::new(b"open sesame").expect("random bytes");
    let mut file = Vec::new();
    for record in records {
        sealing.push(record);
        file.extend(sealing.take());
    }
    file.extend(sealing.finish());
    file
}

fn opened(file: &[u8], passphrase: &[u8], step: usize) -> Result<Vec<Record>, OpenError> {
    let mut opening = Opening::new(passphrase);
    let mut records = Vec::new();
    let mut each = |record, _: &str| {
        records.push(record);
        Ok::<_, OpenError>(())
    };
    for part in file.chunks(step) {
        opening.feed(part, &mut each)?;
    }
    opening.finish(&mut each)?;
    Ok(records)
}

fn refused(file: &[u8]) -> OpenError {
    opened(file, b"open sesame", 50_000).expect_err("another file")
}

#[test]
fn what_was_sealed_is_opened_however_it_comes() {
    let file = sealed(&records());
    for step in [1_000, SEALED, 1 << 20] {
        assert_eq!(opened(&file, b"open sesame", step), Ok(records()));
    }
    assert_eq!(opened(&file, b"open", 9_999), Err(OpenError::Passphrase));
}

#[test]
fn a_full_last_chunk_is_the_last() {
    // A record whose length is that of a chunk: the head of the record and of the length included.
    let head = minicbor::to_vec(record(CHUNK - 200))
        .expect("written")
        .len()
        + 4
        - (CHUNK - 200);
    let file = sealed(&[record(CHUNK - head)]);
    assert_eq!(file.len(), HEAD + SEALED);
    assert_eq!(
        opened(&file, b"open sesame", 777),
        Ok(vec![record(CHUNK - head)])
    );
}

#[test]
fn whatever_is_changed_is_named_by_its_place() {
    let file = sealed(&records());
    let flipped = |at: usize| {
        let mut file = file.clone();
        file[at] ^= 1;
        refused(&file).to_string()
    };
    let second = HEAD + SEALED;
    let last = second + SEALED;
    let places = [
        0,
        8,
        11,
        12,
        16,
        48,
        71,
        HEAD,
        second - 1,
        second,
        last,
        file.len() - 1,
    ];
    let mut page: Vec<String> = places
        .iter()
        .map(|&at| format!("{at}: {}", flipped(at)))
        .collect();
    for cut in [
        0,
        5,
        HEAD - 1,
        HEAD,
        HEAD + 1,
        second,
        second + 9,
        last,
        file.len() - 1,
    ] {
        page.push(format!("cut at {cut}: {}", refused(&file[..cut])));
    }
    let more = [&file[..], &[0]].concat();
    page.push(format!("one byte more: {}", refused(&more)));
    let swapped = [
        &file[..HEAD],
        &file[second..last],
        &file[HEAD..second],
        &file[last..],
    ]
    .concat();
    page.push(format!("swapped: {}", refused(&swapped)));
    let left_out = [&file[..HEAD], &file[second..]].concat();
    page.push(format!("left out: {}", refused(&left_out)));
    insta::assert_snapshot!(page.join("\n"));
}

#[test]
fn a_newer_format_is_told() {
    let mut file = sealed(&records());
    file[9] = 2;
    let sum = checksum(&file[..64]);
    file[64..72].copy_from_slice(&sum);
    assert_eq!(refused(&file), OpenError::Newer(2));
}

//! The bytes on disk and the reports of recovery, as they are: a change here is a change of format or of
//! what an operator reads.

use std::fmt::Write as _;
use std::sync::Arc;

use fedsx_store::journal::{Journal, JournalOptions, Recovered};

use fedsx_store::simulation::CrashDisk;

const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 4 << 10,
    step_bytes: 512,
    fixed_marker: Some(*b"<marker>"),
};

const SEGMENT: &str = "00000001.seg";

/// Two synced batches, the second of two entries, then one that is not synced.
fn written() -> CrashDisk {
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), OPTIONS, None).expect("new");
    journal
        .write(&[("header 1", "payload one")])
        .expect("written");
    journal.sync().expect("synced");
    let two = [("header 2", "payload two"), ("header 3", "")];
    journal.write(&two).expect("written");
    journal.sync().expect("synced");
    journal
        .write(&[("header 4", "payload four")])
        .expect("written");
    disk
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate() {
        write!(text, "{:04x} ", row * 16).expect("a string takes it");
        for byte in bytes {
            write!(text, " {byte:02x}").expect("a string takes it");
        }
        let printable = |&byte: &u8| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        };
        let ascii: String = bytes.iter().map(printable).collect();
        writeln!(text, "{:1$}{ascii}", "", 2 + 3 * (16 - bytes.len())).expect("a string takes it");
    }
    text
}

#[test]
fn a_segment_in_hex() {
    let bytes = written().contents(SEGMENT);
    let end = bytes.iter().rposition(|&byte| byte != 0).expect("written") + 1;
    insta::assert_snapshot!(hex(&bytes[..end]));
}

fn opened(disk: CrashDisk) -> String {
    match Journal::open(Arc::new(disk), OPTIONS, None) {
        Ok((
            _,
            Recovered {
                cut,
                last_offset,
                entries_checked,
                discarded_segment,
            },
        )) => format!(
            "last offset {last_offset}, {entries_checked} entries checked, \
             discarded {discarded_segment:?}, cut {cut:#?}"
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn recovery_reports() {
    let mut report = String::new();
    let mut tell = |what: &str, disk: CrashDisk| {
        write!(report, "{what}:\n{}\n\n", opened(disk)).expect("a string takes it");
    };
    tell("untouched", written());
    let flip = |position: usize| {
        let disk = written();
        disk.tamper(SEGMENT, |bytes| bytes[position] ^= 1);
        disk
    };
    let find = |text: &str| {
        let bytes = written().contents(SEGMENT);
        let mut windows = bytes.windows(text.len());
        windows
            .position(|window| window == text.as_bytes())
            .expect("there")
    };
    tell("the unsynced payload is bad", flip(find("payload four")));
    tell("the unsynced header is bad", flip(find("header 4")));
    tell("a synced payload is bad", flip(find("payload two")));
    tell("a synced header is bad", flip(find("header 1")));
    tell("the segment header is bad", flip(9));
    let disk = written();
    disk.tamper(SEGMENT, |bytes| bytes.truncate(find("payload four") + 3));
    tell("the file ends within the unsynced batch", disk);
    let disk = written();
    disk.tamper(SEGMENT, |bytes| bytes.truncate(find("payload two") + 3));
    tell("the file ends within the last synced batch", disk);
    let disk = written();
    disk.tamper(SEGMENT, |bytes| {
        let last = find("header 4") - 32 - 48;
        bytes[last..].fill(0);
        bytes[last + 60..last + 64].copy_from_slice(b"lost");
    });
    tell(
        "the unsynced batch lost all but a few bytes behind it",
        disk,
    );
    insta::assert_snapshot!(report);
}

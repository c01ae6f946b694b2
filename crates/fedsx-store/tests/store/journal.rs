//! The journal on a real directory: what is written is read back, across segments and openings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fedsx_store::journal::{
    Bad, Directory, Files, Journal, JournalError, JournalOptions, JournalReader, Place,
};

const SMALL: JournalOptions = JournalOptions {
    segment_bytes: 4 << 10,
    step_bytes: 1 << 10,
    fixed_marker: None,
};

fn directory(dir: &tempfile::TempDir) -> Arc<dyn Files> {
    Arc::new(
        Directory::open(dir.path().join("journal")).expect("a temporary directory is writable"),
    )
}

fn entry(number: u64) -> (String, String) {
    let size = usize::try_from(number * 37 % 500).expect("small");
    (
        format!("header {number}"),
        format!("{number} ").repeat(size / 4 + 1),
    )
}

fn write(journal: &mut Journal, count: u64) -> Vec<Place> {
    let first = journal.next_offset();
    let entries: Vec<_> = (first..first + count).map(entry).collect();
    journal.write(&entries).expect("written")
}

#[test]
fn what_is_written_is_read_back_across_segments_and_openings() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut places = Vec::new();
    for round in 0..4 {
        let watermark = places.last().map(|&place| (places.len() as u64, place));
        let (mut journal, recovered) =
            Journal::open(directory(&dir), SMALL, watermark).expect("opened");
        assert_eq!(recovered.last_offset, places.len() as u64);
        assert_eq!(recovered.cut, None);
        for count in 1..8 {
            places.extend(write(&mut journal, count));
            journal.sync().expect("synced");
        }
        if round % 2 == 0 {
            journal.attest().expect("attested");
        }
        let reader = journal.reader();
        for (offset, &place) in (1..).zip(&places) {
            let frame = reader.read(place).expect("read");
            let (header, payload) = entry(offset);
            assert_eq!(frame.offset, offset);
            assert_eq!(frame.header, header.as_bytes());
            assert_eq!(frame.payload, payload.as_bytes());
        }
        for from in [0, 1, places.len() / 2, places.len()] {
            let start = from
                .checked_sub(1)
                .map(|index| (from as u64, places[index]));
            let scanned: Vec<_> = reader
                .scan(start)
                .expect("scanned")
                .map(|scanned| scanned.expect("whole"))
                .collect();
            let found: Vec<_> = scanned.iter().map(|scanned| scanned.place).collect();
            assert_eq!(found, places[from..]);
        }
    }
    assert!(places.last().expect("entries").segment > 3);
}

#[test]
fn a_reader_of_the_live_journal_scans_what_is_durable() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    write(&mut journal, 2);
    journal.sync().expect("synced");
    write(&mut journal, 3);
    let mut scan = journal.reader().scan(None).expect("scanned");
    assert_eq!(scan.by_ref().count(), 2);
    assert_eq!(scan.ended().expect("ended").last_offset, 2);

    let files = Directory::read_only(dir.path().join("journal")).expect("there");
    let mut scan = JournalReader::open_read_only(Arc::new(files))
        .scan(None)
        .expect("scanned");
    assert_eq!(scan.by_ref().count(), 5);
    assert_eq!(scan.ended().expect("ended").last_offset, 5);
}

#[test]
fn a_batch_that_no_segment_takes_is_refused_and_the_next_is_taken() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    let refused = journal.write(&[("h", vec![0; 5_000])]);
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })));
    write(&mut journal, 1);
    journal.sync().expect("synced");
    assert_eq!(journal.durable_offset(), 1);
}

#[test]
fn a_place_that_holds_no_entry_is_damage() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    let places = write(&mut journal, 2);
    let reader = journal.reader();
    for position in 0..places[0].position {
        let place = Place {
            segment: 1,
            position,
        };
        assert!(
            matches!(reader.read(place), Err(JournalError::Damaged(_))),
            "{position}"
        );
    }
    let missing = reader.read(Place {
        segment: 2,
        position: 0,
    });
    assert!(matches!(
        missing,
        Err(JournalError::MissingSegment { segment: 2 })
    ));
    let opened = Journal::open(directory(&dir), SMALL, Some((3, places[1])));
    let Err(JournalError::Damaged(damage)) = opened else {
        panic!("a watermark that the journal doesn't hold: {opened:?}");
    };
    assert_eq!((damage.offset, damage.what), (3, Bad::FrameHeader));
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    for _ in 0..40 {
        write(&mut journal, 2);
    }
    journal.attest().expect("attested");
    drop(journal);
    directory(&dir).remove("00000002.seg").expect("removed");
    let opened = Journal::open(directory(&dir), SMALL, None);
    assert!(
        matches!(opened, Err(JournalError::MissingSegment { segment: 2 })),
        "{opened:?}"
    );
}

#[test]
fn a_read_only_scan_beside_the_writer_finds_no_damage() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..400 {
                write(&mut journal, round % 5 + 1);
                journal.sync().expect("synced");
                if round % 7 == 0 {
                    journal.attest().expect("attested");
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut seen = 0;
        loop {
            let was_done = done.load(Ordering::Acquire);
            let files = Directory::read_only(dir.path().join("journal")).expect("there");
            let reader = JournalReader::open_read_only(Arc::new(files));
            let mut scan = reader.scan(None).expect("scanned");
            for (offset, scanned) in (1..).zip(scan.by_ref()) {
                assert_eq!(scanned.expect("whole").frame.offset, offset);
            }
            let ended = scan.ended().expect("ended");
            assert!(ended.last_offset >= seen, "{ended:?} after {seen}");
            seen = ended.last_offset;
            if was_done {
                assert_eq!((seen, ended.torn), (1_200, None));
                break;
            }
        }
    });
}

#[test]
fn a_read_only_scan_tells_of_a_torn_tail_and_leaves_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    write(&mut journal, 2);
    journal.sync().expect("synced");
    let torn = write(&mut journal, 2)[0];
    drop(journal);
    let path = dir.path().join("journal/00000001.seg");
    let mut bytes = std::fs::read(&path).expect("there");
    bytes[torn.position as usize + 8] ^= 1;
    std::fs::write(&path, &bytes).expect("written");

    let files = Directory::read_only(dir.path().join("journal")).expect("there");
    let mut scan = JournalReader::open_read_only(Arc::new(files))
        .scan(None)
        .expect("scanned");
    assert_eq!(scan.by_ref().count(), 2);
    let torn = scan.ended().expect("ended").torn.expect("torn");
    assert_eq!(
        (torn.offset, torn.entries, torn.what),
        (3, 2, Bad::FrameHeader)
    );
    assert_eq!(std::fs::read(&path).expect("there"), bytes);

    let (_, recovered) = Journal::open(directory(&dir), SMALL, None).expect("opened");
    assert_eq!(recovered.cut, Some(torn));
}

//! The journal on a disk that loses what a crash loses: power is cut at every write and sync, and what
//! was synced must be there, nothing half-applied, nothing of an earlier life; what was erased is gone from
//! the disk for good, and what is half erased is never damage; a changed bit in what was durable is damage
//! and never data.

use std::collections::BTreeSet;
use std::sync::Arc;

use fedsx_store::journal::{
    Bad, Journal, JournalError, JournalOptions, JournalReader, Place, Recovered, Scanned,
};

use fedsx_store::simulation::{CrashDisk, Dice};

const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 6 << 10,
    step_bytes: 2 << 10,
    fixed_marker: None,
};

type Entry = (Vec<u8>, Vec<u8>);

/// The fixed part of a frame, bytes.
const FRAME_HEADER: usize = 32;

/// What was written, batch by batch, and how much of it was synced.
#[derive(Clone, Debug, Default)]
struct Told {
    entries: Vec<Entry>,
    places: Vec<Place>,
    /// The highest offset of each batch.
    batches: Vec<usize>,
    acknowledged: usize,
    /// What was to be erased, by index; where nothing was answered it may be in part.
    erasing: BTreeSet<usize>,
    erased: BTreeSet<usize>,
}

impl Told {
    /// Takes over what the journal holds now as what is durable.
    fn settle(&mut self, journal: &Journal, disk: &CrashDisk) {
        let held = usize::try_from(journal.next_offset() - 1).expect("small");
        assert!(held >= self.acknowledged, "synced entries are gone");
        assert!(
            held == 0 || self.batches.contains(&held),
            "half a batch of {held}: {:?}",
            self.batches
        );
        self.entries.truncate(held);
        self.places.truncate(held);
        self.batches.retain(|&end| end <= held);
        self.acknowledged = held;
        let scanned: Vec<_> = journal
            .reader()
            .scan(None)
            .expect("readable")
            .map(|scanned| scanned.expect("whole"))
            .collect();
        assert_eq!(scanned.len(), held);
        for (offset, (scanned, entry)) in (1..).zip(scanned.iter().zip(&self.entries)) {
            assert_eq!(scanned.frame.offset, offset);
            assert_eq!(scanned.frame.header, entry.0, "another entry at {offset}");
            let index = usize::try_from(offset).expect("small") - 1;
            assert_eq!(scanned.place, self.places[index]);
            assert!(scanned.frame.erased || !self.erased.contains(&index));
            if scanned.frame.erased {
                assert!(self.erasing.contains(&index), "nobody erased {offset}");
                assert!(scanned.frame.payload.is_empty());
            } else {
                assert_eq!(scanned.frame.payload, entry.1, "another entry at {offset}");
            }
            if self.erased.contains(&index) {
                self.assert_gone(disk, index);
            }
        }
    }

    fn erase(&mut self, journal: &Journal, indices: &[usize]) -> Result<(), JournalError> {
        self.erasing.extend(indices);
        let places: Vec<Place> = indices.iter().map(|&index| self.places[index]).collect();
        journal.eraser().erase(&places)?;
        self.erased.extend(indices);
        Ok(())
    }

    fn assert_gone(&self, disk: &CrashDisk, index: usize) {
        let (place, (header, payload)) = (self.places[index], &self.entries[index]);
        let start = place.position as usize + FRAME_HEADER + header.len();
        let contents = disk.contents(&format!("{:08}.seg", place.segment));
        let left = &contents[start..start + payload.len()];
        assert!(left.iter().all(|&byte| byte == 0), "{index} is still there");
    }

    fn watermark(&self, dice: &mut Dice) -> Option<(u64, Place)> {
        let offset = dice.below(self.acknowledged + 1);
        let index = offset.checked_sub(1)?;
        Some((offset as u64, self.places[index]))
    }
}

fn open(
    disk: &CrashDisk,
    told: &Told,
    dice: &mut Dice,
) -> Result<(Journal, Recovered), JournalError> {
    let watermark = told.watermark(dice);
    Journal::open(Arc::new(disk.clone()), OPTIONS, watermark)
}

/// Writes and syncs until done or cut off.
fn work(
    journal: &mut Journal,
    told: &mut Told,
    life: usize,
    batches: usize,
    dice: &mut Dice,
) -> Result<(), JournalError> {
    for _ in 0..batches {
        let entries: Vec<Entry> = (0..=dice.below(4))
            .map(|index| {
                let payload = (0..dice.below(700)).map(|_| dice.next().to_le_bytes()[0]);
                (
                    format!("life {life}, {index}").into_bytes(),
                    payload.collect(),
                )
            })
            .collect();
        let before = told.entries.len();
        told.entries.extend(entries.iter().cloned());
        told.batches.push(told.entries.len());
        let places = journal.write(&entries).inspect_err(|_| {
            // Its places are not known, but it may have reached the disk whole.
            told.places.resize(before + entries.len(), UNKNOWN);
        })?;
        told.places.extend(places);
        match dice.below(4) {
            0 => {}
            1 => {
                journal.attest()?;
                told.acknowledged = told.entries.len();
            }
            _ => {
                journal.sync_handle().sync()?;
                told.acknowledged = told.entries.len();
            }
        }
    }
    Ok(())
}

/// Works, and erases some of what is durable in between.
fn work_and_erase(
    journal: &mut Journal,
    told: &mut Told,
    life: usize,
    dice: &mut Dice,
) -> Result<(), JournalError> {
    let unfinished: Vec<usize> = told.erasing.iter().copied().collect();
    told.erase(journal, &unfinished)?;
    for _ in 0..12 {
        work(journal, told, life, 1, dice)?;
        if told.acknowledged > 0 && dice.below(3) == 0 {
            let indices: Vec<usize> = (0..=dice.below(3))
                .map(|_| dice.below(told.acknowledged))
                .collect();
            told.erase(journal, &indices)?;
        }
    }
    Ok(())
}

const UNKNOWN: Place = Place {
    segment: 0,
    position: 0,
};

/// The places that a failed write didn't tell.
fn learn(told: &mut Told, journal: &Journal) {
    for scanned in journal.reader().scan(None).expect("readable") {
        let scanned = scanned.expect("whole");
        let index = usize::try_from(scanned.frame.offset).expect("small") - 1;
        let place = told
            .places
            .get_mut(index)
            .filter(|place| **place == UNKNOWN);
        if let Some(place) = place {
            *place = scanned.place;
        }
    }
}

/// One life after the other on one disk, each cut off somewhere, recoveries too.
fn live(seed: u64, first_cut: Option<u64>) -> u64 {
    let mut dice = Dice::new(seed);
    let mut disk = CrashDisk::default();
    let mut told = Told::default();
    disk.power_off_at(first_cut);
    let mut first_life = 0;
    for life in 0..3 {
        if let Ok((mut journal, _)) = open(&disk, &told, &mut dice) {
            learn(&mut told, &journal);
            told.settle(&journal, &disk);
            // Cut off or done: either way the disk is looked at again.
            let _cut_off = work_and_erase(&mut journal, &mut told, life, &mut dice);
        }
        if life == 0 {
            first_life = disk.operations();
        }
        disk = if dice.below(5) == 0 {
            disk.after_kill()
        } else {
            disk.after_power_loss(&mut dice)
        };
        disk.power_off_at(Some(dice.below(40) as u64));
    }
    disk.power_off_at(None);
    let (journal, recovered) = open(&disk, &told, &mut dice)
        .unwrap_or_else(|error| panic!("seed {seed}, cut {first_cut:?}: {error}"));
    assert_eq!(recovered.last_offset, journal.next_offset() - 1);
    learn(&mut told, &journal);
    told.settle(&journal, &disk);
    // Recovered once is recovered for good.
    let disk = disk.after_power_loss(&mut dice);
    let (journal, recovered) = open(&disk, &told, &mut dice)
        .unwrap_or_else(|error| panic!("seed {seed}, cut {first_cut:?}: {error}"));
    assert_eq!((recovered.cut, recovered.discarded_segment), (None, None));
    told.settle(&journal, &disk);
    first_life
}

#[test]
fn what_was_synced_survives_a_power_cut_at_every_operation() {
    for workload in 0..4 {
        let operations = live(workload, None);
        assert!(operations > 30, "{operations}");
        for cut in 0..operations {
            live(workload, Some(cut));
        }
    }
}

#[test]
fn a_crash_leaves_what_was_synced_whatever_the_seed() {
    for seed in 100..500 {
        live(seed, Some(seed % 60));
    }
}

/// A journal of a few segments, everything in it attested.
fn attested() -> (CrashDisk, Told) {
    let disk = CrashDisk::default();
    let (mut told, mut dice) = (Told::default(), Dice::new(7));
    let (mut journal, _) = open(&disk, &told, &mut dice).expect("new");
    work(&mut journal, &mut told, 0, 20, &mut dice).expect("no cut");
    journal.attest().expect("no cut");
    told.acknowledged = told.entries.len();
    (disk, told)
}

#[test]
fn a_changed_bit_in_what_was_durable_is_damage_and_never_data() {
    let (disk, told) = attested();
    let mut dice = Dice::new(8);
    let names = fedsx_store::journal::Files::list(&disk).expect("listed");
    assert!(names.len() > 2);
    for name in names {
        let length = disk.contents(&name).len();
        for position in (0..length).step_by(11) {
            let changed = disk.after_kill();
            changed.tamper(&name, |bytes| bytes[position] ^= 1 << dice.below(8));
            let opened = Journal::open(Arc::new(changed.clone()), OPTIONS, None);
            match opened {
                Err(JournalError::Damaged(damage)) => {
                    assert_eq!(format!("{:08}.seg", damage.segment), name);
                }
                Err(error) => panic!("{name} at {position}: {error}"),
                // The last mark and the zeros behind it are durable but not attested.
                Ok((journal, _)) => told.clone().settle(&journal, &changed),
            }
            let scan = JournalReader::open_read_only(Arc::new(changed)).scan(None);
            for scanned in scan.into_iter().flatten().flatten() {
                let index = usize::try_from(scanned.frame.offset).expect("small") - 1;
                assert_eq!(scanned.frame.payload, told.entries[index].1);
            }
        }
    }
}

#[test]
fn damage_behind_the_watermark_is_found_from_the_watermark_on() {
    let (disk, told) = attested();
    let last = told.places.last().expect("entries");
    let middle = told.entries.len() / 2;
    let place = told.places[middle];
    let name = format!("{:08}.seg", place.segment);
    disk.tamper(&name, |bytes| bytes[place.position as usize + 20] ^= 1);
    let before = (middle as u64, told.places[middle - 1]);
    let opened = Journal::open(Arc::new(disk.clone()), OPTIONS, Some(before));
    assert!(
        matches!(opened, Err(JournalError::Damaged(_))),
        "{opened:?}"
    );
    let behind = (told.entries.len() as u64, *last);
    Journal::open(Arc::new(disk), OPTIONS, Some(behind)).expect("not looked at");
}

#[test]
fn after_a_failed_sync_nothing_is_taken_ever() {
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), OPTIONS, None).expect("new");
    journal.write(&[("one", "1")]).expect("written");
    journal.sync().expect("synced");
    journal.write(&[("two", "2")]).expect("written");
    disk.fail_sync_at(disk.operations());
    assert!(matches!(
        journal.sync(),
        Err(JournalError::Io {
            operation: "sync",
            ..
        })
    ));
    assert!(matches!(journal.sync(), Err(JournalError::Poisoned)));
    assert!(matches!(
        journal.write(&[("three", "3")]),
        Err(JournalError::Poisoned)
    ));
    assert!(matches!(
        journal.sync_handle().sync(),
        Err(JournalError::Poisoned)
    ));
    assert_eq!(journal.durable_offset(), 1);
}

#[test]
fn a_full_disk_is_transient() {
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), OPTIONS, None).expect("new");
    disk.set_full(true);
    let refused = journal.write(&[("one", "1")]).expect_err("no space");
    assert!(refused.is_transient(), "{refused}");
    disk.set_full(false);
    journal.write(&[("one", "1")]).expect("written");
    journal.sync().expect("synced");
    assert_eq!(journal.durable_offset(), 1);
}

#[test]
fn a_payload_can_not_pass_for_a_batch_in_the_torn_tail() {
    // A whole segment of another journal, whose batches attest offset 20, as a payload.
    let (other, _) = attested();
    let forged = other.contents("00000001.seg");
    let roomy = JournalOptions {
        segment_bytes: 64 << 10,
        ..OPTIONS
    };
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), roomy, None).expect("new");
    journal.write(&[("one", b"1")]).expect("written");
    journal.sync().expect("synced");
    let places = journal.write(&[("forged", &forged)]).expect("written");
    drop(journal);
    disk.tamper("00000001.seg", |bytes| {
        bytes[places[0].position as usize] ^= 1
    });
    let (_, recovered) = Journal::open(Arc::new(disk), roomy, None).expect("a torn tail");
    assert_eq!(recovered.last_offset, 1);
    assert_eq!(recovered.cut.expect("cut").entries, 1);
}

#[test]
fn what_is_not_durable_is_not_erased() {
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk), OPTIONS, None).expect("new");
    let places = journal.write(&[("header", "text")]).expect("written");
    let error = journal.eraser().erase(&places).expect_err("not durable");
    assert!(matches!(error, JournalError::Damaged(damage) if damage.what == Bad::Nothing));
    journal.sync().expect("not poisoned");
    let inside = Place {
        position: places[0].position + 1,
        ..places[0]
    };
    let error = journal.eraser().erase(&[places[0], inside]);
    error.expect_err("no entry begins there");
    let frame = journal.reader().read(places[0]).expect("whole");
    assert_eq!((frame.erased, &frame.payload[..]), (false, &b"text"[..]));
}

#[test]
fn after_a_failed_erasure_nothing_is_taken_ever() {
    // A mark, its sync, zeros, their sync.
    for failing in [1, 3] {
        let disk = CrashDisk::default();
        let (mut journal, _) = Journal::open(Arc::new(disk.clone()), OPTIONS, None).expect("new");
        let places = journal.write(&[("header", "text")]).expect("written");
        journal.sync().expect("synced");
        disk.fail_sync_at(disk.operations() + failing);
        let error = journal.eraser().erase(&places).expect_err("a failed sync");
        assert!(matches!(error, JournalError::Io { .. }), "{error}");
        let error = journal.write(&[("header", "more")]).expect_err("poisoned");
        assert!(matches!(error, JournalError::Poisoned), "{error}");
    }
}

#[test]
fn a_mark_of_erasure_is_not_made_by_a_changed_bit() {
    let disk = CrashDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), OPTIONS, None).expect("new");
    let places = journal.write(&[("header", "text")]).expect("written");
    journal.attest().expect("synced");
    let state = places[0].position as usize + 4;
    let scan = || -> Result<Vec<Scanned>, JournalError> {
        let reader = JournalReader::open_read_only(Arc::new(disk.clone()));
        reader.scan(None)?.collect()
    };
    for bit in 0..32 {
        let flip = |bytes: &mut Vec<u8>| bytes[state + bit / 8] ^= 1 << (bit % 8);
        disk.tamper("00000001.seg", flip);
        let error = scan().expect_err("damage");
        assert!(matches!(error, JournalError::Damaged(damage) if damage.what == Bad::State));
        disk.tamper("00000001.seg", flip);
    }
    // What a crash leaves of a mark, when it stands across two sectors.
    for cut in 1..=4 {
        disk.tamper("00000001.seg", |bytes| bytes[state + cut - 1] ^= 0xff);
        let scanned = scan().expect("an erasure to be finished");
        assert!(scanned[0].frame.erased, "after {cut} bytes");
    }
}

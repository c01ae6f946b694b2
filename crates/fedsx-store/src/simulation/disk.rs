//! A file layer that keeps exactly what a crash would keep: every sector of 512 bytes that was written
//! since the last sync independently ends up as any of its versions, a length as any it had, the
//! directory as it was after any of the changes since its last sync.
//!
//! Power is cut at a chosen operation: that one and all later ones fail, and it may have been carried
//! out in part. Seeded, so that a failure can be played again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::journal::{Files, OpenFile};

const SECTOR: usize = 512;

/// A small generator of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// What this seed gives.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Lengths since the last sync.
    lengths: Vec<usize>,
    /// Versions of each sector since the last sync.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    /// The directory after each change since its last sync.
    name_versions: Vec<Names>,
    operations: u64,
    power_off_at: Option<u64>,
    failing_sync: Option<u64>,
    full: bool,
}

/// The disk; a clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Arc<Mutex<State>>);

impl CrashDisk {
    /// A disk whose power goes off at the given operation, counted from 0.
    pub fn power_off_at(&self, operation: Option<u64>) {
        let mut state = self.state();
        state.operations = 0;
        state.power_off_at = operation;
    }

    /// Makes one sync fail, counted in operations, and drop what it should have written.
    pub fn fail_sync_at(&self, operation: u64) {
        self.state().failing_sync = Some(operation);
    }

    /// Refuses more disk space, or gives it again.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Writes and syncs so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk as it may be found when power is back.
    #[must_use]
    pub fn after_power_loss(&self, dice: &mut Dice) -> Self {
        let state = self.state();
        let choice = dice.below(state.name_versions.len() + 1);
        let names = choice
            .checked_sub(1)
            .map_or(&state.durable_names, |index| &state.name_versions[index]);
        let inodes = state.inodes.iter().map(|inode| inode.crash(dice)).collect();
        Self(Arc::new(Mutex::new(State {
            inodes,
            names: names.clone(),
            durable_names: names.clone(),
            ..State::default()
        })))
    }

    /// The disk after the process alone was killed: all is as it was left, durable or not.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let state = self.state().clone();
        Self(Arc::new(Mutex::new(State {
            operations: 0,
            power_off_at: None,
            ..state
        })))
    }

    /// The contents of a file.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].live.clone()
    }

    /// Changes a file behind everybody's back, durably.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let index = state.names[name];
        let inode = &mut state.inodes[index];
        change(&mut inode.live);
        inode.sync();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no test panics while it holds the disk")
    }
}

impl Inode {
    fn crash(&self, dice: &mut Dice) -> Self {
        let choice = dice.below(self.lengths.len() + 1);
        let length = choice
            .checked_sub(1)
            .map_or(self.durable.len(), |index| self.lengths[index]);
        let mut contents = self.durable.clone();
        contents.resize(length, 0);
        for (&sector, versions) in &self.versions {
            let Some(index) = dice.below(versions.len() + 1).checked_sub(1) else {
                continue;
            };
            let start = sector * SECTOR;
            if start < length {
                let end = length.min(start + SECTOR);
                contents[start..end].copy_from_slice(&versions[index][..end - start]);
            }
        }
        Self {
            live: contents.clone(),
            durable: contents,
            ..Self::default()
        }
    }

    fn sync(&mut self) {
        self.durable = self.live.clone();
        self.lengths.clear();
        self.versions.clear();
    }

    fn resize(&mut self, length: usize) {
        let touched = self.live.len().min(length)..self.live.len().max(length);
        self.live.resize(length, 0);
        self.lengths.push(length);
        self.note(touched);
    }

    /// Keeps the present version of the sectors that hold these bytes.
    fn note(&mut self, bytes: std::ops::Range<usize>) {
        for sector in bytes.start / SECTOR..bytes.end.div_ceil(SECTOR) {
            let start = (sector * SECTOR).min(self.live.len());
            let end = (start + SECTOR).min(self.live.len());
            let mut version = self.live[start..end].to_vec();
            version.resize(SECTOR, 0);
            self.versions.entry(sector).or_default().push(version);
        }
    }
}

impl State {
    /// Counts an operation; tells whether power goes off with it. An error when it is off already.
    fn tick(&mut self) -> io::Result<bool> {
        let now = self.operations;
        self.operations += 1;
        match self.power_off_at {
            Some(off) if now > off => Err(io::Error::other("power is off")),
            off => Ok(off == Some(now)),
        }
    }

    fn finish(&self, goes_off: bool) -> io::Result<()> {
        if goes_off {
            Err(io::Error::other("power goes off"))
        } else {
            Ok(())
        }
    }
}

impl Files for CrashDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.state();
        let goes_off = state.tick()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(name.to_owned(), inode);
        let names = state.names.clone();
        state.name_versions.push(names);
        state.finish(goes_off)?;
        Ok(self.opened(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        let inode = self.state().names.get(name).copied();
        inode
            .map(|inode| self.opened(inode))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let goes_off = state.tick()?;
        let removed = state.names.remove(name);
        removed.ok_or(io::ErrorKind::NotFound)?;
        let names = state.names.clone();
        state.name_versions.push(names);
        state.finish(goes_off)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let goes_off = state.tick()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        let names = state.names.clone();
        state.name_versions.push(names);
        state.finish(goes_off)
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.tick()? {
            return state.finish(true);
        }
        state.durable_names = state.names.clone();
        state.name_versions.clear();
        Ok(())
    }
}

impl CrashDisk {
    fn opened(&self, inode: usize) -> Arc<dyn OpenFile> {
        Arc::new(CrashFile {
            disk: self.clone(),
            inode,
        })
    }
}

#[derive(Debug)]
struct CrashFile {
    disk: CrashDisk,
    inode: usize,
}

impl CrashFile {
    fn change(&self, change: impl FnOnce(&mut Inode)) -> io::Result<()> {
        let mut state = self.disk.state();
        let goes_off = state.tick()?;
        change(&mut state.inodes[self.inode]);
        state.finish(goes_off)
    }
}

impl OpenFile for CrashFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let live = &state.inodes[self.inode].live;
        let start = usize::try_from(at).expect("small").min(live.len());
        let length = buffer.len().min(live.len() - start);
        buffer[..length].copy_from_slice(&live[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let start = usize::try_from(at).expect("small");
        let end = start + bytes.len();
        self.change(|inode| {
            if inode.live.len() < end {
                inode.live.resize(end, 0);
                inode.lengths.push(end);
            }
            inode.live[start..end].copy_from_slice(bytes);
            inode.note(start..end);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let failing = state.failing_sync == Some(state.operations);
        if state.tick()? || failing {
            return Err(io::Error::other("not synced"));
        }
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(|inode| inode.resize(usize::try_from(length).expect("small")))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if self.disk.state().full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = usize::try_from(length).expect("small");
        self.change(|inode| inode.resize(length.max(inode.live.len())))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].live.len() as u64)
    }
}

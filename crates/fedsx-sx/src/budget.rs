//! What an evaluation may use, and how it is counted: the language version `sx-1`.
//!
//! Everything here is counted in abstract units that depend on the program and its input alone: not
//! on the machine, the build, the sharing of values, or how an input was put together. The units are
//! part of the language: changing one makes another language version.
//!
//! * **Fuel**: one unit for each form that is evaluated, names and literals included; primitives
//!   that grow with their input take more, by the tables in `docs/sx.md`.
//! * **Cells**: 32 bytes of newly made value each, never given back: a list of n items takes 1 + n, a
//!   map of n members 1 + 2n, a text 1 and one for each 32 bytes begun, a function 1 and one for each
//!   value it captures. Each cell costs a unit of fuel too. Changing a list or map of any size takes as
//!   many as making one of at most [`COPIED`] parts, since all else is shared.
//! * **Depth**: calls that wait for another, and walks of `map` and its like.
//! * **Weight**: the size of one value as if nothing in it were shared ([`Value::weight`]).

use std::fmt;

use crate::data::Value;
use crate::error::{Code, Fault, Raised};

/// The version of the language that these bounds and the costs in this crate belong to.
pub const VERSION: &str = "sx-1";
/// Fuel of an evaluation, units.
pub const FUEL: u64 = 1_000_000;
/// What an evaluation may newly allocate, bytes in cells.
pub const MEMORY_BYTES: u64 = 16 << 20;
/// A cell, bytes.
pub const CELL_BYTES: u64 = 32;
/// How many calls may wait for another.
pub const DEPTH: usize = 256;
/// What a result may weigh, bytes.
pub const RESULT_BYTES: u64 = 1 << 20;
/// What any value on the way may weigh, bytes.
pub const VALUE_BYTES: u64 = MEMORY_BYTES;
/// The longest source, bytes.
pub const SOURCE_BYTES: usize = 64 << 10;
/// How many parts of a list or map are counted as made anew when it is changed.
pub const COPIED: usize = 16;

/// What a caller grants one evaluation; the other bounds are fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Fuel, units.
    pub fuel: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: FUEL }
    }
}

/// What is left to an evaluation.
pub struct Budget {
    pub(crate) fuel: u64,
    cells: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            fuel: limits.fuel,
            cells: MEMORY_BYTES / CELL_BYTES,
        }
    }

    /// Takes a step's fuel.
    #[inline(always)]
    pub(crate) fn step(&mut self, fuel: u32) -> Raised<()> {
        match self.fuel.checked_sub(u64::from(fuel)) {
            Some(left) => self.fuel = left,
            None => return Err(self.exhausted()),
        }
        Ok(())
    }

    /// Takes fuel.
    ///
    /// # Errors
    /// More than is left, which leaves none.
    pub fn spend(&mut self, fuel: usize) -> Raised<()> {
        match self.fuel.checked_sub(fuel as u64) {
            Some(left) => self.fuel = left,
            None => return Err(self.exhausted()),
        }
        Ok(())
    }

    /// No fuel is left.
    #[cold]
    fn exhausted(&mut self) -> Box<Fault> {
        self.fuel = 0;
        Fault::new(
            Code::Fuel,
            "the evaluation took more fuel than it was given",
        )
    }

    /// Takes cells, and as much fuel.
    ///
    /// # Errors
    /// More than is left of either.
    pub fn allocate(&mut self, cells: usize) -> Raised<()> {
        self.spend(cells)?;
        match self.cells.checked_sub(cells as u64) {
            Some(left) => self.cells = left,
            None => {
                self.cells = 0;
                let bound = MEMORY_BYTES >> 20;
                let message = format!("the evaluation made more than {bound} MiB of values");
                return Err(Fault::new(Code::Memory, message));
            }
        }
        Ok(())
    }

    /// Takes what a new list of so many items costs.
    ///
    /// # Errors
    /// As of `allocate`, as all below.
    pub fn list(&mut self, items: usize) -> Raised<()> {
        self.allocate(items.saturating_add(1))
    }

    /// Takes what a new map of so many members costs.
    ///
    /// # Errors
    /// As of `allocate`.
    pub fn map(&mut self, members: usize) -> Raised<()> {
        self.allocate(members.saturating_mul(2).saturating_add(1))
    }

    /// Takes what a new text of so many bytes costs.
    ///
    /// # Errors
    /// As of `allocate`.
    pub fn text(&mut self, bytes: usize) -> Raised<()> {
        self.allocate(1 + bytes.div_ceil(CELL_BYTES as usize))
    }

    /// Takes what changing a list of so many items costs.
    ///
    /// # Errors
    /// As of `allocate`.
    pub fn change_list(&mut self, items: usize) -> Raised<()> {
        self.list(items.min(COPIED))
    }

    /// Takes what changing a map of so many members costs.
    ///
    /// # Errors
    /// As of `allocate`.
    pub fn change_map(&mut self, members: usize) -> Raised<()> {
        self.map(members.min(COPIED))
    }

    /// Takes what reading so many bytes of text costs.
    ///
    /// # Errors
    /// As of `spend`.
    pub fn read(&mut self, bytes: usize) -> Raised<()> {
        self.spend(bytes / CELL_BYTES as usize)
    }

    /// How many bytes of text could still be made.
    pub(crate) fn room(&self) -> usize {
        let cells = self.fuel.min(self.cells);
        usize::try_from(cells.saturating_mul(CELL_BYTES)).unwrap_or(usize::MAX)
    }

    /// Lets a value pass that isn't too large, nothing shared.
    pub(crate) fn admit(value: Value) -> Raised<Value> {
        let weight = match &value {
            Value::List(list) => list.weight(),
            Value::Map(map) => map.weight(),
            _ => return Ok(value),
        };
        if weight <= VALUE_BYTES {
            return Ok(value);
        }
        let bound = VALUE_BYTES >> 20;
        let message =
            format!("a value of more than {bound} MiB, with each part counted wherever it stands");
        Err(Fault::new(Code::Memory, message))
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fuel, cells } = self;
        write!(f, "Budget({fuel} fuel, {cells} cells left)")
    }
}

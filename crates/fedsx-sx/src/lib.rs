//! SX, the language of fed-sx: its data, reader and printer.

pub mod data;
pub mod literal;

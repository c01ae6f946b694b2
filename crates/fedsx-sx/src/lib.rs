//! SX, the language of fed-sx: its data, reader and printers.

pub mod data;
pub mod layout;
mod lex;
pub mod literal;
pub mod print;
pub mod read;

//! SX, the language of fed-sx: its data, reader and printers, compiler and evaluator.
//!
//! [`program::Program`] is where most callers begin; `docs/sx.md` tells what the language is.

pub mod budget;
mod code;
mod compare;
mod compile;
pub mod data;
pub mod error;
mod eval;
mod function;
pub mod fuzz;
pub mod host;
pub mod layout;
mod lex;
pub mod literal;
pub mod primitives;
pub mod print;
pub mod program;
pub mod read;
pub mod session;

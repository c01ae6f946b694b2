//! The store's tests, one binary: the journal on a real directory and on a disk that loses what a crash
//! loses, the contract of the index engines, the vault.

mod engine_contract;
mod engine_kill;
mod journal;
mod journal_crash;
mod journal_format;
mod vault;

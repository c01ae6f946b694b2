//! Whole instances: real `fedsx serve` processes, driven over HTTP, gRPC and the command line.
//!
//! Each test starts what it needs in a temporary directory, waits for conditions with a deadline and
//! never for a time, and leaves no process behind. Tests whose names say crash, kill, smoke or demo
//! run one at a time (`.config/nextest.toml`), because each is several busy processes by itself.

mod backfill;
mod bad_input;
mod batches;
mod comparing;
mod definitions;
mod disk;
mod erasure;
mod export;
mod follows;
mod groups;
mod harness;
mod hostile;
mod itself;
mod kill;
mod learning;
mod limits;
mod lock;
mod main_job;
mod moderation;
mod outage;
mod peers;
mod pictures;
mod projections;
mod readers;
mod recovery;
mod reflection;
mod rotation;
mod scripts;
mod shutdown;
mod tokens;
mod triggers;
mod types;

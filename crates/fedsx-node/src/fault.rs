//! Faults of our own, as callers see them: a code without the inside. The inside is logged.

use std::fmt::Display;

use fedsx_core::decide::DecideError;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::StateError;
use fedsx_store::{AppendError, ReadError};

pub(crate) fn internal(what: &'static str, error: &dyn Display) -> Refusal {
    tracing::error!(%error, "{what}");
    Refusal::new(Code::Internal, "something failed here; it is in the log")
}

pub(crate) fn state(error: StateError) -> Refusal {
    internal("the index can't be read", &error)
}

pub(crate) fn read(error: ReadError) -> Refusal {
    internal("the store can't be read", &error)
}

pub(crate) fn decide(error: DecideError) -> Refusal {
    match error {
        DecideError::Refused(refusal) => refusal,
        DecideError::State(error) => state(error),
    }
}

/// What is answered when nothing was appended. `Changed` is for the caller to decide again; when that
/// does not end, the input is as good as refused for now.
pub(crate) fn append(error: AppendError) -> Refusal {
    match error {
        AppendError::Refused(refusal) => refusal,
        AppendError::QueueFull => {
            Refusal::new(Code::QueueFull, "too much waits to be written").retry_after(5)
        }
        AppendError::Changed => {
            Refusal::new(Code::QueueFull, "the state changes too fast").retry_after(1)
        }
        AppendError::Stopped => {
            Refusal::new(Code::QueueFull, "the server is stopping").retry_after(30)
        }
    }
}

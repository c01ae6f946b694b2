//! How a command ends badly: one sentence on stderr that says what to do next, and an exit code.

use std::fmt;
use std::process::ExitCode;

use fedsx_admin::client::ClientError;

/// What the exit code tells a script; listed in `--help`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Refused, or failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its causes, for people: each once, because some say their cause themselves.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !sentence.ends_with(&cause) {
            sentence.push_str(": ");
            sentence.push_str(&cause);
        }
    }
    sentence
}

/// A command's end with a code of its own; any other error is [`Exit::Failed`].
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    sentence: String,
}

impl Failure {
    /// The command can't be done as it was asked.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            sentence: sentence.into(),
        }
    }

    /// It was refused, or something failed.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            sentence: sentence.into(),
        }
    }

    /// Nobody answers.
    pub(crate) fn unreachable(sentence: impl Into<String>) -> Self {
        Self {
            exit: Exit::Unreachable,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused {
                code,
                detail,
                retry_after_s,
            } => {
                let wait = retry_after_s.map(|seconds| format!("; try again in {seconds} s"));
                Self::failed(format!("{detail}{} [{code}]", wait.unwrap_or_default()))
            }
            ClientError::Unreachable { url } => Self::unreachable(format!(
                "the server at {url} does not answer (any more); look at its log, or start it again"
            )),
            ClientError::Failed { detail, request_id } => {
                let id = request_id.map(|id| format!(" [request {id}]"));
                Self::failed(format!(
                    "the server failed: {detail}{}",
                    id.unwrap_or_default()
                ))
            }
            ClientError::Address(why) => Self::usage(why),
        }
    }
}

/// The exit code of an error, wherever it was wrapped.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .downcast_ref::<Failure>()
        .map_or(Exit::Failed, |failure| failure.exit)
}

/// Whether the reader of our output went away, which is its right (`… | head`).
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let twice = fedsx_store::StoreError::Io {
            what: "open",
            dir: "d".into(),
            source: std::io::Error::other("no disk"),
        };
        let error = anyhow::Result::<()>::Err(twice.into()).context("it can't start");
        let said = sentence(&error.expect_err("a failure"));
        assert_eq!(said, "it can't start: open in d: no disk");
    }
}

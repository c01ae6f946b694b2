//! The program under test, as a command that runs to its end.

use std::ffi::OsStr;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A command of the program just built, free of the caller's settings.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedsx"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FEDSX_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs `fedsx` to its end.
pub(crate) fn fedsx<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    let output = program().args(args).output();
    Ran::new(output.expect("the program starts"))
}

/// What a command left.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    /// It must have succeeded, and said nothing on stderr.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self
    }

    /// What it answered with `--output json`.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.ok();
        match serde_json::from_str(&ran.stdout) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}): {}", ran.stdout),
        }
    }

    /// It must have ended with `code` and a page on stderr: the page.
    #[track_caller]
    pub(crate) fn page(self, code: i32) -> String {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{self:?}");
        self.stderr
    }

    /// It must have failed with `code`, and said why in one sentence on stderr, which is returned.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let said = self.stderr.trim_end();
        assert!(!said.is_empty(), "{self:?}");
        assert!(!said.contains('\n'), "more than one sentence: {self:?}");
        said.to_owned()
    }
}

/// A server started with arguments of the test's own, which says on stdout where it is. It ends with
/// its owner.
#[derive(Debug)]
pub(crate) struct Served(Child);

impl Served {
    /// Starts it.
    pub(crate) fn start(args: &[&str]) -> Self {
        let child = program()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the program starts"))
    }

    /// What it says first, in JSON.
    pub(crate) fn announced(&mut self) -> Value {
        let stdout = self.0.stdout.as_mut().expect("a pipe");
        let mut said = serde_json::Deserializer::from_reader(stdout).into_iter();
        said.next().expect("it says something").expect("JSON")
    }

    /// SIGTERM, to an end that must be in order.
    pub(crate) fn end(mut self) {
        send("TERM", self.0.id());
        let status = self.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stdin(Stdio::null())
        .status();
    assert!(sent.expect("kill starts").success());
}

//! `cargo xtask pair`: two instances to work against, with kept data and their logs joined in one terminal.
//!
//! Each runs in a process group of its own, so that Ctrl-C reaches it only from here, as the SIGTERM that lets it
//! drain; a second Ctrl-C kills. Returns only when both have ended.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::run;

/// How often the two are looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// A shutdown names what it cut after 10 s; what is still there later hangs.
const DRAIN: Duration = Duration::from_secs(15);

/// One side of the pair: what differs between the two.
struct Side {
    letter: char,
    /// Of its prefix, as an ANSI code.
    colour: u8,
    /// The environment variable and default of each port.
    port: (&'static str, u16),
    admin_port: (&'static str, u16),
}

const SIDES: [Side; 2] = [
    Side {
        letter: 'a',
        colour: 36,
        port: ("PAIR_A_PORT", 8080),
        admin_port: ("PAIR_A_ADMIN_PORT", 8081),
    },
    Side {
        letter: 'b',
        colour: 33,
        port: ("PAIR_B_PORT", 9080),
        admin_port: ("PAIR_B_ADMIN_PORT", 9081),
    },
];

/// `--fresh` starts from empty data; every other argument goes to both `fedsx serve`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    run::run(run::cargo(root).args(["build", "--package", "fedsx-cli", "--bin", "fedsx"]))?;
    let target = run::target(root)?;
    let home = target.join("pair");
    let (fresh, passed): (Vec<_>, Vec<_>) = arguments
        .iter()
        .partition(|argument| *argument == "--fresh");
    if !fresh.is_empty() && home.exists() {
        std::fs::remove_dir_all(&home)
            .with_context(|| format!("cannot empty {}", home.display()))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .context("cannot listen for Ctrl-C")?;
    }
    let mut pair = Pair::default();
    for side in &SIDES {
        let started = side
            .command(&target.join("debug/fedsx"), &home, &passed)
            .and_then(|command| start(command, side));
        match started {
            Ok(instance) => pair.instances.push(instance),
            Err(error) => {
                pair.failures.push(format!("{error:#}"));
                stop.store(true, Ordering::SeqCst);
                break;
            }
        }
    }
    pair.watch(&stop)
}

impl Side {
    fn command(&self, program: &Path, home: &Path, passed: &[&String]) -> anyhow::Result<Command> {
        let data = home.join(self.letter.to_string());
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(&data)
            .args(["--listen", &format!("127.0.0.1:{}", port(self.port)?)])
            .args([
                "--admin-listen",
                &format!("127.0.0.1:{}", port(self.admin_port)?),
            ])
            .arg("--allow-private-peers")
            .args(passed);
        Ok(command)
    }
}

fn port((variable, default): (&str, u16)) -> anyhow::Result<u16> {
    match std::env::var(variable) {
        Ok(value) => value
            .parse()
            .with_context(|| format!("{variable}={value} is not a port")),
        Err(_) => Ok(default),
    }
}

struct Instance {
    letter: char,
    child: Child,
    logs: Vec<JoinHandle<()>>,
}

fn start(mut command: Command, side: &Side) -> anyhow::Result<Instance> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", side.letter))?;
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child
            .stdout
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        child
            .stderr
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    ];
    let prefix = prefix(side, std::io::stdout().is_terminal());
    let logs = streams
        .into_iter()
        .flatten()
        .map(|stream| follow(stream, prefix.clone()))
        .collect();
    Ok(Instance {
        letter: side.letter,
        child,
        logs,
    })
}

fn prefix(side: &Side, coloured: bool) -> String {
    if coloured {
        format!("\x1b[{}m{} |\x1b[0m", side.colour, side.letter)
    } else {
        format!("{} |", side.letter)
    }
}

/// Prints a stream line by line until it ends.
#[expect(
    clippy::disallowed_methods,
    reason = "it ends with the instance's stream, and `watch` joins it"
)]
fn follow(stream: Box<dyn Read + Send>, prefix: String) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let shown = writeln!(
                std::io::stdout(),
                "{prefix} {}",
                String::from_utf8_lossy(&line).trim_end()
            );
            // Nobody reads any more: the instance must not block on its logs for that.
            if shown.is_err() {
                break;
            }
            line.clear();
        }
    })
}

/// The instances that still run, and what went wrong so far.
#[derive(Default)]
struct Pair {
    instances: Vec<Instance>,
    failures: Vec<String>,
}

impl Pair {
    /// Until both have ended: by Ctrl-C, or because one did and took the other with it.
    fn watch(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut stopping: Option<Instant> = None;
        while !self.instances.is_empty() {
            let ended = self.reap()?;
            let asked = stop.swap(false, Ordering::SeqCst);
            match stopping {
                None if asked || ended => {
                    stopping = Some(Instant::now());
                    self.terminate()?;
                }
                Some(begun) if asked || begun.elapsed() > DRAIN => self.kill()?,
                _ => std::thread::sleep(GLANCE),
            }
        }
        if self.failures.is_empty() {
            return Ok(());
        }
        bail!("{}", self.failures.join("; "))
    }

    /// Takes out those that have ended; says whether any did.
    fn reap(&mut self) -> anyhow::Result<bool> {
        let mut running = Vec::new();
        let before = self.instances.len();
        for mut instance in self.instances.drain(..) {
            let Some(status) = instance
                .child
                .try_wait()
                .context("cannot wait for an instance")?
            else {
                running.push(instance);
                continue;
            };
            for log in instance.logs.drain(..) {
                log.join().expect("printing lines does not panic");
            }
            if !status.success() {
                self.failures
                    .push(format!("{} ended with {status}", instance.letter));
            }
        }
        self.instances = running;
        Ok(self.instances.len() < before)
    }

    /// The standard library can only kill; the shell of every system can ask.
    fn terminate(&self) -> anyhow::Result<()> {
        for instance in &self.instances {
            let process = instance.child.id().to_string();
            Command::new("sh")
                .args(["-c", "kill -s TERM \"$1\"", "sh", &process])
                .status()
                .with_context(|| format!("cannot ask {} to stop", instance.letter))?;
        }
        Ok(())
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        for instance in &mut self.instances {
            self.failures
                .push(format!("{} did not stop and was killed", instance.letter));
            instance
                .child
                .kill()
                .with_context(|| format!("cannot kill {}", instance.letter))?;
            instance
                .child
                .wait()
                .with_context(|| format!("cannot wait for {}", instance.letter))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(letter: char, script: &str) -> Instance {
        let side = Side {
            letter,
            colour: 36,
            port: ("", 0),
            admin_port: ("", 0),
        };
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        start(command, &side).expect("sh starts")
    }

    #[test]
    fn a_stop_ends_both_cleanly() {
        let waits = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
        let pair = Pair {
            instances: vec![sleeper('a', waits), sleeper('b', waits)],
            failures: Vec::new(),
        };
        // The trap may not be set yet when the signal comes, so each may also end by the signal itself.
        let outcome = pair.watch(&AtomicBool::new(true));
        if let Err(error) = outcome {
            assert!(!error.to_string().contains("killed"), "{error}");
        }
    }

    #[test]
    fn one_that_fails_takes_the_other_with_it_and_is_named() {
        let pair = Pair {
            instances: vec![sleeper('a', "exec sleep 60"), sleeper('b', "exit 3")],
            failures: Vec::new(),
        };
        let error = pair.watch(&AtomicBool::new(false)).expect_err("b failed");
        assert!(
            error.to_string().starts_with("b ended with exit status: 3"),
            "{error}"
        );
    }

    #[test]
    fn the_prefix_is_plain_in_a_file() {
        assert_eq!(prefix(&SIDES[0], false), "a |");
        assert_eq!(prefix(&SIDES[1], true), "\x1b[33mb |\x1b[0m");
    }
}

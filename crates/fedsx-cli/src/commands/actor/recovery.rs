//! `actor recovery-key create|use`.
//!
//! Invariant: a key is on disk, or will be shown, before an actor commits to it, because nobody could take that
//! back; it is made here, and the server learns of it only when it is used.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fedsx_admin::client::ClientError;
use fedsx_admin::proto;
use fedsx_core::key::RecoveryKey;
use fedsx_core::value::{Map, Value};

use super::keys::{fragment, key_value};
use crate::args::{self, Global};
use crate::commands::connect::connect;
use crate::failure::Failure;
use crate::output::{published_value, stdout};

/// The longest key file that is read, bytes.
const KEY_BYTES: u64 = 1_024;

/// Runs it.
pub(super) async fn run(global: &Global, command: args::RecoveryKey) -> anyhow::Result<()> {
    match command {
        args::RecoveryKey::Create { name, out } => create(global, name, out).await,
        args::RecoveryKey::Use { name, key, out } => spend(global, name, &key, out).await,
    }
}

async fn create(global: &Global, name: String, out: Option<PathBuf>) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let next = Next::make(out)?;
    let request = proto::CommitRecoveryRequest {
        name: name.clone(),
        digest: next.key.commitment().to_string(),
    };
    let answer = next.unless_refused(client.commit_recovery(request).await)?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = published_value(&published);
    let kept = next.shown(&mut value);
    stdout(global.output).one(&value, || {
        format!("{name} has a recovery key\n  {kept}\n  Keep it away from this server.")
    })?;
    Ok(())
}

async fn spend(
    global: &Global,
    name: String,
    file: &Path,
    out: Option<PathBuf>,
) -> anyhow::Result<()> {
    let key = read(file)?;
    let client = connect(global).await?;
    let next = Next::make(out)?;
    let request = proto::RecoverRequest {
        name: name.clone(),
        recovery_key: key.to_text().to_string(),
        next_digest: next.key.commitment().to_string(),
    };
    let answer = next.unless_refused(client.recover(request).await)?;
    let key = answer.key.context("the server sent no key")?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = published_value(&published);
    value.insert("key", key_value(&key));
    let kept = next.shown(&mut value);
    stdout(global.output).one(&value, || {
        format!(
            "{name} signs with {} from here on; all keys before it are good for nothing new\n  \
             the recovery key is spent; the next one:\n  {kept}\n  Keep it away from this server.",
            fragment(&key.id)
        )
    })?;
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<RecoveryKey> {
    let unread =
        |error: io::Error| Failure::usage(format!("can't read {}: {error}", file.display()));
    let mut text = String::new();
    if file == Path::new("-") {
        let stdin = io::stdin().take(KEY_BYTES);
        io::BufReader::new(stdin).read_to_string(&mut text)
    } else {
        let opened = fs::File::open(file).map_err(unread)?;
        opened.take(KEY_BYTES).read_to_string(&mut text)
    }
    .map_err(unread)?;
    let key = RecoveryKey::parse(text.trim());
    key.ok_or_else(|| Failure::usage(format!("{} holds no recovery key", file.display())).into())
}

/// A key that an actor is about to commit to.
struct Next {
    key: RecoveryKey,
    file: Option<PathBuf>,
}

impl Next {
    /// Draws one; where there is a file for it, it is durable there.
    fn make(file: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("no randomness")?;
        let key = RecoveryKey::new(seed);
        if let Some(file) = &file {
            let mut options = OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600).open(file);
            let written = opened.and_then(|mut opened| {
                writeln!(opened, "{}", *key.to_text())?;
                opened.sync_all()
            });
            written.map_err(|error| {
                let why = format!("{} is not written: {error}", file.display());
                Failure::usage(why)
            })?;
        }
        Ok(Self { key, file })
    }

    /// Takes the file back where nobody committed to the key. Where that is not known, it stays.
    fn unless_refused<T>(&self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        if let (Err(ClientError::Refused { .. }), Some(file)) = (&answer, &self.file) {
            // It is good for nothing; that it was refused is what is told.
            let _ = fs::remove_file(file);
        }
        answer.map_err(Failure::from)
    }

    /// Where it is, in a line.
    fn shown(&self, value: &mut Map) -> String {
        value.insert("recoveryDigest", self.key.commitment().as_str());
        match &self.file {
            Some(file) => {
                let file = file.display().to_string();
                value.insert("file", Value::from(&*file));
                format!("it is in {file}")
            }
            None => {
                let text = self.key.to_text();
                value.insert("recoveryKey", text.as_str());
                format!("{}\n  It is not shown again.", *text)
            }
        }
    }
}

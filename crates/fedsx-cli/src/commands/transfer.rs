//! `actor export` and `actor import`: the sealed file, from and to the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_admin::proto::import_actor_request::Part;
use fedsx_core::value::{Map, Value};
use futures_util::stream;

use super::connect::connect;
use crate::args::{Export, Global, Import, Sealed};
use crate::failure::Failure;
use crate::output::{actor_value, stdout};

/// Bytes of a file sent at once.
const PIECE: usize = 256 << 10;
/// The letters of a passphrase made up here: 32, none like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// Writes an actor to a file, which is there whole or not at all.
pub(crate) async fn export(global: &Global, export: Export) -> anyhow::Result<()> {
    let Export { name, out, sealed } = export;
    let given = given(&sealed)?;
    let made_up = match &given {
        Some(_) => None,
        None => Some(make_up()?),
    };
    if out.exists() {
        let why = format!("{} is there already", out.display());
        return Err(Failure::usage(why).into());
    }
    let client = connect(global).await?;
    let passphrase = given.or_else(|| made_up.clone()).unwrap_or_default();
    let request = proto::ExportActorRequest {
        name: name.clone(),
        passphrase: passphrase.into_bytes(),
    };
    let mut pieces = client.export_actor(request).await.map_err(Failure::from)?;
    let unfinished = out.with_added_extension("part");
    let written = async {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&unfinished)?;
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await.map_err(Failure::from)? {
            file.write_all(&piece)?;
            bytes += piece.len();
        }
        file.sync_all()?;
        fs::rename(&unfinished, &out)?;
        anyhow::Ok(bytes)
    };
    let written = written.await.inspect_err(|_| {
        // What was begun is of no use; that it failed is what is told.
        let _ = fs::remove_file(&unfinished);
    });
    let bytes = written.with_context(|| format!("{} is not written", out.display()))?;
    let shown = out.display().to_string();
    let mut value = Map::from([
        ("name", Value::from(&*name)),
        ("file", Value::from(&*shown)),
        ("bytes", Value::Int(i64::try_from(bytes)?)),
    ]);
    if let Some(passphrase) = &made_up {
        value.insert("passphrase", &**passphrase);
    }
    stdout(global.output).one(&value, || {
        let text = format!("{name} is in {shown} ({bytes} bytes)\n  bearer tokens are left out");
        match &made_up {
            Some(passphrase) => {
                format!("{text}\n  passphrase  {passphrase}\n  It is not shown again.")
            }
            None => text,
        }
    })?;
    Ok(())
}

/// Sends a file to the server.
pub(crate) async fn import(global: &Global, import: Import) -> anyhow::Result<()> {
    let Import { file, sealed } = import;
    let passphrase = match given(&sealed)? {
        Some(passphrase) => passphrase,
        None => ask()?,
    };
    let unread =
        |error: io::Error| Failure::usage(format!("can't read {}: {error}", file.display()));
    let opened = File::open(&file).map_err(unread)?;
    // Read once before anything is sent, because a stream can't tell that its source failed.
    if opened.metadata().map_err(unread)?.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", file.display())).into());
    }
    let client = connect(global).await?;
    let first = proto::ImportActorRequest {
        part: Some(Part::Passphrase(passphrase.into_bytes())),
    };
    let pieces = stream::unfold((Some(first), opened), |(first, mut file)| async move {
        if let Some(first) = first {
            return Some((first, (None, file)));
        }
        let mut data = Vec::new();
        // A file that fails half-way is sent as one that is cut off, and refused as such.
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut data);
        let part = Some(Part::Data(data));
        (read.ok()? > 0).then_some((proto::ImportActorRequest { part }, (None, file)))
    });
    let answer = client.import_actor(pieces).await.map_err(Failure::from)?;
    let actor = answer.actor.context("the server sent no actor")?;
    let value = actor_value(&actor)?;
    stdout(global.output).one(&value, || {
        format!(
            "{} is here\n  handle     {}\n  outbox     {}\n  inbox      {}\n  followers  {}\n  following  {}\n  \
             bearer tokens are to be issued anew",
            actor.name, actor.handle, actor.outbox, actor.inbox, actor.followers, actor.following
        )
    })?;
    Ok(())
}

/// The passphrase in the file that was named.
fn given(sealed: &Sealed) -> anyhow::Result<Option<String>> {
    let read = |file: &Path| {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("can't read {}: {error}", file.display())))?;
        let line = text.lines().next().unwrap_or_default();
        match line.is_empty() {
            true => Err(Failure::usage(format!("{} is empty", file.display())).into()),
            false => Ok(line.to_owned()),
        }
    };
    sealed.passphrase_file.as_deref().map(read).transpose()
}

/// The passphrase on the first line of stdin.
fn ask() -> anyhow::Result<String> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        let mut stderr = io::stderr();
        write!(stderr, "passphrase: ")?;
        stderr.flush()?;
    }
    let mut line = String::new();
    stdin.read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    match line.is_empty() {
        true => Err(Failure::usage(
            "the file is sealed: give its passphrase by --passphrase-file or on stdin",
        )
        .into()),
        false => Ok(line.to_owned()),
    }
}

/// A passphrase of 120 random bits.
fn make_up() -> anyhow::Result<String> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).context("no randomness")?;
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let groups: Vec<String> = letters
        .chunks(6)
        .map(|group| group.iter().collect())
        .collect();
    Ok(groups.join("-"))
}

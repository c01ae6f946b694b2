//! One instance of the demo: a process of this program, and what is asked of it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, bail};
use fedsx_admin::client::Client;
use fedsx_admin::proto;

use super::{until, verb};
use crate::admin_file::AdminFile;
use crate::commands::follow::ask;
use crate::failure::Failure;

/// Entries of a log that the demo reads.
const LOG: u32 = 1_000;
/// Tries come soon after one another: nobody wants to wait 30 s for the second.
const RETRY: &str = "delivery.retry=500ms,500ms,1s,1s,2s";

#[derive(Debug)]
pub(super) struct Process {
    pub(super) dir: PathBuf,
    pub(super) url: String,
    pub(super) client: Client,
    child: Running,
}

/// A process that does not outlive its owner.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts an instance on `dir` and waits until it answers.
    pub(super) async fn start(dir: PathBuf, listen: &str) -> anyhow::Result<Self> {
        let mut child = spawn(&dir, listen)?;
        let client = connected(&dir, &mut child).await?;
        let status = client
            .status(proto::StatusRequest::default())
            .await
            .map_err(Failure::from)?;
        Ok(Self {
            dir,
            url: status.url,
            client,
            child,
        })
    }

    /// Starts it again on its data and its address.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.dir, self.authority())?;
        self.client = connected(&self.dir, &mut self.child).await?;
        Ok(())
    }

    /// Kills it as a crash would.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.0.kill().context("can't kill the process")?;
        self.child.0.wait().context("the process does not end")?;
        Ok(())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub(super) fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(super) async fn follow(&self, actor: &str, who: &str) -> anyhow::Result<proto::Published> {
        ask(&self.client, actor.to_owned(), who.to_owned(), None).await
    }

    /// A log of an actor, newest first.
    pub(super) async fn log(
        &self,
        actor: &str,
        side: proto::Side,
    ) -> anyhow::Result<Vec<proto::Entry>> {
        let request = proto::ListLogRequest {
            actor: actor.to_owned(),
            side: side.into(),
            limit: LOG,
            page_token: String::new(),
        };
        Ok(self
            .client
            .list_log(request)
            .await
            .map_err(Failure::from)?
            .entries)
    }

    /// Waits for an activity in an actor's inbox.
    pub(super) async fn in_inbox(&self, actor: &str, cid: &str) -> anyhow::Result<proto::Entry> {
        until(&format!("{cid} in {actor}'s inbox"), async || {
            let entries = self.log(actor, proto::Side::Inbox).await?;
            Ok(entries.into_iter().find(|entry| entry.cid == cid))
        })
        .await
    }

    /// The newest activity of a verb in an actor's inbox.
    pub(super) async fn newest(&self, actor: &str, wanted: &str) -> anyhow::Result<proto::Entry> {
        for entry in self.log(actor, proto::Side::Inbox).await? {
            if verb(&entry)?.starts_with(wanted) {
                return Ok(entry);
            }
        }
        bail!("no {wanted} is in {actor}'s inbox")
    }

    pub(super) async fn followers(&self, actor: &str) -> anyhow::Result<Vec<proto::Relation>> {
        let request = proto::ListRelationsRequest {
            actor: actor.to_owned(),
            ..Default::default()
        };
        Ok(self
            .client
            .list_followers(request)
            .await
            .map_err(Failure::from)?
            .relations)
    }

    /// Waits until a follow of this actor is accepted.
    pub(super) async fn until_following(&self, actor: &str) -> anyhow::Result<()> {
        until(&format!("the answer to {actor}'s follow"), async || {
            let request = proto::ListRelationsRequest {
                actor: actor.to_owned(),
                ..Default::default()
            };
            let answer = self
                .client
                .list_following(request)
                .await
                .map_err(Failure::from)?;
            Ok(answer
                .relations
                .iter()
                .any(|relation| relation.state == "accepted")
                .then_some(()))
        })
        .await
    }

    /// Waits until deliveries wait for a host that fails.
    pub(super) async fn lane_of(&self, host: &str) -> anyhow::Result<proto::Lane> {
        until(&format!("a failed delivery to {host}"), async || {
            let request = proto::LanesRequest {
                limit: LOG,
                page_token: String::new(),
            };
            let answer = self.client.lanes(request).await.map_err(Failure::from)?;
            let failing =
                |lane: &proto::Lane| lane.host == host && lane.failures > 0 && lane.queued > 0;
            Ok(answer.lanes.into_iter().find(failing))
        })
        .await
    }
}

fn spawn(dir: &std::path::Path, listen: &str) -> anyhow::Result<Running> {
    let program = env::current_exe().context("can't find this program")?;
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.with_extension("log"))?;
    let mut command = Command::new(program);
    // Settings of the caller's instances are none of these two.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FEDSX_"))
    {
        command.env_remove(name);
    }
    let child = command
        .args([
            "serve",
            "--listen",
            listen,
            "--admin-listen",
            "127.0.0.1:0",
            "--set",
            RETRY,
        ])
        .arg("--data-dir")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("can't start an instance")?;
    Ok(Running(child))
}

/// Waits until the process has written where it is and answers there.
async fn connected(dir: &std::path::Path, child: &mut Running) -> anyhow::Result<Client> {
    let pid = child.0.id();
    until("the instance to answer", async || {
        if let Some(status) = child.0.try_wait()? {
            bail!("the instance ended at once: {status}");
        }
        match AdminFile::read(dir)? {
            // A killed process leaves its file behind.
            Some(file) if file.pid == pid => Ok(Client::connect(&file.url, &file.token).await.ok()),
            _ => Ok(None),
        }
    })
    .await
}

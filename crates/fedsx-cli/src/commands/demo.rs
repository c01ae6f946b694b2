//! `demo`: two instances federate before your eyes, from nothing: follow, accept, post, arrival, a
//! crash, and what was missed.
//!
//! The instances are processes of this same program, driven through the admin API; the proofs are
//! checked with the library alone, as a third party would. Invariant: whatever happens, the processes
//! and their data are gone when this returns.

mod place;
mod process;
mod third_party;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fedsx_admin::proto;

use crate::args::{Form, Visibility};
use crate::failure::Failure;
use crate::output::{COLUMNS, clean, entry_row, entry_value, stdout};
use crate::shutdown;
use place::Place;
use process::Process;
use third_party::ThirdParty;

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Runs it; `exit` ends it after the last step.
pub(crate) async fn run(exit: bool) -> anyhow::Result<()> {
    let place = Place::new()?;
    let mut signals = shutdown::Signals::new()?;
    let told = tokio::select! {
        told = tell(place.path()) => told,
        () = signals.first() => bail!("interrupted before the end; both instances are stopped"),
    };
    let story = told.inspect_err(|_| place.show_logs())?;
    if exit {
        return say(
            "\nEverything above held. Both instances are stopped and their data is removed.",
        );
    }
    let (a, b) = (&story.a, &story.b);
    say(&format!(
        "\nEverything above held. Both instances stay until Ctrl-C; look at them:\n  {a}/actors/alice\n  \
         {a}/actors/alice/outbox\n  {b}/actors/bob\n  {b}/.well-known/webfinger?resource=acct:bob@{}\n  \
         fedsx timeline bob --data-dir {}",
        b.authority(),
        b.dir.display(),
        a = a.url,
        b = b.url,
    ))?;
    signals.first().await;
    Ok(())
}

/// The story, step by step; its two instances live on in what is returned.
async fn tell(place: &Path) -> anyhow::Result<Story> {
    let mut story = Story::begin(place).await?;
    story.follow().await?;
    story.post().await?;
    story.crash().await?;
    story.logs().await?;
    story.verify().await?;
    Ok(story)
}

struct Story {
    a: Process,
    b: Process,
}

impl Story {
    async fn begin(place: &Path) -> anyhow::Result<Self> {
        say("1. Two instances, each a process with a store of its own.")?;
        let a = Process::start(place.join("a"), "127.0.0.1:0").await?;
        let b = Process::start(place.join("b"), "127.0.0.1:0").await?;
        for (name, process) in [("A", &a), ("B", &b)] {
            say(&format!(
                "   {name}  {}  (process {})",
                process.url,
                process.id()
            ))?;
        }
        say("\n2. An actor on each: alice on A, bob on B.")?;
        for (process, name) in [(&a, "alice"), (&b, "bob")] {
            let request = proto::CreateActorRequest {
                name: name.to_owned(),
                ..Default::default()
            };
            let answer = process
                .client
                .create_actor(request)
                .await
                .map_err(Failure::from)?;
            let created = answer.actor.context("no actor was made")?;
            let published = answer.published.context("no activity was published")?;
            say(&format!(
                "   {}\n      its Create  {}",
                created.handle, published.cid
            ))?;
        }
        Ok(Self { a, b })
    }

    /// Follow and Accept, seen on both sides.
    async fn follow(&self) -> anyhow::Result<()> {
        say("\n3. bob asks to follow alice, by her handle; alice's instance accepts by itself.")?;
        let alice = format!("acct:alice@{}", self.a.authority());
        let follow = self.b.follow("bob", &alice).await?;
        say(&format!("   Follow  {}", follow.cid))?;
        let arrived = self.a.in_inbox("alice", &follow.cid).await?;
        say(&format!(
            "           is in alice's inbox as #{}",
            arrived.seq
        ))?;
        self.b.until_following("bob").await?;
        let accept = self.b.newest("bob", "Accept").await?;
        say(&format!(
            "   Accept  {}\n           is in bob's inbox as #{}",
            accept.cid, accept.seq
        ))?;
        let followers = self.a.followers("alice").await?;
        let state = followers
            .first()
            .map_or("nothing", |relation| &relation.state);
        say(&format!("   Both sides say: {state}."))?;
        if state == "accepted" {
            Ok(())
        } else {
            bail!("A does not know that bob's follow is accepted")
        }
    }

    async fn post(&self) -> anyhow::Result<()> {
        say("\n4. alice writes a note.")?;
        self.note("Hello from A: this note is signed, and named by what it says.")
            .await?;
        self.arrived().await
    }

    /// B is killed, misses two notes, and gets them.
    async fn crash(&mut self) -> anyhow::Result<()> {
        say(&format!(
            "\n5. B is killed (SIGKILL, process {}); alice writes on.",
            self.b.id()
        ))?;
        self.b.kill()?;
        self.note("Are you there?").await?;
        self.note("I'll say it again when you are back.").await?;
        let lane = self.a.lane_of(self.b.authority()).await?;
        say(&format!(
            "   A keeps {} deliveries for {} ({}).",
            lane.queued,
            clean(&lane.host),
            lane.state
        ))?;
        say("\n6. B starts again on its data.")?;
        self.b.restart().await?;
        say(&format!("   B  {}  (process {})", self.b.url, self.b.id()))?;
        self.arrived().await
    }

    async fn note(&self, text: &str) -> anyhow::Result<()> {
        let note = super::post::request("alice", text, &[], Some(Visibility::Public));
        let answer = self.a.client.publish(note).await.map_err(Failure::from)?;
        let published = answer.published.context("nothing was published")?;
        say(&format!(
            "   “{text}”\n      {}  (alice's outbox #{})",
            published.cid, published.seq
        ))
    }

    /// Waits until bob has every note of alice, once each and in her order.
    async fn arrived(&self) -> anyhow::Result<()> {
        let notes = |entries: Vec<proto::Entry>| -> anyhow::Result<Vec<String>> {
            let mut cids = Vec::new();
            for entry in entries {
                if verb(&entry)? == "Create Note" {
                    cids.push(entry.cid);
                }
            }
            Ok(cids)
        };
        let sent = notes(self.a.log("alice", proto::Side::Outbox).await?)?;
        until("alice's notes in bob's inbox, in order", async || {
            let got = notes(self.b.log("bob", proto::Side::Inbox).await?)?;
            Ok((got == sent).then_some(()))
        })
        .await?;
        say(&format!(
            "   bob has {} of {}, once each and in alice's order.",
            sent.len(),
            sent.len()
        ))
    }

    async fn logs(&self) -> anyhow::Result<()> {
        say("\n7. The two logs, newest first.")?;
        for (title, process, name, side) in [
            (
                "alice's outbox, on A",
                &self.a,
                "alice",
                proto::Side::Outbox,
            ),
            ("bob's inbox, on B", &self.b, "bob", proto::Side::Inbox),
        ] {
            say(&format!("\n   {title}"))?;
            let mut list = stdout(Form::Table).list(COLUMNS);
            for entry in process.log(name, side).await? {
                list.push(&entry_value(&entry)?, || entry_row(&entry))?;
            }
            list.finish("nothing")?;
        }
        Ok(())
    }

    async fn verify(&self) -> anyhow::Result<()> {
        say(
            "\n8. Every proof, checked as a third party would: CIDs computed again, keys fetched over HTTP.",
        )?;
        let third_party = ThirdParty::new()?;
        for (process, name) in [(&self.a, "alice"), (&self.b, "bob")] {
            for side in [proto::Side::Outbox, proto::Side::Inbox] {
                let entries = process.log(name, side).await?;
                for entry in &entries {
                    third_party
                        .verify(entry)
                        .await
                        .with_context(|| format!("{} does not hold", entry.cid))?;
                }
                let side = if side == proto::Side::Outbox {
                    "outbox"
                } else {
                    "inbox"
                };
                say(&format!(
                    "   {name}'s {side}: {} of {} hold",
                    entries.len(),
                    entries.len()
                ))?;
            }
        }
        Ok(())
    }
}

/// The verb and the object's type, as tables show them.
fn verb(entry: &proto::Entry) -> anyhow::Result<String> {
    entry_row(entry)
        .into_iter()
        .nth(3)
        .context("a row without a verb")
}

/// Looks again and again until there is an answer, for as long as patience lasts.
async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

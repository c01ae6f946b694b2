//! The tasks of an instance, by name, in the two groups in which they end.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

type Task = JoinHandle<anyhow::Result<()>>;

/// All tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Ends the listeners.
    pub(super) listeners: CancellationToken,
    /// Ends the workers, which may still answer what listeners took.
    pub(super) workers: CancellationToken,
    running: Vec<Named>,
    left: Left,
}

/// What has not ended yet, for who can't wait for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<Mutex<Vec<One>>>);

/// A name, and its task where it is one.
type One = (&'static str, Option<AbortHandle>);

impl Left {
    /// Something that is no task is waited for as well.
    pub(super) fn also(&self, name: &'static str) {
        self.all().push((name, None));
    }

    /// All of it.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let all = self.all();
        let left = all
            .iter()
            .filter(|(_, task)| task.as_ref().is_none_or(|task| !task.is_finished()));
        left.map(|(name, _)| *name).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Named {
    name: &'static str,
    is_listener: bool,
    task: Task,
}

impl Tasks {
    /// Starts a task that ends with [`Self::listeners`].
    pub(super) fn listener(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.start(name, true, task);
    }

    /// Starts a task that ends with [`Self::workers`].
    pub(super) fn worker(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.start(name, false, task);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that owns an instance's tasks"
    )]
    fn start(
        &mut self,
        name: &'static str,
        is_listener: bool,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let task = tokio::spawn(task);
        self.left.all().push((name, Some(task.abort_handle())));
        self.running.push(Named {
            name,
            is_listener,
            task,
        });
    }

    /// What runs, also while [`Self::stop`] waits for it.
    pub(super) fn left(&self) -> Left {
        self.left.clone()
    }

    /// Waits for a task that ends though nobody asked it to, and says how it did.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        let first = std::future::poll_fn(|context| {
            for (at, named) in self.running.iter_mut().enumerate() {
                if let std::task::Poll::Ready(outcome) =
                    std::pin::Pin::new(&mut named.task).poll(context)
                {
                    return std::task::Poll::Ready((at, outcome));
                }
            }
            std::task::Poll::Pending
        });
        let (at, outcome) = first.await;
        let name = self.running.remove(at).name;
        match outcome {
            Ok(Ok(())) => anyhow::anyhow!("{name} ended by itself"),
            Ok(Err(error)) => error.context(format!("{name} failed")),
            Err(error) => anyhow::Error::new(error).context(format!("{name} broke")),
        }
    }

    /// Ends the listeners, then the workers; the names of those that didn't end in time and were cut.
    pub(super) async fn stop(self, deadline: Instant) -> Vec<String> {
        let (listeners, workers): (Vec<_>, Vec<_>) = self
            .running
            .into_iter()
            .partition(|named| named.is_listener);
        let mut cut = Vec::new();
        for (stop, group) in [(self.listeners, listeners), (self.workers, workers)] {
            stop.cancel();
            for Named { name, mut task, .. } in group {
                match timeout_at(deadline, &mut task).await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(error))) => cut.push(format!("{name} ({error:#})")),
                    Ok(Err(error)) => cut.push(format!("{name} ({error})")),
                    Err(_) => {
                        task.abort();
                        cut.push(name.to_owned());
                    }
                }
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn listeners_end_before_workers() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Tasks::default();
        let note = |what: &'static str, stop: CancellationToken| {
            let order = Arc::clone(&order);
            async move {
                stop.cancelled().await;
                order.lock().expect("nobody panicked").push(what);
                Ok(())
            }
        };
        let (workers, listeners) = (tasks.workers.clone(), tasks.listeners.clone());
        tasks.worker("worker", note("worker", workers));
        tasks.listener("listener", note("listener", listeners));
        let cut = tasks.stop(Instant::now() + Duration::from_secs(60)).await;
        assert_eq!(
            *order.lock().expect("nobody panicked"),
            ["listener", "worker"]
        );
        assert!(cut.is_empty());
    }

    #[tokio::test]
    async fn what_hangs_is_named() {
        let mut tasks = Tasks::default();
        tasks.worker("stubborn", std::future::pending());
        let left = tasks.left();
        left.also("the store");
        assert_eq!(left.names(), ["stubborn", "the store"]);
        assert_eq!(tasks.stop(Instant::now()).await, ["stubborn"]);
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut tasks = Tasks::default();
        tasks.worker("idle", std::future::pending());
        tasks.worker("broken", async { anyhow::bail!("no disk") });
        assert_eq!(
            format!("{:#}", tasks.ended().await),
            "broken failed: no disk"
        );
    }
}

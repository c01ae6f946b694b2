//! Control entries: what the node itself puts on record.

use bytes::Bytes;
use fedsx_core::entry::Control;
use fedsx_core::refusal::Refusal;
use fedsx_store::Answer;

use crate::{Node, fault};

impl Node {
    /// Appends a control entry without a payload; returns when it is durable.
    pub(crate) async fn control(&self, control: Control) -> Result<(), Refusal> {
        written([self.queue_control(control)?]).await
    }

    /// Queues a control entry without a payload.
    pub(crate) fn queue_control(&self, control: Control) -> Result<Answer, Refusal> {
        let writer = &self.0.writer;
        let queued = writer.control(control, Bytes::new(), self.now_ms());
        queued.map_err(fault::append)
    }
}

/// Waits for all that was queued: the disk is waited for once.
pub(crate) async fn written(queued: impl IntoIterator<Item = Answer>) -> Result<(), Refusal> {
    for answer in queued {
        answer.wait().await.map_err(fault::append)?;
    }
    Ok(())
}

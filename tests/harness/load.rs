//! Actors that write without pause, through whatever process serves their instance at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use fedsx_admin::client::Client;
use fedsx_admin::proto;

use super::{Contact, PATIENCE};

/// How often a writer whose server is down looks again.
const GLANCE: std::time::Duration = std::time::Duration::from_millis(10);

/// One actor that writes notes.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// Its instance.
    pub(crate) contact: Contact,
    /// Its name.
    pub(crate) name: String,
    /// Counts the notes answered, together with other writers.
    pub(crate) count: Arc<AtomicU32>,
}

impl Writer {
    /// Publishes a note until it is accepted, by one process or its successor. Each carries an
    /// idempotency key, so that one whose answer was lost with the process is not written twice.
    pub(crate) async fn write_whatever_happens(&self, number: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut client = None;
        loop {
            if client.is_none() {
                client = self.contact.client().await;
            }
            let failed = match &client {
                Some(client) => match self.write(client, number).await {
                    Ok(cid) => return cid,
                    Err(error) => error,
                },
                None => "nobody answers".to_owned(),
            };
            client = None;
            assert!(Instant::now() < deadline, "{}: {failed}", self.name);
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Publishes a note; its CID, or why there is none.
    pub(crate) async fn write(&self, client: &Client, number: usize) -> Result<String, String> {
        let document = format!(r#"{{"type":"Note","content":"{}"}}"#, self.text(number));
        let request = proto::PublishRequest {
            actor: self.name.clone(),
            document_json: document.into_bytes(),
            idempotency_key: Some(self.text(number)),
            ..Default::default()
        };
        let answer = client.publish(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(answer.published.expect("what was published").cid)
    }

    /// What the note of that number says.
    pub(crate) fn text(&self, number: usize) -> String {
        format!("{} {number}", self.name)
    }
}

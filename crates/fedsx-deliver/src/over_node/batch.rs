//! Several documents in one request, and the answers to each.

use bytes::Bytes;
use fedsx_core::batch::{Answer, read_answers, write};
use fedsx_core::limits::BATCH_ITEMS;
use fedsx_discovery::client::{BodyLimit, Request, TransportError};
use http::{HeaderMap, StatusCode, header};

use super::{MEDIA_TYPE, OverNode};
use crate::lane::Class;
use crate::outbound::{Answered, BatchParcel, Fault, Posted, PostedBatch};

/// How much of an answer to a batch is read, bytes.
const ANSWERS_BYTES: usize = BATCH_ITEMS * 2_048;

impl OverNode {
    pub(super) async fn send_batch(&self, parcel: BatchParcel) -> PostedBatch {
        let (request, documents) = match self.batch_request(&parcel) {
            Ok(both) => both,
            Err(fault) => return PostedBatch::Ours(fault.to_string()),
        };
        let count = documents.iter().flatten().count();
        if count == 0 {
            return PostedBatch::Answers(documents.iter().map(|_| Posted::Erased).collect());
        }
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_host_failure() => {
                let (why, retry_after_ms) = (error.to_string(), None);
                return PostedBatch::HostFailed {
                    why,
                    retry_after_ms,
                };
            }
            Err(error @ (TransportError::Busy { .. } | TransportError::Unsigned(_))) => {
                return PostedBatch::Ours(error.to_string());
            }
            Err(error) => return PostedBatch::Refused(error.to_string()),
        };
        let status = response.status;
        if Class::of(status.as_u16()) == Class::Host {
            let after_s = response.retry_after_s(self.node.now_ms());
            return PostedBatch::HostFailed {
                why: format!("answered {status} to a batch"),
                retry_after_ms: after_s.map(|seconds| i64::from(seconds) * 1_000),
            };
        }
        let answers = read_answers(&response.body, count);
        match answers.filter(|_| status == StatusCode::OK) {
            Some(answers) => {
                let mut answers = answers.into_iter();
                let posted = documents.iter().map(|document| match document {
                    None => Posted::Erased,
                    Some(_) => answers.next().map_or(Posted::Erased, posted),
                });
                PostedBatch::Answers(posted.collect())
            }
            None => PostedBatch::Refused(format!("answered {status}, and not each activity")),
        }
    }

    /// The request, signed by one of the senders, and the documents in it; nothing in the place of what is erased.
    fn batch_request(&self, parcel: &BatchParcel) -> Result<(Request, Vec<Option<Bytes>>), Fault> {
        let documents = parcel.digests.iter().map(|digest| self.document(digest));
        let documents: Vec<Option<Bytes>> = documents.collect::<Result<_, _>>()?;
        let body = write(documents.iter().flatten().map(|document| &document[..]));
        let signatory = self.node.signatory(&self.sender(parcel.actor)?);
        let signatory = signatory.map_err(|refusal| Fault::new("signing a batch", refusal))?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, MEDIA_TYPE)]);
        let limit = BodyLimit::Refuse(ANSWERS_BYTES);
        let request = Request::post(parcel.url.clone(), headers, body.into(), limit);
        Ok((request.signed_by(signatory), documents))
    }
}

fn posted(answer: Answer) -> Posted {
    let text = match (&answer.code, &answer.detail) {
        (Some(code), Some(detail)) => format!("{code}: {detail}"),
        (one, other) => one.clone().or_else(|| other.clone()).unwrap_or_default(),
    };
    Posted::Answer(Answered {
        status: answer.status,
        retry_after_ms: answer
            .retry_after_s
            .map(|seconds| i64::from(seconds) * 1_000),
        text,
    })
}

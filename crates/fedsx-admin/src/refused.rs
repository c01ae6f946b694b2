//! Refusals as gRPC statuses: the stable code travels in the metadata (`fedsx-code`) and, for
//! clients that read it, as a `google.rpc.ErrorInfo` in the status's details
//! (<https://google.aip.dev/193>). Internal causes are logged and never sent.

use std::collections::BTreeMap;
use std::fmt::Display;

use fedsx_core::refusal::{Code, Refusal};
use prost::Message as _;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

/// The metadata key of the stable code.
pub(crate) const CODE: &str = "fedsx-code";
/// The metadata key of the seconds after which another try makes sense.
pub(crate) const RETRY_AFTER: &str = "retry-after";
/// The domain of the reasons in `ErrorInfo`.
const DOMAIN: &str = "fed-sx";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// What was done, or the refusal, as it is answered.
pub(crate) fn answer<T>(outcome: Result<T, Refusal>) -> Result<Response<T>, Status> {
    outcome
        .map(Response::new)
        .map_err(|refusal| status(&refusal))
}

/// A refusal as a status.
pub(crate) fn status(refusal: &Refusal) -> Status {
    let code = grpc_code(refusal.code);
    let mut metadata = MetadataMap::new();
    if let Ok(code) = refusal.code_text().parse() {
        metadata.insert(CODE, code);
    }
    if let Some(seconds) = refusal.retry_after_s {
        metadata.insert(RETRY_AFTER, MetadataValue::from(seconds));
    }
    Status::with_details_and_metadata(
        code,
        &*refusal.detail,
        details(code, refusal).into(),
        metadata,
    )
}

fn details(code: tonic::Code, refusal: &Refusal) -> Vec<u8> {
    let retry = refusal
        .retry_after_s
        .map(|s| ("retry_after_s".to_owned(), s.to_string()));
    let info = ErrorInfo {
        reason: refusal.code_text().into_owned(),
        domain: DOMAIN.to_owned(),
        metadata: retry.into_iter().collect(),
    };
    RpcStatus {
        code: code as i32,
        message: refusal.detail.clone(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    }
    .encode_to_vec()
}

fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::RateLimited => tonic::Code::ResourceExhausted,
        Code::Blocked | Code::NotAuthorised => tonic::Code::PermissionDenied,
        Code::TokenRequired => tonic::Code::Unauthenticated,
        Code::NoSuchActor | Code::NotFound | Code::Gone => tonic::Code::NotFound,
        Code::Conflict => tonic::Code::AlreadyExists,
        Code::KeysUnresolved | Code::QueueFull | Code::ReadOnly => tonic::Code::Unavailable,
        Code::Internal => tonic::Code::Internal,
        Code::Equivocation
        | Code::BadSignature
        | Code::NoActiveKey
        | Code::Unresolvable
        | Code::TooFarBack => tonic::Code::FailedPrecondition,
        _ => tonic::Code::InvalidArgument,
    }
}

/// Our own failure: the cause goes to the log, the caller is told that there is one.
pub(crate) fn internal(cause: impl Display) -> Refusal {
    tracing::error!(%cause, "an admin request failed");
    Refusal::new(
        Code::Internal,
        "the server failed to answer; its log says why, under this request's id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_its_wait() {
        let refusal = Refusal::new(Code::QueueFull, "too much at once").retry_after(3);
        let status = status(&refusal);
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert_eq!(status.message(), "too much at once");
        assert_eq!(status.metadata().get(CODE).expect("the code"), "queue-full");
        assert_eq!(status.metadata().get(RETRY_AFTER).expect("the wait"), "3");
        let rpc = RpcStatus::decode(status.details()).expect("a google.rpc.Status");
        let info = ErrorInfo::decode(&*rpc.details[0].value).expect("an ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("queue-full", "fed-sx")
        );
        assert_eq!(info.metadata["retry_after_s"], "3");
    }

    #[test]
    fn every_code_has_a_status() {
        let table: Vec<String> = Code::ALL
            .into_iter()
            .map(|code| format!("{code} {:?}", grpc_code(code)))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}

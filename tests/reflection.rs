//! The admin API from the outside: a client that knows nothing but gRPC's reflection lists the
//! services and creates an actor.

use std::collections::BTreeSet;

use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::{Buf as _, BufMut as _, Bytes};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::Instance;

/// A client made at run time, of what the server says of itself.
struct Discovered {
    channel: Channel,
    token: String,
    pool: DescriptorPool,
}

impl Discovered {
    async fn of(instance: &Instance) -> Self {
        let (url, token) = instance.admin();
        let endpoint = Endpoint::from_shared(url).expect("a URL");
        let channel = endpoint.connect().await.expect("a connection");
        Self {
            channel,
            token,
            pool: DescriptorPool::new(),
        }
    }

    /// One question to the reflection service.
    async fn ask(&self, question: MessageRequest) -> MessageResponse {
        let mut client = ServerReflectionClient::new(self.channel.clone());
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let stream = tokio_stream::once(request);
        let answers = client.server_reflection_info(stream).await;
        let mut answers = answers.expect("reflection needs no token").into_inner();
        let answer = answers
            .message()
            .await
            .expect("an answer")
            .expect("an answer");
        answer.message_response.expect("an answer")
    }

    async fn services(&self) -> BTreeSet<String> {
        match self.ask(MessageRequest::ListServices(String::new())).await {
            MessageResponse::ListServicesResponse(list) => list
                .service
                .into_iter()
                .map(|service| service.name)
                .collect(),
            other => panic!("no list of services: {other:?}"),
        }
    }

    /// Learns the files that a service is described in.
    async fn learn(&mut self, service: &str) {
        let question = MessageRequest::FileContainingSymbol(service.to_owned());
        let MessageResponse::FileDescriptorResponse(files) = self.ask(question).await else {
            panic!("no description of {service}");
        };
        let mut files = files.file_descriptor_proto;
        // They come in any order: a file whose imports are not there yet waits for them.
        while !files.is_empty() {
            let before = files.len();
            files.retain(|file| {
                self.pool
                    .decode_file_descriptor_proto(file.as_slice())
                    .is_err()
            });
            if files.len() == before {
                self.import(&mut files).await;
            }
        }
    }

    /// Asks for the imports of files that came without them.
    async fn import(&self, files: &mut Vec<Vec<u8>>) {
        let mut missing = BTreeSet::new();
        for file in &*files {
            let file = prost_reflect::prost_types::FileDescriptorProto::decode(file.as_slice());
            missing.extend(file.expect("a description").dependency);
        }
        let known: BTreeSet<String> = self
            .pool
            .files()
            .map(|file| file.name().to_owned())
            .collect();
        let before = files.len();
        for name in missing.difference(&known) {
            let question = MessageRequest::FileByFilename(name.clone());
            if let MessageResponse::FileDescriptorResponse(found) = self.ask(question).await {
                files.extend(found.file_descriptor_proto);
            }
        }
        assert!(
            files.len() > before,
            "the files need others that are not served"
        );
    }

    /// Calls a method with members by name.
    async fn call(
        &self,
        method: &str,
        members: &[(&str, Value)],
        token: Option<&str>,
    ) -> Result<DynamicMessage, Status> {
        let (service, name) = method.split_once('/').expect("service/method");
        let service = self
            .pool
            .get_service_by_name(service)
            .expect("a known service");
        let method = service.methods().find(|method| method.name() == name);
        let method = method.expect("a known method");
        let mut message = DynamicMessage::new(method.input());
        for (member, value) in members {
            message.set_field_by_name(member, value.clone());
        }
        let mut request = Request::new(Bytes::from(message.encode_to_vec()));
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", bearer);
        }
        let path = format!("/{}/{name}", service.full_name());
        let path: PathAndQuery = path.parse().expect("a path");
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.expect("a connection");
        let answer = grpc.unary(request, path, Plain).await?;
        let decoded = DynamicMessage::decode(method.output(), answer.into_inner());
        Ok(decoded.expect("the message that was described"))
    }
}

/// Messages as bytes: what they mean is known at run time only.
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn text(message: &DynamicMessage, member: &str) -> String {
    let value = message.get_field_by_name(member).expect("a member");
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_built_from_reflection_creates_an_actor() {
    let a = Instance::start().await;
    let mut api = Discovered::of(&a).await;
    let services = api.services().await;
    for name in ["Activities", "Actors", "Deliveries", "Follows", "Instance"] {
        assert!(
            services.contains(&format!("fedsx.admin.v1.{name}")),
            "{services:?}"
        );
    }
    assert!(services.contains("grpc.health.v1.Health"), "{services:?}");
    for service in &services {
        if service.starts_with("fedsx.") || service.starts_with("grpc.health.") {
            api.learn(service).await;
        }
    }
    let members = [
        ("name", Value::String("alice".to_owned())),
        ("display_name", Value::String("Alice".to_owned())),
    ];
    let create = "fedsx.admin.v1.Actors/Create";
    let refused = api.call(create, &members, None).await;
    assert_eq!(refused.expect_err("no token").code(), Code::Unauthenticated);
    let created = api
        .call(create, &members, Some(&api.token))
        .await
        .expect("created");
    let actor = created.get_field_by_name("actor").expect("a member");
    let actor = actor.as_message().expect("an actor");
    assert_eq!(text(actor, "url"), a.actor_url("alice"));
    let served = a.web().get("/actors/alice").await.ok(crate::harness::AS2);
    assert_eq!(served["name"], "Alice");

    let again = api.call(create, &members, Some(&api.token)).await;
    assert_eq!(again.expect_err("she is there").code(), Code::AlreadyExists);
    let asked = [("service", Value::String("fedsx.admin.v1.Actors".to_owned()))];
    let health = api.call("grpc.health.v1.Health/Check", &asked, None).await;
    let health = health.expect("health needs no token");
    let status = health.get_field_by_name("status").expect("a member");
    assert_eq!(status.as_enum_number(), Some(1), "serving");
}

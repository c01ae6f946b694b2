//! A web that exists in a test: answers by URL, counted, behind a gate, with a clock to turn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fedsx_core::actor::{ActorKind, LocalActor};
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::key::{Ed25519Signer, KeyRecord};
use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use crate::client::{Request, Response, Transport, TransportError};
use crate::pool::{Fetcher, PoolOptions};

/// What a URL answers.
pub(crate) type Answer = Result<(StatusCode, &'static str, Vec<u8>), TransportError>;

#[derive(Debug)]
pub(crate) struct Web {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
    /// A permit is needed, and not used up, to get an answer.
    pub(crate) gate: Semaphore,
    now_ms: AtomicI64,
}

impl Web {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
            gate: Semaphore::new(1),
            now_ms: AtomicI64::new(1_767_225_600_000),
        })
    }

    pub(crate) fn fetcher(self: &Arc<Self>, options: PoolOptions) -> Arc<Fetcher> {
        let web = Arc::clone(self);
        let clock = Arc::new(move || web.now_ms.load(Ordering::Relaxed));
        Arc::new(Fetcher::new(self.clone(), options, clock))
    }

    pub(crate) fn set(&self, url: &str, answer: Answer) {
        let mut answers = self.answers.lock().expect("no panic inside");
        answers.insert(url.to_owned(), answer);
    }

    pub(crate) fn serve(&self, url: &str, document: Map) {
        let bytes = write(Notation::Json, &Value::Map(document));
        self.set(
            url,
            Ok((StatusCode::OK, "application/activity+json", bytes)),
        );
    }

    pub(crate) fn fail(&self, url: &str) {
        self.set(url, Err(TransportError::Connect("refused".to_owned())));
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The URLs asked for since the last look.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic inside"))
    }
}

impl Transport for Web {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let url = request.url.split('#').next().unwrap_or_default().to_owned();
            self.asked
                .lock()
                .expect("no panic inside")
                .push(url.clone());
            let _permit = self.gate.acquire().await.expect("an open gate");
            let answer = self
                .answers
                .lock()
                .expect("no panic inside")
                .get(&url)
                .cloned();
            let (status, media_type, body) =
                answer.unwrap_or(Ok((StatusCode::NOT_FOUND, "text/plain", Vec::new())))?;
            let media_type = HeaderValue::from_static(media_type);
            Ok(Response {
                status,
                headers: HeaderMap::from_iter([(CONTENT_TYPE, media_type)]),
                body: Bytes::from(body),
                final_url: url,
            })
        })
    }
}

/// The document of an actor with one key made from `seed`.
pub(crate) fn actor_document(base_url: &str, name: &str, seed: u8) -> Map {
    let instance = Instance::new(base_url).expect("a base URL");
    let name = ActorName::parse(name).expect("a name");
    let actor = instance.actor_url(name.as_str());
    let key = KeyRecord {
        id: format!("{actor}#ed25519-{seed}"),
        key: Ed25519Signer::new("", &[seed; 32]).public_key(),
        created_ms: None,
        superseded_ms: None,
        superseded_by: None,
    };
    LocalActor {
        instance: &instance,
        name: &name,
        kind: ActorKind::Person,
        display_name: None,
        summary: None,
        manually_approves: false,
        keys: &[key],
        rsa_pem: None,
        published_ms: 1_767_225_600_000,
    }
    .document()
}

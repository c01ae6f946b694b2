//! A peer that is no instance of ours: actors whose keys the test holds, served by the test itself,
//! so that it can sign whatever it wants.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fedsx_core::actor::{ActorKind, LocalActor, ed25519_key_id};
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::context;
use fedsx_core::key::{Ed25519Signer, KeyRecord};
use fedsx_core::notation::{Notation, write};
use fedsx_core::proof;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use tokio::task::JoinSet;

use super::web::AS2;

/// A host with actors. What is delivered to it is taken and forgotten; it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    instance: Instance,
    signers: BTreeMap<String, Ed25519Signer>,
    _served: JoinSet<()>,
}

impl Stranger {
    /// A host with these actors.
    pub(crate) fn start(names: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let instance = Instance::new(&format!("http://{address}")).expect("a base URL");
        let mut signers = BTreeMap::new();
        let mut documents = BTreeMap::new();
        for (name, seed) in names.iter().zip(1_u8..) {
            let url = instance.actor_url(name);
            let signer = Ed25519Signer::new(ed25519_key_id(&url, 1), &[seed; 32]);
            documents.insert((*name).to_owned(), document(&instance, name, &signer));
            signers.insert((*name).to_owned(), signer);
        }
        let router = Router::new()
            .route("/actors/{name}", get(actor))
            .route("/inbox", post(|| async { StatusCode::ACCEPTED }))
            .with_state(documents);
        let mut served = JoinSet::new();
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        served.spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            instance,
            signers,
            _served: served,
        }
    }

    pub(crate) fn actor_url(&self, name: &str) -> String {
        self.instance.actor_url(name)
    }

    /// The document with a proof by an actor's key.
    pub(crate) fn proved(&self, name: &str, document: &Map) -> Map {
        proof::sign(document, &self.signers[name], now_ms())
    }

    /// [`Self::proved`], as JSON.
    pub(crate) fn signed(&self, name: &str, document: &Map) -> Vec<u8> {
        write(Notation::Json, &Value::Map(self.proved(name, document)))
    }
}

/// An activity without its proof: `number` makes its id.
pub(crate) fn activity(actor: &str, number: u32, verb: &str, object: impl Into<Value>) -> Map {
    let id = format!("{actor}/activities/019b76da-a800-7000-8000-{number:012}");
    Map::from([
        ("@context", context::of_activity()),
        ("id", Value::from(id)),
        ("type", Value::from(verb)),
        ("actor", Value::from(actor)),
        ("published", Value::from(format_rfc3339_ms(now_ms()))),
        ("object", object.into()),
    ])
}

fn document(instance: &Instance, name: &str, signer: &Ed25519Signer) -> Vec<u8> {
    let name = ActorName::parse(name).expect("a name");
    let key = KeyRecord {
        id: ed25519_key_id(&instance.actor_url(name.as_str()), 1),
        key: signer.public_key(),
        created_ms: None,
        superseded_ms: None,
        superseded_by: None,
    };
    let actor = LocalActor {
        instance,
        name: &name,
        kind: ActorKind::Person,
        display_name: None,
        summary: None,
        manually_approves: false,
        keys: &[key],
        rsa_pem: None,
        published_ms: 1_767_225_600_000,
    };
    write(Notation::Json, &Value::Map(actor.document()))
}

async fn actor(
    Path(name): Path<String>,
    State(documents): State<BTreeMap<String, Vec<u8>>>,
) -> Response {
    match documents.get(&name) {
        Some(document) => ([(header::CONTENT_TYPE, AS2)], document.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_millis()).expect("this era")
}

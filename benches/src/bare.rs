//! The yardstick: a handler that reads, parses, canonicalises, hashes and verifies with a key at hand,
//! and keeps nothing. It verifies as the library does, or by multiples of the key, as the server does with
//! one that signs often.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use fedsx_core::envelope::Document;
use fedsx_core::key::PublicKey;
use fedsx_core::limits;
use fedsx_core::notation::Notation;
use fedsx_core::proof::{self, Presented};
use tokio::net::TcpListener;

/// The key, as the server has it and as the library has it.
struct Key {
    ours: PublicKey,
    dalek: VerifyingKey,
    by_dalek: bool,
}

/// Serves until it is killed; prints its port first.
pub(crate) fn run(key: &str, by_dalek: bool) -> anyhow::Result<()> {
    let ours = PublicKey::parse(key).context("no key")?;
    let dalek = VerifyingKey::from_bytes(ours.as_bytes()).context("no key")?;
    let key = Key {
        ours,
        dalek,
        by_dalek,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no free port")?;
        println!("{}", listener.local_addr().context("it is bound")?.port());
        std::io::stdout().flush().context("nobody reads")?;
        let router = Router::new()
            .route("/inbox", post(verify))
            .with_state(Arc::new(key));
        axum::serve(listener, router).await.context("can't serve")
    })
}

async fn verify(
    State(key): State<Arc<Key>>,
    body: Bytes,
) -> Result<(StatusCode, String), (StatusCode, String)> {
    let refused = |why: String| (StatusCode::BAD_REQUEST, why);
    let document = Document::read(Notation::Json, body, limits::DOCUMENT_IN_BYTES)
        .map_err(|refusal| refused(refusal.to_string()))?;
    let proofs = proof::examine(&document.map);
    let Some(Presented::Verifiable(proof)) = proofs.first() else {
        return Err(refused("no proof".to_owned()));
    };
    let verified = if key.by_dalek {
        let (message, signature) = proof.signed(&document.digest);
        let signature = Signature::from_bytes(signature);
        key.dalek.verify_strict(&message, &signature).is_ok()
    } else {
        proof.verify(&document.digest, &key.ours).is_ok()
    };
    if !verified {
        return Err(refused("another's proof".to_owned()));
    }
    let answer = format!("{{\"cid\":\"{}\",\"status\":\"accepted\"}}", document.cid());
    Ok((StatusCode::ACCEPTED, answer))
}

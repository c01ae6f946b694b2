//! Data Integrity proofs of the suite `eddsa-jcs-2022`: making one, and judging those received.
//!
//! The document's half of what is signed is the digest inside its CID, so it comes in as an
//! argument and is hashed once. A received proof is hashed as received, without `proofValue` and
//! with nothing put in. Whose key it must be, and of which time, is for `evidence` to say.
//! Deliberately absent: other suites, proof chains, fetching a context.
//!
//! Specs: W3C VC Data Integrity EdDSA Cryptosuites 1.0 section 3.3, FEP-8b32; design, section 3.

use fedsx_sx::data::{Map, Str, Value};

use crate::canonical::{document_bytes, jcs_map};
use crate::cid::Digest;
use crate::key::{PublicKey, Signer};
use crate::limits;
use crate::refusal::{Code, Refusal};
use crate::time::{format_rfc3339_s, parse_rfc3339_ms};

/// The one suite made and verified here.
pub const CRYPTOSUITE: &str = "eddsa-jcs-2022";
/// The `type` of every Data Integrity proof.
pub const PROOF_TYPE: &str = "DataIntegrityProof";

const PURPOSE: &str = "assertionMethod";
/// Base58 digits that 64 bytes take at most.
const VALUE_DIGITS: usize = 88;

/// The document with a proof by `signer`, in the place of any it had.
#[must_use]
pub fn sign(document: &Map, signer: &dyn Signer, created_ms: i64) -> Map {
    let digest = Digest::of(&document_bytes(document));
    sign_digest(document, &digest, signer, created_ms)
}

/// As [`sign`], for a document whose canonical form is already hashed.
#[must_use]
pub fn sign_digest(document: &Map, digest: &Digest, signer: &dyn Signer, created_ms: i64) -> Map {
    let mut proof = Map::from([
        ("type", Value::from(PROOF_TYPE)),
        ("cryptosuite", CRYPTOSUITE.into()),
        ("created", format_rfc3339_s(created_ms).into()),
        ("verificationMethod", signer.key_id().into()),
        ("proofPurpose", PURPOSE.into()),
    ]);
    if let Some(context) = document.get("@context") {
        proof.insert("@context", context.clone());
    }
    let signature = signer.sign(&signed_bytes(&Digest::of(&jcs_map(&proof)), digest));
    let value = format!("z{}", bs58::encode(signature).into_string());
    proof.insert("proofValue", value);
    let mut signed = document.clone();
    signed.insert("proof", proof);
    signed
}

/// One proof of a received document.
#[derive(Clone, Debug)]
pub enum Presented {
    /// Well-formed: its key decides.
    Verifiable(Verifiable),
    /// Counts as no proof: the next means of authentication is tried.
    Ignored(Ignored),
    /// Can never verify.
    Bad {
        /// The key it names, if it names one.
        verification_method: Option<Str>,
        /// What is wrong with it.
        why: BadProof,
    },
}

impl Presented {
    /// The key id the proof names; `None` where it names none or is ignored.
    #[must_use]
    pub fn verification_method(&self) -> Option<&str> {
        match self {
            Self::Verifiable(proof) => Some(proof.verification_method()),
            Self::Ignored(_) => None,
            Self::Bad {
                verification_method,
                ..
            } => verification_method.as_deref(),
        }
    }
}

/// Why a proof counts as none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ignored {
    /// It is no `DataIntegrityProof`, or one of another suite.
    UnknownSuite,
    /// Its `@context` is not the document's, so someone may have extended the document's meaning.
    OtherContext,
}

/// What makes a proof of our suite a bad one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadProof {
    /// A link of a chain.
    #[error("a proof with `previousProof` is refused")]
    PreviousProof,
    /// `proofPurpose` is missing or another.
    #[error("`proofPurpose` must be `assertionMethod`")]
    Purpose,
    /// `verificationMethod` is missing, no string, or too long.
    #[error("`verificationMethod` must be a key id")]
    VerificationMethod,
    /// `created` is there but no instant.
    #[error("`created` must be an RFC 3339 time")]
    Created,
    /// `proofValue` is missing or malformed.
    #[error("`proofValue` must be `z` and 64 bytes in base58btc")]
    Value,
    /// The signature is not the key's over this document and proof.
    #[error("the proof does not verify: the document, the proof or the key is another")]
    Signature,
}

impl From<BadProof> for Refusal {
    fn from(why: BadProof) -> Self {
        Self::new(Code::BadSignature, why.to_string())
    }
}

/// A well-formed proof of our suite, not verified yet.
#[derive(Clone, Debug)]
pub struct Verifiable {
    verification_method: Str,
    created_ms: Option<i64>,
    config: Digest,
    value: [u8; 64],
}

impl Verifiable {
    /// The key id the proof names.
    #[must_use]
    pub fn verification_method(&self) -> &str {
        &self.verification_method
    }

    /// When it says it was made, Unix milliseconds.
    #[must_use]
    pub fn created_ms(&self) -> Option<i64> {
        self.created_ms
    }

    /// What an Ed25519 key signed, if the proof is its own, and the signature.
    #[must_use]
    pub fn signed(&self, document: &Digest) -> ([u8; 64], &[u8; 64]) {
        (signed_bytes(&self.config, document), &self.value)
    }

    /// Verifies the proof against the digest of the document's canonical form.
    ///
    /// # Errors
    /// The signature is not `key`'s over this document and this proof.
    pub fn verify(&self, document: &Digest, key: &PublicKey) -> Result<(), BadProof> {
        let (message, signature) = self.signed(document);
        if key.verifies(&message, signature) {
            Ok(())
        } else {
            Err(BadProof::Signature)
        }
    }
}

/// The proofs of a document, at most [`limits::PROOFS`] of them; none where `proof` is absent.
#[must_use]
pub fn examine(document: &Map) -> Vec<Presented> {
    let Some(proofs) = document.get("proof") else {
        return Vec::new();
    };
    let context = document.get("@context");
    let looked_at = proofs.items().take(limits::PROOFS);
    looked_at.map(|proof| examine_one(proof, context)).collect()
}

fn examine_one(proof: &Value, context: Option<&Value>) -> Presented {
    let text = |member| proof.get(member).and_then(Value::as_str);
    let (Some(proof), Some(PROOF_TYPE), Some(CRYPTOSUITE)) =
        (proof.as_map(), text("type"), text("cryptosuite"))
    else {
        return Presented::Ignored(Ignored::UnknownSuite);
    };
    let own_context = proof.get("@context");
    if own_context.is_some() && own_context != context {
        return Presented::Ignored(Ignored::OtherContext);
    }
    match read(proof) {
        Ok(proof) => Presented::Verifiable(proof),
        Err(why) => Presented::Bad {
            verification_method: method(proof).cloned(),
            why,
        },
    }
}

fn method(proof: &Map) -> Option<&Str> {
    match proof.get("verificationMethod") {
        Some(Value::Str(id)) if id.len() <= limits::URL_BYTES => Some(id),
        _ => None,
    }
}

fn read(proof: &Map) -> Result<Verifiable, BadProof> {
    if proof.contains_key("previousProof") {
        return Err(BadProof::PreviousProof);
    }
    if proof.get("proofPurpose").and_then(Value::as_str) != Some(PURPOSE) {
        return Err(BadProof::Purpose);
    }
    let verification_method = method(proof).ok_or(BadProof::VerificationMethod)?.clone();
    let created_ms = match proof.get("created") {
        None => None,
        Some(created) => {
            let instant = created.as_str().and_then(parse_rfc3339_ms);
            Some(instant.ok_or(BadProof::Created)?)
        }
    };
    let value = proof.get("proofValue").and_then(Value::as_str);
    let value = value.and_then(read_value).ok_or(BadProof::Value)?;
    let mut config = proof.clone();
    config.remove("proofValue");
    Ok(Verifiable {
        verification_method,
        created_ms,
        config: Digest::of(&jcs_map(&config)),
        value,
    })
}

fn read_value(text: &str) -> Option<[u8; 64]> {
    let digits = text.strip_prefix('z')?;
    if digits.len() > VALUE_DIGITS {
        return None;
    }
    let mut value = [0; 64];
    let written = bs58::decode(digits).onto(&mut value).ok()?;
    (written == value.len()).then_some(value)
}

/// What Ed25519 signs: the proof's digest, then the document's.
fn signed_bytes(config: &Digest, document: &Digest) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(config.as_bytes());
    bytes[32..].copy_from_slice(document.as_bytes());
    bytes
}

//! How an activity is known to be its actor's: the only constructors of [`Verified`] (design,
//! sections 3 and 9.3).
//!
//! Means, in order: a valid proof by a key of the owner, an HTTP signature by the owner, the document
//! as its origin serves it. A proof that is present and fails ends it: there is no fallback from a
//! forgery. What is missing comes back as a [`Need`]; nothing is fetched here.

use crate::actor::PeerActor;
use crate::address::same_origin;
use crate::entry::Authenticated;
use crate::envelope::{Document, Envelope};
use crate::http_signature::{self, HttpKey, RequestHead};
use crate::key::{Commitment, KeyRecord};
use crate::proof::{self, Presented, Verifiable};
use crate::refusal::{Code, Refusal};

/// An activity that is known to be its actor's.
#[derive(Clone, Debug)]
pub struct Verified {
    document: Document,
    envelope: Envelope,
    authenticated: Authenticated,
    key: Option<String>,
}

impl Verified {
    /// The document.
    #[must_use]
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// Its envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// By what it was authenticated.
    #[must_use]
    pub const fn authenticated(&self) -> Authenticated {
        self.authenticated
    }

    /// The key that did, as a Multikey or an RSA key id.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// An activity made and signed here.
    #[must_use]
    pub fn local(document: Document, envelope: Envelope, key: String) -> Self {
        Self {
            document,
            envelope,
            authenticated: Authenticated::Local,
            key: Some(key),
        }
    }
}

/// Something that has to be fetched before judging goes on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Need {
    /// An actor's document.
    Actor(String),
    /// An actor's document anew, because it has no such key, or the key it has does not verify.
    Key {
        /// The actor.
        actor: String,
        /// The key id.
        key_id: String,
    },
    /// The document as its origin serves it.
    Origin(String),
    /// The same, as the second witness of what a superseded key signed.
    Witness(String),
    /// The document of an actor anew, because it does not say that it is another as well.
    Alias {
        /// The actor.
        actor: String,
        /// The other, which should be in its `alsoKnownAs`.
        other: String,
    },
}

/// The delivery that brought a document.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The request line and headers, with our own authority; none for what was fetched.
    pub head: Option<&'a RequestHead<'a>>,
    /// Whether the document was fetched from its `id`.
    pub from_origin: bool,
    /// Whether the owner's document was fetched anew for the key already.
    pub refreshed: bool,
    /// Now, Unix milliseconds.
    pub now_ms: i64,
}

/// What authentication came to.
#[derive(Clone, Debug)]
pub enum Judged {
    /// It is the actor's.
    Verified(Box<Verified>),
    /// Something has to be fetched first.
    Need(Need),
}

/// Judges whether `document` is its actor's. `owner` is the actor's document, when it is known.
///
/// # Errors
/// `bad-signature` or `no-active-key`.
pub fn authenticate(
    document: Document,
    envelope: Envelope,
    owner: Option<&PeerActor>,
    delivery: Delivery<'_>,
) -> Result<Judged, Refusal> {
    let claims = Claims {
        document: &document,
        envelope: &envelope,
        owner,
        delivery,
    };
    let (authenticated, key) = match claims.by_proof()? {
        Found::Key(key) => (Authenticated::Proof, Some(key)),
        Found::Need(need) => return Ok(Judged::Need(need)),
        Found::Nothing => match claims.by_http_signature()? {
            Found::Key(key) => (Authenticated::HttpSignature, Some(key)),
            Found::Need(need) => return Ok(Judged::Need(need)),
            Found::Nothing if delivery.from_origin => (Authenticated::Origin, None),
            Found::Nothing => return Ok(Judged::Need(Need::Origin(envelope.id))),
        },
    };
    Ok(Judged::Verified(Box::new(Verified {
        document,
        envelope,
        authenticated,
        key,
    })))
}

/// What an actor commits to from here on, by the `Update` in which it revealed the key that it had committed to:
/// known to be that key's by its proof. `owner` is the actor's document as it is now.
///
/// # Errors
/// `bad-signature`, `envelope`, or `not-authorised` when it is no recovery.
pub fn recovered(
    update: &Document,
    owner: &PeerActor,
    before: &Commitment,
) -> Result<Commitment, Refusal> {
    let envelope = Envelope::of(&update.map)?;
    let published_ms = envelope
        .published_ms
        .ok_or_else(|| bad("a recovery needs `published`"))?;
    let said = envelope.object.embedded().map(PeerActor::parse);
    let said = match said {
        Some(Ok(said)) if envelope.verb == "Update" && said.id == owner.id => said,
        _ => {
            return Err(bad(
                "what is said to be a recovery is no `Update` of its actor",
            ));
        }
    };
    let (next, key) = said.recovers(before, &envelope.id, published_ms)?;
    let is_same = owner.revealed(before).is_some_and(|listed| listed == key);
    if envelope.actor != owner.id || !is_same {
        return Err(bad(
            "the recovery is another than the actor's document says",
        ));
    }
    let mut proofs = proof::examine(&update.map).into_iter();
    let by_key = proofs.any(|presented| match presented {
        Presented::Verifiable(proof) => {
            proof.verification_method() == key.id && proof.verify(&update.digest, &key.key).is_ok()
        }
        _ => false,
    });
    match by_key {
        true => Ok(next),
        false => Err(bad("the recovery has no proof by the recovery key")),
    }
}

enum Found {
    Key(String),
    Need(Need),
    Nothing,
}

struct Claims<'a> {
    document: &'a Document,
    envelope: &'a Envelope,
    owner: Option<&'a PeerActor>,
    delivery: Delivery<'a>,
}

impl Claims<'_> {
    fn by_proof(&self) -> Result<Found, Refusal> {
        let presented = proof::examine(&self.document.map);
        let counted: Vec<_> = presented
            .iter()
            .filter(|proof| !matches!(proof, Presented::Ignored(_)))
            .collect();
        if counted.is_empty() {
            return Ok(Found::Nothing);
        }
        self.required_of_proved()?;
        let mut refusal = bad("every proof is by a key of another origin");
        for proof in counted {
            let ours = proof
                .verification_method()
                .is_none_or(|method| same_origin(method, &self.envelope.actor));
            match proof {
                _ if !ours => {}
                Presented::Bad { why, .. } => refusal = (*why).into(),
                Presented::Ignored(_) => {}
                Presented::Verifiable(proof) => match self.verify(proof) {
                    Ok(found) => return Ok(found),
                    Err(why) => refusal = why,
                },
            }
        }
        Err(refusal)
    }

    /// What an activity with a proof must have besides (design, section 3).
    fn required_of_proved(&self) -> Result<(), Refusal> {
        let context = self.document.map.get("@context");
        if context.and_then(crate::value::Value::as_list).is_none() {
            return Err(Refusal::new(
                Code::Envelope,
                "a proved activity needs `@context`, an array",
            ));
        }
        if self.envelope.published_ms.is_none() {
            return Err(Refusal::new(
                Code::Envelope,
                "a proved activity needs `published`",
            ));
        }
        Ok(())
    }

    fn verify(&self, proof: &Verifiable) -> Result<Found, Refusal> {
        let Some(owner) = self.owner else {
            return Ok(Found::Need(Need::Actor(self.envelope.actor.clone())));
        };
        let key_id = proof.verification_method();
        let Some(key) = owner.find_key(key_id) else {
            return self.refresh_or(key_id, bad("the actor's document has no such key"));
        };
        if let Err(why) = proof.verify(&self.document.digest, &key.key) {
            return self.refresh_or(key_id, why.into());
        }
        let published_ms = self.envelope.published_ms.unwrap_or(self.delivery.now_ms);
        if !key.valid_at(published_ms, &self.envelope.id) {
            let why = "the key was not the actor's at the time of `published`";
            return self.refresh_or(key_id, Refusal::new(Code::NoActiveKey, why));
        }
        if key.is_current() {
            return Ok(Found::Key(key.key.multibase().to_owned()));
        }
        self.second_witness(key)
    }

    /// A superseded key may have been stolen and its signatures back-dated: what is first seen now
    /// must also come under a current key, or be what the origin serves.
    fn second_witness(&self, key: &KeyRecord) -> Result<Found, Refusal> {
        let by_key = || Ok(Found::Key(key.key.multibase().to_owned()));
        if self.delivery.from_origin {
            return by_key();
        }
        match self.by_http_signature() {
            Ok(Found::Key(_)) => by_key(),
            // The present key may be newer than the document at hand.
            Ok(Found::Need(need)) => Ok(Found::Need(need)),
            // A signature that fails stands for nothing, and takes nothing away either.
            Ok(Found::Nothing) | Err(_) => Ok(Found::Need(Need::Witness(self.envelope.id.clone()))),
        }
    }

    fn by_http_signature(&self) -> Result<Found, Refusal> {
        let Some(head) = self.delivery.head else {
            return Ok(Found::Nothing);
        };
        let presented = match http_signature::present(head) {
            Ok(Some(presented)) => presented,
            Ok(None) => return Ok(Found::Nothing),
            Err(why) => return Err(why.into()),
        };
        let key_id = presented.key_id();
        if !same_origin(key_id, &self.envelope.actor) {
            // Somebody else's delivery of this document proves nothing about its actor.
            return Ok(Found::Nothing);
        }
        let body = Some(&*self.document.bytes);
        // What needs no key is judged first, so that nothing is fetched for a request that can't pass.
        http_signature::check(&presented, head, body, self.delivery.now_ms)
            .map_err(Refusal::from)?;
        let Some(owner) = self.owner else {
            return Ok(Found::Need(Need::Actor(self.envelope.actor.clone())));
        };
        let Some((key, name)) = http_key(owner, key_id) else {
            return self.refresh_or(key_id, bad("the actor's document has no such key"));
        };
        match http_signature::verify(&presented, head, body, &key, self.delivery.now_ms) {
            Ok(()) => Ok(Found::Key(name)),
            Err(why) if why.blames_key() => self.refresh_or(key_id, why.into()),
            Err(why) => Err(why.into()),
        }
    }

    /// A key that is missing or fails may have been replaced: the owner's document is fetched anew
    /// once before it is refused.
    fn refresh_or(&self, key_id: &str, refusal: Refusal) -> Result<Found, Refusal> {
        if self.delivery.refreshed {
            return Err(refusal);
        }
        let actor = self.envelope.actor.clone();
        Ok(Found::Need(Need::Key {
            actor,
            key_id: key_id.to_owned(),
        }))
    }
}

/// The owner's key of that id which may sign a request now.
pub(crate) fn http_key(owner: &PeerActor, key_id: &str) -> Option<(HttpKey, String)> {
    if let Some(rsa) = owner.find_rsa_key(key_id) {
        return Some((HttpKey::Rsa(rsa.clone()), key_id.to_owned()));
    }
    let key = owner.find_key(key_id).filter(|key| key.is_current())?;
    Some((
        HttpKey::Ed25519(key.key.clone()),
        key.key.multibase().to_owned(),
    ))
}

fn bad(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadSignature, detail)
}

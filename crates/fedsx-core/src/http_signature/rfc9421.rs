//! HTTP Message Signatures, RFC 9421: requests, with components that have no parameters.
//!
//! The signature base is built from our own view of the request, so a signature made for another
//! host or path does not verify. Deliberately absent: `@query-param`, `@status`, component
//! parameters (`sf`, `key`, `bs`, `req`, `tr`) and responses; a signature that uses one is refused.

use http::header::HeaderName;
use sfv::{
    BareItem, Dictionary, InnerList, Item, ListEntry, ListSerializer, Parser, StringRef, key_ref,
};

use super::digest::content_digest;
use super::signed::{SignError, SignedHeaders, requested};
use super::{
    Algorithm, COMPONENTS, Covered, LABELS, Presented, RequestHead, SIGNATURE, SIGNATURE_INPUT,
    SignatureError, key_id,
};
use crate::key::Signer;

const CONTENT_DIGEST: &str = "content-digest";
/// The label of signatures made here.
const LABEL: &str = "sig1";

/// A covered component without parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Component {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    Field(String),
}

/// The covered components, and the value of `@signature-params`.
#[derive(Clone, Debug)]
pub(super) struct Components {
    list: Vec<Component>,
    params: String,
}

/// The signatures listed, in order, each with its own fault; at most [`LABELS`].
pub(super) fn parse(
    input: &str,
    signature: &str,
) -> Result<Vec<Result<Presented, SignatureError>>, SignatureError> {
    let malformed = |why| move |_| SignatureError::Malformed(why);
    let inputs: Dictionary = Parser::new(input)
        .parse()
        .map_err(malformed("`Signature-Input` is no dictionary"))?;
    let signatures: Dictionary = Parser::new(signature)
        .parse()
        .map_err(malformed("`Signature` is no dictionary"))?;
    let labels = inputs.iter().take(LABELS);
    Ok(labels
        .map(|(label, entry)| read(entry, signatures.get(label)))
        .collect())
}

fn read(entry: &ListEntry, signature: Option<&ListEntry>) -> Result<Presented, SignatureError> {
    let ListEntry::InnerList(list) = entry else {
        return Err(SignatureError::Malformed("a signature's input is no list"));
    };
    let signature = match signature {
        Some(ListEntry::Item(item)) => item.bare_item.as_byte_sequence(),
        _ => None,
    };
    let signature =
        signature.ok_or(SignatureError::Malformed("a signature's bytes are missing"))?;
    let text = |name| match list.params.get(name) {
        None => Ok(None),
        Some(value) => {
            let text = value.as_string().map(StringRef::as_str);
            let why = "a parameter is no string";
            text.map(Some).ok_or(SignatureError::Malformed(why))
        }
    };
    let seconds = |name| match list.params.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_integer().map(i64::from);
            let why = "a time is no integer";
            seconds.map(Some).ok_or(SignatureError::Malformed(why))
        }
    };
    let algorithm = match text("alg")? {
        None => None,
        Some("ed25519") => Some(Algorithm::Ed25519),
        Some("rsa-v1_5-sha256") => Some(Algorithm::RsaSha256),
        Some(_) => return Err(SignatureError::UnsupportedAlgorithm),
    };
    let signer = text("keyid")?.ok_or(SignatureError::Malformed("`keyid` is missing"))?;
    Ok(Presented {
        key_id: key_id(signer)?,
        algorithm,
        created_s: seconds("created")?,
        expires_s: seconds("expires")?,
        signature: signature.to_vec(),
        covered: Covered::Rfc9421(Components::of(list)?),
    })
}

impl Components {
    fn of(list: &InnerList) -> Result<Self, SignatureError> {
        if list.items.len() > COMPONENTS {
            return Err(SignatureError::TooLarge);
        }
        let mut components = Vec::with_capacity(list.items.len());
        for item in &list.items {
            let component = Component::of(item)?;
            if components.contains(&component) {
                return Err(SignatureError::Malformed("a component is covered twice"));
            }
            components.push(component);
        }
        Ok(Self {
            list: components,
            params: serialise(list),
        })
    }

    fn covers(&self, component: &Component) -> bool {
        self.list.contains(component)
    }

    /// Whether the header of that name is signed.
    pub(super) fn covers_field(&self, name: &str) -> bool {
        self.list
            .iter()
            .any(|have| matches!(have, Component::Field(field) if field == name))
    }

    /// What must be signed for the signature to bind the request.
    pub(super) fn check_coverage(
        &self,
        presented: &Presented,
        head: &RequestHead<'_>,
        digest: bool,
    ) -> Result<(), SignatureError> {
        let has_query = head.path_and_query.contains('?');
        let whole = self.covers(&Component::TargetUri);
        let authority = self.covers(&Component::Authority) || self.covers_field("host");
        let path = self.covers(&Component::Path) && (!has_query || self.covers(&Component::Query));
        let path = path || self.covers(&Component::RequestTarget);
        for (covered, what) in [
            (self.covers(&Component::Method), "`@method`"),
            (whole || authority, "`@target-uri` or `@authority`"),
            (whole || path, "`@target-uri`, or `@path` and `@query`"),
            (presented.created_s.is_some(), "its time, in `created`"),
            (
                !digest || self.covers_field("content-digest"),
                "`content-digest`",
            ),
        ] {
            if !covered {
                return Err(SignatureError::NotCovered(what));
            }
        }
        Ok(())
    }

    /// The signature base (section 2.5).
    pub(super) fn base(&self, head: &RequestHead<'_>) -> Result<String, SignatureError> {
        let mut base = String::with_capacity(512);
        for component in &self.list {
            let value = component.value(head)?;
            push_line(&mut base, component.name(), &value);
        }
        push_params(&mut base, &self.params);
        Ok(base)
    }
}

impl Component {
    fn of(item: &Item) -> Result<Self, SignatureError> {
        let name = item.bare_item.as_string().map(StringRef::as_str);
        let name = name.ok_or(SignatureError::Malformed("a component is no string"))?;
        let unsupported = || SignatureError::UnsupportedComponent(name.to_owned());
        if !item.params.is_empty() {
            return Err(unsupported());
        }
        Ok(match name {
            "@method" => Self::Method,
            "@target-uri" => Self::TargetUri,
            "@authority" => Self::Authority,
            "@scheme" => Self::Scheme,
            "@request-target" => Self::RequestTarget,
            "@path" => Self::Path,
            "@query" => Self::Query,
            field => {
                // A field's name is a token in lower case, which no derived component's is.
                let token = HeaderName::try_from(field).map_err(|_| unsupported())?;
                if token.as_str() != field {
                    return Err(unsupported());
                }
                Self::Field(field.to_owned())
            }
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Method => "@method",
            Self::TargetUri => "@target-uri",
            Self::Authority => "@authority",
            Self::Scheme => "@scheme",
            Self::RequestTarget => "@request-target",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::Field(name) => name,
        }
    }

    fn value(&self, head: &RequestHead<'_>) -> Result<String, SignatureError> {
        let target = head.path_and_query;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(match self {
            Self::Method => head.method.to_owned(),
            Self::TargetUri => format!("{}{target}", head.origin.as_str()),
            Self::Authority => head.origin.authority().to_owned(),
            Self::Scheme if head.origin.is_https() => "https".to_owned(),
            Self::Scheme => "http".to_owned(),
            Self::RequestTarget => target.to_owned(),
            Self::Path if path.is_empty() => "/".to_owned(),
            Self::Path => path.to_owned(),
            Self::Query => format!("?{query}"),
            Self::Field(name) => head.field(name)?,
        })
    }
}

fn push_line(base: &mut String, name: &str, value: &str) {
    base.push('"');
    base.push_str(name);
    base.push_str("\": ");
    base.push_str(value);
    base.push('\n');
}

fn push_params(base: &mut String, params: &str) {
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
}

/// The canonical text of an inner list with its parameters.
fn serialise(list: &InnerList) -> String {
    let mut serialiser = ListSerializer::new();
    let mut inner = serialiser.inner_list();
    inner.items(&list.items);
    inner.finish().parameters(&list.params);
    serialiser
        .finish()
        .expect("a list of one member has a text")
}

/// Signs a request with Ed25519 over `@method`, `@target-uri` and, where there is a body,
/// `content-digest`. `target_uri` is the whole URL requested; its fragment is left out, as it is
/// on the wire.
///
/// # Errors
/// The key id, URL or time can't be written in a header.
pub fn sign_rfc9421(
    method: &str,
    target_uri: &str,
    body: Option<&[u8]>,
    signer: &dyn Signer,
    created_s: i64,
) -> Result<SignedHeaders, SignError> {
    sign_rfc9421_with(method, target_uri, body, &[], signer, created_s)
}

/// [`sign_rfc9421`] over these fields of the request as well, by name in lower case and value.
///
/// # Errors
/// As there; also where a field can't be written.
pub fn sign_rfc9421_with(
    method: &str,
    target_uri: &str,
    body: Option<&[u8]>,
    fields: &[(&str, &str)],
    signer: &dyn Signer,
    created_s: i64,
) -> Result<SignedHeaders, SignError> {
    let target_uri = requested(target_uri)?;
    let signer_id = StringRef::from_str(signer.key_id()).map_err(|_| SignError::NotAscii)?;
    let created = BareItem::try_from(created_s).map_err(|_| SignError::Time)?;
    let digest = body.map(content_digest);

    let mut base = String::with_capacity(512);
    push_line(&mut base, "@method", method);
    push_line(&mut base, "@target-uri", target_uri);
    let mut names = vec!["@method", "@target-uri"];
    if let Some(digest) = &digest {
        push_line(&mut base, CONTENT_DIGEST, digest);
        names.push(CONTENT_DIGEST);
    }
    for (name, value) in fields {
        push_line(&mut base, name, value);
        names.push(name);
    }
    let mut list = InnerList::default();
    for name in names {
        let name = StringRef::from_str(name).map_err(|_| SignError::NotAscii)?;
        list.items.push(Item::new(name));
    }
    let ed25519 = StringRef::from_str("ed25519").map_err(|_| SignError::NotAscii)?;
    list.params.insert(key_ref("created").to_owned(), created);
    list.params
        .insert(key_ref("keyid").to_owned(), signer_id.into());
    list.params
        .insert(key_ref("alg").to_owned(), ed25519.into());
    let params = serialise(&list);
    push_params(&mut base, &params);

    let signature = BareItem::from(signer.sign(base.as_bytes()).as_slice());
    let signature = Item::new(signature);
    let mut signed = SignedHeaders::default();
    if let Some(digest) = digest {
        signed.add(HeaderName::from_static(CONTENT_DIGEST), digest)?;
    }
    signed.add(SIGNATURE_INPUT, format!("{LABEL}={params}"))?;
    let signature = sfv::FieldType::serialize(&signature);
    signed.add(SIGNATURE, format!("{LABEL}={signature}"))?;
    Ok(signed)
}

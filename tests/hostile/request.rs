//! A file of `hostile/`, as the request that it says.
//!
//! What must be fresh is made here: times, proofs and HTTP signatures. The signature base is built here
//! once more and not by the code under test, from the request as it goes out, so that a mistake of ours
//! can't sign what the same mistake accepts. The request is written byte by byte, because no HTTP client
//! would send most of these.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fedsx_core::cid::Digest;
use fedsx_core::notation::{Notation, read_document, write};
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::sources;
use crate::harness::{PATIENCE, Stranger, now_ms};

/// The order of Ed25519's group, the lowest byte first (RFC 8032, section 5.1).
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// One file.
#[derive(Debug)]
pub(super) struct Input {
    /// `family/name`.
    pub(super) name: String,
    /// The status and, where there is one, the code.
    pub(super) expected: String,
    directives: Vec<(String, String)>,
    /// Method and target.
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What the placeholders of a file stand for.
#[derive(Clone, Debug)]
pub(super) struct Scenery<'a> {
    names: BTreeMap<String, String>,
    strangers: &'a Stranger,
    now_ms: i64,
}

impl<'a> Scenery<'a> {
    pub(super) fn new(
        names: &BTreeMap<String, String>,
        number: usize,
        strangers: &'a Stranger,
    ) -> Self {
        let mut names = names.clone();
        names.insert("n".to_owned(), format!("hostile-{number}"));
        Self {
            names,
            strangers,
            now_ms: now_ms(),
        }
    }

    fn with(&self, name: &str, text: String) -> Self {
        let mut scenery = self.clone();
        scenery.names.insert(name.to_owned(), text);
        scenery
    }

    /// The text with every `${…}` replaced.
    fn fill(&self, template: &str) -> Vec<u8> {
        let mut filled = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (what, after) = after.split_once('}').expect("`${` is closed");
            filled.extend_from_slice(before.as_bytes());
            filled.extend(self.meaning(what));
            rest = after;
        }
        filled.extend_from_slice(rest.as_bytes());
        filled
    }

    fn text(&self, template: &str) -> String {
        String::from_utf8(self.fill(template)).expect("UTF-8")
    }

    fn meaning(&self, what: &str) -> Vec<u8> {
        if let Some(digits) = what.strip_prefix("0x") {
            let pairs = digits.as_bytes().chunks(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            return pairs.map(|pair| byte(pair).expect("a byte")).collect();
        }
        if let Some((times, text)) = what.split_once('*') {
            return text.repeat(times.parse().expect("a number")).into_bytes();
        }
        let text = match what.find(['+', '-']).map(|at| what.split_at(at)) {
            Some((clock, shift)) => self.time(clock, shift.parse().expect("seconds")),
            None => self.time(what, 0),
        };
        let text = text.or_else(|| self.names.get(what).cloned());
        let unknown = || panic!("`{what}` stands for nothing");
        text.unwrap_or_else(unknown).into_bytes()
    }

    fn time(&self, clock: &str, shift_s: i64) -> Option<String> {
        let ms = self.now_ms + shift_s * 1_000;
        match clock {
            "now" => Some(format_rfc3339_ms(ms)),
            "epoch" => Some((ms / 1_000).to_string()),
            "date" => {
                let instant = Timestamp::from_millisecond(ms).expect("this era");
                let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&instant);
                Some(date.expect("this era"))
            }
            _ => None,
        }
    }
}

impl Input {
    /// Those of a directory, in order.
    pub(super) fn all_of(family: &Path) -> Vec<Self> {
        sources(family)
            .iter()
            .map(|path| Self::read(path))
            .collect()
    }

    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("an input");
        let (head, request) = text.split_once("\n\n").expect("a head and a request");
        let (request, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = request.lines();
        let mut directives = fields(head.lines().filter(|line| !line.starts_with('#')));
        let (first, expected) = directives.remove(0);
        assert_eq!(first, "expect", "{}", path.display());
        let family = path.parent().and_then(Path::file_name);
        let (family, stem) = (family.expect("a family"), path.file_stem().expect("a name"));
        Self {
            name: format!("{}/{}", family.display(), stem.display()),
            expected,
            directives,
            line: lines.next().expect("a request line").to_owned(),
            headers: fields(lines),
            body: body.strip_suffix('\n').unwrap_or(body).to_owned(),
        }
    }

    fn told(&self, directive: &str) -> Option<&str> {
        let mut told = self.directives.iter();
        let found = told.find(|(name, _)| name == directive);
        found.map(|(_, value)| value.as_str())
    }

    /// Who publishes what, where it goes through the admin API.
    pub(super) fn published_by(&self, scenery: &Scenery<'_>) -> Option<(String, Vec<u8>)> {
        let actor = self.line.strip_prefix("PUBLISH ")?;
        Some((actor.to_owned(), self.body(scenery)))
    }

    /// The status and code that it is answered with, and the whole of the answer.
    pub(super) fn send(&self, scenery: &Scenery<'_>, authority: &str) -> (String, String) {
        let times = self
            .told("times")
            .map_or(1, |times| times.parse().expect("a number"));
        let mut answer = String::new();
        for _ in 0..times {
            answer = exchange(authority, &self.request(scenery));
        }
        let status = answer.split(' ').nth(1).unwrap_or("nothing").to_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let code = body["code"].as_str().or(body["status"].as_str());
        let summary = code.map_or(status.clone(), |code| format!("{status} {code}"));
        (summary, answer)
    }

    /// The whole request, as bytes.
    fn request(&self, scenery: &Scenery<'_>) -> Vec<u8> {
        let body = self.body(scenery);
        let digest = STANDARD.encode(Digest::of(&body).as_bytes());
        let scenery = scenery
            .with("digest", digest)
            .with("signature", String::new());
        let scenery = match self.told("sign") {
            Some(name) => {
                let base = self.signature_base(&scenery);
                let signature = scenery.strangers.signature(name, base.as_bytes());
                scenery.with("signature", STANDARD.encode(signature))
            }
            None => scenery,
        };
        let mut request = scenery.fill(&self.line);
        request.extend(b" HTTP/1.1\r\n");
        let has = |name: &str| self.headers.iter().any(|(have, _)| have == name);
        if !has("host") {
            request.extend(scenery.fill("host: ${authority}\r\n"));
        }
        if !has("content-length") && !has("transfer-encoding") {
            request.extend(format!("content-length: {}\r\n", body.len()).bytes());
        }
        for (name, value) in &self.headers {
            request.extend(scenery.fill(&format!("{name}: {value}\r\n")));
        }
        request.extend(b"connection: close\r\n\r\n");
        request.extend(body);
        request
    }

    fn body(&self, scenery: &Scenery<'_>) -> Vec<u8> {
        let body = scenery.fill(&self.body);
        let Some(provers) = self.told("prove") else {
            return body;
        };
        let document = read_document(Notation::Json, &body, usize::MAX);
        let document = document.expect("what is to be proved is a document");
        let body = write(
            Notation::Json,
            &Value::Map(self.proved(document, provers, scenery)),
        );
        let mut body = String::from_utf8(body).expect("UTF-8");
        for (_, change) in self.directives.iter().filter(|(name, _)| name == "replace") {
            let (from, to) = change.split_once(" =>").expect("`from => to`");
            let (from, to) = (scenery.text(from), scenery.text(to.trim_start()));
            assert!(body.contains(&from), "{}: no `{from}` in {body}", self.name);
            body = body.replacen(&from, &to, 1);
        }
        body.into_bytes()
    }

    /// The document with a proof of each prover, all changed as the file says.
    fn proved(&self, document: Map, provers: &str, scenery: &Scenery<'_>) -> Map {
        let mut proofs = Vec::new();
        for prover in provers.split(' ') {
            let proved = scenery.strangers.proved(prover, &document);
            let mut proof = proved
                .get("proof")
                .and_then(Value::as_map)
                .expect("a proof")
                .clone();
            if self.told("malleate").is_some() {
                let value = proof.get("proofValue").and_then(Value::as_str);
                let value = malleated(value.expect("a value"));
                proof.insert("proofValue", value);
            }
            for (name, value) in &self.directives {
                let Some(member) = name.strip_prefix("proof.") else {
                    continue;
                };
                if value == "none" {
                    proof.remove(member);
                    continue;
                }
                let wrapped = format!("{{\"value\":{}}}", scenery.text(value));
                let wrapped = read_document(Notation::Json, wrapped.as_bytes(), usize::MAX);
                let wrapped = wrapped.expect("a value in JSON");
                proof.insert(member, wrapped.get("value").expect("a value").clone());
            }
            proofs.push(Value::Map(proof));
        }
        let mut proved = document;
        match proofs.len() {
            1 => proved.insert("proof", proofs.remove(0)),
            _ => proved.insert("proof", Value::List(proofs.into())),
        };
        proved
    }

    /// What is signed of the request (RFC 9421, section 2.5; draft-cavage-12, section 2.3).
    fn signature_base(&self, scenery: &Scenery<'_>) -> String {
        let covered = Covered {
            line: scenery.text(self.told("signed-as").unwrap_or(&self.line)),
            origin: scenery.text(self.told("signed-at").unwrap_or("${here}")),
            headers: (self.headers.iter())
                .map(|(name, value)| (name.clone(), scenery.text(value)))
                .chain([("host".to_owned(), scenery.text("${authority}"))])
                .collect(),
        };
        match covered.header("signature-input") {
            "" => covered.cavage(),
            input => covered.rfc9421(input),
        }
    }
}

/// What of a request a signature covers.
struct Covered {
    line: String,
    origin: String,
    headers: Vec<(String, String)>,
}

impl Covered {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(have, _)| have == name);
        found.map_or("", |(_, value)| value)
    }

    fn rfc9421(&self, input: &str) -> String {
        // Some are no dictionary, and then there is nothing to sign either.
        let params = input.split_once('=').map_or(input, |(_, params)| params);
        let list = params.split(['(', ')']).nth(1).unwrap_or_default();
        let (method, target) = self.line.split_once(' ').expect("a method and a target");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut base = String::new();
        for name in list.split(' ').map(|name| name.trim_matches('"')) {
            let value = match name {
                "@method" => method.to_owned(),
                "@target-uri" => format!("{}{target}", self.origin),
                "@authority" => self.origin.replace("http://", ""),
                "@path" => path.to_owned(),
                "@query" => format!("?{query}"),
                header => self.header(header).to_owned(),
            };
            base += &format!("\"{name}\": {value}\n");
        }
        base + "\"@signature-params\": " + params
    }

    fn cavage(&self) -> String {
        let parameters = self.header("signature");
        let quoted = |name: &str| {
            let (_, after) = parameters.split_once(&format!("{name}="))?;
            Some(
                after
                    .trim_start_matches('"')
                    .split(['"', ','])
                    .next()?
                    .to_owned(),
            )
        };
        let (method, target) = self.line.split_once(' ').expect("a method and a target");
        let names = quoted("headers").unwrap_or_default();
        let lines = names.split(' ').map(|name| {
            let value = match name {
                "(request-target)" => format!("{} {target}", method.to_lowercase()),
                "(created)" => quoted("created").unwrap_or_default(),
                "(expires)" => quoted("expires").unwrap_or_default(),
                header => self.header(header).to_owned(),
            };
            format!("{name}: {value}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The same signature with the group's order added to its scalar, which a lax verifier takes as well.
fn malleated(value: &str) -> String {
    let digits = value.strip_prefix('z').expect("base58btc");
    let mut bytes = bs58::decode(digits).into_vec().expect("base58btc");
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(GROUP_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    format!("z{}", bs58::encode(bytes).into_string())
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let field = |line: &'a str| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        (name.trim_end_matches(':').to_owned(), value.to_owned())
    };
    lines.map(field).collect()
}

/// Sends a request as it is, and reads whatever comes back.
fn exchange(authority: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(authority).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Who refuses a head need not read on; what counts is the answer.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

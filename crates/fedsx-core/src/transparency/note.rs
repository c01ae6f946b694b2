//! Signed texts: checkpoints of logs, and the cosignatures of those who saw them grow (C2SP signed-note,
//! tlog-checkpoint, tlog-cosignature).
//!
//! Invariants: a note is read in the one form in which it is written; a signature by a known key that fails refuses the
//! note, and one by an unknown key says nothing. Deliberately absent: keys of other kinds than Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cid::Digest;
use crate::key::{PublicKey, Signer};
use crate::limits;

/// Why a text is no signed checkpoint, or not one of that log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Longer, or with more signatures, than is looked at.
    #[error("the note is too long")]
    TooLong,
    /// Not of the form of a signed note.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// The text is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A name that keys can't have.
    #[error("the name of a key is empty or has spaces or a plus")]
    Name,
    /// No signature by the key.
    #[error("not signed by {0}")]
    Unsigned(String),
    /// A signature by the key that is not its own.
    #[error("a signature of {0} does not verify")]
    BadSignature(String),
}

/// What a key signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// The checkpoints of its own log.
    Log = 1,
    /// That it saw the log of a checkpoint grow, and nothing else.
    Cosigner = 4,
}

/// A key by which notes are verified.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NoteKey {
    name: String,
    key: PublicKey,
    role: Role,
}

impl NoteKey {
    /// A key of that name.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: impl Into<String>, key: PublicKey, role: Role) -> Result<Self, NoteError> {
        let name = name.into();
        match is_name(&name) {
            true => Ok(Self { name, key, role }),
            false => Err(NoteError::Name),
        }
    }

    /// Its name: of a log the origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The four bytes by which signatures name it.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), b"\n", &[self.role as u8]].concat();
        let digest = Digest::of(&[&named[..], self.key.as_bytes()].concat());
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }

    /// As other verifiers take it: name, id and key in one line.
    #[must_use]
    pub fn vkey(&self) -> String {
        let [a, b, c, d] = self.id();
        let key = [&[self.role as u8], &self.key.as_bytes()[..]].concat();
        format!(
            "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{}",
            self.name,
            STANDARD.encode(key)
        )
    }
}

/// One line below a note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    fn read(line: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form("a line below the text is no signature");
        let (name, encoded) = line
            .strip_prefix("— ")
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| form.clone())?;
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| form.clone())?;
        let (id, signature) = bytes.split_first_chunk().ok_or_else(|| form.clone())?;
        if signature.is_empty() {
            return Err(form);
        }
        Ok(Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }

    /// Whether it says that it is by the key of this id.
    pub(super) fn is_by(&self, id: [u8; 4]) -> bool {
        self.id == id
    }

    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let bytes = [&self.id[..], &self.signature].concat();
        format!("— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A verified cosignature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cosignature {
    /// As of when the cosigner had seen no larger tree, Unix seconds.
    pub time_s: u64,
}

/// A text and the signatures below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Reads a signed note.
    ///
    /// # Errors
    /// [`NoteError`], for anything but the one spelling of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > limits::NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Form("it is no UTF-8"))?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Form("it has control characters"));
        }
        let unsigned = NoteError::Form("nothing is signed below a blank line");
        let (text, signed) = note.rsplit_once("\n\n").ok_or_else(|| unsigned.clone())?;
        let lines = signed.strip_suffix('\n').ok_or(unsigned)?.split('\n');
        if lines.clone().count() > limits::NOTE_SIGNATURES {
            return Err(NoteError::TooLong);
        }
        let signatures = lines.map(NoteSignature::read).collect::<Result<_, _>>()?;
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }

    /// A checkpoint signed by its log, whose key has the name of the origin.
    ///
    /// # Errors
    /// [`NoteError::Name`], when the origin can't be the name of a key.
    pub fn sign(
        checkpoint: &Checkpoint,
        key: &PublicKey,
        signer: &dyn Signer,
    ) -> Result<Self, NoteError> {
        let key = NoteKey::new(&*checkpoint.origin, key.clone(), Role::Log)?;
        let text = checkpoint.text();
        let signature = NoteSignature {
            id: key.id(),
            signature: signer.sign(text.as_bytes()).to_vec(),
            name: key.name,
        };
        Ok(Self {
            text,
            signatures: vec![signature],
        })
    }

    /// The text with its last line's end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, unless there are as many as are looked at.
    pub fn add(&mut self, signature: NoteSignature) {
        if self.signatures.len() < limits::NOTE_SIGNATURES {
            self.signatures.push(signature);
        }
    }

    /// The same text with the signatures that `keep` says.
    #[must_use]
    pub fn keeping(&self, keep: impl Fn(&NoteSignature) -> bool) -> Self {
        let kept = self.signatures.iter().filter(|signature| keep(signature));
        Self {
            text: self.text.clone(),
            signatures: kept.cloned().collect(),
        }
    }

    /// The checkpoint that the log of this key signed.
    ///
    /// # Errors
    /// [`NoteError`], when it is none, is another log's, or not signed by the key.
    pub fn checkpoint(&self, key: &NoteKey) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::read(&self.text)?;
        if key.role != Role::Log || checkpoint.origin != key.name {
            return Err(NoteError::Checkpoint("it is of another log"));
        }
        self.verify(key, |signature| {
            let signature = signature.try_into().ok()?;
            let is_signed = key.key.verifies(self.text.as_bytes(), signature);
            is_signed.then_some(())
        })?;
        Ok(checkpoint)
    }

    /// Signs that the log of this checkpoint was seen to grow up to it.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn cosign(
        &self,
        name: &str,
        key: &PublicKey,
        signer: &dyn Signer,
        time_s: u64,
    ) -> Result<NoteSignature, NoteError> {
        let key = NoteKey::new(name, key.clone(), Role::Cosigner)?;
        let signature = signer.sign(&self.cosigned(time_s));
        Ok(NoteSignature {
            id: key.id(),
            signature: [&time_s.to_be_bytes()[..], &signature].concat(),
            name: key.name,
        })
    }

    /// The cosignature by this key.
    ///
    /// # Errors
    /// [`NoteError`], when there is none, or it does not verify.
    pub fn cosignature(&self, key: &NoteKey) -> Result<Cosignature, NoteError> {
        if key.role != Role::Cosigner {
            return Err(NoteError::Unsigned(key.name.clone()));
        }
        self.verify(key, |signature| {
            let (time, signature) = signature.split_first_chunk()?;
            let time_s = u64::from_be_bytes(*time);
            let signature = signature.try_into().ok()?;
            let is_signed = key.key.verifies(&self.cosigned(time_s), signature);
            (is_signed && i64::try_from(time_s).is_ok()).then_some(Cosignature { time_s })
        })
    }

    fn cosigned(&self, time_s: u64) -> Vec<u8> {
        format!("cosignature/v1\ntime {time_s}\n{}", self.text).into_bytes()
    }

    /// What `read` makes of the first signature by the key; each of its signatures has to verify.
    fn verify<T>(&self, key: &NoteKey, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, NoteError> {
        let id = key.id();
        let mut by_key = self.signatures.iter();
        let mut found = None;
        while let Some(signature) = by_key.find(|by| by.name == key.name && by.id == id) {
            let verified = read(&signature.signature);
            let verified = verified.ok_or_else(|| NoteError::BadSignature(key.name.clone()))?;
            found = found.or(Some(verified));
        }
        found.ok_or_else(|| NoteError::Unsigned(key.name.clone()))
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        let mut lines = self.signatures.iter();
        lines.try_for_each(|signature| writeln!(f, "{}", signature.line()))
    }
}

/// The head of a log: how many leaves it has, and their root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads what is signed. Lines beyond the third are others' matter.
    fn read(text: &str) -> Result<Self, NoteError> {
        let form = NoteError::Checkpoint;
        let lines = text
            .strip_suffix('\n')
            .ok_or(form("its last line has no end"))?;
        let mut lines = lines.split('\n');
        let mut line = || lines.next().ok_or(form("it has fewer than three lines"));
        let (origin, size, root) = (line()?, line()?, line()?);
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(form("a line is empty"));
        }
        let number: u64 = size.parse().map_err(|_| form("its size is no number"))?;
        if number.to_string() != size || number > limits::LOG_LEAVES {
            return Err(form("its size is not spelt as one, or beyond bounds"));
        }
        let bytes = STANDARD.decode(root).ok();
        let root: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            origin: origin.to_owned(),
            size: number,
            root: root.ok_or(form("its root is no hash"))?.into(),
        })
    }
}

fn is_name(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && name.len() <= limits::URL_BYTES && !name.chars().any(is_odd)
}

//! Bearer tokens of the instance's actors: what is kept of each, in a file of its own.
//!
//! A token is `fedsx_ID_SECRET`, ID of 16 and SECRET of 64 hex digits, drawn at random. Invariants: a
//! token is durable before it is told, and told once; only the secret's SHA-256 is kept, which is enough
//! for one of 256 random bits; a revoked one is gone, durably, before that is answered. Secrets are
//! compared in constant time. Deliberately absent: expiry.
//!
//! `tokens/ID` holds a [`Token`] with its hash, in CBOR. Design, section 4 ("tokens … are committed
//! durably, apart") and section 12.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use fedsx_core::entry::ActorNo;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, VaultError, random, read, replace, to_hex};
use crate::journal::{Directory, Files};

/// The folder of the token files.
const TOKENS: &str = "tokens";
/// What every token begins with, so that one that leaked is known for what it is.
const PREFIX: &str = "fedsx_";
const ID_DIGITS: usize = 16;
const SECRET_DIGITS: usize = 64;
/// A whole token, wiped when dropped.
pub type TokenText = Zeroizing<String>;

/// Tokens that one actor has at once.
pub const TOKENS_PER_ACTOR: usize = 64;

/// What a token lets its bearer do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Scope {
    /// Publish as the actor.
    #[n(0)]
    Publish,
    /// Read what is the actor's alone.
    #[n(1)]
    Read,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::Publish, Self::Read];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// What is told of a token.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Token {
    /// Its name, 16 hex digits.
    #[n(0)]
    pub id: String,
    /// Whose it is.
    #[n(1)]
    pub actor: ActorNo,
    /// What it is good for, each once.
    #[n(2)]
    pub scopes: Vec<Scope>,
    /// When it was issued, Unix milliseconds.
    #[n(3)]
    pub issued_ms: i64,
}

#[derive(Clone, Encode, Decode)]
struct Record {
    #[n(0)]
    token: Token,
    /// The SHA-256 of the secret's digits.
    #[cbor(n(1), with = "minicbor::bytes")]
    hash: Vec<u8>,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The actor has as many as it may.
    #[error("an actor has at most {TOKENS_PER_ACTOR} tokens; revoke one first")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The tokens of an instance.
pub struct Tokens {
    files: Directory,
    /// By id. Held while a file is written, so that memory and disk agree.
    records: Mutex<BTreeMap<String, Record>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn open(dir: &Path) -> Result<Self, VaultError> {
        let failed = |error| VaultError::io(TOKENS, error);
        let files = Directory::open(dir.join(TOKENS)).map_err(failed)?;
        files.sync_dir().map_err(failed)?;
        let mut records = BTreeMap::new();
        for name in files.list().map_err(failed)? {
            // What a crash left unfinished was promised to nobody.
            if !is_hex(&name, ID_DIGITS) {
                continue;
            }
            let bytes = read(&files, &name, FILE_BYTES_MAX)
                .map_err(|error| VaultError::io(&name, error))?;
            let record: Option<Record> = minicbor::decode(&bytes.unwrap_or_default()).ok();
            match record.filter(|record| record.token.id == name) {
                Some(record) => records.insert(name, record),
                None => return Err(VaultError::Damaged { name }),
            };
        }
        let records = Mutex::new(records);
        Ok(Self { files, records })
    }

    /// Issues a token: what is kept of it, and the whole of it, which nobody can tell again.
    ///
    /// # Errors
    /// [`IssueError`]; then there is no new token.
    pub fn issue(
        &self,
        actor: ActorNo,
        scopes: Vec<Scope>,
        issued_ms: i64,
    ) -> Result<(Token, TokenText), IssueError> {
        let mut records = self.lock();
        let of_actor = records.values().filter(|one| one.token.actor == actor);
        if of_actor.count() >= TOKENS_PER_ACTOR {
            return Err(IssueError::TooMany);
        }
        let id = to_hex(&*random::<{ ID_DIGITS / 2 }>()?);
        let secret = Zeroizing::new(to_hex(&*random::<{ SECRET_DIGITS / 2 }>()?));
        let token = Token {
            id: id.clone(),
            actor,
            scopes,
            issued_ms,
        };
        let record = Record {
            token: token.clone(),
            hash: hash(&secret),
        };
        let bytes = minicbor::to_vec(&record).expect("writing to a Vec can't fail");
        replace(&self.files, &id, &bytes).map_err(|error| VaultError::io(&id, error))?;
        let told = Zeroizing::new(format!("{PREFIX}{id}_{}", *secret));
        records.insert(id, record);
        Ok((token, told))
    }

    /// The tokens of an actor, by id.
    #[must_use]
    pub fn of(&self, actor: ActorNo) -> Vec<Token> {
        let records = self.lock();
        let tokens = records.values().map(|record| &record.token);
        tokens.filter(|one| one.actor == actor).cloned().collect()
    }

    /// Revokes a token of an actor; whether there was one.
    ///
    /// # Errors
    /// [`VaultError::Io`]: it may still be good after a restart, so that one has to ask again.
    pub fn revoke(&self, actor: ActorNo, id: &str) -> Result<bool, VaultError> {
        let mut records = self.lock();
        if records.get(id).is_none_or(|one| one.token.actor != actor) {
            return Ok(false);
        }
        let failed = |error| VaultError::io(id, error);
        self.files.remove(id).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(failed(error)),
        })?;
        self.files.sync_dir().map_err(failed)?;
        records.remove(id);
        Ok(true)
    }

    /// The token that a bearer shows, if it is one.
    #[must_use]
    pub fn shown(&self, bearer: &str) -> Option<Token> {
        let (id, secret) = bearer.strip_prefix(PREFIX)?.split_once('_')?;
        if !is_hex(id, ID_DIGITS) || !is_hex(secret, SECRET_DIGITS) {
            return None;
        }
        let record = self.lock().get(id)?.clone();
        let equal = verify_slices_are_equal(&record.hash, &hash(secret));
        equal.is_ok().then_some(record.token)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(secret: &str) -> Vec<u8> {
    digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
}

fn is_hex(text: &str, digits: usize) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ActorNo = ActorNo(0);
    const BOB: ActorNo = ActorNo(1);

    #[test]
    fn a_token_is_known_until_it_is_revoked_whatever_restarts() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens = Tokens::open(dir.path()).expect("open");
        let (token, told) = tokens.issue(ALICE, vec![Scope::Read], 7).expect("issued");
        for tokens in [tokens, Tokens::open(dir.path()).expect("open")] {
            assert_eq!(tokens.shown(&told), Some(token.clone()));
            assert_eq!(tokens.of(ALICE), std::slice::from_ref(&token));
            assert_eq!(tokens.of(BOB), []);
            assert!(!tokens.revoke(BOB, &token.id).expect("read"));
        }
        let tokens = Tokens::open(dir.path()).expect("open");
        assert!(tokens.revoke(ALICE, &token.id).expect("revoked"));
        assert!(!tokens.revoke(ALICE, &token.id).expect("read"));
        for tokens in [tokens, Tokens::open(dir.path()).expect("open")] {
            assert_eq!(tokens.shown(&told), None);
        }
    }

    #[test]
    fn nothing_but_the_whole_token_is_one_and_it_is_not_on_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens = Tokens::open(dir.path()).expect("open");
        let (token, told) = tokens.issue(ALICE, vec![Scope::Read], 7).expect("issued");
        let (other, _) = tokens.issue(ALICE, vec![Scope::Read], 7).expect("issued");
        let secret = told.rsplit('_').next().expect("a secret").to_owned();
        let last = if told.ends_with('0') { '1' } else { '0' };
        for wrong in [
            String::new(),
            PREFIX.to_owned(),
            token.id.clone(),
            secret.clone(),
            told[..told.len() - 1].to_owned(),
            format!("{}{last}", &told[..told.len() - 1]),
            told.to_uppercase(),
            format!("{}0", *told),
            format!("{PREFIX}{}_{secret}", other.id),
            format!("{PREFIX}../{}_{secret}", token.id),
        ] {
            assert_eq!(tokens.shown(&wrong), None, "{wrong}");
        }
        let file = dir.path().join(TOKENS).join(&token.id);
        let kept = std::fs::read(file).expect("a file");
        assert!(!String::from_utf8_lossy(&kept).contains(&secret[..16]));
    }

    #[test]
    fn an_actor_has_so_many_and_no_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens = Tokens::open(dir.path()).expect("open");
        for _ in 0..TOKENS_PER_ACTOR {
            tokens.issue(ALICE, Scope::ALL.to_vec(), 7).expect("issued");
        }
        let refused = tokens.issue(ALICE, Scope::ALL.to_vec(), 7);
        assert!(matches!(refused, Err(IssueError::TooMany)));
        tokens.issue(BOB, Scope::ALL.to_vec(), 7).expect("issued");
    }

    #[test]
    fn a_damaged_file_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens = Tokens::open(dir.path()).expect("open");
        let (token, _) = tokens.issue(ALICE, vec![Scope::Read], 7).expect("issued");
        let file = dir.path().join(TOKENS).join(&token.id);
        std::fs::write(file, b"nonsense").expect("written");
        assert!(matches!(
            Tokens::open(dir.path()).map(|_| ()),
            Err(VaultError::Damaged { name }) if name == token.id
        ));
    }
}

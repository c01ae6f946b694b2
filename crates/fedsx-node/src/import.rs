//! Importing an actor: everything is checked while it comes and waits aside; the writer takes it as a whole, or
//! not at all.
//!
//! Invariant: before the end of the file is reached and found right, neither journal, index nor keys have changed.
//! What comes in is not delivered again, fires no trigger, and changes nothing between others. Deliberately absent: the
//! file's layout (store), and what makes records agree (core).

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use fedsx_core::address::ActorName;
use fedsx_core::blob::{Blob, Media};
use fedsx_core::cid::Digest;
use fedsx_core::definition::Kind;
use fedsx_core::entry::{ActorNo, Control, Effect, Subject};
use fedsx_core::export::{Begin, Between, Check, End, Entry, Record, SecretKey};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::{Authority, Registry};
use fedsx_core::state::Actor;
use fedsx_store::export::{Opening, PublicHalf};
use fedsx_store::{StageError, Staged, Staging};

use crate::{Node, fault};

/// An import under way. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Importer {
    opening: Opening,
    received: Received,
}

/// What has come so far.
#[derive(Debug)]
struct Received {
    node: Node,
    registry: Arc<Registry>,
    staging: Staging,
    begin: Option<(Begin, Check)>,
    keys: Vec<SecretKey>,
    count: End,
    blobs: BTreeSet<Digest>,
    ended: bool,
    /// The last kind of record: they come in order.
    stage: u8,
}

impl Node {
    /// Begins an import.
    ///
    /// # Errors
    /// `conflict` when another one is under way.
    pub fn import_actor(&self, passphrase: &[u8]) -> Result<Importer, Refusal> {
        Ok(Importer {
            opening: Opening::new(passphrase),
            received: Received {
                node: self.clone(),
                registry: self.registry(),
                staging: self.0.imports.stage().map_err(staging)?,
                begin: None,
                keys: Vec::new(),
                count: End::default(),
                blobs: BTreeSet::new(),
                ended: false,
                stage: 0,
            },
        })
    }
}

impl Importer {
    /// Takes the next bytes of the file. Waits for the disk.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let received = &mut self.received;
        self.opening
            .feed(bytes, &mut |record, place| received.take(record, place))
    }

    /// The file has ended: checks it as a whole.
    ///
    /// # Errors
    /// As [`Importer::feed`].
    pub fn checked(mut self) -> Result<Import, Refusal> {
        let received = &mut self.received;
        self.opening
            .finish(&mut |record, place| received.take(record, place))?;
        self.received.whole()
    }
}

/// An import that was checked.
#[derive(Debug)]
pub struct Import {
    node: Node,
    name: String,
    staged: Staged,
}

impl Import {
    /// Takes it into the journal, as a whole. On return the actor is here; it publishes once its followers were asked for
    /// what they know of its log.
    ///
    /// # Errors
    /// `conflict` when an actor of that name came in meanwhile; `queue-full`.
    pub async fn take(self) -> Result<Actor, Refusal> {
        let node = self.node;
        let vault = Arc::clone(&node.0.vault);
        let answer = node.0.writer.import(self.staged, vault);
        let answer = answer.map_err(fault::append)?;
        answer.wait().await.map_err(fault::append)?;
        node.take_up_definitions()?;
        let actor = node.actor(&self.name)?;
        // Whoever looked while the log was being indexed knows an instant that is too early.
        let pens = node.0.pens.lock();
        pens.unwrap_or_else(PoisonError::into_inner)
            .remove(&actor.no);
        node.release_soon(&actor).await;
        node.actor(&self.name)
    }
}

impl Received {
    fn take(&mut self, record: Record, place: &str) -> Result<(), Refusal> {
        let taken = self.take_record(record);
        taken.map_err(|refusal| Refusal {
            detail: format!("{} ({place})", refusal.detail),
            ..refusal
        })
    }

    fn take_record(&mut self, record: Record) -> Result<(), Refusal> {
        let stage = match &record {
            Record::Begin(_) => 0,
            Record::Key(_) => 1,
            Record::Entry(_) => 2,
            Record::Between(_) => 3,
            Record::Blob(_) => 4,
            Record::End(_) => 5,
        };
        let is_first = self.begin.is_none();
        if self.ended || is_first != (stage == 0) || stage < self.stage {
            return Err(wrong("the records are out of order"));
        }
        self.stage = stage;
        match record {
            Record::Begin(begin) => self.begin(begin),
            Record::Key(key) => self.key(key),
            Record::Entry(entry) => self.entry(&entry),
            Record::Between(between) => self.between(between),
            Record::Blob(bytes) => self.blob(&bytes),
            Record::End(end) => {
                self.ended = true;
                match end == self.count {
                    true => Ok(()),
                    false => Err(wrong("the records are not as many as the end says")),
                }
            }
        }
    }

    fn begin(&mut self, begin: Begin) -> Result<(), Refusal> {
        let instance = self.node.instance();
        let conflict = |why| Err(Refusal::new(Code::Conflict, why));
        if begin.base_url != instance.base_url() {
            return conflict(format!(
                "the actor belongs to {}, and this is {}: actors are named by their URL for ever",
                begin.base_url,
                instance.base_url()
            ));
        }
        let name = ActorName::parse(&begin.name);
        let is_name = name.is_ok_and(|name| name.as_str() == begin.name);
        if !is_name || begin.actor != instance.actor_url(&begin.name) {
            return Err(wrong(
                "the actor's name and URL are not one of this instance",
            ));
        }
        let state = self.node.view().state();
        let here = state.actor_by_name(&begin.name).map_err(fault::state)?;
        if here.is_some() {
            return conflict(format!("there is an actor `{}` here already", begin.name));
        }
        let check = Check::new(&begin, self.node.now_ms());
        self.begin = Some((begin, check));
        Ok(())
    }

    fn checking(&mut self) -> Result<&mut (Begin, Check), Refusal> {
        let begun = self.begin.as_mut();
        begun.ok_or_else(|| wrong("the records are out of order"))
    }

    fn key(&mut self, key: SecretKey) -> Result<(), Refusal> {
        let actor = &self.checking()?.0.actor;
        let is_own = key
            .id
            .strip_prefix(&**actor)
            .is_some_and(|rest| rest.starts_with('#') && !rest.contains(char::is_control));
        let is_new = self.keys.iter().all(|have| have.id != key.id);
        if !is_own || !is_new || self.keys.len() > limits::KEYS {
            return Err(wrong("a key is not one of the actor's, or there twice"));
        }
        self.keys.push(key);
        self.count.keys += 1;
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let (begin, check) = self.checking()?;
        let roles = begin.roles.clone();
        let checked = check.entry(entry)?;
        let mut activity = checked.activity;
        if let Some(Effect::Defined { kind, name, digest }) = &activity.effect
            && self.is_defined_otherwise(*kind, name, digest)
        {
            // What holds here since stays; the document is in the log all the same.
            activity.effect = None;
        }
        let subject = Subject::Activity(Box::new(activity));
        let pushed = self
            .staging
            .push(&subject, entry.received_ms, &checked.payload);
        pushed.map_err(staging)?;
        if let Some(deleted_ms) = checked.erased_ms {
            let digest = entry.digest;
            self.control(Control::Erased { digest, deleted_ms })?;
        }
        self.count.entries += 1;
        if self.count.entries == 1 {
            for role in roles {
                let actor = ActorNo(0);
                self.control(Control::Role {
                    actor,
                    role,
                    given: true,
                })?;
            }
        }
        Ok(())
    }

    /// Whether somebody here has defined that name otherwise.
    fn is_defined_otherwise(&self, kind: Kind, name: &str, digest: &Digest) -> bool {
        let active = self.registry.resolve(kind, name, None);
        active.is_some_and(|active| {
            active.authority == Authority::Local && active.definition.digest() != *digest
        })
    }

    fn between(&mut self, between: Between) -> Result<(), Refusal> {
        let (_, check) = self.checking()?;
        if between.peer().len() > limits::URL_BYTES {
            return Err(wrong("the URL of a peer is too long"));
        }
        if let Between::Relation {
            direction,
            peer,
            relation,
        } = &between
        {
            check.relation(*direction, peer, relation)?;
        }
        let actor = ActorNo(0);
        self.control(Control::Between {
            actor,
            between: Box::new(between),
        })?;
        self.count.between += 1;
        Ok(())
    }

    /// A file: its CID and what it is go by its bytes.
    fn blob(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let media = Media::of_upload(bytes).map_err(|refusal| wrong(refusal.detail))?;
        let digest = Digest::of(bytes);
        if self.count.blobs == limits::BLOBS || !self.blobs.insert(digest) {
            return Err(wrong("there are too many files, or one is there twice"));
        }
        self.count.blobs += 1;
        let blob = Blob::Kept {
            actor: ActorNo(0),
            digest,
            media,
        };
        self.control_with(Control::Blob(blob), bytes)
    }

    fn control(&mut self, control: Control) -> Result<(), Refusal> {
        self.control_with(control, &[])
    }

    fn control_with(&mut self, control: Control, payload: &[u8]) -> Result<(), Refusal> {
        let subject = Subject::Control(control);
        let now_ms = self.node.now_ms();
        let pushed = self.staging.push(&subject, now_ms, payload);
        pushed.map_err(staging)
    }

    /// Checks what only the whole file tells.
    fn whole(mut self) -> Result<Import, Refusal> {
        let (Some((begin, check)), true) = (self.begin, self.ended) else {
            return Err(Refusal::new(Code::Damaged, "the file has no end record"));
        };
        if self.count.entries == 0 {
            return Err(wrong("the log is empty"));
        }
        for key in &self.keys {
            let is_named = match PublicHalf::of(key) {
                Some(PublicHalf::Ed25519(public)) => {
                    let keys = check.keys().iter().map(|key| (&key.id, &key.key));
                    let log = check.log().map(|log| (&log.key_id, &log.key));
                    keys.chain(log).any(|named| named == (&key.id, &public))
                }
                Some(PublicHalf::Rsa(spki)) => {
                    let mut keys = check.rsa_keys().iter();
                    keys.any(|(id, named)| *id == key.id && named.as_spki_der() == spki)
                }
                None => false,
            };
            if !is_named {
                return Err(wrong(format!("the secret of {} is another key's", key.id)));
            }
        }
        let current = check.keys().iter().filter(|key| key.is_current());
        let log = check.log().map(|log| &log.key_id);
        let current = current.map(|key| &key.id).chain(log);
        for id in current.chain(check.rsa_keys().iter().map(|(id, _)| id)) {
            if self.keys.iter().all(|key| key.id != *id) {
                return Err(wrong(format!("the secret of {id} is missing")));
            }
        }
        // An export is as old as it is: until its followers were asked, nobody knows what came after it.
        let hold = Control::LogHeld {
            actor: ActorNo(0),
            held: true,
        };
        let now_ms = self.node.now_ms();
        let pushed = self.staging.push(&Subject::Control(hold), now_ms, &[]);
        pushed.map_err(staging)?;
        let Begin { actor, name, .. } = begin;
        let staged = self.staging.checked(name.clone(), actor, self.keys);
        Ok(Import {
            node: self.node,
            name,
            staged: staged.map_err(staging)?,
        })
    }
}

fn staging(error: StageError) -> Refusal {
    match error {
        StageError::Taken => Refusal::new(Code::Conflict, error.to_string()).retry_after(5),
        StageError::TooLarge => Refusal::new(Code::TooLarge, error.to_string()),
        StageError::Io(error) => fault::internal("an import can't be staged", &error),
    }
}

fn wrong(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::Inconsistent, why)
}

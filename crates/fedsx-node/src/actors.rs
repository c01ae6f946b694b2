//! How a local actor begins: keys first, then its document in the first entry of its log.

use fedsx_core::actor::{
    ActorKind, LocalActor, ed25519_key_id, list_log_key, log_key_id, rsa_key_id,
};
use fedsx_core::address::ActorName;
use fedsx_core::audience::PUBLIC;
use fedsx_core::entry::{ActorNo, Effect};
use fedsx_core::key::{KeyRecord, spki_to_pem};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, At};
use fedsx_core::value::{Map, Value};

use crate::publish::Origin;
use crate::{Node, Published, fault};

/// A local actor to be.
#[derive(Clone, Debug)]
pub struct NewActor {
    /// Its name: `[a-z0-9_]{1,64}` after folding case, never given twice.
    pub name: String,
    /// Its kind.
    pub kind: ActorKind,
    /// The name shown to people.
    pub display_name: Option<String>,
    /// What it says of itself.
    pub summary: Option<String>,
    /// Whether follows wait for an answer by hand.
    pub manual_approval: bool,
}

impl Node {
    /// Makes a local actor: its keys, its document, the first entry of its log. On return document,
    /// WebFinger and outbox are served.
    ///
    /// # Errors
    /// `envelope` for a name that can't be one, `conflict` for one that is taken.
    pub async fn create_actor(&self, new: NewActor) -> Result<(Actor, Published), Refusal> {
        let name = ActorName::parse(&new.name)
            .map_err(|error| Refusal::new(Code::Envelope, error.to_string()))?;
        self.refuse_taken(&name)?;
        let url = self.0.instance.actor_url(name.as_str());
        let (key, rsa_pem) = self.keys(&url).await?;
        let log_key_id = log_key_id(&url, 1);
        let log_key = self.make_key(log_key_id.clone()).await?;
        let mut tries = 0;
        loop {
            let no = ActorNo(self.0.view.state().actor_count().map_err(fault::state)?);
            let published_ms = self.now_ms();
            let keys = vec![KeyRecord {
                created_ms: Some(published_ms),
                ..key.clone()
            }];
            let mut document = LocalActor {
                instance: &self.0.instance,
                name: &name,
                kind: new.kind,
                display_name: new.display_name.as_deref(),
                summary: new.summary.as_deref(),
                manually_approves: new.manual_approval,
                keys: &keys,
                rsa_pem: Some(&rsa_pem),
                published_ms,
            }
            .document();
            list_log_key(&mut document, &url, &log_key_id, &log_key);
            let birth = Effect::ActorCreated {
                no,
                name: name.as_str().to_owned(),
                kind: new.kind,
                manual_approval: new.manual_approval,
                keys: keys.clone(),
                url: url.clone(),
            };
            let actor = Actor {
                no,
                name: name.as_str().to_owned(),
                url: url.clone(),
                kind: new.kind,
                manual_approval: new.manual_approval,
                keys,
                document: At {
                    offset: 0,
                    segment: 0,
                    position: 0,
                },
                gone_ms: None,
                is_read_only: false,
                former_rsa: None,
            };
            let create = Map::from([
                ("type", Value::from("Create")),
                ("to", vec![PUBLIC].into()),
                ("object", document.into()),
            ]);
            match self
                .publish_as(&actor, &create, self.uuid()?, Origin::Own(&birth))
                .await
            {
                Ok(published) => return Ok((self.actor(name.as_str())?, published)),
                // Another actor was made meanwhile and took the number, or the name.
                Err(_) if tries < 8 && self.is_behind(no)? => tries += 1,
                Err(refusal) => return Err(refusal),
            }
            self.refuse_taken(&name)?;
        }
    }

    fn is_behind(&self, no: ActorNo) -> Result<bool, Refusal> {
        Ok(self.0.view.state().actor_count().map_err(fault::state)? != no.0)
    }

    fn refuse_taken(&self, name: &ActorName) -> Result<(), Refusal> {
        let taken = self
            .0
            .view
            .state()
            .actor_by_name(name.as_str())
            .map_err(fault::state)?;
        if let Some(taken) = taken {
            let why = match taken.is_gone() {
                true => format!("the name `{}` is never given again", name.as_str()),
                false => format!("there is an actor `{}` here already", name.as_str()),
            };
            return Err(Refusal::new(Code::Conflict, why));
        }
        if name.as_str() == self.0.instance.own_name() {
            let why = format!("`{}` is the name of the instance itself", name.as_str());
            return Err(Refusal::new(Code::Conflict, why));
        }
        Ok(())
    }

    /// The keys of an actor to be. Those that an earlier, unfinished try left are used again.
    async fn keys(&self, url: &str) -> Result<(KeyRecord, String), Refusal> {
        let (id, rsa_id) = (ed25519_key_id(url, 1), rsa_key_id(url));
        let vault = std::sync::Arc::clone(&self.0.vault);
        let key_id = id.clone();
        let made = self.aside(move || {
            Ok::<_, fedsx_store::vault::VaultError>((
                vault.create_ed25519(&key_id)?,
                vault.create_rsa(&rsa_id)?,
            ))
        });
        let (key, rsa) = match made.await {
            Ok(Ok(keys)) => keys,
            Ok(Err(error)) => return Err(fault::internal("keys can't be made", &error)),
            Err(error) => return Err(fault::internal("keys were not made", &error)),
        };
        let record = KeyRecord {
            id,
            key,
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        Ok((record, spki_to_pem(rsa.spki())))
    }
}

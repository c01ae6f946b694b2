//! The registry: which definition a name means, as a fold of what was defined (design, section 8.2).
//!
//! A name belongs to an authority: genesis, this instance, or a peer. Each authority has one active
//! definition of a kind and name, the one with the highest offset, and its earlier versions stay.
//! Invariant: the order in which definitions are added changes nothing, because offsets decide.
//! Deliberately absent: who may define (`decide/authority`), and where objects are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cid::{Cid, Digest};
use crate::decide::publish::VERBS;
use crate::definition::{Body, Definition, Kind};
use crate::value::{Map, Value};

/// Host types that one is judged by as their subtype.
const WIDER: usize = 32;

/// Whose a definition is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Authority {
    /// The bundle compiled into the program.
    Genesis,
    /// An actor of this instance with the role `definer`.
    Local,
    /// A peer: the URL of its actor.
    Peer(String),
}

impl Authority {
    /// As it is shown: `genesis`, `local` or a URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Genesis => "genesis",
            Self::Local => "local",
            Self::Peer(url) => url,
        }
    }
}

/// A definition and since when it holds.
#[derive(Clone, Debug)]
pub struct Active {
    /// The definition.
    pub definition: Definition,
    /// Whose it is.
    pub authority: Authority,
    /// The offset from which it is active; 0 of genesis.
    pub offset: u64,
    /// The digest of the `Create` that brought it; none of genesis.
    pub create: Option<Digest>,
}

/// What a verb means here.
#[derive(Clone, Copy, Debug)]
pub enum Verb<'a> {
    /// What this definition says.
    Defined(&'a Active),
    /// What ActivityStreams 2.0 says; no definition judges it.
    Plain,
    /// Nothing.
    Undefined,
}

/// One generation of the registry. Readers hold it in an `Arc` and see no change.
#[derive(Clone, Default, Debug)]
pub struct Registry {
    generation: u64,
    through: u64,
    named: BTreeMap<Kind, BTreeMap<String, Named>>,
    versions: BTreeMap<Digest, Arc<Active>>,
    validators: BTreeMap<String, Vec<Arc<Active>>>,
    /// Host type → those that it is published to be a subtype of.
    parents: BTreeMap<Digest, Vec<Digest>>,
}

/// The active definitions of one kind and name.
#[derive(Clone, Default, Debug)]
struct Named {
    genesis: Option<Arc<Active>>,
    local: Option<Arc<Active>>,
    peers: BTreeMap<String, Arc<Active>>,
}

impl Named {
    fn all(&self) -> impl Iterator<Item = &Arc<Active>> {
        let own = self.local.iter().chain(&self.genesis);
        own.chain(self.peers.values())
    }

    /// The one that the name alone means: local, else genesis, else the only one of a peer.
    fn by_name(&self) -> Option<&Arc<Active>> {
        let own = self.local.as_ref().or(self.genesis.as_ref());
        own.or_else(|| {
            let mut peers = self.peers.values();
            peers.next().filter(|_| peers.next().is_none())
        })
    }

    fn slot(&mut self, active: &Arc<Active>) {
        match &active.authority {
            Authority::Genesis => newer(&mut self.genesis, active),
            Authority::Local => newer(&mut self.local, active),
            Authority::Peer(url) => {
                let mut slot = self.peers.remove(url);
                newer(&mut slot, active);
                self.peers.extend(slot.map(|active| (url.clone(), active)));
            }
        }
    }
}

fn newer(slot: &mut Option<Arc<Active>>, active: &Arc<Active>) {
    if slot
        .as_ref()
        .is_none_or(|kept| kept.offset <= active.offset)
    {
        *slot = Some(Arc::clone(active));
    }
}

impl Registry {
    /// The registry of an instance where nothing was defined yet.
    #[must_use]
    pub fn of_genesis(definitions: &[Definition]) -> Self {
        let mut registry = Self::default();
        for definition in definitions {
            registry.add(Active {
                definition: definition.clone(),
                authority: Authority::Genesis,
                offset: 0,
                create: None,
            });
        }
        registry
    }

    /// Adds a definition.
    pub fn add(&mut self, active: Active) {
        let active = Arc::new(active);
        let definition = &active.definition;
        self.generation += 1;
        self.through = self.through.max(active.offset);
        let kept = self.versions.get(&definition.digest());
        if kept.is_none_or(|kept| rank(&active) < rank(kept)) {
            self.versions
                .insert(definition.digest(), Arc::clone(&active));
        }
        let names = self.named.entry(definition.kind()).or_default();
        let named = names.entry(definition.name().to_owned()).or_default();
        named.slot(&active);
        match definition.kind() {
            Kind::Validator => self.validators = self.validators_by_verb(),
            Kind::Subtype => self.parents = self.parents_by_type(),
            _ => {}
        }
    }

    /// Passes over one, active from an offset, that this program can't read.
    pub fn leave_out(&mut self, offset: u64) {
        self.generation += 1;
        self.through = self.through.max(offset);
    }

    /// How often it has changed.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The highest offset of a definition that it has taken up, or passed over.
    #[must_use]
    pub const fn through(&self) -> u64 {
        self.through
    }

    /// The definition that a name means. `version` is what an activity itself says it means, which
    /// goes first where it is active here.
    #[must_use]
    pub fn resolve(
        &self,
        kind: Kind,
        name: &str,
        version: Option<&Digest>,
    ) -> Option<&Arc<Active>> {
        let named = self.named.get(&kind)?.get(name)?;
        version
            .and_then(|digest| {
                let mut all = named.all();
                all.find(|active| active.definition.digest() == *digest)
            })
            .or_else(|| named.by_name())
    }

    /// What the verb of an activity means.
    #[must_use]
    pub fn verb(&self, act: &Map) -> Verb<'_> {
        let text = |member| act.get(member).and_then(Value::as_str);
        let Some(verb) = text("type") else {
            return Verb::Undefined;
        };
        let version = text("definition").and_then(|cid| cid.parse::<Cid>().ok());
        let version = version.as_ref().map(|cid| &cid.digest);
        match self.resolve(Kind::Activity, verb, version) {
            Some(active) => Verb::Defined(active),
            None if VERBS.contains(&verb) => Verb::Plain,
            None => Verb::Undefined,
        }
    }

    /// Whether anybody's definition of a name is active.
    #[must_use]
    pub fn is_named(&self, kind: Kind, name: &str) -> bool {
        let names = self.named.get(&kind);
        names.is_some_and(|names| names.contains_key(name))
    }

    /// The active definition of one authority.
    #[must_use]
    pub fn held(&self, kind: Kind, name: &str, by: &Authority) -> Option<&Arc<Active>> {
        let named = self.named.get(&kind)?.get(name)?;
        match by {
            Authority::Genesis => named.genesis.as_ref(),
            Authority::Local => named.local.as_ref(),
            Authority::Peer(url) => named.peers.get(url),
        }
    }

    /// The validators of a verb, by name.
    #[must_use]
    pub fn validators(&self, verb: &str) -> &[Arc<Active>] {
        self.validators.get(verb).map_or(&[], Vec::as_slice)
    }

    /// Every active definition, of one kind or of all, by kind and name; of one name, the one that the
    /// name means here comes first where it is this instance's or that of genesis.
    pub fn active(&self, kind: Option<Kind>) -> impl Iterator<Item = &Arc<Active>> {
        let kinds = self.named.iter();
        let kinds = kinds.filter(move |(found, _)| kind.is_none_or(|kind| kind == **found));
        kinds.flat_map(|(_, names)| names.values().flat_map(Named::all))
    }

    /// A definition by the digest inside its CID, active or not.
    #[must_use]
    pub fn version(&self, digest: &Digest) -> Option<&Arc<Active>> {
        self.versions.get(digest)
    }

    /// Whether a version is one that its authority's name means now.
    #[must_use]
    pub fn is_active(&self, active: &Active) -> bool {
        let definition = &active.definition;
        let named = self.named.get(&definition.kind());
        let named = named.and_then(|names| names.get(definition.name()));
        named.is_some_and(|named| {
            let mut all = named.all();
            all.any(|found| found.definition.digest() == definition.digest())
        })
    }

    /// The host types that one is a subtype of, directly or not, as far as they are known here: each once,
    /// the nearest first, 32 at most.
    #[must_use]
    pub fn wider_types(&self, digest: &Digest) -> Vec<&Arc<Active>> {
        let mut found = vec![*digest];
        let mut next = 0;
        while let Some(digest) = found.get(next) {
            next += 1;
            let parents = self.parents.get(digest).map_or(&[][..], Vec::as_slice);
            for parent in parents {
                if found.len() <= WIDER && !found.contains(parent) {
                    found.push(*parent);
                }
            }
        }
        let wider = found[1..].iter().filter_map(|digest| self.version(digest));
        wider
            .filter(|active| active.definition.kind() == Kind::Type)
            .collect()
    }

    fn parents_by_type(&self) -> BTreeMap<Digest, Vec<Digest>> {
        let mut parents: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        let names = self.named.get(&Kind::Subtype);
        let active = names.into_iter().flatten();
        for active in active.filter_map(|(_, named)| named.by_name()) {
            if let Body::Subtype { parent, child } = active.definition.body() {
                parents.entry(child.digest).or_default().push(parent.digest);
            }
        }
        parents
    }

    fn validators_by_verb(&self) -> BTreeMap<String, Vec<Arc<Active>>> {
        let mut by_verb: BTreeMap<String, Vec<Arc<Active>>> = BTreeMap::new();
        let names = self.named.get(&Kind::Validator);
        for active in names
            .into_iter()
            .flatten()
            .filter_map(|(_, named)| named.by_name())
        {
            if let Body::Validator { on, .. } = active.definition.body() {
                for verb in on {
                    let of_verb = by_verb.entry(verb.clone()).or_default();
                    of_verb.push(Arc::clone(active));
                }
            }
        }
        by_verb
    }
}

/// Of the same object defined twice, the same one is kept whatever the order.
fn rank(active: &Active) -> (&Authority, u64) {
    (&active.authority, active.offset)
}

#[cfg(test)]
mod tests;

//! The ancestors of what a trigger makes, and where a chain of triggers ends.
//!
//! A document names its ancestors in `causedBy`, root first. Peers may name what they like, so that this
//! ends honest loops, also those through several instances; what ends the others is the bound an hour.

use crate::cid::{Cid, Digest};
use crate::limits::ANCESTORS;
use crate::value::{Map, Value};

/// Whether a chain goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chain {
    /// It does: the ancestors of what is made, root first.
    Goes(Vec<Cid>),
    /// It ends, and why.
    Ends(&'static str),
}

/// Whether the chain of an activity goes on through a trigger. `trigger_of` tells by which trigger an
/// activity was made, as far as that is known here.
///
/// # Errors
/// Those of `trigger_of`.
pub fn chain<E>(
    source: Cid,
    document: &Map,
    trigger: &Digest,
    mut trigger_of: impl FnMut(&Digest) -> Result<Option<Digest>, E>,
) -> Result<Chain, E> {
    let Some(mut ancestors) = caused_by(document) else {
        return Ok(Chain::Ends("its `causedBy` is no list of CIDs"));
    };
    if ancestors.len() >= ANCESTORS {
        return Ok(Chain::Ends("it has as many ancestors as there may be"));
    }
    ancestors.push(source);
    for ancestor in &ancestors {
        if trigger_of(&ancestor.digest)?.as_ref() == Some(trigger) {
            return Ok(Chain::Ends("the same trigger is among its ancestors"));
        }
    }
    Ok(Chain::Goes(ancestors))
}

/// The ancestors that a document names; none for what is no list of CIDs.
fn caused_by(document: &Map) -> Option<Vec<Cid>> {
    match document.get("causedBy") {
        None | Some(Value::Nil) => Some(Vec::new()),
        Some(value) => {
            let named = value.items().take(ANCESTORS + 1);
            named.map(|cid| cid.as_str()?.parse().ok()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn cid(n: usize) -> Cid {
        Cid::of_document(Digest::of(&n.to_be_bytes()))
    }

    fn document(ancestors: &[Cid]) -> Map {
        let ancestors: Vec<Value> = ancestors.iter().map(|cid| cid.to_string().into()).collect();
        Map::from([("causedBy", Value::from(ancestors))])
    }

    fn step(
        source: Cid,
        document: &Map,
        trigger: &Digest,
        made: &BTreeMap<Digest, Digest>,
    ) -> Chain {
        let trigger_of = |digest: &Digest| Ok::<_, Infallible>(made.get(digest).copied());
        match chain(source, document, trigger, trigger_of) {
            Ok(chain) => chain,
            Err(never) => match never {},
        }
    }

    proptest! {
        /// Whatever follows from what, and however triggers meet: no chain is longer than the bound, none
        /// has a trigger twice, and each names all it follows from, root first.
        #[test]
        fn every_chain_ends(triggers in prop::collection::vec(0_usize..12, 0..40)) {
            let mut made = BTreeMap::new();
            let mut used = Vec::new();
            let (mut source, mut ancestors) = (cid(0), Vec::new());
            for (at, name) in triggers.into_iter().enumerate() {
                let trigger = Digest::of(format!("trigger {name}").as_bytes());
                match step(source, &document(&ancestors), &trigger, &made) {
                    Chain::Goes(next) => {
                        ancestors.push(source);
                        prop_assert_eq!(&next, &ancestors);
                        prop_assert!(!used.contains(&trigger));
                        used.push(trigger);
                        source = cid(at + 1);
                        made.insert(source.digest, trigger);
                    }
                    Chain::Ends(_) => {
                        prop_assert!(used.contains(&trigger) || ancestors.len() == ANCESTORS);
                    }
                }
            }
            prop_assert!(ancestors.len() <= ANCESTORS);
        }
    }

    #[test]
    fn what_names_no_ancestors_in_earnest_ends_the_chain() {
        let made = BTreeMap::new();
        let trigger = Digest::of(b"trigger");
        for wrong in [
            Value::from("x"),
            vec![Value::Int(1)].into(),
            Value::Bool(true),
        ] {
            let document = Map::from([("causedBy", wrong)]);
            assert!(matches!(
                step(cid(0), &document, &trigger, &made),
                Chain::Ends(_)
            ));
        }
        let many: Vec<Cid> = (0..10_000).map(cid).collect();
        let ended = step(cid(0), &document(&many), &trigger, &made);
        assert!(matches!(ended, Chain::Ends(_)));
        let one = Map::from([("causedBy", cid(7).to_string())]);
        let goes = step(cid(0), &one, &trigger, &made);
        assert_eq!(goes, Chain::Goes(vec![cid(7), cid(0)]));
    }
}

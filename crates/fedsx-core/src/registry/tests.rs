//! What a name means, and that the order in which definitions come changes nothing.

use proptest::prelude::*;

use super::*;

fn pin(doc: u32) -> Definition {
    let source = format!("(DefineActivity :name \"Pin\" :doc \"{doc}\" :schema (fn (act) true))");
    Definition::from_source(&source).expect("it compiles")
}

fn active(authority: Authority, offset: u64, doc: u32) -> Active {
    Active {
        definition: pin(doc),
        authority,
        offset,
        create: None,
    }
}

fn peer(name: &str) -> Authority {
    Authority::Peer(format!("https://{name}.example/actors/x"))
}

fn meant(registry: &Registry) -> Option<(String, Digest)> {
    let found = registry.resolve(Kind::Activity, "Pin", None)?;
    let authority = found.authority.as_str().to_owned();
    Some((authority, found.definition.digest()))
}

#[test]
fn a_name_means_the_local_one_then_that_of_genesis_then_the_only_one_of_a_peer() {
    let mut registry = Registry::default();
    assert_eq!(meant(&registry), None);
    registry.add(active(peer("a"), 5, 1));
    assert_eq!(meant(&registry).map(|found| found.1), Some(pin(1).digest()));
    registry.add(active(peer("b"), 6, 2));
    assert_eq!(
        meant(&registry),
        None,
        "two peers, and none of them is ours"
    );
    let own = pin(2).digest();
    let by_version = registry.resolve(Kind::Activity, "Pin", Some(&own));
    assert_eq!(by_version.map(|found| found.offset), Some(6));
    registry.add(active(Authority::Genesis, 0, 3));
    assert_eq!(meant(&registry), Some(("genesis".into(), pin(3).digest())));
    registry.add(active(Authority::Local, 7, 4));
    assert_eq!(meant(&registry), Some(("local".into(), pin(4).digest())));
    registry.add(active(Authority::Local, 9, 5));
    assert_eq!(meant(&registry), Some(("local".into(), pin(5).digest())));
    let earlier = registry.version(&pin(4).digest()).expect("it stays");
    assert!(!registry.is_active(earlier));
    assert_eq!(registry.active(Some(Kind::Activity)).count(), 4);
    assert_eq!((registry.generation(), registry.through()), (5, 9));
}

#[test]
fn a_verb_is_defined_or_plain_or_nothing() {
    let registry = Registry::of_genesis(&[pin(1)]);
    let verb = |name: &str| match registry.verb(&Map::from([("type", name)])) {
        Verb::Defined(_) => "defined",
        Verb::Plain => "plain",
        Verb::Undefined => "undefined",
    };
    assert_eq!(
        [verb("Pin"), verb("Like"), verb("Frob")],
        ["defined", "plain", "undefined"]
    );
}

proptest! {
    #[test]
    fn the_order_in_which_definitions_come_changes_nothing(
        drawn in prop::collection::vec((0_u8..4, 0_u32..4), 1..12),
        seed in any::<prop::sample::Index>(),
    ) {
        let all: Vec<Active> = (1..).zip(drawn).map(|(offset, (who, doc))| match who {
            0 => active(Authority::Genesis, 0, 0),
            1 => active(Authority::Local, offset, doc),
            2 => active(peer("a"), offset, doc),
            _ => active(peer("b"), offset, doc),
        }).collect();
        let fold = |order: &[Active]| {
            let mut registry = Registry::default();
            order.iter().for_each(|active| registry.add(active.clone()));
            let versions: Vec<_> = (0..4)
                .map(|doc| registry.version(&pin(doc).digest()).map(|found| found.offset))
                .collect();
            let active: Vec<_> = registry.active(None).map(|found| found.offset).collect();
            (meant(&registry), active, versions, registry.generation(), registry.through())
        };
        let mut turned = all.clone();
        turned.rotate_left(seed.index(all.len()));
        turned.reverse();
        prop_assert_eq!(fold(&all), fold(&turned));
    }
}

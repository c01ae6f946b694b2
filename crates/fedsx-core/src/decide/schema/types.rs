//! Host types: an object that names one by its CID is judged by its fields and its refinement, and by
//! those of all types that it is published to be a subtype of (design, section 8.2).
//!
//! Invariant: neither types that name each other nor objects in objects make more than [`JUDGEMENTS`]
//! judgements. A type that is not known here passes.

use std::sync::Arc;

use crate::cid::{Cid, Digest};
use crate::decide::schema::Fuel;
use crate::definition::{Body, Field, Holds, Kind};
use crate::registry::{Active, Registry};
use crate::value::{Map, Value};

/// Judgements of an object in one activity, by one type each.
const JUDGEMENTS: usize = 64;

/// The host type that an object names by its CID, in `type` or in `definition`, if it is known here.
pub(super) fn named<'a>(registry: &'a Registry, object: &Map) -> Option<&'a Arc<Active>> {
    // On most instances there are none, and what comes in need not be looked at for them.
    registry.active(Some(Kind::Type)).next()?;
    ["type", "definition"].into_iter().find_map(|member| {
        let cid: Cid = object.get(member)?.as_str()?.parse().ok()?;
        known(registry, &cid.digest)
    })
}

fn known<'a>(registry: &'a Registry, digest: &Digest) -> Option<&'a Arc<Active>> {
    let active = registry.version(digest);
    active.filter(|active| active.definition.kind() == Kind::Type)
}

/// Judges an object by a type; the error is the sentence that is answered.
pub(super) fn judge(
    registry: &Registry,
    object: &Map,
    by: &Arc<Active>,
    fuel: &mut Fuel,
) -> Result<(), String> {
    let mut waiting = vec![(object.clone(), Arc::clone(by))];
    let mut judged = 0;
    while let Some((object, by)) = waiting.pop() {
        let wider = registry.wider_types(&by.definition.digest());
        for active in [&by].into_iter().chain(wider) {
            let Body::Type { fields, schema } = active.definition.body() else {
                continue;
            };
            judged += 1;
            if judged > JUDGEMENTS {
                return Err(format!(
                    "it takes more than {JUDGEMENTS} judgements by type"
                ));
            }
            for field in fields {
                judge_field(&object, field, active, |value, digest| {
                    if let (Value::Map(inner), Some(by)) = (value, known(registry, digest)) {
                        waiting.push((inner.clone(), Arc::clone(by)));
                    }
                    waiting.len() <= JUDGEMENTS
                })?;
            }
            if let Some(schema) = schema {
                fuel.demand(schema, &object, active)?;
            }
        }
    }
    Ok(())
}

/// Looks at one field; values that must be of a host type themselves are given to `later`, which says
/// whether there may be more of them.
fn judge_field(
    object: &Map,
    field: &Field,
    of: &Active,
    mut later: impl FnMut(&Value, &Digest) -> bool,
) -> Result<(), String> {
    let name = of.definition.name();
    let Some(value) = object
        .get(&field.name)
        .filter(|value| **value != Value::Nil)
    else {
        return match field.is_optional {
            true => Ok(()),
            false => Err(format!("it is no `{name}`: `{}` is missing", field.name)),
        };
    };
    let mut level = vec![value];
    for _ in 0..field.lists {
        let mut items = Vec::new();
        for value in level {
            match value {
                Value::List(list) => items.extend(list.iter()),
                _ => return Err(format!("it is no `{name}`: `{}` is no list", field.name)),
            }
        }
        level = items;
    }
    for value in level {
        if !field.holds.has(value) {
            let what = format!("`{}` is none of what it must be", field.name);
            return Err(format!("it is no `{name}`: {what}"));
        }
        if let Holds::Type(digest) = &field.holds
            && !later(value, digest)
        {
            return Err(format!(
                "`{}` holds too many objects with types",
                field.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::schema::FUEL;
    use crate::definition::Definition;
    use crate::notation::sx::read_definition;
    use crate::registry::Authority;

    struct World(Registry, u64);

    impl World {
        fn new() -> Self {
            Self(Registry::default(), 0)
        }

        fn define(&mut self, source: &str) -> Cid {
            let definition = match Definition::from_source(source) {
                Ok(definition) => definition,
                Err(error) => panic!("{source}: {}", error.page()),
            };
            self.1 += 1;
            let cid = definition.cid();
            self.0.add(Active {
                definition,
                authority: Authority::Local,
                offset: self.1,
                create: None,
            });
            cid
        }

        fn subtype(&mut self, child: Cid, parent: Cid) {
            let name = format!("s{}", self.1);
            self.define(&format!(
                "(SubtypeOf :name \"{name}\" :child \"{child}\" :parent \"{parent}\")"
            ));
        }

        fn judged(&self, object: &str) -> String {
            let object = read_definition(object, &[]).expect(object);
            match named(&self.0, &object) {
                None => "no type".to_owned(),
                Some(by) => match judge(&self.0, &object, by, &mut Fuel(FUEL)) {
                    Ok(()) => "passes".to_owned(),
                    Err(why) => why,
                },
            }
        }
    }

    #[test]
    fn a_record_is_judged_by_its_type_and_the_wider_ones() {
        let mut world = World::new();
        let thing = world
            .define("(DefineType :name \"Thing\" :fields {:name \"string\" :weight \"number?\"})");
        let dish = world.define(&format!(
            "(DefineType :name \"Dish\" :fields {{:serves \"integer\" :tags [\"string\"] :made-of [\"{thing}\"]}} \
             :schema (fn (obj) (> (get obj :serves) 0)))"
        ));
        world.subtype(dish, thing);
        let cases = [
            ":type \"DISH\" :name \"soup\" :serves 4 :tags [] :made-of [{:name \"leek\"}]",
            ":type \"Dish\" :definition \"DISH\" :name \"soup\" :serves 4 :tags [\"a\"] :made-of []",
            ":type \"DISH\" :serves 4 :tags [] :made-of []",
            ":type \"DISH\" :name \"soup\" :serves 4.5 :tags [] :made-of []",
            ":type \"DISH\" :name \"soup\" :serves 0 :tags [] :made-of []",
            ":type \"DISH\" :name \"soup\" :serves 4 :tags [7] :made-of []",
            ":type \"DISH\" :name \"soup\" :serves 4 :tags \"a\" :made-of []",
            ":type \"DISH\" :name \"soup\" :serves 4 :tags [] :made-of [{:name 7}]",
            ":type \"DISH\" :name \"soup\" :serves 4 :tags [] :made-of [] :weight \"2 kg\"",
            ":type \"THING\" :name \"pot\"",
            ":type \"Note\"",
        ];
        let page: Vec<String> = cases
            .into_iter()
            .map(|members| {
                let (dish, thing) = (dish.to_string(), thing.to_string());
                let object = members.replace("DISH", &dish).replace("THING", &thing);
                format!("{members}\n  {}", world.judged(&format!("{{{object}}}")))
            })
            .collect();
        insta::assert_snapshot!(page.join("\n"));
    }

    #[test]
    fn types_that_name_each_other_end() {
        let mut world = World::new();
        let mut cids = Vec::new();
        for name in ["a", "b", "c"] {
            let field = format!("has-{name}");
            let source = format!("(DefineType :name \"{name}\" :fields {{:{field} \"string\"}})");
            cids.push(world.define(&source));
        }
        for at in 0..3 {
            world.subtype(cids[at], cids[(at + 1) % 3]);
        }
        let digests = |world: &World, cid: &Cid| {
            let wider = world.0.wider_types(&cid.digest);
            let cids = wider.iter().map(|active| active.definition.cid());
            cids.collect::<Vec<_>>()
        };
        assert_eq!(digests(&world, &cids[0]), [cids[1], cids[2]]);
        let all = ":has-a \"\" :has-b \"\" :has-c \"\"";
        let of = |members: &str| format!("{{:type \"{}\" {members}}}", cids[2]);
        assert_eq!(world.judged(&of(all)), "passes");
        let why = world.judged(&of(":has-c \"\" :has-b \"\""));
        assert!(why.contains("has-a"), "{why}");
    }

    #[test]
    fn objects_in_objects_are_bounded() {
        let mut world = World::new();
        let leaf = world.define("(DefineType :name \"Leaf\" :fields {})");
        let tree = world.define(&format!(
            "(DefineType :name \"Tree\" :fields {{:leaves [[\"{leaf}\"]]}})"
        ));
        let object = |leaves: usize| {
            let leaves = "{} ".repeat(leaves);
            format!("{{:type \"{tree}\" :leaves [[{leaves}] []]}}")
        };
        assert_eq!(world.judged(&object(60)), "passes");
        assert!(world.judged(&object(64)).contains("more than 64"));
        assert!(world.judged(&object(9_000)).contains("too many"));
    }

    #[test]
    fn a_long_line_of_types_is_cut() {
        let mut world = World::new();
        let mut cids = Vec::new();
        for n in 0..100 {
            let name = format!("t{n}");
            cids.push(world.define(&format!("(DefineType :name \"{name}\" :fields {{}})")));
        }
        for pair in cids.windows(2) {
            world.subtype(pair[0], pair[1]);
        }
        assert_eq!(world.0.wider_types(&cids[0].digest).len(), 32);
        let object = format!("{{:type \"{}\"}}", cids[0]);
        assert_eq!(world.judged(&object), "passes");
    }
}

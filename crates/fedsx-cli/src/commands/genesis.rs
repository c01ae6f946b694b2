//! `genesis show|verify`: the definitions that are compiled into this program. Neither asks a server.

use fedsx_core::definition::Definition;
use fedsx_core::genesis::{self, Entry};
use fedsx_core::value::{Map, Value};
use fedsx_store::compare_genesis;

use super::deliveries::count;
use crate::args::{Genesis, Global};
use crate::failure::Failure;
use crate::output::{short_cid, stdout};

/// Runs one of the two.
pub(crate) fn run(global: &Global, command: Genesis) -> anyhow::Result<()> {
    match command {
        Genesis::Show { name: None } => list(global),
        Genesis::Show { name: Some(name) } => show(global, &name),
        Genesis::Verify => verify(global),
    }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let mut list = stdout(global.output).list(&["section", "name", "cid", "what"]);
    for (entry, definition) in genesis::entries().zip(genesis::definitions()) {
        list.push(&head(&entry, definition), || {
            vec![
                entry.section.to_owned(),
                entry.name.to_owned(),
                short_cid(&entry.cid.to_string()),
                definition.doc().unwrap_or_default().to_owned(),
            ]
        })?;
    }
    Ok(list.finish("nothing")?)
}

fn head(entry: &Entry, definition: &Definition) -> Map {
    Map::from([
        ("section", Value::from(entry.section)),
        ("name", Value::from(entry.name)),
        ("cid", Value::from(entry.cid.to_string())),
        ("doc", definition.doc().map_or(Value::Nil, Value::from)),
    ])
}

fn show(global: &Global, name: &str) -> anyhow::Result<()> {
    let (entry, definition) = find(name)?;
    let mut value = head(&entry, definition);
    value.insert("definition", definition.map().clone());
    value.insert("source", entry.source);
    Ok(stdout(global.output).one(&value, || {
        format!(
            ";; {}/{}: {}\n{}",
            entry.section, entry.name, entry.cid, entry.source
        )
    })?)
}

/// By `NAME`, or by `SECTION/NAME` where two sections have one of that name.
fn find(name: &str) -> Result<(Entry, &'static Definition), Failure> {
    let full = |entry: &Entry| format!("{}/{}", entry.section, entry.name);
    let mut found = genesis::entries()
        .zip(genesis::definitions())
        .filter(|(entry, _)| entry.name == name || full(entry) == name);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some((first, _)), Some((second, _))) => Err(Failure::usage(format!(
            "there are two of that name: say `{}` or `{}`",
            full(&first),
            full(&second)
        ))),
        (None, _) => Err(Failure::failed(format!(
            "the genesis has no `{name}`; `fedsx genesis show` lists what it has"
        ))),
    }
}

fn verify(global: &Global) -> anyhow::Result<()> {
    genesis::verify()?;
    let remembered = compare_genesis(&global.data_dir)?;
    let dir = global.data_dir.display().to_string();
    let entries = genesis::entries().len();
    let value = Map::from([
        ("bundle", Value::from(genesis::bundle().to_string())),
        ("entries", count(entries as u64)),
        ("remembered", Value::Bool(remembered)),
    ]);
    Ok(stdout(global.output).one(&value, || {
        let kept = match remembered {
            true => format!("{dir} goes by it"),
            false => format!("{dir} goes by none yet"),
        };
        format!(
            "bundle   {}\nentries  {entries}, all as the manifest has them\n{kept}",
            genesis::bundle()
        )
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_a_name_that_says_which() {
        assert!(find("Create").is_ok_and(|(entry, _)| entry.section == "activity-types"));
        assert!(find("object-types/DefineType").is_ok());
        let refusal = |name| find(name).expect_err(name).to_string();
        insta::assert_snapshot!(refusal("DefineType"), @"there are two of that name: say `activity-types/DefineType` or `object-types/DefineType`");
        insta::assert_snapshot!(refusal("Pin"), @"the genesis has no `Pin`; `fedsx genesis show` lists what it has");
    }
}

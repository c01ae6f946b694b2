//! `define`, `verbs` and `definitions`.

use std::path::Path;

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::canonical::jcs_map;
use fedsx_core::definition::{Definition, Kind};
use fedsx_core::value::{Map, Value};

use super::connect::{connect, pages};
use super::post::read;
use crate::args::{Global, Limit};
use crate::failure::Failure;
use crate::output::{clean, published_value, short_cid, stdout};

/// Publishes the definition in a file.
pub(crate) async fn define(global: &Global, file: &Path, actor: String) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let definition = definition(file, &bytes)?;
    let client = connect(global).await?;
    let request = proto::DefineRequest {
        actor,
        document_json: jcs_map(definition.map()),
    };
    let answer = client.define(request).await.map_err(Failure::from)?;
    let defined = answer.definition.context("the server sent no definition")?;
    let published = answer.published.context("the server sent no activity")?;
    let mut value = definition_value(&defined);
    value.insert("published", published_value(&published));
    stdout(global.output).one(&value, || {
        format!(
            "{} {} is active\n  cid     {}\n  create  {}\n  journal {}",
            defined.kind, defined.name, defined.cid, published.cid, published.offset
        )
    })?;
    Ok(())
}

/// The definition that a `.sx` file holds; what does not compile is shown where it stands.
fn definition(file: &Path, bytes: &[u8]) -> Result<Definition, Failure> {
    let name = file.display();
    let source = std::str::from_utf8(bytes)
        .map_err(|error| Failure::failed(format!("{name} is no text: {error}")))?;
    Definition::from_source(source)
        .map_err(|error| Failure::failed(format!("{name}: {}", error.page().trim_end())))
}

/// The verbs that activities may have here.
pub(crate) async fn verbs(global: &Global, limit: Limit) -> anyhow::Result<()> {
    list(global, Kind::Activity.as_str().to_owned(), limit).await
}

/// What is defined here.
pub(crate) async fn list(global: &Global, kind: String, limit: Limit) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let mut list = stdout(global.output).list(&["kind", "name", "authority", "cid", "doc"]);
    pages(limit.limit, async |limit, page_token| {
        let request = proto::ListDefinitionsRequest {
            kind: kind.clone(),
            limit,
            page_token,
        };
        let answer = client.definitions(request).await.map_err(Failure::from)?;
        for defined in &answer.definitions {
            list.push(&definition_value(defined), || {
                vec![
                    defined.kind.clone(),
                    defined.name.clone(),
                    clean(&defined.authority),
                    short_cid(&defined.cid),
                    clean(&defined.doc),
                ]
            })?;
        }
        Ok((answer.definitions.len(), answer.next_page_token))
    })
    .await?;
    list.finish("nothing is defined; `fedsx define FILE.sx --as NAME` defines something")?;
    Ok(())
}

fn definition_value(defined: &proto::Definition) -> Map {
    let offset = i64::try_from(defined.offset).unwrap_or(i64::MAX);
    Map::from([
        ("kind", Value::from(&*defined.kind)),
        ("name", Value::from(&*defined.name)),
        ("cid", Value::from(&*defined.cid)),
        ("authority", Value::from(&*defined.authority)),
        ("doc", Value::from(&*defined.doc)),
        ("offset", Value::Int(offset)),
        ("definedBy", Value::from(&*defined.defined_by)),
        ("active", Value::Bool(defined.active)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_compile_is_shown_with_its_name_and_place() {
        let source = "(DefineActivity :name \"Pin\" :schema (fn (act) (strung? (get act :path))))";
        let refused = definition(Path::new("pin.sx"), source.as_bytes()).expect_err(source);
        insta::assert_snapshot!(refused.to_string());
    }
}

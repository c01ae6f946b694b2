//! `actor token create|list|revoke`.

use anyhow::Context as _;
use fedsx_admin::proto;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};

use super::connect::connect;
use crate::args::{Global, Scope, Token};
use crate::failure::Failure;
use crate::output::stdout;

/// Runs it.
pub(crate) async fn run(global: &Global, command: Token) -> anyhow::Result<()> {
    match command {
        Token::Create { name, scopes } => create(global, name, &scopes).await,
        Token::List { name } => list(global, name).await,
        Token::Revoke { name, id } => revoke(global, name, id).await,
    }
}

async fn create(global: &Global, name: String, scopes: &[Scope]) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let scopes = scopes.iter().map(|scope| scope.as_str().to_owned());
    let request = proto::IssueTokenRequest {
        name: name.clone(),
        scopes: scopes.collect(),
    };
    let answer = client.issue_token(request).await.map_err(Failure::from)?;
    let token = answer.token.context("the server sent no token")?;
    let mut value = token_value(&token);
    value.insert("token", &*answer.secret);
    stdout(global.output).one(&value, || {
        format!(
            "{}\n  of      {name}\n  scopes  {}\n  id      {}\n  It is not shown again.",
            answer.secret,
            token.scopes.join(", "),
            token.id
        )
    })?;
    Ok(())
}

async fn list(global: &Global, name: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::ListTokensRequest { name };
    let answer = client.list_tokens(request).await.map_err(Failure::from)?;
    let mut list = stdout(global.output).list(&["id", "scopes", "issued"]);
    for token in &answer.tokens {
        list.push(&token_value(token), || {
            vec![
                token.id.clone(),
                token.scopes.join(", "),
                format_rfc3339_ms(token.issued_ms),
            ]
        })?;
    }
    list.finish("no tokens; issue one with `fedsx actor token create NAME`")?;
    Ok(())
}

async fn revoke(global: &Global, name: String, id: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let value = Map::from([("name", Value::from(&*name)), ("id", Value::from(&*id))]);
    let text = format!("{id} of {name} is good for nothing any more");
    let request = proto::RevokeTokenRequest { name, id };
    client.revoke_token(request).await.map_err(Failure::from)?;
    stdout(global.output).one(&value, || text)?;
    Ok(())
}

fn token_value(token: &proto::Token) -> Map {
    let scopes: Vec<Value> = token.scopes.iter().map(|scope| (&**scope).into()).collect();
    Map::from([
        ("id", Value::from(&*token.id)),
        ("scopes", scopes.into()),
        ("issued", format_rfc3339_ms(token.issued_ms).into()),
    ])
}

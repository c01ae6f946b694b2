//! For whom a request speaks: the bearer token in `Authorization` (RFC 6750, section 2.1).
//!
//! Design, sections 11 and 12. Without a token that is one, 401 `token-required` with a challenge; with one that
//! is another actor's, or not good for this, 403 `not-authorised`. Invariant: whoever is wrong too often is told
//! so, and never what was wrong; a right token is taken even then, because others may share the address, and no
//! number of tries finds one. Deliberately absent: tokens in queries and forms, which end up in logs.

use std::net::{IpAddr, Ipv4Addr};

use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_discovery::budget::Rate;
use fedsx_node::Scope;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::problem::Problem;
use crate::router::HttpState;
use crate::serve::Remote;

/// How often one address may show a token that is none.
pub(crate) const FAILURES: Rate = Rate {
    per_minute: 10,
    burst: 20,
};

/// The actor for whom a request speaks, which must be `name` where one is given, and may do this.
pub(crate) async fn actor(
    state: &HttpState,
    parts: &Parts,
    scope: Scope,
    name: Option<&str>,
) -> Result<Actor, Problem> {
    let Some(shown) = token(parts) else {
        return Err(required());
    };
    let found = state.read(move |node| Ok(node.bearer(&shown)?)).await?;
    let Some((actor, scopes)) = found else {
        let source = parts.extensions.get::<Remote>().map(|remote| remote.0);
        let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        return Err(match state.wrong_token(source) {
            Ok(()) => required(),
            Err(seconds) => {
                let why = "too many tokens that are none come from your address";
                Problem(Refusal::new(Code::RateLimited, why).retry_after(seconds))
            }
        });
    };
    if name.is_some_and(|name| name != actor.name) {
        let why = "the token is another actor's";
        return Err(Problem::new(Code::NotAuthorised, why));
    }
    if !scopes.contains(&scope) {
        let why = format!("the token lacks the scope `{}`", scope.as_str());
        return Err(Problem::new(Code::NotAuthorised, why));
    }
    Ok(actor)
}

/// Whether a request shows a bearer token, good or not.
pub(crate) fn is_shown(parts: &Parts) -> bool {
    token(parts).is_some()
}

fn token(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim_matches(' ').to_owned())
}

fn required() -> Problem {
    Problem::new(
        Code::TokenRequired,
        "this takes a bearer token of the actor",
    )
}

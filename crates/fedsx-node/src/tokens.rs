//! Bearer tokens of local actors: issued and revoked by the operator, shown by clients.
//!
//! What a token is and how it is kept: `store/vault/tokens.rs`. Design, sections 11 and 12.

use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_store::vault::{IssueError, Scope, Token, TokenText};

use crate::{Node, fault};

impl Node {
    /// Issues a token of an actor; the second is the whole of it, to be shown once. Waits for the disk.
    ///
    /// # Errors
    /// `no-such-actor`; `malformed` without a scope; `conflict` when the actor has too many.
    pub fn issue_token(
        &self,
        name: &str,
        mut scopes: Vec<Scope>,
    ) -> Result<(Token, TokenText), Refusal> {
        let actor = self.actor(name)?;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            let why = "a token takes a scope: publish, read or both";
            return Err(Refusal::new(Code::Malformed, why));
        }
        let tokens = self.0.vault.tokens();
        tokens
            .issue(actor.no, scopes, self.now_ms())
            .map_err(|error| match error {
                IssueError::TooMany => Refusal::new(Code::Conflict, error.to_string()),
                IssueError::Vault(error) => fault::internal("a token can't be kept", &error),
            })
    }

    /// The tokens of an actor, by id.
    ///
    /// # Errors
    /// `no-such-actor`.
    pub fn tokens(&self, name: &str) -> Result<Vec<Token>, Refusal> {
        let actor = self.actor(name)?;
        Ok(self.0.vault.tokens().of(actor.no))
    }

    /// Revokes a token of an actor. Waits for the disk.
    ///
    /// # Errors
    /// `no-such-actor`; `not-found` when the actor has no such token.
    pub fn revoke_token(&self, name: &str, id: &str) -> Result<(), Refusal> {
        let actor = self.actor(name)?;
        match self.0.vault.tokens().revoke(actor.no, id) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let why = format!("{name} has no such token; `fedsx actor token list {name}`");
                Err(Refusal::new(Code::NotFound, why))
            }
            Err(error) => Err(fault::internal("a token can't be revoked", &error)),
        }
    }

    /// Whose token this is, if it is one, and what it is good for.
    ///
    /// # Errors
    /// `internal`, when the index can't be read.
    pub fn bearer(&self, shown: &str) -> Result<Option<(Actor, Vec<Scope>)>, Refusal> {
        let Some(token) = self.0.vault.tokens().shown(shown) else {
            return Ok(None);
        };
        let actor = self.0.view.state().actor(token.actor);
        let actor = actor.map_err(fault::state)?;
        let actor = actor.filter(|actor| !actor.is_gone());
        Ok(actor.map(|actor| (actor, token.scopes)))
    }
}

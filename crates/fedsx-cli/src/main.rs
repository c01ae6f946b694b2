//! `fedsx`: runs fed-sx instances and drives them.
//!
//! The command line is read in `args`, settings are resolved once in `config`, tasks belong to
//! `wiring`; commands are thin clients of the admin API. Deliberately absent: any rule of the
//! protocol.

mod admin_file;
mod args;
mod commands;
mod config;
mod failure;
mod logging;
mod output;
mod shutdown;
mod wiring;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::FromArgMatches as _;
use clap_complete::Shell;

use args::{Args, Command, Global};
use commands::{
    actor, backfill, define, deliveries, demo, explain, follow, genesis, group, host, log, peer,
    post, projection, quarantine, read, status, store, sx, triggers,
};
use config::Config;
use failure::Failure;

/// What one request takes is given back by other threads (the runtime's, the writer), which glibc's
/// allocator pays for with a fifth of the server's time under load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done when stderr is gone too.
            let _ = writeln!(anstream::stderr(), "fedsx: {}", failure::sentence(&error));
            failure::exit_of(&error).into()
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let Args { global, command } = args;
    match command {
        Command::Completions { shell } => {
            completions(shell);
            Ok(())
        }
        Command::Serve(serve) => {
            let config = settings(&global, &serve)?;
            wiring::run(&global, config, serve.adopt_genesis)
        }
        Command::Verify { what: None } => store::verify(&global),
        Command::Reindex => store::reindex(&global, &settings(&global, &args::Serve::default())?),
        Command::Journal(args::Journal::Dump { from }) => store::dump(&global, from),
        Command::Genesis(command) => genesis::run(&global, command),
        Command::Sx(command) => sx::run(&global, command),
        command => runtime()?.block_on(ask(&global, command)),
    }
}

/// Commands that ask the server.
async fn ask(global: &Global, command: Command) -> anyhow::Result<()> {
    use follow::Verb;
    match command {
        Command::Actor(command) => actor::run(global, command).await,
        Command::Follow(asked) => follow::follow(global, asked).await,
        Command::Backfill(asked) => backfill::run(global, asked).await,
        Command::Unfollow(pair) => follow::run(global, Verb::Unfollow, pair).await,
        Command::Accept(pair) => follow::run(global, Verb::Accept, pair).await,
        Command::Reject(pair) => follow::run(global, Verb::Reject, pair).await,
        Command::Block(pair) => follow::block(global, Verb::Block, pair).await,
        Command::Unblock(pair) => follow::block(global, Verb::Unblock, pair).await,
        Command::FollowRequests(named) => {
            follow::list(global, follow::Which::Requests, named).await
        }
        Command::Followers(named) => follow::list(global, follow::Which::Followers, named).await,
        Command::Following(named) => follow::list(global, follow::Which::Following, named).await,
        Command::Post(post) => post::post(global, post).await,
        Command::Publish { name, file } => post::publish(global, name, &file).await,
        Command::Announce(announce) => post::announce(global, announce).await,
        Command::Endorse(endorse) => post::endorse(global, endorse).await,
        Command::Delete(delete) => post::delete(global, delete).await,
        Command::Timeline(named) => read::list(global, read::Which::Timeline, named).await,
        Command::Outbox(named) => read::list(global, read::Which::Outbox, named).await,
        Command::Inbox(named) => read::list(global, read::Which::Inbox, named).await,
        Command::Tail(tail) => read::tail(global, tail).await,
        Command::Get { what } => read::get(global, what).await,
        Command::Explain { what } => explain::run(global, what).await,
        Command::Group(command) => group::run(global, command).await,
        Command::Host(command) => host::run(global, command).await,
        Command::Peer(command) => peer::run(global, command).await,
        Command::Log(command) => log::run(global, command).await,
        Command::Verify { what: Some(what) } => log::verify(global, what).await,
        Command::Quarantine(command) => quarantine::run(global, command).await,
        Command::Define { file, actor } => define::define(global, &file, actor).await,
        Command::Verbs(limit) => define::verbs(global, limit).await,
        Command::Definitions { kind, limit } => {
            define::list(global, kind.unwrap_or_default(), limit).await
        }
        Command::Triggers(limit) => triggers::list(global, limit).await,
        Command::Subscriptions { name } => triggers::subscriptions(global, name).await,
        Command::Projection(command) => projection::run(global, command).await,
        Command::Deliveries { of: Some(of), .. } => deliveries::of(global, of).await,
        Command::Deliveries { of: None, action } => deliveries::lanes(global, action).await,
        Command::DeadLetters { action } => deliveries::dead_letters(global, action).await,
        Command::Status { digest } => status::run(global, digest).await,
        Command::Demo { exit } => demo::run(exit).await,
        // The others need no server.
        Command::Serve(_)
        | Command::Verify { what: None }
        | Command::Reindex
        | Command::Journal(_)
        | Command::Genesis(_)
        | Command::Sx(_)
        | Command::Completions { .. } => Ok(()),
    }
}

fn settings(global: &Global, serve: &args::Serve) -> Result<Config, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::resolve(&global.data_dir, environment, serve)
        .map_err(|error| Failure::usage(error.to_string()))
}

/// One thread is enough for a client.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")
}

fn completions(shell: args::Shell) {
    let shell = match shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
    };
    clap_complete::generate(shell, &mut args::command(), "fedsx", &mut std::io::stdout());
}

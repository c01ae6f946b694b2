//! The command line as it stands: words and flags, nothing looked up and nothing decided.

mod announce;
mod backfill;
mod block;
mod delete;
mod deliveries;
pub(crate) mod group;
mod host;
mod log;
mod peer;
mod profile;
mod projection;
mod quarantine;
mod recovery;
mod token;
mod transfer;

use std::path::PathBuf;

use clap::{Args as Group, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::config;

pub(crate) use self::host::Host;
pub(crate) use self::log::{Log, Verify};
pub(crate) use self::peer::Peer;
pub(crate) use self::quarantine::Quarantine;
pub(crate) use announce::{Announce, Endorse};
pub(crate) use backfill::{Backfill, Follow};
pub(crate) use block::Blocked;
pub(crate) use delete::Delete;
pub(crate) use deliveries::{DeadLetters, Deliveries, Letters};
pub(crate) use profile::{Field, Profile};
pub(crate) use projection::{Projection, Show};
pub(crate) use recovery::RecoveryKey;
pub(crate) use token::{Scope, Token};
pub(crate) use transfer::{Export, Import, Sealed};

/// What `--help` says after the options.
const EXITS: &str = "\
Exit codes:
  0  done
  1  refused or failed; one sentence on stderr says why and what to do
  2  wrong usage or configuration
  3  no server answers

Settings of `serve`: DATA_DIR/fedsx.toml, then FEDSX_SECTION_KEY, then --set
section.key=value, each over the one before. NO_COLOR is obeyed.";

/// fed-sx: a federated activity server, and the commands that drive it.
#[derive(Clone, Debug, Parser)]
#[command(name = "fedsx", version, after_help = EXITS, max_term_width = 120)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The whole command line, with what only the program knows in its help.
pub(crate) fn command() -> clap::Command {
    Args::command().mut_subcommand("serve", |serve| serve.after_long_help(config::listing()))
}

/// Taken by every command.
#[derive(Clone, Debug, Group)]
pub(crate) struct Global {
    /// Where the instance keeps everything; a running server is found through it
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "./fedsx-data"
    )]
    pub(crate) data_dir: PathBuf,
    /// How answers are written
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t = Form::Table)]
    pub(crate) output: Form,
    /// The admin address of a server elsewhere
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    pub(crate) admin: Option<String>,
    /// The file with its token
    #[arg(long, global = true, value_name = "FILE", requires = "admin")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Table,
    /// Lists as one array, single answers as one object
    Json,
    /// The same, as S-expressions
    Sx,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an instance
    Serve(Serve),
    /// Show two instances federating, from nothing
    Demo {
        /// End after the last step instead of waiting for Ctrl-C
        #[arg(long)]
        exit: bool,
    },
    /// Create, list and show actors
    #[command(subcommand)]
    Actor(Actor),
    /// Ask to follow WHO
    Follow(Follow),
    /// Fetch the past of WHO, whom NAME follows; without WHO, how far that is
    Backfill(Backfill),
    /// Stop following WHO
    Unfollow(Pair),
    /// Who asked to follow NAME and has no answer yet
    FollowRequests(Named),
    /// Let WHO follow NAME
    Accept(Pair),
    /// Refuse WHO's request to follow NAME, or end its follow
    Reject(Pair),
    /// Cut every relation with WHO, and refuse new ones
    Block(Blocked),
    /// Lift a block
    Unblock(Blocked),
    /// Who follows NAME
    Followers(Named),
    /// Whom NAME follows
    Following(Named),
    /// Publish a note
    Post(Post),
    /// Publish a document, JSON or SX; `-` reads it from stdin
    Publish {
        /// An actor of this instance
        name: String,
        /// The document
        file: PathBuf,
    },
    /// Pass on what another wrote
    Announce(Announce),
    /// Say something short about what another wrote
    Endorse(Endorse),
    /// Delete what NAME made, and erase every copy of it here
    Delete(Delete),
    /// What NAME wrote and received, newest first
    Timeline(Named),
    /// What NAME published, newest first
    Outbox(Named),
    /// What NAME received, newest first
    Inbox(Named),
    /// Every activity when it is stored (in JSON: one object a line)
    Tail(Tail),
    /// One activity or actor
    Get {
        /// A CID, or the URL of an activity, object or actor kept here
        #[arg(value_name = "CID-or-URL")]
        what: String,
    },
    /// What has become of an activity, and why
    Explain {
        /// A CID, or the URL of an activity
        #[arg(value_name = "CID-or-URL")]
        what: String,
    },
    /// What others sent and a schema or validator refused
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Who controls a group, and who is a member of a closed one
    #[command(subcommand)]
    Group(group::Group),
    /// Hosts that this instance has nothing to do with
    #[command(subcommand)]
    Host(Host),
    /// Actors of other hosts: those that no actor here has anything to do with, and what their servers hold of us
    #[command(subcommand)]
    Peer(Peer),
    /// Check every frame, CID, proof and log of the data directory, beside a running server too; or a remote log
    Verify {
        #[command(subcommand)]
        what: Option<Verify>,
    },
    /// Verifiable logs: our own, and the evidence against those of others
    #[command(subcommand)]
    Log(Log),
    /// Build the index anew from the journal; the server must be stopped
    Reindex,
    /// Read the journal
    #[command(subcommand)]
    Journal(Journal),
    /// Publish the definition in a .sx file; it holds for the whole instance
    Define {
        /// The definition; `-` reads it from stdin
        #[arg(value_name = "FILE.sx")]
        file: PathBuf,
        /// The actor of this instance that publishes it
        #[arg(long = "as", value_name = "NAME")]
        actor: String,
    },
    /// The verbs that are defined here
    Verbs(Limit),
    /// What is defined here
    Definitions {
        /// Only of one kind, such as DefineActivity
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        limit: Limit,
    },
    /// What follows from activities here, and what came of it
    Triggers(Limit),
    /// What NAME selects from its logs
    Subscriptions {
        /// An actor of this instance
        name: String,
    },
    /// What the journal adds up to
    #[command(subcommand)]
    Projection(Projection),
    /// The definitions that this program brings
    #[command(subcommand)]
    Genesis(Genesis),
    /// The language of definitions: evaluate, lay out, check, try
    #[command(subcommand)]
    Sx(Sx),
    /// What is still to be delivered, by host
    #[command(args_conflicts_with_subcommands = true)]
    Deliveries {
        /// What came of the deliveries of one activity so far, by its CID or URL
        #[arg(long, value_name = "CID-or-URL")]
        of: Option<String>,
        #[command(subcommand)]
        action: Option<Deliveries>,
    },
    /// What could not be delivered
    DeadLetters {
        #[command(subcommand)]
        action: Option<DeadLetters>,
    },
    /// How the instance is
    Status {
        /// Hash the derived rows of the index, to compare it with a rebuilt one
        #[arg(long)]
        digest: bool,
    },
    /// A completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Clone, Debug, Default, Group)]
pub(crate) struct Serve {
    /// Address of the public listener; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Address of the admin listener; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// The base URL that others reach this instance by [default: that of --listen]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The index engine: fjall, sled or memory
    #[arg(long, value_name = "ENGINE")]
    pub(crate) store: Option<String>,
    /// Federate with plain http and private addresses (development); implied by a loopback base URL
    #[arg(long)]
    pub(crate) allow_private_peers: bool,
    /// Take the genesis of this program where the data directory goes by another
    #[arg(long)]
    pub(crate) adopt_genesis: bool,
    /// A setting, such as delivery.retry=30s,5m
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Actor {
    /// Create an actor
    Create {
        /// 1 to 64 characters of a-z, 0-9 and _
        name: String,
        /// What it is
        #[arg(long, value_enum, default_value_t = Kind::Person)]
        kind: Kind,
        /// The name shown to people
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// A sentence about it
        #[arg(long, value_name = "TEXT")]
        summary: Option<String>,
        /// Answer follow requests by hand
        #[arg(long)]
        manual_approval: bool,
    },
    /// All actors of this instance
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// One actor
    Show {
        /// Its name
        name: String,
    },
    /// Change what an actor says of itself
    Update(Profile),
    /// Move an actor to WHO, which must name it in its alsoKnownAs: followers go along
    Move(Pair),
    /// Delete an actor for good: followers are told, its name is never given again
    Delete {
        /// Its name
        name: String,
        /// Its name once more, because there is no way back
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Give an actor a role, or take it
    Role {
        /// Its name
        name: String,
        /// +definer gives, -definer takes: whether what it defines holds for the whole instance
        #[arg(allow_hyphen_values = true, value_name = "+ROLE|-ROLE")]
        change: String,
    },
    /// Replace an actor's signing key: what it signed stays valid, what is new is signed by the new one
    RotateKey {
        /// Its name
        name: String,
        /// The RSA key instead, by which servers that know no other tell who sends
        #[arg(long)]
        rsa: bool,
    },
    /// An actor's keys, and the hosts that are known to go by a superseded one
    Keys {
        /// Its name
        name: String,
    },
    /// A key kept away from the server, which replaces all others when they are lost or stolen
    #[command(subcommand)]
    RecoveryKey(RecoveryKey),
    /// Write an actor, with its log, keys and follows, to one sealed file
    Export(Export),
    /// Take an actor from such a file, as a whole or not at all
    Import(Import),
    /// Bearer tokens, by which an actor's clients publish and read over HTTP
    #[command(subcommand)]
    Token(Token),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    Person,
    Service,
    Group,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Pair {
    /// An actor of this instance
    pub(crate) name: String,
    /// acct:user@host, @user@host, an actor's URL, or a name of this instance
    pub(crate) who: String,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Named {
    /// An actor of this instance
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct Limit {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Post {
    /// An actor of this instance
    pub(crate) name: String,
    /// What to say
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Address it to WHO: acct:user@host, @user@host, an actor's URL, or a name of this instance
    #[arg(long, value_name = "WHO")]
    pub(crate) to: Vec<String>,
    /// Who may read it [default: with --to, those alone; else public]
    #[arg(long, value_enum)]
    pub(crate) visibility: Option<Visibility>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Visibility {
    /// Everybody
    Public,
    /// The followers, and those addressed
    Followers,
    /// Those addressed
    Direct,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Tail {
    /// Begin after this offset [default: the last ten entries]
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// End after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Journal {
    /// Every entry, oldest first (in JSON: one object a line); works beside a running server
    Dump {
        /// Begin at this offset
        #[arg(long, value_name = "N", default_value_t = 1)]
        from: u64,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Genesis {
    /// All of them, or one as it is written
    Show {
        /// Its name, or SECTION/NAME
        name: Option<String>,
    },
    /// Check them against their manifest, and the data directory against them
    Verify,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Sx {
    /// The value of an expression
    Eval {
        /// The expression, after definitions if any; `-` reads it from stdin
        #[arg(allow_hyphen_values = true, value_name = "EXPR")]
        expression: String,
    },
    /// Lay sources out anew, to stdout; comments stay
    Fmt {
        /// The files; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Only name the files that are laid out otherwise, and fail if there are any
        #[arg(long, conflicts_with = "write")]
        check: bool,
        /// Rewrite the files
        #[arg(long)]
        write: bool,
    },
    /// Whether files are definitions or expressions that compile
    Check {
        /// The files; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Evaluate one entry after the other
    Repl,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_page() {
        insta::assert_snapshot!(Args::command().term_width(100).render_help());
    }

    #[test]
    fn the_help_page_of_serve() {
        let mut args = command().term_width(100);
        args.build();
        let serve = args.find_subcommand_mut("serve").expect("a command");
        insta::assert_snapshot!(serve.render_long_help());
    }

    const PROMISED: &[&str] = &[
        "serve --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:8081 --url http://127.0.0.1:8080 --store sled \
         --allow-private-peers --adopt-genesis --set delivery.retry=1s --set log.level=debug --data-dir d",
        "demo --exit",
        "actor create alice --kind group --display-name A --summary S --manual-approval",
        "actor list",
        "actor show alice",
        "actor update alice --display-name A --summary S --icon https://a.example/a.png --image https://a.example/b.png \
         --manual-approval true --also-known-as https://b.example/a --field Pronouns=she --members -",
        "actor move alice acct:alice@b.example",
        "actor delete alice --confirm alice",
        "actor role alice +definer",
        "actor role alice -definer",
        "actor rotate-key alice",
        "actor rotate-key alice --rsa",
        "actor keys alice",
        "actor recovery-key create alice --out F",
        "actor recovery-key use alice --key F --out G",
        "actor export alice --out F --passphrase-file P",
        "actor import F --passphrase-file P",
        "define pin.sx --as alice",
        "verbs --output json",
        "definitions --kind DefineActivity",
        "triggers --limit 1",
        "subscriptions alice",
        "follow alice acct:bob@127.0.0.1:9998",
        "follow alice bob --backfill last:20",
        "backfill alice",
        "backfill alice bob --mode full --detach",
        "unfollow alice acct:bob@127.0.0.1:9998",
        "follow-requests alice",
        "accept alice bob",
        "reject alice bob",
        "followers alice --output json",
        "following alice --data-dir d",
        "post alice text --to a --to b --visibility followers",
        "post alice -5",
        "publish alice -",
        "announce alice baga",
        "endorse alice https://a.example/1 --kind reviewed",
        "delete alice baga",
        "timeline alice --limit 10000",
        "outbox alice --limit 1",
        "inbox alice",
        "tail",
        "get baga",
        "explain baga",
        "quarantine list --limit 7",
        "quarantine show baga",
        "quarantine release baga",
        "quarantine discard baga",
        "block alice --host example.org",
        "unblock alice --host example.org",
        "host list --of alice",
        "host block example.org",
        "host unblock example.org",
        "host list",
        "verify",
        "reindex",
        "journal dump --from 7",
        "projection list",
        "projection show notes --key https://a.example/1 --at 7 --wait 9 --limit 5",
        "projection show notes --failures",
        "projection rebuild notes",
        "genesis show",
        "genesis show Create",
        "genesis verify",
        "sx eval -1",
        "sx eval -",
        "sx fmt a.sx b.sx",
        "sx fmt - --check",
        "sx fmt a.sx --write",
        "sx check a.sx b.sx",
        "sx repl",
        "deliveries",
        "deliveries wake peer.example",
        "dead-letters",
        "dead-letters retry 7",
        "dead-letters drop --all",
        "status --digest",
        "completions zsh",
        "--data-dir d --output sx status --admin http://127.0.0.1:1 --token-file f",
    ];

    #[test]
    fn the_forms_that_are_promised() {
        for line in PROMISED {
            let words =
                std::iter::once("fedsx").chain(line.split(' ').filter(|word| !word.is_empty()));
            assert!(Args::try_parse_from(words).is_ok(), "{line}");
        }
        for wrong in [
            "timeline alice --limit 10001",
            "projection show notes --failures --at 7",
            "dead-letters retry",
            "backfill alice --mode full",
            "dead-letters drop 7 --all",
            "status --admin http://127.0.0.1:1",
        ] {
            let words = std::iter::once("fedsx").chain(wrong.split(' '));
            assert!(Args::try_parse_from(words).is_err(), "{wrong}");
        }
    }
}

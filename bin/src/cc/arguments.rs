//! The command line of `quicast cc`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Changes need the token of the server's admin address. It is found by itself if
the server runs as the same user, on this machine.

WHERE says which connections are meant: pairs KIND=VALUE with commas between
them. The kinds are alpn, sni (*.example.com, upload.*), cidr (10.0.0.0/8), role
(client, server), rtt (50ms..200ms, 100ms.., ..20ms) and cc. A kind that is given
several times means any of its values: alpn=h3,cidr=10.0.0.0/8,cidr=::1

Exit codes: 0 done; 1 failed: nobody answers, no such connection, something was
refused, or all that was tried was rolled back; 2 wrong usage: an unknown
controller or parameter, or one out of its range; 130 interrupted.")]
pub(crate) struct Cc {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) reach: Reach,
}

/// Which server, and how it is spoken to.
#[derive(Args, Clone, Debug)]
pub(super) struct Reach {
    /// The server's admin address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9440", global = true)]
    pub(super) admin: String,
    /// Where the server's token is, if not where it is looked for.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) token_file: Option<PathBuf>,
    /// What the server answers, as JSON, one line for each answer.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// The controllers that can be asked for, with their parameters.
    List,
    /// Which controllers the connections have, in a table; or all about one connection.
    Show {
        /// The connection.
        #[arg(value_name = "ID")]
        id: Option<u64>,
    },
    /// Another controller for connections that there are. Nothing is lost by it, and no window grows.
    Set(Set),
    /// Have a controller watch: it only says what it would do. `off` ends that.
    Shadow(Shadow),
    /// Take a change back: whoever still has what it gave has again what it had before.
    Undo {
        /// The number that `set` said.
        #[arg(value_name = "N")]
        number: u64,
    },
    /// The last changes; or those of one connection.
    History {
        /// The connection.
        #[arg(value_name = "ID")]
        id: Option<u64>,
    },
    /// A line for each change as it happens, whoever made it.
    Watch,
    /// The rules by which connections get a controller.
    Rules {
        #[command(subcommand)]
        command: Option<Rules>,
    },
}

#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("whom").required(true).args(["connection", "all", "where"])))]
#[command(group(ArgGroup::new("what").required(true).args(["name", "clear"])))]
pub(super) struct Set {
    /// The controller: NAME, or NAME:PARAMETER=VALUE,...
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Give the choice up: rules say again which controller they have.
    #[arg(long, conflicts_with = "trial")]
    pub(super) clear: bool,
    #[command(flatten)]
    pub(super) whom: Whom,
    /// Only so many of a hundred of them: the same ones each time, and more of them for a larger number.
    #[arg(long, value_name = "N", conflicts_with = "connection")]
    pub(super) percent: Option<f64>,
    /// Try it for so long, against the time before; whoever does worse goes back by itself. Waits for the verdicts.
    #[arg(long, value_name = "SECONDS")]
    pub(super) trial: Option<f64>,
    /// The least goodput of a trial, against the time before.
    #[arg(long, value_name = "RATIO", requires = "trial")]
    pub(super) least_goodput: Option<f64>,
    /// How much more may be lost in a trial, of all packets.
    #[arg(long, value_name = "RATIO", requires = "trial")]
    pub(super) most_loss_rise: Option<f64>,
    /// Change nothing; say what would be.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which connections.
#[derive(Args, Clone, Debug)]
pub(super) struct Whom {
    /// This one.
    #[arg(long, value_name = "ID")]
    pub(super) connection: Option<u64>,
    /// All of them.
    #[arg(long)]
    pub(super) all: bool,
    /// Those that fit: alpn=h3,cidr=10.0.0.0/8,rtt=50ms..
    #[arg(long, value_name = "WHERE")]
    pub(super) r#where: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("whom").required(true).args(["connection", "all", "where"])))]
pub(super) struct Shadow {
    /// The controller, or `off`.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) whom: Whom,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Rules {
    /// The rules that apply.
    Show,
    /// Put the [congestion] part of a configuration file in their place: all of it, or nothing.
    Set {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Change nothing; say what would be different.
        #[arg(long)]
        dry_run: bool,
    },
}

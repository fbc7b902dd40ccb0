//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use quicast::Algorithm;

use crate::cc::arguments::Cc;
use crate::get::arguments::Get;
use crate::load::arguments::Load;
use crate::perf::arguments::Perf;
use crate::sim::arguments::Sim;
use crate::units::{Close, parse_busy_poll, parse_bytes};

/// QUIC, played by a cast of actors: a server, a client, and a look inside.
#[derive(Debug, Parser)]
#[command(name = "quicast", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; `get` has curl's.
Environment:
  RUST_LOG       what is logged, for example quicast=debug
  SSLKEYLOGFILE  where to append the TLS secrets, for Wireshark
  NO_COLOR       no colours in logs";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve files and echoes, with metrics on an admin address.
    Serve(Serve),
    /// Fetch and send over HTTP/3, like curl.
    Get(Box<Get>),
    /// Send to a server that echoes, and measure; or fetch a file with hq-interop.
    Echo(Echo),
    /// Measure throughput, latency, handshakes and memory between a client and a server of this program.
    Perf(Perf),
    /// Make HTTP/3 requests of a server, many at once or so many a second, and measure its answers.
    Load(Load),
    /// Simulate congestion controllers over a bottleneck: several flows, losses, queues, swaps; nothing is sent.
    Sim(Box<Sim>),
    /// Everything at once on this machine: a server, its admin page, and a client that keeps it busy.
    Demo(Demo),
    /// Which congestion controllers a running server's connections have; others for one, some or all of them.
    Cc(Cc),
    /// Is a configuration file right? Exit code 0, or 2 and what is wrong with which line.
    CheckConfig(CheckConfig),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CheckConfig {
    /// The file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
One UDP port answers three protocols (ALPN):
  echo        every stream and every datagram comes back byte for byte
  hq-interop  `GET /path` is answered with the file of --root; without --root,
              /bytes/N is N bytes
  perf        what `quicast perf client` measures with
The same port numbers on TCP answer HTTPS (HTTP/1.1 and HTTP/2), and every
answer there says where HTTP/3 is. The site is the files of --root: index.html
for a folder, ranges, FILE.br, FILE.zst or FILE.gz instead of FILE for who takes
it; names that begin with a dot are not served, but .well-known. Without --root
it is a built-in one, which explains itself: / lists what there is.

As a help for tests, an echo stream whose whole content is `close CODE REASON`
makes the server close the connection like that. If a client closes with a code
of its own, `closed CODE REASON` is printed.

SIGHUP reads [congestion] of --config again: all of it applies, or none.
The first SIGTERM or Ctrl-C lets the connections come to their end (30 s at
most), a second one stops at once.")]
pub(crate) struct Serve {
    /// Where to listen (UDP, and TCP for HTTPS); may be repeated. `localhost` is 127.0.0.1 and ::1; port 0 takes a free one.
    /// [default: localhost:4433]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<String>,
    /// What is not said here is taken from this file (TOML): [serve] has these options, [congestion] says which
    /// connections get which controller. SIGHUP reads [congestion] again.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder whose files are served, over HTTPS and hq-interop. Symbolic links out of it are not followed.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// No HTTPS on TCP, only QUIC. A browser finds HTTP/3 through TCP, so it must then be told.
    #[arg(long)]
    pub(crate) no_tcp: bool,
    /// The certificate chain (PEM), the server's own certificate first. Without it, a development certificate for
    /// localhost is made and kept in the user's cache directory.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of --cert (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Where /metrics, the live page and the control plane are (TCP, loopback only), or `off`. [default: 127.0.0.1:9440]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// Where to put the token that changes through the admin address need, readable by you alone. Without it, it is
    /// where `quicast cc` looks: in $XDG_RUNTIME_DIR/quicast, or your cache directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// How many threads serve; each has its own socket. Default: one for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: Option<u16>,
    /// After each datagram, look for the next one for so long (50us, at most 1ms) instead of sleeping: less latency, for a
    /// processor that is busy as long as there is traffic.
    #[arg(long, value_name = "TIME", value_parser = parse_busy_poll)]
    pub(crate) busy_poll: Option<Duration>,
    /// Keep the secret that stateless resets are made from in this file, which is made if it is not there: clients of a
    /// server that was restarted hear at once that their connections are gone.
    #[arg(long, value_name = "FILE")]
    pub(crate) reset_key_file: Option<PathBuf>,
    /// Begin a key update early on each connection, as a help for tests (RFC 9001 section 6).
    #[arg(long)]
    pub(crate) key_update: bool,
    /// Always make clients prove their address first (Retry, RFC 9000 section 8.1.2); otherwise only under load.
    #[arg(long)]
    pub(crate) retry: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Tuning {
    /// The congestion controller of new connections, with parameters if you like: NAME or NAME:PARAMETER=VALUE,...
    /// A name that is none is answered with all there are. The default is cubic.
    #[arg(long, value_name = "NAME", value_parser = algorithm, alias = "cc-algorithm")]
    pub(crate) cc: Option<Algorithm>,
    /// Append the TLS secrets to this file, for Wireshark. Whoever reads it reads the connections.
    #[arg(long, value_name = "FILE")]
    pub(crate) keylog: Option<PathBuf>,
}

pub(crate) fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|error: <Algorithm as std::str::FromStr>::Err| error.to_string())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Protocol {
    /// Everything comes back.
    #[value(name = "echo")]
    Echo,
    /// Files, as in the QUIC interop runner.
    #[value(name = "hq-interop")]
    HqInterop,
}

impl Protocol {
    pub(crate) const fn alpn(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::HqInterop => "hq-interop",
        }
    }
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Without --bytes, standard input goes out on one stream, and what comes back to
standard output.
A server must have a certificate that this machine trusts. On a loopback
address, the development certificate in your cache directory will do.
If the server closes the connection with a code of its own, `closed CODE REASON`
is printed and the exit code is 1.")]
pub(crate) struct Echo {
    /// The server.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// Trust every server. Whoever is on the way can read and change everything.
    #[arg(short = 'k', long, alias = "no-verify")]
    pub(crate) insecure: bool,
    /// Trust what these certificates (PEM) have signed, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,
    /// Send this many bytes (4096, 64K, 10M, 1G), check that they come back, and say how fast it was.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub(crate) bytes: Option<u64>,
    /// Spread --bytes over this many streams at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[arg(requires = "bytes")]
    pub(crate) streams: u32,
    /// Spread --bytes over this many unidirectional streams, which come back on streams of the server.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[arg(requires = "bytes", conflicts_with_all = ["streams", "datagrams"])]
    pub(crate) unidirectional: Option<u32>,
    /// Send --bytes as unreliable datagrams (RFC 9221) and count what comes back.
    #[arg(long, requires = "bytes", conflicts_with = "streams")]
    pub(crate) datagrams: bool,
    /// Begin a key update within the first megabyte (RFC 9001 section 6).
    #[arg(long, requires = "bytes")]
    pub(crate) key_update: bool,
    /// Change the local port in the middle of the transfer, as a NAT would.
    #[arg(long, requires = "bytes")]
    pub(crate) rebind: bool,
    /// Close the connection with this code and reason at the end: --close '42 bye'.
    #[arg(long, value_name = "CODE REASON", value_parser = crate::units::parse_close)]
    pub(crate) close: Option<Close>,
    /// The application protocol.
    #[arg(long, value_name = "NAME", default_value = "echo", hide_possible_values = false)]
    pub(crate) alpn: Protocol,
    /// Fetch this path with hq-interop.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["bytes", "streams"])]
    pub(crate) get: Option<String>,
    /// Where --get writes; `-` (the default) is standard output.
    #[arg(short = 'o', long, value_name = "FILE", requires = "get")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// The result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, no result, only errors.
    #[arg(short = 'q', long, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Demo {
    /// Check this machine and this program on free ports, print a line for each check, and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// Where the server listens (UDP). If the default is taken, a free port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_misspelt_controller_is_answered_with_the_nearest() {
        assert!(algorithm("cubik").unwrap_err().contains("did you mean \"cubic\""));
        assert_eq!(algorithm("NewReno"), Ok(Algorithm::NEW_RENO));
    }
}

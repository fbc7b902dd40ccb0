//! The command line of `quicast perf`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use quicast::{Algorithm, TransportConfig};

use super::plot::Line;
use crate::cli::algorithm;
use crate::units::{parse_busy_poll, parse_bytes};

/// Handshakes begin with datagrams that are full, and the length of their packets is written in 14 bits.
const LARGEST_DATAGRAM: u16 = 16_000;
/// The longest request, in bytes.
const LONGEST_REQUEST: u64 = 16 << 20;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
They speak the QUIC performance protocol (draft-banks-quic-performance, ALPN
perf), so either works with one of another stack, too; what only a server of
this program says of itself is then left out.

  quicast perf server
  quicast perf client localhost:4433 bulk --bytes 4G --streams 8
  quicast perf client localhost:4433 requests --outstanding 100 --plot p.svg")]
pub(crate) struct Perf {
    #[command(subcommand)]
    pub(crate) side: Side,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Side {
    /// Answer until SIGTERM or Ctrl-C.
    Server(Server),
    /// Measure a server, and say how it was.
    Client(Client),
    /// Draw how something grows, from points that were measured.
    Draw(Draw),
}

impl Side {
    pub(crate) const fn pin(&self) -> Option<&Processors> {
        match self {
            Self::Server(arguments) => arguments.settings.pin.as_ref(),
            Self::Client(arguments) => arguments.settings.pin.as_ref(),
            Self::Draw(_) => None,
        }
    }
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The certificate is the development certificate of `quicast serve`. When it
listens, `listening on ADDRESS` is printed, and nothing else.")]
pub(crate) struct Server {
    /// Where to listen (UDP); port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4433")]
    pub(crate) listen: String,
    /// How many bidirectional streams each client may have open at once. Default: the library's 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) streams_allowed: Option<u64>,
    /// How many threads serve; each has its own socket.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: u16,
    /// Compare every byte that clients send, not only both ends of each piece. It costs time.
    #[arg(long)]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Client {
    /// The server.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: String,
    #[command(subcommand)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Spread the connections over so many sockets, each with a thread and a receive buffer of its own, as clients on as
    /// many machines would have.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=255), global = true)]
    pub(crate) sockets: u16,
    /// Trust every server. Whoever is on the way can read and change everything.
    #[arg(short = 'k', long, global = true)]
    pub(crate) insecure: bool,
    /// Trust what these certificates (PEM) have signed, and nothing else.
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,
    /// Compare every byte that comes back, not only both ends of each piece. It costs time.
    #[arg(long, global = true)]
    pub(crate) verify: bool,
    /// The result as one line of JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Lines for a picture.
#[derive(Args, Clone, Debug)]
pub(crate) struct Draw {
    /// The picture.
    #[arg(value_name = "FILE.svg")]
    pub(crate) file: PathBuf,
    /// The lines: a name, and places with their values, as in "quinn=1:0.5,10:0.5".
    #[arg(value_name = "NAME=X:Y,..", required = true, value_parser = line)]
    pub(crate) lines: Vec<Line>,
    /// What stands above it.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) title: String,
    /// What is told across, with its unit.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) across: String,
    /// What is told upwards, with its unit.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) up: String,
    /// Across in equal steps instead of equal factors.
    #[arg(long)]
    pub(crate) linear: bool,
}

/// What both ends can choose.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// The UDP payload of every datagram; without it, connections begin at 1200 and probe for more, up to 1452.
    #[arg(long, value_name = "BYTES", value_parser = mtu, global = true)]
    pub(crate) mtu: Option<u16>,
    /// The flow-control window of the connection and of each stream, from the beginning.
    #[arg(long, value_name = "BYTES", value_parser = window, default_value = "16M", global = true)]
    pub(crate) window: u64,
    /// The congestion controller, with parameters if need be (bbr, cubic:hystart=off). The default is cubic.
    #[arg(long, value_name = "NAME", value_parser = algorithm, global = true)]
    pub(crate) cc: Option<Algorithm>,
    /// After each datagram, look for the next one for so long (50us, at most 1ms) instead of sleeping: less latency, for a
    /// processor that is busy as long as there is traffic.
    #[arg(long, value_name = "TIME", value_parser = parse_busy_poll, global = true)]
    pub(crate) busy_poll: Option<Duration>,
    /// Run on these processors only: --pin 0 or --pin 0,2.
    #[arg(long, value_name = "CPU,..", value_parser = processors, global = true)]
    pub(crate) pin: Option<Processors>,
}

impl Settings {
    /// The same for connections.
    pub(crate) fn transport(&self) -> TransportConfig {
        let mut config = TransportConfig {
            receive_window: self.window,
            stream_receive_window: self.window,
            receive_window_maximum: self.window,
            ..TransportConfig::default()
        };
        if let Some(mtu) = self.mtu {
            config.initial_datagram_size = mtu;
            config.maximum_datagram_size = mtu;
        }
        if let Some(algorithm) = self.cc {
            config.congestion = algorithm;
        }
        config
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Workload {
    /// Move bytes on streams: throughput.
    Bulk(Bulk),
    /// Ask and be answered, a new stream each time: requests a second, and how long one takes.
    Requests(Requests),
    /// Connect and close, over and over: handshakes a second.
    Handshakes(Handshakes),
    /// Open connections and leave them alone until standard input ends: memory.
    Idle(Idle),
    /// Send unreliable datagrams, which the server sends back, as many at once as both queues hold: rate and loss.
    Datagrams(Datagrams),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Bulk {
    /// How many bytes in all.
    #[arg(long, value_name = "N", value_parser = parse_bytes, default_value = "1G")]
    pub(crate) bytes: u64,
    /// Spread them over this many streams of each connection.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) streams: u32,
    /// Spread them over this many connections.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// Which way they go.
    #[arg(long, value_name = "WAY", default_value = "down")]
    pub(crate) direction: Direction,
    /// Draw the throughput over time.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Direction {
    /// From the server to the client.
    Down,
    /// From the client to the server.
    Up,
}

impl Direction {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Requests {
    /// How many requests are always under way. More than the server permits streams wait for one, and that is counted.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) outstanding: u32,
    #[command(flatten)]
    pub(crate) time: Time,
    /// The size of a request in bytes.
    #[arg(long, value_name = "BYTES", value_parser = request, default_value = "64")]
    pub(crate) request: u64,
    /// The size of an answer in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "64")]
    pub(crate) response: u64,
    /// Keep this many more streams open meanwhile, with nothing happening on them.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) open_streams: u32,
    /// Draw how long requests took, by percentile.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Handshakes {
    /// How many are always under way.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) parallel: u32,
    #[command(flatten)]
    pub(crate) time: Time,
    /// Resume earlier sessions: no certificates.
    #[arg(long)]
    pub(crate) resumed: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Datagrams {
    #[command(flatten)]
    pub(crate) time: Time,
    /// The size of each in bytes. Default: what fits.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(8..))]
    pub(crate) size: Option<u16>,
}

/// How long a workload goes on.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Time {
    /// For how long, in seconds.
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "5")]
    pub(crate) seconds: Duration,
}

/// The processors of `--pin`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Processors(pub(crate) Vec<usize>);

pub(crate) fn processors(text: &str) -> Result<Processors, String> {
    let numbers: Result<Vec<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    numbers.map(Processors).map_err(|_| "processors are numbers from 0, as in 0 or 0,2".to_owned())
}

fn line(text: &str) -> Result<Line, String> {
    let point = |text: &str| {
        let (x, y) = text.split_once(':')?;
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        Some((number(x)?, number(y)?))
    };
    let (name, points) = text.split_once('=').unwrap_or(("", text));
    let points: Option<Vec<(f64, f64)>> = points.split(',').map(point).collect();
    let points = points.ok_or("a line is like quinn=1:0.5,10:0.5, all from 0 upwards")?;
    if name.contains(['<', '&']) {
        Err("a name has no < and no &".to_owned())
    } else {
        Ok(Line { name: name.to_owned(), points })
    }
}

fn mtu(text: &str) -> Result<u16, String> {
    let bytes = text.parse().ok().filter(|bytes| (1200..=LARGEST_DATAGRAM).contains(bytes));
    bytes.ok_or_else(|| format!("a datagram carries 1200 to {LARGEST_DATAGRAM} bytes from the first on"))
}

fn window(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes < 4096 { Err("a window has at least 4096 bytes".to_owned()) } else { Ok(bytes) }
}

fn request(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    match bytes {
        0..8 => Err("a request has at least 8 bytes: the number of bytes wanted".to_owned()),
        8..=LONGEST_REQUEST => Ok(bytes),
        _ => Err("a request has at most 16M; use bulk --direction up".to_owned()),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a time is like 5 or 0.5, in seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_said_with_what_can() {
        assert_eq!(mtu("9000"), Ok(9000));
        for text in ["1199", "16001", "-1", "many"] {
            assert!(mtu(text).unwrap_err().contains("1200 to 16000"), "{text}");
        }
        assert_eq!(request("8"), Ok(8));
        assert!(request("4").unwrap_err().contains("at least 8 bytes"));
        assert!(request("1G").unwrap_err().contains("bulk"));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "NaN", "inf", "5s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(processors("0,2"), Ok(Processors(vec![0, 2])));
        assert!(processors("0,").is_err() && processors("a").is_err());
        assert!(window("1").is_err());
        assert_eq!(line("quinn=1:0.5, 10:2").map(|line| line.points), Ok(vec![(1.0, 0.5), (10.0, 2.0)]));
        for text in ["quinn=", "1", "1:x", "1:NaN", "a<b=1:1", "1:-1"] {
            assert!(line(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_given_size_of_datagrams_is_theirs_from_the_first() {
        let settings = Settings { mtu: Some(9000), window: 1 << 20, cc: None, pin: None, busy_poll: None };
        let config = settings.transport();
        assert_eq!((config.initial_datagram_size, config.maximum_datagram_size), (9000, 9000));
        assert_eq!((config.receive_window, config.stream_receive_window), (1 << 20, 1 << 20));
        let config = Settings { mtu: None, ..settings }.transport();
        assert_eq!((config.initial_datagram_size, config.maximum_datagram_size), (1200, 1452));
    }
}

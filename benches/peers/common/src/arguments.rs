//! The command line, which is the same for every driver.

use std::net::SocketAddr;
use std::time::Duration;

/// What a driver says when it does not understand.
pub const USAGE: &str = "\
DRIVER server --listen ADDR [--mtu 1452] [--window 16M] [--streams-allowed 100] [--verify]
DRIVER client ADDR bulk [--streams 1] [--bytes 1G] [--direction down|up] [--connections 1] [--verify]
DRIVER client ADDR requests [--outstanding 1] [--seconds 3] [--request 64] [--response 64]
DRIVER client ADDR handshakes [--parallel 8] [--seconds 3] [--resumed]
DRIVER client ADDR idle [--connections 1000]
all clients: [--mtu 1452] [--window 16M] [--json]   sizes: 16M, 2G, 64K, 1000";

/// One side of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Serves until it is ended.
    Server(Server),
    /// Does one workload and says how it went.
    Client(Client),
}

/// What a server is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The size of a UDP payload, in bytes: fixed, where the stack allows it.
    pub mtu: u16,
    /// Flow control of a stream and of a connection, in bytes.
    pub window: u64,
    /// How many bidirectional streams a client may have open.
    pub streams_allowed: u64,
    /// Compare every byte that comes in.
    pub verify: bool,
}

/// What a client is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Where the server is.
    pub server: SocketAddr,
    /// What to do.
    pub workload: Workload,
    /// The size of a UDP payload, in bytes: fixed, where the stack allows it.
    pub mtu: u16,
    /// Flow control of a stream and of a connection, in bytes.
    pub window: u64,
    /// Compare every byte that comes in.
    pub verify: bool,
}

/// What a client does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workload {
    /// Moves many bytes.
    Bulk {
        /// Streams in all.
        streams: u64,
        /// Bytes in all, over all streams.
        bytes: u64,
        /// Who sends them.
        direction: Direction,
        /// Connections that the streams are spread over.
        connections: u64,
    },
    /// One fresh stream after another, each with a small request and its response.
    Requests {
        /// How many are under way at any time.
        outstanding: u64,
        /// For how long.
        time: Duration,
        /// Bytes of a request, its eight of header included.
        request: u64,
        /// Bytes of a response.
        response: u64,
    },
    /// One connection after another, closed as soon as it is established.
    Handshakes {
        /// How many are under way at any time.
        parallel: u64,
        /// For how long.
        time: Duration,
        /// Whether with a ticket of an earlier connection.
        resumed: bool,
    },
    /// Connections that do nothing.
    Idle {
        /// How many.
        connections: u64,
    },
}

/// Who sends the bytes of a bulk workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The server.
    Down,
    /// The client.
    Up,
}

impl Command {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// What is not understood, in words.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = arguments.peekable();
        let side = words.next().ok_or("server or client?")?;
        match side.as_str() {
            "server" => {
                let options = Options::read(words)?;
                Ok(Self::Server(Server {
                    listen: options.address("--listen", "127.0.0.1:0")?,
                    mtu: options.mtu()?,
                    window: options.number("--window", 16 << 20)?,
                    streams_allowed: options.number("--streams-allowed", 100)?,
                    verify: options.has("--verify"),
                }))
            }
            "client" => {
                let server = words.next().ok_or("which server?")?;
                let server = server.parse().map_err(|_| format!("`{server}` is no address"))?;
                let workload = words.next().ok_or("which workload?")?;
                let options = Options::read(words)?;
                Ok(Self::Client(Client {
                    server,
                    workload: options.workload(&workload)?,
                    mtu: options.mtu()?,
                    window: options.number("--window", 16 << 20)?,
                    verify: options.has("--verify"),
                }))
            }
            other => Err(format!("`{other}` is neither server nor client")),
        }
    }
}

/// Options with their values; an option without a value has an empty one.
struct Options(Vec<(String, String)>);

const WITHOUT_VALUE: [&str; 3] = ["--json", "--verify", "--resumed"];

const WITH_VALUE: [&str; 13] = [
    "--listen",
    "--mtu",
    "--window",
    "--streams-allowed",
    "--streams",
    "--bytes",
    "--direction",
    "--connections",
    "--outstanding",
    "--seconds",
    "--request",
    "--response",
    "--parallel",
];

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Vec::new();
        while let Some(name) = words.next() {
            let value = match name.as_str() {
                name if WITHOUT_VALUE.contains(&name) => String::new(),
                name if WITH_VALUE.contains(&name) => words.next().ok_or(format!("{name} needs a value"))?,
                unknown => return Err(format!("no option `{unknown}`")),
            };
            options.push((name, value));
        }
        Ok(Self(options))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        let Some(text) = self.value(name) else { return Ok(default) };
        size(text).ok_or_else(|| format!("{name} {text}: not a number"))
    }

    /// A number of which there is at least one.
    fn some(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.number(name, default)? {
            0 => Err(format!("{name} 0: at least 1")),
            number => Ok(number),
        }
    }

    fn mtu(&self) -> Result<u16, String> {
        let mtu = self.number("--mtu", 1452)?;
        u16::try_from(mtu).ok().filter(|mtu| *mtu >= 1200).ok_or_else(|| format!("--mtu {mtu}: from 1200 to 65535"))
    }

    fn address(&self, name: &str, default: &str) -> Result<SocketAddr, String> {
        let text = self.value(name).unwrap_or(default);
        text.parse().map_err(|_| format!("{name} {text}: not an address"))
    }

    fn time(&self) -> Result<Duration, String> {
        let text = self.value("--seconds").unwrap_or("3");
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| format!("--seconds {text}: not a time"))
    }

    fn workload(&self, name: &str) -> Result<Workload, String> {
        match name {
            "bulk" => Ok(Workload::Bulk {
                streams: self.some("--streams", 1)?,
                bytes: self.number("--bytes", 1 << 30)?,
                direction: match self.value("--direction").unwrap_or("down") {
                    "down" => Direction::Down,
                    "up" => Direction::Up,
                    other => return Err(format!("--direction {other}: down or up")),
                },
                connections: self.some("--connections", 1)?,
            }),
            "requests" => Ok(Workload::Requests {
                outstanding: self.some("--outstanding", 1)?,
                time: self.time()?,
                request: self.number("--request", 64)?.max(16),
                response: self.number("--response", 64)?,
            }),
            "handshakes" => Ok(Workload::Handshakes {
                parallel: self.some("--parallel", 8)?,
                time: self.time()?,
                resumed: self.has("--resumed"),
            }),
            "idle" => Ok(Workload::Idle { connections: self.some("--connections", 1000)? }),
            other => Err(format!("no workload `{other}`")),
        }
    }
}

/// A number with K, M or G of 1,024 each.
fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (end, 'K') => (&text[..end], 10),
        (end, 'M') => (&text[..end], 20),
        (end, 'G') => (&text[..end], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_client_is_told_its_workload() {
        let line = "client 127.0.0.1:4433 bulk --streams 8 --bytes 2G --direction up --mtu 9000 --verify --json";
        let Ok(Command::Client(client)) = parse(line) else { panic!("{:?}", parse(line)) };
        let bulk = Workload::Bulk { streams: 8, bytes: 2 << 30, direction: Direction::Up, connections: 1 };
        assert_eq!((client.workload, client.mtu, client.verify), (bulk, 9000, true));
        let Ok(Command::Client(client)) = parse("client [::1]:1 handshakes --seconds 0.5 --resumed") else { panic!() };
        let time = Duration::from_millis(500);
        assert_eq!(client.workload, Workload::Handshakes { parallel: 8, time, resumed: true });
    }

    #[test]
    fn a_server_has_defaults() {
        let Ok(Command::Server(server)) = parse("server") else { panic!() };
        assert_eq!((server.mtu, server.window, server.streams_allowed), (1452, 16 << 20, 100));
        assert_eq!(server.listen.to_string(), "127.0.0.1:0");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("", "server or client"),
            ("neither", "neither"),
            ("client here bulk", "here"),
            ("client 127.0.0.1:1 sing", "sing"),
            ("server --mtu 100", "--mtu 100"),
            ("server --window", "--window"),
            ("server --colour red", "--colour"),
            ("client 127.0.0.1:1 bulk --streams 0", "--streams 0"),
            ("client 127.0.0.1:1 bulk --bytes 5X", "5X"),
        ] {
            assert!(parse(line).is_err_and(|why| why.contains(word)), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn sizes_have_letters() {
        assert_eq!(["7", "2K", "16M", "4G"].map(size), [7, 2048, 16 << 20, 4 << 30].map(Some));
        assert_eq!(["", "K", "1k", "-1", "99999999999999G"].map(size), [None; 5]);
    }
}

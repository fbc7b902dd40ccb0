//! The command line of `quicast load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use quicast::Algorithm;

use super::expect::Expected;
use crate::cli::algorithm;
use crate::perf::arguments::{Processors, processors, seconds};
use crate::request::arguments::Asked;

#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("length").required(true).args(["requests", "time"])), after_help = "\
Without --rate, each stream asks again as soon as it is answered: a server that is
slow is asked less, and what it would have done to those who did not ask is not
seen. With --rate, requests are due at their times whatever the server does, and
a request's latency counts from when it was due; those that are begun more than
1 ms late, because all streams waited, are counted (`begun late`), as are those
that could not be begun at all (`not begun`).

Latencies are of complete answers, whatever their status. A request fails if
there is no complete answer, or if its status is not expected. Connections that
are lost are opened again.

  quicast load https://localhost:4433/bytes/64 -c 10 -q 10 -n 100000
  quicast load https://localhost:4433/ -c 4 -q 100 -t 10 --rate 5000 --plot l.svg

Exit codes: 0 done, 1 a request failed or was not begun, 2 wrong usage, 130
interrupted (Ctrl-C ends the run early, with the report so far).")]
pub(crate) struct Load {
    /// What to ask for, in turns. Several servers share the connections.
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// How many connections.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// How many requests may be under way on each connection. More than the server permits streams wait for one.
    #[arg(short = 'q', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) streams: u32,
    /// Make so many requests, over all connections.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub(crate) requests: Option<u64>,
    /// Make requests for so long, in seconds. Those that are under way then are waited for.
    #[arg(short = 't', long, value_name = "S", value_parser = seconds)]
    pub(crate) time: Option<Duration>,
    /// Make so many requests a second, over all connections, whether answers come or not.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// When the requests of --rate are due.
    #[arg(long, value_name = "HOW", default_value = "constant", requires = "rate")]
    pub(crate) arrivals: Arrivals,
    /// Where the chance of --arrivals poisson begins: the same seed, the same times.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rate")]
    pub(crate) seed: u64,
    /// Before what is measured, go on like this for so long, in seconds. -n and -t begin after it.
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) warm_up: Option<Duration>,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// The status that is right, or a class of them (404, 2xx or 200,404). Default: 2xx,3xx.
    #[arg(long, value_name = "STATUS", default_value = "2xx,3xx", value_parser = Expected::read)]
    pub(crate) expect: Expected,
    /// Exit with 0 even if requests failed.
    #[arg(long)]
    pub(crate) allow_errors: bool,
    /// How long a request or a handshake may take, and a connection be silent, in seconds.
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "10")]
    pub(crate) timeout: Duration,
    /// Trust every server. Whoever is on the way can read and change everything.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Trust what these certificates (PEM) have signed, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,
    /// Spread the connections over so many sockets, each with a thread and a receive buffer of its own, as clients on as
    /// many machines would have.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=255))]
    pub(crate) sockets: u16,
    /// The congestion controller, with parameters if need be (bbr, cubic:hystart=off). The default is cubic.
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    pub(crate) cc: Option<Algorithm>,
    /// Run on these processors only: --pin 0 or --pin 0,2.
    #[arg(long, value_name = "CPU,..", value_parser = processors)]
    pub(crate) pin: Option<Processors>,
    /// The result as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw how long requests took, by percentile.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// When requests are due.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Constant,
    /// By chance, as from many who know nothing of each other.
    Poisson,
}

/// The least and the most requests a second: one in a thousand seconds, and more than one machine makes.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=10_000_000.0;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| RATES.contains(rate));
    rate.ok_or_else(|| "a rate is a number of requests a second, like 1000 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_that_a_machine_can_make() {
        assert_eq!((rate("0.001"), rate("1e7")), (Ok(0.001), Ok(1e7)));
        for text in ["0", "-1", "NaN", "inf", "1e8", "0.0009", "10/s", ""] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}

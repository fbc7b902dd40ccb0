//! The command line of `quicast sim`.

use std::path::PathBuf;
use std::time::Duration;

use ::sim::{Change, Discipline, Link, Loss, MAXIMUM_SAMPLES, Scenario};
use clap::{Args, ValueEnum};

use super::text::{self, Flows, Queue};
use crate::perf::arguments::seconds;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A flow is a congestion controller as --cc takes it, with its parameters if need
be, and what happens to the flow, between semicolons:

  start=TIME, stop=TIME     when it begins, and when it has no more to say
  bytes=N                   how much it has to say altogether
  swap=CONTROLLER@TIME      another controller goes on from what this one knows;
                            may be repeated
  migrate=TIME              it moves to another path, and measures it anew
  app=rate:2mbit            how its application writes; or messages:30kB@200ms,
                            or onoff:5s/5s. Otherwise there is always more
  rtt=+TIME                 how much longer its way is
  count=N                   so many flows like this
  ecn=on|off, datagram=N    otherwise as --ecn and --datagram say
  ack=N                     packets that are acknowledged at once (2)
  window=N                  the window to begin with
  coalesce=TIME, timer=TIME how coarse the clocks of its ends are
  name=NAME                 what it is called

  quicast sim --flow cubic --flow 'newreno;start=5s' --plot s.svg
  quicast sim --loss 1% --flow 'cubic;swap=bbr@10s' --seconds 20
  quicast sim --aqm dualq --ecn --flow prague --flow 'cubic;count=3'
  quicast sim --rate 10gbit --rtt 10ms --datagram 8952 --flow 'cubic;ack=16'

The same arguments with the same seed give the same result, to the byte. What
the numbers count is datagrams, without IP and UDP headers.")]
pub(crate) struct Sim {
    /// The bottleneck's rate (10mbit, 1.5gbit).
    #[arg(long, value_name = "RATE", default_value = "50mbit", value_parser = text::rate)]
    pub(super) rate: u64,
    /// The round trip without queue.
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = text::time)]
    pub(super) rtt: Duration,
    /// How much may wait: bandwidth-delay products (0.5bdp) or bytes (64K, 100kB).
    #[arg(long, value_name = "SIZE", default_value = "1bdp")]
    pub(super) queue: Queue,
    /// Who of those that wait is dropped or marked.
    #[arg(long, value_name = "NAME", default_value = "droptail")]
    pub(super) aqm: Aqm,
    /// Packets are lost behind the queue, each with this probability (1%, 0.01%).
    #[arg(long, value_name = "SHARE", value_parser = text::share)]
    pub(super) loss: Option<u32>,
    /// Packets are lost in bursts: 1%x8 is one in a hundred, about eight in a row.
    #[arg(long, value_name = "SHARExN", value_parser = text::bursts, conflicts_with = "loss")]
    pub(super) burst_loss: Option<Loss>,
    /// Acknowledgements are lost with this probability.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = text::share)]
    pub(super) ack_loss: u32,
    /// Packets are delayed by up to this.
    #[arg(long, value_name = "TIME", value_parser = text::time)]
    pub(super) jitter: Option<Duration>,
    /// With --jitter, packets overtake each other.
    #[arg(long, requires = "jitter")]
    pub(super) reorder: bool,
    /// What becomes of the link, and when: '10s;rate=10mbit;rtt=80ms;queue=100kB;loss=1%'. May be repeated.
    #[arg(long, value_name = "CHANGE", value_parser = text::change)]
    pub(super) change: Vec<Change>,
    /// Who sends: see below. May be repeated. Default: cubic.
    #[arg(long, value_name = "FLOW", value_parser = text::flows)]
    pub(super) flow: Vec<Flows>,
    /// For how long, in seconds.
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    pub(super) seconds: Duration,
    /// Where all chance begins.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Packets are marked ECN-capable, as their controllers want.
    #[arg(long)]
    pub(super) ecn: bool,
    /// The size of datagrams in bytes.
    #[arg(long, value_name = "N", default_value_t = 1452, value_parser = clap::value_parser!(u16).range(1200..=65_000))]
    pub(super) datagram: u16,
    /// How many samples of everything are in --json and --plot.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=MAXIMUM_SAMPLES as i64))]
    pub(super) samples: u32,
    /// The result as one line of JSON, with the series.
    #[arg(long)]
    pub(super) json: bool,
    /// Draw goodput, windows, round trips and the queue over time.
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
}

/// Who is dropped or marked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Aqm {
    /// Whoever finds the queue full is dropped.
    #[value(name = "droptail")]
    DropTail,
    /// RFC 8289, dropping.
    #[value(name = "codel")]
    CoDel,
    /// RFC 8289, marking who is ECN-capable.
    #[value(name = "codel-ecn")]
    CoDelEcn,
    /// RFC 9332, DualPI2: low latency for who marks packets ECT(1).
    #[value(name = "dualq")]
    DualQueue,
}

/// Flows altogether.
const MOST_FLOWS: usize = 1000;

impl Sim {
    /// What is to be simulated.
    ///
    /// # Errors
    /// More flows than can be.
    pub(super) fn scenario(&self) -> Result<Scenario, String> {
        let mut link = Link::new(self.rate, self.rtt).with_discipline(match self.aqm {
            Aqm::DropTail => Discipline::DropTail,
            Aqm::CoDel => Discipline::codel(false),
            Aqm::CoDelEcn => Discipline::codel(true),
            Aqm::DualQueue => Discipline::dual_queue(),
        });
        link.queue = self.queue.bytes(&link);
        link.loss = self.burst_loss.unwrap_or_else(|| self.loss.map_or(Loss::None, Loss::Random));
        link.acknowledgement_loss = self.ack_loss;
        link.jitter = self.jitter.unwrap_or_default();
        link.reorders = self.reorder;
        link.changes.clone_from(&self.change);
        let mut scenario = Scenario::new(link).lasting(self.seconds).seeded(self.seed).sampled(self.samples as usize);
        let by_default = [Flows::by_default()];
        let flows = if self.flow.is_empty() { &by_default[..] } else { &self.flow };
        let count: usize = flows.iter().map(|flows| flows.count as usize).sum();
        if count > MOST_FLOWS {
            return Err(format!("{count} flows are too many: {MOST_FLOWS} at most"));
        }
        for flows in flows {
            let mut flow = flows.flow.clone();
            flow.ecn = flows.ecn.unwrap_or(self.ecn);
            flow.datagram_size = flows.datagram.unwrap_or(self.datagram);
            for number in 1..=flows.count {
                let mut flow = flow.clone();
                if flow.name.is_empty() {
                    flow.name = flow.algorithm.to_string();
                }
                if flows.count > 1 {
                    flow.name = format!("{} {number}", flow.name);
                }
                scenario = scenario.with(flow);
            }
        }
        Ok(scenario)
    }
}

//! What the arguments of `quicast sim` say: rates, times, shares, queues, flows, changes.

use std::str::FromStr;
use std::time::Duration;

use ::sim::{Change, Flow, Link, Loss, MILLION, Source};
use quicast::Algorithm;

use crate::units::parse_bytes;

/// The longest simulation, and the latest moment in one.
const LONGEST: Duration = Duration::from_secs(86_400);

/// `50mbit`, `1.5gbit`, `500kbit` a second: in bytes a second.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let advice = || format!("{text:?} is no rate: a rate is like 500kbit, 50mbit or 1.5gbit (a second)");
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix("/s").unwrap_or(&lower);
    let (number, unit) = split(lower).ok_or_else(advice)?;
    let bits = match unit {
        "bit" => 1.0,
        "kbit" | "k" => 1e3,
        "mbit" | "m" => 1e6,
        "gbit" | "g" => 1e9,
        _ => return Err(advice()),
    };
    let bytes = number * bits / 8.0;
    if (125.0..=1.25e11).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(format!("{text:?} is out of range: a rate is from 1kbit to 1000gbit"))
    }
}

/// `50ms`, `2s`, `800us`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let advice = || format!("{text:?} is no time: a time is like 800us, 50ms or 2.5s");
    let (number, unit) = split(text.trim()).ok_or_else(advice)?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "min" => number * 60.0,
        _ => return Err(advice()),
    };
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
    time.ok_or_else(|| format!("{text:?} is too long: a time is at most a day"))
}

/// `1%`, `0.01%`: in a million.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    let advice = || format!("{text:?} is no share: a share is like 1% or 0.01%, from 0% to 100%");
    number.map(|number| (number * f64::from(MILLION) / 100.0).round() as u32).ok_or_else(advice)
}

/// `1%x8`: one in a hundred is lost, eight in a row.
pub(super) fn bursts(text: &str) -> Result<Loss, String> {
    let advice = || format!("{text:?} is no loss in bursts: it is like 1%x8, a share up to 50% and packets in a row");
    let (lost, length) = text.split_once('x').ok_or_else(advice)?;
    let length: u32 =
        length.trim().parse().ok().filter(|length| (1..=1_000_000).contains(length)).ok_or_else(advice)?;
    let lost = share(lost)?;
    if lost > MILLION / 2 { Err(advice()) } else { Ok(Loss::bursts(lost, length)) }
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Queue {
    Products(f64),
    Bytes(u64),
}

impl Queue {
    pub(super) fn bytes(self, link: &Link) -> u64 {
        match self {
            Self::Products(products) => (link.bandwidth_delay_product() as f64 * products) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        if let Some(products) = lower.strip_suffix("bdp") {
            let products = products.trim().parse::<f64>().ok().filter(|products| (0.0..=10_000.0).contains(products));
            return products
                .map(Self::Products)
                .ok_or_else(|| format!("{text:?} is no queue: it is like 1bdp or 0.5bdp"));
        }
        let advice = "a queue is like 0.5bdp (bandwidth-delay products), 64K or 100kB (bytes)";
        parse_bytes(text.trim()).map(Self::Bytes).map_err(|_| format!("{text:?} is no queue: {advice}"))
    }
}

/// What becomes of the link when: `10s;rate=10mbit;rtt=80ms;queue=100kB;loss=1%`.
pub(super) fn change(text: &str) -> Result<Change, String> {
    const KEYS: [&str; 4] = ["rate", "rtt", "queue", "loss"];
    let mut words = words(text);
    let at = words.next().ok_or_else(|| "a change begins with its time: '10s;rate=10mbit'".to_owned())?;
    let mut change =
        Change { at: time(at).map_err(|error| format!("the change's time: {error}"))?, ..Change::default() };
    let mut is_empty = true;
    for word in words {
        is_empty = false;
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "rate" => change.rate = Some(rate(value)?),
            "rtt" => change.round_trip = Some(time(value)?),
            "queue" => {
                let bytes =
                    parse_bytes(value).map_err(|_| format!("queue={value}: a change's queue is in bytes, like 100kB"));
                change.queue = Some(bytes?);
            }
            "loss" => change.loss = Some(Loss::Random(share(value)?)),
            _ => return Err(unknown("a change", key, &KEYS)),
        }
    }
    if is_empty {
        return Err(format!("nothing changes in {text:?}: add {}=…", KEYS.join("=…, ")));
    }
    Ok(change)
}

/// A flow, and how many of it.
#[derive(Clone, Debug)]
pub(super) struct Flows {
    pub(super) flow: Flow,
    pub(super) count: u32,
    /// It says itself whether it is ECN-capable, or how large its datagrams are.
    pub(super) ecn: Option<bool>,
    pub(super) datagram: Option<u16>,
}

impl Flows {
    /// Who sends if nobody is named.
    pub(super) fn by_default() -> Self {
        Self { flow: Flow::new(Algorithm::CUBIC), count: 1, ecn: None, datagram: None }
    }
}

const FLOW_KEYS: [&str; 15] = [
    "start", "stop", "bytes", "swap", "migrate", "app", "rtt", "count", "name", "ecn", "datagram", "ack", "window",
    "coalesce", "timer",
];

/// `cubic;start=2s;swap=bbr@10s`: an algorithm as `--cc` takes it, and what happens to the flow.
pub(super) fn flows(text: &str) -> Result<Flows, String> {
    let mut words = words(text);
    let name = words.next().ok_or_else(|| "a flow begins with its controller: 'cubic;start=2s'".to_owned())?;
    let mut flows = Flows { flow: Flow::new(algorithm(name)?), ..Flows::by_default() };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        set(&mut flows, key, value)
            .map_err(|error| if error.contains(key) { error } else { format!("{key}: {error}") })?;
    }
    let flow = &flows.flow;
    if flow.stop.is_some_and(|stop| stop <= flow.start) {
        return Err(format!("{text:?} stops before it starts"));
    }
    let early =
        flow.swaps.iter().map(|swap| swap.at).chain(flow.migrations.iter().copied()).find(|at| *at < flow.start);
    if let Some(at) = early {
        return Err(format!("{text:?} has not begun at {at:?}, when something is to happen to it"));
    }
    Ok(flows)
}

fn set(flows: &mut Flows, key: &str, value: &str) -> Result<(), String> {
    let flow = &mut flows.flow;
    match key {
        "start" => flow.start = time(value)?,
        "stop" => flow.stop = Some(time(value)?),
        "bytes" => flow.bytes = Some(parse_bytes(value)?),
        "swap" => {
            let advice = || format!("swap={value}: a swap is a controller and a time, like bbr@10s");
            let (to, at) = value.rsplit_once('@').ok_or_else(advice)?;
            let (to, at) = (algorithm(to)?, time(at)?);
            flow.swaps.push(::sim::Swap { at, to });
        }
        "migrate" => flow.migrations.push(time(value)?),
        "app" => flow.source = source(value)?,
        "rtt" => flow.extra_round_trip = time(value.strip_prefix('+').unwrap_or(value))?,
        "count" => flows.count = number(value, 1..=1000)? as u32,
        "name" => value.clone_into(&mut flow.name),
        "ecn" => {
            flows.ecn = Some(match value {
                "" | "on" => true,
                "off" => false,
                _ => return Err(format!("ecn={value}: it is on or off")),
            });
        }
        "datagram" => flows.datagram = Some(number(value, 1200..=65_000)? as u16),
        "ack" => flow.host.packets_per_acknowledgement = number(value, 1..=1000)?,
        "window" => flow.initial_window = Some(parse_bytes(value)?),
        "coalesce" => flow.host.coalescing = time(value)?,
        "timer" => flow.host.timer = time(value)?,
        _ => return Err(unknown("a flow", key, &FLOW_KEYS)),
    }
    Ok(())
}

/// How an application writes: `rate:2mbit`, `messages:30kB@200ms`, `onoff:5s/5s`.
fn source(text: &str) -> Result<Source, String> {
    let advice = || format!("app={text}: it is bulk, rate:2mbit, messages:30kB@200ms or onoff:5s/5s");
    if text == "bulk" {
        return Ok(Source::Bulk);
    }
    let (kind, value) = text.split_once(':').ok_or_else(advice)?;
    match kind {
        "rate" => Ok(Source::Rate(rate(value)?)),
        "messages" => {
            let (bytes, every) = value.split_once('@').ok_or_else(advice)?;
            let every = time(every)?;
            if every < Duration::from_micros(1) {
                Err(advice())
            } else {
                Ok(Source::Messages { bytes: parse_bytes(bytes)?, every })
            }
        }
        "onoff" => {
            let (on, off) = value.split_once('/').ok_or_else(advice)?;
            let (on, off) = (time(on)?, time(off)?);
            if on + off < Duration::from_micros(1) { Err(advice()) } else { Ok(Source::OnOff { on, off }) }
        }
        _ => Err(advice()),
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    crate::cli::algorithm(text)
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from {} to {}", range.start(), range.end()))
}

/// Words between semicolons or spaces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', ' ']).map(str::trim).filter(|word| !word.is_empty())
}

/// `50mbit` is 50 and `mbit`.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

fn unknown(what: &str, key: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|name| distance(key, name)).copied().unwrap_or_default();
    format!("{what} has no {key:?}; did you mean {nearest:?}? There are: {}", known.join(", "))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let (mut diagonal, mut here) = (i, i + 1);
        for (above, right) in row.iter_mut().skip(1).zip(b.bytes()) {
            let substituted = diagonal + usize::from(left != right);
            diagonal = *above;
            here = substituted.min(here + 1).min(diagonal + 1);
            *above = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_times_shares_and_queues_are_read_as_people_write_them() {
        for (text, bytes) in [("50mbit", 6_250_000), ("1.5gbit", 187_500_000), ("500 kbit/s", 62_500)] {
            assert_eq!(rate(text), Ok(bytes), "{text}");
        }
        for (text, micros) in [("50ms", 50_000), ("2.5s", 2_500_000), ("800us", 800), ("1min", 60_000_000)] {
            assert_eq!(time(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        assert_eq!((share("1%"), share("0.01%"), share("100 %")), (Ok(10_000), Ok(100), Ok(1_000_000)));
        let link = Link::new(6_250_000, Duration::from_millis(50));
        let bytes = |text: &str| text.parse::<Queue>().map(|queue| queue.bytes(&link));
        assert_eq!((bytes("0.5bdp"), bytes("100kB"), bytes("64K")), (Ok(156_250), Ok(100_000), Ok(65_536)));
        assert_eq!(bursts("1%x8"), Ok(Loss::bursts(10_000, 8)));
        for wrong in ["", "50", "fast", "-1mbit", "1tbit", "0bit", "10Mbps"] {
            assert!(rate(wrong).unwrap_err().contains("rate"), "{wrong}");
        }
        for wrong in ["", "50", "ms", "-1s", "1h", "1e9s", "99999999999s"] {
            assert!(time(wrong).unwrap_err().contains("time"), "{wrong}");
        }
        for wrong in ["", "1", "101%", "-1%", "x%", "NaN%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        for wrong in ["1%", "60%x3", "1%x0", "x8"] {
            assert!(bursts(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "bdp", "-1bdp", "many"] {
            assert!(wrong.parse::<Queue>().unwrap_err().contains("queue"), "{wrong}");
        }
    }

    #[test]
    fn a_flow_is_a_controller_and_what_happens_to_it() {
        let flows_of = |text: &str| flows(text).unwrap();
        assert_eq!(flows_of("cubic").flow.algorithm, Algorithm::CUBIC);
        let long =
            "newreno;start=2s;stop=20s;swap=cubic@10s;swap=newreno@12s;rtt=+30ms;count=4;name=a;ecn;ack=10;migrate=5s";
        let flow = flows_of(long);
        assert_eq!((flow.count, flow.ecn, flow.flow.name.as_str()), (4, Some(true), "a"));
        assert_eq!((flow.flow.start, flow.flow.stop), (Duration::from_secs(2), Some(Duration::from_secs(20))));
        let swaps: Vec<_> = flow.flow.swaps.iter().map(|swap| (swap.to.name(), swap.at.as_secs())).collect();
        assert_eq!(swaps, [("cubic", 10), ("newreno", 12)]);
        assert_eq!((flow.flow.extra_round_trip, flow.flow.migrations.len()), (Duration::from_millis(30), 1));
        assert_eq!(flows_of("cubic app=rate:2mbit bytes=10M").flow.source, Source::Rate(250_000));
        let messages = Source::Messages { bytes: 30_000, every: Duration::from_millis(200) };
        assert_eq!(flows_of("cubic;app=messages:30kB@200ms").flow.source, messages);
        // Parameters of controllers keep their commas and colons.
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.describe().len() > 1).unwrap();
        let [(first, one), (second, two)] = [0, 1].map(|place| algorithm.describe().nth(place).unwrap());
        let text =
            format!("{algorithm}:{}={},{}={};start=1s", first.name, first.show(one), second.name, second.show(two));
        assert_eq!(flows_of(&text).flow.algorithm, algorithm);
    }

    #[test]
    fn what_is_wrong_with_a_flow_is_said_with_what_would_be_right() {
        for (text, words) in [
            ("", "begins with its controller"),
            ("cubik", "did you mean \"cubic\""),
            ("cubic;begin=2s", "did you mean"),
            ("cubic;strat=2s", "did you mean \"start\""),
            ("cubic;start=2", "a time is like"),
            ("cubic;swap=bbr", "bbr@10s"),
            ("cubic;swap=newrno@3s", "did you mean \"newreno\""),
            ("cubic;count=0", "count: \"0\" is no number from 1 to 1000"),
            ("cubic;app=video", "rate:2mbit"),
            ("cubic;start=3s;stop=2s", "stops before it starts"),
            ("cubic;start=3s;swap=newreno@2s", "has not begun"),
        ] {
            let error = flows(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_change_is_a_time_and_what_becomes_of_the_link() {
        let change_of = change("10s;rate=10mbit;rtt=80ms;queue=100kB;loss=1%").unwrap();
        assert_eq!((change_of.at, change_of.rate), (Duration::from_secs(10), Some(1_250_000)));
        assert_eq!((change_of.queue, change_of.loss), (Some(100_000), Some(Loss::Random(10_000))));
        for (text, words) in
            [("", "begins with"), ("10s", "nothing changes"), ("10s;rat=1mbit", "did you mean \"rate\"")]
        {
            assert!(change(text).unwrap_err().contains(words), "{text}");
        }
    }
}

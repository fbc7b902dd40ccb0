//! How a workload went: time, processor time, latencies, and the line that says so.

use std::io::Write as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::{Failure, usage};

/// Runs from the start of a workload, when all handshakes that do not belong to it are done.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
    cpu_seconds: f64,
}

impl Stopwatch {
    /// Now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it reads the clock, which is no default")]
    pub fn new() -> Self {
        Self { start: Instant::now(), cpu_seconds: usage::cpu_seconds() }
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The workload is over: the fields that all have, and its own.
    #[must_use]
    pub fn stop(&self, workload: &str, own: &Value) -> Value {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut fields = Map::new();
        fields.insert("workload".to_owned(), json!(workload));
        fields.insert("seconds".to_owned(), json!(seconds));
        fields.insert("client_cpu_seconds".to_owned(), json!(usage::cpu_seconds() - self.cpu_seconds));
        if let Value::Object(own) = own {
            fields.extend(own.clone());
        }
        Value::Object(fields)
    }
}

/// Prints the one line of a client.
///
/// # Errors
/// Standard output is closed.
pub fn print(outcome: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{outcome}")?;
    out.flush()?;
    Ok(())
}

/// Waits until whoever started this process closes its standard input.
///
/// # Errors
/// Standard input cannot be read.
pub fn wait_for_the_end_of_input() -> Result<(), Failure> {
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}

/// A minute, in nanoseconds: what takes longer counts as a minute.
const LONGEST: u64 = 60_000_000_000;

/// How long requests took, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None so far.
    ///
    /// # Errors
    /// Never, as the precision is a permitted one.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Those of another, too.
    ///
    /// # Errors
    /// Never, as all have the same form.
    pub fn merge(&mut self, other: &Self) -> Result<(), Failure> {
        Ok(self.0.add(&other.0)?)
    }

    /// The fields that a workload of requests has.
    #[must_use]
    pub fn fields(&self, outstanding: u64) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of one request")]
        let microseconds = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        json!({
            "outstanding": outstanding,
            "count": self.0.len(),
            "p50_us": microseconds(0.5),
            "p99_us": microseconds(0.99),
            "p999_us": microseconds(0.999),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds() {
        let mut latencies = Latencies::new().unwrap();
        (1..=1000).for_each(|microseconds| latencies.add(Duration::from_micros(microseconds)));
        let mut all = Latencies::new().unwrap();
        all.merge(&latencies).unwrap();
        let fields = all.fields(7);
        assert_eq!((fields["outstanding"].as_u64(), fields["count"].as_u64()), (Some(7), Some(1000)));
        let close = |name: &str, to: f64| (fields[name].as_f64().unwrap() / to - 1.0).abs() < 0.002;
        assert!(close("p50_us", 500.0) && close("p99_us", 990.0) && close("p999_us", 999.0), "{fields}");
    }

    #[test]
    fn an_outcome_has_the_common_fields_and_its_own() {
        let outcome = Stopwatch::new().stop("idle", &json!({ "connections": 3 }));
        assert_eq!((outcome["workload"].as_str(), outcome["connections"].as_u64()), (Some("idle"), Some(3)));
        assert!(outcome["seconds"].is_f64() && outcome["client_cpu_seconds"].is_f64());
    }
}

//! What is said about a metric: its row in the table.

use metrics::Unit;

/// One metric: everything that is known of it before anything is counted.
///
/// Rows are written in the layer modules, by the macro that also makes the handles; nothing says any of this twice.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Which part of the stack counts it: the second word of the name, mostly.
    pub layer: &'static str,
    /// The name as it is exported.
    pub name: &'static str,
    /// How it is stored and what `# TYPE` says.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What each label may say, in the order of `labels`.
    pub values: &'static [Values],
    /// The buckets, for a histogram.
    pub buckets: Option<&'static Buckets>,
    /// What `# HELP` says.
    pub help: &'static str,
}

/// How a metric is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Whole things counted; only grows.
    Counter,
    /// A counter of seconds, which come in fractions; only grows.
    Seconds,
    /// What is, now.
    Gauge,
    /// The largest value since the last scrape.
    Peak,
    /// How often a value fell into each bucket.
    Histogram,
}

impl Kind {
    /// What `# TYPE` says.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter | Self::Seconds => "counter",
            Self::Gauge | Self::Peak => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one label may say. Every set is closed: it is known before the first packet arrives.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These words.
    Closed(&'static [&'static str]),
    /// The numbers of the shards there are (see [`crate::labels::SHARDS`]).
    Shards,
    /// The numbers of the certificates that may be loaded at once (see [`crate::labels::CERTIFICATES`]).
    Certificates,
    /// The one value that describes this build.
    Build(BuildField),
}

/// Which part of [`crate::Build`] a label of `quicast_build_info` shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BuildField {
    /// The version of the package.
    Version,
    /// The commit.
    Revision,
    /// The compiler.
    Rustc,
    /// The cargo features.
    Features,
}

impl Metric {
    /// Whether a series is shown only once it has moved. So it is with those of a congestion controller: most are never
    /// used, and the pairs of them are many.
    pub fn is_sparse(&self) -> bool {
        self.labels.iter().any(|label| matches!(*label, "cc" | "from"))
    }

    /// The base unit, which is also the end of the name (before `_total`).
    pub fn unit(&self) -> Option<Unit> {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        if stem.ends_with("_bytes") || stem.ends_with("_bytes_per_second") {
            Some(Unit::Bytes)
        } else if stem.ends_with("_seconds") {
            Some(Unit::Seconds)
        } else {
            None
        }
    }
}

/// A family of bucket bounds.
#[derive(Debug)]
pub struct Buckets {
    /// What the table calls it.
    pub name: &'static str,
    /// Upper bounds, ascending; what is above the last falls into `+Inf`.
    pub bounds: &'static [f64],
}

/// Waiting that a person may notice: 0.1 ms to 10 s.
pub static LATENCY: Buckets = Buckets {
    name: "latency",
    bounds: &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
};

/// Time inside an event loop: 1 us to 66 ms, each four times the one before. A turn is meant to stay under 100 us, which
/// [`LATENCY`] could not show.
pub static TURN: Buckets = Buckets {
    name: "turn",
    bounds: &[0.000_001, 0.000_004, 0.000_016, 0.000_064, 0.000_256, 0.001_024, 0.004_096, 0.016_384, 0.065_536],
};

/// Round-trip times: 0.1 ms to 2 s, each about 1.8 times the one before.
pub static ROUND_TRIP: Buckets = Buckets {
    name: "round trip",
    bounds: &[
        0.0001, 0.0002, 0.0003, 0.0006, 0.001, 0.002, 0.0035, 0.006, 0.011, 0.02, 0.035, 0.06, 0.11, 0.2, 0.36, 0.65,
        1.2, 2.0,
    ],
};

/// Things that travel together: 1 to 128.
pub static BATCH: Buckets = Buckets { name: "batch", bounds: &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0] };

/// Windows and rates: 4 KiB to 1 GiB.
pub static BYTES: Buckets = Buckets {
    name: "bytes",
    bounds: &[
        4096.0,
        16_384.0,
        32_768.0,
        65_536.0,
        131_072.0,
        262_144.0,
        524_288.0,
        1_048_576.0,
        2_097_152.0,
        4_194_304.0,
        16_777_216.0,
        67_108_864.0,
        268_435_456.0,
        1_073_741_824.0,
    ],
};

/// Lifetimes: 62.5 ms to 6 h.
pub static DURATION: Buckets = Buckets {
    name: "duration",
    bounds: &[0.0625, 0.25, 0.5, 1.0, 4.0, 15.0, 30.0, 60.0, 240.0, 600.0, 1800.0, 3600.0, 10_800.0, 21_600.0],
};

/// Sizes of a datagram that paths really have.
pub static MTU: Buckets = Buckets { name: "mtu", bounds: &[1200.0, 1280.0, 1350.0, 1400.0, 1452.0, 1472.0, 8952.0] };

/// All families, for the documentation.
pub static FAMILIES: [&Buckets; 7] = [&LATENCY, &TURN, &ROUND_TRIP, &BATCH, &BYTES, &DURATION, &MTU];

#[cfg(test)]
mod tests {
    use super::FAMILIES;

    #[test]
    fn bounds_ascend() {
        for family in FAMILIES {
            assert!(family.bounds.is_sorted_by(|left, right| left < right), "{}", family.name);
        }
    }
}

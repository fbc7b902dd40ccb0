//! Every series of an endpoint: made at once when the endpoint starts, and none later.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use metrics::{Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::LabelSet;

use crate::cell::{CounterCell, GaugeCell, HistogramCell, PeakCell};
use crate::family::split;
use crate::labels;
use crate::metric::{BuildField, Kind, Metric, Values};
use crate::{catalogue, exposition, still};

/// What a registry has to know before it can make its series.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Setup {
    /// How many shards the endpoint has.
    pub shards: usize,
    /// How many certificates may be loaded at once; more than [`labels::CERTIFICATES`] are not exported.
    pub certificates: usize,
    /// What is running.
    pub build: Build,
}

/// What is running: the labels of `quicast_build_info`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Build {
    /// The version of the package.
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The compiler.
    pub rustc: String,
    /// The cargo features.
    pub features: String,
}

/// Every series of one endpoint.
///
/// It is a recorder of the `metrics` crate that knows the table and nothing else: a name or a label value that does not
/// stand in the table gets a handle that does nothing. So no peer, whatever it sends, adds a series. Several registries
/// may live in one process, each with its own numbers. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    families: Vec<Family>,
    by_name: HashMap<&'static str, usize>,
}

/// A metric with all its series.
pub(crate) struct Family {
    pub(crate) metric: &'static Metric,
    /// What each label may say in this process.
    values: Vec<Vec<String>>,
    /// One for each combination; the last label moves fastest.
    pub(crate) series: Vec<Series>,
}

pub(crate) struct Series {
    pub(crate) labels: LabelSet,
    pub(crate) cell: Cell,
}

pub(crate) enum Cell {
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Peak(Arc<PeakCell>),
    Histogram(Arc<HistogramCell>),
}

impl Cell {
    fn new(metric: &Metric) -> Self {
        match metric.kind {
            Kind::Counter => Self::Counter(Arc::default()),
            Kind::Seconds | Kind::Gauge => Self::Gauge(Arc::default()),
            Kind::Peak => Self::Peak(Arc::default()),
            Kind::Histogram => {
                Self::Histogram(Arc::new(HistogramCell::new(metric.buckets.map_or(&[], |buckets| buckets.bounds))))
            }
        }
    }

    fn has_moved(&self) -> bool {
        match self {
            Self::Counter(cell) => cell.get() > 0,
            Self::Gauge(cell) => cell.has_moved(),
            Self::Peak(cell) => cell.has_moved(),
            Self::Histogram(cell) => cell.has_moved(),
        }
    }

    /// How many lines of the exposition it takes.
    fn lines(&self) -> usize {
        match self {
            Self::Histogram(cell) => cell.cumulative().count() + 2,
            Self::Counter(_) | Self::Gauge(_) | Self::Peak(_) => 1,
        }
    }
}

impl Family {
    fn new(metric: &'static Metric, setup: &Setup) -> Self {
        let values: Vec<Vec<String>> = metric.values.iter().map(|values| values.in_process(setup)).collect();
        let series = (0..values.iter().map(Vec::len).product())
            .map(|position| {
                let indices = split(position, values.iter().map(Vec::len));
                let labels = metric.labels.iter().zip(&values).zip(indices);
                let labels: Vec<Label> =
                    labels.map(|((name, values), index)| Label::new(*name, values[index].clone())).collect();
                let labels = LabelSet::from_key_and_global(&Key::from_parts(metric.name, labels), &Default::default());
                Series { labels, cell: Cell::new(metric) }
            })
            .collect();
        Self { metric, values, series }
    }

    /// The series that are shown.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Series> {
        let sparse = self.metric.is_sparse();
        self.series.iter().filter(move |series| !sparse || series.cell.has_moved())
    }

    /// The series of these labels; nothing if they are not exactly the table's.
    fn find(&self, key: &Key) -> Option<&Series> {
        if key.labels().len() != self.values.len() {
            return None;
        }
        let mut position = 0;
        for (name, values) in self.metric.labels.iter().zip(&self.values) {
            let label = key.labels().find(|label| label.key() == *name)?;
            position = position * values.len() + values.iter().position(|value| value == label.value())?;
        }
        self.series.get(position)
    }
}

impl Values {
    fn in_process(self, setup: &Setup) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match self {
            Self::Closed(names) => owned(names),
            Self::Shards => owned(&labels::SHARDS[..setup.shards.clamp(1, labels::SHARDS.len())]),
            Self::Certificates => owned(&labels::CERTIFICATES[..setup.certificates.min(labels::CERTIFICATES.len())]),
            Self::Build(BuildField::Version) => vec![setup.build.version.clone()],
            Self::Build(BuildField::Revision) => vec![setup.build.revision.clone()],
            Self::Build(BuildField::Rustc) => vec![setup.build.rustc.clone()],
            Self::Build(BuildField::Features) => vec![setup.build.features.clone()],
        }
    }
}

impl Registry {
    /// Makes every series of the table; counters and histograms stand at zero from now on, so that `rate()` sees the first
    /// event.
    pub fn new(setup: &Setup) -> Self {
        let families: Vec<Family> = catalogue::all().map(|metric| Family::new(metric, setup)).collect();
        let by_name = families.iter().enumerate().map(|(index, family)| (family.metric.name, index)).collect();
        let registry = Self { inner: Arc::new(Inner { families, by_name }) };
        registry.set_build_info();
        registry
    }

    /// Makes this registry the one that the macros of the `metrics` crate write to. For binaries: a library never calls it.
    ///
    /// # Errors
    ///
    /// Another recorder was there first.
    pub fn install(&self) -> Result<(), AlreadyInstalled> {
        metrics::set_global_recorder(self.clone()).map_err(|_| AlreadyInstalled)
    }

    /// The exposition in the text format of Prometheus. Reads `/proc` for the `process_*` metrics and starts the peaks anew:
    /// the caller makes it at most once a second and hands out the same text meanwhile.
    pub fn render(&self) -> String {
        self.read_process();
        exposition::render(&self.inner.families)
    }

    /// How many series Prometheus would store now: each bucket of a histogram is one.
    pub fn series_count(&self) -> usize {
        self.inner.families.iter().flat_map(Family::shown).map(|series| series.cell.lines()).sum()
    }

    /// The metrics of which no series has moved since the start, without those that [`still::STILL`] excuses.
    pub fn unmoved(&self) -> Vec<&'static str> {
        self.read_process();
        let names = self.names(|family| !family.has_moved());
        names.filter(|name| still::reason(name).is_none()).collect()
    }

    /// The metrics that have moved although [`still::STILL`] excuses them: their excuse is out of date.
    pub fn moved_although_excused(&self) -> Vec<&'static str> {
        self.names(Family::has_moved).filter(|name| still::reason(name).is_some()).collect()
    }

    /// The sum of a counter or gauge over all its series; `None` for a histogram or an unknown name. For tests and for the
    /// dashboard's snapshot, not for the hot path: it searches.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let family = self.family(name)?;
        family.series.iter().map(|series| series.cell.value()).sum()
    }

    /// One series of a counter or gauge, by the values of its labels in the order of the table.
    pub fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let family = self.family(name)?;
        let labels =
            family.metric.labels.iter().zip(labels).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        family.find(&Key::from_parts(family.metric.name, labels.collect::<Vec<_>>()))?.cell.value()
    }

    fn names(&self, which: impl Fn(&Family) -> bool) -> impl Iterator<Item = &'static str> {
        self.inner.families.iter().filter(move |family| which(family)).map(|family| family.metric.name)
    }

    fn family(&self, name: &str) -> Option<&Family> {
        self.inner.families.get(*self.inner.by_name.get(name)?)
    }

    fn cell(&self, key: &Key) -> Option<&Cell> {
        Some(&self.family(key.name())?.find(key)?.cell)
    }

    fn set_build_info(&self) {
        if let Some(family) = self.family("quicast_build_info") {
            for series in &family.series {
                if let Cell::Gauge(cell) = &series.cell {
                    metrics::GaugeFn::set(&**cell, 1.0);
                }
            }
        }
    }

    fn read_process(&self) {
        metrics::with_local_recorder(self, || metrics_process::Collector::default().collect());
    }
}

impl Family {
    fn has_moved(&self) -> bool {
        self.series.is_empty() || self.series.iter().any(|series| series.cell.has_moved())
    }
}

impl Cell {
    fn value(&self) -> Option<f64> {
        match self {
            Self::Counter(cell) => Some(cell.get() as f64),
            Self::Gauge(cell) => Some(cell.get()),
            Self::Peak(_) | Self::Histogram(_) => None,
        }
    }
}

/// Another recorder is installed in this process already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another metrics recorder is installed in this process already")
    }
}

impl std::error::Error for AlreadyInstalled {}

impl Recorder for Registry {
    // The table says all of this already.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        match self.cell(key) {
            Some(Cell::Counter(cell)) => metrics::Counter::from_arc(Arc::clone(cell)),
            _ => metrics::Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        match self.cell(key) {
            Some(Cell::Gauge(cell)) => metrics::Gauge::from_arc(Arc::clone(cell)),
            Some(Cell::Peak(cell)) => metrics::Gauge::from_arc(Arc::clone(cell)),
            _ => metrics::Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        match self.cell(key) {
            Some(Cell::Histogram(cell)) => metrics::Histogram::from_arc(Arc::clone(cell)),
            _ => metrics::Histogram::noop(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("metrics", &self.inner.families.len()).finish_non_exhaustive()
    }
}

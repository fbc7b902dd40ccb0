//! The whole table, in the order in which it is exported, and the page that is written from it.

use std::fmt::Write as _;

use crate::metric::{FAMILIES, Metric, Values};
use crate::still::STILL;
use crate::{labels, metric};

/// The tables of all layers, in the order of the data's way.
const LAYERS: [&[Metric]; 18] = [
    crate::process::ProcessMetrics::METRICS,
    crate::socket::SocketMetrics::METRICS,
    crate::dispatcher::DispatcherMetrics::METRICS,
    crate::tls::TlsMetrics::METRICS,
    crate::codec::CodecMetrics::METRICS,
    crate::recovery::RecoveryMetrics::METRICS,
    crate::congestion::CongestionMetrics::METRICS,
    crate::pacer::PacerMetrics::METRICS,
    crate::timer::TimerMetrics::METRICS,
    crate::path::PathMetrics::METRICS,
    crate::connection::ConnectionMetrics::METRICS,
    crate::stream::StreamMetrics::METRICS,
    crate::http::HttpMetrics::METRICS,
    crate::http3::Http3Metrics::METRICS,
    crate::qpack::QpackMetrics::METRICS,
    crate::actor::ActorMetrics::METRICS,
    crate::runtime::RuntimeMetrics::METRICS,
    crate::admin::AdminMetrics::METRICS,
];

/// Every metric there is.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    LAYERS.into_iter().flatten()
}

/// The page `docs/metrics.md`.
pub fn page() -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask docs` from the tables in telemetry/src. Do not edit. -->\n\n# Metrics\n\n\
         Every metric that quicast exports, by layer. Counters and histograms stand at zero from the start; labels are\n\
         closed sets, never an id, an address or a peer's words. `shard` is the shard's number (from the ninth on:\n\
         `other`).\n",
    );
    for layer in LAYERS {
        if let Some(first) = layer.first() {
            write_layer(&mut page, first.layer, layer);
        }
    }
    write_buckets(&mut page);
    write_still(&mut page);
    page
}

fn write_layer(page: &mut String, name: &str, metrics: &[Metric]) {
    line(page, format_args!("\n## {name}\n\n| name | type | labels | buckets | help |\n|---|---|---|---|---|"));
    for metric in metrics {
        line(
            page,
            format_args!(
                "| `{}` | {} | {} | {} | {} |",
                metric.name,
                metric.kind.as_str(),
                label_cell(metric),
                metric.buckets.map_or("", |buckets| buckets.name),
                metric.help.replace('|', "\\|")
            ),
        );
    }
}

fn label_cell(metric: &Metric) -> String {
    let labels = metric.labels.iter().zip(metric.values).map(|(name, values)| match values {
        Values::Closed(names) => format!("`{name}`: {}", names.join(", ")),
        Values::Shards | Values::Certificates => format!("`{name}`: 0, 1, …"),
        Values::Build(_) => format!("`{name}`"),
    });
    labels.collect::<Vec<_>>().join("; ")
}

fn write_buckets(page: &mut String) {
    line(page, format_args!("\n## Buckets\n\n| family | upper bounds |\n|---|---|"));
    for family in FAMILIES {
        let bounds: Vec<String> = family.bounds.iter().map(ToString::to_string).collect();
        line(page, format_args!("| {} | {} |", family.name, bounds.join(", ")));
    }
}

fn write_still(page: &mut String) {
    if STILL.is_empty() {
        return;
    }
    line(page, format_args!("\n## Not moved by the end-to-end tests\n\n| name | why |\n|---|---|"));
    for (name, reason) in STILL {
        line(page, format_args!("| `{name}` | {reason} |"));
    }
}

/// The list of names, types, units, labels and help that a golden file holds.
pub fn golden() -> String {
    let mut list = String::new();
    for metric in all() {
        let unit = metric.unit().map_or("-", |unit| unit.as_str());
        line(&mut list, format_args!("{} {} {unit}", metric.name, metric.kind.as_str()));
        for (name, values) in metric.labels.iter().zip(metric.values) {
            let values = match values {
                Values::Closed(names) => names.join("|"),
                Values::Shards => labels::SHARDS.join("|"),
                Values::Certificates => labels::CERTIFICATES.join("|"),
                Values::Build(field) => format!("<{field:?}>"),
            };
            line(&mut list, format_args!("    {name}={values}"));
        }
        if let Some(metric::Buckets { name, bounds }) = metric.buckets {
            line(&mut list, format_args!("    buckets {name}: {bounds:?}"));
        }
        line(&mut list, format_args!("    {}", metric.help));
    }
    list
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    if writeln!(text, "{arguments}").is_err() {
        debug_assert!(false, "a string is always writable");
    }
}

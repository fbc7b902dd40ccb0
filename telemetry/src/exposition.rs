//! The text that Prometheus reads.
//!
//! The lines are written by the formatting helpers of `metrics-exporter-prometheus`, which know what must be escaped. Its
//! recorder is not used: it keeps every sample of a histogram until somebody looks (75 ns and 16 bytes each, against 28 ns
//! and nothing), it makes a series of whatever label arrives, and its counters cannot hold fractions of a second.

use metrics_exporter_prometheus::formatting::{write_help_line, write_metric_line, write_type_line};

use crate::registry::{Cell, Family, Series};

/// All metrics in the order of the table, each with its help, its type and its series.
pub(crate) fn render(families: &[Family]) -> String {
    let mut text = String::with_capacity(families.len() * 1024);
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        write_help_line(&mut text, family.metric.name, None, None, family.metric.help);
        write_type_line(&mut text, family.metric.name, None, None, family.metric.kind.as_str());
        for series in family.shown() {
            write_series(&mut text, family.metric.name, series);
        }
    }
    text
}

fn write_series(text: &mut String, name: &str, Series { labels, cell }: &Series) {
    let none: Option<(&'static str, &str)> = None;
    match cell {
        Cell::Counter(cell) => write_metric_line(text, name, None, labels, none, cell.get(), None),
        Cell::Gauge(cell) => write_metric_line(text, name, None, labels, none, cell.get(), None),
        Cell::Peak(cell) => write_metric_line(text, name, None, labels, none, cell.take(), None),
        Cell::Histogram(cell) => {
            let mut count = 0;
            for (bound, so_far) in cell.cumulative() {
                count = so_far;
                if bound.is_finite() {
                    write_metric_line(text, name, Some("bucket"), labels, Some(("le", bound)), so_far, None);
                } else {
                    write_metric_line(text, name, Some("bucket"), labels, Some(("le", "+Inf")), so_far, None);
                }
            }
            write_metric_line(text, name, Some("sum"), labels, none, cell.sum(), None);
            write_metric_line(text, name, Some("count"), labels, none, count, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::labels::Role;
    use crate::recovery::RecoveryMetrics;
    use crate::socket::{Errno, Operation, SocketMetrics};
    use crate::{Build, Registry, Setup};

    fn registry() -> Registry {
        let build = Build { version: "1 \"quoted\"\n".to_owned(), ..Build::default() };
        Registry::new(&Setup { shards: 2, certificates: 1, build })
    }

    #[test]
    fn what_was_counted_is_shown_with_its_labels() {
        let registry = registry();
        let socket = SocketMetrics::new(&registry, 1);
        socket.received_bytes.add(1200);
        socket.errors[(Operation::Send, Errno::MessageSize)].add(3);
        let text = registry.render();
        assert!(text.contains("\nquicast_socket_received_bytes_total{shard=\"1\"} 1200\n"), "{text}");
        assert!(text.contains("\nquicast_socket_received_bytes_total{shard=\"0\"} 0\n"), "{text}");
        assert!(text.contains("\nquicast_socket_errors_total{op=\"send\",errno=\"emsgsize\"} 3\n"), "{text}");
    }

    #[test]
    fn a_histogram_shows_its_buckets_its_sum_and_its_count() {
        let registry = registry();
        RecoveryMetrics::new(&registry, 0).min_rtt[Role::Client].record_many(0.0015, 4);
        let text = registry.render();
        for line in [
            "quicast_recovery_min_rtt_seconds_bucket{role=\"client\",le=\"0.001\"} 0",
            "quicast_recovery_min_rtt_seconds_bucket{role=\"client\",le=\"0.002\"} 4",
            "quicast_recovery_min_rtt_seconds_bucket{role=\"client\",le=\"+Inf\"} 4",
            "quicast_recovery_min_rtt_seconds_sum{role=\"client\"} 0.006",
            "quicast_recovery_min_rtt_seconds_count{role=\"client\"} 4",
            "quicast_recovery_min_rtt_seconds_count{role=\"server\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        assert!(registry().render().contains(r#"quicast_build_info{version="1 \"quoted\"\n","#));
    }
}

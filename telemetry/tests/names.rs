//! What must not change by accident: names, types, units, labels, buckets, help; and how much of it there is.

use std::collections::HashSet;

use quicast_telemetry as telemetry;

use telemetry::still::STILL;
use telemetry::{Kind, Registry, SERIES_LIMIT, Setup, ShardMetrics};

/// `INSTA_UPDATE=always cargo test -p quicast-telemetry` writes it anew; read the difference before committing it.
#[test]
fn the_list_is_the_golden_one() {
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("metrics", telemetry::golden());
    });
}

#[test]
fn names_are_unique_and_follow_the_conventions() {
    let mut seen = HashSet::new();
    for metric in telemetry::all() {
        assert!(seen.insert(metric.name), "{} stands in the table twice", metric.name);
        assert!(metric.name.starts_with("quicast_") || metric.layer == "process", "{}", metric.name);
        assert!(metric.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
        let counts = matches!(metric.kind, Kind::Counter | Kind::Seconds);
        assert_eq!(counts, metric.name.ends_with("_total"), "{}: counters, and only they, end in _total", metric.name);
        assert_eq!(metric.buckets.is_some(), metric.kind == Kind::Histogram, "{}", metric.name);
        assert_eq!(metric.labels.len(), metric.values.len(), "{}: a name for each label", metric.name);
        assert!(!metric.help.is_empty() && metric.help.ends_with(['.', ')']), "{}: help is a sentence", metric.name);
    }
}

#[test]
fn the_largest_endpoint_stays_under_the_limit_of_series() {
    let registry = Registry::new(&Setup { shards: 256, certificates: 100, ..Setup::default() });
    assert!(registry.series_count() <= SERIES_LIMIT, "{} series", registry.series_count());
}

#[test]
fn every_metric_has_its_help_and_type_in_the_exposition() {
    let text = Registry::new(&Setup { shards: 1, certificates: 1, ..Setup::default() }).render();
    for metric in telemetry::all() {
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
        assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.as_str())), "{}", metric.name);
    }
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines, Registry::new(&Setup { shards: 1, certificates: 1, ..Setup::default() }).series_count());
}

#[test]
fn what_may_stand_still_is_in_the_table() {
    for (name, reason) in STILL {
        assert!(telemetry::all().any(|metric| metric.name == *name), "{name} is no metric");
        assert!(!reason.is_empty(), "{name} has no reason");
    }
}

#[test]
fn every_handle_of_a_shard_reaches_its_series() {
    // A handle that found no series would do nothing: so after moving all of a metric's handles, it must have moved.
    let registry = Registry::new(&Setup { shards: 2, certificates: 1, ..Setup::default() });
    let shard = ShardMetrics::new(&registry, 1);
    let before = registry.unmoved();
    assert!(before.contains(&"quicast_codec_frames_sent_total"));
    for handle in &shard.codec.frames_sent {
        handle.add(1);
    }
    shard.socket.sent_bytes.add(1);
    shard.congestion.state_time.iter().for_each(|state| state.add(std::time::Duration::from_millis(250)));
    shard.recovery.smoothed_rtt.iter().for_each(|rtt| rtt.record_time(std::time::Duration::from_millis(3)));
    shard.actor.mailbox_high_watermark.iter().for_each(|peak| peak.observe(5));
    let after = registry.unmoved();
    for name in [
        "quicast_codec_frames_sent_total",
        "quicast_socket_sent_bytes_total",
        "quicast_congestion_state_seconds_total",
        "quicast_recovery_smoothed_rtt_seconds",
        "quicast_actor_mailbox_high_watermark",
    ] {
        assert!(before.contains(&name) && !after.contains(&name), "{name}");
    }
    assert_eq!(registry.sum("quicast_codec_frames_sent_total"), Some(25.0));
    assert_eq!(registry.value("quicast_socket_sent_bytes_total", &["1"]), Some(1.0));
    assert_eq!(registry.value("quicast_socket_sent_bytes_total", &["0"]), Some(0.0));
}

#[test]
fn a_share_that_is_dropped_is_taken_back() {
    let registry = Registry::new(&Setup { shards: 1, ..Setup::default() });
    let shard = ShardMetrics::new(&registry, 0);
    let (first, second) = (shard.timer.armed.share(), shard.timer.armed.share());
    first.set(7);
    second.set(3);
    first.set(5);
    assert_eq!(registry.sum("quicast_timers_armed"), Some(8.0));
    drop(first);
    assert_eq!(registry.sum("quicast_timers_armed"), Some(3.0));
    assert_eq!(second.get(), 3);
}

#[test]
fn registries_do_not_share_numbers() {
    let (left, right) = (Registry::new(&Setup::default()), Registry::new(&Setup::default()));
    ShardMetrics::new(&left, 0).dispatcher.retries.add(1);
    assert_eq!(left.sum("quicast_dispatcher_retries_sent_total"), Some(1.0));
    assert_eq!(right.sum("quicast_dispatcher_retries_sent_total"), Some(0.0));
}

#[test]
fn what_is_not_in_the_table_adds_no_series() {
    let registry = Registry::new(&Setup::default());
    let before = registry.series_count();
    metrics::with_local_recorder(&registry, || {
        for path in 0..1_000 {
            metrics::counter!("quicast_admin_requests_total", "route" => format!("/{path}"), "code" => "2xx")
                .increment(1);
            metrics::counter!(format!("invented_{path}_total")).increment(1);
        }
        metrics::counter!("quicast_admin_requests_total", "route" => "drain", "code" => "2xx").increment(1);
        metrics::gauge!("quicast_dispatcher_retries_sent_total").set(4.0);
    });
    assert_eq!(registry.series_count(), before);
    assert_eq!(registry.sum("quicast_admin_requests_total"), Some(1.0));
    assert_eq!(registry.sum("quicast_dispatcher_retries_sent_total"), Some(0.0));
}

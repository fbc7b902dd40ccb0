//! Every case under criterion: nanoseconds on this machine. `cargo xtask bench` runs it.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use quicast_benches::{cases, counted};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for case in cases::all().filter(|case| !case.is_part()) {
        let (layer, what) = case.name.split_once('/').unwrap_or((case.name, ""));
        let mut group = criterion.benchmark_group(layer);
        group.throughput(if case.bytes > 0 { Throughput::Bytes(case.bytes) } else { Throughput::Elements(case.parts) });
        group.bench_function(what, |bencher| {
            let mut work = (case.begin)();
            bencher.iter_custom(|operations| {
                let start = Instant::now();
                counted(&mut work, operations);
                start.elapsed()
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

//! Writes what `cargo xtask` reads: the page `docs/metrics.md`, or with `--exposition` what a scrape looks like.

use std::io::Write as _;

use quicast_telemetry as telemetry;

fn main() -> std::io::Result<()> {
    let text = if std::env::args().any(|argument| argument == "--exposition") {
        let setup = telemetry::Setup { shards: 2, certificates: 1, build: telemetry::Build::default() };
        telemetry::Registry::new(&setup).render()
    } else {
        telemetry::page()
    };
    std::io::stdout().write_all(text.as_bytes())
}

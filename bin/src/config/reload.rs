//! SIGHUP: the file is read again, and its rules apply; all of them or none.

use std::convert::Infallible;

use quicast::Endpoint;
use quicast::controllers::Rules;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::rules::ApplyTo;
use super::{Config, CongestionSettings};
use crate::address::plain;
use crate::error::Failure;
use crate::out;

/// What reloads the configuration of a running server.
#[derive(Debug)]
pub(crate) struct Reload {
    /// SIGHUP no longer ends the process.
    hang_up: Signal,
    config: Option<Config>,
    /// `--cc`: it wins over the file's default, whenever that is read.
    chosen: Option<quicast::Algorithm>,
}

impl Reload {
    pub(crate) fn new(config: Option<Config>, chosen: Option<quicast::Algorithm>) -> Result<Self, Failure> {
        let hang_up = signal(SignalKind::hangup())
            .map_err(|error| Failure::failed(format_args!("cannot wait for signals: {}", plain(&error))))?;
        Ok(Self { hang_up, config, chosen })
    }

    /// The rules of the file apply from the beginning.
    pub(crate) fn begin(&self, endpoint: &Endpoint) {
        if let Some(config) = &self.config {
            endpoint.set_congestion_rules(self.rules(&config.congestion), true);
        }
    }

    /// Reads the file again each time that it is asked for. Never ends.
    pub(crate) async fn run(mut self, endpoint: &Endpoint) -> Infallible {
        while self.hang_up.recv().await.is_some() {
            self.again(endpoint);
        }
        std::future::pending().await
    }

    fn again(&mut self, endpoint: &Endpoint) {
        let Some(before) = &self.config else {
            out::note("quicast: SIGHUP: there is no configuration to read again; start with --config FILE");
            return;
        };
        let new = match Config::load(before.path(), endpoint.algorithms()) {
            Ok(new) => new,
            Err(failure) => {
                out::note(format_args!("quicast: {failure}; nothing is changed"));
                return;
            }
        };
        if before.needs_restart(&new) {
            out::note("quicast: [serve] is different: that needs a restart; [congestion] applies now");
        }
        let rules = self.rules(&new.congestion);
        let difference = endpoint.congestion_rules().difference(&rules);
        let live = new.congestion.apply_to == ApplyTo::Live;
        endpoint.set_congestion_rules(rules, live);
        tracing::info!(file = %new.path().display(), live, ?difference, "the rules of congestion controllers are read again");
        let whom = if live { "all connections" } else { "new connections" };
        let count = match difference.len() {
            0 => "no difference".to_owned(),
            1 => "one difference".to_owned(),
            several => format!("{several} differences"),
        };
        out::line(format_args!("reloaded {}: {count}, for {whom}", new.path().display()));
        for line in difference {
            out::line(format_args!("  {line}"));
        }
        self.config = Some(new);
    }

    fn rules(&self, settings: &CongestionSettings) -> Rules {
        let mut rules = settings.rules.clone();
        if let Some(chosen) = self.chosen {
            rules.default = chosen;
        }
        rules
    }
}

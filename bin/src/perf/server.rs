//! `quicast perf server`.

use std::sync::Arc;
use std::time::Duration;

use super::SILENCE;
use super::arguments::Server;
use super::pattern::Depth;
use crate::endpoint::{self, ServerSettings};
use crate::error::Failure;
use crate::serve::signals::Signals;
use crate::services::hq::Files;
use crate::services::perf::Perf;
use crate::services::{PERF, Services};
use crate::{address, certificate, out};

/// Carries the command out.
pub(crate) async fn run(arguments: Server) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let certificate = certificate::development()?.certificate;
    let tls = tls::development::server_config(&certificate, &[PERF])
        .map_err(|error| Failure::failed(format_args!("the certificate cannot be used: {error}")))?;
    let mut transport = arguments.settings.transport();
    transport.max_idle_timeout = SILENCE;
    if let Some(streams) = arguments.streams_allowed {
        transport.max_concurrent_bidirectional_streams = streams;
    }
    // One address, also of a name that has two: what is measured is one socket for each thread.
    let mut addresses = address::to_listen(&[arguments.listen])?;
    addresses.truncate(1);
    let perf = Perf::new(if arguments.verify { Depth::Everything } else { Depth::Ends });
    let endpoint = endpoint::server(
        ServerSettings {
            addresses,
            tls,
            transport,
            shards: Some(arguments.shards),
            busy_poll: arguments.settings.busy_poll,
            retry: false,
            reset_key: None,
        },
        Services { files: Arc::new(Files::Generated), perf: perf.clone(), http: None, key_update: false },
    )?;
    perf.watch(endpoint.metrics());
    out::line(format_args!("listening on {}", endpoint.local_addr()));
    let failed = async {
        // Whoever comes is served on the thread of the connection; here, only the end is heard of.
        while endpoint.accept().await.is_some() {}
    };
    tokio::select! {
        () = signals.stop() => {
            endpoint.shutdown(Duration::ZERO).await;
            Ok(())
        }
        () = failed => {
            Err(Failure::failed("the server's threads have failed; the log says why (RUST_LOG=error); start it again"))
        }
    }
}

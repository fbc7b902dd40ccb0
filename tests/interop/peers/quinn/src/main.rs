//! A quinn peer for the interoperability runs: an echo and hq-interop server, and a client for each case.
//!
//! Prints one line for what happened; exit code 0 means that it was what the flags asked for.

mod client;
mod server;

use peer_options::Options;
use quinn::{ConnectionError, EndpointConfig};
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let outcome = match (role.as_str(), Options::parse(arguments)) {
        (_, Err(failure)) => Err(failure),
        ("server", Ok(options)) => server::run(options).await,
        ("client", Ok(options)) => client::run(options).await,
        _ => Err("usage: quinn-peer server|client [HOST:PORT] [--flags]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed {failure}");
            ExitCode::FAILURE
        }
    }
}

const KEY: u64 = 0x5175_6963_6173_7421;

/// The same keys in each run, so that a server which comes back knows its ids and can send stateless resets.
pub(crate) fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey(KEY)));
    config.cid_generator(|| Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(KEY)));
    config
}

/// Not a cryptographic key: both ends of these runs belong to the test.
struct ResetKey(u64);

impl quinn::crypto::HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let mut state = self.0;
        for byte in data {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        for out in signature_out {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *out = (state >> 56) as u8;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), quinn::crypto::CryptoError> {
        let mut expected = [0; 32];
        self.sign(data, &mut expected);
        if expected == signature { Ok(()) } else { Err(quinn::crypto::CryptoError) }
    }
}

/// What is printed when the other side ends the connection: `closed CODE REASON` for an application close.
pub(crate) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            format!("closed {} {}", close.error_code, String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::Reset => "stateless reset".to_owned(),
        ConnectionError::VersionMismatch => "version mismatch".to_owned(),
        other => format!("lost {other}"),
    }
}

//! What a pair or a network is made of: settings of both ends, a certificate, seeds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tls::certificate::Certificate;
use transport::Config;
use transport::endpoint::Retry;

/// What both ends begin with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The client's settings.
    pub client: Arc<Config>,
    /// The server's settings.
    pub server: Arc<Config>,
    /// TLS of the client.
    pub client_tls: Arc<tls::ClientConfig>,
    /// TLS of the server.
    pub server_tls: Arc<tls::ServerConfig>,
    /// Makes everything that is random in the machines.
    pub seed: u64,
    /// When the server asks clients to prove their address.
    pub retry: Retry,
}

impl Settings {
    /// The defaults of quicast, and this seed.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Config::default(), Config::default())
    }

    /// These settings of client and server, and this seed. TLS begins anew: no ticket of an earlier test is known.
    pub fn with(seed: u64, client: Config, server: Config) -> Self {
        let certificate = credentials();
        let client_tls = tls::development::client_config(certificate.chain(), &[PROTOCOL]).unwrap();
        let server_tls = tls::development::server_config(certificate, &[PROTOCOL]).unwrap();
        Self {
            client: Arc::new(client),
            server: Arc::new(server),
            client_tls: Arc::new(client_tls),
            server_tls: Arc::new(server_tls),
            seed,
            retry: Retry::Never,
        }
    }

    /// The same with ends that wait for ten minutes before they take each other for gone: for networks so bad that what a
    /// test says of the stack must not depend on its timeouts.
    ///
    /// Each probe waits twice as long as the one before (RFC 9002 §6.2.1). Before a round trip is measured the waits are 1,
    /// 2, 4 and 8 seconds: three misses in a row outlast the ten seconds that a handshake has, four the idle timeout of
    /// thirty. Where a third of everything is lost, a probe and its answer both arrive with a chance of a half, so that this
    /// happens to one connection in some hundred or thousand, as the protocol wishes.
    #[must_use]
    pub fn patient(self) -> Self {
        self.map(|config| {
            config.max_idle_timeout = Duration::from_secs(600);
            config.handshake_timeout = Duration::from_secs(600);
        })
    }

    /// The same with a server that asks every client to prove its address.
    #[must_use]
    pub fn with_retry(mut self) -> Self {
        self.retry = Retry::Always;
        self
    }

    /// The same with the settings of both ends changed.
    #[must_use]
    pub fn map(mut self, change: impl Fn(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.client));
        change(Arc::make_mut(&mut self.server));
        self
    }
}

/// The application protocol of the bench.
pub const PROTOCOL: &[u8] = b"bench";

/// The bench's certificate, for `localhost`: Ed25519, whose signatures are all of one length, so that a seed gives
/// datagrams of the same sizes each time.
pub fn credentials() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Certificate::from_der(vec![certificate.der().clone()], key).unwrap()
    })
}

/// 32 bytes that follow from a seed and a purpose.
pub fn expand(seed: u64, purpose: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks_mut(8) {
        state = splitmix(&mut state.clone());
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// The next number of a small, fast generator (SplitMix64): for the network's whims, not for secrets.
pub const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

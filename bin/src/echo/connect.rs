//! A client's way to its connection: whom it trusts, and which of the server's addresses answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quicast::{CloseReason, ConnectError, Connection, Endpoint, TransportConfig};
use rustls::ClientConfig;
use tokio::task::JoinSet;

use crate::address::Server;
use crate::certificate;
use crate::cli::Tuning;
use crate::endpoint::ClientSettings;
use crate::error::Failure;
use crate::keylog;
use crate::services::PERF;

/// How long a handshake may take. A closed UDP port says nothing to a socket that several connections share, so this is
/// also how long it takes to find out that nobody listens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the favourite address is tried alone (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Whom a client believes.
#[derive(Debug)]
pub(crate) enum Trust<'a> {
    /// Everybody.
    Anybody,
    /// Who has a certificate that these have signed.
    These(&'a std::path::Path),
    /// Whom this machine trusts; on loopback also the user's own development certificate.
    Machine,
    /// Exactly this certificate.
    Certificate(tls::pki_types::CertificateDer<'static>),
}

/// The client's TLS settings.
pub(crate) fn tls_config(
    server: &Server,
    trust: Trust<'_>,
    alpn: &str,
    tuning: &Tuning,
) -> Result<ClientConfig, Failure> {
    let mut config = trusting(server, trust, &[alpn.as_bytes()])?;
    if let Some(log) = keylog::open(tuning.keylog.as_deref())? {
        config.key_log = log;
    }
    Ok(config)
}

/// The settings of TLS for a client that believes these.
pub(crate) fn trusting(server: &Server, trust: Trust<'_>, protocols: &[&[u8]]) -> Result<ClientConfig, Failure> {
    let refused = |error: tls::CertificateError| Failure::failed(format_args!("TLS settings: {error}"));
    match trust {
        Trust::Anybody => tls::development::insecure_client_config(protocols).map_err(refused),
        Trust::These(file) => tls::development::client_config(&certificate::roots(file)?, protocols)
            .map_err(|error| Failure::failed(format_args!("--cacert {}: {error}", file.display()))),
        Trust::Certificate(own) => tls::development::client_config(&[own], protocols).map_err(refused),
        Trust::Machine => machine(server, protocols),
    }
}

fn machine(server: &Server, protocols: &[&[u8]]) -> Result<ClientConfig, Failure> {
    let own = server.is_loopback().then(certificate::trusted_on_loopback).flatten();
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(own.clone(), tls::provider());
    match (verifier, own) {
        (Ok(verifier), _) => {
            let mut config = ClientConfig::builder_with_provider(tls::provider())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(Failure::failed)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok(config)
        }
        // A machine without any trusted certificates can still be used with itself.
        (Err(_), Some(own)) => tls::development::client_config(&[own], protocols).map_err(Failure::failed),
        (Err(error), None) => Err(Failure::failed(format_args!(
            "this machine's trusted certificates cannot be read ({error}); install ca-certificates, or give --cacert FILE"
        ))),
    }
}

/// The settings of a client with one socket.
pub(crate) fn settings(tuning: &Tuning) -> ClientSettings {
    let mut config = TransportConfig { handshake_timeout: PATIENCE, ..TransportConfig::default() };
    if let Some(algorithm) = tuning.cc {
        config.congestion = algorithm;
    }
    ClientSettings::new(config)
}

/// A client's connection, with what keeps it going.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
}

/// Connects to the first of the server's addresses that answers.
pub(crate) async fn connect(
    server: &Server,
    config: ClientConfig,
    settings: &ClientSettings,
) -> Result<Client, Failure> {
    let config = Arc::new(config);
    let mut attempts = JoinSet::new();
    for (delay, address) in server.addresses.iter().copied().enumerate() {
        let (name, config, settings) = (server.name.clone(), config.clone(), settings.clone());
        attempts.spawn(async move {
            // The first has a head start; the others follow at its pace.
            tokio::time::sleep(HEAD_START * u32::try_from(delay).unwrap_or(u32::MAX)).await;
            attempt(address, &name, config, settings).await
        });
    }
    let mut first_failure = None;
    while let Some(ended) = attempts.join_next().await {
        match ended.map_err(Failure::failed)? {
            Ok(client) => return Ok(client),
            // What the server says is more than what nobody says.
            Err(refusal) => {
                let says_more =
                    matches!(&first_failure, Some(Refusal::Silence(_))) && !matches!(refusal, Refusal::Silence(_));
                if first_failure.is_none() || says_more {
                    first_failure = Some(refusal);
                }
            }
        }
    }
    Err(match first_failure {
        Some(Refusal::Silence(address)) => silence(address),
        Some(Refusal::Said(failure)) => failure,
        None => Failure::failed(format_args!("{}: no address to connect to", server.name)),
    })
}

/// Why an attempt came to nothing.
#[derive(Debug)]
enum Refusal {
    /// Nobody answered.
    Silence(SocketAddr),
    /// Somebody did.
    Said(Failure),
}

async fn attempt(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
    settings: ClientSettings,
) -> Result<Client, Refusal> {
    let local: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let protocol = config.alpn_protocols.first().cloned().unwrap_or_default();
    let endpoint = crate::endpoint::client(SocketAddr::new(local, 0), config, settings);
    let endpoint = endpoint.map_err(Refusal::Said)?;
    match endpoint.connect(address, name).await {
        Ok(connection) => Ok(Client { endpoint, connection }),
        Err(ConnectError::Failed(CloseReason::HandshakeTimeout | CloseReason::IdleTimeout)) => {
            Err(Refusal::Silence(address))
        }
        Err(ConnectError::Failed(reason)) => Err(Refusal::Said(refused(address, &reason, &protocol))),
        Err(error) => Err(Refusal::Said(Failure::failed(format_args!("cannot connect to {address}: {error}")))),
    }
}

fn silence(address: SocketAddr) -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::failed(format_args!(
        "{address} did not answer within {seconds} s: is a QUIC server running there, and may UDP pass?"
    ))
}

/// TLS alerts (RFC 8446 §6).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Why the handshake failed, and what helps.
fn refused(address: SocketAddr, reason: &CloseReason, protocol: &[u8]) -> Failure {
    let alert = match reason {
        CloseReason::PeerTransport { code, .. } => code.alert(),
        CloseReason::LocalTransport { error, .. } => error.code.alert(),
        _ => None,
    };
    let advice = match reason {
        CloseReason::LocalTransport { detail: Some(detail), .. } => advice(detail),
        _ => None,
    };
    match (advice, alert) {
        (Some(advice), _) => Failure::failed(format_args!("{address}: {advice}")),
        (None, Some(NO_APPLICATION_PROTOCOL)) if protocol == PERF => Failure::failed(format_args!(
            "{address}: the server does not speak the protocol of measurements (perf); start a quicast perf server there"
        )),
        (None, Some(NO_APPLICATION_PROTOCOL)) => Failure::failed(format_args!(
            "{address}: the server does not speak this application protocol; choose another with --alpn"
        )),
        (None, _) => Failure::failed(format_args!("{address}: the handshake failed: {reason}")),
    }
}

/// What rustls says of a certificate, in words for the user.
pub(crate) fn advice(detail: &str) -> Option<String> {
    let what = detail.contains("certificate").then_some(detail)?;
    let is = |words: &[&str]| words.iter().any(|word| what.contains(word));
    Some(if is(&["UnknownIssuer"]) {
        "the server's certificate is not trusted; give its issuer with --cacert FILE, or trust anybody with -k"
            .to_owned()
    } else if is(&["Expired", "expired"]) {
        "the server's certificate has expired; its owner has to renew it (-k trusts it all the same)".to_owned()
    } else if is(&["NotValidYet", "not valid yet"]) {
        "the server's certificate is not valid yet; check the clocks (-k trusts it all the same)".to_owned()
    } else if is(&["NotValidForName", "not valid for name"]) {
        format!("the server's certificate is for another name; connect to the name it is for, or use -k ({what})")
    } else {
        format!("the server's certificate is refused: {what} (-k trusts it all the same)")
    })
}

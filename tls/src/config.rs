//! TLS configurations for QUIC, with the crypto provider always named.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use ::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use ::rustls::version::TLS13;
use ::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{Certificate, CertificateError};

/// A server's configuration: this certificate for every name, these ALPN protocols in order of preference.
///
/// Sessions are resumed from memory, each ticket once; early data is off. To take it, set `max_early_data_size` to
/// `u32::MAX` and leave `ticketer` alone: rustls has 0-RTT only with sessions kept in memory.
///
/// # Errors
/// If the TLS library refuses the certificate.
pub fn server_config(certificate: &Certificate, protocols: &[&[u8]]) -> Result<ServerConfig, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificate.chain().to_vec(), certificate.key().clone_key())
        .map_err(refused)?;
    config.alpn_protocols = owned(protocols);
    Ok(config)
}

/// A client's configuration that trusts these certificates and what they have signed; a development certificate can be
/// among them. Early data is off; `enable_early_data` switches it on.
///
/// # Errors
/// If one of `roots` cannot be read.
pub fn client_config<'a>(
    roots: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, CertificateError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(refused)?;
    }
    let mut config = ClientConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = owned(protocols);
    Ok(config)
}

/// A client's configuration that **believes every server to be whom it says it is**. Whoever is on the way can read and
/// change everything. Only for a user who asked for exactly this, as with `curl --insecure`.
///
/// # Errors
/// If the TLS library refuses the configuration.
pub fn insecure_client_config(protocols: &[&[u8]]) -> Result<ClientConfig, CertificateError> {
    let provider = crate::provider();
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    config.alpn_protocols = owned(protocols);
    Ok(config)
}

/// Takes every certificate, but only from a server that has its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn owned(protocols: &[&[u8]]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}

fn refused(error: impl ToString) -> CertificateError {
    CertificateError::Refused(error.to_string())
}

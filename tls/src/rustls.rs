//! rustls behind our own types: the only file that names its QUIC interface.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ::rustls::crypto::CryptoProvider;
use ::rustls::quic;
use ::rustls::{
    AlertDescription, CipherSuite as SuiteName, ClientConfig, Error, HandshakeKind, NamedGroup, PeerMisbehaved,
    ServerConfig,
};
use codec::{Side, Version};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::TAG_LENGTH;
use crate::alert::Alert;
use crate::error::{SessionError, TlsError};
use crate::negotiated::{CipherSuite, KeyExchangeGroup};
use crate::provider::aes_128_gcm;

/// The implementation of TLS_AES_128_GCM_SHA256 that protects Initial packets (RFC 9001 §5.2).
#[derive(Clone, Copy)]
pub struct InitialSuite(quic::Suite);

impl InitialSuite {
    /// That of the provider a server is configured with, or else our own.
    pub fn of_server(config: &ServerConfig) -> Self {
        Self::of_provider(config.crypto_provider())
    }

    /// That of the provider a client is configured with, or else our own.
    pub fn of_client(config: &ClientConfig) -> Self {
        Self::of_provider(config.crypto_provider())
    }

    fn of_provider(provider: &CryptoProvider) -> Self {
        provider
            .cipher_suites
            .iter()
            .filter(|suite| suite.suite() == SuiteName::TLS13_AES_128_GCM_SHA256)
            .find_map(|suite| suite.tls13()?.quic_suite())
            .map_or_else(Self::default, Self)
    }

    pub(crate) fn keys(self, version: Version, destination: &[u8], side: Side) -> Keys {
        self.0.keys(destination, rustls_side(side), rustls_version(version)).into()
    }
}

impl Default for InitialSuite {
    fn default() -> Self {
        let suite = aes_128_gcm();
        #[expect(clippy::expect_used, reason = "a constant of the provider, which implements QUIC for this suite")]
        Self(suite.tls13().and_then(|suite| suite.quic_suite()).expect("the suite of Initial packets"))
    }
}

impl fmt::Debug for InitialSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialSuite")
    }
}

/// Both directions of one level.
pub(crate) struct Keys {
    pub(crate) local: DirectionalKeys,
    pub(crate) remote: DirectionalKeys,
}

/// One direction of one level.
pub(crate) struct DirectionalKeys {
    pub(crate) header: HeaderKey,
    pub(crate) packet: PacketKey,
}

#[cfg(test)]
impl DirectionalKeys {
    /// Keys of TLS_CHACHA20_POLY1305_SHA256 that are given and not derived.
    pub(crate) fn chacha20_poly1305(key: [u8; 32], iv: [u8; 12], header: [u8; 32]) -> Self {
        let provider = crate::provider();
        let suite = provider.cipher_suites.iter().find(|s| s.suite() == SuiteName::TLS13_CHACHA20_POLY1305_SHA256);
        let algorithm = suite.unwrap().tls13().unwrap().quic.unwrap();
        Self {
            header: HeaderKey(algorithm.header_protection_key(header.into())),
            packet: PacketKey(algorithm.packet_key(key.into(), iv.into())),
        }
    }
}

/// Both directions of one key phase, without the header keys, which never change.
pub(crate) struct PacketKeys {
    pub(crate) local: PacketKey,
    pub(crate) remote: PacketKey,
}

impl From<quic::Keys> for Keys {
    fn from(keys: quic::Keys) -> Self {
        Self { local: keys.local.into(), remote: keys.remote.into() }
    }
}

impl From<quic::DirectionalKeys> for DirectionalKeys {
    fn from(keys: quic::DirectionalKeys) -> Self {
        Self { header: HeaderKey(keys.header), packet: PacketKey(keys.packet) }
    }
}

/// Masks and unmasks the first byte and the packet number (RFC 9001 §5.4).
pub(crate) struct HeaderKey(Box<dyn quic::HeaderProtectionKey>);

impl HeaderKey {
    /// Applies the mask. False, and nothing changed, if `sample` or `number` has a length that cannot be.
    #[inline]
    pub(crate) fn protect(&self, sample: &[u8], first: &mut u8, number: &mut [u8]) -> bool {
        self.0.encrypt_in_place(sample, first, number).is_ok()
    }

    /// Removes the mask from the first byte and from as many bytes of `number` as it then says there are.
    #[inline]
    pub(crate) fn unprotect(&self, sample: &[u8], first: &mut u8, number: &mut [u8]) -> bool {
        self.0.decrypt_in_place(sample, first, number).is_ok()
    }
}

/// Encrypts and decrypts payloads (RFC 9001 §5.3).
pub(crate) struct PacketKey(Box<dyn quic::PacketKey>);

impl PacketKey {
    /// Encrypts `payload` in place and returns the tag.
    #[inline]
    pub(crate) fn seal(&self, number: u64, header: &[u8], payload: &mut [u8], tag: &mut [u8; TAG_LENGTH]) -> bool {
        // Looked at where it is: taken out of the result, it would be copied by stores that overlap.
        match &self.0.encrypt_in_place(number, header, payload) {
            Ok(sealed) => sealed.as_ref().first_chunk().inspect(|&sealed| *tag = *sealed).is_some(),
            Err(_) => false,
        }
    }

    /// Decrypts `payload`, which ends in its tag, in place. False if it is not authentic; it is spoilt then.
    #[inline]
    pub(crate) fn open(&self, number: u64, header: &[u8], payload: &mut [u8]) -> bool {
        self.0.decrypt_in_place(number, header, payload).is_ok()
    }

    /// Packets that may be sealed with this key (RFC 9001 §6.6).
    pub(crate) fn confidentiality_limit(&self) -> u64 {
        self.0.confidentiality_limit()
    }

    /// Packets that may fail to open with keys of this kind (RFC 9001 §6.6).
    pub(crate) fn integrity_limit(&self) -> u64 {
        self.0.integrity_limit()
    }
}

/// Where the keys of the next key phases come from (RFC 9001 §6.1).
pub(crate) enum Secrets {
    /// Those of a handshake.
    Negotiated(Box<quic::Secrets>),
    /// Known to everybody; see [`crate::development::key_rings`].
    Public { side: Side, version: Version, seed: u64, generation: u64 },
}

impl Secrets {
    /// The key to open packets of the next key phase with, as often as it is asked for.
    pub(crate) fn next_remote(&self) -> PacketKey {
        match self {
            Self::Negotiated(secrets) => PacketKey(secrets.clone().next_packet_keys().remote),
            Self::Public { side, version, seed, generation } => {
                public_keys(*side, *version, *seed, *generation).remote.packet
            }
        }
    }

    /// The next key phase begins, with these keys.
    pub(crate) fn advance(&mut self) -> PacketKeys {
        match self {
            Self::Negotiated(secrets) => {
                let keys = secrets.next_packet_keys();
                PacketKeys { local: PacketKey(keys.local), remote: PacketKey(keys.remote) }
            }
            Self::Public { side, version, seed, generation } => {
                let keys = public_keys(*side, *version, *seed, *generation);
                *generation += 1;
                PacketKeys { local: keys.local.packet, remote: keys.remote.packet }
            }
        }
    }
}

/// Keys that anyone can compute.
pub(crate) fn public_keys(side: Side, version: Version, seed: u64, generation: u64) -> Keys {
    let [seed, generation] = [seed, generation].map(u64::to_be_bytes);
    let mut secret = [0; 16];
    secret.iter_mut().zip(seed.iter().chain(&generation)).for_each(|(to, from)| *to = *from);
    InitialSuite::default().keys(version, &secret, side)
}

/// Keys that the handshake has produced, to be given to [`KeyRing::install`](crate::KeyRing::install).
pub struct KeyChange(pub(crate) NewKeys);

pub(crate) enum NewKeys {
    ZeroRtt(DirectionalKeys),
    Handshake(Keys),
    OneRtt { keys: Keys, next: Secrets },
}

impl KeyChange {
    /// The level the keys are for.
    pub const fn level(&self) -> crate::Level {
        match self.0 {
            NewKeys::ZeroRtt(_) => crate::Level::ZeroRtt,
            NewKeys::Handshake(_) => crate::Level::Handshake,
            NewKeys::OneRtt { .. } => crate::Level::OneRtt,
        }
    }
}

impl fmt::Debug for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the keys themselves.
        f.debug_tuple("KeyChange").field(&self.level()).finish()
    }
}

/// The TLS state machine of either role.
pub(crate) struct Handshake(quic::Connection);

impl Handshake {
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        version: Version,
        name: ServerName<'static>,
        parameters: Vec<u8>,
    ) -> Result<Self, SessionError> {
        check(version, &config.alpn_protocols)?;
        let connection = quic::ClientConnection::new(config, rustls_version(version), name, parameters);
        Ok(Self(connection.map_err(configuration)?.into()))
    }

    pub(crate) fn server(
        config: Arc<ServerConfig>,
        version: Version,
        parameters: Vec<u8>,
    ) -> Result<Self, SessionError> {
        check(version, &config.alpn_protocols)?;
        let connection = quic::ServerConnection::new(config, rustls_version(version), parameters);
        Ok(Self(connection.map_err(configuration)?.into()))
    }

    pub(crate) fn read(&mut self, data: &[u8]) -> Result<(), TlsError> {
        self.0.read_hs(data).map_err(|error| tls_error(self.0.alert(), &error))
    }

    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> Option<KeyChange> {
        let keys = match self.0.write_hs(out)? {
            quic::KeyChange::Handshake { keys } => NewKeys::Handshake(keys.into()),
            quic::KeyChange::OneRtt { keys, next } => {
                NewKeys::OneRtt { keys: keys.into(), next: Secrets::Negotiated(Box::new(next)) }
            }
        };
        Some(KeyChange(keys))
    }

    pub(crate) fn zero_rtt_keys(&self) -> Option<KeyChange> {
        Some(KeyChange(NewKeys::ZeroRtt(self.0.zero_rtt_keys()?.into())))
    }

    pub(crate) fn side(&self) -> Side {
        match self.0 {
            quic::Connection::Client(_) => Side::Client,
            quic::Connection::Server(_) => Side::Server,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub(crate) fn parameters(&self) -> Option<&[u8]> {
        self.0.quic_transport_parameters()
    }

    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn_protocol()
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.0 {
            quic::Connection::Client(_) => None,
            quic::Connection::Server(server) => server.server_name(),
        }
    }

    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.0.peer_certificates()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the server takes the early data of this client.
    pub(crate) fn is_early_data_accepted(&self) -> bool {
        match &self.0 {
            quic::Connection::Client(client) => client.is_early_data_accepted(),
            quic::Connection::Server(_) => false,
        }
    }

    pub(crate) fn tickets_received(&self) -> u32 {
        match &self.0 {
            quic::Connection::Client(client) => client.tls13_tickets_received(),
            quic::Connection::Server(_) => 0,
        }
    }

    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        Some(match self.0.negotiated_cipher_suite()?.suite() {
            SuiteName::TLS13_AES_128_GCM_SHA256 => CipherSuite::Aes128Gcm,
            SuiteName::TLS13_AES_256_GCM_SHA384 => CipherSuite::Aes256Gcm,
            SuiteName::TLS13_CHACHA20_POLY1305_SHA256 => CipherSuite::ChaCha20Poly1305,
            _ => CipherSuite::Other,
        })
    }

    pub(crate) fn key_exchange_group(&self) -> Option<KeyExchangeGroup> {
        Some(match self.0.negotiated_key_exchange_group()?.name() {
            NamedGroup::X25519 => KeyExchangeGroup::X25519,
            NamedGroup::secp256r1 => KeyExchangeGroup::Secp256r1,
            NamedGroup::secp384r1 => KeyExchangeGroup::Secp384r1,
            NamedGroup::X25519MLKEM768 => KeyExchangeGroup::X25519MlKem768,
            _ => KeyExchangeGroup::Other,
        })
    }

    pub(crate) fn export_keying_material(&self, output: &mut [u8], label: &[u8], context: Option<&[u8]>) -> bool {
        self.0.export_keying_material(output, label, context).is_ok()
    }
}

fn check(version: Version, protocols: &[Vec<u8>]) -> Result<(), SessionError> {
    if !version.is_known() {
        return Err(SessionError::UnsupportedVersion(version));
    }
    //= https://www.rfc-editor.org/rfc/rfc9001#section-8.1
    //# Unless another mechanism
    //# is used for agreeing on an application protocol, endpoints MUST use ALPN for
    //# this purpose.
    if protocols.is_empty() { Err(SessionError::NoApplicationProtocols) } else { Ok(()) }
}

fn configuration(error: Error) -> SessionError {
    SessionError::Configuration(error.to_string())
}

/// The code to close with: the alert rustls chose, or the one it left to us.
fn tls_error(alert: Option<AlertDescription>, error: &Error) -> TlsError {
    //= https://www.rfc-editor.org/rfc/rfc9001#section-4.8
    //# The AlertDescription
    //# value is
    //# added to 0x0100 to produce a QUIC error code from the range reserved for
    //# CRYPTO_ERROR
    if let Some(alert) = alert {
        return TlsError::alert(Alert::from_code(alert.into()), error.to_string());
    }
    let alert = match error {
        Error::PeerMisbehaved(PeerMisbehaved::InvalidMaxEarlyDataSize) => {
            return TlsError::violation(error.to_string());
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => Alert::UnexpectedMessage,
        Error::InvalidMessage(_) => Alert::DecodeError,
        Error::DecryptError => Alert::DecryptError,
        Error::NoCertificatesPresented => Alert::CertificateRequired,
        Error::InvalidCertificate(certificate) => Alert::from_code(AlertDescription::from(certificate.clone()).into()),
        Error::NoApplicationProtocol => Alert::NoApplicationProtocol,
        Error::PeerIncompatible(_) => Alert::HandshakeFailure,
        Error::PeerMisbehaved(_) => Alert::IllegalParameter,
        _ => Alert::InternalError,
    };
    TlsError::alert(alert, error.to_string())
}

const fn rustls_side(side: Side) -> ::rustls::Side {
    match side {
        Side::Client => ::rustls::Side::Client,
        Side::Server => ::rustls::Side::Server,
    }
}

/// Every version but 2 has the keys of version 1.
const fn rustls_version(version: Version) -> quic::Version {
    match version {
        Version::V2 => quic::Version::V2,
        _ => quic::Version::V1,
    }
}

/// Peers that break rules no [`Session`](crate::Session) breaks.
#[cfg(test)]
pub(crate) mod unruly {
    use super::*;

    /// The ClientHello of a client that offers no protocol, or the transport parameters of the drafts.
    pub(crate) fn client_hello(config: &ClientConfig, of_the_drafts: bool) -> Vec<u8> {
        let version = if of_the_drafts { quic::Version::V1Draft } else { quic::Version::V1 };
        let name = ServerName::try_from("localhost").unwrap();
        let client = quic::ClientConnection::new(Arc::new(config.clone()), version, name, Vec::new());
        let mut hello = Vec::new();
        assert!(client.unwrap().write_hs(&mut hello).is_none());
        hello
    }

    /// What a server that sends the transport parameters of the drafts answers in Initial and Handshake packets.
    pub(crate) fn draft_server_flights(config: &ServerConfig, hello: &[u8]) -> [Vec<u8>; 2] {
        let config = Arc::new(config.clone());
        let mut server = quic::ServerConnection::new(config, quic::Version::V1Draft, Vec::new()).unwrap();
        server.read_hs(hello).unwrap();
        let mut flights = [Vec::new(), Vec::new()];
        flights.iter_mut().for_each(|flight| assert!(server.write_hs(flight).is_some()));
        flights
    }
}

//! [`Session`]: handshake bytes in, handshake bytes and keys out (RFC 9001 §4.1).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use codec::{Side, Version};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::error::{SessionError, TlsError};
use crate::level::Level;
use crate::negotiated::{CipherSuite, EarlyData, KeyExchangeGroup};
use crate::rules::{self, Message, MessageType, Pending};
use crate::rustls::{Handshake, KeyChange};
use crate::{ClientConfig, ServerConfig};

#[cfg(test)]
mod tests;

/// The TLS handshake of one connection, in either role.
///
/// After each [`read`](Self::read), and once at the beginning of a client, call [`write`](Self::write) until it returns
/// `None`. When [`is_spent`](Self::is_spent) says so, the session may be dropped: the keys live in the
/// [`KeyRing`](crate::KeyRing).
pub struct Session {
    handshake: Handshake,
    pending: Pending,
    outbox: VecDeque<Output>,
    receive_level: Level,
    early_data_offered: bool,
    has_zero_rtt_keys: bool,
    has_peer_parameters: bool,
    /// What the server said in the connection that this client resumes.
    remembered_parameters: Option<Vec<u8>>,
    failure: Option<TlsError>,
}

/// Handshake bytes, and the keys that come after them.
struct Output {
    bytes: Vec<u8>,
    change: Option<KeyChange>,
}

impl Session {
    /// A client's handshake with the server called `name`. `parameters` are its encoded transport parameters.
    ///
    /// # Errors
    /// If the configuration does not fit QUIC: no ALPN protocol, no TLS 1.3, or a version we do not speak.
    pub fn client(
        config: Arc<ClientConfig>,
        version: Version,
        name: ServerName<'static>,
        parameters: Vec<u8>,
    ) -> Result<Self, SessionError> {
        let mut session = Self::new(Handshake::client(config, version, name, parameters)?);
        session.collect();
        session.early_data_offered = session.has_zero_rtt_keys;
        if session.has_zero_rtt_keys {
            session.remembered_parameters = session.handshake.parameters().map(Vec::from);
        }
        Ok(session)
    }

    /// A server's handshake. `parameters` are its encoded transport parameters.
    ///
    /// # Errors
    /// If the configuration does not fit QUIC: no ALPN protocol, no TLS 1.3, a `max_early_data_size` other than 0 and
    /// 2^32-1, or a version we do not speak.
    pub fn server(config: Arc<ServerConfig>, version: Version, parameters: Vec<u8>) -> Result<Self, SessionError> {
        Ok(Self::new(Handshake::server(config, version, parameters)?))
    }

    fn new(handshake: Handshake) -> Self {
        Self {
            handshake,
            pending: Pending::default(),
            outbox: VecDeque::new(),
            receive_level: Level::Initial,
            early_data_offered: false,
            has_zero_rtt_keys: false,
            has_peer_parameters: false,
            remembered_parameters: None,
            failure: None,
        }
    }

    /// Takes CRYPTO data of the level [`Self::receive_level`], in order and without gaps. At most one level's data at a
    /// time; the level may be another afterwards.
    ///
    /// # Errors
    /// If the handshake failed. The error is final: every later call returns it again, and nothing more is written.
    pub fn read(&mut self, data: &[u8]) -> Result<(), TlsError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.read_messages(data);
        if let Err(failure) = &result {
            self.failure = Some(failure.clone());
            self.outbox.clear();
        }
        result
    }

    /// Appends handshake bytes to be sent to `out`, up to the next change of keys, which is returned.
    ///
    /// The bytes belong to the highest level, 0-RTT aside, whose keys were returned *before* this call: Initial at first.
    /// `None` means that nothing more is there now, though bytes may have been written. Keys of [`Level::ZeroRtt`] do
    /// not change the level of the bytes that follow.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Option<KeyChange> {
        while let Some(output) = self.outbox.pop_front() {
            out.extend_from_slice(&output.bytes);
            if output.change.is_some() {
                return output.change;
            }
        }
        None
    }

    /// The level whose CRYPTO data [`Self::read`] takes. Data of higher levels is kept for later by the caller; at
    /// lower levels only what had arrived before may come again (RFC 9001 §4.1.3).
    pub fn receive_level(&self) -> Level {
        self.receive_level
    }

    /// Which end of the connection this is.
    pub fn side(&self) -> Side {
        self.handshake.side()
    }

    /// Whether the handshake is not yet complete (RFC 9001 §4.1.1).
    pub fn is_handshaking(&self) -> bool {
        self.handshake.is_handshaking()
    }

    /// Whether nothing more will be asked of this session: it is a server's, complete, and all is written. A client's
    /// session stays for the tickets that may come.
    ///
    /// A client has nothing to say in 1-RTT CRYPTO frames: what comes for a server whose session was dropped is an
    /// unexpected message, CRYPTO_ERROR 0x010a.
    pub fn is_spent(&self) -> bool {
        self.side().is_server() && !self.is_handshaking() && self.outbox.is_empty()
    }

    /// The transport parameters the peer sent in this handshake. Not authentic before it is complete (RFC 9001 §8.2).
    pub fn peer_parameters(&self) -> Option<&[u8]> {
        self.handshake.parameters().filter(|_| self.has_peer_parameters)
    }

    /// The server's transport parameters of the connection that is resumed, for a client that may send early data
    /// (RFC 9000 §7.4.1).
    pub fn remembered_parameters(&self) -> Option<&[u8]> {
        self.remembered_parameters.as_deref()
    }

    /// The application protocol, once it is agreed (RFC 9001 §8.1).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.handshake.alpn()
    }

    /// The name the client asked for; always `None` at a client.
    pub fn server_name(&self) -> Option<&str> {
        self.handshake.server_name()
    }

    /// The peer's certificate chain, its own certificate first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.handshake.peer_certificates()
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.handshake.is_resumed()
    }

    /// What became of early data.
    pub fn early_data(&self) -> EarlyData {
        let accepted = match self.side() {
            Side::Client => self.handshake.is_early_data_accepted(),
            Side::Server => self.has_zero_rtt_keys,
        };
        match (self.early_data_offered, accepted) {
            (false, _) => EarlyData::NotOffered,
            (true, true) => EarlyData::Accepted,
            // A client knows from the EncryptedExtensions, which carry the server's parameters; a server at once.
            (true, false) if self.has_peer_parameters => EarlyData::Rejected,
            (true, false) => EarlyData::Offered,
        }
    }

    /// How many session tickets the server has sent us.
    pub fn tickets_received(&self) -> u32 {
        self.handshake.tickets_received()
    }

    /// The cipher suite, once it is agreed.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.handshake.cipher_suite()
    }

    /// The group of the key exchange, once the handshake is complete.
    pub fn key_exchange_group(&self) -> Option<KeyExchangeGroup> {
        self.handshake.key_exchange_group()
    }

    /// Fills `output` with secret bytes that the peer can compute too (RFC 8446 §7.5).
    ///
    /// # Errors
    /// Before the handshake is complete, or if `output` is longer than the key derivation yields.
    pub fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), ExportError> {
        if self.handshake.export_keying_material(output, label, context) { Ok(()) } else { Err(ExportError) }
    }

    fn read_messages(&mut self, data: &[u8]) -> Result<(), TlsError> {
        self.pending.push(data);
        while let Some(message) = self.pending.next()? {
            self.read_message(&message)?;
            if self.advance() && !self.pending.is_empty() {
                return Err(self.pending.left_over());
            }
        }
        Ok(())
    }

    fn read_message(&mut self, message: &Message) -> Result<(), TlsError> {
        let side = self.side();
        rules::before(message, side, self.is_handshaking())?;
        self.handshake.read(message.bytes())?;
        rules::after(message)?;
        if side.is_server() && rules::offers_early_data(message) {
            self.early_data_offered = true;
        }
        self.has_peer_parameters |= match side {
            Side::Client => message.kind() == MessageType::EncryptedExtensions,
            Side::Server => self.handshake.parameters().is_some(),
        };
        self.collect();
        Ok(())
    }

    /// Moves what TLS has to send, and the keys, to the outbox.
    fn collect(&mut self) {
        // A server's early keys are there before its answer is written, a client's after its ClientHello.
        if self.side().is_server() {
            self.collect_zero_rtt();
        }
        loop {
            let mut bytes = Vec::new();
            let change = self.handshake.write(&mut bytes);
            if change.is_none() && bytes.is_empty() {
                break;
            }
            self.outbox.push_back(Output { bytes, change });
        }
        if self.side().is_client() {
            self.collect_zero_rtt();
        }
    }

    fn collect_zero_rtt(&mut self) {
        if !self.has_zero_rtt_keys
            && self.is_handshaking()
            && let Some(change) = self.handshake.zero_rtt_keys()
        {
            self.has_zero_rtt_keys = true;
            self.outbox.push_back(Output { bytes: Vec::new(), change: Some(change) });
        }
    }

    /// Follows TLS to the level it reads now. True if it is another one.
    fn advance(&mut self) -> bool {
        let has_handshake_keys = self.receive_level != Level::Initial
            || self
                .outbox
                .iter()
                .any(|output| output.change.as_ref().is_some_and(|change| change.level() == Level::Handshake));
        let level = match (self.is_handshaking(), has_handshake_keys) {
            (false, _) => Level::OneRtt,
            (true, true) => Level::Handshake,
            (true, false) => Level::Initial,
        };
        core::mem::replace(&mut self.receive_level, level) != level
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("side", &self.side())
            .field("receive_level", &self.receive_level)
            .field("is_handshaking", &self.is_handshaking())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Keying material is not to be had: the handshake is not complete, or too much was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no keying material: the handshake is not complete, or too many bytes were asked for")]
pub struct ExportError;

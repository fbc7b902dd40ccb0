//! What QUIC asks of TLS messages beyond what the TLS library checks (RFC 9001 §4.1.3, §4.4, §4.6.1, §6, §8).
//!
//! CRYPTO data is cut into handshake messages here, so that each can be looked at before TLS gets it, and so that none
//! straddles two encryption levels.

use alloc::vec::Vec;

use codec::Side;

use crate::alert::Alert;
use crate::error::TlsError;

/// Handshake messages this crate knows (RFC 8446 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MessageType {
    ClientHello,
    NewSessionTicket,
    EndOfEarlyData,
    EncryptedExtensions,
    CertificateRequest,
    KeyUpdate,
    Other,
}

impl MessageType {
    const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::ClientHello,
            4 => Self::NewSessionTicket,
            5 => Self::EndOfEarlyData,
            8 => Self::EncryptedExtensions,
            13 => Self::CertificateRequest,
            24 => Self::KeyUpdate,
            _ => Self::Other,
        }
    }
}

/// One whole handshake message.
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Type, length and body, as TLS wants them.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn kind(&self) -> MessageType {
        self.bytes.first().map_or(MessageType::Other, |&byte| MessageType::from_byte(byte))
    }

    fn body(&self) -> Fields<'_> {
        Fields(self.bytes.get(HEADER..).unwrap_or_default())
    }
}

/// CRYPTO data of one level that is not yet a whole message.
#[derive(Default)]
pub(crate) struct Pending(Vec<u8>);

impl Pending {
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next message, if it is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, TlsError> {
        let Some(&[_, high, middle, low]) = self.0.first_chunk() else { return Ok(None) };
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if length > LONGEST_MESSAGE {
            return Err(TlsError::alert(Alert::DecodeError, "a handshake message is longer than 65535 bytes"));
        }
        if self.0.len() < HEADER + length {
            return Ok(None);
        }
        let rest = self.0.split_off(HEADER + length);
        Ok(Some(Message { bytes: core::mem::replace(&mut self.0, rest) }))
    }

    /// What it means that data is left although TLS now reads the next level.
    pub(crate) fn left_over(&self) -> TlsError {
        match self.0.first().map(|&byte| MessageType::from_byte(byte)) {
            Some(MessageType::KeyUpdate) => key_update(),
            Some(MessageType::EndOfEarlyData) => {
                TlsError::alert(Alert::UnexpectedMessage, "EndOfEarlyData is not used with QUIC")
            }
            //= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3
            //# When TLS provides keys for a higher encryption level,
            //# if there is data from a previous encryption level that TLS has not consumed,
            //# this MUST be treated as a connection error of type PROTOCOL_VIOLATION.
            _ => TlsError::violation("handshake data goes on after the end of its encryption level"),
        }
    }
}

/// What must hold before TLS sees the message.
pub(crate) fn before(message: &Message, side: Side, is_handshaking: bool) -> Result<(), TlsError> {
    match message.kind() {
        MessageType::KeyUpdate => Err(key_update()),
        //= https://www.rfc-editor.org/rfc/rfc9001#section-4.4
        //# servers MUST NOT send post-handshake TLS CertificateRequest messages, and
        //# clients MUST treat receipt of such messages as a connection error of type
        //# PROTOCOL_VIOLATION.
        MessageType::CertificateRequest if side.is_client() && !is_handshaking => {
            Err(TlsError::violation("CertificateRequest after the handshake"))
        }
        //= https://www.rfc-editor.org/rfc/rfc9001#section-4.6.1
        //# A client MUST treat receipt of a
        //# NewSessionTicket that contains an early_data extension with any other value as
        //# a connection error of type PROTOCOL_VIOLATION.
        MessageType::NewSessionTicket if ticket_early_data(message).is_some_and(|size| size != u32::MAX) => {
            Err(TlsError::violation("max_early_data_size of a ticket is not 0xffffffff"))
        }
        _ => Ok(()),
    }
}

/// What must hold of a message that TLS found well-formed.
pub(crate) fn after(message: &Message) -> Result<(), TlsError> {
    let MessageType::ClientHello = message.kind() else { return Ok(()) };
    let Some(hello) = Hello::parse(message) else { return Ok(()) };
    //= https://www.rfc-editor.org/rfc/rfc9001#section-8.4
    //# A
    //# server SHOULD treat the receipt of a TLS ClientHello with a non-empty
    //# legacy_session_id field as a connection error of type PROTOCOL_VIOLATION.
    if !hello.session_id.is_empty() {
        return Err(TlsError::violation("legacy_session_id of the ClientHello is not empty"));
    }
    //= https://www.rfc-editor.org/rfc/rfc9001#section-8.2
    //# endpoints that receive ClientHello or
    //# EncryptedExtensions messages without the quic_transport_parameters extension
    //# MUST close the connection with an error of type 0x016d
    // The TLS library sees to it, but at a server it takes the extension of the drafts, 0xffa5, for the real one.
    if !hello.extensions.contains(TRANSPORT_PARAMETERS) {
        return Err(TlsError::alert(Alert::MissingExtension, "no quic_transport_parameters extension"));
    }
    Ok(())
}

/// Whether a ClientHello offers early data.
pub(crate) fn offers_early_data(message: &Message) -> bool {
    message.kind() == MessageType::ClientHello
        && Hello::parse(message).is_some_and(|hello| hello.extensions.contains(EARLY_DATA))
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6
//# Endpoints MUST treat the receipt of a TLS KeyUpdate
//# message as a connection error of type 0x010a, equivalent to a
//# fatal TLS alert of unexpected_message
fn key_update() -> TlsError {
    TlsError::alert(Alert::UnexpectedMessage, "TLS KeyUpdate is not used with QUIC")
}

fn ticket_early_data(message: &Message) -> Option<u32> {
    // lifetime, age_add; nonce; ticket; extensions (RFC 8446 §4.6.1).
    let mut body = message.body();
    body.take(8)?;
    body.vector_8()?;
    body.vector_16()?;
    let extension = Extensions(body.vector_16()?).find(EARLY_DATA)?;
    Some(u32::from_be_bytes(extension.try_into().ok()?))
}

/// The parts of a ClientHello that QUIC has rules for.
struct Hello<'a> {
    session_id: &'a [u8],
    extensions: Extensions<'a>,
}

impl<'a> Hello<'a> {
    fn parse(message: &'a Message) -> Option<Self> {
        // legacy_version, random; legacy_session_id; cipher_suites; compression methods; extensions (RFC 8446 §4.1.2).
        let mut body = message.body();
        body.take(2 + 32)?;
        let session_id = body.vector_8()?;
        body.vector_16()?;
        body.vector_8()?;
        Some(Self { session_id, extensions: Extensions(body.vector_16()?) })
    }
}

#[derive(Clone, Copy)]
struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    fn find(self, wanted: u16) -> Option<&'a [u8]> {
        let mut fields = Fields(self.0);
        loop {
            let &[high, low] = fields.take(2)?.first_chunk()?;
            let data = fields.vector_16()?;
            if u16::from_be_bytes([high, low]) == wanted {
                return Some(data);
            }
        }
    }

    fn contains(self, wanted: u16) -> bool {
        self.find(wanted).is_some()
    }
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A vector whose length takes one byte.
    fn vector_8(&mut self) -> Option<&'a [u8]> {
        let &[length] = self.take(1)?.first_chunk()?;
        self.take(length.into())
    }

    /// A vector whose length takes two bytes.
    fn vector_16(&mut self) -> Option<&'a [u8]> {
        let length = self.take(2)?.first_chunk()?;
        self.take(u16::from_be_bytes(*length).into())
    }
}

/// Type and length of a handshake message.
const HEADER: usize = 4;
/// The longest message that the TLS library takes; certificate chains are the longest there are.
const LONGEST_MESSAGE: usize = 0xffff;
/// `quic_transport_parameters` (RFC 9001 §8.2).
const TRANSPORT_PARAMETERS: u16 = 0x39;
/// `early_data` (RFC 8446 §4.2.10).
const EARLY_DATA: u16 = 42;

//! The datagrams that are sent without a connection: Retry, and a CONNECTION_CLOSE in an Initial.
//!
//! Each is smaller than the 1200 bytes that it answers, so neither amplifies.

use std::time::Duration;

use codec::cursor::Writer;
use codec::frame::{ConnectionClose, Frame};
use codec::packet::{Header, Retry};
use codec::{ConnectionId, Side, TransportErrorCode};
use tls::{InitialSuite, KeyRing, Level, TAG_LENGTH};

use super::Attempt;
use crate::address_tokens::{RetryContext, TokenKeys, TokenNonce};

/// Writes the Retry that asks the client for proof of its address, and returns its length; `None` if `out` is too
/// small.
///
/// `source` is a fresh id of this shard, to which the client's next Initial goes. `unix_time` is the time since 1970.
//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1
//# This value MUST NOT be equal to the Destination Connection ID field of
//# the packet sent by the client.
pub fn retry(
    attempt: &Attempt,
    source: ConnectionId,
    keys: &TokenKeys,
    unix_time: Duration,
    nonce: TokenNonce,
    out: &mut [u8],
) -> Option<usize> {
    if source == attempt.destination {
        return None;
    }
    let context = RetryContext {
        version: attempt.version,
        remote: attempt.remote,
        original_destination: attempt.destination,
        retry_source: source,
        client_source: attempt.source,
    };
    let token = keys.retry_token(&context, unix_time, nonce);
    let mut writer = Writer::new(out);
    // The four unused bits may be anything; the nonce is random anyway.
    Retry::encode(&mut writer, attempt.version, &attempt.source, &source, &token, nonce[0]).ok()?;
    let tag = tls::retry::integrity_tag(attempt.version, &attempt.destination, writer.written());
    writer.bytes(&tag).ok()?;
    Some(writer.position())
}

/// Writes an Initial with nothing but a CONNECTION_CLOSE of this code, and returns its length; `None` if `out` is too
/// small. `source` is any fresh id of this shard.
//= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
//# If a server refuses to accept a new connection, it SHOULD send an Initial packet
//# containing a CONNECTION_CLOSE frame with error code CONNECTION_REFUSED.
pub fn close(
    attempt: &Attempt,
    source: ConnectionId,
    suite: InitialSuite,
    code: TransportErrorCode,
    out: &mut [u8],
) -> Option<usize> {
    let mut writer = Writer::new(out);
    let header = Header::Initial { version: attempt.version, destination: attempt.source, source, token: &[] };
    let header = header.encode(&mut writer, 0, 1).ok()?;
    Frame::ConnectionClose(ConnectionClose { code, frame_type: 0, reason: &[] }).encode(&mut writer).ok()?;
    writer.zeros(TAG_LENGTH).ok()?;
    let end = writer.position();
    header.finish(writer.written_mut(), end);
    let mut keys = KeyRing::with_suite(suite, Side::Server, attempt.version, &attempt.destination);
    let (number_offset, payload_offset) = (header.packet_number_offset(), header.payload_offset());
    keys.seal(Level::Initial, 0, writer.written_mut(), number_offset, payload_offset).ok()?;
    Some(end)
}

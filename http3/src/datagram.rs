//! HTTP datagrams in QUIC DATAGRAM frames (RFC 9297 §2.1).

use bytes::{Bytes, BytesMut};
use codec::cursor::Reader;
use codec::{Direction, Side, StreamId};

use crate::error::{Code, ConnectionError};
use crate::frame::put_varint;

/// The largest Quarter Stream ID.
const LARGEST: u64 = (1 << 60) - 1;

/// Takes the payload of a DATAGRAM frame apart: the request stream it belongs to, and what it carries. The payload is a
/// slice of what is given.
pub fn decode(mut datagram: Bytes) -> Result<(StreamId, Bytes), ConnectionError> {
    let mut reader = Reader::new(&datagram);
    let Ok(quarter) = reader.varint() else {
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# Receipt of a QUIC DATAGRAM frame whose payload is too short to allow parsing the
        //# Quarter Stream ID field MUST be treated as an HTTP/3 connection error of type
        //# H3_DATAGRAM_ERROR (0x33).
        return Err(ConnectionError::new(Code::H3_DATAGRAM_ERROR, "a datagram is too short to name its stream"));
    };
    if quarter > LARGEST {
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# Receipt of
        //# an HTTP/3 Datagram that includes a larger value MUST be treated as an HTTP/3
        //# connection error of type H3_DATAGRAM_ERROR (0x33).
        return Err(ConnectionError::new(Code::H3_DATAGRAM_ERROR, "a datagram names a stream beyond all"));
    }
    let payload = datagram.split_off(reader.position());
    Ok((StreamId::new(Side::Client, Direction::Bidirectional, quarter), payload))
}

/// Appends what stands before the payload of a datagram of this request stream: one to eight bytes.
pub fn put_prefix(out: &mut BytesMut, stream: StreamId) {
    put_varint(out, stream.index());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(bytes: &'static [u8]) -> Code {
        decode(Bytes::from_static(bytes)).unwrap_err().code
    }

    #[test]
    fn datagrams_that_name_no_stream_are_refused() {
        for short in [&[][..], &[0x40], &[0x80, 0, 0], &[0xc0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(refused(short), Code::H3_DATAGRAM_ERROR);
        }
        // 2^60, and 2^60-1.
        assert_eq!(refused(&[0xd0, 0, 0, 0, 0, 0, 0, 0]), Code::H3_DATAGRAM_ERROR);
        let (stream, payload) = decode(Bytes::from_static(&[0xcf, 255, 255, 255, 255, 255, 255, 255])).unwrap();
        assert_eq!(stream.as_u64(), (1 << 62) - 4);
        assert!(payload.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(index in 0_u64..1 << 60, payload: Vec<u8>) {
            let stream = StreamId::new(Side::Client, Direction::Bidirectional, index);
            let mut out = BytesMut::new();
            put_prefix(&mut out, stream);
            out.extend_from_slice(&payload);
            prop_assert_eq!(decode(out.freeze()), Ok((stream, Bytes::from(payload))));
        }
    }
}

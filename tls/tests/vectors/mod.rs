//! The sample packets that RFC 9001 and RFC 9369 both have.
#![expect(clippy::unwrap_used, reason = "these are tests, though not marked so")]

use codec::{ConnectionId, Side, Time, Version};
use quicast_tls::{KeyRing, Level, TAG_LENGTH, retry};

/// One RFC's samples, in hexadecimal.
pub(crate) struct Sample {
    pub(crate) version: Version,
    pub(crate) client_frames: &'static str,
    pub(crate) client_header: &'static str,
    pub(crate) client_packet: &'static str,
    pub(crate) server_payload: &'static str,
    pub(crate) server_header: &'static str,
    pub(crate) server_packet: &'static str,
    pub(crate) retry_packet: &'static str,
}

impl Sample {
    pub(crate) fn client_initial(&self) {
        // "plus enough PADDING frames to make a 1162-byte payload"
        let mut payload = bytes(self.client_frames);
        payload.resize(1162, 0);
        self.initial(Side::Client, 2, 18, &bytes(self.client_header), &payload, &bytes(self.client_packet));
    }

    pub(crate) fn server_initial(&self) {
        let payload = bytes(self.server_payload);
        self.initial(Side::Server, 1, 18, &bytes(self.server_header), &payload, &bytes(self.server_packet));
    }

    pub(crate) fn retry(&self) {
        let packet = bytes(self.retry_packet);
        let (covered, tag) = packet.split_last_chunk().unwrap();
        assert_eq!(retry::integrity_tag(self.version, &destination(), covered), *tag);
        assert!(retry::verify(self.version, &destination(), covered, tag));

        assert!(!retry::verify(self.version, &ConnectionId::EMPTY, covered, tag));
        for index in 0..packet.len() {
            let mut changed = packet.clone();
            changed[index] ^= 1;
            let (covered, tag) = changed.split_last_chunk().unwrap();
            assert!(!retry::verify(self.version, &destination(), covered, tag), "byte {index} may be changed");
        }
    }

    fn initial(&self, side: Side, number: u64, number_offset: usize, header: &[u8], payload: &[u8], expected: &[u8]) {
        let mut packet = [header, payload, &[0; TAG_LENGTH]].concat();
        let mut sender = KeyRing::new(side, self.version, &destination());
        sender.seal(Level::Initial, number, &mut packet, number_offset, header.len()).unwrap();
        assert_eq!(packet, expected);

        let mut receiver = KeyRing::new(side.peer(), self.version, &destination());
        let opened = receiver.open(Level::Initial, &mut packet, number_offset, 0, Time::ZERO).unwrap();
        assert_eq!(opened.number, number);
        assert_eq!(&packet[..header.len()], header);
        assert_eq!(&packet[opened.payload()], payload);
    }
}

fn destination() -> ConnectionId {
    ConnectionId::new(&bytes("8394c8f03e515708")).unwrap()
}

pub(crate) fn bytes(hexadecimal: &str) -> Vec<u8> {
    assert!(hexadecimal.len().is_multiple_of(2));
    (0..hexadecimal.len()).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap()).collect()
}

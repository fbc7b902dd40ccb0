//! Packet protection: AES-128-GCM and the header's mask, through the ring of keys that a connection has.

use codec::packet::{Header, WrittenHeader};
use codec::{ConnectionId, Time, Version};
use tls::{KeyRing, Level, TAG_LENGTH};

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case { bytes: 1_200, ..Case::new("packet/seal/1200", "a packet", 2_000, || seal(1_200)) },
    Case { bytes: 1_452, ..Case::new("packet/seal/1452", "a packet", 2_000, || seal(1_452)) },
    Case { bytes: 1_200, ..Case::new("packet/open/1200", "a packet, and its copy", 2_000, || open(1_200)) },
    Case { bytes: 1_452, ..Case::new("packet/open/1452", "a packet, and its copy", 2_000, || open(1_452)) },
];

fn seal(length: usize) -> Work {
    let (mut ring, _) = tls::development::key_rings(Version::V1, 1);
    let mut packet = vec![0x5a; length];
    let mut number = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            seal_one(&mut ring, number, &mut packet);
            number += 1;
        }
    })
}

fn open(length: usize) -> Work {
    let (mut sender, mut receiver) = tls::development::key_rings(Version::V1, 1);
    let mut sealed = vec![0x5a; length];
    let header = seal_one(&mut sender, 0, &mut sealed);
    let mut packet = sealed.clone();
    Box::new(move |operations| {
        for _ in 0..operations {
            // Opened in place, so that it has to be fresh each time.
            packet.copy_from_slice(&sealed);
            let opened = receiver.open(Level::OneRtt, &mut packet, header.packet_number_offset(), 0, Time::ZERO);
            assert!(opened.is_ok(), "it was sealed with the same keys");
        }
    })
}

fn seal_one(ring: &mut KeyRing, number: u64, packet: &mut [u8]) -> WrittenHeader {
    let destination = ConnectionId::new(&[7; 8]).expect("it is short enough");
    let header = Header::OneRtt { destination, spin: false, key_phase: ring.key_phase() };
    let end = packet.len() - TAG_LENGTH;
    let mut writer = codec::cursor::Writer::new(&mut packet[..end]);
    let header = header.encode(&mut writer, number & 0xffff, 2).expect("there is room");
    let sealed = ring.seal(Level::OneRtt, number, packet, header.packet_number_offset(), header.payload_offset());
    assert!(sealed.is_ok(), "there are keys");
    header
}

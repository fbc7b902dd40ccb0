//! One packet: a short header, a payload that is sealed in place, and a mask over the header (RFC 9001 §5.3, §5.4).

use common::Failure;
use ring::aead::quic::HeaderProtectionKey;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};

/// Flags, eight bytes of connection id, four of packet number.
pub(crate) const HEADER: usize = 13;
const NUMBER: usize = 9;
const TAG: usize = 16;

/// What header and tag take of a datagram.
pub(crate) const OVERHEAD: usize = HEADER + TAG;

/// The keys of both sides. They are constants: nothing here is secret.
pub(crate) struct Keys {
    packet: LessSafeKey,
    header: HeaderProtectionKey,
}

impl Keys {
    pub(crate) fn new() -> Result<Self, Failure> {
        let unusable = |_| "the key has the wrong length";
        Ok(Self {
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(unusable)?),
            header: HeaderProtectionKey::new(&quic::AES_128, &[9; 16]).map_err(unusable)?,
        })
    }

    /// Makes a packet of the whole datagram; its payload is whatever stands there.
    pub(crate) fn seal(&self, number: u32, datagram: &mut [u8]) -> Result<(), Failure> {
        let (header, rest) = datagram.split_at_mut(HEADER);
        header.fill(0x42);
        header[0] = 0x43;
        header[NUMBER..].copy_from_slice(&number.to_be_bytes());
        let (payload, tag) = rest.split_at_mut(rest.len() - TAG);
        let sealed = self.packet.seal_in_place_separate_tag(nonce(number), Aad::from(&*header), payload);
        tag.copy_from_slice(sealed.map_err(|_| "a packet cannot be sealed")?.as_ref());
        self.mask(datagram)
    }

    /// Opens a packet in place; says its number and how many bytes of payload it has.
    pub(crate) fn open(&self, datagram: &mut [u8]) -> Result<(u32, usize), Failure> {
        if datagram.len() < OVERHEAD + TAG {
            return Err("a datagram is too short for a packet".into());
        }
        self.mask(datagram)?;
        let (header, rest) = datagram.split_at_mut(HEADER);
        let number = u32::from_be_bytes([header[9], header[10], header[11], header[12]]);
        let opened = self.packet.open_in_place(nonce(number), Aad::from(&*header), rest);
        Ok((number, opened.map_err(|_| "wrong data: a packet does not open")?.len()))
    }

    /// Puts the mask on, or takes it off.
    fn mask(&self, datagram: &mut [u8]) -> Result<(), Failure> {
        let (header, rest) = datagram.split_at_mut(HEADER);
        let mask = self.header.new_mask(&rest[..16]).map_err(|_| "no mask of this sample")?;
        header[0] ^= mask[0] & 0x1f;
        header[NUMBER..].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        Ok(())
    }
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = [5; 12];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_opened_as_it_was_sealed() {
        let keys = Keys::new().unwrap();
        let mut datagram = [1; 1452];
        keys.seal(77, &mut datagram).unwrap();
        assert_ne!(datagram[HEADER..HEADER + 8], [1; 8]);
        let mut broken = datagram;
        assert_eq!(keys.open(&mut datagram).unwrap(), (77, 1452 - OVERHEAD));
        assert_eq!(datagram[HEADER..1452 - TAG], [1; 1452 - OVERHEAD]);
        broken[700] ^= 1;
        assert!(keys.open(&mut broken).is_err());
        assert!(keys.open(&mut [0; OVERHEAD]).is_err());
    }
}

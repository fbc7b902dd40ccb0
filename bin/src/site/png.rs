//! Pictures as PNG files (W3C PNG, third edition), not compressed: what is to be seen is many requests, not small ones.

/// The picture of `width` times `height` pixels with these colours, row by row; three bytes a pixel, red first.
pub(super) fn encode(width: u32, height: u32, pixels: &[[u8; 3]]) -> Vec<u8> {
    debug_assert_eq!(pixels.len() as u64, u64::from(width) * u64::from(height), "a colour for each pixel");
    let mut rows = Vec::with_capacity(pixels.len() * 3 + height as usize);
    for row in pixels.chunks(width.max(1) as usize) {
        rows.push(NO_FILTER);
        rows.extend(row.iter().flatten());
    }
    let mut header = Vec::with_capacity(13);
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([BITS, TRUECOLOUR, 0, 0, 0]);
    let mut file = Vec::with_capacity(rows.len() + 128);
    file.extend(SIGNATURE);
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &stored(&rows));
    chunk(&mut file, *b"IEND", &[]);
    file
}

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const NO_FILTER: u8 = 0;
const BITS: u8 = 8;
const TRUECOLOUR: u8 = 2;

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let from = file.len();
    file.extend(kind);
    file.extend(data);
    let checksum = crc32(file.get(from..).unwrap_or_default());
    file.extend(checksum.to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951 section 3.2.4).
fn stored(data: &[u8]) -> Vec<u8> {
    // Deflate with a window of 32 KiB; no dictionary; the fastest level; a multiple of 31.
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

/// ISO 3309, the polynomial of Ethernet, bit by bit: a tile is three kilobytes, and a table of it is made at compile time.
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !data.iter().fold(u32::MAX, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

/// RFC 1950 section 8.2.
fn adler32(data: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % PRIME;
        (low, (high + low) % PRIME)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(b""), 1);
    }

    #[test]
    fn a_pixel_is_the_file_that_the_specification_says() {
        let file = encode(1, 1, &[[0xff, 0x80, 0x00]]);
        let expected: &[&[u8]] = &[
            b"\x89PNG\r\n\x1a\n",
            b"\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90\x77\x53\xde",
            b"\0\0\0\x0fIDAT\x78\x01\x01\x04\0\xfb\xff\0\xff\x80\0",
        ];
        let expected = expected.concat();
        assert_eq!(&file[..expected.len()], expected);
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn long_data_is_several_blocks_and_the_last_one_says_so() {
        let data = vec![7; 65_535 + 10];
        let stream = stored(&data);
        assert_eq!(stream[2..7], [0, 0xff, 0xff, 0, 0]);
        let second = 2 + 5 + 65_535;
        assert_eq!(stream[second..second + 5], [1, 10, 0, 0xf5, 0xff]);
        assert_eq!(stream.len(), second + 5 + 10 + 4);
    }
}

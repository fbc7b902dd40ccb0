//! QPACK against the text of its RFC, against what other encoders made of real requests and responses, and what ours
//! makes of them. The texts and vectors stand beside the repository; without them, these tests say so and pass.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect, and says what it saw"
)]

mod offline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use quicast_http3::qpack::{DecodeError, Decoded, Decoder, DecoderConfig, Encoder, EncoderConfig, Field, Fields};

use crate::offline::{Block, blocks, sections};

fn shared_path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(file)
}

/// A file of the texts and vectors; `None`, with a word about it, if it is not there.
fn shared(file: &str) -> Option<Vec<u8>> {
    let path = shared_path(file);
    let bytes = std::fs::read(&path);
    if let Err(error) = &bytes {
        println!("skipped: {}: {error}", path.display());
    }
    bytes.ok()
}

/// The files of a folder of them, sorted; `None`, with a word about it, if it is not there.
fn shared_folder(folder: &str) -> Option<Vec<PathBuf>> {
    let path = shared_path(folder);
    match std::fs::read_dir(&path) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            Some(files)
        }
        Err(error) => {
            println!("skipped: {}: {error}", path.display());
            None
        }
    }
}

#[test]
fn the_static_table_is_that_of_the_rfc() {
    let Some(text) = shared("specs/rfc9204.md") else { return };
    let text = String::from_utf8(text).unwrap();
    let table = text.split("\n# Static Table\n").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| -")).skip(1);
    let mut count = 0_u8;
    for (row, index) in rows.zip(0..99) {
        let mut cells = row.trim_matches('|').splitn(3, '|').map(str::trim);
        assert_eq!(cells.next(), Some(index.to_string().as_str()));
        // An indexed line; from 63 on, the index takes two bytes.
        let section = if index < 63 { vec![0, 0, 0xc0 | index] } else { vec![0, 0, 0xff, index - 63] };
        let Ok(Decoded::Fields(fields)) = Decoder::default().decode(0, section.into()) else { panic!("{index}") };
        assert_eq!(Some(&fields[0].name[..]), cells.next().map(str::as_bytes));
        assert_eq!(
            Some(&fields[0].value[..]),
            cells.next().map(|value| value.replace('\\', "")).as_deref().map(str::as_bytes)
        );
        count += 1;
    }
    assert_eq!(count, 99);
}

/// Limits of sections that no vector reaches; and the table has its whole capacity from the beginning, as the offline
/// format supposes.
fn generous(max_table_capacity: u64, max_blocked_streams: u64) -> Decoder {
    let config = DecoderConfig { max_table_capacity, max_blocked_streams, ..DecoderConfig::default() };
    let mut decoder = Decoder::new(DecoderConfig { max_field_section_bytes: 1 << 20, max_fields: 1000, ..config });
    decoder.receive(set_capacity(max_table_capacity)).unwrap();
    decoder
}

/// Set Dynamic Table Capacity.
fn set_capacity(capacity: u64) -> &'static [u8] {
    match capacity {
        0 => &[0x20],
        256 => &[0x3f, 0xe1, 0x01],
        4096 => &[0x3f, 0xe1, 0x1f],
        other => panic!("no vector has a table of {other} bytes"),
    }
}

/// Decodes blocks in their order, and gives the fields of each stream.
fn decode(decoder: &mut Decoder, blocks: &[Block<'_>]) -> Result<BTreeMap<u64, Fields>, DecodeError> {
    let mut decoded = BTreeMap::new();
    for block in blocks {
        if block.stream == 0 {
            decoder.receive(block.bytes)?;
            while let Some((stream, fields)) = decoder.poll_unblocked() {
                decoded.insert(stream, fields?);
            }
        } else if let Decoded::Fields(fields) = decoder.decode(block.stream, Bytes::copy_from_slice(block.bytes))? {
            decoded.insert(block.stream, fields);
        }
    }
    Ok(decoded)
}

/// The name of a set of vectors, the table's capacity, blocked streams, and whether sections are acknowledged at once:
/// `name.out.4096.100.1`.
fn parameters(path: &Path) -> (String, u64, u64, bool) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let [name, "out", capacity, blocked, acknowledged] = parts[..] else { panic!("{name}") };
    (name.to_owned(), capacity.parse().unwrap(), blocked.parse().unwrap(), acknowledged == "1")
}

fn qif(name: &str) -> Vec<Vec<Field>> {
    sections(&shared(&format!("vectors/qpack/qifs/{name}.qif")).unwrap())
}

/// A field without the mark that some encoders gave it.
fn plain(field: &Field) -> (Bytes, Bytes) {
    (field.name.clone(), field.value.clone())
}

#[test]
fn what_other_encoders_made_is_decoded() {
    let mut files = 0;
    for encoder in ["ls-qpack", "nghttp3"] {
        let Some(paths) = shared_folder(&format!("vectors/qpack/encoded/{encoder}")) else { return };
        for path in paths {
            let (name, capacity, blocked, _) = parameters(&path);
            let file = std::fs::read(&path).unwrap();
            let mut decoder = generous(capacity, blocked);
            let decoded = decode(&mut decoder, &blocks(&file)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let expected = qif(&name);
            assert_eq!(decoded.len(), expected.len(), "{path:?}");
            for (fields, expected) in decoded.values().zip(&expected) {
                assert!(fields.iter().map(plain).eq(expected.iter().map(plain)), "{path:?}: {fields:?}");
            }
            assert_eq!((decoder.blocked_streams(), decoder.blocked_bytes()), (0, 0));
            files += 1;
        }
    }
    assert_eq!(files, 30);
}

/// Two of the files were made when QPACK still used the static table of HPACK, which has no lines 0 and 62; they are fine
/// with the table of the RFC.
const WRONG_IN_DRAFTS: [&str; 2] = ["err9", "err10"];

#[test]
fn what_is_wrong_is_refused() {
    let Some(paths) = shared_folder("vectors/qpack/errors") else { return };
    assert_eq!(paths.len(), 12);
    for path in paths {
        let file = std::fs::read(&path).unwrap();
        let blocks = blocks(&file);
        let result = decode(&mut generous(4096, 100), &blocks);
        let name = path.file_name().unwrap().to_str().unwrap();
        println!("{name}: {result:?}");
        if WRONG_IN_DRAFTS.contains(&name) {
            assert!(result.is_ok_and(|decoded| decoded[&1].len() == 1));
        } else {
            let expected = if blocks[0].stream == 0 { 0x201 } else { 0x200 };
            assert_eq!(result.map_err(|error| error.code()), Err(expected), "{name}");
        }
    }
}

/// What our encoder makes of the sections, in bytes of sections and instructions, and that it is decoded to the same.
fn encode(sections: &[Vec<Field>], capacity: u64, acknowledge: bool) -> u64 {
    let mut encoder = Encoder::new(EncoderConfig { max_table_capacity: capacity, ..EncoderConfig::default() });
    encoder.peer_settings(capacity, 100);
    let mut decoder = Decoder::new(DecoderConfig {
        max_table_capacity: capacity,
        max_blocked_streams: 100,
        max_field_section_bytes: 1 << 20,
        max_fields: 1000,
    });
    for (stream, section) in (1..).zip(sections) {
        let mut out = BytesMut::new();
        encoder.encode(stream, section.iter().map(Field::borrow), &mut out);
        if let Some(instructions) = encoder.poll_instructions() {
            decoder.receive(&instructions).unwrap();
        }
        let decoded = decoder.decode(stream, out.freeze()).unwrap();
        let Decoded::Fields(fields) = decoded else { panic!("{stream} is blocked") };
        assert!(fields.iter().map(plain).eq(section.iter().map(plain)), "{stream}: {fields:?}");
        assert_eq!(encoder.table_bytes(), decoder.table_bytes());
        let instructions = decoder.poll_instructions();
        if let Some(instructions) = instructions.filter(|_| acknowledge) {
            encoder.receive(&instructions).unwrap();
        }
    }
    encoder.stats().encoded_bytes + encoder.stats().instruction_bytes
}

/// The bytes of sections and instructions in a file, without the format's own.
fn bytes_in(file: &str) -> Option<u64> {
    Some(blocks(&shared(file)?).iter().map(|block| block.bytes.len() as u64).sum())
}

/// With a table of 4,096 bytes and 100 blocked streams; once with each section acknowledged at once, once without any
/// acknowledgement at all.
#[test]
fn what_we_make_is_smaller_than_what_others_made() {
    // The others' files suppose that the table has its capacity from the beginning; ours say it.
    const SET_CAPACITY: u64 = 3;
    for (acknowledge, suffix) in [(true, "4096.100.1"), (false, "4096.100.0")] {
        let (mut all_ours, mut all_better) = (0, 0);
        for name in ["fb-req-hq", "fb-resp-hq", "netbsd-hq"] {
            let of = |encoder: &str| bytes_in(&format!("vectors/qpack/encoded/{encoder}/{name}.out.{suffix}"));
            let (Some(ls), Some(ng)) = (of("ls-qpack"), of("nghttp3")) else { return };
            let (ours, better) = (encode(&qif(name), 4096, acknowledge), ls.min(ng));
            println!("{name}.{suffix}: ls-qpack {ls}, nghttp3 {ng}, ours {ours}");
            // The smallest of the three has nothing to save beyond what both of us do.
            assert!(ours < better || name == "netbsd-hq" && ours - SET_CAPACITY <= better, "{name}.{suffix}");
            all_ours += ours;
            all_better += better;
        }
        println!("all.{suffix}: the better {all_better}, ours {all_ours}");
        assert!(all_ours < all_better);
    }
}

#[test]
fn tables_of_every_size_come_back() {
    for name in ["fb-req-hq", "fb-resp-hq", "netbsd-hq"] {
        if shared_folder("vectors/qpack/qifs").is_none() {
            return;
        }
        let sections = qif(name);
        let sizes = [33, 64, 100, 256, 512, 1024, 2048, 8192, 65_536];
        let bytes = sizes.map(|capacity| (encode(&sections, capacity, true), encode(&sections, capacity, false)));
        println!("{name}: {sizes:?} {bytes:?}");
        // A large table is worth something.
        assert!(bytes[8].0 < bytes[3].0, "{name}");
    }
}

//! [`Encoder`]: fields to sections, and the dynamic table that the peer's decoder follows.

mod outstanding;
mod policy;
mod section;
mod table;

use bytes::{Bytes, BytesMut};

use self::outstanding::{Outstanding, Section};
use self::policy::Policy;
use self::section::{Name, Plan, Representation};
use self::table::{Hashes, Table};
use super::error::ConnectionError;
use super::field::{FieldRef, OVERHEAD};
use super::instruction::{
    DecoderInstruction, DecoderInstructions, NameIndex, write_capacity, write_duplicate, write_insert,
    write_insert_with_name,
};
use super::static_table::Match;
use super::wire::Fault;
use super::{limits, static_table};

/// What an [`Encoder`] may do.
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The capacity of the dynamic table in bytes, if the peer permits as much. Zero: no dynamic table.
    pub max_table_capacity: u64,
    /// Streams that may be put at risk of waiting for the encoder stream, if the peer permits as many. Zero: only entries
    /// that the peer is known to have are referred to.
    pub max_blocked_streams: u64,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { max_table_capacity: limits::TABLE_CAPACITY, max_blocked_streams: u64::MAX }
    }
}

/// What became of a section that was encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// Bytes that were appended.
    pub bytes: usize,
    /// How many insertions the decoder must have seen to read it; zero without references to the dynamic table.
    pub required_insert_count: u64,
}

/// What an [`Encoder`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EncoderStats {
    /// Bytes of sections before compression: names and values.
    pub raw_bytes: u64,
    /// Bytes of sections after compression, without the instructions.
    pub encoded_bytes: u64,
    /// Bytes of instructions for the encoder stream.
    pub instruction_bytes: u64,
    /// Field lines that refer to a whole line of the static table.
    pub static_lines: u64,
    /// Field lines that refer to a whole line of the dynamic table.
    pub dynamic_lines: u64,
    /// Field lines with a literal value.
    pub literal_lines: u64,
    /// Lines that were inserted into the dynamic table, duplicates included.
    pub insertions: u64,
    /// Insertions that were duplicates.
    pub duplicates: u64,
    /// Sections that were encoded.
    pub sections: u64,
}

/// Compresses field sections (RFC 9204 §2.1).
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    /// There is one as soon as the peer permits it.
    dynamic: Option<Dynamic>,
    was_told: bool,
    instructions: Instructions,
    received: DecoderInstructions,
    stats: EncoderStats,
}

/// What an encoder has when the peer permits a dynamic table.
#[derive(Debug)]
struct Dynamic {
    table: Table,
    policy: Policy,
    outstanding: Outstanding,
    /// How many insertions the decoder is known to have (§2.1.4).
    known_received_count: u64,
    max_blocked_streams: u64,
    /// How many entries fit into the largest table that the peer permits (§4.5.1.1).
    max_entries: u64,
    is_capacity_set: bool,
}

/// What waits for the encoder stream.
#[derive(Debug)]
struct Instructions {
    bytes: BytesMut,
    /// How many more may be written, as the caller says.
    credit: u64,
}

impl Instructions {
    /// Whether an instruction of at most so many bytes may be written.
    fn may_write(&self, bytes: usize) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.3
        //# To avoid these deadlocks, an encoder SHOULD NOT write an instruction unless
        //# sufficient stream and connection flow-control credit is available for the entire
        //# instruction.
        self.bytes.len().saturating_add(bytes) <= limits::ENCODER_INSTRUCTIONS && bytes as u64 <= self.credit
    }

    /// Writes one, and returns how many bytes it took.
    fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.credit = self.credit.saturating_sub((self.bytes.len() - before) as u64);
    }
}

/// The most that an instruction takes beyond the strings in it: an index and two lengths, and a new capacity before it.
const INSTRUCTION_OVERHEAD: usize = 40;

impl Encoder {
    /// An encoder that uses only the static table and literals until [`Self::peer_settings`] is called.
    pub fn new(config: EncoderConfig) -> Self {
        Self {
            config,
            dynamic: None,
            was_told: false,
            instructions: Instructions { bytes: BytesMut::new(), credit: u64::MAX },
            received: DecoderInstructions::default(),
            stats: EncoderStats::default(),
        }
    }

    /// The peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY and SETTINGS_QPACK_BLOCKED_STREAMS arrived (zero if it left them
    /// out). Only the first call counts.
    pub fn peer_settings(&mut self, max_table_capacity: u64, max_blocked_streams: u64) {
        if std::mem::replace(&mut self.was_told, true) {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3
        //# The encoder MUST NOT set a dynamic table capacity that exceeds this maximum, but
        //# it can choose to use a lower dynamic table capacity; see
        //# {{set-dynamic-capacity}}.
        let capacity = max_table_capacity.min(self.config.max_table_capacity).min(limits::TABLE_CAPACITY_MAXIMUM);
        let capacity = usize::try_from(capacity).unwrap_or(0);
        //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3
        //# When the maximum table capacity is zero, the encoder MUST NOT insert entries
        //# into the dynamic table and MUST NOT send any encoder instructions on the encoder
        //# stream.
        if capacity > OVERHEAD {
            self.dynamic = Some(Dynamic {
                table: Table::new(capacity),
                policy: Policy::new(),
                outstanding: Outstanding::default(),
                known_received_count: 0,
                max_blocked_streams: max_blocked_streams.min(self.config.max_blocked_streams),
                max_entries: max_table_capacity / OVERHEAD as u64,
                is_capacity_set: false,
            });
        }
    }

    /// How many bytes the transport would take on the encoder stream now. Until the next call, no more than that is
    /// inserted (RFC 9204 §2.1.3). Optional: without it only [`limits::ENCODER_INSTRUCTIONS`] counts.
    pub fn instruction_credit(&mut self, bytes: u64) {
        self.instructions.credit = bytes.saturating_sub(self.instructions.bytes.len() as u64);
    }

    /// Appends one encoded section for the stream to `out`. [`Self::poll_instructions`] may have something to send
    /// afterwards; sent before the section, it keeps the peer from waiting.
    pub fn encode<'a>(
        &mut self,
        stream_id: u64,
        fields: impl IntoIterator<Item = FieldRef<'a>>,
        out: &mut BytesMut,
    ) -> Encoded {
        let before = (out.len(), self.instructions.bytes.len());
        let mut plan = Plan::new();
        let mut raw = 0;
        let mut max_entries = 0;
        match &mut self.dynamic {
            None => {
                for field in fields {
                    raw += field.name.len() + field.value.len();
                    plan.push(field, without_table(&field));
                }
            }
            Some(dynamic) => {
                max_entries = dynamic.max_entries;
                let mut section = dynamic.begin(stream_id, &mut self.instructions, &mut self.stats);
                for field in fields {
                    raw += field.name.len() + field.value.len();
                    let representation = section.represent(&field, plan.lowest);
                    plan.push(field, representation);
                }
                dynamic.end(stream_id, &plan);
            }
        }
        plan.write(max_entries, out);
        let bytes = out.len() - before.0;
        let instructions = self.instructions.bytes.len() - before.1;
        self.stats.count(&plan, raw, bytes, instructions);
        Encoded { bytes, required_insert_count: plan.required_insert_count }
    }

    /// Bytes for the encoder stream, in order; to be taken whole.
    pub fn poll_instructions(&mut self) -> Option<Bytes> {
        let bytes = &mut self.instructions.bytes;
        if bytes.is_empty() { None } else { Some(bytes.split().freeze()) }
    }

    /// Bytes of the peer's decoder stream, in order, in pieces of any length.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        for byte in bytes {
            let instruction = self.received.add(*byte).map_err(|fault| match fault {
                Fault::IntegerTooLarge => {
                    ConnectionError::decoder_stream("an integer in an instruction has more than 62 bits")
                }
                _ => ConnectionError::decoder_stream("an instruction of the decoder stream makes no sense"),
            })?;
            if let Some(instruction) = instruction {
                self.apply(instruction)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, instruction: DecoderInstruction) -> Result<(), ConnectionError> {
        let Some(dynamic) = &mut self.dynamic else {
            return match instruction {
                DecoderInstruction::StreamCancellation(_) => Ok(()),
                DecoderInstruction::SectionAcknowledgment(_) => Err(NOTHING_TO_ACKNOWLEDGE),
                DecoderInstruction::InsertCountIncrement(_) => Err(WRONG_INCREMENT),
            };
        };
        match instruction {
            DecoderInstruction::SectionAcknowledgment(stream) => {
                let section = dynamic.outstanding.acknowledge(stream).ok_or(NOTHING_TO_ACKNOWLEDGE)?;
                dynamic.table.unpin(section.lowest);
                //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.4
                //# If the Required Insert Count of the acknowledged field section is
                //# greater than the current Known Received Count, the Known Received Count is
                //# updated to that Required Insert Count value.
                dynamic.on_received(section.required_insert_count);
            }
            DecoderInstruction::StreamCancellation(stream) => dynamic.forget(stream),
            DecoderInstruction::InsertCountIncrement(increment) => {
                let count = dynamic.known_received_count.saturating_add(increment);
                if increment == 0 || count > dynamic.table.inserted() {
                    return Err(WRONG_INCREMENT);
                }
                dynamic.on_received(count);
            }
        }
        Ok(())
    }

    /// Sections of this stream were encoded and no byte of them will ever be sent: nobody will acknowledge or cancel
    /// them. For a stream that was reset after it was begun, nothing is to be called: the peer's Stream Cancellation
    /// says when its references are gone (RFC 9204 §2.2.2.2).
    pub fn retract(&mut self, stream_id: u64) {
        if let Some(dynamic) = &mut self.dynamic {
            dynamic.forget(stream_id);
        }
    }

    /// The bytes that the dynamic table holds, as its size is counted (RFC 9204 §3.2.1).
    pub fn table_bytes(&self) -> u64 {
        self.dynamic.as_ref().map_or(0, |dynamic| dynamic.table.size() as u64)
    }

    /// How many lines were ever inserted into the dynamic table: its Insert Count (RFC 9204 §1.1).
    pub fn insert_count(&self) -> u64 {
        self.dynamic.as_ref().map_or(0, |dynamic| dynamic.table.inserted())
    }

    /// Sections that refer to the dynamic table and are not acknowledged; at most [`limits::OUTSTANDING_SECTIONS`].
    pub fn outstanding_sections(&self) -> usize {
        self.dynamic.as_ref().map_or(0, |dynamic| dynamic.outstanding.len())
    }

    /// Streams that may be waiting for the encoder stream; at most what the peer permits.
    pub fn streams_at_risk(&self) -> usize {
        self.dynamic.as_ref().map_or(0, |dynamic| dynamic.outstanding.streams_at_risk())
    }

    /// What was counted since the encoder was made.
    pub const fn stats(&self) -> EncoderStats {
        self.stats
    }
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.4.1
//# If an encoder receives a Section Acknowledgment instruction referring to a
//# stream on which every encoded field section with a non-zero Required Insert
//# Count has already been acknowledged, this MUST be treated as a connection error
//# of type QPACK_DECODER_STREAM_ERROR.
const NOTHING_TO_ACKNOWLEDGE: ConnectionError =
    ConnectionError::decoder_stream("a section is acknowledged on a stream that has none to acknowledge");

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.4.3
//# An encoder that receives an Increment field equal to zero, or one that increases
//# the Known Received Count beyond what the encoder has sent, MUST treat this as a
//# connection error of type QPACK_DECODER_STREAM_ERROR.
const WRONG_INCREMENT: ConnectionError =
    ConnectionError::decoder_stream("an Insert Count Increment is zero or goes beyond what was inserted");

/// How a line is represented when there is no dynamic table.
fn without_table(field: &FieldRef<'_>) -> Representation {
    let sensitive = field.sensitive || policy::is_sensitive(field.name, field.value);
    match static_table::find(field.name, field.value) {
        Match::Line(index) if !sensitive => Representation::Static(index),
        Match::Line(index) | Match::Name(index) => literal(Name::Static(index), sensitive),
        Match::None => literal(Name::Literal, sensitive),
    }
}

const fn literal(name: Name, sensitive: bool) -> Representation {
    if sensitive { Representation::NeverIndexed(name) } else { Representation::Literal(name) }
}

impl EncoderStats {
    fn count(&mut self, plan: &Plan<'_>, raw: usize, encoded: usize, instructions: usize) {
        let [statics, dynamics, literals] = plan.sources();
        self.raw_bytes += raw as u64;
        self.encoded_bytes += encoded as u64;
        self.instruction_bytes += instructions as u64;
        self.static_lines += statics;
        self.dynamic_lines += dynamics;
        self.literal_lines += literals;
        self.sections += 1;
    }
}

impl Dynamic {
    fn begin<'a>(
        &'a mut self,
        stream: u64,
        instructions: &'a mut Instructions,
        stats: &'a mut EncoderStats,
    ) -> Lines<'a> {
        let may_refer = !self.outstanding.is_full();
        let may_risk = may_refer && self.outstanding.may_risk(stream, self.max_blocked_streams);
        Lines { dynamic: self, instructions, stats, may_refer, may_risk }
    }

    fn end(&mut self, stream: u64, plan: &Plan<'_>) {
        if plan.required_insert_count > 0 {
            let (required_insert_count, lowest) = (plan.required_insert_count, plan.lowest);
            self.table.pin(lowest);
            self.outstanding.push(Section { stream, required_insert_count, lowest }, self.known_received_count);
        }
    }

    fn on_received(&mut self, count: u64) {
        if count > self.known_received_count {
            self.known_received_count = count;
            self.outstanding.on_received(count);
        }
    }

    fn forget(&mut self, stream: u64) {
        let table = &mut self.table;
        self.outstanding.remove(stream, |lowest| table.unpin(lowest));
    }
}

/// The lines of one section, as they are decided about.
struct Lines<'a> {
    dynamic: &'a mut Dynamic,
    instructions: &'a mut Instructions,
    stats: &'a mut EncoderStats,
    /// Whether the section may refer to the dynamic table.
    may_refer: bool,
    /// Whether it may refer to entries that the decoder might not have.
    may_risk: bool,
}

impl Lines<'_> {
    /// Decides about a line. `lowest` is the lowest entry that the section refers to so far.
    fn represent(&mut self, field: &FieldRef<'_>, lowest: u64) -> Representation {
        let sensitive = field.sensitive || policy::is_sensitive(field.name, field.value);
        let known_name = match static_table::find(field.name, field.value) {
            Match::Line(index) if !sensitive => return Representation::Static(index),
            Match::Line(index) | Match::Name(index) => Some(index),
            Match::None => None,
        };
        let hashes = self.dynamic.policy.hashes(known_name, field.name, field.value);
        if !sensitive && let Some(absolute) = self.entry(field, hashes, known_name, lowest) {
            return Representation::Dynamic(absolute);
        }
        literal(self.name(field, hashes, known_name), sensitive)
    }

    /// Entries below this one may be referred to.
    fn below(&self) -> u64 {
        match (self.may_refer, self.may_risk) {
            (false, _) => 0,
            (true, false) => self.dynamic.known_received_count,
            (true, true) => self.dynamic.table.inserted(),
        }
    }

    /// An entry for this line to refer to: one that there is, or a new one.
    fn entry(&mut self, field: &FieldRef<'_>, hashes: Hashes, known_name: Option<u8>, lowest: u64) -> Option<u64> {
        let found = self.dynamic.table.find(hashes, field.name, field.value, u64::MAX);
        let Some(newest) = found else {
            let inserted = self.insert(field, hashes, known_name, lowest)?;
            return Some(inserted).filter(|absolute| *absolute < self.below());
        };
        self.dynamic.policy.on_found(hashes);
        let newest =
            if self.is_draining(newest) { self.renew(newest, field, lowest).unwrap_or(newest) } else { newest };
        if newest < self.below() {
            return Some(newest);
        }
        self.dynamic.table.find(hashes, field.name, field.value, self.below())
    }

    /// Whether an entry is so near to its eviction that it should not be referred to any more.
    fn is_draining(&self, absolute: u64) -> bool {
        let table = &self.dynamic.table;
        table.bytes_before_eviction(absolute) < (table.capacity() / DRAINING) as u64
    }

    /// Inserts an entry again, so that the old one can go.
    fn renew(&mut self, absolute: u64, field: &FieldRef<'_>, lowest: u64) -> Option<u64> {
        if !self.may_insert(field.size(), 0, lowest.min(absolute)) {
            return None;
        }
        let relative = self.dynamic.table.inserted() - absolute - 1;
        let duplicate = self.dynamic.table.duplicate(absolute)?;
        self.instructions.write(|out| write_duplicate(relative, out));
        self.stats.insertions += 1;
        self.stats.duplicates += 1;
        Some(duplicate)
    }

    /// Whether an entry of this size, with an instruction that has so many bytes of strings, may be inserted now.
    fn may_insert(&self, size: usize, strings: usize, lowest: u64) -> bool {
        let evictable = lowest.min(self.dynamic.known_received_count);
        self.instructions.may_write(strings + INSTRUCTION_OVERHEAD) && self.dynamic.table.has_room(size, evictable)
    }

    /// Inserts a line if that is worth it and there is room.
    fn insert(&mut self, field: &FieldRef<'_>, hashes: Hashes, known_name: Option<u8>, lowest: u64) -> Option<u64> {
        let seen = self.dynamic.policy.on_missing(hashes);
        let worth = seen || self.may_risk && self.dynamic.policy.may_come_back(hashes, field.name);
        let strings = field.name.len() + field.value.len();
        if !worth || !self.may_insert(field.size(), strings, lowest) {
            return None;
        }
        let table = &mut self.dynamic.table;
        if !self.dynamic.is_capacity_set {
            self.dynamic.is_capacity_set = true;
            self.instructions.write(|out| write_capacity(table.capacity() as u64, out));
        }
        let name = match known_name {
            Some(index) => Some(NameIndex::Static(u64::from(index))),
            None => {
                let found = table.find_name(hashes, field.name, u64::MAX);
                found.map(|absolute| NameIndex::Relative(table.inserted() - absolute - 1))
            }
        };
        self.instructions.write(|out| match name {
            Some(name) => write_insert_with_name(name, field.value, out),
            None => write_insert(field.name, field.value, out),
        });
        self.stats.insertions += 1;
        Some(table.insert(hashes, field.name, field.value))
    }

    /// Where the name of a literal line is taken from.
    fn name(&self, field: &FieldRef<'_>, hashes: Hashes, known_name: Option<u8>) -> Name {
        if let Some(index) = known_name {
            return Name::Static(index);
        }
        let found = self.dynamic.table.find_name(hashes, field.name, self.below());
        found.filter(|absolute| !self.is_draining(*absolute)).map_or(Name::Literal, Name::Dynamic)
    }
}

/// The part of the table, as a divisor, in which entries are about to be evicted: they are inserted again rather than
/// referred to (RFC 9204 §2.1.1.1).
const DRAINING: usize = 4;

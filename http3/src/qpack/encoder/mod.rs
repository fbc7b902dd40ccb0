//! [`Encoder`]: fields to sections, and the dynamic table that the peer's decoder follows.

mod lines;
mod outstanding;
mod policy;
mod section;
mod table;

use bytes::{Bytes, BytesMut};

use self::lines::Lines;
use self::outstanding::{Outstanding, Section};
use self::policy::Policy;
use self::section::{Plan, References, Representation};
use self::table::Table;
use super::error::ConnectionError;
use super::field::{FieldRef, OVERHEAD};
use super::instruction::{DecoderInstruction, DecoderInstructions};
use super::limits;
use super::wire::Fault;

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
    /// Bytes that a section saves by taking a risk, in the mean of some, in parts.
    mean_saving: u64,
    /// Entries below this one are no longer referred to, because they are in the way of new ones.
    drained_below: u64,
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
                mean_saving: 0,
                drained_below: 0,
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
        let mut plan = Plan::default();
        for field in fields {
            plan.push(field, policy::is_sensitive(&field));
        }
        let mut max_entries = 0;
        if let Some(dynamic) = &mut self.dynamic {
            max_entries = dynamic.max_entries;
            dynamic.decide(stream_id, &mut plan, &mut self.instructions, &mut self.stats);
        }
        plan.write(max_entries, out);
        let bytes = out.len() - before.0;
        let instructions = self.instructions.bytes.len() - before.1;
        self.stats.count(&plan, bytes, instructions);
        Encoded { bytes, required_insert_count: plan.references().required_insert_count }
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

impl Default for Encoder {
    fn default() -> Self {
        Self::new(EncoderConfig::default())
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

impl EncoderStats {
    fn count(&mut self, plan: &Plan<'_>, encoded: usize, instructions: usize) {
        for line in plan.lines() {
            self.raw_bytes += (line.field.name.len() + line.field.value.len()) as u64;
            match line.representation {
                Representation::Static(_) => self.static_lines += 1,
                Representation::Dynamic(_) => self.dynamic_lines += 1,
                Representation::Literal(_) | Representation::NeverIndexed(_) => self.literal_lines += 1,
            }
        }
        self.encoded_bytes += encoded as u64;
        self.instruction_bytes += instructions as u64;
        self.sections += 1;
    }
}

impl Dynamic {
    /// Decides about the lines of a section, and keeps track of what it refers to.
    fn decide(&mut self, stream: u64, plan: &mut Plan<'_>, instructions: &mut Instructions, stats: &mut EncoderStats) {
        let may_refer = !self.outstanding.is_full();
        let may_risk = may_refer && self.outstanding.may_risk(stream, self.max_blocked_streams);
        Lines { dynamic: self, instructions, stats, may_refer, may_risk }.decide(plan.lines_mut());
        let References { required_insert_count, lowest } = plan.references();
        if required_insert_count > 0 {
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

#[cfg(test)]
mod tests;

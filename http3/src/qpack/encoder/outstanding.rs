//! Sections that refer to the dynamic table and are not acknowledged (RFC 9204 §2.1.1, §2.1.2).

use std::collections::VecDeque;

use crate::qpack::limits;

/// Such a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) stream: u64,
    pub(super) required_insert_count: u64,
    /// The lowest absolute index that it refers to.
    pub(super) lowest: u64,
}

/// A stream that may be waiting for the encoder stream.
#[derive(Clone, Copy, Debug)]
struct AtRisk {
    stream: u64,
    required_insert_count: u64,
}

/// All of them, in the order in which they were encoded.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    sections: VecDeque<Section>,
    /// Streams with a section that requires more insertions than are known to have been received.
    at_risk: Vec<AtRisk>,
}

impl Outstanding {
    /// Whether there are as many as are kept track of.
    pub(super) fn is_full(&self) -> bool {
        self.sections.len() >= limits::OUTSTANDING_SECTIONS
    }

    /// Whether a section of this stream may refer to entries that the decoder might not have: whether the stream is at
    /// risk anyway, or fewer are than `maximum`.
    pub(super) fn may_risk(&self, stream: u64, maximum: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2
        //# An encoder MUST limit the number of streams that could become blocked to the
        //# value of SETTINGS_QPACK_BLOCKED_STREAMS at all times.
        (self.at_risk.len() as u64) < maximum || self.at_risk.iter().any(|it| it.stream == stream)
    }

    /// A section was encoded.
    pub(super) fn push(&mut self, section: Section, known_received_count: u64) {
        let Section { stream, required_insert_count, .. } = section;
        self.sections.push_back(section);
        if required_insert_count > known_received_count {
            match self.at_risk.iter_mut().find(|it| it.stream == stream) {
                Some(it) => it.required_insert_count = it.required_insert_count.max(required_insert_count),
                None => self.at_risk.push(AtRisk { stream, required_insert_count }),
            }
        }
    }

    /// Takes the earliest section of a stream, which was acknowledged.
    pub(super) fn acknowledge(&mut self, stream: u64) -> Option<Section> {
        let place = self.sections.iter().position(|section| section.stream == stream)?;
        self.sections.remove(place)
    }

    /// More insertions are known to have been received.
    pub(super) fn on_received(&mut self, known_received_count: u64) {
        self.at_risk.retain(|it| it.required_insert_count > known_received_count);
    }

    /// Takes all sections of a stream, and says of each where its references begin.
    pub(super) fn remove(&mut self, stream: u64, mut on_removed: impl FnMut(u64)) {
        self.sections.retain(|section| {
            let keep = section.stream != stream;
            if !keep {
                on_removed(section.lowest);
            }
            keep
        });
        self.at_risk.retain(|it| it.stream != stream);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sections.len()
    }

    /// How many streams may be waiting.
    pub(super) fn streams_at_risk(&self) -> usize {
        self.at_risk.len()
    }
}

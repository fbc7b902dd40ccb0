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

#[cfg(test)]
mod tests {
    use super::*;

    fn section(stream: u64, required_insert_count: u64) -> Section {
        Section { stream, required_insert_count, lowest: required_insert_count - 1 }
    }

    #[test]
    fn a_stream_is_at_risk_until_all_it_needs_is_known_to_be_there() {
        let mut outstanding = Outstanding::default();
        outstanding.push(section(4, 3), 0);
        outstanding.push(section(4, 5), 0);
        outstanding.push(section(8, 4), 0);
        outstanding.push(section(12, 2), 2);
        assert_eq!((outstanding.len(), outstanding.streams_at_risk()), (4, 2));
        assert!(outstanding.may_risk(4, 2) && !outstanding.may_risk(12, 2) && outstanding.may_risk(12, 3));
        outstanding.on_received(3);
        assert_eq!(outstanding.streams_at_risk(), 2);
        outstanding.on_received(4);
        assert_eq!(outstanding.streams_at_risk(), 1);
        outstanding.on_received(5);
        assert_eq!((outstanding.len(), outstanding.streams_at_risk()), (4, 0));
    }

    #[test]
    fn the_earliest_section_of_a_stream_is_acknowledged_first() {
        let mut outstanding = Outstanding::default();
        for (stream, count) in [(4, 3), (8, 4), (4, 1)] {
            outstanding.push(section(stream, count), 0);
        }
        let mut acknowledge = |stream| outstanding.acknowledge(stream).map(|section| section.required_insert_count);
        assert_eq!([acknowledge(4), acknowledge(4), acknowledge(4), acknowledge(12)], [Some(3), Some(1), None, None]);
        let mut removed = Vec::new();
        outstanding.push(section(8, 9), 0);
        outstanding.remove(8, |lowest| removed.push(lowest));
        assert_eq!((removed, outstanding.len(), outstanding.streams_at_risk()), (vec![3, 8], 0, 1));
    }
}

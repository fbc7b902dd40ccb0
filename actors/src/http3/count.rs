//! What an HTTP/3 connection counted, added to the metrics of its shard now and then.

use std::rc::Rc;
use std::time::Duration;

use http3::frame::FrameKind;
use http3::qpack::{DecoderStats, EncoderStats};
use http3::stats::{Directions, Stats, Tunnel};
use http3::{Code, Connection, Limit};
use telemetry::connection::Limit as LimitLabel;
use telemetry::http3::{Answer, DatagramFate, ErrorCode, FrameType, Tunnel as TunnelLabel};
use telemetry::labels::Direction;
use telemetry::qpack::{Form, Half, Source};
use telemetry::{Label as _, ShardMetrics, Share};

use crate::meter::Meter;

/// How long counts may wait for those of later turns, so that a turn does not pay for adding them up.
pub(super) const COUNT_AGE: Duration = Duration::from_millis(100);

/// See the module. What it adds to gauges is taken back when it is dropped, however the connection ends.
#[derive(Debug)]
pub(super) struct Count {
    meter: Rc<Meter>,
    /// What was added of QPACK's counters, which only grow.
    encoder: EncoderStats,
    decoder: DecoderStats,
    /// While there is anything in them.
    levels: Option<Box<Levels>>,
}

/// What the connection adds to the gauges of QPACK.
#[derive(Debug)]
struct Levels {
    encoder_table: Share,
    decoder_table: Share,
    blocked: Share,
}

impl Levels {
    fn new(metrics: &ShardMetrics) -> Self {
        Self {
            encoder_table: metrics.qpack.table_bytes[Half::Encoder].share(),
            decoder_table: metrics.qpack.table_bytes[Half::Decoder].share(),
            blocked: metrics.qpack.blocked_streams.share(),
        }
    }
}

impl Count {
    pub(super) fn new(meter: Rc<Meter>) -> Self {
        Self { meter, encoder: EncoderStats::default(), decoder: DecoderStats::default(), levels: None }
    }

    /// Adds everything that was counted since the last time.
    pub(super) fn add_all(&mut self, machine: &mut Connection) {
        if let Some(stats) = machine.take_stats() {
            add(self.meter.metrics(), &stats);
        }
        let (encoder, decoder) = machine.qpack_stats();
        let qpack = &self.meter.metrics().qpack;
        for (half, form, now, before) in [
            (Half::Encoder, Form::Raw, encoder.raw_bytes, self.encoder.raw_bytes),
            (Half::Encoder, Form::Encoded, encoder.encoded_bytes, self.encoder.encoded_bytes),
            (Half::Decoder, Form::Raw, decoder.raw_bytes, self.decoder.raw_bytes),
            (Half::Decoder, Form::Encoded, decoder.encoded_bytes, self.decoder.encoded_bytes),
        ] {
            qpack.section_bytes[(half, form)].add(now.saturating_sub(before));
        }
        for (half, source, now, before) in [
            (Half::Encoder, Source::Static, encoder.static_lines, self.encoder.static_lines),
            (Half::Encoder, Source::Dynamic, encoder.dynamic_lines, self.encoder.dynamic_lines),
            (Half::Encoder, Source::Literal, encoder.literal_lines, self.encoder.literal_lines),
            (Half::Decoder, Source::Static, decoder.static_lines, self.decoder.static_lines),
            (Half::Decoder, Source::Dynamic, decoder.dynamic_lines, self.decoder.dynamic_lines),
            (Half::Decoder, Source::Literal, decoder.literal_lines, self.decoder.literal_lines),
        ] {
            qpack.field_lines[(half, source)].add(now.saturating_sub(before));
        }
        (self.encoder, self.decoder) = (encoder, decoder);
        self.level(machine);
    }

    fn level(&mut self, machine: &Connection) {
        let now = machine.qpack_levels();
        if now == http3::stats::QpackLevels::default() {
            self.levels = None;
            return;
        }
        let levels = self.levels.get_or_insert_with(|| Box::new(Levels::new(self.meter.metrics())));
        levels.encoder_table.set(now.encoder_table_bytes);
        levels.decoder_table.set(now.decoder_table_bytes);
        levels.blocked.set(now.blocked_streams as u64);
    }
}

fn add(metrics: &ShardMetrics, stats: &Stats) {
    let both =
        |Directions { sent, received }: Directions<u64>| [(Direction::Sent, sent), (Direction::Received, received)];
    for kind in FrameKind::ALL {
        let Some(label) = FrameType::named(kind.label()) else { continue };
        for (direction, count) in both(stats.frames(kind)) {
            metrics.http3.frames[(direction, label)].add(count);
        }
    }
    for (code, label) in Code::ALL.iter().copied().chain([UNNAMED]).zip(ErrorCode::ALL) {
        for (direction, count) in both(stats.errors(code)) {
            metrics.http3.errors[(direction, *label)].add(count);
        }
    }
    for (tunnel, label) in Tunnel::ALL.into_iter().zip(TunnelLabel::ALL) {
        let answers = stats.tunnels(tunnel);
        metrics.http3.connects[(*label, Answer::Accepted)].add(answers.accepted);
        metrics.http3.connects[(*label, Answer::Refused)].add(answers.refused);
    }
    metrics.http3.datagrams[DatagramFate::Sent].add(stats.datagrams.sent);
    metrics.http3.datagrams[DatagramFate::Received].add(stats.datagrams.received);
    metrics.http3.datagrams[DatagramFate::Dropped].add(stats.datagrams.dropped);
    for limit in Limit::ALL {
        let hits = stats.limit(limit);
        if hits > 0
            && let Some(label) = LimitLabel::named(limit.as_str())
        {
            metrics.connection.limit_hits[label].add(hits);
        }
    }
}

/// A code that has no name; all such are counted as one.
const UNNAMED: Code = Code(u64::MAX);

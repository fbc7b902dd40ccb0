//! What an HTTP/3 connection counted, added to the metrics of its shard now and then.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http3::frame::FrameKind;
use http3::qpack::{DecoderStats, EncoderStats};
use http3::stats::{Directions, Stats, Tunnel};
use http3::{Code, Connection, Limit};
use telemetry::actor::Edge;
use telemetry::connection::Limit as LimitLabel;
use telemetry::http3::{Answer, DatagramFate, ErrorCode, FrameType, Tunnel as TunnelLabel};
use telemetry::labels::Direction;
use telemetry::qpack::{Form, Half, Source};
use telemetry::{Label as _, ShardMetrics, Share};

use super::handle::Shared;
use crate::meter::Meter;

/// How long counts may wait for those of later turns, so that a turn does not pay for adding them up.
pub(super) const COUNT_AGE: Duration = Duration::from_millis(100);

/// See the module. What it adds to gauges is taken back when it is dropped, however the connection ends.
#[derive(Debug)]
pub(super) struct Count {
    meter: Rc<Meter>,
    /// At a client: where requests wait, and how much room there was when it was last said.
    waiting: Option<(Arc<Shared>, u32)>,
    /// Datagrams that were dropped outside of the machine.
    datagrams_dropped: u64,
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
    /// Of a server, or of a client, whose requests wait in `shared`.
    pub(super) fn new(meter: Rc<Meter>, shared: Arc<Shared>, is_client: bool) -> Self {
        let mut count = Self {
            meter,
            waiting: is_client.then_some((shared, 0)),
            datagrams_dropped: 0,
            encoder: EncoderStats::default(),
            decoder: DecoderStats::default(),
            levels: None,
        };
        count.level_waiting();
        count
    }

    /// So many datagrams went to nobody.
    pub(super) const fn on_datagrams_dropped(&mut self, count: u64) {
        self.datagrams_dropped += count;
    }

    /// Adds everything that was counted since the last time.
    pub(super) fn add_all(&mut self, machine: &mut Connection) {
        if let Some(stats) = machine.take_stats() {
            add(self.meter.metrics(), &stats);
        }
        let dropped = std::mem::take(&mut self.datagrams_dropped);
        self.meter.metrics().http3.datagrams[DatagramFate::Dropped].add(dropped);
        self.level_waiting();
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

    /// The credit of those who make requests.
    fn level_waiting(&mut self) {
        let Some((shared, said)) = &mut self.waiting else { return };
        let free = u32::try_from(shared.free_places()).unwrap_or(u32::MAX);
        let before = std::mem::replace(said, free);
        match free.checked_sub(before) {
            Some(0) => {}
            Some(more) => self.meter.credit_freed(Edge::ApplicationHttp3, more),
            None => self.meter.credit_taken(Edge::ApplicationHttp3, before - free),
        }
        self.meter.edges_full(Edge::ApplicationHttp3, shared.take_full());
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

impl Drop for Count {
    fn drop(&mut self) {
        if let Some((_, said)) = self.waiting.take() {
            self.meter.credit_taken(Edge::ApplicationHttp3, said);
        }
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

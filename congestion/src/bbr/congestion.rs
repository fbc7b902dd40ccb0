//! What losses and marks do to the model, and what takes it back (the draft's "Updating the Model Upon Packet Loss" and "Upon
//! Detecting a Spurious Loss Recovery").

use codec::Time;

use super::model::{INFINITE, scaled};
use super::settings::ONE;
use super::{Bbr, Phase, Sample, flight};
use crate::Observed;
use crate::arithmetic::mul_div;
use crate::window::{MAXIMUM_WINDOW, minimum_window};

/// The best of the last round trip: BBR.bw_latest and BBR.inflight_latest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latest {
    pub(super) bandwidth: u64,
    pub(super) in_flight: u64,
}

impl Latest {
    fn update(&mut self, sample: &Sample) {
        self.bandwidth = self.bandwidth.max(sample.rate);
        self.in_flight = self.in_flight.max(sample.delivered);
    }

    /// AdvanceLatestDeliverySignals(), in a turn that ended a round of losses.
    pub(super) const fn advance(&mut self, sample: &Sample) {
        self.bandwidth = sample.rate;
        self.in_flight = sample.delivered;
    }
}

/// The round trip over which losses are counted; it begins anew with the first loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossRound {
    /// A packet sent since then ends it: BBR.loss_round_delivered.
    began_at: Time,
    /// BBR.is_loss_in_round.
    has_losses: bool,
    counts: RoundOfLosses,
}

/// What a round trip lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundOfLosses {
    pub(super) has_losses: bool,
    /// Bytes acknowledged since the first loss.
    pub(super) delivered: u64,
    /// Bytes lost or marked.
    pub(super) lost: u64,
    /// Of these, bytes marked.
    marked: u64,
    /// Separate ranges that were lost, at most; marks count singly.
    pub(super) ranges: u64,
}

impl RoundOfLosses {
    /// There were marks, but no losses.
    pub(super) const fn is_marked(&self) -> bool {
        self.marked > 0 && self.marked == self.lost
    }

    /// What is left of a volume or rate when the share that was lost or marked is taken from it.
    fn arrived(&self, value: u64) -> u64 {
        mul_div(value, self.delivered, self.delivered.saturating_add(self.lost))
    }

    /// What is left of a volume or rate when what was marked counts as not delivered.
    fn unmarked(&self, value: u64) -> u64 {
        let whole = self.delivered.max(self.marked);
        if self.marked == 0 { value } else { mul_div(value, whole.saturating_sub(self.marked), whole) }
    }
}

impl LossRound {
    pub(super) const fn new(now: Time) -> Self {
        let counts = RoundOfLosses { has_losses: false, delivered: 0, lost: 0, marked: 0, ranges: 0 };
        Self { began_at: now, has_losses: false, counts }
    }
}

/// What a loss changed, while it can be taken back: BBR.undo_state and its companions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Undo {
    /// Whether there is anything to take back.
    is_armed: bool,
    /// The phase that losses ended.
    pub(super) phase: Option<Phase>,
    bw_shortterm: u64,
    inflight_shortterm: u64,
    inflight_longterm: u64,
    window: u64,
    lost_packets: u64,
    spurious_packets: u64,
}

impl Undo {
    /// The phase and the bounds that it would give back.
    #[cfg(test)]
    pub(super) const fn saved(&self) -> (Option<Phase>, u64, u64, u64) {
        (self.phase, self.bw_shortterm, self.inflight_shortterm, self.inflight_longterm)
    }
}

impl Bbr {
    /// Takes in losses and marks: HandleLostPacket() for all of a turn.
    pub(super) fn on_congestion(&mut self, observed: &Observed) {
        // The draft, "ECN": "the congestion controller response MUST treat any CE marks as congestion".
        let marked = observed.ecn_ce.min(observed.acknowledged_packets).saturating_mul(self.datagram());
        let marked = if observed.ecn_ce > 0 { marked.max(self.datagram()) } else { 0 };
        if !observed.has_loss() && marked == 0 {
            return;
        }
        let lost = observed.lost_bytes.saturating_add(marked);
        self.note_loss(observed.now);
        if self.recovery.signal(observed).is_some() {
            // OnEnterFastRecovery().
            self.save_window();
            self.save_state();
            self.recovery.begin(observed.now);
        }
        self.lost = self.lost.saturating_add(lost);
        let counts = &mut self.losses.counts;
        counts.lost = counts.lost.saturating_add(lost);
        counts.marked = counts.marked.saturating_add(marked);
        let ranges = observed.lost_packets.min(observed.acknowledged_packets.saturating_add(1));
        counts.ranges = counts.ranges.saturating_add(ranges).saturating_add(observed.ecn_ce);
        self.undo.lost_packets = self.undo.lost_packets.saturating_add(observed.lost_packets);
        // A mark is never spurious.
        self.undo.is_armed &= marked == 0;
        self.check_probe(observed, lost);
    }

    /// NoteLoss(), but for SaveStateUponLoss().
    const fn note_loss(&mut self, now: Time) {
        if !self.losses.has_losses {
            self.losses = LossRound::new(now);
            self.losses.has_losses = true;
        }
    }

    /// SaveStateUponLoss(), when a recovery period begins. The draft's NoteLoss() does it with each first loss of a round too;
    /// but a probe that ends by losses forgets that there were any, and the next loss of the same flight would overwrite what
    /// is to be given back.
    const fn save_state(&mut self) {
        self.undo = Undo {
            is_armed: true,
            phase: None,
            bw_shortterm: self.bw_shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
            window: self.limits.window,
            lost_packets: 0,
            spurious_packets: 0,
        };
    }

    /// The rest of HandleLostPacket(): whether a probe went too high.
    fn check_probe(&mut self, observed: &Observed, size: u64) {
        if !self.cycle.is_probe_sample {
            return;
        }
        let sent_at = if observed.has_loss() { observed.lost_sent_at() } else { observed.acknowledged_sent_at() };
        let sent = self.flight.at(sent_at);
        let lost = self.lost.saturating_sub(sent.lost);
        let in_flight = self.in_flight_when_sent(observed, sent_at).unwrap_or(sent.in_flight);
        if self.is_inflight_too_high(lost, in_flight) {
            let in_flight = self.inflight_at_loss(in_flight, lost, size);
            self.handle_inflight_too_high(observed.now, in_flight);
            self.note_reduction(observed.now, !observed.has_loss());
        }
    }

    /// What was in flight with a packet that left then, if recovery says it of one that left at about that time.
    fn in_flight_when_sent(&self, observed: &Observed, sent_at: Time) -> Option<u64> {
        let newest = observed.largest_acknowledged_sent_at?;
        let apart = newest.saturating_since(sent_at).max(sent_at.saturating_since(newest));
        let near = self.path.smoothed_rtt()? / flight::PARTS;
        observed.delivery.map(|delivery| delivery.in_flight_when_sent).filter(|known| *known > 0 && apart <= near)
    }

    /// IsInflightTooHigh().
    pub(super) fn is_inflight_too_high(&self, lost: u64, in_flight_when_sent: u64) -> bool {
        lost > scaled(in_flight_when_sent, self.settings.loss_threshold)
    }

    /// InflightAtLoss(): how much was in flight when losses crossed the threshold, in the midst of what was lost together. The
    /// prefix of it that still fitted is no less than nothing and no more than all.
    fn inflight_at_loss(&self, in_flight: u64, lost: u64, size: u64) -> u64 {
        let before = in_flight.saturating_sub(size);
        let lost_before = lost.saturating_sub(size);
        let allowed = scaled(before, self.settings.loss_threshold).saturating_sub(lost_before);
        let prefix = mul_div(allowed, ONE, ONE.saturating_sub(self.settings.loss_threshold));
        before.saturating_add(prefix.min(size))
    }

    /// HandleInflightTooHigh().
    fn handle_inflight_too_high(&mut self, now: Time, in_flight: u64) {
        self.cycle.was_too_high = true;
        self.cycle.is_probe_sample = false;
        // RS.is_app_limited of a lost packet is that of its neighbours.
        if !self.is_application_limited {
            let least = scaled(self.target_inflight(), self.settings.beta);
            self.inflight_longterm = in_flight.max(least).min(MAXIMUM_WINDOW);
        }
        if self.phase == Phase::Up {
            self.undo.phase = Some(Phase::Up);
            self.start_down(now);
        }
    }

    /// UpdateLatestDeliverySignals(). What the round lost, if this turn ended it.
    pub(super) fn update_latest_delivery_signals(&mut self, sample: &Sample) -> Option<RoundOfLosses> {
        self.latest.update(sample);
        let counts = &mut self.losses.counts;
        counts.delivered = counts.delivered.saturating_add(sample.newly_acked);
        let ended = sample.sent_at.is_some_and(|sent_at| sent_at >= self.losses.began_at);
        ended.then(|| {
            let round = RoundOfLosses { has_losses: self.losses.has_losses, ..self.losses.counts };
            self.losses = LossRound::new(sample.now);
            round
        })
    }

    /// UpdateCongestionSignals().
    pub(super) fn update_congestion_signals(&mut self, sample: &Sample, round: Option<&RoundOfLosses>) {
        // UpdateMaxBw().
        if self.rounds.update(sample.now, sample.sent_at) {
            self.cycle.on_round();
            self.begin_round_of_use();
        }
        if sample.rate > 0 && (sample.rate >= self.max_bw.best() || !sample.application_limited) {
            self.max_bw.update(sample.rate);
        }
        // AdaptLowerBoundsFromCongestion().
        if let Some(round) = round
            && round.has_losses
            && !self.phase.is_accelerating()
        {
            self.lower_bounds(sample.now, round, sample.is_held_back);
        }
    }

    /// InitLowerBounds() and LossLowerBounds().
    fn lower_bounds(&mut self, now: Time, round: &RoundOfLosses, is_held_back: bool) {
        if self.bw_shortterm == INFINITE {
            self.bw_shortterm = self.max_bw.best();
        }
        if self.inflight_shortterm == INFINITE {
            self.inflight_shortterm = self.limits.window;
        }
        let (mut bandwidth, mut in_flight) =
            (round.unmarked(self.latest.bandwidth), round.unmarked(self.latest.in_flight));
        if is_held_back {
            // What was delivered is what ProbeRTT let leave. The share that was lost is what the path took of it.
            bandwidth = bandwidth.max(round.arrived(self.bw_shortterm));
            in_flight = in_flight.max(round.arrived(self.inflight_shortterm));
        }
        let beta = self.settings.beta;
        self.bw_shortterm = bandwidth.max(scaled(self.bw_shortterm, beta));
        self.inflight_shortterm = in_flight.max(scaled(self.inflight_shortterm, beta));
        self.note_reduction(now, round.is_marked());
    }

    /// ResetShortTermModel().
    pub(super) const fn reset_short_term_model(&mut self) {
        self.bw_shortterm = INFINITE;
        self.inflight_shortterm = INFINITE;
    }

    /// ResetCongestionSignals().
    pub(super) fn reset_congestion_signals(&mut self) {
        self.losses.has_losses = false;
        self.losses.counts = RoundOfLosses::default();
        self.latest = Latest::default();
    }

    pub(super) const fn note_reduction(&mut self, now: Time, is_marked: bool) {
        self.last_reduction = Some(now);
        if is_marked {
            self.events.ecn_ce = self.events.ecn_ce.saturating_add(1);
        } else {
            self.events.loss = self.events.loss.saturating_add(1);
        }
    }

    /// Ends recovery with the first acknowledgement of a packet sent in it, and gives back the window that it began with; the
    /// model bounds it.
    pub(super) fn end_recovery(&mut self, observed: &Observed) {
        let was_under_way = self.recovery.is_under_way();
        self.recovery.on_acknowledged(observed);
        if was_under_way && !self.recovery.is_under_way() {
            self.restore_window();
        }
    }

    /// OnEnterRTO(), which in QUIC is persistent congestion.
    pub(super) fn collapse(&mut self, observed: &Observed) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.limits.window = minimum_window(self.path.datagram_size());
        // What came through does not speak for the window that did not: only an undo gives it back.
        self.limits.prior_window = 0;
        self.recovery.forget();
        self.last_reduction = Some(observed.now);
        self.events.persistent = self.events.persistent.saturating_add(1);
    }

    /// Counts what arrived after all; once that is all that was lost, HandleSpuriousLossDetection().
    pub(super) fn on_spurious(&mut self, observed: &Observed) {
        let undo = &mut self.undo;
        undo.spurious_packets = undo.spurious_packets.saturating_add(observed.spurious);
        let is_spurious = undo.is_armed && undo.spurious_packets > 0 && undo.spurious_packets >= undo.lost_packets;
        if !is_spurious || observed.has_loss() || observed.ecn_ce > 0 || observed.spurious == 0 {
            return;
        }
        let undo = core::mem::take(&mut self.undo);
        self.limits.window = self.limits.window.max(self.limits.prior_window).max(undo.window);
        self.losses.has_losses = false;
        self.losses.counts = RoundOfLosses::default();
        self.full_pipe.reset(0);
        self.bw_shortterm = self.bw_shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        match undo.phase {
            Some(Phase::Startup) if self.phase != Phase::Startup => {
                self.full_pipe.reached = false;
                if self.phase != Phase::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(Phase::Up) if self.phase != Phase::Up && self.phase != Phase::ProbeRtt => {
                self.start_refill(observed.now);
            }
            _ => {}
        }
        self.events.spurious_undo = self.events.spurious_undo.saturating_add(1);
    }
}

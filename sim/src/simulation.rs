//! [`Simulation`]: a scenario at work.

use std::time::Duration;

use codec::Time;
use congestion::Controller;

use crate::agenda::Agenda;
use crate::bottleneck::Bottleneck;
use crate::chance::Chance;
use crate::flow::{RunningFlow, Turn};
use crate::link::{BEGINNING, moment};
use crate::report::{LinkReport, LinkSample, Report};
use crate::scenario::{MAXIMUM_SAMPLES, Scenario};

/// The place of the link on the agenda; flows follow.
const LINK: usize = 0;

/// A scenario at work, for who wants to look at it in between. [`Scenario::run`] does it all at once.
#[derive(Debug)]
pub struct Simulation {
    now: Time,
    seed: u64,
    bottleneck: Bottleneck,
    flows: Vec<RunningFlow>,
    agenda: Agenda,
    events: u64,
    sample_every: Duration,
    next_sample: Time,
    link_samples: Vec<LinkSample>,
}

impl Simulation {
    /// A scenario before its beginning.
    pub fn new(scenario: &Scenario) -> Self {
        let mut seeds = Chance::new(scenario.seed, 3);
        let flows: Vec<RunningFlow> =
            (0..).zip(&scenario.flows).map(|(index, flow)| RunningFlow::new(index, flow, seeds.next())).collect();
        let samples = u32::try_from(scenario.samples.clamp(1, MAXIMUM_SAMPLES)).unwrap_or(1);
        let mut simulation = Self {
            now: BEGINNING,
            seed: scenario.seed,
            bottleneck: Bottleneck::new(scenario.link.clone(), flows.len(), scenario.seed),
            agenda: Agenda::new(1 + flows.len()),
            flows,
            events: 0,
            sample_every: (scenario.duration / samples).max(Duration::from_nanos(1)),
            next_sample: BEGINNING,
            link_samples: Vec::new(),
        };
        simulation.agenda.set(LINK, simulation.bottleneck.next_at());
        for (index, flow) in simulation.flows.iter().enumerate() {
            simulation.agenda.set(1 + index, flow.next_at());
        }
        simulation
    }

    /// Runs on until so long after the beginning.
    pub fn run_until(&mut self, until: Duration) {
        self.run_until_hearing(until, &mut |_| {});
    }

    /// Runs on until so long after the beginning, and tells of every turn in which a controller was told something.
    pub fn run_until_hearing(&mut self, until: Duration, hear: &mut dyn FnMut(&Turn<'_>)) {
        let until = moment(until);
        loop {
            let (party, at) = self.agenda.first();
            while self.next_sample <= at.min(until) {
                self.sample();
            }
            if at > until || at == Time::MAX {
                self.now = self.now.max(until);
                return;
            }
            // A timer may have been due before it was known of.
            let at = at.max(self.now);
            self.now = at;
            self.events += 1;
            if party == LINK {
                self.act_link();
            } else {
                let place = party - 1;
                if let Some(flow) = self.flows.get_mut(place) {
                    flow.act(at, &mut self.bottleneck, hear);
                    self.agenda.set(party, flow.next_at());
                }
                self.agenda.set(LINK, self.bottleneck.next_at());
            }
        }
    }

    /// How long it has been running.
    pub const fn elapsed(&self) -> Duration {
        self.now.saturating_since(BEGINNING)
    }

    /// The controller of a flow.
    pub fn controller(&self, flow: usize) -> Option<&dyn Controller> {
        self.flows.get(flow).map(RunningFlow::controller)
    }

    /// Bytes of a flow that arrived for the first time so far.
    pub fn delivered_bytes(&self, flow: usize) -> u64 {
        self.flows.get(flow).map_or(0, RunningFlow::delivered_bytes)
    }

    /// Bytes of a flow that are in flight.
    pub fn bytes_in_flight(&self, flow: usize) -> u64 {
        self.flows.get(flow).map_or(0, RunningFlow::bytes_in_flight)
    }

    /// Bytes that wait before the link.
    pub fn queued_bytes(&self) -> u64 {
        self.bottleneck.queued_bytes()
    }

    /// What came of it so far.
    pub fn report(&mut self) -> Report {
        let [classic_wait, low_latency_wait] = self.bottleneck.waits.clone();
        Report {
            duration: self.elapsed(),
            seed: self.seed,
            flows: self.flows.iter().map(|flow| flow.report(self.now, &self.bottleneck)).collect(),
            link: LinkReport {
                sent_bytes: self.bottleneck.sent_bytes,
                offered_bytes: self.bottleneck.offered_bytes(self.now),
                most_queued: self.bottleneck.most_queued,
                classic_wait,
                low_latency_wait,
                samples: self.link_samples.clone(),
            },
            events: self.events,
        }
    }

    fn act_link(&mut self) {
        let now = self.now;
        if let Some(departed) = self.bottleneck.act(now) {
            let reorders = self.bottleneck.link().reorders;
            let place = departed.packet.flow as usize;
            if let Some(flow) = self.flows.get_mut(place) {
                flow.on_departed(now, departed, reorders);
                self.agenda.set(1 + place, flow.next_at());
            }
        }
        self.agenda.set(LINK, self.bottleneck.next_at());
    }

    fn sample(&mut self) {
        let at = self.next_sample;
        self.next_sample = at + self.sample_every;
        if self.link_samples.len() > MAXIMUM_SAMPLES {
            return;
        }
        for flow in &mut self.flows {
            flow.sample(at);
        }
        self.link_samples.push(LinkSample {
            at: at.saturating_since(BEGINNING),
            queued_bytes: self.bottleneck.queued_bytes(),
            rate: self.bottleneck.link().rate,
            sent_bytes: self.bottleneck.sent_bytes,
            offered_bytes: self.bottleneck.offered_bytes(at),
        });
    }
}

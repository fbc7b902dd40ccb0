//! How a connection gets another congestion controller: orders of handles, rules of the endpoint, failures.

use actix::{Actor as _, AsyncContext as _, Context, Handler};
use codec::Time;
use congestion::{Order, Trigger};
use telemetry::actor::ActorType;
use tokio::sync::oneshot;

use super::ConnectionActor;
use super::messages::{ApplyRules, ControllerGaveWay, GaveWay, ReportCongestion, SetCongestion, Successor};
use crate::api::congestion::SetCongestionError;
use crate::clock;
use crate::congestion::messages::{GiveWay, NewPath, Observed, Report, SetShadow};
use crate::congestion::{CongestionActor, Neighbours, Seat};
use crate::down::Stop;

/// Another controller was ordered and has not taken over yet.
#[derive(Debug)]
pub(super) struct Switch {
    /// Who waits for it; nobody for a rule.
    pub(super) reply: Option<oneshot::Sender<Result<congestion::Change, SetCongestionError>>>,
    order: Box<Order>,
    since: Time,
}

impl Switch {
    pub(super) fn refuse(self, error: SetCongestionError) {
        if let Some(reply) = self.reply {
            let _caller_gone = reply.send(Err(error));
        }
    }
}

impl ConnectionActor {
    pub(super) fn start_congestion(&mut self, context: &mut Context<Self>, seat: Seat) {
        self.path += 1;
        let address = context.address();
        let neighbours = Neighbours { window: address.clone().recipient(), gave_way: address.recipient() };
        let actor = CongestionActor::new(self.path, seat, neighbours, self.stage.meter.clone());
        if let Some(before) = self.congestion.replace(actor.start()) {
            before.do_send(Stop);
        }
    }

    /// The path is another one, of which nothing is known.
    pub(super) fn restart_congestion(&mut self, context: &mut Context<Self>) {
        let mut fresh = None;
        self.feed(context, |state| fresh = Some(state.machine.fresh_controller()));
        if let (Some(controller), Some(congestion)) = (fresh, &self.congestion) {
            self.path += 1;
            self.stage.meter.sent(ActorType::Congestion);
            congestion.do_send(NewPath { path: self.path, controller });
        }
    }

    fn switch(&mut self, switch: Switch) {
        let open = self.state.get().is_some_and(|state| state.machine.state().is_open());
        let refusal = match &self.congestion {
            Some(congestion) if open && self.switch.is_none() => {
                self.stage.meter.sent(ActorType::Congestion);
                congestion.do_send(GiveWay(switch.order.clone()));
                self.switch = Some(switch);
                return;
            }
            Some(_) if open => SetCongestionError::Busy,
            _ => SetCongestionError::Closed,
        };
        self.refuse(switch, refusal);
    }

    fn refuse(&self, switch: Switch, refusal: SetCongestionError) {
        if let Some(state) = self.state.get() {
            state.count.switch_refused(refusal);
        }
        switch.refuse(refusal);
    }

    /// Asks the endpoint's rules which controller this connection should have, and orders it if it is another.
    pub(super) fn apply_rules(&mut self) {
        if self.chosen {
            return;
        }
        if self.switch.is_some() {
            self.apply_rules_later = true;
            return;
        }
        let Some(state) = self.state.get() else { return };
        let rules = self.stage.policy.rules();
        let (_, algorithm) = rules.choose(&state.machine.congestion_facts());
        if algorithm != state.machine.algorithm() {
            let order = Box::new(Order { algorithm, trial: None, trigger: Trigger::Config });
            self.switch(Switch { reply: None, order, since: clock::now() });
        }
    }

    /// The successor goes on; `afresh` if the path changed before it could.
    fn take_over(&mut self, context: &mut Context<Self>, successor: Successor, afresh: bool) {
        let Successor { mut seat, change } = successor;
        let now = clock::now();
        // What a trial or a panic ended is not what was ordered; that order is still under way, or will be refused.
        let ordered = !matches!(change.trigger, Trigger::Rollback | Trigger::Panic);
        let switch = if ordered { self.switch.take() } else { None };
        self.chosen = change.trigger.leaves_choice(self.chosen);
        let waited = switch.as_ref().map(|switch| now.saturating_since(switch.since));
        self.feed(context, |state| {
            state.machine.handle_successor(now, change.to, seat.controller.as_ref());
            if afresh {
                seat.controller = state.machine.fresh_controller();
                state.machine.handle_window(now, seat.controller.window());
            }
            state.count.switched(&change, waited);
        });
        tracing::info!(
            connection = self.port.id(),
            from = %change.from,
            to = %change.to,
            trigger = change.trigger.name(),
            window_before = change.window_before,
            window_after = change.window_after,
            goodput_before = change.before.goodput,
            loss_before = change.before.loss_rate,
            rtt_before = ?change.before.smoothed_rtt,
            on_trial = change.on_trial,
            "another congestion controller took over"
        );
        self.start_congestion(context, seat);
        if let Some(reply) = switch.and_then(|switch| switch.reply) {
            let _caller_gone = reply.send(Ok(change));
        }
        if let (Some(switch), Some(congestion)) = (&self.switch, &self.congestion) {
            self.stage.meter.sent(ActorType::Congestion);
            congestion.do_send(GiveWay(switch.order.clone()));
        }
        self.look_at_rules_again();
    }

    /// No switch is under way any more: what was to wait for it is done.
    fn look_at_rules_again(&mut self) {
        if self.switch.is_none() && std::mem::take(&mut self.apply_rules_later) {
            self.apply_rules();
        }
    }
}

impl Handler<SetCongestion> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, SetCongestion { order, reply }: SetCongestion, _: &mut Context<Self>) {
        self.switch(Switch { reply: Some(reply), order, since: clock::now() });
        self.turn.open();
    }
}

impl Handler<ApplyRules> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, order: ApplyRules, _: &mut Context<Self>) {
        self.chosen &= !order.clear_choice;
        self.apply_rules();
        self.turn.open();
    }
}

impl Handler<SetShadow> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, order: SetShadow, _: &mut Context<Self>) {
        if let Some(congestion) = &self.congestion {
            self.stage.meter.sent(ActorType::Congestion);
            congestion.do_send(order);
        }
    }
}

impl Handler<ReportCongestion> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, order: ReportCongestion, _: &mut Context<Self>) {
        if let Some(congestion) = &self.congestion {
            self.stage.meter.sent(ActorType::Congestion);
            congestion.do_send(Report { is_chosen: self.chosen, reply: order.reply });
        }
    }
}

impl Handler<ControllerGaveWay> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: ControllerGaveWay, context: &mut Context<Self>) {
        match message.what {
            GaveWay::Successor(successor) => self.take_over(context, *successor, message.path != self.path),
            // Whatever path it was started for: it answers the one switch that is under way.
            GaveWay::Refused => {
                if let Some(switch) = self.switch.take() {
                    self.refuse(switch, SetCongestionError::Failed);
                }
                self.look_at_rules_again();
            }
            // From the keeper before this one: what came to it too late.
            GaveWay::Unheard(observed) if message.path + 1 == self.path => {
                if let Some(congestion) = &self.congestion {
                    self.stage.meter.sent(ActorType::Congestion);
                    congestion.do_send(Observed(observed));
                }
            }
            GaveWay::Shadow(algorithm) => {
                if let Some(congestion) = &self.congestion {
                    self.stage.meter.sent(ActorType::Congestion);
                    congestion.do_send(SetShadow(algorithm));
                }
            }
            GaveWay::Unheard(_) => {}
        }
    }
}

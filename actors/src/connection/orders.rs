//! [`ConnectionOrders`]: what handles may tell a connection's actor, and nothing else.

use actix::Addr;
use bytes::Bytes;

use super::ConnectionActor;
use super::messages::{
    ApplyRules, CloseConnection, ReportCongestion, RunTask, SendDatagram, SetCongestion, UpdateKeys,
};
use crate::congestion::messages::SetShadow;

/// The narrow way to a connection for the application's handles.
///
/// It stands for a recipient of each of these messages, at the price of one: every recipient is two allocations, which an
/// idle connection would carry along.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionOrders(Addr<ConnectionActor>);

impl ConnectionOrders {
    pub(super) const fn new(actor: Addr<ConnectionActor>) -> Self {
        Self(actor)
    }

    pub(crate) fn close(&self, code: u64, reason: Bytes) {
        self.0.do_send(CloseConnection { code, reason, when_idle: false });
    }

    /// Closes it with code 0, when everything that was finished is acknowledged.
    pub(crate) fn close_when_idle(&self) {
        self.0.do_send(CloseConnection { code: 0, reason: Bytes::new(), when_idle: true });
    }

    pub(crate) fn set_congestion(&self, order: SetCongestion) {
        self.0.do_send(order);
    }

    pub(crate) fn apply_rules(&self, order: ApplyRules) {
        self.0.do_send(order);
    }

    pub(crate) fn set_shadow(&self, order: SetShadow) {
        self.0.do_send(order);
    }

    pub(crate) fn report_congestion(&self, order: ReportCongestion) {
        self.0.do_send(order);
    }

    pub(crate) fn send_datagram(&self, data: Bytes) {
        self.0.do_send(SendDatagram { data });
    }

    pub(crate) fn update_keys(&self, order: UpdateKeys) {
        self.0.do_send(order);
    }

    pub(crate) fn run(&self, task: RunTask) {
        self.0.do_send(task);
    }
}

//! The tickets with which a client resumes sessions.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use tls::pki_types::ServerName;
use tokio::sync::Notify;

/// As many as are kept: a server forgets old ones, too.
const KEPT: usize = 1024;

/// Tickets of one server, each used once, the latest first. It can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    tickets: VecDeque<Tls13ClientSessionValue>,
    group: Option<NamedGroup>,
}

impl Tickets {
    /// Waits until there are so many.
    pub(crate) async fn at_least(&self, wanted: usize) {
        loop {
            let arrived = self.arrived.notified();
            if self.with(|state| state.tickets.len()) >= wanted {
                return;
            }
            arrived.await;
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.with(|state| state.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(|state| state.group)
    }

    // QUIC has TLS 1.3 only.
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.with(|state| {
            state.tickets.push_back(ticket);
            if state.tickets.len() > KEPT {
                state.tickets.pop_front();
            }
        });
        self.arrived.notify_waiters();
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(|state| state.tickets.pop_back())
    }
}

//! [`Directory`]: what the threads of an endpoint share: who is connected, who knocks, and whether it is over.
//!
//! Nothing here is on the way of the bytes: it is touched when a connection begins or ends, and when somebody asks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use transport::output::CloseReason;

use crate::api::incoming::Incoming;
use crate::config::KEPT_TOKENS;
use crate::port::ConnectionPort;

/// To whom a token may be shown again: who was asked for, and on which port.
pub(crate) type ServerKey = (String, u16);

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Directory {
    ports: DashMap<u64, Entry>,
    last: AtomicU64,
    state: Mutex<State>,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Entry {
    port: Arc<ConnectionPort>,
    /// Whose client it is.
    server: Option<ServerKey>,
}

#[derive(Debug, Default)]
struct State {
    incoming: VecDeque<Incoming>,
    acceptors: Vec<Waker>,
    /// Who waits for the last connection's end, or for the end of everything.
    watchers: Vec<Waker>,
    /// No attempt is offered any more, and no connection begins.
    closed: bool,
    /// No actor is left.
    gone: bool,
}

impl Directory {
    /// A number for a connection, never used again in this process' endpoint.
    pub(crate) fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    // ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn add(&self, port: Arc<ConnectionPort>, server: Option<ServerKey>) {
        if let Some(server) = &server {
            self.tokens.lock().add_client(server, port.id());
        }
        self.ports.insert(port.id(), Entry { port, server });
    }

    /// A connection is over and forgotten.
    pub(crate) fn remove(&self, id: u64) {
        let removed = self.ports.remove(&id);
        if let Some((_, Entry { port, server: Some(server) })) = removed {
            let mut tokens = self.tokens.lock();
            tokens.remove_client(&server, id);
            if let Some(token) = port.take_token() {
                tokens.keep(server, token);
            }
        }
        if self.ports.is_empty() {
            self.wake_watchers();
        }
    }

    pub(crate) fn connections(&self) -> Vec<Arc<ConnectionPort>> {
        let mut ports: Vec<_> = self.ports.iter().map(|entry| Arc::clone(&entry.port)).collect();
        ports.sort_unstable_by_key(|port| port.id());
        ports
    }

    pub(crate) fn connection(&self, id: u64) -> Option<Arc<ConnectionPort>> {
        self.ports.get(&id).map(|entry| Arc::clone(&entry.port))
    }

    /// Closes all connections with the application's code.
    pub(crate) fn close_connections(&self, code: u64, reason: &Bytes) {
        for port in self.connections() {
            if let Some(orders) = port.orders() {
                orders.connection.close(code, reason.clone());
            }
        }
    }

    /// Ready while there is no connection.
    pub(crate) fn poll_idle(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(context, |state| state.gone || self.ports.is_empty())
    }

    // ── Attempts ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Offers an attempt to the application. If nobody will ever accept it, it is dropped, which refuses it.
    pub(crate) fn offer(&self, incoming: Incoming) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(incoming);
            return;
        }
        state.incoming.push_back(incoming);
        let wakers = std::mem::take(&mut state.acceptors);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The next attempt, or `None` once there will be no more.
    pub(crate) fn poll_accept(&self, context: &Context<'_>) -> Poll<Option<Incoming>> {
        let mut state = self.state.lock();
        if let Some(incoming) = state.incoming.pop_front() {
            return Poll::Ready(Some(incoming));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        watch(&mut state.acceptors, context);
        Poll::Pending
    }

    /// From now on nothing begins.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let incoming = std::mem::take(&mut state.incoming);
        let wakers = std::mem::take(&mut state.acceptors);
        drop(state);
        drop(incoming);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    // ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The actors are gone. Connections that are left over end now.
    pub(crate) fn end(&self) {
        self.close();
        for port in self.connections() {
            port.end(CloseReason::Internal);
            port.disconnect();
            self.ports.remove(&port.id());
        }
        self.state.lock().gone = true;
        self.wake_watchers();
    }

    /// Ready once the actors are gone.
    pub(crate) fn poll_gone(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(context, |state| state.gone)
    }

    fn poll(&self, context: &Context<'_>, is_ready: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.state.lock();
        if is_ready(&state) {
            return Poll::Ready(());
        }
        watch(&mut state.watchers, context);
        drop(state);
        // The last connection may have gone between the look and the watching.
        if is_ready(&self.state.lock()) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn wake_watchers(&self) {
        let wakers = std::mem::take(&mut self.state.lock().watchers);
        wakers.into_iter().for_each(Waker::wake);
    }

    // ── Tokens for later connections ─────────────────────────────────────────────────────────────────────────────

    /// A token that this server gave to an earlier connection, to be used once.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3
    //# A client SHOULD NOT reuse a token from a NEW_TOKEN frame for different
    //# connection attempts.
    pub(crate) fn take_token(&self, server: &ServerKey) -> Option<Bytes> {
        let mut tokens = self.tokens.lock();
        let kept = tokens.take(server);
        let newest = if kept.is_some() { VecDeque::new() } else { tokens.clients(server) };
        drop(tokens);
        kept.or_else(|| newest.iter().rev().find_map(|id| self.connection(*id)?.take_token()))
    }
}

/// Tokens by server, the oldest forgotten first.
#[derive(Debug, Default)]
struct Tokens {
    // Names that the application chose, so no stranger can make them collide; SipHash all the same, as it is rare.
    kept: HashMap<ServerKey, Bytes>,
    order: VecDeque<ServerKey>,
    /// The newest connections to each server, who may have been given tokens that are not kept here yet.
    clients: HashMap<ServerKey, VecDeque<u64>>,
}

/// Connections to a server that are asked for tokens: with many of them, asking all would make each new one dearer.
const ASKED_CLIENTS: usize = 8;

impl Tokens {
    fn keep(&mut self, server: ServerKey, token: Bytes) {
        if self.kept.insert(server.clone(), token).is_none() {
            self.order.push_back(server);
        }
        while self.order.len() > KEPT_TOKENS {
            if let Some(oldest) = self.order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
    }

    fn add_client(&mut self, server: &ServerKey, id: u64) {
        let clients = self.clients.entry(server.clone()).or_default();
        clients.push_back(id);
        if clients.len() > ASKED_CLIENTS {
            clients.pop_front();
        }
    }

    fn remove_client(&mut self, server: &ServerKey, id: u64) {
        if let Some(clients) = self.clients.get_mut(server) {
            clients.retain(|known| *known != id);
            if clients.is_empty() {
                self.clients.remove(server);
            }
        }
    }

    fn clients(&self, server: &ServerKey) -> VecDeque<u64> {
        self.clients.get(server).cloned().unwrap_or_default()
    }

    fn take(&mut self, server: &ServerKey) -> Option<Bytes> {
        let token = self.kept.remove(server)?;
        self.order.retain(|known| known != server);
        Some(token)
    }
}

fn watch(wakers: &mut Vec<Waker>, context: &Context<'_>) {
    let waker = context.waker();
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use codec::Side;

    use super::*;
    use crate::port::Facts;

    fn port(directory: &Directory) -> Arc<ConnectionPort> {
        let remote = SocketAddr::from(([127, 0, 0, 1], 4433));
        ConnectionPort::new(
            Side::Client,
            directory.next_id(),
            Facts::new(remote, "cubic"),
            &transport::Config::default(),
        )
    }

    #[test]
    fn it_is_idle_when_the_last_connection_is_gone() {
        let directory = Directory::default();
        let context = Context::from_waker(Waker::noop());
        assert!(directory.poll_idle(&context).is_ready());
        let ports = [port(&directory), port(&directory)];
        for port in &ports {
            directory.add(port.clone(), None);
        }
        assert_eq!(directory.connections().iter().map(|port| port.id()).collect::<Vec<_>>(), [1, 2]);
        assert!(directory.poll_idle(&context).is_pending());
        directory.remove(1);
        assert!(directory.poll_idle(&context).is_pending());
        directory.remove(2);
        assert!(directory.poll_idle(&context).is_ready());
    }

    #[test]
    fn a_token_is_shown_once_and_only_to_the_server_that_gave_it() {
        let directory = Directory::default();
        let (server, other) = (("example.org".to_owned(), 443), ("example.org".to_owned(), 444));
        let first = port(&directory);
        first.keep_token(Bytes::from_static(b"one"));
        directory.add(first.clone(), Some(server.clone()));
        assert_eq!(directory.take_token(&other), None);
        assert_eq!(directory.take_token(&server).as_deref(), Some(&b"one"[..]), "of a connection that is alive");
        first.keep_token(Bytes::from_static(b"two"));
        directory.remove(first.id());
        assert_eq!(directory.take_token(&server).as_deref(), Some(&b"two"[..]));
        assert_eq!(directory.take_token(&server), None);
    }

    #[test]
    fn tokens_are_bounded_and_the_oldest_goes_first() {
        let mut tokens = Tokens::default();
        for number in 0..=KEPT_TOKENS {
            tokens.keep((number.to_string(), 443), Bytes::from_static(b"t"));
        }
        assert_eq!(tokens.kept.len(), KEPT_TOKENS);
        assert!(tokens.take(&("0".to_owned(), 443)).is_none());
        assert!(tokens.take(&("1".to_owned(), 443)).is_some());
    }

    #[test]
    fn the_end_ends_what_is_left() {
        let directory = Directory::default();
        let context = Context::from_waker(Waker::noop());
        let left = port(&directory);
        directory.add(left.clone(), None);
        assert!(directory.poll_gone(&context).is_pending() && directory.poll_accept(&context).is_pending());
        directory.end();
        assert!(directory.poll_gone(&context).is_ready() && directory.poll_idle(&context).is_ready());
        assert!(matches!(directory.poll_accept(&context), Poll::Ready(None)));
        assert_eq!(left.close_reason(), Some(CloseReason::Internal));
    }
}

//! [`Connection`]: what an application holds of a QUIC connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use codec::Direction;
use congestion::{Algorithm, Change, Order};
use tokio::sync::oneshot;
use transport::connection::HandshakeData;
use transport::output::CloseReason;
use transport::stats::Stats;

use super::congestion::{CongestionReport, SetCongestionError};
use super::recv_stream::RecvStream;
use super::send_stream::SendStream;
use crate::congestion::messages::SetShadow;
use crate::connection::messages::{ApplyRules, ReportCongestion, RunTask, SetCongestion, UpdateKeys};
use crate::meter::Meter;
use crate::port::{ConnectionPort, StreamPort};

/// A QUIC connection.
///
/// Cheap to clone; works from any thread and any runtime. With the last handle (streams count) the connection is closed
/// with code 0, as soon as everything that was finished is acknowledged: dropping a handle loses no finished data.
#[derive(Debug)]
pub struct Connection {
    port: Arc<ConnectionPort>,
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        Self::new(self.port.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.port.drop_handle();
    }
}

impl Connection {
    pub(crate) fn new(port: Arc<ConnectionPort>) -> Self {
        port.add_handle();
        Self { port }
    }

    /// Opens a bidirectional stream. Waits while the peer permits no more of them (RFC 9000 §4.6); the peer hears of the
    /// stream with the first bytes or the end that are sent on it.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), CloseReason> {
        let port = poll_fn(|context| self.port.poll_open(context, Direction::Bidirectional)).await?;
        Ok((SendStream::new(port.clone()), RecvStream::new(port)))
    }

    /// Opens a unidirectional stream. Waits while the peer permits no more of them.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over.
    pub async fn open_uni(&self) -> Result<SendStream, CloseReason> {
        let port = poll_fn(|context| self.port.poll_open(context, Direction::Unidirectional)).await?;
        Ok(SendStream::new(port))
    }

    /// The next bidirectional stream that the peer opened, in the order of their numbers.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over and all of them were accepted.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), CloseReason> {
        let port = poll_fn(|context| self.port.poll_accept(context, Direction::Bidirectional)).await?;
        Ok((SendStream::new(port.clone()), RecvStream::new(port)))
    }

    /// The next unidirectional stream that the peer opened, in the order of their numbers.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over and all of them were accepted.
    pub async fn accept_uni(&self) -> Result<RecvStream, CloseReason> {
        let port = poll_fn(|context| self.port.poll_accept(context, Direction::Unidirectional)).await?;
        Ok(RecvStream::new(port))
    }

    /// As [`open_bi`](Self::open_bi), for who writes futures by hand.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over.
    pub fn poll_open_bi(&self, context: &mut Context<'_>) -> Poll<Result<(SendStream, RecvStream), CloseReason>> {
        let port = ready!(self.port.poll_open(context, Direction::Bidirectional))?;
        Poll::Ready(Ok((SendStream::new(port.clone()), RecvStream::new(port))))
    }

    /// As [`open_uni`](Self::open_uni).
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over.
    pub fn poll_open_uni(&self, context: &mut Context<'_>) -> Poll<Result<SendStream, CloseReason>> {
        let port = ready!(self.port.poll_open(context, Direction::Unidirectional))?;
        Poll::Ready(Ok(SendStream::new(port)))
    }

    /// As [`accept_bi`](Self::accept_bi).
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over and all of them were accepted.
    pub fn poll_accept_bi(&self, context: &mut Context<'_>) -> Poll<Result<(SendStream, RecvStream), CloseReason>> {
        let port = ready!(self.port.poll_accept(context, Direction::Bidirectional))?;
        Poll::Ready(Ok((SendStream::new(port.clone()), RecvStream::new(port))))
    }

    /// As [`accept_uni`](Self::accept_uni).
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over and all of them were accepted.
    pub fn poll_accept_uni(&self, context: &mut Context<'_>) -> Poll<Result<RecvStream, CloseReason>> {
        let port = ready!(self.port.poll_accept(context, Direction::Unidirectional))?;
        Poll::Ready(Ok(RecvStream::new(port)))
    }

    /// Closes the connection at once. `code` is the application's own, below 2^62; of `reason` at most 512 bytes travel.
    /// What was not acknowledged may never arrive: to be sure, await [`SendStream::finish`] first.
    pub fn close(&self, code: u64, reason: &[u8]) {
        let code = code.min(codec::VarInt::MAX.into_inner());
        if let Some(orders) = self.port.orders() {
            let reason = Bytes::copy_from_slice(reason);
            orders.connection.close(code, reason);
        }
    }

    /// Waits for the end of the connection and says why it ended.
    pub async fn closed(&self) -> CloseReason {
        poll_fn(|context| self.port.poll_closed(context)).await
    }

    /// Why the connection ended, if it did.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.port.close_reason()
    }

    /// Numbers about the connection, at most a tenth of a second old while anything happens on it.
    pub fn stats(&self) -> ConnectionInfo {
        ConnectionInfo::of(&self.port)
    }

    /// The peer's current address.
    pub fn remote_address(&self) -> SocketAddr {
        self.port.facts().remote
    }

    /// The smoothed round-trip time.
    pub fn rtt(&self) -> Duration {
        self.port.facts().smoothed_rtt
    }

    /// The application protocol that was agreed on; empty if there is none.
    pub fn alpn(&self) -> Vec<u8> {
        self.port.handshake().and_then(|data| data.alpn.clone()).unwrap_or_default()
    }

    /// What else the handshake agreed on. `None` before it is complete.
    pub fn handshake_data(&self) -> Option<Arc<HandshakeData>> {
        self.port.handshake()
    }

    /// The number of the connection in this process: what the admin interface and logs call it.
    pub fn stable_id(&self) -> u64 {
        self.port.id()
    }

    /// Goes on with another congestion controller, which starts from what the one before knew of the path. Nothing is
    /// lost, and the window does not grow by it. With a trial, the one before comes back if the new one does worse.
    ///
    /// A choice made here holds against the endpoint's [rules](crate::Endpoint::set_congestion_rules) until
    /// [`clear_congestion_choice`](Self::clear_congestion_choice).
    ///
    /// # Errors
    /// [`SetCongestionError`] if the connection is over, another change is under way, or the new controller panics.
    pub async fn set_congestion(&self, order: impl Into<Order> + Send) -> Result<Change, SetCongestionError> {
        let orders = self.port.orders().ok_or(SetCongestionError::Closed)?;
        let (reply, answer) = oneshot::channel();
        orders.connection.set_congestion(SetCongestion { order: Box::new(order.into()), reply });
        answer.await.unwrap_or(Err(SetCongestionError::Closed))
    }

    /// From now on the endpoint's rules say again which controller the connection has.
    pub fn clear_congestion_choice(&self) {
        if let Some(orders) = self.port.orders() {
            orders.connection.apply_rules(ApplyRules { clear_choice: true });
        }
    }

    /// Has a controller watch: it hears what the real one hears and only says what it would do
    /// ([`CongestionReport::shadow`]). `None` ends it. It is told anew when the path changes.
    pub fn set_shadow_congestion(&self, algorithm: Option<Algorithm>) {
        if let Some(orders) = self.port.orders() {
            orders.connection.set_shadow(SetShadow(algorithm.map(Box::new)));
        }
    }

    /// How things are with the congestion controller: which one, how it does, and the last changes. `None` if the connection
    /// is over or just then another takes over.
    pub async fn congestion(&self) -> Option<CongestionReport> {
        let orders = self.port.orders()?;
        let (reply, answer) = oneshot::channel();
        orders.connection.report_congestion(ReportCongestion { reply });
        answer.await.ok()
    }

    /// Begins a key update (RFC 9001 §6).
    ///
    /// # Errors
    /// Why it cannot begin now: the handshake is not confirmed, or the last update is not acknowledged.
    pub async fn force_key_update(&self) -> Result<(), tls::KeyUpdateError> {
        let orders = self.port.orders().ok_or(tls::KeyUpdateError::KeysUnavailable)?;
        let (reply, answer) = oneshot::channel();
        orders.connection.update_keys(UpdateKeys { reply });
        answer.await.unwrap_or(Err(tls::KeyUpdateError::KeysUnavailable))
    }

    /// Runs a task on the thread that the connection lives on, and waits for what it returns: no hop between threads for the
    /// connection's bytes, as for a [service](crate::EndpointBuilder::service). The task must not block. It goes on when
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// [`RunError`] if the connection was over already, or the task did not come to its end.
    pub async fn run_on_shard<F, S, T>(&self, task: F) -> Result<T, RunError>
    where
        F: FnOnce(Self) -> S + Send + 'static,
        S: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let orders = self.port.orders().ok_or(RunError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let connection = self.clone();
        let start = move |_: &Rc<Meter>| {
            actix::spawn(async move {
                let _nobody_waits = reply.send(task(connection).await);
            });
        };
        orders.connection.run(RunTask(Box::new(start)));
        answer.await.map_err(|_| RunError::Ended)
    }

    /// Runs `start` on the thread that the connection lives on.
    #[cfg(feature = "http3")]
    pub(crate) fn start_on_shard(&self, start: impl FnOnce(&Rc<Meter>) + Send + 'static) -> Result<(), RunError> {
        self.port.orders().ok_or(RunError::Closed)?.connection.run(RunTask(Box::new(start)));
        Ok(())
    }

    /// Opens a stream as soon as the peer permits.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_open(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<Result<Arc<StreamPort>, CloseReason>> {
        self.port.poll_open(context, direction)
    }

    /// As [`SendStream::set_priority`](super::send_stream::SendStream::set_priority), of a stream that was opened and
    /// whose handle is gone.
    #[cfg(feature = "http3")]
    pub(crate) fn set_stream_priority(&self, id: codec::StreamId, urgency: u8, incremental: bool) {
        self.port.set_priority(id, transport::stream::Priority::new(urgency, incremental));
    }

    /// The next stream that the peer opened.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_accept(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<Result<Arc<StreamPort>, CloseReason>> {
        self.port.poll_accept(context, direction)
    }

    /// The next received datagram.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_datagram(&self, context: &mut Context<'_>) -> Poll<Result<Bytes, CloseReason>> {
        self.port.poll_datagram(context)
    }

    /// The end of the connection.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<CloseReason> {
        self.port.poll_closed(context)
    }

    /// Sends an unreliable datagram (RFC 9221). When too many wait to be sent, the oldest is dropped.
    ///
    /// # Errors
    /// [`SendDatagramError`] if the peer takes none, or none that large, or the connection is over.
    pub fn send_datagram(&self, data: Bytes) -> Result<(), SendDatagramError> {
        let orders = self.port.orders().ok_or(SendDatagramError::Closed)?;
        let maximum = self.max_datagram_size().ok_or(SendDatagramError::Unsupported)?;
        if data.len() > maximum {
            return Err(SendDatagramError::TooLarge { maximum });
        }
        orders.connection.send_datagram(data);
        Ok(())
    }

    /// The next received datagram. When too many wait to be read, the oldest is dropped.
    ///
    /// # Errors
    /// [`CloseReason`] once the connection is over.
    pub async fn read_datagram(&self) -> Result<Bytes, CloseReason> {
        poll_fn(|context| self.port.poll_datagram(context)).await
    }

    /// The most bytes that a datagram may carry now; `None` if the peer takes none, or is not known yet.
    pub fn max_datagram_size(&self) -> Option<usize> {
        self.port.facts().max_datagram
    }
}

/// Why a datagram was not sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendDatagramError {
    /// The peer does not accept DATAGRAM frames, or its parameters are not known yet.
    #[error("the peer does not accept datagrams (RFC 9221 section 3)")]
    Unsupported,
    /// It would not fit.
    #[error("the datagram is too large: at most {maximum} bytes fit")]
    TooLarge {
        /// What would fit, in bytes.
        maximum: usize,
    },
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

/// Why a task on a connection's thread gave no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RunError {
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
    /// It panicked, or the endpoint's thread ended first.
    #[error("the task ended without a result: it panicked, or its endpoint was shut down")]
    Ended,
}

/// Totals since the connection began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectionStats {
    /// UDP payload bytes sent.
    pub bytes_sent: u64,
    /// UDP payload bytes received.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost that had arrived.
    pub spurious_losses: u64,
    /// Stream bytes that the peer acknowledged.
    pub stream_bytes_acknowledged: u64,
    /// Stream bytes that the application here consumed.
    pub stream_bytes_consumed: u64,
    /// Stream bytes sent again.
    pub stream_bytes_retransmitted: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Key updates of either side.
    pub key_updates: u64,
    /// Times the peer's address changed.
    pub migrations: u64,
}

impl ConnectionStats {
    pub(crate) fn add(&mut self, stats: &Stats) {
        self.bytes_sent += stats.bytes_sent;
        self.bytes_received += stats.bytes_received;
        self.datagrams_sent += stats.datagrams_sent;
        self.datagrams_received += stats.datagrams_received;
        self.packets_sent += stats.packets_sent.iter().sum::<u64>();
        self.packets_received += stats.packets_received.iter().sum::<u64>();
        let lost = stats.packets_lost_by_packet_threshold.iter().chain(&stats.packets_lost_by_time_threshold);
        self.packets_lost += lost.sum::<u64>();
        self.spurious_losses += stats.spurious_losses;
        self.stream_bytes_acknowledged += stats.streams.bytes_acknowledged;
        self.stream_bytes_consumed += stats.streams.bytes_consumed;
        self.stream_bytes_retransmitted += stats.streams.bytes_retransmitted;
        self.probe_timeouts += stats.probe_timeouts.iter().sum::<u64>();
        self.key_updates += stats.key_updates_local + stats.key_updates_peer;
        self.migrations += stats.migrations.iter().sum::<u64>();
    }
}

/// What anyone may know about a connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its number in this process.
    pub id: u64,
    /// Whether we are the server.
    pub is_server: bool,
    /// handshaking, connected, confirmed, closing, draining or drained.
    pub state: &'static str,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The application protocol.
    pub alpn: Vec<u8>,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// The congestion controller.
    pub congestion: &'static str,
    /// What the controller is doing.
    pub congestion_state: &'static str,
    /// The congestion window, in bytes.
    pub congestion_window: u64,
    /// The pacing rate in bytes a second; 0 if nothing is paced.
    pub pacing_rate: u64,
    /// Bytes sent and neither acknowledged nor lost.
    pub bytes_in_flight: u64,
    /// The smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// The least round-trip time.
    pub minimum_rtt: Duration,
    /// The latest round-trip time.
    pub latest_rtt: Duration,
    /// The largest datagrams that fit the path, in bytes.
    pub datagram_size: u16,
    /// What keeps the sender from sending more.
    pub limited_by: &'static str,
    /// Totals.
    pub totals: ConnectionStats,
}

impl ConnectionInfo {
    pub(crate) fn of(port: &ConnectionPort) -> Self {
        let (facts, handshake) = (port.facts(), port.handshake());
        Self {
            id: port.id(),
            is_server: port.side().is_server(),
            state: facts.state,
            remote: facts.remote,
            alpn: handshake.as_ref().and_then(|data| data.alpn.clone()).unwrap_or_default(),
            server_name: handshake.as_ref().and_then(|data| data.server_name.clone()),
            congestion: facts.congestion,
            congestion_state: facts.congestion_state,
            congestion_window: facts.congestion_window,
            pacing_rate: facts.pacing_rate,
            bytes_in_flight: facts.bytes_in_flight,
            smoothed_rtt: facts.smoothed_rtt,
            minimum_rtt: facts.minimum_rtt,
            latest_rtt: facts.latest_rtt,
            datagram_size: facts.datagram_size,
            limited_by: facts.limited_by,
            totals: facts.counters,
        }
    }
}

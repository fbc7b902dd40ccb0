//! [`Attack`]: what attackers do. What is written by hand here, no client of ours says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use quicast::http3::{self, Code, Empty};
use quicast::{CloseReason, Connection, Endpoint, RecvStream, SendStream};
use tokio::task::JoinSet;

/// What is done to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attack {
    /// No attack: a hundred requests at once.
    Busy,
    /// Hardly one: connections, with a request each.
    Handshakes,
    /// Requests that are cancelled as they are made.
    RapidResets,
    /// DATA frames of nothing.
    EmptyData,
    /// Field sections that unfold to a hundred times their size.
    HeaderBombs,
    /// Field sections that wait for an insertion that never comes.
    Blocked,
}

/// What they did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    elements: AtomicU64,
    connections: AtomicU64,
    /// Connections and requests that ended otherwise than they should.
    pub(crate) wrong: AtomicU64,
}

impl Tally {
    /// Elements and connections so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.elements.load(Ordering::Relaxed), self.connections.load(Ordering::Relaxed))
    }

    fn elements(&self, count: u64) {
        self.elements.fetch_add(count, Ordering::Relaxed);
    }
}

/// HEADERS of GET https://localhost and a path, by the static table alone (RFC 9204 §4.5).
fn headers(path: &str) -> Vec<u8> {
    let mut section = b"\x00\x00\xd1\xd7\x50\x09localhost\x51".to_vec();
    section.push(path.len() as u8);
    section.extend_from_slice(path.as_bytes());
    [&[0x01, section.len() as u8][..], &section].concat()
}

/// Ten thousand times the static table's `accept-encoding: gzip, deflate, br`, a byte each.
fn bomb() -> Vec<u8> {
    let section = [&b"\x00\x00\xd1\xd7\xc1"[..], &[0xdf; 10_000]].concat();
    let length = (0x4000 | section.len() as u16).to_be_bytes();
    [&[0x01][..], &length, &section].concat()
}

impl Attack {
    pub(crate) const ALL: [Self; 6] =
        [Self::Busy, Self::Handshakes, Self::RapidResets, Self::EmptyData, Self::HeaderBombs, Self::Blocked];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Busy => "(busy)",
            Self::Handshakes => "(handshakes)",
            Self::RapidResets => "rapid resets",
            Self::EmptyData => "empty DATA",
            Self::HeaderBombs => "header bombs",
            Self::Blocked => "blocked",
        }
    }

    /// An attacker who was thrown out does not come again before so much time has passed since it came. What handshakes
    /// without end cost has its own row; with them in every row, they would be all that is seen.
    pub(crate) const fn pause(self) -> Duration {
        match self {
            Self::Busy | Self::Handshakes => Duration::ZERO,
            Self::RapidResets | Self::EmptyData | Self::HeaderBombs | Self::Blocked => Duration::from_millis(10),
        }
    }

    /// On one connection, until it is closed. Without an order nothing, for ever.
    pub(crate) async fn carry_out(order: Option<Self>, client: &Endpoint, server: SocketAddr, tally: &Tally) {
        let Some(attack) = order else { return std::future::pending().await };
        let Ok(connection) = client.connect(server, "localhost").await else {
            tally.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        };
        tally.connections.fetch_add(1, Ordering::Relaxed);
        if attack == Self::Busy {
            return busy(connection, tally).await;
        }
        let Some(_control) = begin(&connection).await else { return };
        // Errors are the end of the connection, and which it was is asked then.
        let expected = match attack {
            Self::Busy => return,
            Self::Handshakes => {
                let _answered = ask(&connection, &headers("/"), tally).await;
                connection.close(Code::H3_NO_ERROR.0, b"");
                return;
            }
            Self::RapidResets => {
                while cancelled(&connection).await.is_some() {
                    tally.elements(1);
                }
                Code::H3_EXCESSIVE_LOAD
            }
            Self::EmptyData => {
                if let Ok((mut send, _receive)) = connection.open_bi().await {
                    let _closed = send.write_all(&headers("/count")).await;
                    let _closed = send.write_all(&[0; 4_000]).await;
                    tally.elements(2_000);
                    connection.closed().await;
                }
                Code::H3_EXCESSIVE_LOAD
            }
            Self::HeaderBombs => {
                let bomb = bomb();
                while ask(&connection, &bomb, tally).await.is_some() {}
                return;
            }
            Self::Blocked => {
                let mut streams = Vec::new();
                while streams.len() < 17
                    && let Some(stream) = blocked(&connection).await
                {
                    streams.push(stream);
                    tally.elements(1);
                }
                // They stay until then: what is dropped is reset.
                connection.closed().await;
                Code::QPACK_DECOMPRESSION_FAILED
            }
        };
        let is_right =
            matches!(connection.closed().await, CloseReason::PeerApplication { code, .. } if Code(code) == expected);
        tally.wrong.fetch_add(u64::from(!is_right), Ordering::Relaxed);
    }
}

/// The control stream, with empty settings.
async fn begin(connection: &Connection) -> Option<SendStream> {
    let mut control = connection.open_uni().await.ok()?;
    control.write_all(b"\x00\x04\x00").await.ok()?;
    Some(control)
}

async fn cancelled(connection: &Connection) -> Option<()> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(&headers("/never")).await.ok()?;
    let _over = send.reset(Code::H3_REQUEST_CANCELLED.0);
    receive.stop(Code::H3_REQUEST_CANCELLED.0);
    Some(())
}

async fn blocked(connection: &Connection) -> Option<(SendStream, RecvStream)> {
    let (mut send, receive) = connection.open_bi().await.ok()?;
    send.write_all(b"\x01\x03\x02\x00\x80").await.ok()?;
    Some((send, receive))
}

/// A request, and any answer.
async fn ask(connection: &Connection, head: &[u8], tally: &Tally) -> Option<()> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(head).await.ok()?;
    drop(send.finish());
    let answer = receive.read_to_end(1_000).await.ok()?;
    tally.elements(1);
    (!answer.is_empty()).then_some(())
}

/// A hundred requests at once.
async fn busy(connection: Connection, tally: &Tally) {
    let Ok(requests) = http3::connect(connection) else { return };
    let ask = || {
        let requests = requests.clone();
        async move {
            let request = Request::get("https://localhost/").body(Empty).ok()?;
            let mut response = requests.send(request).await.ok()?;
            while response.body_mut().chunk().await.ok()?.is_some() {}
            Some(())
        }
    };
    let mut asked: JoinSet<Option<()>> = (0..100).map(|_| ask()).collect();
    while let Some(Ok(Some(()))) = asked.join_next().await {
        tally.elements(1);
        asked.spawn(ask());
    }
}

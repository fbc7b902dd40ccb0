//! `/ws`: a WebSocket that sends each message back (RFC 6455; over HTTP/2, RFC 8441; over HTTP/3, RFC 9220).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::limits::{LONGEST_MESSAGE, WEBSOCKET_IDLE, WEBSOCKETS};
use super::refusal::{Quoted, Refusal};
use super::upgrade::{Stream, Tunnel, names};
use crate::stage::{Cue, Stage};

/// What all WebSockets share.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    cue: Cue,
    room: Arc<Semaphore>,
}

impl Sockets {
    pub(super) fn new(cue: Cue) -> Self {
        Self { cue, room: Arc::new(Semaphore::new(WEBSOCKETS)) }
    }
}

/// Agrees to a WebSocket, and echoes on it from then on.
pub(super) async fn echo(State(sockets): State<Sockets>, mut request: Request) -> Response {
    let tunnel = Tunnel::of(&mut request);
    match agree(&request, tunnel.as_ref()) {
        Err(refusal) => refusal.into_response(),
        Ok(agreed) => {
            let Some(tunnel) = tunnel else { return cannot_be_carried().into_response() };
            let Ok(place) = sockets.room.try_acquire_owned() else {
                let why = format_args!("{WEBSOCKETS} WebSockets are open, which is all there may be; try again later");
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
            };
            tokio::spawn(serve(tunnel, sockets.cue, place));
            agreed
        }
    }
}

/// The answer that makes it a WebSocket, or what is wrong with the request.
fn agree(request: &Request, tunnel: Option<&Tunnel>) -> Result<Response, Refusal> {
    let headers = request.headers();
    let asks_by_upgrade = *request.method() == Method::GET && names(headers, "upgrade", "websocket");
    let connects = *request.method() == Method::CONNECT;
    if !asks_by_upgrade && !connects {
        return Err(not_a_websocket(request.version()));
    }
    if let Some(other) = tunnel.map(Tunnel::protocol).filter(|protocol| !protocol.eq_ignore_ascii_case("websocket")) {
        let why = format_args!("/ws speaks websocket, not {}", Quoted(other));
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, why));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let why = "/ws: the header Sec-WebSocket-Version must be there and be 13";
        return Err(Refusal::bad(why).with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    if connects {
        return Ok(StatusCode::OK.into_response());
    }
    if request.version() != Version::HTTP_11 || !names(headers, "connection", "upgrade") {
        return Err(Refusal::bad("/ws: an upgrade needs HTTP/1.1 and the header Connection: upgrade"));
    }
    let accept = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())).map(accept);
    let accept = accept.ok_or_else(|| {
        Refusal::bad("/ws: the header Sec-WebSocket-Key must be there and be 16 bytes in base64 (24 characters)")
    })?;
    let answer: [(HeaderName, HeaderValue); 3] = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, HeaderMap::from_iter(answer)).into_response())
}

fn not_a_websocket(version: Version) -> Refusal {
    let why = "/ws is a WebSocket that echoes; from a page: new WebSocket(\"wss://\" + location.host + \"/ws\")";
    if version <= Version::HTTP_11 {
        return Refusal::new(StatusCode::UPGRADE_REQUIRED, why)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    Refusal::bad(why)
}

fn cannot_be_carried() -> Refusal {
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "/ws: a WebSocket cannot be carried on this connection; try HTTP/1.1")
}

/// 16 bytes in base64 are 22 characters and two signs.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(is_digit))
}

/// The answer to a key (RFC 6455 section 4.2.2): that we have understood it, not that it is secret.
fn accept(key: &HeaderValue) -> HeaderValue {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(base64(hash.finish().as_ref())).unwrap_or(HeaderValue::from_static(""))
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * index) & 63];
            text.push(if index <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Echoes until the client closes, says nothing for too long, or the server stops.
async fn serve(tunnel: Tunnel, mut cue: Cue, _place: OwnedSemaphorePermit) {
    let stream = tokio::select! {
        opened = timeout(WEBSOCKET_IDLE, tunnel.open()) => opened.ok().and_then(Result::ok),
        () = cue.reached(Stage::Stopping) => None,
    };
    let Some(stream) = stream else { return };
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(bounds())).await;
    let good_bye = tokio::select! {
        biased;
        () = cue.reached(Stage::Draining) => Some((CloseCode::Away, "the server stops")),
        good_bye = exchange(&mut socket) => good_bye,
    };
    let leave = async {
        if let Some((code, reason)) = good_bye {
            // The client answers with its own close; it need not.
            socket.close(Some(CloseFrame { code, reason: reason.into() })).await.ok();
            while let Some(Ok(_)) = socket.next().await {}
        }
        end(socket.into_inner()).await.ok();
    };
    tokio::select! {
        _ = timeout(GOOD_BYE, leave) => {}
        () = cue.reached(Stage::Stopping) => {}
    }
}

/// Ends our half of the stream, and waits for the end of the client's: who lets go of a stream before it is over tells the
/// other side to stop sending (over HTTP/3) or resets it (over TCP), and that is an error there, after an orderly close.
async fn end(mut stream: Box<dyn Stream>) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 512];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// How long a client may take to answer a close, and to end the stream.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// Nothing is read while the client takes nothing. Why we leave, if it is not the client who does.
async fn exchange(socket: &mut WebSocketStream<Box<dyn Stream>>) -> Option<(CloseCode, &'static str)> {
    const SILENT: (CloseCode, &str) = (CloseCode::Away, "nothing was said for too long");
    loop {
        let Ok(arrived) = timeout(WEBSOCKET_IDLE, socket.next()).await else { return Some(SILENT) };
        let message = match arrived {
            Some(Ok(message)) => message,
            Some(Err(error)) => return complaint(&error),
            None => return None,
        };
        // Pings and closes are answered by themselves, while reading.
        if message.is_text() || message.is_binary() {
            match timeout(WEBSOCKET_IDLE, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }
}

/// The code that an error is told with (RFC 6455 section 7.4.1), if anybody is still there to hear it.
fn complaint(error: &tokio_tungstenite::tungstenite::Error) -> Option<(CloseCode, &'static str)> {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::Capacity(_) => Some((CloseCode::Size, "a message may be 1 MiB long")),
        Error::Protocol(_) => Some((CloseCode::Protocol, "that is not RFC 6455")),
        Error::Utf8(_) => Some((CloseCode::Invalid, "a text message must be UTF-8")),
        _ => None,
    }
}

fn bounds() -> WebSocketConfig {
    let mut bounds = WebSocketConfig::default();
    bounds.read_buffer_size = 8 * 1024;
    bounds.write_buffer_size = 8 * 1024;
    bounds.max_write_buffer_size = 2 * LONGEST_MESSAGE;
    bounds.max_message_size = Some(LONGEST_MESSAGE);
    bounds.max_frame_size = Some(LONGEST_MESSAGE);
    bounds
}

#[cfg(test)]
mod tests;

//! A WebSocket over extended CONNECT (RFC 9220).

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request};
use quicast::http3::{Protocol, RequestSender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::Failure;

/// Sends messages of several kinds and awaits each; then an orderly close (RFC 6455, section 7).
pub(crate) async fn talk(sender: &RequestSender, authority: &str, path: &str) -> Result<(), Failure> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{authority}{path}"))
        .header("sec-websocket-version", "13")
        .header("origin", "https://localhost")
        .extension(Protocol::WEBSOCKET)
        .body(())?;
    let (head, upgraded) = sender.upgrade(request).await?;
    let upgraded = upgraded.ok_or_else(|| format!("the WebSocket is refused: {}", head.status()))?;
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let pattern: Vec<u8> = (0..=255).cycle().take(77_000).collect();
    let messages = [
        Message::text("one"),
        Message::binary("zwei, höflich"),
        Message::text(""),
        Message::binary(pattern),
        Message::text("the last"),
    ];
    for (number, message) in messages.iter().enumerate() {
        socket.send(message.clone()).await?;
        let back = socket.next().await.ok_or("the stream ended before its WebSocket did")??;
        if back != *message {
            return Err(format!("message {number} came back changed").into());
        }
    }
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "bye".into() })).await?;
    match socket.next().await {
        Some(Ok(Message::Close(Some(frame)))) => {
            println!("websocket messages={} closed={}", messages.len(), u16::from(frame.code));
        }
        other => return Err(format!("not a close: {other:?}").into()),
    }
    // The server ends the stream after its close.
    match socket.next().await {
        None => Ok(()),
        other => Err(format!("after the close, not the end: {other:?}").into()),
    }
}

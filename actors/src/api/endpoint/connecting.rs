//! [`Connecting`]: a handshake on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use transport::output::CloseReason;

use super::{ConnectError, Connection, Inner};
use crate::dispatcher::messages::ConnectOrder;
use crate::port::ConnectionPort;

/// A connection whose handshake may not be complete.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) connection: Connection,
    pub(crate) port: Arc<ConnectionPort>,
}

/// A connection that is being made: await it. Dropping it gives the connection up.
///
/// A client that learns that the server speaks only another of its versions tries again with that one.
#[derive(Debug)]
#[must_use = "a connection that nobody awaits is given up"]
pub struct Connecting {
    stage: Stage,
    /// How to try again.
    again: Option<Again>,
}

#[derive(Debug)]
struct Again {
    endpoint: Arc<Inner>,
    order: ConnectOrder,
}

#[derive(Debug)]
enum Stage {
    Starting(oneshot::Receiver<Result<Begun, ConnectError>>),
    Handshaking(Begun),
    Failed(ConnectError),
    Done,
}

impl Connecting {
    pub(super) const fn failed(error: ConnectError) -> Self {
        Self { stage: Stage::Failed(error), again: None }
    }

    /// What the application accepted.
    pub(in crate::api) const fn accepted(answer: oneshot::Receiver<Result<Begun, ConnectError>>) -> Self {
        Self { stage: Stage::Starting(answer), again: None }
    }

    pub(super) fn begin(endpoint: Arc<Inner>, mut order: ConnectOrder) -> Self {
        let first = order.clone();
        // The token was for the first attempt (RFC 9000 §8.1.3).
        order.token = bytes::Bytes::new();
        match endpoint.begin(first) {
            Ok(answer) => Self { stage: Stage::Starting(answer), again: Some(Again { endpoint, order }) },
            Err(error) => Self::failed(error),
        }
    }

    /// What is left to try after this failure.
    fn try_again(&mut self, reason: CloseReason) -> Stage {
        if let CloseReason::VersionMismatch { retry_with: Some(version), .. } = &reason
            && let Some(Again { endpoint, mut order }) = self.again.take()
        {
            order.negotiated = Some(*version);
            return match endpoint.begin(order) {
                Ok(answer) => Stage::Starting(answer),
                Err(error) => Stage::Failed(error),
            };
        }
        Stage::Failed(ConnectError::Failed(reason))
    }
}

impl Future for Connecting {
    type Output = Result<Connection, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut self.stage {
                Stage::Starting(answer) => match ready!(Pin::new(answer).poll(context)) {
                    Ok(Ok(begun)) => Stage::Handshaking(begun),
                    Ok(Err(error)) => Stage::Failed(error),
                    Err(_) => Stage::Failed(ConnectError::Closed),
                },
                Stage::Handshaking(begun) => match ready!(begun.port.poll_connected(context)) {
                    Err(reason) => self.try_again(reason),
                    Ok(()) => match std::mem::replace(&mut self.stage, Stage::Done) {
                        Stage::Handshaking(begun) => return Poll::Ready(Ok(begun.connection)),
                        other => other,
                    },
                },
                Stage::Failed(_) | Stage::Done => match std::mem::replace(&mut self.stage, Stage::Done) {
                    Stage::Failed(error) => return Poll::Ready(Err(error)),
                    // Polled after its end, as no future may be.
                    _ => return Poll::Ready(Err(ConnectError::Closed)),
                },
            };
            self.stage = next;
        }
    }
}

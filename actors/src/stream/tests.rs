//! A stream's actor whose neighbours are recorders.

use std::time::Duration;

use actix::Addr;
use codec::{Direction, Side, StreamId};
use transport::stream::buffers::{BufferConfig, Streams};
use transport::stream::edge::StreamInput;

use super::*;
use crate::port::{ConnectionPort, Facts};
use crate::recorder::{Recorder, paused, settle};

const ADDRESS: ([u8; 4], u16) = ([192, 0, 2, 1], 443);

/// The actor of a stream that a server opened to us, one way, and whom it speaks to.
struct Stage {
    id: StreamId,
    port: Arc<StreamPort>,
    actor: Addr<StreamActor>,
    outputs: Recorder<StreamsOutput>,
    closed: Recorder<StreamClosed>,
    down: Recorder<Down>,
}

impl Stage {
    async fn new() -> Self {
        let id = StreamId::new(Side::Server, Direction::Unidirectional, 0);
        let mut machine = Streams::new(Side::Client, BufferConfig::default());
        machine.handle_input(StreamInput::Opened { id, credit: 0 });
        let connection =
            ConnectionPort::new(Side::Client, 1, Facts::new(ADDRESS.into(), "cubic"), &transport::Config::default());
        let port = Arc::new(StreamPort::new(id, connection));
        let (outputs, closed, down) = (Recorder::start(), Recorder::start(), Recorder::start());
        let neighbours =
            Neighbours { outputs: outputs.recipient(), closed: closed.recipient(), down: down.recipient() };
        let buffers = machine.take(id).unwrap();
        let actor = StreamActor::new(buffers, Arc::clone(&port), neighbours, Meter::for_tests()).start();
        settle().await;
        Self { id, port, actor, outputs, closed, down }
    }
}

#[test]
fn the_turn_that_says_the_last_word_of_a_stream_ends_its_actor() {
    paused(async {
        let Stage { id, actor, mut outputs, mut closed, mut down, .. } = Stage::new().await;
        // Nothing else will ever come for this stream, and nobody has to look at it again.
        actor.send(StreamsInput { inputs: vec![StreamInput::Reset { id, code: 7 }] }).await.unwrap();
        let said = outputs.next().await;
        assert!(matches!(said.outputs[..], [StreamOutput::Released { id: of }] if of == id), "{:?}", said.outputs);
        let ended = tokio::time::timeout(Duration::from_secs(1), closed.next()).await.expect("the actor lives on");
        assert_eq!(ended.id, id);
        assert_eq!(down.next().await.cause, Cause::Finished);
        assert!(!actor.connected());
    });
}

#[test]
fn what_arrived_before_the_end_of_the_connection_is_there_to_be_read() {
    paused(async {
        let Stage { id, port, actor, outputs: _outputs, closed: _closed, down: _down } = Stage::new().await;
        // Both wait in the mailbox when it is drained.
        let data = Bytes::from_static(b"all of it");
        actor.do_send(StreamsInput { inputs: vec![StreamInput::Data { id, offset: 0, data, fin: true }] });
        actor.do_send(ConnectionEnded { reason: CloseReason::Internal });
        settle().await;
        let read = || std::future::poll_fn(|context| port.poll_read(context, usize::MAX));
        assert_eq!(read().await.unwrap().as_deref(), Some(&b"all of it"[..]));
        assert!(matches!(read().await, Ok(None)), "the end of the stream, not of the connection");
    });
}

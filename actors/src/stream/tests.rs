//! A stream's actor whose neighbours are recorders.

use std::time::Duration;

use codec::{Direction, Side, StreamId};
use transport::stream::buffers::{BufferConfig, Streams};
use transport::stream::edge::StreamInput;

use super::*;
use crate::port::{ConnectionPort, Facts};
use crate::recorder::{Recorder, paused, settle};

const ADDRESS: ([u8; 4], u16) = ([192, 0, 2, 1], 443);

#[test]
fn the_turn_that_says_the_last_word_of_a_stream_ends_its_actor() {
    paused(async {
        let id = StreamId::new(Side::Server, Direction::Unidirectional, 0);
        let mut machine = Streams::new(Side::Client, BufferConfig::default());
        machine.handle_input(StreamInput::Opened { id, credit: 0 });
        let connection =
            ConnectionPort::new(Side::Client, 1, Facts::new(ADDRESS.into(), "cubic"), &transport::Config::default());
        let port = Arc::new(StreamPort::new(id, connection));
        let (mut outputs, mut closed, mut down) =
            (Recorder::start(), Recorder::<StreamClosed>::start(), Recorder::<Down>::start());
        let neighbours =
            Neighbours { outputs: outputs.recipient(), closed: closed.recipient(), down: down.recipient() };
        let actor = StreamActor::new(machine.take(id).unwrap(), port, neighbours, Meter::for_tests()).start();
        settle().await;
        // Nothing else will ever come for this stream, and nobody has to look at it again.
        actor.send(StreamsInput { inputs: vec![StreamInput::Reset { id, code: 7 }] }).await.unwrap();
        let said: StreamsOutput = outputs.next().await;
        assert!(matches!(said.outputs[..], [StreamOutput::Released { id: of }] if of == id), "{:?}", said.outputs);
        let ended = tokio::time::timeout(Duration::from_secs(1), closed.next()).await.expect("the actor lives on");
        assert_eq!(ended.id, id);
        assert_eq!(down.next().await.cause, Cause::Finished);
        assert!(!actor.connected());
    });
}

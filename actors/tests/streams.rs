//! Streams through the public API: every order of ends, long ones, many, slow readers, other threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;
mod traffic;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use quicast::{Algorithm, CloseReason, Connection, ReadError, RecvStream, SendStream, TransportConfig, WriteError};
use support::*;
use tokio::io::AsyncWriteExt as _;
use traffic::*;

const MEBIBYTE: u64 = 1024 * 1024;

/// What one end may do with a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Finish,
    Reset,
    Stop,
}

fn orders(steps: &mut Vec<(bool, Step)>, from: usize, all: &mut Vec<Vec<(bool, Step)>>) {
    if from == steps.len() {
        all.push(steps.clone());
    }
    for at in from..steps.len() {
        steps.swap(from, at);
        orders(steps, from + 1, all);
        steps.swap(from, at);
    }
}

fn take_step(step: Step, (send, receive): &mut (SendStream, RecvStream)) {
    match step {
        Step::Finish => drop(send.finish()),
        Step::Reset => drop(send.reset(7)),
        Step::Stop => receive.stop(8),
    }
}

/// Reads until there is an end, whichever.
async fn exhaust(receive: &mut RecvStream) -> Option<ReadError> {
    loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[tokio::test]
async fn every_order_of_ends_frees_the_stream_at_both_ends() {
    within(async {
        let pair = Pair::new().await;
        let mut steps = Vec::new();
        for here in [true, false] {
            steps.extend([(here, Step::Finish), (here, Step::Reset), (here, Step::Stop)]);
        }
        let mut all = Vec::new();
        orders(&mut steps, 0, &mut all);
        assert_eq!(all.len(), 720);
        // More than may be open at once: each has to make room for another.
        for (number, order) in all.iter().enumerate() {
            let (mut here, mut there) = pair.stream().await;
            for (position, (is_here, step)) in order.iter().enumerate() {
                take_step(*step, if *is_here { &mut here } else { &mut there });
                if (number >> position) & 1 == 1 {
                    // Sometimes the actors see one step before the next, sometimes several at once.
                    tokio::task::yield_now().await;
                }
            }
            let (at_client, at_server) = (exhaust(&mut here.1).await, exhaust(&mut there.1).await);
            for error in [at_client, at_server].into_iter().flatten() {
                assert!(matches!(error, ReadError::Stopped | ReadError::Reset(7 | 8)), "{error} after {order:?}");
            }
        }
        round_trip_on(&pair).await;
        for registry in [pair.client.metrics(), pair.server.metrics()] {
            falls_to(registry, "quicast_streams", &["bidi", "local"], 0.0).await;
            falls_to(registry, "quicast_streams", &["bidi", "peer"], 0.0).await;
            assert_eq!(panics(registry), []);
        }
        assert_eq!((pair.here.close_reason(), pair.there.close_reason()), (None, None));
    })
    .await;
}

/// The connection still works.
async fn round_trip_on(pair: &Pair) {
    let (mut here, mut there) = pair.stream().await;
    let (sent, ()) = tokio::join!(send_pattern(&mut here.0, 3, 100_000), async {
        assert_eq!(check_pattern(&mut there.1, 3).await.unwrap(), 100_000);
        there.0.finish().await.unwrap();
    });
    sent.unwrap();
    assert_eq!(exhaust(&mut here.1).await, None);
}

#[tokio::test]
async fn one_half_may_end_long_before_the_other() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        here.0.finish().await.unwrap();
        assert_eq!(exhaust(&mut there.1).await, None);
        let (sent, read) = tokio::join!(send_pattern(&mut there.0, 1, 3 * MEBIBYTE), check_pattern(&mut here.1, 1));
        sent.unwrap();
        assert_eq!(read.unwrap(), 3 * MEBIBYTE);
        assert_eq!(here.0.write(b"more").await.unwrap_err(), WriteError::Finished);
    })
    .await;
}

#[tokio::test]
async fn codes_of_resets_and_stops_arrive() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        here.0.reset(41).unwrap();
        assert_eq!(exhaust(&mut there.1).await, Some(ReadError::Reset(41)));
        here.1.stop(42);
        assert_eq!(there.0.stopped().await.unwrap(), Some(42));
        assert_eq!(there.0.write(b"more").await.unwrap_err(), WriteError::Stopped(42));
        // The same for streams with actors of their own.
        let (mut here, mut there) = pair.stream().await;
        let (sent, read) =
            tokio::join!(here.0.write_all(&[1; 600_000]), async { there.1.read_exact(&mut vec![0; 600_000]).await });
        sent.unwrap();
        read.unwrap();
        at_least(pair.server.metrics(), "quicast_actor_starts_total", &["stream"], 1.0).await;
        here.0.reset(43).unwrap();
        assert_eq!(exhaust(&mut there.1).await, Some(ReadError::Reset(43)));
        here.1.stop(44);
        assert_eq!(there.0.stopped().await.unwrap(), Some(44));
        for registry in [pair.client.metrics(), pair.server.metrics()] {
            falls_to(registry, "quicast_actors", &["stream"], 0.0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn finish_waits_for_the_acknowledgement_and_for_nothing_less() {
    within(async {
        let server = server().shards(1).start().unwrap();
        let proxy = Proxy::new(server.local_addr());
        let pair = Pair::through(TransportConfig::default(), server, proxy.address).await;
        round_trip_on(&pair).await;
        let (mut here, mut there) = pair.stream().await;
        here.0.write_all(b"all of it").await.unwrap();
        proxy.judge(|way, _| if way == Way::ToClient { Fate::Drop } else { Fate::Forward });
        let mut finished = pin!(here.0.finish());
        // The server has everything, its end included, but cannot say so.
        let read = there.1.read_to_end(100);
        let mut read = pin!(read);
        let read = std::future::poll_fn(|context| {
            assert!(finished.as_mut().poll(context).is_pending(), "nobody can have acknowledged it");
            read.as_mut().poll(context)
        });
        assert_eq!(&read.await.unwrap()[..], b"all of it");
        assert!(finished.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        proxy.calm();
        finished.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn dropping_every_handle_loses_nothing_that_was_finished() {
    within(async {
        let server = server().shards(1).start().unwrap();
        for length in [0, 1, 200_000, 5_000_000] {
            let client = client();
            let (there, here) =
                tokio::join!(async { server.accept().await.unwrap().accept().unwrap().await.unwrap() }, async {
                    client.connect(server.local_addr(), "localhost").await.unwrap()
                },);
            let mut uni = here.open_uni().await.unwrap();
            let (mut send, receive) = here.open_bi().await.unwrap();
            for stream in [&mut uni, &mut send] {
                stream.write_chunk(pattern(9, 0, length)).await.unwrap();
                drop(stream.finish());
            }
            drop((uni, send, receive, here, client));
            let mut uni = there.accept_uni().await.unwrap();
            let (_send, mut bidi) = there.accept_bi().await.unwrap();
            let (first, second) = tokio::join!(check_pattern(&mut uni, 9), check_pattern(&mut bidi, 9));
            assert_eq!((first.unwrap(), second.unwrap()), (length as u64, length as u64));
            // And then it is over, as nobody holds it.
            assert!(matches!(there.closed().await, CloseReason::PeerApplication { code: 0, .. }));
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_dropped_before_its_end_does_not_look_whole() {
    within(async {
        let pair = Pair::new().await;
        let (here, mut there) = pair.stream().await;
        drop(here);
        assert_eq!(exhaust(&mut there.1).await, Some(ReadError::Reset(0)));
        assert_eq!(there.0.stopped().await.unwrap(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn streams_are_what_tokio_copies_between() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        let echo = async {
            tokio::io::copy(&mut there.1, &mut there.0).await.unwrap();
            there.0.shutdown().await.unwrap();
        };
        let data = pattern(5, 0, 2_000_000);
        let write = async {
            tokio::io::copy(&mut &data[..], &mut here.0).await.unwrap();
            here.0.shutdown().await.unwrap();
        };
        let read = async {
            let mut back = Vec::new();
            tokio::io::copy(&mut here.1, &mut back).await.unwrap();
            back
        };
        let ((), (), back) = tokio::join!(echo, write, read);
        assert!(back == data);
    })
    .await;
}

#[tokio::test]
async fn one_thousand_nine_hundred_and_ninety_nine_short_streams() {
    within(async {
        let server = server().shards(1).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..1_999 {
            let connection = connection.clone();
            tasks.spawn(async move { echoed(&connection, seed, 32).await.unwrap() });
        }
        assert_eq!(tasks.join_all().await.len(), 1_999);
        connection.close(0, b"");
        client.wait_idle().await;
        for (registry, initiator) in [(client.metrics(), "local"), (server.metrics(), "peer")] {
            at_least(registry, "quicast_streams_opened_total", &["bidi", initiator], 1_999.0).await;
            assert_eq!(
                registry.value("quicast_actor_starts_total", &["stream"]),
                Some(0.0),
                "short ones share an actor"
            );
            assert_eq!(panics(registry), []);
        }
    })
    .await;
}

#[tokio::test]
async fn one_stream_of_a_hundred_mebibytes_gets_an_actor_of_its_own_and_no_more_memory() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        let before = resident();
        let (sent, read) = tokio::join!(send_pattern(&mut here.0, 2, 100 * MEBIBYTE), check_pattern(&mut there.1, 2));
        sent.unwrap();
        assert_eq!(read.unwrap(), 100 * MEBIBYTE);
        assert!(resident().saturating_sub(before) < 80 * MEBIBYTE, "{} bytes more", resident() - before);
        for registry in [pair.client.metrics(), pair.server.metrics()] {
            assert_eq!(at_least(registry, "quicast_actor_starts_total", &["stream"], 1.0).await, 1.0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_short_stream_may_ask_for_an_actor_of_its_own() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        here.0.isolate();
        there.1.isolate();
        let (sent, read) = tokio::join!(send_pattern(&mut here.0, 5, 100), check_pattern(&mut there.1, 5));
        sent.unwrap();
        assert_eq!(read.unwrap(), 100);
        for registry in [pair.client.metrics(), pair.server.metrics()] {
            assert_eq!(at_least(registry, "quicast_actor_starts_total", &["stream"], 1.0).await, 1.0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_that_finds_no_room_is_counted() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        let (sent, read) = tokio::join!(send_pattern(&mut here.0, 6, 20 * MEBIBYTE), check_pattern(&mut there.1, 6));
        sent.unwrap();
        assert_eq!(read.unwrap(), 20 * MEBIBYTE);
        at_least(pair.client.metrics(), "quicast_edge_full_total", &["application_streams"], 1.0).await;
    })
    .await;
}

#[tokio::test]
async fn eight_long_streams_at_once() {
    within(async {
        let pair = Pair::new().await;
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..8 {
            let (mut here, mut there) = pair.stream().await;
            tasks.spawn(async move { send_pattern(&mut here.0, seed, 20 * MEBIBYTE).await.unwrap() });
            tasks.spawn(async move { assert_eq!(check_pattern(&mut there.1, seed).await.unwrap(), 20 * MEBIBYTE) });
        }
        tasks.join_all().await;
        assert_eq!(at_least(pair.server.metrics(), "quicast_actor_starts_total", &["stream"], 8.0).await, 8.0);
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_holds_its_own_window_and_nobody_up() {
    within(async {
        let pair = Pair::new().await;
        let (mut slow_here, mut slow_there) = pair.stream().await;
        let slow = tokio::spawn(async move { send_pattern(&mut slow_here.0, 1, 3 * MEBIBYTE).await });
        let buffered =
            || pair.server.metrics().value("quicast_connection_buffered_bytes", &["stream_receive"]).unwrap();
        at_least(pair.client.metrics(), "quicast_connection_flow_control_blocked_total", &["sent", "stream"], 1.0)
            .await;
        for seed in 0..5 {
            let (mut here, mut there) = pair.stream().await;
            let (sent, read) =
                tokio::join!(send_pattern(&mut here.0, seed, 4 * MEBIBYTE), check_pattern(&mut there.1, seed));
            sent.unwrap();
            assert_eq!(read.unwrap(), 4 * MEBIBYTE);
        }
        // Unread bytes are with the port, where the application may take them, or still with the actor.
        assert!(buffered() <= 2.0 * 1024.0 * 1024.0, "{} bytes are kept", buffered());
        assert!(!slow.is_finished());
        assert_eq!(check_pattern(&mut slow_there.1, 1).await.unwrap(), 3 * MEBIBYTE);
        slow.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_read_is_returned_as_credit_for_as_long_as_a_connection_lives() {
    within(async {
        // Many times the window through both a connection and each of its streams, with small windows that do not grow.
        let small = TransportConfig {
            receive_window: 64 * 1024,
            stream_receive_window: 16 * 1024,
            receive_window_maximum: 64 * 1024,
            ..TransportConfig::default()
        };
        let pair = Pair::with(small.clone(), small).await;
        for seed in 0..20 {
            let (mut here, mut there) = pair.stream().await;
            let (sent, read) =
                tokio::join!(send_pattern(&mut here.0, seed, 300_000), check_pattern(&mut there.1, seed));
            sent.unwrap();
            assert_eq!(read.unwrap(), 300_000);
        }
        // What is dropped unread is returned, too.
        for _ in 0..50 {
            let (mut here, there) = pair.stream().await;
            here.0.write_all(&[1; 10_000]).await.unwrap();
            drop((here, there));
        }
        round_trip_on(&pair).await;
        falls_to(pair.server.metrics(), "quicast_connection_buffered_bytes", &["stream_receive"], 0.0).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_opens_too_many_streams_waits_and_the_peer_hears_of_it() {
    within(async {
        let few = TransportConfig {
            max_concurrent_bidirectional_streams: 2,
            max_concurrent_unidirectional_streams: 1,
            ..TransportConfig::default()
        };
        let pair = Pair::with(TransportConfig::default(), few).await;
        let (first, second) = (pair.stream().await, pair.stream().await);
        let mut third = pin!(pair.here.open_bi());
        let asleep = std::future::poll_fn(|context| Poll::Ready(third.as_mut().poll(context).is_pending()));
        assert!(asleep.await, "two are open");
        at_least(
            pair.server.metrics(),
            "quicast_connection_flow_control_blocked_total",
            &["received", "streams_bidi"],
            1.0,
        )
        .await;
        let sent = at_least(
            pair.client.metrics(),
            "quicast_connection_flow_control_blocked_total",
            &["sent", "streams_bidi"],
            1.0,
        )
        .await;
        assert_eq!(sent, 1.0, "once for each limit");
        for (mut here, mut there) in [first] {
            let (one, other) = tokio::join!(here.0.finish(), there.0.finish());
            one.unwrap();
            other.unwrap();
            assert_eq!((exhaust(&mut here.1).await, exhaust(&mut there.1).await), (None, None));
        }
        third.await.unwrap();
        drop(second);
        let mut uni = pair.here.open_uni().await.unwrap();
        uni.write_all(b"x").await.unwrap();
        let opening = tokio::spawn({
            let connection = pair.here.clone();
            async move { connection.open_uni().await.map(drop) }
        });
        at_least(
            pair.server.metrics(),
            "quicast_connection_flow_control_blocked_total",
            &["received", "streams_uni"],
            1.0,
        )
        .await;
        drop(uni);
        drop(pair.there.accept_uni().await.unwrap());
        opening.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_opener_that_waits_is_told_of_the_end() {
    within(async {
        let few = TransportConfig { max_concurrent_bidirectional_streams: 0, ..TransportConfig::default() };
        let pair = Pair::with(TransportConfig::default(), few).await;
        let (opened, ()) = tokio::join!(pair.here.open_bi(), async {
            at_least(
                pair.server.metrics(),
                "quicast_connection_flow_control_blocked_total",
                &["received", "streams_bidi"],
                1.0,
            )
            .await;
            pair.there.close(5, b"no");
        });
        assert!(matches!(opened.err(), Some(CloseReason::PeerApplication { code: 5, .. })));
    })
    .await;
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor of four lines: handles need nothing else.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn handles_work_without_any_runtime_and_move_between_threads() {
    let server = server().shards(1).service(echo).start().unwrap();
    let client = client();
    let connection = block_on(async { client.connect(server.local_addr(), "localhost").await }).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let connection = connection.clone();
            std::thread::spawn(move || {
                let (mut send, mut receive) = block_on(connection.open_bi()).unwrap();
                // The halves go on on threads of their own.
                let sending = std::thread::spawn(move || block_on(send_pattern(&mut send, seed, 2 * MEBIBYTE)));
                assert_eq!(block_on(check_pattern(&mut receive, seed)).unwrap(), 2 * MEBIBYTE);
                sending.join().unwrap().unwrap();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // And from another runtime than the one they came from.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime
        .block_on(async { tokio::spawn(async move { echoed(&connection, 1, 100_000).await.unwrap() }).await.unwrap() });
}

async fn swap_all_the_time(connection: &Connection, algorithms: [Algorithm; 2]) -> u64 {
    let mut swaps = 0;
    for algorithm in algorithms.into_iter().cycle() {
        let change = connection.set_congestion(algorithm).await.unwrap();
        assert_eq!(change.to, algorithm);
        assert!(change.window_after <= change.window_before, "{change:?}");
        swaps += 1;
        tokio::task::yield_now().await;
        if connection.stats().totals.stream_bytes_acknowledged > 15 * MEBIBYTE {
            return swaps;
        }
    }
    swaps
}

#[tokio::test]
async fn changing_the_controller_in_the_middle_loses_no_byte() {
    within(async {
        let pair = Pair::new().await;
        let (mut here, mut there) = pair.stream().await;
        let (first, second) = ([Algorithm::NEW_RENO, Algorithm::CUBIC], [Algorithm::CUBIC, Algorithm::NEW_RENO]);
        let client = async { tokio::join!(send_pattern(&mut here.0, 1, 20 * MEBIBYTE), check_pattern(&mut here.1, 2)) };
        let server =
            async { tokio::join!(send_pattern(&mut there.0, 2, 20 * MEBIBYTE), check_pattern(&mut there.1, 1)) };
        let (client, server, swaps, more) =
            tokio::join!(client, server, swap_all_the_time(&pair.here, first), swap_all_the_time(&pair.there, second));
        for (sent, read) in [client, server] {
            sent.unwrap();
            assert_eq!(read.unwrap(), 20 * MEBIBYTE);
        }
        assert!(swaps > 10 && more > 10, "{swaps} and {more} swaps");
        let metrics = pair.client.metrics();
        eventually("swaps to be counted", || metrics.sum("quicast_congestion_switches_total") == Some(swaps as f64))
            .await;
        falls_to(metrics, "quicast_actors", &["congestion"], 1.0).await;
        assert_eq!(panics(metrics), []);
    })
    .await;
}

#[tokio::test]
async fn datagrams_come_back() {
    within(async {
        let pair = Pair::new().await;
        let size = pair.here.max_datagram_size().unwrap();
        assert!(pair.here.send_datagram(vec![0; size + 1].into()).is_err());
        let echo = tokio::spawn({
            let connection = pair.there.clone();
            async move {
                while let Ok(datagram) = connection.read_datagram().await {
                    if connection.send_datagram(datagram).is_err() {
                        return;
                    }
                }
            }
        });
        for length in [0, 1, 100, size.min(1_100)] {
            pair.here.send_datagram(pattern(4, 0, length)).unwrap();
            assert_eq!(pair.here.read_datagram().await.unwrap(), pattern(4, 0, length));
        }
        // More than are kept: some get lost, and that is counted; none comes back changed.
        for number in 0..10_000_u32 {
            pair.here.send_datagram(Bytes::copy_from_slice(&number.to_be_bytes().repeat(100))).unwrap();
        }
        let mut last = None;
        while last.is_none_or(|last| last < 9_999) {
            let datagram = pair.here.read_datagram().await.unwrap();
            let number = u32::from_be_bytes(datagram[..4].try_into().unwrap());
            assert!(datagram == number.to_be_bytes().repeat(100));
            last = last.max(Some(number));
        }
        pair.here.close(0, b"");
        echo.await.unwrap();
    })
    .await;
}

use std::net::SocketAddr;

use actix::Addr;
use bytes::Bytes;
use nix::errno::Errno;
use recovery::Ecn;
use smallvec::smallvec;
use telemetry::actor::Edge;
use transport::output::{ReceivedDatagrams, Transmit};

use super::memory::{MemorySocket, Wire, WireDatagrams};
use super::messages::{BuffersFreed, OutgoingBatch};
use super::*;
use crate::batch::{BUFFER_SIZE, SendBuffer};
use crate::recorder::{Recorder, paused, running, settle};

struct Stage {
    meter: Rc<Meter>,
    actor: Addr<SocketActor>,
    heard: Recorder<DatagramsReceived>,
    down: Recorder<Down>,
    credit: Credit,
    #[cfg(feature = "fault-injection")]
    receive_pool: ReceivePool,
    send_pool: SendPool,
    address: SocketAddr,
}

fn stage(bound: BoundSocket, receive_buffers: usize, send_buffers: usize) -> Stage {
    stage_that_looks(bound, receive_buffers, send_buffers, Duration::ZERO)
}

fn stage_that_looks(bound: BoundSocket, receive_buffers: usize, send_buffers: usize, busy_poll: Duration) -> Stage {
    let meter = Meter::for_tests();
    let (heard, down) = (Recorder::start(), Recorder::start());
    let credit = Credit::new(&meter, Edge::SocketDispatcher, DISPATCHER_BATCHES);
    let receive_pool = ReceivePool::new(&meter, receive_buffers);
    let send_pool = SendPool::new(&meter, send_buffers);
    let address = bound.local_address();
    let socket = SharedSocket::new(bound, busy_poll).unwrap();
    let parts = SocketParts {
        socket,
        receive_pool: receive_pool.clone(),
        send_pool: send_pool.clone(),
        credit: credit.clone(),
        dispatcher: heard.recipient(),
        owner: down.recipient(),
        meter: Rc::clone(&meter),
    };
    Stage {
        meter,
        actor: SocketActor::new(parts).start(),
        heard,
        down,
        credit,
        #[cfg(feature = "fault-injection")]
        receive_pool,
        send_pool,
        address,
    }
}

fn on_wire(room: usize) -> (Stage, Wire) {
    let (socket, wire) = MemorySocket::new(address(443), room);
    (stage(BoundSocket::Memory(socket), 64, 8), wire)
}

fn on_loopback() -> Stage {
    let mut sockets = bind::bind(address(0), 1, bind::KERNEL_BUFFER).unwrap();
    stage(sockets.remove(0), 64, 64)
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn datagrams(bytes: &[u8], segment_size: usize) -> WireDatagrams {
    let bytes = Bytes::copy_from_slice(bytes);
    WireDatagrams { remote: address(9), local: None, ecn: None, segment_size, bytes }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

impl Stage {
    fn batch(&self, remote: SocketAddr, bytes: &[u8], segment_size: usize) -> OutgoingBatch {
        let mut buffer = self.send_pool.take().expect("a send buffer");
        buffer[..bytes.len()].copy_from_slice(bytes);
        let transmit = Transmit { remote, local: None, ecn: None, segment_size, length: bytes.len() };
        OutgoingBatch { transmit, buffer }
    }

    fn send(&self, remote: SocketAddr, bytes: &[u8], segment_size: usize) {
        let batch = self.batch(remote, bytes, segment_size);
        self.actor.do_send(SendDatagrams { batches: smallvec![batch] });
    }

    /// What arrives until there are so many bytes.
    async fn received(&mut self, bytes: usize) -> Vec<ReceivedDatagrams> {
        let mut all = Vec::new();
        while all.iter().map(|one: &ReceivedDatagrams| one.buffer.len()).sum::<usize>() < bytes {
            all.extend(self.heard.next().await.batch);
            self.credit.give_back();
        }
        all
    }

    fn errors(&self, operation: &str, errno: &str) -> f64 {
        self.meter.value(&format!("quicast_socket_errors_total{{op=\"{operation}\",errno=\"{errno}\"}}"))
    }
}

#[test]
fn what_arrives_is_told_with_all_that_is_known_about_it() {
    paused(async {
        let (mut stage, wire) = on_wire(64);
        let full = pattern(50_000);
        let from = WireDatagrams { local: Some(address(0).ip()), ecn: Some(Ecn::Ce), ..datagrams(&full, 1_200) };
        assert!(wire.deliver(from));
        let received = stage.received(50_000).await.remove(0);
        assert_eq!((received.remote, received.local), (address(9), Some(address(0).ip())));
        assert_eq!((received.ecn, received.segment_size), (Some(Ecn::Ce), 1_200));
        assert_eq!(&received.buffer[..], full);
        assert_eq!(stage.meter.value("quicast_socket_received_datagrams_total{shard=\"0\"}"), 42.0);
        assert_eq!(stage.meter.value("quicast_socket_ecn_received_datagrams_total{codepoint=\"ce\"}"), 42.0);
        assert_eq!(stage.meter.value("quicast_socket_receive_calls_total{shard=\"0\"}"), 1.0);
    });
}

#[test]
fn a_lone_datagram_does_not_occupy_a_whole_buffer() {
    paused(async {
        let (mut stage, wire) = on_wire(200);
        let mut held = Vec::new();
        for _ in 0..200 {
            assert!(wire.deliver(datagrams(&pattern(1_200), 1_200)));
            held.extend(stage.received(1_200).await);
        }
        assert!(held.iter().all(|one| one.buffer.capacity() < 2 * 1_200));
        let used = stage.meter.value("quicast_socket_buffers{state=\"used\"}");
        assert!(used <= 16.0, "{used} buffers for what would fill four");
    });
}

#[test]
fn a_quiet_shard_takes_back_the_buffers_that_stood_ready() {
    const USED: &str = "quicast_socket_buffers{state=\"used\"}";
    paused(async {
        let (mut stage, wire) = on_wire(100);
        for _ in 0..50 {
            assert!(wire.deliver(datagrams(b"hello", 5)));
        }
        stage.received(50 * 5).await;
        assert!(stage.meter.value(USED) > 1.0);
        stage.meter.give_back();
        assert_eq!(stage.meter.value(USED), 0.0);
        assert!(wire.deliver(datagrams(b"again", 5)));
        assert_eq!(&stage.received(5).await[0].buffer[..], b"again");
    });
}

#[test]
fn without_credit_nothing_is_read_and_the_kernel_drops() {
    paused(async {
        let (mut stage, wire) = on_wire(100);
        settle().await;
        for _ in 0..100 {
            assert!(wire.deliver(datagrams(b"hello", 5)));
        }
        let batches = stage.heard.all().await;
        assert_eq!(batches.len(), DISPATCHER_BATCHES as usize);
        let left = wire.waiting();
        assert!(left > 0);
        settle().await;
        assert_eq!(wire.waiting(), left);
        while wire.deliver(datagrams(b"hello", 5)) {}
        assert_eq!(stage.meter.value("quicast_edge_full_total{edge=\"socket_dispatcher\"}"), 1.0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.credit.give_back();
        stage.heard.next().await;
        assert_eq!(stage.meter.value("quicast_socket_kernel_drops_total{shard=\"0\"}"), 1.0);
        assert!(stage.meter.value("quicast_socket_receive_queue_bytes{shard=\"0\"}") > 0.0);
    });
}

#[test]
fn with_all_buffers_held_what_arrives_is_copied() {
    paused(async {
        let (socket, wire) = MemorySocket::new(address(443), 64);
        let mut stage = stage(BoundSocket::Memory(socket), 3, 8);
        let mut held = Vec::new();
        for round in 0..20 {
            assert!(wire.deliver(datagrams(&pattern(40_000 + round), 1_200)));
            held.extend(stage.received(1).await);
        }
        assert!(held.iter().enumerate().all(|(round, one)| one.buffer[..] == pattern(40_000 + round)));
        assert_eq!(stage.meter.value("quicast_socket_buffers{state=\"used\"}"), 3.0);
        drop(held);
        for _ in 0..20 {
            assert!(wire.deliver(datagrams(&pattern(40_000), 1_200)));
            assert_eq!(&stage.received(1).await[0].buffer[..], pattern(40_000));
        }
    });
}

/// A flood of empty datagrams takes the thread from nobody: each takes a place in a batch, and after each batch everybody
/// else has a turn.
#[test]
fn empty_datagrams_cost_as_others_do() {
    paused(async {
        const FLOOD: usize = 100_000;
        let (mut stage, wire) = on_wire(FLOOD);
        for _ in 0..FLOOD {
            assert!(wire.deliver(datagrams(b"", 0)));
        }
        let (mut seen, mut most) = (0, 0);
        while seen < FLOOD {
            // That this test runs at all between two batches shows that the others do, too.
            let before = wire.waiting();
            let batch = stage.heard.next().await.batch;
            stage.credit.give_back();
            assert!(batch.iter().all(|one| one.buffer.is_empty()));
            most = most.max(before - wire.waiting());
            seen += batch.len();
        }
        assert!(most <= 16 * DISPATCHER_BATCHES as usize);
        assert_eq!(stage.meter.value("quicast_socket_received_datagrams_total{shard=\"0\"}"), FLOOD as f64);
    });
}

const ERRORS: [(Errno, &str); 12] = [
    (Errno::EMSGSIZE, "emsgsize"),
    (Errno::ENOBUFS, "enobufs"),
    (Errno::ECONNREFUSED, "econnrefused"),
    (Errno::EPERM, "eperm"),
    (Errno::ECONNRESET, "other"),
    (Errno::ENETUNREACH, "other"),
    (Errno::EHOSTUNREACH, "other"),
    (Errno::EHOSTDOWN, "other"),
    (Errno::ENETDOWN, "other"),
    (Errno::EACCES, "other"),
    (Errno::EADDRNOTAVAIL, "other"),
    (Errno::ENOMEM, "other"),
];

#[test]
fn no_error_of_receiving_ends_anything() {
    paused(async {
        let (mut stage, wire) = on_wire(64);
        for (errno, label) in ERRORS {
            let before = stage.errors("receive", label);
            for _ in 0..100 {
                wire.fail_receive(errno);
            }
            assert!(wire.deliver(datagrams(b"still there", 11)));
            assert_eq!(&stage.received(11).await[0].buffer[..], b"still there");
            assert_eq!(stage.errors("receive", label) - before, 100.0, "{errno}");
        }
    });
}

#[test]
fn no_error_of_sending_ends_anything() {
    paused(async {
        let (mut stage, wire) = on_wire(64);
        for (errno, label) in ERRORS {
            let before = stage.errors("send", label);
            wire.fail_send(errno);
            stage.send(address(9), b"lost", 4);
            stage.send(address(9), b"sent", 4);
            assert_eq!(&wire.sent().await.bytes[..], b"sent", "{errno}");
            assert_eq!(stage.errors("send", label) - before, 1.0, "{errno}");
        }
        assert!(stage.down.all().await.is_empty());
        assert_eq!(stage.meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 8.0);
    });
}

#[test]
fn what_the_kernel_has_no_room_for_waits_and_then_leaves_in_order() {
    paused(async {
        let (stage, wire) = on_wire(2);
        let mut waiting = Recorder::<BuffersFreed>::start();
        for number in 0..8_u8 {
            stage.send(address(9), &[number; 3], 3);
        }
        settle().await;
        let back = [stage.send_pool.take(), stage.send_pool.take()];
        assert!(back.iter().all(Option::is_some) && stage.send_pool.take().is_none(), "six of eight wait");
        stage.send_pool.wait(waiting.recipient());
        assert!(stage.errors("send", "eagain") >= 1.0);
        for number in 0..8_u8 {
            assert_eq!(wire.sent().await.bytes[..], [number; 3]);
        }
        waiting.next().await;
        settle().await;
        assert_eq!(stage.meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 6.0);
        assert_eq!(stage.meter.value("quicast_socket_sent_datagrams_total{shard=\"0\"}"), 8.0);
    });
}

#[test]
fn a_long_queue_leaves_in_several_turns() {
    paused(async {
        let (stage, wire) = on_wire(1_000);
        wire.set_segments(1);
        let batches = [40, 10].map(|count| stage.batch(address(9), &pattern(100 * count), 100));
        stage.actor.do_send(SendDatagrams { batches: batches.into_iter().collect() });
        for index in 0..50 {
            let offset = if index < 40 { index * 100 } else { (index - 40) * 100 };
            assert_eq!(wire.sent().await.bytes[..], pattern(offset + 100)[offset..]);
        }
    });
}

#[test]
fn where_segmentation_is_refused_datagrams_leave_one_by_one() {
    paused(async {
        let (stage, wire) = on_wire(64);
        wire.fail_send(Errno::EIO);
        stage.send(address(9), &pattern(2_500), 1_000);
        let sizes = [wire.sent().await, wire.sent().await, wire.sent().await].map(|one| one.bytes.len());
        assert_eq!(sizes, [1_000, 1_000, 500]);
        stage.send(address(9), &pattern(2_500), 1_000);
        assert_eq!(wire.sent().await.bytes.len(), 2_500);
        assert_eq!(stage.meter.value("quicast_socket_send_batch_datagrams_count"), 4.0);
        assert_eq!(stage.meter.value("quicast_socket_sent_datagrams_total{shard=\"0\"}"), 6.0);
    });
}

#[test]
fn a_buffer_that_is_too_full_for_one_call_leaves_in_two() {
    paused(async {
        let (stage, wire) = on_wire(64);
        let full = pattern(BUFFER_SIZE);
        stage.send(address(9), &full, 1_024);
        let (first, second) = (wire.sent().await.bytes, wire.sent().await.bytes);
        assert_eq!((first.len(), second.len()), (63 * 1_024, 1_024));
        assert_eq!([first, second].concat(), full);
    });
}

#[test]
fn nothing_is_sent_to_port_zero() {
    paused(async {
        let (stage, wire) = on_wire(64);
        stage.send(address(0), &pattern(2_400), 1_200);
        settle().await;
        assert_eq!(wire.take(), None);
        assert_eq!(stage.errors("send", "other"), 1.0);
    });
}

#[test]
fn after_a_rebind_everything_goes_through_the_new_socket() {
    paused(async {
        let (mut stage, old) = on_wire(1);
        stage.send(address(9), b"first", 5);
        stage.send(address(9), b"second", 6);
        settle().await;
        let (socket, new) = MemorySocket::new(address(444), 64);
        stage.actor.do_send(Rebind { socket: BoundSocket::Memory(socket) });
        assert_eq!(&new.sent().await.bytes[..], b"second");
        assert_eq!(old.take().map(|one| one.bytes), Some(Bytes::from_static(b"first")));
        assert!(new.deliver(datagrams(b"hello", 5)));
        assert_eq!(&stage.received(5).await[0].buffer[..], b"hello");
    });
}

#[test]
fn its_end_is_told_after_its_last_words() {
    paused(async {
        let (mut stage, wire) = on_wire(64);
        stage.send(address(9), b"goodbye", 7);
        stage.actor.do_send(Stop);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Socket, Cause::Finished));
        assert_eq!(wire.take().map(|one| one.bytes), Some(Bytes::from_static(b"goodbye")));
    });
}

#[cfg(feature = "fault-injection")]
#[test]
fn after_a_panic_another_can_go_on_with_the_same_socket_and_pools() {
    paused(async {
        let (socket, wire) = MemorySocket::new(address(443), 1);
        let mut stage = stage(BoundSocket::Memory(socket), 16, 3);
        for _ in 0..3 {
            stage.send(address(9), b"waits", 5);
        }
        settle().await;
        let mut waiting = Recorder::<BuffersFreed>::start();
        stage.send_pool.wait(waiting.recipient());
        stage.actor.do_send(crate::down::Panic);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Socket, Cause::Panicked));
        waiting.next().await;
        assert!((0..3).all(|_| stage.send_pool.take().is_some()));
        assert!((0..16).all(|_| stage.receive_pool.take().is_some()), "nothing is lost");
        assert!(wire.take().is_some());
    });
}

#[test]
fn a_burst_crosses_loopback_in_one_call_each_way() {
    running(async {
        let (sender, mut receiver) = (on_loopback(), on_loopback());
        let burst = pattern(44 * 1_452);
        let mut batch = sender.batch(receiver.address, &burst, 1_452);
        batch.transmit.ecn = Some(Ecn::Ect0);
        batch.transmit.local = Some(sender.address.ip());
        sender.actor.do_send(SendDatagrams { batches: smallvec![batch] });
        let received = receiver.received(burst.len()).await;
        assert_eq!(received.len(), 1, "GRO keeps the burst together");
        assert_eq!((received[0].segment_size, received[0].ecn), (1_452, Some(Ecn::Ect0)));
        assert_eq!((received[0].remote, received[0].local), (sender.address, Some(receiver.address.ip())));
        assert_eq!(&received[0].buffer[..], burst);
        assert_eq!(sender.meter.value("quicast_socket_send_calls_total{shard=\"0\"}"), 1.0);
        assert_eq!(receiver.meter.value("quicast_socket_received_datagrams_total{shard=\"0\"}"), 44.0);
        assert_eq!(receiver.meter.value("quicast_socket_offload_enabled{offload=\"gro\"}"), 1.0);
        assert!(receiver.meter.value("quicast_socket_buffer_bytes{direction=\"receive\"}") > 0.0);
    });
}

#[test]
fn ecn_marks_survive_both_families() {
    running(async {
        for address in [address(0), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0))] {
            let bound = || bind::bind(address, 1, bind::KERNEL_BUFFER).unwrap().remove(0);
            let (sender, mut receiver) = (stage(bound(), 16, 8), stage(bound(), 16, 8));
            for ecn in [None, Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)] {
                let mut batch = sender.batch(receiver.address, b"mark", 4);
                batch.transmit.ecn = ecn;
                sender.actor.do_send(SendDatagrams { batches: smallvec![batch] });
                assert_eq!(receiver.received(4).await[0].ecn, ecn);
            }
        }
    });
}

#[test]
fn errors_on_a_real_socket_stop_nothing_and_leave_offloads_on() {
    running(async {
        let (sender, mut receiver) = (on_loopback(), on_loopback());
        // Too large for any datagram; nobody there; an address that is not ours; port 0; a segment that no device takes.
        sender.send(receiver.address, &pattern(BUFFER_SIZE), BUFFER_SIZE);
        let closed = std::net::UdpSocket::bind(address(0)).unwrap().local_addr().unwrap();
        sender.send(closed, b"nobody", 6);
        for _ in 0..5 {
            let mut foreign = sender.batch(receiver.address, &pattern(3_000), 1_000);
            foreign.transmit.local = Some([192, 0, 2, 1].into());
            sender.actor.do_send(SendDatagrams { batches: smallvec![foreign] });
            sender.send(address(0), &pattern(3_000), 1_000);
            let mut burst = sender.batch(receiver.address, &pattern(30_000), 1_000);
            burst.transmit.ecn = Some(Ecn::Ect0);
            sender.actor.do_send(SendDatagrams { batches: smallvec![burst] });
        }
        let received = receiver.received(150_000).await;
        assert!(received.iter().all(|one| one.ecn == Some(Ecn::Ect0)));
        assert_eq!(sender.errors("send", "emsgsize"), 1.0);
        assert!(sender.errors("send", "other") >= 10.0);
        assert_eq!(
            sender.meter.value("quicast_socket_send_calls_total{shard=\"0\"}"),
            6.0,
            "bursts still leave in one call"
        );
        assert_eq!(sender.meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 64.0);
    });
}

#[test]
fn how_long_datagrams_wait_in_the_kernel_is_measured_now_and_then() {
    running(async {
        let (sender, mut receiver) = (on_loopback(), on_loopback());
        for _ in 0..=udp::RECEIVE_SAMPLED {
            sender.send(receiver.address, b"now", 3);
            assert_eq!(receiver.received(3).await.len(), 1, "a look leaves the datagram where it is");
        }
        let count = receiver.meter.value("quicast_socket_receive_latency_seconds_count");
        assert_eq!(count, 2.0, "the first call and the one after {} more", udp::RECEIVE_SAMPLED - 1);
        let sum = receiver.meter.value("quicast_socket_receive_latency_seconds_sum");
        assert!((0.0..60.0).contains(&sum), "{sum} s: not the difference of two readings of one clock");
    });
}

#[test]
fn what_the_kernel_drops_is_counted() {
    running(async {
        let mut sockets = bind::bind(address(0), 1, 16_384).unwrap();
        let mut receiver = stage(sockets.remove(0), 16, 8);
        for _ in 0..DISPATCHER_BATCHES {
            assert!(receiver.credit.try_take());
        }
        let sender = std::net::UdpSocket::bind(address(0)).unwrap();
        for _ in 0..200 {
            sender.send_to(&[0; 1_200], receiver.address).unwrap();
        }
        assert!(receiver.heard.all().await.is_empty());
        receiver.credit.give_back();
        receiver.heard.next().await;
        settle().await;
        assert!(receiver.meter.value("quicast_socket_kernel_drops_total{shard=\"0\"}") > 100.0);
    });
}

#[test]
fn a_socket_that_looks_for_datagrams_finds_them_before_it_sleeps_and_after() {
    running(async {
        let bound = bind::bind(address(0), 1, bind::KERNEL_BUFFER).unwrap().remove(0);
        let mut receiver = stage_that_looks(bound, 16, 8, Duration::from_millis(1));
        let sender = on_loopback();
        let mut pauses = tokio::time::interval(Duration::from_millis(3));
        for round in 0..40 {
            sender.send(receiver.address, b"look", 4);
            assert_eq!(receiver.received(4).await.len(), 1);
            if round % 8 == 0 {
                // It has given up looking, and is woken by the kernel, or by what it sends itself.
                pauses.tick().await;
                pauses.tick().await;
                receiver.send(sender.address, b"stir", 4);
            }
        }
        assert_eq!(receiver.errors("receive", "eagain"), 0.0);
    });
}

/// Not a test of speed: a bound that only a mistake of orders of magnitude can break.
#[test]
fn many_bursts_cross_loopback() {
    running(async {
        let (sender, mut receiver) = (on_loopback(), on_loopback());
        let (begin, burst) = (clock::now(), pattern(44 * 1_452));
        for _ in 0..500 {
            sender.send(receiver.address, &burst, 1_452);
            let received = receiver.received(burst.len()).await;
            assert!(received.iter().flat_map(|one| one.buffer.iter()).eq(&burst));
        }
        assert!(clock::now() - begin < Duration::from_secs(20));
        let made = receiver.meter.value("quicast_socket_buffers{state=\"used\"}");
        assert!(made < 16.0, "{made} buffers where a few come back in time");
    });
}

#[test]
fn a_send_buffer_outside_a_pool_is_a_whole_one() {
    assert_eq!(SendBuffer::detached().len(), BUFFER_SIZE);
}

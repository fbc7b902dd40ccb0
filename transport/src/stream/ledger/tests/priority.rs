//! Who sends first: urgencies, turns and order, and that nothing of it is lost when it changes.

use super::*;
use crate::stream::ledger::table::{Stream, Table};

const PACKET: usize = 1_200;

/// What the next packets carry, a line each, until nothing is left.
fn packets(ledger: &mut Ledger) -> Vec<String> {
    let mut packets = Vec::new();
    while ledger.has_unblocked_data() {
        packets.push(packet(ledger, PACKET).0.join(", "));
    }
    packets
}

/// Which streams the next packets carry, each once for every packet in a row.
fn order(ledger: &mut Ledger) -> Vec<u64> {
    let mut order = Vec::new();
    while ledger.has_unblocked_data() {
        for token in packet(ledger, PACKET).1 {
            if let Token::Stream { id, .. } = token {
                order.push(id.index());
            }
        }
    }
    order.dedup();
    order
}

//= https://www.rfc-editor.org/rfc/rfc9218#section-10
//= type=test
//# It is RECOMMENDED that, when possible, servers respect the urgency parameter
//# ({{urgency}}), sending higher-urgency responses before lower-urgency responses.
#[test]
fn the_most_urgent_goes_first_and_the_default_is_in_the_middle() {
    for incremental in [false, true] {
        let mut ledger = server();
        for (index, urgency) in [7, 0, 4, 2, 3].into_iter().enumerate() {
            prioritize(&mut ledger, uni_of_server(index as u64), urgency, incremental);
            write(&mut ledger, uni_of_server(index as u64), 3_000, true);
        }
        write(&mut ledger, uni_of_server(5), 3_000, true);
        output(&mut ledger, StreamOutput::Prioritize { id: uni_of_server(6), priority: Priority::BEFORE_ALL });
        write(&mut ledger, uni_of_server(6), 3_000, true);
        let order = order(&mut ledger);
        assert_eq!(order[..3], [6, 1, 3], "{order:?}");
        assert_eq!(order[order.len() - 2..], [2, 0], "{order:?}");
        assert!(order[3..order.len() - 2].iter().all(|index| [4, 5].contains(index)), "{order:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9218#section-10
//= type=test
//# Non-incremental responses of the same urgency SHOULD be served by prioritizing
//# bandwidth allocation in ascending order of the stream ID, which corresponds to
//# the order in which clients make requests.
#[test]
fn what_is_not_incremental_is_sent_in_the_order_of_ids_whoever_wrote_first() {
    let mut ledger = server();
    for index in [3, 1, 4, 0, 2] {
        prioritize(&mut ledger, uni_of_server(index), 3, false);
        write(&mut ledger, uni_of_server(index), 2_500, true);
    }
    assert_eq!(order(&mut ledger), [0, 1, 2, 3, 4]);
    // Whoever waits for its application gives way, and has its place again.
    for index in 5..8 {
        prioritize(&mut ledger, uni_of_server(index), 3, false);
    }
    write(&mut ledger, uni_of_server(6), 5_000, true);
    write(&mut ledger, uni_of_server(7), 1_000, true);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 27 0+1198"]);
    write(&mut ledger, uni_of_server(5), 1_500, true);
    assert_eq!(order(&mut ledger), [5, 6, 7]);
}

#[test]
fn incremental_streams_of_an_urgency_take_turns_as_those_without_a_priority_do() {
    let plain = {
        let mut ledger = server();
        (0..3).for_each(|index| write(&mut ledger, uni_of_server(index), 3_000, true));
        packets(&mut ledger)
    };
    for urgency in 0..8 {
        let mut ledger = server();
        for index in 0..3 {
            prioritize(&mut ledger, uni_of_server(index), urgency, true);
            write(&mut ledger, uni_of_server(index), 3_000, true);
        }
        assert_eq!(packets(&mut ledger), plain, "urgency {urgency}");
    }
}

#[test]
fn a_turn_goes_on_after_something_more_urgent_so_that_nobody_keeps_it_for_ever() {
    let mut ledger = server();
    for index in 0..2 {
        prioritize(&mut ledger, uni_of_server(index), 5, true);
        write(&mut ledger, uni_of_server(index), 20_000, false);
    }
    prioritize(&mut ledger, uni_of_server(2), 0, true);
    let mut sent = [0; 3];
    for _ in 0..20 {
        // Half of each packet is something urgent.
        write(&mut ledger, uni_of_server(2), 600, false);
        for token in packet(&mut ledger, PACKET).1 {
            if let Token::Stream { id, length, .. } = token {
                sent[id.index() as usize] += length;
            }
        }
    }
    assert_eq!(sent[2], 12_000);
    assert!(sent[0].abs_diff(sent[1]) < 1_300, "{sent:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9218#section-10
//= type=test
//# It is RECOMMENDED that servers avoid such starvation where possible.
#[test]
fn of_one_urgency_half_is_shared_and_half_is_sent_in_order() {
    for urgency in [3, 6] {
        let mut ledger = server();
        for index in 0..4 {
            prioritize(&mut ledger, uni_of_server(index), urgency, index >= 2);
            write(&mut ledger, uni_of_server(index), 30_000, true);
        }
        let mut sent = [0_u32; 4];
        for _ in 0..20 {
            for token in packet(&mut ledger, PACKET).1 {
                if let Token::Stream { id, length, .. } = token {
                    sent[id.index() as usize] += length;
                }
            }
        }
        assert_eq!(sent[1], 0, "one after the other: {sent:?}");
        assert!(sent[0].abs_diff(sent[2] + sent[3]) <= 1_300, "{sent:?}");
        assert!(sent[2].abs_diff(sent[3]) <= 1_300, "{sent:?}");
    }
}

#[test]
fn what_was_lost_goes_before_what_is_new_of_its_urgency_and_of_less_urgent_streams_alone() {
    let mut ledger = server();
    for (index, urgency) in [(0, 2), (1, 4), (2, 4)] {
        prioritize(&mut ledger, uni_of_server(index), urgency, false);
    }
    write(&mut ledger, uni_of_server(1), 500, false);
    let (_, lost) = packet(&mut ledger, PACKET);
    write(&mut ledger, uni_of_server(0), 300, true);
    write(&mut ledger, uni_of_server(2), 300, true);
    lose(&mut ledger, lost);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+300 fin", "stream 7 0+500", "stream 11 0+300 fin"]);
}

#[test]
fn what_was_lost_is_sent_again_even_when_more_urgent_streams_wait_for_the_connections_credit() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_data: 100, ..PEER });
    prioritize(&mut ledger, uni_of_server(0), 7, false);
    write(&mut ledger, uni_of_server(0), 100, false);
    let (_, lost) = packet(&mut ledger, PACKET);
    prioritize(&mut ledger, uni_of_server(1), 0, false);
    write(&mut ledger, uni_of_server(1), 100, false);
    assert!(!ledger.has_unblocked_data());
    lose(&mut ledger, lost);
    assert!(ledger.has_unblocked_data());
    assert_eq!(packet(&mut ledger, PACKET).0, ["data blocked 100", "stream 3 0+100"]);
    // The end of another one needs no credit either.
    write(&mut ledger, uni_of_server(0), 0, true);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 100+0 fin"]);
    ledger.on_max_data(150);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 7 0+50"]);
}

#[test]
fn a_stream_that_is_blocked_by_its_own_limit_gives_way() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_stream_data_uni: 400, ..PEER });
    prioritize(&mut ledger, uni_of_server(0), 0, false);
    prioritize(&mut ledger, uni_of_server(1), 1, false);
    write(&mut ledger, uni_of_server(0), 400, false);
    write(&mut ledger, uni_of_server(1), 400, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+400", "stream 7 0+400"]);
    ledger.on_max_stream_data(uni_of_server(1), 800).unwrap();
    write(&mut ledger, uni_of_server(1), 400, true);
    assert!(packet(&mut ledger, PACKET).0.contains(&"stream 7 400+400 fin".to_owned()));
}

#[test]
fn a_change_moves_what_is_queued_and_what_is_lost() {
    let mut ledger = server();
    for index in 0..3 {
        write(&mut ledger, uni_of_server(index), 600, false);
    }
    let (_, lost) = packet(&mut ledger, PACKET);
    for index in 0..3 {
        write(&mut ledger, uni_of_server(index), 600, true);
    }
    lose(&mut ledger, lost);
    prioritize(&mut ledger, uni_of_server(2), 1, false);
    prioritize(&mut ledger, uni_of_server(0), 5, true);
    assert_eq!(
        packet(&mut ledger, 4_000).0.join(", "),
        "stream 11 0+1200 fin, stream 7 0+594, stream 7 594+606 fin, stream 3 0+600, stream 3 600+600 fin"
    );
}

#[test]
fn a_change_back_to_the_default_is_as_if_there_had_been_none() {
    let mut ledger = server();
    write(&mut ledger, uni_of_server(0), 2_000, true);
    for (urgency, incremental) in [(0, false), (7, true), (3, false), (3, true)] {
        prioritize(&mut ledger, uni_of_server(0), urgency, incremental);
    }
    write(&mut ledger, uni_of_server(1), 2_000, true);
    assert_eq!(order(&mut ledger), [0, 1, 0, 1]);
}

#[test]
fn a_priority_opens_a_stream_of_ours_and_is_ignored_of_one_that_is_gone() {
    let mut ledger = server();
    prioritize(&mut ledger, uni_of_server(1), 0, false);
    assert_eq!(ledger.open_streams(), [[0, 2], [0, 0]]);
    assert!(!ledger.wants_to_send(), "the peer hears of it with its first bytes");
    write(&mut ledger, uni_of_server(0), 10, true);
    let (_, tokens) = packet(&mut ledger, PACKET);
    acknowledge(&mut ledger, tokens);
    prioritize(&mut ledger, uni_of_server(0), 1, true);
    let wish = |id| StreamOutput::Prioritize { id, priority: Priority::BEFORE_ALL };
    assert!(ledger.on_output(NOW, wish(uni_of_client(0))).is_err(), "the peer's, one way");
    assert!(ledger.on_output(NOW, wish(bidi_of_client(0))).is_err(), "not opened");
}

#[test]
fn streams_that_are_reset_or_removed_leave_no_trace_in_any_queue() {
    let mut ledger = server();
    for (index, (urgency, incremental)) in [(0, false), (3, false), (5, true)].into_iter().enumerate() {
        let id = uni_of_server(index as u64);
        prioritize(&mut ledger, id, urgency, incremental);
        write(&mut ledger, id, 600, false);
        let (_, lost) = packet(&mut ledger, PACKET);
        write(&mut ledger, id, 600, false);
        lose(&mut ledger, lost);
        output(&mut ledger, StreamOutput::Reset { id, code: 1 });
    }
    assert!(!ledger.has_unblocked_data());
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames.len(), 3);
    acknowledge(&mut ledger, tokens);
    assert_eq!(ledger.open_streams(), [[0, 0], [0, 0]]);
    assert_eq!(ledger.table.levels.mask(), super::super::levels::Levels::default().mask());
    ledger.shrink();
}

#[test]
fn priorities_make_neither_streams_nor_idle_connections_larger() {
    assert!(size_of::<Stream>() <= 392, "{}", size_of::<Stream>());
    assert!(size_of::<Table>() <= 208, "{}", size_of::<Table>());
    let mut ledger = server();
    prioritize(&mut ledger, uni_of_server(0), 0, true);
    write(&mut ledger, uni_of_server(0), 10, false);
    ledger.shrink();
    assert!(ledger.has_unblocked_data(), "what waits is kept");
    packet(&mut ledger, PACKET);
    assert!(ledger.table.levels.has_room());
    ledger.shrink();
    assert!(!ledger.table.levels.has_room());
    write(&mut ledger, uni_of_server(0), 10, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 10+10"]);
}

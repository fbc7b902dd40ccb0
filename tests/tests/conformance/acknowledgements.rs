//! Acknowledgements: of numbers that were left out, and how often the victim sends its own (RFC 9000 §13.2, §21.4).

use std::time::Duration;

use codec::TransportErrorCode;
use codec::cursor::Writer;
use codec::frame::{Frame, encode_ack};
use quicast_tests::Puppet;
use quicast_tests::puppet::{Forged, Stage};
use recovery::SpaceId;

use crate::support::*;

/// Makes the victim send until it leaves out a number, which it does now and then, and says which.
fn skipped_number(puppet: &mut Puppet) -> u64 {
    for _ in 0..2_000 {
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        let mut numbers =
            puppet.heard.iter().rev().filter(|heard| heard.space == SpaceId::Application).map(|heard| heard.number);
        if let (Some(last), Some(before)) = (numbers.next(), numbers.next())
            && last == before + 2
        {
            return before + 1;
        }
    }
    panic!("no number was ever left out");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-21.4
//= type=test
//# An endpoint MAY skip packet numbers when sending packets to detect
//# this behavior.
#[test]
fn an_acknowledgement_of_a_number_that_was_left_out_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        puppet.say_bytes(SpaceId::Application, &raw(&[0x02, skipped, 0, 0, 0]));
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn an_acknowledgement_of_a_range_across_a_number_that_was_left_out_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        puppet.say_bytes(SpaceId::Application, &raw(&[0x02, skipped + 1, 0, 0, 2]));
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn an_acknowledgement_of_the_numbers_around_one_that_was_left_out_is_in_order() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        encode_ack(&mut writer, 0, [skipped + 1..=skipped + 1, skipped - 1..=skipped - 1].into_iter(), None).unwrap();
        puppet.say_bytes(SpaceId::Application, writer.written());
        assert_goes_on(&mut puppet);
    }
}

// ── How often the victim acknowledges ────────────────────────────────────────────────────────────────────────────

fn acknowledgements(puppet: &Puppet) -> usize {
    puppet.heard_frames(SpaceId::Application).filter(|frame| matches!(frame, Frame::Ack(_))).count()
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.2
//= type=test
//# A receiver SHOULD send an ACK frame after receiving at least two ack-eliciting
//# packets.
#[test]
fn every_second_ack_eliciting_packet_is_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = acknowledgements(&puppet);
        for _ in 0..100 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        assert_eq!(acknowledgements(&puppet) - before, 50, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
//# immediately and all ack-eliciting 0-RTT and 1-RTT packets within its advertised
//# max_ack_delay
#[test]
fn a_single_packet_is_acknowledged_within_the_announced_delay_and_not_twice() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = acknowledgements(&puppet);
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_eq!(acknowledgements(&puppet), before, "{victim:?}");
        puppet.advance(Duration::from_millis(25));
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}");
        puppet.advance(Duration::from_secs(2));
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}");
    }
}

#[test]
fn handshake_packets_are_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let before = puppet.heard_frames(SpaceId::Handshake).filter(|frame| matches!(frame, Frame::Ack(_))).count();
        puppet.say(SpaceId::Handshake, &[Frame::Ping]);
        let after = puppet.heard_frames(SpaceId::Handshake).filter(|frame| matches!(frame, Frame::Ack(_))).count();
        assert_eq!(after, before + 1, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# An endpoint MUST NOT send a non-ack-eliciting packet in response to a
//# non-ack-eliciting packet, even if there are packet gaps that precede the
//# received packet.
#[test]
fn acknowledgements_are_not_acknowledged() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = puppet.heard.len();
        for _ in 0..50 {
            puppet.acknowledge(SpaceId::Application);
            puppet.next_numbers[SpaceId::Application.index()] += 2;
            puppet.say_bytes(SpaceId::Application, &[0; 30]);
        }
        puppet.advance(Duration::from_secs(1));
        assert_eq!(puppet.heard.len(), before, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# In order to assist loss detection at the sender, an endpoint SHOULD generate and
//# send an ACK frame without delay when it receives an ack-eliciting packet either:
#[test]
fn a_packet_out_of_order_is_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..2 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        let before = acknowledgements(&puppet);
        puppet.next_numbers[SpaceId::Application.index()] += 5;
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}: a gap");
        let late = puppet.next_numbers[SpaceId::Application.index()] - 3;
        puppet.forge(&Forged { number: Some(late), ..Forged::new(SpaceId::Application, &[1]) });
        assert_eq!(acknowledgements(&puppet), before + 2, "{victim:?}: a late packet");
    }
}

/// RFC 9000 §13.2.4: whoever only acknowledges has to be acknowledged now and then, or remembers everything for ever.
#[test]
fn a_victim_that_only_acknowledges_asks_for_an_acknowledgement_now_and_then() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let from = puppet.heard.len();
        for _ in 0..200 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        let (mut run, mut longest) = (0, 0);
        for heard in &puppet.heard[from..] {
            run = if heard.frames().any(|frame| frame.is_ack_eliciting()) { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        assert_eq!(longest, transport::limits::ACK_ONLY_PACKETS, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3
//= type=test
//# ACK frames SHOULD always acknowledge the most recently received packets
#[test]
fn acknowledgements_name_the_newest_packet_and_no_more_ranges_than_are_kept() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..300 {
            puppet.next_numbers[SpaceId::Application.index()] += 1;
            puppet.say(SpaceId::Application, &[Frame::Ping]);
            let newest = puppet.next_numbers[SpaceId::Application.index()] - 1;
            let last = puppet.heard.last().unwrap();
            for frame in last.frames() {
                if let Frame::Ack(ack) = frame {
                    assert_eq!(ack.largest, newest, "{victim:?}");
                    assert!(ack.ranges().count() <= 64, "{victim:?}");
                }
            }
        }
    }
}

#[test]
fn an_acknowledgement_of_everything_that_was_sent_is_in_order_however_often_it_is_said() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..100 {
            puppet.acknowledge(SpaceId::Application);
        }
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn numbers_are_left_out_again_and_again() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..4_000 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
            puppet.say(SpaceId::Application, &[Frame::Ping]);
            if puppet.heard.len().is_multiple_of(20) {
                puppet.acknowledge(SpaceId::Application);
            }
        }
        let mut numbers: Vec<u64> =
            puppet.heard.iter().filter(|heard| heard.space == SpaceId::Application).map(|heard| heard.number).collect();
        numbers.sort_unstable();
        let skipped = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(skipped >= 4, "{victim:?}: {skipped} of {}", numbers.len());
        assert_goes_on(&mut puppet);
    }
}

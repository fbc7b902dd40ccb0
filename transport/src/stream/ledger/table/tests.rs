//! The queues of streams without a priority, and the table's room.

use codec::Direction;

use super::*;

fn stream(index: u64) -> Stream {
    Stream::new(StreamId::new(Side::Client, Direction::Bidirectional, index), Time::ZERO, None, None)
}

fn order(table: &mut Table) -> Vec<u64> {
    let mut indices = Vec::new();
    while let Some(slot) = table.first(List::Ready) {
        indices.push(table.get(slot).unwrap().id.index());
        table.unlist(List::Ready, slot);
    }
    indices
}

#[test]
fn queues_keep_their_order_and_a_removed_stream_leaves_them() {
    let mut table = Table::default();
    let slots: Vec<_> = (0..5).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
    for slot in &slots {
        table.enlist(List::Ready, *slot);
        table.enlist(List::Ready, *slot);
        table.enlist(List::Bare, *slot);
    }
    table.rotate(DEFAULT_LEVEL);
    for removed in [2, 4] {
        table.remove(Side::Client, slots[removed]).unwrap();
    }
    assert_eq!(order(&mut table), [1, 3, 0]);
    assert_eq!(table.open(), [[3, 0], [0, 0]]);
    assert!(table.find(stream(2).id).is_none());
    assert_eq!(table.find(stream(3).id), Some(slots[3]));
}

#[test]
fn an_idle_table_has_no_room_once_it_is_told_to_shrink() {
    let mut table = Table::default();
    let slots: Vec<_> = (0..1000).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
    for slot in &slots[1..] {
        table.remove(Side::Client, *slot).unwrap();
    }
    table.shrink();
    assert_eq!((table.streams.capacity(), table.find(stream(0).id)), (1, Some(slots[0])));
    assert!(table.slots.capacity() < 4, "{}", table.slots.capacity());
    table.remove(Side::Client, slots[0]).unwrap();
    table.shrink();
    assert_eq!((table.streams.capacity(), table.slots.capacity()), (0, 0));
}

#[test]
fn whoever_is_alone_in_a_queue_stays_there_when_turns_are_taken() {
    let mut table = Table::default();
    let slots: Vec<_> = (0..2).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
    table.rotate(DEFAULT_LEVEL);
    table.enlist(List::Ready, slots[0]);
    table.rotate(DEFAULT_LEVEL);
    table.enlist(List::Ready, slots[1]);
    table.rotate(DEFAULT_LEVEL);
    assert_eq!(order(&mut table), [1, 0]);
}

#[test]
fn a_control_frame_is_wanted_once_and_counted_until_forgotten() {
    let mut table = Table::default();
    let slot = table.insert(Side::Client, stream(0)).unwrap();
    table.want(slot, Control::ResetStream);
    table.want(slot, Control::ResetStream);
    table.want(slot, Control::StopSending);
    assert_eq!((table.control_frames(), table.waiting(Control::ResetStream)), (2, 1));
    table.forget(slot, Control::ResetStream);
    assert_eq!(table.first(List::Control), Some(slot));
    table.forget(slot, Control::StopSending);
    assert_eq!((table.control_frames(), table.first(List::Control)), (0, None));
    table.want(slot, Control::MaxStreamData);
    table.remove(Side::Client, slot).unwrap();
    assert_eq!((table.control_frames(), table.first(List::Control)), (0, None));
}

use codec::TransportErrorCode;
use proptest::prelude::*;

use super::*;

fn id(number: u64) -> ConnectionId {
    ConnectionId::new(&number.to_be_bytes()).unwrap()
}

fn frame(sequence: u64, retire_prior_to: u64) -> NewConnectionId {
    let mut token = [0xaa; 16];
    token[..8].copy_from_slice(&sequence.to_be_bytes());
    NewConnectionId { sequence, retire_prior_to, id: id(sequence + 1000), reset_token: ResetToken(token) }
}

fn ids() -> PeerIds {
    PeerIds::new(id(1000))
}

fn code(result: Result<(), TransportError>) -> Option<TransportErrorCode> {
    result.err().map(|error| error.code)
}

fn path(index: usize) -> PathIndex {
    PathIndex::all().nth(index).unwrap()
}

fn sequences(ids: &PeerIds) -> Vec<u64> {
    ids.active.iter().map(|given| given.sequence).collect()
}

fn send_retires(ids: &mut PeerIds) -> Vec<u64> {
    std::iter::from_fn(|| {
        let sequence = ids.next_retire()?;
        ids.on_retire_sent(sequence);
        Some(sequence)
    })
    .collect()
}

fn changes(ids: &mut PeerIds) -> Vec<(bool, u64)> {
    let number = |token: ResetToken| u64::from_be_bytes(*token.0.first_chunk().unwrap());
    std::iter::from_fn(|| ids.poll_route())
        .map(|change| match change {
            RouteChange::AddResetToken(token) => (true, number(token)),
            RouteChange::RemoveResetToken(token) => (false, number(token)),
            other => panic!("{other:?}"),
        })
        .collect()
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
//= type=test
//# After
//# processing a NEW_CONNECTION_ID frame and adding and retiring active connection
//# IDs, if the number of active connection IDs exceeds the value advertised in its
//# active_connection_id_limit transport parameter, an endpoint MUST close the
//# connection with an error of type CONNECTION_ID_LIMIT_ERROR.
#[test]
fn four_ids_are_kept_and_a_fifth_closes() {
    let mut ids = ids();
    for sequence in 1..4 {
        ids.on_new_connection_id(&frame(sequence, 0)).unwrap();
    }
    assert_eq!(sequences(&ids), [0, 1, 2, 3]);
    let result = ids.on_new_connection_id(&frame(4, 0));
    assert_eq!(code(result), Some(TransportErrorCode::CONNECTION_ID_LIMIT_ERROR));
}

#[test]
fn a_fifth_that_takes_another_back_is_kept() {
    let mut ids = ids();
    for sequence in 1..4 {
        ids.on_new_connection_id(&frame(sequence, 0)).unwrap();
    }
    ids.on_new_connection_id(&frame(4, 1)).unwrap();
    assert_eq!(sequences(&ids), [1, 2, 3, 4]);
    assert_eq!(send_retires(&mut ids), [0]);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
//= type=test
//# Upon receipt of an increased Retire Prior To field, the peer MUST stop using
//# the corresponding connection IDs and retire them with RETIRE_CONNECTION_ID
//# frames before adding the newly provided connection ID to the set of active
//# connection IDs.
#[test]
fn an_id_that_is_taken_back_is_replaced_by_the_new_one() {
    let mut ids = ids();
    assert_eq!(ids.current(), id(1000));
    ids.on_new_connection_id(&frame(1, 1)).unwrap();
    assert_eq!(ids.current(), id(1001));
    assert_eq!(ids.sequence(PathIndex::FIRST), Some(1));
    assert_eq!(send_retires(&mut ids), [0]);
    assert!(ids.next_retire().is_none() && !ids.has_pending());
    ids.on_lost(0);
    assert_eq!(send_retires(&mut ids), [0]);
    ids.on_acknowledged(0);
    ids.on_lost(0);
    assert!(ids.next_retire().is_none());
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# Receiving a value in the Retire
//# Prior To field that is greater than that in the Sequence Number field MUST be
//# treated as a connection error of type FRAME_ENCODING_ERROR.
#[test]
fn an_id_may_not_take_itself_back() {
    let result = ids().on_new_connection_id(&frame(1, 2));
    assert_eq!(code(result), Some(TransportErrorCode::FRAME_ENCODING_ERROR));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# An endpoint that is sending packets with a
//# zero-length Destination Connection ID MUST treat receipt of a NEW_CONNECTION_ID
//# frame as a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_peer_with_an_empty_id_gives_no_others() {
    let mut ids = PeerIds::new(ConnectionId::EMPTY);
    assert_eq!(code(ids.on_new_connection_id(&frame(1, 0))), Some(TransportErrorCode::PROTOCOL_VIOLATION));
    assert!(ids.is_without_ids());
    assert_eq!(ids.assign(path(1)), Ok(ConnectionId::EMPTY));
    ids.release(path(1)).unwrap();
    ids.release(path(0)).unwrap();
    assert!(ids.next_retire().is_none());
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# Receipt of the same
//# frame multiple times MUST NOT be treated as a connection error.
#[test]
fn a_repeated_frame_changes_nothing() {
    let mut ids = ids();
    for sequence in 1..4 {
        for _ in 0..3 {
            ids.on_new_connection_id(&frame(sequence, 0)).unwrap();
        }
    }
    assert_eq!(sequences(&ids), [0, 1, 2, 3]);
    assert_eq!(ids.spare(), 3);
}

#[test]
fn a_repeated_frame_with_other_content_is_a_violation() {
    let violation = Some(TransportErrorCode::PROTOCOL_VIOLATION);
    let given = frame(1, 0);
    for other in [
        NewConnectionId { sequence: 2, ..given },
        NewConnectionId { id: id(7), ..given },
        NewConnectionId { reset_token: ResetToken([1; 16]), ..given },
        NewConnectionId { sequence: 2, id: id(7), ..given },
        NewConnectionId { sequence: 0, ..frame(5, 0) },
        NewConnectionId { id: id(1000), ..frame(5, 0) },
    ] {
        let mut ids = ids();
        ids.on_new_connection_id(&given).unwrap();
        assert_eq!(code(ids.on_new_connection_id(&other)), violation, "{other:?}");
    }
}

#[test]
fn an_id_that_was_given_back_does_not_come_to_life_again() {
    let mut ids = ids();
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    ids.on_new_connection_id(&frame(2, 0)).unwrap();
    ids.assign(path(1)).unwrap();
    ids.release(path(1)).unwrap();
    assert_eq!(send_retires(&mut ids), [1]);
    ids.on_acknowledged(1);
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    assert_eq!(sequences(&ids), [0, 2]);
    assert!(ids.next_retire().is_none(), "it was given back already");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# An endpoint that receives a NEW_CONNECTION_ID frame with a sequence number
//# smaller than the Retire Prior To field of a previously received
//# NEW_CONNECTION_ID frame MUST send a corresponding RETIRE_CONNECTION_ID frame
//# that retires the newly received connection ID, unless it has already done so
//# for that sequence number.
#[test]
fn an_id_that_comes_too_late_is_given_back_at_once() {
    let mut ids = ids();
    ids.on_new_connection_id(&frame(3, 3)).unwrap();
    assert_eq!(send_retires(&mut ids), [0]);
    ids.on_new_connection_id(&frame(2, 0)).unwrap();
    ids.on_new_connection_id(&frame(2, 0)).unwrap();
    assert_eq!(sequences(&ids), [3]);
    assert_eq!(send_retires(&mut ids), [2]);
    ids.on_acknowledged(2);
    ids.on_new_connection_id(&frame(2, 0)).unwrap();
    assert!(ids.next_retire().is_none());
}

#[test]
fn jumps_of_the_sequence_do_no_harm() {
    let mut ids = ids();
    let largest = (1 << 62) - 1;
    ids.on_new_connection_id(&frame(largest, largest)).unwrap();
    assert_eq!(sequences(&ids), [largest]);
    assert_eq!(send_retires(&mut ids), [0]);
    ids.on_acknowledged(0);
    ids.on_new_connection_id(&frame(5, 0)).unwrap();
    assert_eq!(send_retires(&mut ids), [5], "long ago, so it is not used");
    ids.release(PathIndex::FIRST).unwrap();
    ids.on_new_connection_id(&frame(largest, 0)).unwrap();
    assert!(sequences(&ids).is_empty());
    ids.on_new_connection_id(&frame(6, 0)).unwrap();
    assert_eq!(send_retires(&mut ids), [largest, 6]);
}

/// Gives back as many ids as may be without an acknowledgement, then one more by each way there is.
#[test]
fn eight_retired_ids_may_wait_and_a_ninth_closes_whichever_way_it_came() {
    let limit = Some(TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);
    let full = || {
        let mut ids = ids();
        ids.on_new_connection_id(&frame(100, 100)).unwrap();
        for sequence in 1..RETIRED_CONNECTION_IDS as u64 {
            ids.on_new_connection_id(&frame(sequence, 0)).unwrap();
        }
        // Sent, but never acknowledged: the peer keeps our window shut.
        assert_eq!(send_retires(&mut ids).len(), RETIRED_CONNECTION_IDS);
        ids
    };
    assert_eq!(code(full().on_new_connection_id(&frame(50, 0))), limit, "given too late");
    assert_eq!(code(full().on_new_connection_id(&frame(101, 101))), limit, "taken back");
    let mut released = full();
    released.on_new_connection_id(&frame(101, 0)).unwrap();
    released.assign(path(1)).unwrap();
    assert_eq!(code(released.release(path(1))), limit, "no longer needed");
    let mut forgotten = full();
    forgotten.on_new_connection_id(&frame(1, 0)).unwrap();
    assert_eq!(forgotten.retiring.len(), RETIRED_CONNECTION_IDS, "a repeated one waits already");
    forgotten.on_acknowledged(3);
    forgotten.on_new_connection_id(&frame(101, 101)).unwrap();
    assert_eq!(code(forgotten.on_new_connection_id(&frame(102, 102))), limit);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-9.5
//= type=test
//# Similarly, an endpoint MUST NOT reuse a connection ID when sending to more than
//# one destination address.
#[test]
fn a_new_path_gets_an_id_that_no_other_path_had() {
    let mut ids = ids();
    assert_eq!(ids.assign(path(1)), Err(NoConnectionId));
    assert_eq!(ids.id(path(1)), None);
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    assert_eq!(ids.assign(path(1)), Ok(id(1001)));
    assert_eq!(ids.assign(path(2)), Err(NoConnectionId));
    ids.release(path(1)).unwrap();
    assert_eq!(ids.assign(path(2)), Err(NoConnectionId), "what one path had is not given to another");
    assert_eq!(send_retires(&mut ids), [1]);
}

#[test]
fn a_shared_id_is_given_back_with_its_last_path() {
    let mut ids = ids();
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    assert_eq!(ids.share(path(0), path(1)), Ok(id(1000)));
    ids.set_current(path(1));
    ids.release(path(0)).unwrap();
    assert_eq!(ids.current(), id(1000));
    assert!(ids.next_retire().is_none());
    ids.on_new_connection_id(&frame(2, 1)).unwrap();
    assert_eq!(ids.current(), id(1001));
    assert_eq!(ids.id(path(0)), None);
}

#[test]
fn paths_that_share_an_id_share_its_replacement() {
    let mut ids = ids();
    ids.share(path(0), path(1)).unwrap();
    ids.on_new_connection_id(&frame(1, 1)).unwrap();
    assert_eq!((ids.id(path(0)), ids.id(path(1))), (Some(id(1001)), Some(id(1001))));
}

#[test]
fn a_path_that_lost_its_id_waits_for_the_next() {
    let mut ids = ids();
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    ids.assign(path(1)).unwrap();
    ids.on_new_connection_id(&frame(2, 2)).unwrap();
    assert_eq!((ids.id(path(0)), ids.id(path(1))), (Some(id(1002)), None));
    ids.release(path(1)).unwrap();
    assert_eq!(send_retires(&mut ids), [0, 1], "what is gone is not given back again");
    ids.on_new_connection_id(&frame(3, 0)).unwrap();
    assert_eq!(ids.assign(path(1)), Ok(id(1003)));
}

#[test]
fn the_current_path_gets_the_first_new_id() {
    let mut ids = ids();
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    ids.assign(path(1)).unwrap();
    ids.set_current(path(1));
    ids.on_new_connection_id(&frame(2, 2)).unwrap();
    assert_eq!((ids.current(), ids.id(path(1)), ids.id(path(0))), (id(1002), Some(id(1002)), None));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
//= type=test
//# An endpoint MUST NOT check for any stateless reset tokens associated with
//# connection IDs it has not used or for connection IDs that have been retired.
#[test]
fn only_the_tokens_of_ids_in_use_count() {
    let mut ids = ids();
    ids.set_first_reset_token(frame(0, 0).reset_token);
    assert_eq!(changes(&mut ids), [(true, 0)]);
    ids.on_new_connection_id(&frame(1, 0)).unwrap();
    assert!(changes(&mut ids).is_empty());
    assert!(ids.is_reset_token(&frame(0, 0).reset_token));
    assert!(!ids.is_reset_token(&frame(1, 0).reset_token), "spare");
    ids.assign(path(1)).unwrap();
    assert_eq!(changes(&mut ids), [(true, 1)]);
    assert!(ids.is_reset_token(&frame(1, 0).reset_token));
    ids.on_new_connection_id(&frame(2, 1)).unwrap();
    assert_eq!(changes(&mut ids), [(false, 0), (true, 2)]);
    assert!(!ids.is_reset_token(&frame(0, 0).reset_token), "retired");
    ids.release(path(1)).unwrap();
    assert_eq!(changes(&mut ids), [(false, 1)]);
}

#[test]
fn the_client_takes_the_id_that_the_server_names() {
    let mut ids = ids();
    ids.replace_initial(id(2000));
    assert_eq!(ids.current(), id(2000));
    ids.add_preferred(frame(1, 0).id, frame(1, 0).reset_token).unwrap();
    assert_eq!(ids.assign(path(1)), Ok(id(1001)));
}

proptest! {
    /// A peer that gives and takes as it likes, and never acknowledges: memory stays, and no id is used twice.
    #[test]
    fn no_peer_makes_the_ids_grow(
        frames in proptest::collection::vec((0_u64..40, 0_u64..40, 0_u8..10), 200),
    ) {
        let mut ids = ids();
        let mut used = std::collections::HashSet::new();
        for (sequence, retire_prior_to, action) in frames {
            let result = match action {
                0..6 => ids.on_new_connection_id(&frame(sequence, retire_prior_to.min(sequence))),
                6 => {
                    // An id is assigned to one path once.
                    if ids.sequence(path(1)).is_none() && let Ok(id) = ids.assign(path(1)) {
                        prop_assert!(used.insert(id), "{id} was used before");
                    }
                    Ok(())
                }
                7 => ids.release(path(1)),
                8 => { send_retires(&mut ids); Ok(()) }
                _ => { ids.on_acknowledged(sequence); Ok(()) }
            };
            while ids.poll_route().is_some() {}
            prop_assert!(ids.retiring.len() <= RETIRED_CONNECTION_IDS);
            if result.is_err() {
                break;
            }
            prop_assert!(ids.active.len() as u64 <= ACTIVE_CONNECTION_IDS);
            let retired: Vec<u64> = ids.retiring.iter().map(|retiring| retiring.sequence).collect();
            prop_assert!(sequences(&ids).iter().all(|sequence| !retired.contains(sequence)));
            prop_assert!(sequences(&ids).iter().all(|sequence| *sequence >= ids.retire_prior_to));
        }
    }
}

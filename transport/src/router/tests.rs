use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limits::CLOSED_CONNECTIONS;

const SEEDS: RouterSeeds = RouterSeeds { own: 1, peer: [2, 3] };

fn id(byte: u8) -> ConnectionId {
    ConnectionId::new(&[byte; LOCAL_ID_LENGTH]).unwrap()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn short(byte: u8) -> Peek<'static> {
    Peek::Short { destination: id(byte) }
}

fn long(destination: &[u8]) -> Peek<'_> {
    Peek::Long { version: codec::Version::V1, kind: None, destination, source: &[] }
}

fn farewell(until: u64, datagram: Option<usize>) -> Farewell {
    let datagram = datagram.map(|length| Bytes::from(vec![7; length]));
    Farewell { until: Time::from_nanos(until), datagram, remote: address(1) }
}

#[test]
fn an_issued_id_is_found_whatever_the_address() {
    let mut router = Router::new(SEEDS);
    router.add(id(1), 10).unwrap();
    assert_eq!(router.route(&short(1), address(1)), Route::Connection(10));
    assert_eq!(router.route(&long(&[1; 8]), address(2)), Route::Connection(10));
    assert_eq!(router.route(&short(2), address(1)), Route::Unknown);
    assert_eq!(router.route(&long(&[1; 7]), address(1)), Route::Unknown);
    assert_eq!(router.route(&long(&[]), address(1)), Route::Unknown);
    assert_eq!(router.route(&long(&[1; 255]), address(1)), Route::Unknown);
}

#[test]
fn the_first_destination_id_is_found_from_its_address_in_long_headers_only() {
    let mut router = Router::new(SEEDS);
    router.add_initial(id(1), address(1), 10).unwrap();
    router.add_initial(ConnectionId::new(&[5; 20]).unwrap(), address(1), 11).unwrap();
    assert_eq!(router.route(&long(&[1; 8]), address(1)), Route::Connection(10));
    assert_eq!(router.route(&long(&[5; 20]), address(1)), Route::Connection(11));
    assert_eq!(router.route(&long(&[1; 8]), address(2)), Route::Unknown);
    assert_eq!(router.route(&short(1), address(1)), Route::Unknown);
    router.remove_initial(10);
    assert_eq!(router.route(&long(&[1; 8]), address(1)), Route::Unknown);
}

#[test]
fn the_first_id_of_one_client_cannot_take_another_connections_place() {
    // RUSTSEC-2024-0373: ids of different origin confused in one map.
    let mut router = Router::new(SEEDS);
    router.add(id(1), 10).unwrap();
    router.add_initial(id(2), address(1), 10).unwrap();
    router.add_initial(id(1), address(2), 11).unwrap();
    assert_eq!(router.route(&long(&[1; 8]), address(2)), Route::Connection(10), "issued ids come first");
    router.forget(11);
    assert_eq!(router.route(&long(&[1; 8]), address(2)), Route::Connection(10));
    assert_eq!(router.route(&long(&[2; 8]), address(1)), Route::Connection(10));
}

#[test]
fn a_taken_name_stays_where_it_is() {
    let mut router = Router::new(SEEDS);
    router.add(id(1), 10).unwrap();
    assert_eq!(router.add(id(1), 10), Ok(()));
    assert_eq!(router.add(id(1), 11), Err(NameTaken));
    assert_eq!(router.add(ConnectionId::EMPTY, 11), Err(NameTaken));
    router.add_initial(id(9), address(1), 10).unwrap();
    assert_eq!(router.add_initial(id(9), address(1), 11), Err(NameTaken));
    router.remove(&id(1), 11);
    router.forget(11);
    assert_eq!(router.route(&short(1), address(1)), Route::Connection(10));
    assert_eq!(router.len(), 2);
}

#[test]
fn a_forgotten_connection_leaves_nothing() {
    let mut router = Router::new(SEEDS);
    for byte in 0..4 {
        router.apply(10, RouteChange::Add(id(byte))).unwrap();
    }
    router.add_initial(id(9), address(1), 10).unwrap();
    router.apply(10, RouteChange::AddResetToken(ResetToken([1; 16]))).unwrap();
    router.forget(10);
    assert!(router.is_empty());
    assert!(router.names.is_empty() && router.tokens.is_empty() && router.first.is_empty());
}

#[test]
fn removing_the_last_name_leaves_nothing() {
    let mut router = Router::new(SEEDS);
    let token = RouteChange::AddResetToken(ResetToken([1; 16]));
    router.apply(10, RouteChange::Add(id(1))).unwrap();
    router.apply(10, token).unwrap();
    router.apply(10, token).unwrap();
    router.apply(10, RouteChange::Remove(id(1))).unwrap();
    router.apply(10, RouteChange::RemoveResetToken(ResetToken([1; 16]))).unwrap();
    assert!(router.names.is_empty() && router.tokens.is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
//= type=test
//# An endpoint MUST NOT check for any stateless reset tokens associated with
//# connection IDs it has not used or for connection IDs that have been retired.
#[test]
fn a_reset_is_recognised_only_by_a_token_in_use() {
    let mut router = Router::new(SEEDS);
    let token = ResetToken([7; 16]);
    router.apply(10, RouteChange::AddResetToken(token)).unwrap();
    let mut datagram = [0x40; 43];
    assert_eq!(router.reset_target(&datagram), None);
    datagram[27..].copy_from_slice(&token.0);
    assert_eq!(router.reset_target(&datagram), Some(10));
    assert_eq!(router.reset_target(&datagram[23..]), None, "20 bytes are no packet");
    router.apply(10, RouteChange::RemoveResetToken(token)).unwrap();
    assert_eq!(router.reset_target(&datagram), None);
}

#[test]
fn a_closed_connection_answers_less_and_less_and_only_its_peer() {
    let mut router = Router::new(SEEDS);
    router.add(id(1), 10).unwrap();
    router.retire(Time::ZERO, 10, farewell(100, Some(50)));
    let Route::Closed(closed) = router.route(&short(1), address(1)) else { panic!("its name is kept") };
    assert_eq!(router.answer_closed(Time::ZERO, closed, address(2), 1200), None, "from elsewhere");
    let answered: Vec<usize> =
        (1..=20).filter(|_| router.answer_closed(Time::ZERO, closed, address(1), 1200).is_some()).collect();
    assert_eq!(answered, [1, 2, 4, 8, 16]);
    assert_eq!(router.answer_closed(Time::from_nanos(100), closed, address(1), 1200), None, "its time is over");
}

#[test]
fn a_closed_connection_never_amplifies() {
    let mut router = Router::new(SEEDS);
    router.add(id(1), 10).unwrap();
    router.retire(Time::ZERO, 10, farewell(100, Some(1200)));
    let Route::Closed(closed) = router.route(&short(1), address(1)) else { panic!("its name is kept") };
    let (mut received, mut sent) = (0, 0);
    for _ in 0..100_000 {
        received += 25;
        sent += router.answer_closed(Time::ZERO, closed, address(1), 25).map_or(0, |datagram| datagram.len());
        assert!(sent <= 3 * received);
    }
    assert!(sent > 0);
}

#[test]
fn the_memory_of_closed_connections_is_bounded_and_forgets_in_time() {
    let mut router = Router::new(SEEDS);
    let numbered = |number: u64| ConnectionId::new(&number.to_be_bytes()).unwrap();
    for number in 0..CLOSED_CONNECTIONS as u64 + 10 {
        router.add(numbered(number), number).unwrap();
        router.retire(Time::ZERO, number, farewell(100 + number, None));
    }
    assert_eq!(router.len(), CLOSED_CONNECTIONS);
    assert_eq!(router.route(&Peek::Short { destination: numbered(9) }, address(1)), Route::Unknown);
    let Route::Closed(closed) = router.route(&Peek::Short { destination: numbered(10) }, address(1)) else {
        panic!("the newest are kept")
    };
    assert_eq!(router.answer_closed(Time::ZERO, closed, address(1), 1200), None, "draining says nothing");
    assert_eq!(router.add(numbered(10), 1), Err(NameTaken), "its id is not used again yet");
    router.expire(Time::from_nanos(110));
    assert_eq!(router.route(&Peek::Short { destination: numbered(10) }, address(1)), Route::Unknown);
    assert_eq!(router.len(), CLOSED_CONNECTIONS - 1);
    router.expire(Time::MAX);
    assert!(router.is_empty() && router.names.is_empty());
}

#[test]
fn chosen_ids_do_not_collide() {
    // A hash without keys would put these into few buckets. Here the work stays linear: doubling the ids does not
    // quadruple the steps, which the test sees as finishing at all.
    let mut router = Router::new(SEEDS);
    for number in 0..100_000_u64 {
        let chosen = ConnectionId::new(&(number << 40).to_le_bytes()).unwrap();
        router.add_initial(chosen, address(1), number).unwrap();
    }
    assert_eq!(router.len(), 100_000);
}

/// What the router promises, written as slowly as possible.
#[derive(Default)]
struct Naive {
    own: BTreeMap<u8, u8>,
    first: BTreeMap<(u8, u16), u8>,
    tokens: BTreeMap<u8, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Operation {
    Add(u8, u8),
    Remove(u8, u8),
    AddInitial(u8, u16, u8),
    RemoveInitial(u8),
    AddToken(u8, u8),
    RemoveToken(u8, u8),
    Forget(u8),
}

impl Naive {
    fn apply(&mut self, operation: &Operation) -> bool {
        match *operation {
            Operation::Add(id, key) => *self.own.entry(id).or_insert(key) == key,
            Operation::Remove(id, key) => {
                self.own.retain(|name, owner| (*name, *owner) != (id, key));
                true
            }
            Operation::AddInitial(id, port, key) => {
                if self.first.get(&(id, port)).is_some_and(|owner| *owner != key) {
                    return false;
                }
                self.first.retain(|_, owner| *owner != key);
                self.first.insert((id, port), key);
                true
            }
            Operation::RemoveInitial(key) => {
                self.first.retain(|_, owner| *owner != key);
                true
            }
            Operation::AddToken(token, key) => {
                let owners = self.tokens.entry(token).or_default();
                if !owners.contains(&key) {
                    owners.push(key);
                }
                true
            }
            Operation::RemoveToken(token, key) => {
                self.tokens.entry(token).or_default().retain(|owner| *owner != key);
                true
            }
            Operation::Forget(key) => {
                self.own.retain(|_, owner| *owner != key);
                self.first.retain(|_, owner| *owner != key);
                self.tokens.values_mut().for_each(|owners| owners.retain(|owner| *owner != key));
                true
            }
        }
    }
}

fn apply(router: &mut Router<u8>, operation: &Operation) -> bool {
    let token = |byte| ResetToken([byte; 16]);
    match *operation {
        Operation::Add(byte, key) => return router.apply(key, RouteChange::Add(id(byte))).is_ok(),
        Operation::Remove(byte, key) => return router.apply(key, RouteChange::Remove(id(byte))).is_ok(),
        Operation::AddInitial(byte, port, key) => return router.add_initial(id(byte), address(port), key).is_ok(),
        Operation::RemoveInitial(key) => router.remove_initial(key),
        Operation::AddToken(byte, key) => {
            router.apply(key, RouteChange::AddResetToken(token(byte))).unwrap();
        }
        Operation::RemoveToken(byte, key) => {
            router.apply(key, RouteChange::RemoveResetToken(token(byte))).unwrap();
        }
        Operation::Forget(key) => router.forget(key),
    }
    true
}

fn operation() -> impl Strategy<Value = Operation> {
    let (name, port, key) = (0_u8..12, 1_u16..4, 0_u8..6);
    prop_oneof![
        4 => (name.clone(), key.clone()).prop_map(|(name, key)| Operation::Add(name, key)),
        2 => (name.clone(), key.clone()).prop_map(|(name, key)| Operation::Remove(name, key)),
        3 => (name.clone(), port, key.clone()).prop_map(|(n, p, key)| Operation::AddInitial(n, p, key)),
        1 => key.clone().prop_map(Operation::RemoveInitial),
        3 => (name.clone(), key.clone()).prop_map(|(name, key)| Operation::AddToken(name, key)),
        2 => (name, key.clone()).prop_map(|(name, key)| Operation::RemoveToken(name, key)),
        1 => key.prop_map(Operation::Forget),
    ]
}

/// Every name there is, asked of both.
fn compare(router: &Router<u8>, naive: &Naive) -> Result<(), TestCaseError> {
    for name in 0..12 {
        let own = naive.own.get(&name).copied();
        let route = router.route(&short(name), address(1));
        prop_assert_eq!(route, own.map_or(Route::Unknown, Route::Connection));
        for port in 1..4 {
            let expected = own.or_else(|| naive.first.get(&(name, port)).copied());
            let route = router.route(&long(&[name; 8]), address(port));
            prop_assert_eq!(route, expected.map_or(Route::Unknown, Route::Connection));
        }
        let owners = naive.tokens.get(&name).cloned().unwrap_or_default();
        let target = router.reset_target(&[name; 30]);
        prop_assert_eq!(target.is_some(), !owners.is_empty());
        prop_assert!(target.is_none_or(|key| owners.contains(&key)));
    }
    prop_assert_eq!(router.len(), naive.own.len() + naive.first.len());
    let named: usize = router.names.values().map(|names| names.own.len() + names.tokens.len()).sum();
    prop_assert_eq!(named, naive.own.len() + naive.tokens.values().map(Vec::len).sum::<usize>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// 200 sequences of 500 operations: 10^5 in all, compared with the model after each 10th.
    #[test]
    fn the_router_agrees_with_a_naive_map(operations in proptest::collection::vec(operation(), 500)) {
        let mut router = Router::new(SEEDS);
        let mut naive = Naive::default();
        for (step, operation) in operations.iter().enumerate() {
            prop_assert_eq!(apply(&mut router, operation), naive.apply(operation), "{:?}", operation);
            if step % 10 == 0 {
                compare(&router, &naive)?;
            }
        }
        compare(&router, &naive)?;
        for key in 0..6 {
            router.forget(key);
        }
        prop_assert!(router.is_empty() && router.names.is_empty() && router.tokens.is_empty());
    }
}

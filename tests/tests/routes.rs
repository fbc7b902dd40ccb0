//! Which ids lead to a connection, told again to a keeper of routes that was started anew.

use codec::Side;
use quicast_tests::{Pair, Settings};
use transport::output::RouteChange;

#[test]
fn all_routes_are_said_again_when_asked_and_none_that_is_over() {
    let mut pair = Pair::established(&Settings::new(1));
    pair.confirm();
    pair.settle();
    let now = pair.now;
    for side in [Side::Client, Side::Server] {
        let connection = &mut pair.node(side).connection;
        assert!(connection.poll_route().is_none());
        connection.announce_routes();
        let (mut ids, mut tokens) = (Vec::new(), 0);
        while let Some(change) = connection.poll_route() {
            match change {
                RouteChange::Add(id) => ids.push(id),
                RouteChange::AddResetToken(_) => tokens += 1,
                other => panic!("{other:?} is no route"),
            }
        }
        let first = connection.first_id();
        assert!(ids.contains(&first), "{first} is the id of the handshake");
        assert_eq!(ids.len() as u64, transport::limits::ISSUED_CONNECTION_IDS);
        assert_eq!(tokens, i32::from(side.is_client()), "only a server gives a token for the id of the handshake");
        connection.close(now, 0, b"");
        let connection = &mut pair.node(side).connection;
        connection.announce_routes();
        assert!(connection.poll_route().is_none(), "a connection that is over has no routes to tell");
    }
}

//! SIGTERM lets connections come to their end.

mod support;

use support::{Folder, Server, Talk, http};

#[test]
fn an_idle_server_ends_at_once() {
    let folder = Folder::new();
    for signal in ["TERM", "INT"] {
        let server = Server::start(&folder, &[]);
        server.signal(signal);
        assert_eq!(server.wait(), Some(0), "{signal}");
    }
}

#[test]
fn a_busy_server_waits_for_its_connection_and_takes_no_other() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    let mut talk = Talk::start(&folder, server.address());
    talk.say("before");
    server.signal("TERM");
    assert!(server.next_error().starts_with("draining: 1 connection left"));
    talk.say("meanwhile");
    let admin = server.admin();
    let (status, _, _) = http(admin, &format!("GET /readyz HTTP/1.0\r\nHost: {admin}\r\n\r\n"));
    assert_eq!(status, 503);
    let late = folder.run(&["echo", server.address()], b"");
    assert_eq!(late.code, Some(1), "{}", late.stderr);
    talk.say("after");
    assert_eq!(talk.end(), Some(0));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn an_interrupted_client_takes_its_leave() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    let mut talk = Talk::start(&folder, server.address());
    talk.say("before");
    talk.signal("INT");
    assert_eq!(talk.child.wait().unwrap().code(), Some(130));
    // The server has heard of it: it has nobody to wait for.
    server.signal("TERM");
    assert_eq!(server.next_error(), "");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn who_asks_again_does_not_wait() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    let mut talk = Talk::start(&folder, server.address());
    talk.say("before");
    server.signal("TERM");
    assert!(server.next_error().starts_with("draining: 1 connection left"));
    // The same signal at once is the same wish: it is repeated until it is another.
    while server.child.try_wait().unwrap().is_none() {
        server.signal("TERM");
    }
    assert_eq!(server.wait(), Some(130));
    assert_eq!(talk.end(), Some(1));
}

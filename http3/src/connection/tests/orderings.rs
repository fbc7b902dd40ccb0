//! Whatever happens to a request stream may happen in any order: nothing is left, nothing is said twice, nobody panics.

use http::{Request, Response};

use super::*;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    Headers,
    Data,
    Fin,
    Reset,
    StopSending,
    ResetByUs,
    Close,
}

const ACTS: [Act; 7] = [Act::Headers, Act::Data, Act::Fin, Act::Reset, Act::StopSending, Act::ResetByUs, Act::Close];

/// All orders of these.
fn permutations(acts: &[Act]) -> Vec<Vec<Act>> {
    let Some((first, rest)) = acts.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in permutations(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

struct Stage {
    alone: Alone,
    head: Vec<u8>,
}

impl Stage {
    fn new(side: Side) -> Self {
        let mut alone = Alone::new(side);
        let head = alone.head(if side == Side::Server { &GET } else { &OK });
        if side == Side::Client {
            alone.ask(0, Request::post("https://a.example/").body(()).unwrap());
            alone.events.clear();
        }
        Self { alone, head }
    }

    /// One thing that happens, and what an application does about what it hears.
    fn act(&mut self, act: Act, drain: bool) {
        let Alone { machine, now, .. } = &mut self.alone;
        match act {
            Act::Headers => machine.handle_data(*now, bidi(0), Bytes::from(self.head.clone()), false),
            Act::Data => machine.handle_data(*now, bidi(0), Bytes::from(frame(0, b"hello")), false),
            Act::Fin => machine.handle_data(*now, bidi(0), Bytes::new(), true),
            Act::Reset => machine.handle_reset(*now, bidi(0), Code::H3_REQUEST_CANCELLED.0),
            Act::StopSending => machine.handle_stop_sending(*now, bidi(0), Code::H3_REQUEST_CANCELLED.0),
            Act::ResetByUs => machine.cancel(bidi(0)),
            Act::Close => machine.handle_closed(),
        }
        if drain {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.alone.drain();
        let alone = &mut self.alone;
        // The application answers whatever it is asked, late or not.
        let _late = alone.machine.send_response(alone.now, bidi(0), &Response::new(()), false);
        let _late = alone.machine.send_data(alone.now, bidi(0), &mut Bytes::from_static(b"answer"), true);
        for event in &alone.events {
            if let Event::Data { stream, data } = event {
                alone.machine.data_consumed(alone.now, *stream, data.len() as u64);
            }
        }
        alone.drain();
        alone.take_writes();
    }

    fn judge(&self, case: &dyn std::fmt::Debug) {
        let alone = &self.alone;
        let told = alone.told();
        let count = |wanted: &str| told.iter().filter(|name| **name == wanted).count();
        assert!(count("request") <= 1 && count("response") <= 1 && count("ended") <= 1, "{case:?} {told:?}");
        assert!(count("finished") + count("ended") <= 2, "{case:?} {told:?}");
        // After its end, nothing is told of a stream.
        if let Some(end) = told.iter().position(|name| *name == "ended") {
            assert!(told[end + 1..].iter().all(|name| *name == "closed"), "{case:?} {told:?}");
        }
        if let Some(first) = told.first() {
            let beginnings = ["request", "response", "ended", "stopped", "closed", "finished"];
            assert!(beginnings.contains(first), "{case:?} {told:?}");
        }
        // At most one reset and one stop (`given_up` asserts it), and nothing is kept.
        alone.given_up(bidi(0));
        assert_eq!((alone.machine.open_requests(), alone.machine.held_bytes()), (0, 0), "{case:?}");
        assert_eq!(alone.machine.exchanges.iter().count(), 0, "{case:?}");
        // But for what QPACK has to say of it, which may wait a moment.
        assert_eq!(alone.machine.deadline(), alone.machine.feedback.due(), "{case:?}");
    }
}

#[test]
fn all_orders_of_everything_that_happens_to_a_stream() {
    let orders = permutations(&ACTS);
    assert_eq!(orders.len(), 5040);
    for side in [Side::Server, Side::Client] {
        for order in &orders {
            for apart in [true, false] {
                let mut stage = Stage::new(side);
                for act in order {
                    stage.act(*act, apart);
                }
                stage.settle();
                stage.judge(&(side, order, apart));
            }
        }
    }
}

#[test]
fn without_a_close_a_stream_that_is_over_leaves_nothing_either() {
    let orders = permutations(&ACTS[..6]);
    for side in [Side::Server, Side::Client] {
        for order in &orders {
            for apart in [true, false] {
                let mut stage = Stage::new(side);
                for act in order {
                    stage.act(*act, apart);
                }
                stage.settle();
                // A wrong order of frames closed the connection, otherwise it lives.
                let wrong =
                    order.iter().position(|act| *act == Act::Headers) > order.iter().position(|act| *act == Act::Data);
                assert!(wrong || stage.alone.closed().is_none(), "{side:?} {order:?}");
                stage.judge(&(side, order, apart));
                if stage.alone.closed().is_none() {
                    let (head, next) = (stage.head.clone(), bidi(1));
                    if side == Side::Client {
                        stage.alone.ask(1, Request::get("https://a.example/").body(()).unwrap());
                    }
                    stage.alone.events.clear();
                    stage.alone.feed(next, &head, true);
                    assert_eq!(stage.alone.told().last(), Some(&"finished"), "{side:?} {order:?}");
                }
            }
        }
    }
}

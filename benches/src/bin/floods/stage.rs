//! Server, witness and attackers, and where each of them runs.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response};
use http_body_util::Full;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use quicast::Endpoint;
use quicast::http3::{self, Empty, RecvBody, RequestSender};
use quicast::tls::pki_types::UnixTime;
use quicast::tls::{Certificate, development};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use crate::attack::{Attack, Tally};

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Requests of the witness in each millisecond, one after the other.
const TOGETHER: usize = 2;
/// So many attack at once.
const ATTACKERS: usize = 2;

/// Who runs somewhere.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Server,
    Witness,
    Attackers,
}

/// Keeps this thread, and those that it starts, on one processor.
pub(crate) fn pin(place: Place) {
    static PERMITTED: OnceLock<Vec<usize>> = OnceLock::new();
    let permitted = PERMITTED.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).expect("the system says where this may run");
        (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
    });
    let cpu = permitted[(place as usize).min(permitted.len() - 1)];
    let mut set = CpuSet::new();
    set.set(cpu).expect("the processor has a number that fits");
    sched_setaffinity(Pid::from_raw(0), &set).expect("this may run there");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| development::certificate(&["localhost"], UnixTime::now()).expect("a certificate"))
}

fn client() -> Endpoint {
    let tls = development::client_config(certificate().chain(), &[http3::ALPN]).expect("settings of TLS");
    Endpoint::builder().listen(LOCALHOST).client_config(Arc::new(tls)).start().expect("a client")
}

/// `/count` reads all that comes, `/never` does not answer, and everything else is 64 bytes.
async fn answer(request: Request<RecvBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/never" => std::future::pending().await,
        "/count" => {
            let mut body = request.into_body();
            while let Ok(Some(_)) = body.chunk().await {}
        }
        _ => {}
    }
    Ok(Response::new(Full::new(Bytes::from_static(&[7; 64]))))
}

/// Starts it on its processor. It goes on until the end.
pub(crate) fn start_server() -> SocketAddr {
    let (tell, address) = mpsc::channel();
    std::thread::spawn(move || {
        pin(Place::Server);
        runtime().block_on(async {
            let tls = development::server_config(certificate(), &[http3::ALPN]).expect("settings of TLS");
            let builder = Endpoint::builder().listen(LOCALHOST).server_config(Arc::new(tls)).shards(1);
            let server = builder.start().expect("a server");
            tell.send(server.local_addr()).expect("somebody waits for it");
            http3::serve(server, tower::service_fn(answer)).await;
        });
    });
    address.recv().expect("the server starts")
}

/// Starts those who do what they are told, on their processor.
pub(crate) fn start_attackers(server: SocketAddr, orders: watch::Receiver<Option<Attack>>, tally: Arc<Tally>) {
    let attack = move || {
        pin(Place::Attackers);
        runtime().block_on(async {
            let client = client();
            let mut attackers = tokio::task::JoinSet::new();
            for _ in 0..ATTACKERS {
                let (client, tally, mut orders) = (client.clone(), tally.clone(), orders.clone());
                attackers.spawn(async move {
                    loop {
                        let order = *orders.borrow_and_update();
                        let again = tokio::time::Instant::now() + order.map_or(Duration::ZERO, Attack::pause);
                        tokio::select! {
                            changed = orders.changed() => if changed.is_err() { return },
                            () = Attack::carry_out(order, &client, server, &tally) => sleep_until(again).await,
                        }
                    }
                });
            }
            attackers.join_all().await;
        });
    };
    std::thread::Builder::new().name("attackers".to_owned()).spawn(attack).expect("a thread");
}

/// Microseconds.
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Who means no harm.
pub(crate) struct Witness {
    runtime: Runtime,
    requests: RequestSender,
    /// It lives as long as its connection.
    _client: Endpoint,
}

impl Witness {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let runtime = runtime();
        let (client, requests) = runtime.block_on(async {
            let client = client();
            let connection = client.connect(server, "localhost").await.expect("the server is there");
            (client, http3::connect(connection).expect("the connection is open"))
        });
        Self { runtime, requests, _client: client }
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    /// Asks for so long.
    pub(crate) fn measure(&self, time: Duration) -> Latencies {
        let mut latencies = Histogram::<u64>::new(3).expect("three digits");
        self.runtime.block_on(async {
            let begun = Instant::now();
            let mut ticks = interval(Duration::from_millis(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while begun.elapsed() < time {
                ticks.tick().await;
                for _ in 0..TOGETHER {
                    let asked = Instant::now();
                    let request = Request::get("https://localhost/").body(Empty).expect("a request");
                    let mut response = self.requests.send(request).await.expect("the witness is answered");
                    while response.body_mut().chunk().await.expect("whole").is_some() {}
                    let nanoseconds = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    latencies.record(nanoseconds).expect("it grows");
                }
            }
        });
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        Latencies { p50: at(0.5), p99: at(0.99) }
    }
}

//! TCP with TLS 1.3: tokio-rustls and ring, on one thread of tokio.
//!
//! A stream of the bulk workload is a connection. Requests share one connection, in order, each request and each response
//! written by itself: eight bytes of how much is wanted, eight of how long the request is, and its payload.

mod requests;

use std::sync::Arc;
use std::time::Instant;

use common::arguments::{Client, Direction, Server, Workload};
use common::pattern::{self, Check};
use common::request::{self, Reader};
use common::secured::{self, Tickets};
use common::{Command, Failure, PROTOCOL, SERVER_NAME, Stopwatch, outcome, unsupported, usage};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// A protocol of its own for requests, because a connection ends with each payload otherwise.
const REQUESTS: &[u8] = b"perf-requests";

/// What is read at once.
const BUFFER: usize = 64 * 1024;

fn main() -> std::process::ExitCode {
    common::drive(|command| {
        usage::permit_many_files();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match command {
                Command::Server(server) => serve(&server).await,
                Command::Client(client) => run(client).await,
            }
        })
    })
}

async fn serve(server: &Server) -> Result<(), Failure> {
    let provider = secured::prefer_aes128(ring::default_provider());
    let acceptor = TlsAcceptor::from(Arc::new(secured::server(provider, &[PROTOCOL, REQUESTS])?));
    let listener = TcpListener::bind(server.listen).await?;
    common::announce(listener.local_addr()?)?;
    let every_byte = server.verify;
    loop {
        let (socket, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(failure) = serve_connection(acceptor, socket, every_byte).await
                && failure.is::<pattern::Mismatch>()
            {
                eprintln!("{failure}");
                std::process::exit(1);
            }
        });
    }
}

async fn serve_connection(acceptor: TlsAcceptor, socket: TcpStream, every_byte: bool) -> Result<(), Failure> {
    socket.set_nodelay(true)?;
    let connection = acceptor.accept(socket).await?;
    if connection.get_ref().1.alpn_protocol() == Some(REQUESTS) {
        requests::serve(connection, every_byte).await
    } else {
        serve_bulk(connection, every_byte).await
    }
}

async fn serve_bulk(mut connection: server::TlsStream<TcpStream>, every_byte: bool) -> Result<(), Failure> {
    let mut reader = Reader::new(every_byte);
    // Small until somebody speaks: a connection that is idle shall not pay for what it would need.
    let mut buffer = vec![0; 256];
    loop {
        match connection.read(&mut buffer).await? {
            0 => break,
            length => reader.read(&buffer[..length])?,
        }
        buffer.resize(BUFFER, 0);
    }
    // A connection that was only opened has said nothing.
    let Some(length) = reader.response() else { return Ok(()) };
    let mut position = 0;
    while position < length {
        let chunk = pattern::slice(position, length - position);
        connection.write_all(chunk).await?;
        position += chunk.len() as u64;
    }
    Ok(connection.shutdown().await?)
}

async fn run(client: Client) -> Result<(), Failure> {
    match client.workload {
        Workload::Bulk { streams, bytes, direction, .. } => {
            let connector = Connector::new(&client, PROTOCOL, None)?;
            let mut open = Vec::new();
            for _ in 0..streams {
                open.push(connector.connect().await?);
            }
            let stopwatch = Stopwatch::new();
            let mut tasks = Vec::new();
            for (stream, connection) in (0..).zip(open) {
                let bytes = request::share(bytes, streams, stream);
                tasks.push(tokio::spawn(bulk_stream(connection, direction, bytes, client.verify)));
            }
            for task in tasks {
                task.await??;
            }
            outcome::print(&stopwatch.stop("bulk", &json!({ "streams": streams, "bytes": bytes })))
        }
        Workload::Requests { outstanding, time, request, response } => {
            let connection = Connector::new(&client, REQUESTS, None)?.connect().await?;
            requests::run(connection, outstanding, time, request, response).await
        }
        Workload::Handshakes { parallel, time, resumed } => {
            let mut connectors = Vec::new();
            for _ in 0..parallel {
                let connector = Connector::new(&client, PROTOCOL, resumed.then(Tickets::new))?;
                if resumed {
                    connector.wait_for_ticket(&mut connector.connect().await?).await?;
                }
                connectors.push(connector);
            }
            let stopwatch = Stopwatch::new();
            let end = stopwatch.start() + time;
            let tasks: Vec<_> =
                connectors.into_iter().map(|connector| tokio::spawn(handshakes(connector, end))).collect();
            let mut count = 0;
            for task in tasks {
                count += task.await??;
            }
            let own = json!({ "parallel": parallel, "resumed": resumed, "count": count });
            outcome::print(&stopwatch.stop("handshakes", &own))
        }
        Workload::Idle { connections } => {
            let connector = Connector::new(&client, PROTOCOL, None)?;
            let stopwatch = Stopwatch::new();
            let mut open = Vec::new();
            for _ in 0..connections {
                open.push(connector.connect().await?);
            }
            outcome::print(&stopwatch.stop("idle", &json!({ "connections": connections })))?;
            Ok(tokio::task::spawn_blocking(outcome::wait_for_the_end_of_input).await??)
        }
    }
}

async fn bulk_stream(
    connection: client::TlsStream<TcpStream>,
    direction: Direction,
    bytes: u64,
    every_byte: bool,
) -> Result<(), Failure> {
    let mut connection = connection;
    let (up, down) = match direction {
        Direction::Down => (0, bytes),
        Direction::Up => (bytes, 0),
    };
    connection.write_all(&request::small(0, down)).await?;
    let mut position = 0;
    while position < up {
        let chunk = pattern::slice(position, up - position);
        connection.write_all(chunk).await?;
        position += chunk.len() as u64;
    }
    connection.shutdown().await?;
    let mut check = Check::new(every_byte);
    let mut buffer = vec![0; BUFFER];
    loop {
        match connection.read(&mut buffer).await? {
            0 => break,
            length => check.read(&buffer[..length])?,
        }
    }
    Ok(check.end(down)?)
}

async fn handshakes(connector: Connector, end: Instant) -> Result<u64, Failure> {
    let mut count = 0;
    while Instant::now() < end {
        let mut connection = connector.connect().await?;
        connector.wait_for_ticket(&mut connection).await?;
        count += 1;
    }
    Ok(count)
}

struct Connector {
    server: std::net::SocketAddr,
    connector: TlsConnector,
    tickets: Option<Arc<Tickets>>,
}

impl Connector {
    fn new(client: &Client, protocol: &[u8], tickets: Option<Arc<Tickets>>) -> Result<Self, Failure> {
        let provider = secured::prefer_aes128(ring::default_provider());
        let config = secured::client(provider, protocol, tickets.clone())?;
        Ok(Self { server: client.server, connector: TlsConnector::from(Arc::new(config)), tickets })
    }

    async fn connect(&self) -> Result<client::TlsStream<TcpStream>, Failure> {
        let socket = TcpStream::connect(self.server).await?;
        socket.set_nodelay(true)?;
        Ok(self.connector.connect(ServerName::try_from(SERVER_NAME)?, socket).await?)
    }

    /// Tickets come after the handshake, and only who reads gets them.
    async fn wait_for_ticket(&self, connection: &mut client::TlsStream<TcpStream>) -> Result<(), Failure> {
        let Some(tickets) = &self.tickets else { return Ok(()) };
        let mut nothing = [0];
        tokio::select! {
            () = tickets.next() => Ok(()),
            _ = connection.read(&mut nothing) => unsupported("tcp-tls", "a server without tickets"),
        }
    }
}

//! s2n-quic, with its provider of rustls and aws-lc, on one thread of tokio.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::secured;
use common::streams;
use common::{Command, Failure, PROTOCOL, SERVER_NAME, Server};
use rustls::crypto::aws_lc_rs;
use s2n_quic::client::Connect;
use s2n_quic::provider::io::tokio::{Builder, Provider};
use s2n_quic::provider::limits::Limits;
use s2n_quic::provider::tls::rustls as provider;

/// IPv4 and UDP: this stack counts them in its MTU.
const HEADERS: u16 = 28;

fn main() -> std::process::ExitCode {
    common::drive(|command| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match command {
                Command::Server(server) => serve(&server).await,
                Command::Client(client) => streams::run(Client::new(&client)?, &client).await,
            }
        })
    })
}

fn io(mtu: u16, address: SocketAddr) -> Result<Provider, Failure> {
    let mtu = mtu.checked_add(HEADERS).ok_or("the MTU is too large")?;
    let io = Builder::default().with_receive_address(address)?;
    // All three the same: nothing is discovered.
    Ok(io.with_max_mtu(mtu)?.with_initial_mtu(mtu)?.with_base_mtu(mtu)?.build()?)
}

fn limits(window: u64, streams: u64) -> Result<Limits, Failure> {
    Ok(Limits::new()
        .with_data_window(window)?
        .with_bidirectional_local_data_window(window)?
        .with_bidirectional_remote_data_window(window)?
        .with_max_send_buffer_size(u32::try_from(window)?)?
        .with_max_open_remote_bidirectional_streams(streams)?
        .with_max_open_local_bidirectional_streams(1 << 20)?
        .with_max_idle_timeout(Duration::from_secs(60))?)
}

async fn serve(server: &Server) -> Result<(), Failure> {
    let tls = secured::server(secured::prefer_aes128(aws_lc_rs::default_provider()), &[PROTOCOL])?;
    let mut endpoint = s2n_quic::Server::builder()
        .with_tls(provider::Server::from(tls))?
        .with_io(io(server.mtu, server.listen)?)?
        .with_limits(limits(server.window, server.streams_allowed)?)?
        .start()?;
    common::announce(endpoint.local_addr()?)?;
    let every_byte = server.verify;
    while let Some(mut connection) = endpoint.accept().await {
        tokio::spawn(async move {
            // A client that went away is no reason to stop.
            while let Ok(Some(stream)) = connection.accept_bidirectional_stream().await {
                let (receiver, sender) = stream.split();
                tokio::spawn(async move {
                    streams::judge(streams::serve(Sender(sender), Receiver(receiver), every_byte).await);
                });
            }
        });
    }
    Ok(())
}

struct Client {
    endpoint: s2n_quic::Client,
    server: SocketAddr,
}

impl Client {
    fn new(told: &common::Client) -> Result<Self, Failure> {
        let any = if told.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let crypto = secured::prefer_aes128(aws_lc_rs::default_provider());
        let tls = secured::client(crypto, PROTOCOL, None)?;
        let endpoint = s2n_quic::Client::builder()
            .with_tls(provider::Client::from(tls))?
            .with_io(io(told.mtu, any.parse()?)?)?
            .with_limits(limits(told.window, 1)?)?
            .start()?;
        Ok(Self { endpoint, server: told.server })
    }
}

impl streams::Stack for Client {
    type Connection = Connection;

    const NAME: &'static str = "s2n-quic";

    fn with_tickets(&self) -> Result<Option<Self>, Failure> {
        // With rustls this stack hands no tickets on to the client.
        Ok(None)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connect = Connect::new(self.server).with_server_name(SERVER_NAME);
        let connection = self.endpoint.connect(connect).await?;
        Ok(Connection(connection.handle()))
    }

    async fn ticket(&self) {}
}

#[derive(Clone)]
struct Connection(s2n_quic::connection::Handle);

impl streams::Connection for Connection {
    type Sender = Sender;
    type Receiver = Receiver;

    async fn open(&self) -> Result<(Sender, Receiver), Failure> {
        let (receiver, sender) = self.0.clone().open_bidirectional_stream().await?.split();
        Ok((Sender(sender), Receiver(receiver)))
    }

    fn close(self) {
        self.0.close(0_u32.into());
    }
}

struct Sender(s2n_quic::stream::SendStream);

impl streams::Sender for Sender {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        Ok(self.0.send(bytes).await?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.0.finish()?)
    }
}

struct Receiver(s2n_quic::stream::ReceiveStream);

impl streams::Receiver for Receiver {
    async fn receive(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(self.0.receive().await?)
    }
}

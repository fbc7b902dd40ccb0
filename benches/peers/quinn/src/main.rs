//! quinn, with rustls and ring, on one thread of tokio.

use std::sync::Arc;

use bytes::Bytes;
use common::secured::{self, Tickets};
use common::streams;
use common::{Command, Failure, PROTOCOL, SERVER_NAME, Server};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::crypto::ring;

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

fn endpoint_config(mtu: u16) -> Result<EndpointConfig, Failure> {
    let mut config = EndpointConfig::default();
    // What we are willing to receive; 1472 is quinn's default.
    config.max_udp_payload_size(mtu.max(1472))?;
    Ok(config)
}

fn transport(mtu: u16, window: u64, streams: u64) -> Result<Arc<TransportConfig>, Failure> {
    let mut transport = TransportConfig::default();
    // quinn sends ten datagrams a call whatever their size, and the kernel refuses calls of more than 64 KB.
    let fits = usize::from(mtu) * 10 <= 65_507;
    transport
        .enable_segmentation_offload(fits)
        .initial_mtu(mtu)
        .min_mtu(mtu)
        .mtu_discovery_config(None)
        .stream_receive_window(VarInt::from_u64(window)?)
        .receive_window(VarInt::from_u64(window)?)
        .send_window(window)
        .max_concurrent_bidi_streams(VarInt::from_u64(streams)?)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(60_000))));
    Ok(Arc::new(transport))
}

async fn serve(server: &Server) -> Result<(), Failure> {
    let provider = secured::prefer_aes128(ring::default_provider());
    let tls = secured::server(provider, &[PROTOCOL])?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(server.mtu, server.window, server.streams_allowed)?);
    let socket = std::net::UdpSocket::bind(server.listen)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = Endpoint::new(endpoint_config(server.mtu)?, Some(config), socket, runtime)?;
    common::announce(endpoint.local_addr()?)?;
    let every_byte = server.verify;
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            // A client that went away is no reason to stop.
            let Ok(connection) = incoming.await else { return };
            while let Ok((sender, receiver)) = connection.accept_bi().await {
                tokio::spawn(async move {
                    streams::judge(streams::serve(Sender(sender), Receiver(receiver), every_byte).await);
                });
            }
        });
    }
    Ok(())
}

struct Client {
    endpoint: Endpoint,
    server: std::net::SocketAddr,
    transport: Arc<TransportConfig>,
    config: ClientConfig,
    tickets: Option<Arc<Tickets>>,
}

impl Client {
    fn new(client: &common::Client) -> Result<Self, Failure> {
        let any = if client.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = std::net::UdpSocket::bind(any)?;
        let endpoint = Endpoint::new(endpoint_config(client.mtu)?, None, socket, Arc::new(quinn::TokioRuntime))?;
        let transport = transport(client.mtu, client.window, 0)?;
        let config = config(&transport, None)?;
        Ok(Self { endpoint, server: client.server, transport, config, tickets: None })
    }
}

fn config(transport: &Arc<TransportConfig>, tickets: Option<Arc<Tickets>>) -> Result<ClientConfig, Failure> {
    let tls = secured::client(secured::prefer_aes128(ring::default_provider()), PROTOCOL, tickets)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport.clone());
    Ok(config)
}

impl streams::Stack for Client {
    type Connection = Connection;

    const NAME: &'static str = "quinn";

    fn with_tickets(&self) -> Result<Option<Self>, Failure> {
        let tickets = Tickets::new();
        Ok(Some(Self {
            endpoint: self.endpoint.clone(),
            server: self.server,
            transport: self.transport.clone(),
            config: config(&self.transport, Some(tickets.clone()))?,
            tickets: Some(tickets),
        }))
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connecting = self.endpoint.connect_with(self.config.clone(), self.server, SERVER_NAME)?;
        Ok(Connection(connecting.await?))
    }

    async fn ticket(&self) {
        if let Some(tickets) = &self.tickets {
            tickets.next().await;
        }
    }
}

#[derive(Clone)]
struct Connection(quinn::Connection);

impl streams::Connection for Connection {
    type Sender = Sender;
    type Receiver = Receiver;

    async fn open(&self) -> Result<(Sender, Receiver), Failure> {
        let (sender, receiver) = self.0.open_bi().await?;
        Ok((Sender(sender), Receiver(receiver)))
    }

    fn close(self) {
        self.0.close(VarInt::from_u32(0), b"");
    }
}

struct Sender(quinn::SendStream);

impl streams::Sender for Sender {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        Ok(self.0.write_chunk(bytes).await?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.0.finish()?)
    }
}

struct Receiver(quinn::RecvStream);

impl streams::Receiver for Receiver {
    async fn receive(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(self.0.read_chunk(usize::MAX, true).await?.map(|chunk| chunk.bytes))
    }
}

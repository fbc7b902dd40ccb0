//! A server that sends everything back, and a client that asks it to: `cargo run -p quicast --example echo`.

use std::error::Error;

use quicast::tls::development;
use quicast::tls::pki_types::UnixTime;
use quicast::{Connection, Endpoint, RecvStream, SendStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let certificate = development::certificate(&["localhost"], UnixTime::now())?;
    let server_tls = development::server_config(&certificate, &[b"echo"])?;
    let server = Endpoint::server(server_tls.into(), "127.0.0.1:0".parse()?)?;
    let address = server.local_addr();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            let connection = incoming.accept()?.await?;
            tokio::spawn(serve(connection));
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });

    let client = Endpoint::client("127.0.0.1:0".parse()?)?;
    client.set_client_config(development::client_config(certificate.chain(), &[b"echo"])?.into());
    let connection = client.connect(address, "localhost").await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(b"hello").await?;
    send.finish().await?;
    let back = receive.read_to_end(100).await?;
    assert_eq!(&back[..], b"hello");
    connection.close(0, b"done");
    client.wait_idle().await;
    Ok(())
}

async fn serve(connection: Connection) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(echo(send, receive));
    }
}

async fn echo(mut send: SendStream, mut receive: RecvStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Bytes in, Bytes out: nothing is copied.
    while let Some(chunk) = receive.read_chunk(usize::MAX).await? {
        send.write_chunk(chunk).await?;
    }
    // Resolves when the peer has everything.
    Ok(send.finish().await?)
}

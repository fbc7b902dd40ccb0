//! The client: one connection, one thing done on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quicast::http3::{self, Code};
use quicast::tls::development;
use quicast::tls::pki_types::CertificateDer;
use quicast::tls::pki_types::pem::PemObject as _;
use quicast::{Connection, Endpoint};

use peer_options::Options;
use crate::requests::{self, Midway};
use crate::{Failure, describe, websocket};

/// How long a WebSocket of a case may take.
const TALK: Duration = Duration::from_secs(15);

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let address: SocketAddr = options.address.parse()?;
    let roots = CertificateDer::pem_file_iter(options.required("cacert")?)?.collect::<Result<Vec<_>, _>>()?;
    let mut tls = development::client_config(&roots, &[http3::ALPN])?;
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let endpoint = Endpoint::client(SocketAddr::new(address.ip(), 0))?;
    endpoint.set_client_config(Arc::new(tls));
    let connection = endpoint.connect(address, "localhost").await?;
    let sender = http3::connect(connection.clone())?;
    let authority = format!("localhost:{}", address.port());
    if options.has("wait-for-close") {
        println!("ready");
        println!("{}", describe(&connection.closed().await));
        return Ok(());
    }
    if let Some(path) = options.text("websocket") {
        tokio::time::timeout(TALK, websocket::talk(&sender, &authority, path)).await??;
    } else {
        let midway = Midway::new(endpoint.clone(), connection.clone(), options);
        requests::all(&sender, &authority, options, midway).await.map_err(|failure| -> Failure {
            match connection.close_reason() {
                Some(reason) => format!("{failure}; {}", describe(&reason)).into(),
                None => failure,
            }
        })?;
    }
    let (code, reason) = options.close(Code::H3_NO_ERROR.0, "")?;
    connection.close(code, reason.as_bytes());
    // The close has to leave the socket before the process ends.
    let _ = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
    Ok(())
}

/// Updates the keys as soon as that is permitted.
pub(crate) async fn update_keys(connection: Connection) {
    for _ in 0..1000 {
        match connection.force_key_update().await {
            Ok(()) => {
                println!("key update");
                return;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    println!("failed no key update was possible");
}

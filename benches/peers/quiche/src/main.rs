//! quiche, with BoringSSL, in a loop of its own around mio, as its examples have it; datagrams go out and come in by the
//! 64 KB (quinn-udp), stream data goes out without a copy. The time at which quiche would have a packet leave is not
//! waited for, as in its examples.

mod buffers;
mod client;
mod endpoint;
mod server;

use boring::pkey::PKey;
use boring::ssl::{SslContextBuilder, SslMethod};
use boring::x509::X509;
use common::{Command, Failure, PROTOCOL, certificate};

fn main() -> std::process::ExitCode {
    common::drive(|command| match command {
        Command::Server(server) => server::serve(&server),
        Command::Client(client) => client::run(&client),
    })
}

/// What both sides are set to.
fn config(tls: SslContextBuilder, mtu: u16, window: u64, streams: u64) -> Result<quiche::Config, Failure> {
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls)?;
    config.set_application_protos(&[PROTOCOL])?;
    config.verify_peer(false);
    config.set_max_send_udp_payload_size(mtu.into());
    config.set_initial_max_data(window);
    config.set_initial_max_stream_data_bidi_local(window);
    config.set_initial_max_stream_data_bidi_remote(window);
    config.set_max_connection_window(window);
    config.set_max_stream_window(window);
    config.set_initial_max_streams_bidi(streams);
    config.set_max_idle_timeout(60_000);
    config.set_disable_active_migration(true);
    Ok(config)
}

fn server_tls() -> Result<SslContextBuilder, Failure> {
    let made = certificate::generate()?;
    let mut tls = tls()?;
    tls.set_certificate(X509::from_der(&made.certificate)?.as_ref())?;
    tls.set_private_key(PKey::private_key_from_pkcs8(&made.key)?.as_ref())?;
    Ok(tls)
}

fn client_tls() -> Result<SslContextBuilder, Failure> {
    tls()
}

/// The key exchange that the others prefer, too: what a handshake costs depends on it.
fn tls() -> Result<SslContextBuilder, Failure> {
    let mut tls = SslContextBuilder::new(SslMethod::tls())?;
    tls.set_curves_list("X25519:P-256:P-384")?;
    Ok(tls)
}

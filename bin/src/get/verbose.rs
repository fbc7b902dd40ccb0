//! `-v`: what happens, as curl tells it, on standard error.

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Request, Response};
use quicast::Connection;
use tls::pki_types::CertificateDer;

use crate::out;
use crate::units;

/// Whether it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verbose(pub(super) bool);

impl Verbose {
    /// A line of our own.
    pub(super) fn fact(self, text: impl Display) {
        self.line('*', text);
    }

    fn line(self, mark: char, text: impl Display) {
        if self.0 {
            // What a peer says must not move the cursor.
            out::note(format_args!("{mark} {}", text.to_string().replace(char::is_control, " ")));
        }
    }

    /// The connection is there.
    pub(super) fn connection(self, connection: &Connection, handshake: Duration) {
        if !self.0 {
            return;
        }
        let remote = connection.remote_address();
        self.fact(format_args!("connected to {remote} in {}", units::time(handshake)));
        if let Some(data) = connection.handshake_data() {
            let suite =
                data.cipher_suite.map_or_else(|| "an unknown cipher suite".to_owned(), |suite| format!("{suite:?}"));
            let group = data.group.map_or_else(String::new, |group| format!(" / {group:?}"));
            let resumed = if data.resumed { ", resumed" } else { "" };
            self.fact(format_args!("TLSv1.3, {suite}{group}{resumed}"));
            let alpn = data.alpn.as_deref().unwrap_or_default();
            self.fact(format_args!("ALPN: the server chose {}", String::from_utf8_lossy(alpn)));
            if let Some(certificate) = data.peer_certificates.first() {
                self.fact(format_args!("certificate for {}", names(certificate)));
                let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
                self.fact(format_args!("certificate SHA-256 {}", units::hexadecimal(digest.as_ref())));
            }
        }
        let info = connection.stats();
        self.fact(format_args!(
            "QUIC: rtt {}, datagrams of {} bytes, congestion control {}",
            units::time(info.smoothed_rtt),
            info.datagram_size,
            info.congestion
        ));
    }

    /// What is sent.
    pub(super) fn request(self, request: &Request<()>) {
        if !self.0 {
            return;
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        self.line('>', format_args!("{} {target} HTTP/3", request.method()));
        self.line('>', format_args!("Host: {}", request.uri().authority().map_or("", |authority| authority.as_str())));
        self.fields('>', request.headers());
        self.line('>', "");
    }

    /// What comes.
    pub(super) fn response<B>(self, response: &Response<B>) {
        if !self.0 {
            return;
        }
        self.line('<', format_args!("HTTP/3 {}", response.status().as_u16()));
        self.fields('<', response.headers());
        self.line('<', "");
    }

    /// What comes at the end.
    pub(super) fn trailers(self, trailers: &HeaderMap) {
        if self.0 {
            self.fact("trailers");
            self.fields('<', trailers);
        }
    }

    /// How the connection was.
    pub(super) fn end(self, connection: &Connection) {
        if !self.0 {
            return;
        }
        let info = connection.stats();
        self.fact(format_args!(
            "connection to {}: rtt {}, {} packets sent, {} of them lost, {} received",
            info.remote,
            units::time(info.smoothed_rtt),
            info.totals.packets_sent,
            info.totals.packets_lost,
            info.totals.packets_received
        ));
    }

    fn fields(self, mark: char, fields: &HeaderMap) {
        for (name, value) in fields {
            self.line(mark, format_args!("{name}: {}", text(value)));
        }
    }
}

/// A value as text, whatever its bytes are.
pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The names that a certificate is for.
fn names(certificate: &[u8]) -> String {
    let der = CertificateDer::from_slice(certificate);
    let names: Vec<String> = match webpki::EndEntityCert::try_from(&der) {
        Ok(certificate) => certificate.valid_dns_names().map(ToOwned::to_owned).collect(),
        Err(_) => Vec::new(),
    };
    if names.is_empty() { "no name of DNS".to_owned() } else { names.join(", ") }
}

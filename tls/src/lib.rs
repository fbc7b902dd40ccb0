//! Keys: how QUIC packets are opened and sealed, and where the keys come from (RFC 9001, RFC 9369 §3.3).
#![no_std]

extern crate alloc;
extern crate std;

pub mod alert;
pub mod certificate;
mod config;
pub mod development;
pub mod error;
pub mod keys;
pub mod level;
pub mod negotiated;
pub mod protection;
pub mod retry;
mod rules;
mod rustls;
pub mod session;
mod x509;

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("quicast-tls needs a crypto provider: enable the feature `ring` or `aws-lc-rs`");

pub use self::rustls::{InitialSuite, KeyChange, provider};
pub use ::rustls::{ClientConfig, ServerConfig};
pub use alert::Alert;
pub use certificate::{Certificate, CertificateError};
pub use error::{KeyUpdateError, OpenError, SealError, SessionError, TlsError};
pub use keys::{Counters, KeyRing};
pub use level::Level;
pub use negotiated::{CipherSuite, EarlyData, KeyExchangeGroup};
pub use protection::Opened;
pub use protection::limits::Limits;
pub use rustls_pki_types as pki_types;
pub use session::{ExportError, Session};

/// Bytes that sealing adds: the AEAD's tag (RFC 9001 §5.3).
pub const TAG_LENGTH: usize = 16;

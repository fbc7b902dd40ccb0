//! Keys: how QUIC packets are opened and sealed, and where the keys come from (RFC 9001, RFC 9369 §3.3).
//!
//! It is not a TLS implementation: rustls is, and its QUIC interface is named in one file. It has no socket, no clock and no
//! connection; it does not know what is in a packet, only where its packet number and its payload begin. A packet that
//! does not open is no error of anybody's, only a fact: whoever asked discards it.
//!
//! ```text
//! CRYPTO data ─▶ Session ─▶ CRYPTO data to send
//!                   │ KeyChange
//!                   ▼
//! packet ─────▶ KeyRing::open ─▶ number, payload          (unmask header, find number, choose key, decrypt)
//! packet ◀───── KeyRing::seal ◀─ number, header, payload  (encrypt, mask header)
//! ```
//! All of it happens in the packet's own bytes, without allocation.
//!
//! Start with [`Session`] (handshake bytes in, bytes and keys out), [`KeyRing`] (which keys exist now), [`OpenError`] (what is
//! dropped and what closes the connection) and [`Certificate`].
//!
//! | RFC 9001 | where |
//! |---|---|
//! | §4.1, §4.6, §4.8, §8 the handshake and its errors | [`session`], `rustls`, [`alert`] |
//! | §4.1.3, §4.4, §4.6.1, §6, §8 what the TLS library leaves to us | `rules` |
//! | §4.9 discarding keys, §5.6, §5.7 who may use which | [`keys`] |
//! | §5.2 Initial keys, RFC 9369 §3.3 version 2 | `rustls` |
//! | §5.3 AEAD, §5.4 header protection | [`protection`] |
//! | §5.8 Retry integrity | [`retry`] |
//! | §6 key update, §9.5 without a timing signal | `keys/one_rtt.rs` |
//! | §6.6 limits on the use of keys | `protection/limits.rs` |
//!
//! The crypto provider is always named: that of the user's own rustls configuration, or else [`provider`]'s, of the feature
//! `ring` (the default), to which `aws-lc-rs` adds. What a process installs as rustls' default is never looked at.
//!
//! Tested with the sample packets of both RFCs byte for byte, two sessions shaking hands in memory, peers that break each
//! rule, every byte of a packet changed, and key updates under loss, reordering and duplication (property tests).
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
mod provider;
pub mod retry;
mod rules;
mod rustls;
pub mod session;
mod stopwatch;
mod x509;

#[cfg(not(feature = "ring"))]
compile_error!("quicast-tls needs a crypto provider: enable the feature `ring`, or `aws-lc-rs`, which includes it");

pub use self::provider::provider;
pub use self::rustls::{InitialSuite, KeyChange};
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
pub use stopwatch::{CryptoTime, NanosecondClock, SAMPLED};

/// Bytes that sealing adds: the AEAD's tag (RFC 9001 §5.3).
pub const TAG_LENGTH: usize = 16;

//! For machines that have no certificate yet, and for tests.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use codec::{Side, Version};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use crate::certificate::{Certificate, CertificateError, sha256};
use crate::keys::KeyRing;
use crate::rustls::{Secrets, public_keys};

pub use crate::config::{client_config, insecure_client_config, server_config};

/// The names every development certificate is for.
pub const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long a development certificate is valid: the longest that browsers take for one they are told to trust by its
/// hash (W3C WebTransport, "custom certificate requirements").
pub const VALIDITY: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A new self-signed ECDSA P-256 certificate for [`NAMES`] and `names`, DNS names or IP addresses, valid for
/// [`VALIDITY`] from an hour before `now`, so that clocks may differ.
///
/// # Errors
/// If one of `names` can be no certificate's name.
pub fn certificate(names: &[&str], now: UnixTime) -> Result<Certificate, CertificateError> {
    let mut all: Vec<String> = Vec::new();
    for name in NAMES.iter().chain(names) {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(CertificateError::Name((*name).to_string()));
        }
        if !all.iter().any(|known| known == name) {
            all.push((*name).to_string());
        }
    }
    let mut parameters = CertificateParams::new(all).map_err(|error| {
        // rcgen refuses names that are not ASCII, without saying which.
        let name = names.iter().find(|name| !name.is_ascii()).copied().unwrap_or_default();
        if name.is_empty() { refused(&error) } else { CertificateError::Name(name.to_string()) }
    })?;
    let seconds = now.as_secs().saturating_sub(CLOCK_DIFFERENCE).min(LATEST_START);
    parameters.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    parameters.not_after = parameters.not_before + VALIDITY;
    parameters.key_usages = [KeyUsagePurpose::DigitalSignature].into();
    parameters.extended_key_usages = [ExtendedKeyUsagePurpose::ServerAuth].into();

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| refused(&error))?;
    // Each its own subject: a client that trusts another development certificate says "unknown issuer" then, and not
    // "bad signature".
    let [a, b, c, d, ..] = sha256(&key.subject_public_key_info());
    parameters.distinguished_name = DistinguishedName::new();
    let subject = format!("quicast development {a:02x}{b:02x}{c:02x}{d:02x}");
    parameters.distinguished_name.push(DnType::CommonName, subject);
    let certificate = parameters.self_signed(&key).map_err(|error| refused(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Certificate::from_der([certificate.der().clone()].into(), key)
}

/// The rings of a client and a server whose handshake is over, with keys that follow from `seed` alone: the same in
/// every run, and **known to everybody**. For tests and benchmarks of what comes after the handshake; AES-128-GCM.
pub fn key_rings(version: Version, seed: u64) -> (KeyRing, KeyRing) {
    let ring = |side: Side| {
        let keys = public_keys(side, version, seed, 0);
        KeyRing::established(side, version, keys, Secrets::Public { side, version, seed, generation: 1 })
    };
    (ring(Side::Client), ring(Side::Server))
}

/// One hour, in seconds.
const CLOCK_DIFFERENCE: u64 = 60 * 60;
/// The last second of the year 9998: later times do not fit into a certificate.
const LATEST_START: u64 = 253_370_764_799;

fn refused(error: &rcgen::Error) -> CertificateError {
    CertificateError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_named_in_the_error() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000));
        for name in ["", "two words", "b\u{fc}cher.example", "new\nline"] {
            assert_eq!(certificate(&[name], now).unwrap_err(), CertificateError::Name(name.to_string()));
        }
        assert!(certificate(&["server.example", "192.0.2.1", "2001:db8::1", "localhost"], now).is_ok());
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        for seconds in [0, 1, u64::MAX] {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let certificate = certificate(&[], now).unwrap();
            assert_eq!(certificate.not_after().as_secs() - certificate.not_before().as_secs(), VALIDITY.as_secs());
        }
    }
}

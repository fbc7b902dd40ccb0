//! [`Certificate`]: a chain with its private key, from PEM and back, and what its owner wants to know about it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ::rustls::InconsistentKeys;
use ::rustls::sign::CertifiedKey;
use ring::digest::{SHA256, digest};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::x509::Facts;

/// A server's certificate chain and private key. The key belongs to the first certificate of the chain: that is checked
/// when it is made.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    facts: Facts,
}

impl Certificate {
    /// Reads the contents of a chain file, the server's own certificate first, and of a key file (PKCS #8, PKCS #1 or
    /// SEC1), both PEM.
    ///
    /// # Errors
    /// One line each, for the user: what is wrong with which of the two.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| CertificateError::UnreadableChain(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => CertificateError::NoKey,
            error => CertificateError::UnreadableKey(error.to_string()),
        })?;
        Self::from_der(chain, key)
    }

    /// Takes a chain, the server's own certificate first, and the key of that one.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let own = chain.first().ok_or(CertificateError::NoCertificate)?;
        let facts = Facts::parse(own).ok_or(CertificateError::NotX509)?;
        let signing_key = crate::provider()
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| CertificateError::UnreadableKey(error.to_string()))?;
        match CertifiedKey::new(chain.clone(), signing_key).keys_match() {
            Ok(()) | Err(::rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(::rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::KeyMismatch),
            Err(_) => return Err(CertificateError::NotX509),
        }
        Ok(Self { chain, key, facts })
    }

    /// The chain, the server's own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The chain as the contents of a PEM file.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem_section("CERTIFICATE", certificate)).collect()
    }

    /// The private key as the contents of a PEM file, to be kept from other users.
    pub fn key_pem(&self) -> String {
        let label = match self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem_section(label, self.key.secret_der())
    }

    /// SHA-256 of the server's own certificate: what WebTransport's `serverCertificateHashes` wants.
    pub fn sha256(&self) -> [u8; 32] {
        self.chain.first().map(|certificate| sha256(certificate)).unwrap_or_default()
    }

    /// [`Self::sha256`] as `openssl x509 -fingerprint -sha256` prints it: hexadecimal with colons.
    pub fn fingerprint(&self) -> String {
        let mut text = String::with_capacity(32 * 3);
        for byte in self.sha256() {
            if !text.is_empty() {
                text.push(':');
            }
            text.push_str(&format!("{byte:02X}"));
        }
        text
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo) in Base64: what Chromium's
    /// `--ignore-certificate-errors-spki-list` wants.
    pub fn public_key_sha256_base64(&self) -> String {
        let own = self.chain.first().map(|certificate| certificate.as_ref()).unwrap_or_default();
        base64(&sha256(own.get(self.facts.public_key.clone()).unwrap_or_default()))
    }

    /// Since when the server's own certificate is valid.
    pub fn not_before(&self) -> UnixTime {
        self.facts.not_before
    }

    /// Until when the server's own certificate is valid.
    pub fn not_after(&self) -> UnixTime {
        self.facts.not_after
    }

    /// Whether `now` is between the two.
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        (self.facts.not_before.as_secs()..=self.facts.not_after.as_secs()).contains(&now.as_secs())
    }
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), facts: self.facts.clone() }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        f.debug_struct("Certificate")
            .field("fingerprint", &self.fingerprint())
            .field("not_after", &self.facts.not_after)
            .finish_non_exhaustive()
    }
}

/// Why a certificate and its key cannot be used. Each says what to look at, in one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// The chain is not PEM.
    #[error("the certificate file is not readable as PEM: {0}")]
    UnreadableChain(String),
    /// The chain is PEM without a certificate.
    #[error("the certificate file has no CERTIFICATE section")]
    NoCertificate,
    /// The first certificate is not one.
    #[error("the first certificate of the file is not an X.509 certificate")]
    NotX509,
    /// The key file is PEM without a key.
    #[error("the key file has no PRIVATE KEY section")]
    NoKey,
    /// The key file is not PEM, or has a key of a kind that is not supported.
    #[error("the private key is not readable: {0}")]
    UnreadableKey(String),
    /// The key belongs to another certificate.
    #[error(
        "the private key does not belong to the certificate (the file must have the server's own certificate first)"
    )]
    KeyMismatch,
    /// A development certificate for this name cannot be made.
    #[error("a certificate cannot be made for {0:?}: neither a DNS name nor an IP address")]
    Name(String),
    /// The TLS library refuses, for a reason that is not the certificate's form.
    #[error("the certificate cannot be used: {0}")]
    Refused(String),
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

fn pem_section(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    // 48 bytes are 64 characters: the line length of RFC 7468.
    for line in der.chunks(48) {
        text.push_str(&base64(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let character = ALPHABET.get(bits >> (18 - 6 * index) & 0x3f).filter(|_| index <= group.len());
            text.push(char::from(*character.unwrap_or(&b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::development;

    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000))
    }

    fn certificate() -> Certificate {
        development::certificate(&[], now()).unwrap()
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648 §10.
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_certificate_survives_its_pem_files() {
        let made = certificate();
        let read = Certificate::from_pem(made.chain_pem().as_bytes(), made.key_pem().as_bytes()).unwrap();
        assert_eq!(read.chain(), made.chain());
        assert_eq!(read.key(), made.key());
        assert_eq!(read.fingerprint(), made.fingerprint());
        assert_eq!(read.fingerprint().len(), 95);
        assert_eq!(read.public_key_sha256_base64().len(), 44);
    }

    #[test]
    fn the_public_key_is_found_in_the_certificate() {
        let made = certificate();
        let own = &made.chain()[0];
        let parsed = ::rustls::server::ParsedCertificate::try_from(own).unwrap();
        let public_key = parsed.subject_public_key_info();
        assert_eq!(&own[made.facts.public_key.clone()], public_key.as_ref());
        assert_eq!(made.public_key_sha256_base64(), base64(&sha256(&public_key)));
    }

    #[test]
    fn every_unusable_pair_of_files_has_its_own_line() {
        let (one, other) = (certificate(), certificate());
        let (chain, key) = (one.chain_pem(), one.key_pem());
        let error = |chain: &str, key: &str| Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error(&chain, &other.key_pem()), CertificateError::KeyMismatch);
        assert_eq!(error("", &key), CertificateError::NoCertificate);
        assert_eq!(error(&key, &key), CertificateError::NoCertificate);
        assert_eq!(error(&chain, ""), CertificateError::NoKey);
        assert_eq!(error(&chain, &chain), CertificateError::NoKey);
        assert!(matches!(error(&chain[..200], &key), CertificateError::UnreadableChain(_)));
        assert!(matches!(error(&chain, &key[..100]), CertificateError::UnreadableKey(_)));
        let not_a_key = pem_section("PRIVATE KEY", b"nonsense");
        assert!(matches!(error(&chain, &not_a_key), CertificateError::UnreadableKey(_)));
        let not_a_certificate = pem_section("CERTIFICATE", b"nonsense");
        assert_eq!(error(&not_a_certificate, &key), CertificateError::NotX509);
        for error in [error("", &key), error(&chain, &not_a_key), CertificateError::Name("a b".into())] {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn it_is_valid_for_14_days_and_not_longer() {
        let made = certificate();
        let day = 24 * 60 * 60;
        assert_eq!(made.not_after().as_secs() - made.not_before().as_secs(), 14 * day);
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert!(made.is_valid_at(now()));
        assert!(made.is_valid_at(at(now().as_secs() + 13 * day)));
        assert!(!made.is_valid_at(at(now().as_secs() + 14 * day)));
        assert!(!made.is_valid_at(at(now().as_secs() - day)));
    }
}

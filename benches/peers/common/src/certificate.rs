//! A certificate that is made when the server starts: ECDSA on P-256, signed by itself.

use crate::{Failure, SERVER_NAME};

/// A certificate and its key, in DER.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key, in PKCS #8.
    pub key: Vec<u8>,
}

/// A fresh one.
///
/// # Errors
/// The system gives no chance to make a key of.
pub fn generate() -> Result<Certificate, Failure> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])?.self_signed(&key)?;
    Ok(Certificate { certificate: certificate.der().to_vec(), key: key.serialize_der() })
}

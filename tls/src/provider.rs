//! Which library does which part of the cryptography.
//!
//! With the feature `ring`, the default, `ring` does all of it. The feature `aws-lc-rs` takes from each of the two what it
//! does faster: key exchange, signing and verification from aws-lc; HKDF and hashing from ring; packet protection from
//! aws-lc where the processor has AVX-512 and from ring where it has not. `docs/adr/0008-two-libraries-of-cryptography.md`
//! has the numbers.

use alloc::sync::Arc;

use ::rustls::crypto::{CryptoProvider, ring};
use ::rustls::{CipherSuite, SupportedCipherSuite};

/// The crypto provider of the enabled features.
///
/// Never rustls' process-wide default: what a program installs there changes nothing here. AES-128-GCM comes first, as in
/// browsers: it is as safe as anyone needs, and a fifth cheaper for each packet than AES-256-GCM, which rustls prefers.
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(not(feature = "aws-lc-rs"))]
    let mut provider = ring::default_provider();
    #[cfg(feature = "aws-lc-rs")]
    let mut provider = mixed::provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// TLS_AES_128_GCM_SHA256 of that provider.
pub(crate) fn aes_128_gcm() -> SupportedCipherSuite {
    #[cfg(not(feature = "aws-lc-rs"))]
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    #[cfg(feature = "aws-lc-rs")]
    let suite = mixed::packets(ring::cipher_suite::TLS13_AES_128_GCM_SHA256);
    suite
}

#[cfg(feature = "aws-lc-rs")]
mod mixed {
    use ::rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
    use ::rustls::{CipherSuite, CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};

    static AES_128_GCM: Tls13CipherSuite = with_packets_of(
        &ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        &aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    );
    static AES_256_GCM: Tls13CipherSuite = with_packets_of(
        &ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        &aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    );

    /// Each part from whoever is faster.
    pub(super) fn provider() -> CryptoProvider {
        let mut provider = ring::default_provider();
        let CryptoProvider { kx_groups, signature_verification_algorithms, key_provider, .. } =
            aws_lc_rs::default_provider();
        provider.cipher_suites.iter_mut().for_each(|suite| *suite = packets(*suite));
        CryptoProvider { kx_groups, signature_verification_algorithms, key_provider, ..provider }
    }

    /// The suite with the faster packet protection for this processor.
    pub(super) fn packets(suite: SupportedCipherSuite) -> SupportedCipherSuite {
        match suite.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256 if has_wide_aes() => SupportedCipherSuite::Tls13(&AES_128_GCM),
            CipherSuite::TLS13_AES_256_GCM_SHA384 if has_wide_aes() => SupportedCipherSuite::Tls13(&AES_256_GCM),
            _ => suite,
        }
    }

    /// Whether the processor has what the AES-GCM of aws-lc needs to be the faster one: four blocks an instruction.
    fn has_wide_aes() -> bool {
        #[cfg(target_arch = "x86_64")]
        let wide = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("vaes")
            && std::is_x86_feature_detected!("vpclmulqdq");
        #[cfg(not(target_arch = "x86_64"))]
        let wide = false;
        wide
    }

    /// A suite that protects QUIC packets as `packets` does and is `suite` in all else.
    const fn with_packets_of(suite: &SupportedCipherSuite, packets: &SupportedCipherSuite) -> Tls13CipherSuite {
        let (suite, packets) = (of_tls_13(suite), of_tls_13(packets));
        let common = &suite.common;
        Tls13CipherSuite {
            common: CipherSuiteCommon {
                suite: common.suite,
                hash_provider: common.hash_provider,
                confidentiality_limit: common.confidentiality_limit,
            },
            hkdf_provider: suite.hkdf_provider,
            aead_alg: suite.aead_alg,
            quic: packets.quic,
        }
    }

    const fn of_tls_13(suite: &SupportedCipherSuite) -> &'static Tls13CipherSuite {
        match suite {
            SupportedCipherSuite::Tls13(suite) => suite,
            #[allow(unreachable_patterns, reason = "others exist if another crate switches rustls' TLS 1.2 on")]
            _ => panic!("evaluated by the compiler: a suite of TLS 1.3"),
        }
    }

    #[cfg(test)]
    mod tests {
        use alloc::vec::Vec;

        use super::*;

        #[test]
        fn a_mixed_suite_is_what_its_name_says() {
            let pairs = [
                (&AES_128_GCM, ring::cipher_suite::TLS13_AES_128_GCM_SHA256),
                (&AES_256_GCM, ring::cipher_suite::TLS13_AES_256_GCM_SHA384),
            ];
            for (mixed, ring) in pairs {
                let ring = of_tls_13(&ring);
                assert_eq!(mixed.common.suite, ring.common.suite);
                assert_eq!(mixed.common.hash_provider.algorithm(), ring.common.hash_provider.algorithm());
                assert_eq!(mixed.aead_alg.key_len(), ring.aead_alg.key_len());
                assert_eq!(mixed.quic.unwrap().aead_key_len(), ring.quic.unwrap().aead_key_len());
            }
            let names = |provider: CryptoProvider| provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
            let (ours, theirs): (Vec<_>, Vec<_>) = (names(provider()), names(ring::default_provider()));
            assert_eq!(ours, theirs);
        }

        #[test]
        fn key_exchange_and_signatures_are_of_aws_lc() {
            let (provider, theirs) = (provider(), aws_lc_rs::default_provider());
            let same = provider.kx_groups.iter().zip(&theirs.kx_groups).all(|(a, b)| core::ptr::addr_eq(*a, *b));
            assert!(same && provider.kx_groups.len() == theirs.kx_groups.len());
            assert!(core::ptr::addr_eq(provider.key_provider, theirs.key_provider));
            assert_eq!(provider.kx_groups[0].name(), ::rustls::NamedGroup::X25519);
        }

        /// What one library has sealed the other opens: a peer may have either.
        #[test]
        fn packets_of_both_libraries_are_the_same() {
            use ::rustls::{Side, quic::Version};
            let suites = [&AES_128_GCM, of_tls_13(&ring::cipher_suite::TLS13_AES_128_GCM_SHA256)];
            let keys = |suite: &'static Tls13CipherSuite, side| {
                suite.quic_suite().unwrap().keys(b"original", side, Version::V1)
            };
            let sealed = suites.map(|suite| {
                let (mut payload, mut first, mut number) = ([7; 100], 0xc3, [0, 0, 0, 9]);
                let local = keys(suite, Side::Client).local;
                let tag = local.packet.encrypt_in_place(9, b"header", &mut payload).unwrap();
                local.header.encrypt_in_place(&payload[..16], &mut first, &mut number).unwrap();
                ([&payload[..], tag.as_ref()].concat(), first, number)
            });
            assert_eq!(sealed[0], sealed[1]);
            let mut packet = sealed[0].0.clone();
            let opened = keys(suites[1], Side::Server).remote.packet.decrypt_in_place(9, b"header", &mut packet);
            assert_eq!(opened.unwrap(), [7; 100]);
        }
    }
}

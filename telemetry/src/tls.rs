//! TLS: handshakes, keys, and what protecting packets costs.

use crate::family::{Family, PerCertificate};
use crate::handle::{Counter, Gauge, Histogram, Level, Seconds};
use crate::labels::{Direction, Initiator, Role};
use crate::layer::{label, layer};

label! {
    /// The keys of a packet (RFC 9001 §2.1).
    EncryptionLevel { Initial = "initial", ZeroRtt = "zero_rtt", Handshake = "handshake", OneRtt = "one_rtt", }
}

label! {
    /// A step of packet protection (RFC 9001 §5).
    CryptoOperation { Seal = "seal", Open = "open", HeaderProtection = "header_protection", }
}

label! {
    /// How much of an earlier session a handshake used.
    Resumption { Full = "full", Resumed = "resumed", ZeroRtt = "zero_rtt", }
}

label! {
    /// How a handshake ended.
    HandshakeResult {
        Ok = "ok", Alert = "alert", Timeout = "timeout", NoAlpn = "no_alpn", Certificate = "certificate",
        Refused = "refused", Internal = "internal",
    }
}

label! {
    /// What became of 0-RTT data.
    EarlyData { Accepted = "accepted", Rejected = "rejected", NotOffered = "not_offered", }
}

label! {
    /// A TLS 1.3 cipher suite that QUIC may use (RFC 9001 §5.3).
    CipherSuite {
        Aes128Gcm = "TLS_AES_128_GCM_SHA256", Aes256Gcm = "TLS_AES_256_GCM_SHA384",
        ChaCha20Poly1305 = "TLS_CHACHA20_POLY1305_SHA256",
    }
}

label! {
    /// A key exchange group.
    Group {
        X25519 = "x25519", Secp256r1 = "secp256r1", Secp384r1 = "secp384r1", X25519MlKem768 = "x25519mlkem768",
        Other = "other",
    }
}

label! {
    /// A TLS alert by the name of RFC 8446 §6; what that names not is `other`.
    Alert {
        CloseNotify = "close_notify", UnexpectedMessage = "unexpected_message", BadRecordMac = "bad_record_mac",
        RecordOverflow = "record_overflow", HandshakeFailure = "handshake_failure",
        BadCertificate = "bad_certificate", UnsupportedCertificate = "unsupported_certificate",
        CertificateRevoked = "certificate_revoked", CertificateExpired = "certificate_expired",
        CertificateUnknown = "certificate_unknown", IllegalParameter = "illegal_parameter", UnknownCa = "unknown_ca",
        AccessDenied = "access_denied", DecodeError = "decode_error", DecryptError = "decrypt_error",
        ProtocolVersion = "protocol_version", InsufficientSecurity = "insufficient_security",
        InternalError = "internal_error", InappropriateFallback = "inappropriate_fallback",
        UserCanceled = "user_canceled", MissingExtension = "missing_extension",
        UnsupportedExtension = "unsupported_extension", UnrecognizedName = "unrecognized_name",
        BadCertificateStatusResponse = "bad_certificate_status_response",
        UnknownPskIdentity = "unknown_psk_identity", CertificateRequired = "certificate_required",
        NoApplicationProtocol = "no_application_protocol", Other = "other",
    }
}

impl Alert {
    /// The label of an alert description, the low byte of a CRYPTO_ERROR (RFC 9001 §4.8).
    pub const fn of(description: u8) -> Self {
        match description {
            0 => Self::CloseNotify,
            10 => Self::UnexpectedMessage,
            20 => Self::BadRecordMac,
            22 => Self::RecordOverflow,
            40 => Self::HandshakeFailure,
            42 => Self::BadCertificate,
            43 => Self::UnsupportedCertificate,
            44 => Self::CertificateRevoked,
            45 => Self::CertificateExpired,
            46 => Self::CertificateUnknown,
            47 => Self::IllegalParameter,
            48 => Self::UnknownCa,
            49 => Self::AccessDenied,
            50 => Self::DecodeError,
            51 => Self::DecryptError,
            70 => Self::ProtocolVersion,
            71 => Self::InsufficientSecurity,
            80 => Self::InternalError,
            86 => Self::InappropriateFallback,
            90 => Self::UserCanceled,
            109 => Self::MissingExtension,
            110 => Self::UnsupportedExtension,
            112 => Self::UnrecognizedName,
            113 => Self::BadCertificateStatusResponse,
            115 => Self::UnknownPskIdentity,
            116 => Self::CertificateRequired,
            120 => Self::NoApplicationProtocol,
            _ => Self::Other,
        }
    }
}

label! {
    /// How an operator's order to load something again ended.
    ReloadResult { Ok = "ok", Error = "error", }
}

layer! {
    /// What the sessions and key rings of a shard do.
    TlsMetrics of "tls" {
        decrypt_failures: Family<EncryptionLevel, Counter> = "quicast_tls_packet_decrypt_failures_total" by ["type"],
            "AEAD or header protection failures.";
        key_updates: Family<Initiator, Counter> = "quicast_tls_key_updates_total" by ["initiator"],
            "1-RTT key updates completed.";
        crypto_time: Family<CryptoOperation, Seconds> = "quicast_tls_crypto_seconds_total" by ["op"],
            "CPU time in packet protection (sampled 1/64, scaled).";
        handshakes: Family<(Role, Resumption, HandshakeResult), Counter> =
            "quicast_tls_handshakes_total" by ["role", "resumption", "result"],
            "TLS handshakes finished, by outcome.";
        handshake_duration: Family<(Role, Resumption), Histogram> =
            "quicast_tls_handshake_duration_seconds" by ["role", "resumption"] in LATENCY,
            "First Initial to handshake complete.";
        alerts: Family<(Direction, Alert), Counter> = "quicast_tls_alerts_total" by ["direction", "alert"],
            "TLS alerts by RFC 8446 name.";
        early_data: Family<EarlyData, Counter> = "quicast_tls_early_data_total" by ["result"],
            "0-RTT outcome per connection.";
        sessions_stored: Level = "quicast_tls_sessions_stored",
            "Entries in the stateful resumption store.";
        connections: Family<(CipherSuite, Group), Counter> =
            "quicast_tls_connections_total" by ["cipher_suite", "group"],
            "Negotiated parameters.";
        certificate_expiry: PerCertificate<Gauge> =
            "quicast_tls_certificate_expiry_timestamp_seconds" by ["certificate"],
            "notAfter of each loaded certificate.";
        certificate_reloads: Family<ReloadResult, Counter> =
            "quicast_tls_certificate_reloads_total" by ["result"],
            "Certificate reloads.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Label;

    #[test]
    fn every_alert_has_a_description_that_leads_to_it() {
        for alert in Alert::ALL {
            assert!((0..=u8::MAX).any(|description| Alert::of(description) == *alert), "{}", alert.as_str());
        }
        assert_eq!(Alert::of(120).as_str(), "no_application_protocol");
    }
}

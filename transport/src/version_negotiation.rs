//! Agreeing on a version (RFC 9000 §6, RFC 8999 §6, RFC 9368).
//!
//! A server [answers](fn@write) an unknown version with those it knows; a client [judges](judge) such an answer. Both check
//! in the handshake that nobody forged it: [`check_client`] at the server, [`check_server`] at the client. Versions 1
//! and 2 are compatible, so a server may [`choose`] between them without a further round trip (RFC 9369 §4).

use codec::cursor::Writer;
use codec::packet::VersionNegotiation;
use codec::parameters::VersionInformation;
use codec::{TransportErrorCode, Version};
use smallvec::SmallVec;

use crate::error::TransportError;

/// Versions in one Version Negotiation packet: those known here and a reserved one.
const OFFERED: usize = 8;

/// Writes the answer to a packet with these ids, of a version that is not among `versions`, and returns its length;
/// `None` if `out` is too small. `random` must be unpredictable: it makes the unused bits, and the reserved version
/// and its place.
///
/// Whether to answer at all is for [`accept`](crate::accept) to say.
pub fn write(destination: &[u8], source: &[u8], versions: &[Version], random: u64, out: &mut [u8]) -> Option<usize> {
    let [unused, place, _, _, seed @ ..] = random.to_be_bytes();
    let mut offered: SmallVec<[Version; OFFERED]> = versions.iter().take(OFFERED - 1).copied().collect();
    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.3
    //# For
    //# instance, an endpoint could include a reserved version in a Version Negotiation
    //# packet; see Section 17.2.1.
    offered.insert(usize::from(place) % (offered.len() + 1), Version::grease(u32::from_be_bytes(seed)));
    let mut writer = Writer::new(out);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1
    //# The server MUST include the value from the Source Connection ID field of the
    //# packet it receives in the Destination Connection ID field.  The value for Source
    //# Connection ID MUST be copied from the Destination Connection ID of the received
    //# packet, which is initially randomly selected by a client.
    VersionNegotiation::encode(&mut writer, unused, source, destination, &offered).ok()?;
    Some(writer.position())
}

/// What a client knows when a Version Negotiation packet comes.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The version of the first flight.
    pub version: Version,
    /// Where the first Initial went.
    pub destination: &'a [u8],
    /// The source id of our Initials.
    pub source: &'a [u8],
    /// Whether any packet of this attempt was processed, a Retry included.
    pub heard: bool,
    /// Whether this attempt is itself the answer to a Version Negotiation packet.
    pub negotiated: bool,
    /// The versions we speak, best first.
    pub supported: &'a [Version],
}

/// What a client does about a Version Negotiation packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// Nothing: it is late, forged or pointless.
    Ignore,
    /// Begin anew with this version.
    Retry(Version),
    /// Give up: no version in common; these are the server's, reserved ones left out.
    Abandon {
        /// What the server speaks.
        versions: Vec<Version>,
    },
}

/// Judges a Version Negotiation packet that came to a client.
pub fn judge(packet: &VersionNegotiation<'_>, attempt: &Attempt<'_>) -> Judgement {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
    //# A client MUST discard any Version Negotiation packet
    //# if it has received and successfully processed any other packet, including an
    //# earlier Version Negotiation packet.
    if attempt.heard || attempt.negotiated {
        return Judgement::Ignore;
    }
    //= https://www.rfc-editor.org/rfc/rfc9368#section-2.1
    //# The client also ignores a
    //# Version Negotiation packet that contains incorrect connection ID fields, as required by
    //# Section 6 of [QUIC-INVARIANTS].
    if packet.destination != attempt.source || packet.source != attempt.destination {
        return Judgement::Ignore;
    }
    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
    //# A client MUST discard a Version Negotiation
    //# packet that lists the QUIC version selected by the client.
    if packet.versions().any(|version| version == attempt.version) {
        return Judgement::Ignore;
    }
    match select(attempt.supported, packet.versions()) {
        Some(version) => Judgement::Retry(version),
        None => {
            // A datagram holds at most 16 thousand; more than a few are of no use to anybody.
            let versions = packet.versions().filter(|version| !version.is_reserved()).take(64).collect();
            Judgement::Abandon { versions }
        }
    }
}

/// The version that a client takes from a server's list: its own best that is there.
fn select(supported: &[Version], listed: impl Iterator<Item = Version> + Clone) -> Option<Version> {
    supported.iter().copied().find(|version| version.is_known() && listed.clone().any(|listed| listed == *version))
}

/// Whether a first flight of version `from` can be read as one of version `to` (RFC 9369 §3).
pub const fn is_compatible(from: Version, to: Version) -> bool {
    from.0 == to.0 || from.is_known() && to.is_known()
}

/// The version that a server goes on with: its own best that the client's first flight may be converted to. `in_use` is
/// the version of the client's first flight, and the answer if the client says nothing else.
//= https://www.rfc-editor.org/rfc/rfc9368#section-2.3
//# In order to perform compatible version negotiation, the server MUST select one
//# of these versions that it (1) supports and (2) knows the client's Chosen
//# Version is compatible with.
pub fn choose(information: Option<&VersionInformation>, in_use: Version, supported: &[Version]) -> Version {
    let Some(information) = information else { return in_use };
    let mut candidates = supported.iter().copied();
    candidates
        .find(|version| information.available.contains(version) && is_compatible(in_use, *version))
        .unwrap_or(in_use)
}

/// The server's check of the client's version information. `in_use` is the version of the client's first flight.
///
/// # Errors
/// VERSION_NEGOTIATION_ERROR if the client says it chose another, TRANSPORT_PARAMETER_ERROR if what it says is
/// malformed.
pub fn check_client(information: Option<&VersionInformation>, in_use: Version) -> Result<(), TransportError> {
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# Servers MAY complete the handshake even if the Version Information is missing.
    let Some(information) = information else { return Ok(()) };
    check_form(information)?;
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# If a server receives Version
    //# Information where the Chosen Version is not included in Available Versions, it
    //# MUST treat it as a parsing failure.
    if !information.available.contains(&information.chosen) {
        return Err(TransportError::transport_parameter("the chosen version is not among the available ones"));
    }
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# When the server then processes the client's Version
    //# Information, the server MUST validate that the client's Chosen Version
    //# matches the version in use for the connection.  If the two differ, the
    //# server MUST close the connection with a version negotiation error.
    if information.chosen != in_use {
        return Err(mismatch("the client says that it chose another version"));
    }
    Ok(())
}

/// What a client sent, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The version of the first flight (of the second attempt, after a Version Negotiation packet).
    pub attempted: Version,
    /// The versions that were announced with it (our Available Versions).
    pub available: &'a [Version],
    /// The version that the server answered with.
    pub in_use: Version,
    /// Whether the attempt was the answer to a Version Negotiation packet.
    pub negotiated: bool,
    /// The versions we speak, best first.
    pub supported: &'a [Version],
}

/// The client's check of the server's version information.
///
/// # Errors
/// VERSION_NEGOTIATION_ERROR if somebody may have forged the negotiation, TRANSPORT_PARAMETER_ERROR if the information
/// is malformed.
pub fn check_server(information: Option<&VersionInformation>, offer: &Offer<'_>) -> Result<(), TransportError> {
    let (chosen, available): (Version, &[Version]) = match information {
        Some(information) => {
            check_form(information)?;
            (information.chosen, &information.available)
        }
        //= https://www.rfc-editor.org/rfc/rfc9368#section-8
        //# then the client SHALL proceed as if the
        //# server's transport parameters contained a version_information transport
        //# parameter with a Chosen Version set to 0x00000001 and an Available Version list
        //# containing exactly one version set to 0x00000001.
        None if offer.negotiated && offer.in_use == Version::V1 => (Version::V1, &[Version::V1]),
        //= https://www.rfc-editor.org/rfc/rfc9368#section-4
        //# If a client has reacted to a
        //# Version Negotiation packet and the server's Version Information was missing, the client
        //# MUST close the connection with a version negotiation error.
        None if offer.negotiated => return Err(mismatch("the server negotiated a version and does not say which")),
        // Only the server's word proves that it, and nobody on the way, changed the version.
        None if offer.in_use != offer.attempted => {
            return Err(mismatch("the server changed the version and does not say so"));
        }
        None => return Ok(()),
    };
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# clients MUST validate that the server's
    //# Chosen Version is equal to the Negotiated Version; if they do not match, the
    //# client MUST close the connection with a version negotiation error.
    if chosen != offer.in_use {
        return Err(mismatch("the server says that it chose another version"));
    }
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# If a client receives Version Information where the server's Chosen Version was
    //# not sent by the client as part of its Available Versions, the client MUST close
    //# the connection with a version negotiation error.
    if !offer.available.contains(&chosen) {
        return Err(mismatch("the server chose a version that was not offered"));
    }
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# If the client would have selected a different version, the
    //# client MUST close the connection with a version negotiation error.  In
    //# particular, if the client reacted to a Version Negotiation packet and the
    //# server's Available Versions field is empty, the client MUST close the connection
    //# with a version negotiation error.
    if offer.negotiated {
        let listed = available.iter().copied().chain(std::iter::once(offer.in_use));
        if available.is_empty() || select(offer.supported, listed) != Some(offer.attempted) {
            return Err(mismatch("the server speaks a better version than the one that was negotiated"));
        }
    }
    Ok(())
}

//= https://www.rfc-editor.org/rfc/rfc9368#section-4
//# If an endpoint
//# receives a Chosen Version equal to zero, or any Available Version equal to zero,
//# it MUST treat it as a parsing failure.
fn check_form(information: &VersionInformation) -> Result<(), TransportError> {
    if information.chosen == Version::NEGOTIATION || information.available.contains(&Version::NEGOTIATION) {
        return Err(TransportError::transport_parameter("version zero in the version information"));
    }
    Ok(())
}

#[track_caller]
const fn mismatch(reason: &'static str) -> TransportError {
    TransportError::new(TransportErrorCode::VERSION_NEGOTIATION_ERROR, reason)
}

#[cfg(test)]
mod tests {
    use codec::packet::{self, Packet};
    use proptest::prelude::*;

    use super::*;

    const BOTH: &[Version] = &[Version::V2, Version::V1];
    const UNKNOWN: Version = Version(0xface_b00c);

    fn attempt(version: Version) -> Attempt<'static> {
        Attempt { version, destination: b"firstdst", source: b"mine", heard: false, negotiated: false, supported: BOTH }
    }

    fn judged(versions: &[Version], attempt: &Attempt<'_>) -> Judgement {
        let mut out = [0; 128];
        let mut writer = Writer::new(&mut out);
        VersionNegotiation::encode(&mut writer, 0, b"mine", b"firstdst", versions).unwrap();
        let Ok(Packet::VersionNegotiation(packet)) = packet::decode(writer.written(), 8) else { panic!("as written") };
        judge(&packet, attempt)
    }

    fn information(chosen: Version, available: &[Version]) -> VersionInformation {
        VersionInformation { chosen, available: available.to_vec() }
    }

    fn code(result: Result<(), TransportError>) -> Option<TransportErrorCode> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn an_answer_has_the_ids_reversed_all_versions_and_one_reserved() {
        for random in [0, u64::MAX, 0x0102_0304_0506_0708] {
            let mut out = [0; 600];
            let length = write(&[1; 255], &[2; 20], BOTH, random, &mut out).unwrap();
            let Ok(Packet::VersionNegotiation(packet)) = packet::decode(&out[..length], 8) else { panic!("{random}") };
            assert_eq!((packet.destination, packet.source), (&[2; 20][..], &[1; 255][..]));
            let versions: Vec<Version> = packet.versions().collect();
            assert_eq!(versions.len(), 3);
            assert_eq!(versions.iter().filter(|version| version.is_reserved()).count(), 1);
            assert!(BOTH.iter().all(|version| versions.contains(version)));
        }
        assert!(write(&[1; 8], &[2; 8], BOTH, 0, &mut [0; 20]).is_none());
    }

    #[test]
    fn a_client_takes_its_best_version_from_the_list() {
        let attempt = attempt(UNKNOWN);
        assert_eq!(judged(&[Version::V1, Version::V2], &attempt), Judgement::Retry(Version::V2));
        assert_eq!(judged(&[Version::V1, Version::grease(7)], &attempt), Judgement::Retry(Version::V1));
    }

    #[test]
    fn without_a_version_in_common_a_client_gives_up() {
        // NEQO: version_negotiation_not_supported, version_negotiation_only_reserved.
        let other = Version(0x709a_50c4);
        let listed = judged(&[other, Version::grease(7)], &attempt(UNKNOWN));
        assert_eq!(listed, Judgement::Abandon { versions: vec![other] });
        assert_eq!(judged(&[Version::grease(7)], &attempt(UNKNOWN)), Judgement::Abandon { versions: vec![] });
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
    //= type=test
    //# A client MUST discard a Version Negotiation
    //# packet that lists the QUIC version selected by the client.
    #[test]
    fn a_list_with_our_version_is_forged() {
        assert_eq!(judged(&[Version::V1, Version::V2], &attempt(Version::V1)), Judgement::Ignore);
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
    //= type=test
    //# A client MUST discard any Version Negotiation packet
    //# if it has received and successfully processed any other packet, including an
    //# earlier Version Negotiation packet.
    #[test]
    fn a_list_that_comes_late_is_ignored() {
        let heard = Attempt { heard: true, ..attempt(UNKNOWN) };
        assert_eq!(judged(&[Version::V1], &heard), Judgement::Ignore);
        let negotiated = Attempt { negotiated: true, ..attempt(Version::V1) };
        assert_eq!(judged(&[Version::V2], &negotiated), Judgement::Ignore);
    }

    //= https://www.rfc-editor.org/rfc/rfc9368#section-2.1
    //= type=test
    //# The client also ignores a
    //# Version Negotiation packet that contains incorrect connection ID fields, as required by
    //# Section 6 of [QUIC-INVARIANTS].
    #[test]
    fn a_list_with_other_ids_is_ignored() {
        for wrong in [
            Attempt { destination: b"otherdst", ..attempt(UNKNOWN) },
            Attempt { source: b"mine2", ..attempt(UNKNOWN) },
            Attempt { source: b"", ..attempt(UNKNOWN) },
        ] {
            assert_eq!(judged(&[Version::V1], &wrong), Judgement::Ignore);
        }
    }

    #[test]
    fn the_server_holds_the_client_to_the_version_in_use() {
        let sound = information(Version::V1, &[Version::V1, Version::V2, Version::grease(3)]);
        assert_eq!(code(check_client(Some(&sound), Version::V1)), None);
        assert_eq!(code(check_client(None, Version::V1)), None);
        let mismatch = TransportErrorCode::VERSION_NEGOTIATION_ERROR;
        assert_eq!(code(check_client(Some(&sound), Version::V2)), Some(mismatch));
        for malformed in [
            information(Version::V1, &[Version::V2]),
            information(Version::V1, &[]),
            information(Version(0), &[Version(0)]),
            information(Version::V1, &[Version::V1, Version(0)]),
        ] {
            let error = TransportErrorCode::TRANSPORT_PARAMETER_ERROR;
            assert_eq!(code(check_client(Some(&malformed), Version::V1)), Some(error));
        }
    }

    #[test]
    fn the_server_chooses_its_best_compatible_version() {
        let offer = information(Version::V1, &[Version::V1, Version::V2]);
        assert_eq!(choose(Some(&offer), Version::V1, BOTH), Version::V2);
        assert_eq!(choose(Some(&offer), Version::V1, &[Version::V1, Version::V2]), Version::V1);
        assert_eq!(choose(None, Version::V1, BOTH), Version::V1);
        let only = information(Version::V1, &[Version::V1]);
        assert_eq!(choose(Some(&only), Version::V1, BOTH), Version::V1);
        let unknown = information(Version::V1, &[UNKNOWN, Version::V1]);
        assert_eq!(choose(Some(&unknown), Version::V1, &[UNKNOWN, Version::V1]), Version::V1);
    }

    fn offer(attempted: Version, in_use: Version, negotiated: bool) -> Offer<'static> {
        Offer { attempted, available: BOTH, in_use, negotiated, supported: BOTH }
    }

    #[test]
    fn the_client_holds_the_server_to_the_version_in_use() {
        let mismatch = Some(TransportErrorCode::VERSION_NEGOTIATION_ERROR);
        let v1 = offer(Version::V1, Version::V1, false);
        assert_eq!(code(check_server(None, &v1)), None);
        assert_eq!(code(check_server(Some(&information(Version::V1, &[])), &v1)), None);
        assert_eq!(code(check_server(Some(&information(Version::V2, BOTH)), &v1)), mismatch);
        let switched = offer(Version::V1, Version::V2, false);
        assert_eq!(code(check_server(Some(&information(Version::V2, BOTH)), &switched)), None);
        assert_eq!(code(check_server(None, &switched)), mismatch, "nobody vouches for the change");
        let not_offered = Offer { available: &[Version::V1], ..switched };
        assert_eq!(code(check_server(Some(&information(Version::V2, BOTH)), &not_offered)), mismatch);
        let zero = Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR);
        assert_eq!(code(check_server(Some(&information(Version(0), &[])), &v1)), zero);
    }

    #[test]
    fn a_forged_list_is_found_out_in_the_handshake() {
        let mismatch = Some(TransportErrorCode::VERSION_NEGOTIATION_ERROR);
        // Somebody listed only version 1, though the server speaks 2, which we like better.
        let downgraded = offer(Version::V1, Version::V1, true);
        assert_eq!(code(check_server(Some(&information(Version::V1, BOTH)), &downgraded)), mismatch);
        assert_eq!(code(check_server(Some(&information(Version::V1, &[])), &downgraded)), mismatch);
        assert_eq!(code(check_server(Some(&information(Version::V1, &[Version::V1])), &downgraded)), None);
        assert_eq!(code(check_server(None, &downgraded)), None, "a server of version 1 alone");
        let upgraded = offer(Version::V2, Version::V2, true);
        assert_eq!(code(check_server(None, &upgraded)), mismatch);
        assert_eq!(code(check_server(Some(&information(Version::V2, BOTH)), &upgraded)), None);
    }

    proptest! {
        #[test]
        fn no_list_makes_a_client_take_what_it_does_not_speak(numbers: Vec<u32>, version: u32) {
            let versions: Vec<Version> = numbers.into_iter().take(16).map(Version).collect();
            prop_assume!(!versions.is_empty());
            match judged(&versions, &attempt(Version(version))) {
                Judgement::Retry(chosen) => prop_assert!(BOTH.contains(&chosen) && versions.contains(&chosen)),
                Judgement::Ignore => prop_assert!(versions.contains(&Version(version))),
                Judgement::Abandon { versions } => prop_assert!(versions.iter().all(|version| !version.is_reserved())),
            }
        }
    }
}

//! Every bound that a peer can run into in HTTP/3, in one place. Those of QPACK are in [`crate::qpack::limits`].
//!
//! Each is a promise: what is below it is served, what is above it is handled as its line says. The machine that
//! enforces a bound counts the hit under the name in [`Limit`].

use std::time::Duration;

use crate::qpack;

/// The longest payload of a frame that holds one variable-length integer (GOAWAY, MAX_PUSH_ID, CANCEL_PUSH), in bytes;
/// more is H3_FRAME_ERROR (RFC 9114 §7.1).
pub const INTEGER_FRAME: u64 = 8;
/// The longest payload of SETTINGS in bytes; more is H3_EXCESSIVE_LOAD.
pub const SETTINGS_FRAME: u64 = 1024;
/// Parameters in SETTINGS; more is H3_EXCESSIVE_LOAD.
pub const SETTINGS: usize = 32;
/// The longest payload of PRIORITY_UPDATE in bytes; more is drained and ignored, as a value that cannot be parsed.
pub const PRIORITY_UPDATE_FRAME: u64 = 256;

/// Default size of a decoded field section in bytes: names, values, and 32 for each line (RFC 9114 §4.2.2). It is
/// announced as SETTINGS_MAX_FIELD_SECTION_SIZE. A request with more gets status 431, a response or trailers with more
/// are a stream error. An encoded section is not longer than this either.
pub const FIELD_SECTION: usize = qpack::limits::FIELD_SECTION_BYTES;
/// Default number of lines in a field section; more is handled in the same way.
pub const FIELDS: usize = qpack::limits::FIELDS;
/// Bytes of decoded field sections that wait to be polled, for each connection; while there are as many, no further
/// section is decoded, and its bytes stay charged to flow control. One section more than this may be held.
pub const UNDISPATCHED_FIELDS: usize = 256 * 1024;
/// Interim responses to one request; more is H3_EXCESSIVE_LOAD for that stream, and of ours more are not sent.
pub const INTERIM_RESPONSES: u8 = 8;

/// Bytes that may be handed over for sending on a stream before the transport took any: what a peer without credit
/// makes us hold. What it took so far is permitted in addition, up to [`SEND_AHEAD`].
pub const BLOCKED_STREAM: u64 = 16 * 1024;
/// Bytes that may be handed over for sending on a stream before the transport took them, at most.
pub const SEND_AHEAD: u64 = 256 * 1024;
/// How long a response may wait without the transport taking a byte of it; then the stream is reset with
/// H3_REQUEST_CANCELLED.
pub const BLOCKED_TIME: Duration = Duration::from_secs(30);

/// Default time in which the head of a request has to be complete, from the first byte of its stream on; then the stream
/// is reset with H3_REQUEST_REJECTED, since nothing was done with it.
pub const HEADERS_TIME: Duration = Duration::from_secs(10);
/// Default number of bytes of a request's content that have to come each second, until it is answered; when as many are
/// missing as [`CONTENT_GRACE`] is worth, the stream is reset with H3_REQUEST_CANCELLED. Time in which the application has
/// content that it did not take does not count, and tunnels may take theirs.
pub const CONTENT_RATE: u64 = 1024;
/// Default time for which no content need come.
pub const CONTENT_GRACE: Duration = Duration::from_secs(10);
/// Default time in which all of a request has to be there, from the opening of its stream on; then the stream is reset with
/// H3_REQUEST_CANCELLED. Time in which the application has content that it did not take does not count, nor how long the
/// response takes; and tunnels may take theirs.
pub const REQUEST_TIME: Duration = Duration::from_secs(300);

/// Elements that are to be ignored which a peer may send at once: empty DATA frames, frames and streams of unknown
/// types, PRIORITY_UPDATE, MAX_PUSH_ID. More is H3_EXCESSIVE_LOAD (RFC 9114 §10.5).
pub const GLITCHES: u64 = 1000;
/// The same for each second, in the long run.
pub const GLITCHES_PER_SECOND: u64 = 33;

/// The newest requests among which cancelled ones are counted.
pub const RAPID_RESET_REQUESTS: u64 = 200;
/// How many of them may be cancelled by the client before they are answered; more within [`RAPID_RESET_TIME`] is
/// H3_EXCESSIVE_LOAD.
pub const RAPID_RESETS: usize = 100;
/// The time within which such cancellations count together.
pub const RAPID_RESET_TIME: Duration = Duration::from_secs(10);

/// Priorities kept for streams that are not open yet; of further ones the oldest is forgotten.
pub const EARLY_PRIORITIES: usize = 64;
/// The longest Priority field value that is looked at, in bytes; a longer one is ignored.
pub const PRIORITY_VALUE: usize = 256;

/// The longest value of a capsule that is collected, in bytes; longer ones that we understand are skipped, as datagrams
/// that are too large to be of use (RFC 9297 §3.5).
pub const CAPSULE: u64 = 64 * 1024;

/// How long what our QPACK decoder says (acknowledged sections, insertions, cancelled streams) may wait for something else
/// of the connection to leave with. A fifth of the longest time that acknowledgements of packets wait by default, so that
/// they leave with it if nothing else does. An encoder that waits for it meanwhile compresses less, and does not wait.
pub const FEEDBACK_DELAY: Duration = Duration::from_millis(5);
/// Bytes of it that wait; with as many, it leaves at once. About as much as is said of 32 sections.
pub const FEEDBACK_BYTES: usize = 64;

/// Our own requests that wait for a stream; more are refused ([`may_request`](crate::Connection::may_request) asks).
pub const PENDING_REQUESTS: usize = 1024;

/// The bounds that are counted, one name each: the label of `quicast_limit_hits_total{limit}`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(usize)]
pub enum Limit {
    /// [`SETTINGS_FRAME`] or [`SETTINGS`].
    SettingsFrame,
    /// [`PRIORITY_UPDATE_FRAME`].
    PriorityUpdateFrame,
    /// [`FIELD_SECTION`] or [`FIELDS`].
    FieldSection,
    /// [`UNDISPATCHED_FIELDS`].
    UndispatchedFields,
    /// [`INTERIM_RESPONSES`].
    InterimResponses,
    /// [`BLOCKED_TIME`].
    BlockedTime,
    /// [`GLITCHES`].
    Glitches,
    /// [`RAPID_RESETS`].
    RapidResets,
    /// [`EARLY_PRIORITIES`].
    EarlyPriorities,
    /// [`PENDING_REQUESTS`].
    PendingRequests,
    /// [`HEADERS_TIME`].
    HeadersTime,
    /// [`CONTENT_RATE`].
    ContentRate,
    /// [`REQUEST_TIME`].
    RequestTime,
}

impl Limit {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 13] = [
        Self::SettingsFrame,
        Self::PriorityUpdateFrame,
        Self::FieldSection,
        Self::UndispatchedFields,
        Self::InterimResponses,
        Self::BlockedTime,
        Self::Glitches,
        Self::RapidResets,
        Self::EarlyPriorities,
        Self::PendingRequests,
        Self::HeadersTime,
        Self::ContentRate,
        Self::RequestTime,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SettingsFrame => "http3_settings_frame",
            Self::PriorityUpdateFrame => "http3_priority_update_frame",
            Self::FieldSection => "http3_field_section",
            Self::UndispatchedFields => "http3_undispatched_fields",
            Self::InterimResponses => "http3_interim_responses",
            Self::BlockedTime => "http3_blocked_time",
            Self::Glitches => "http3_glitches",
            Self::RapidResets => "http3_rapid_resets",
            Self::EarlyPriorities => "http3_early_priorities",
            Self::PendingRequests => "http3_pending_requests",
            Self::HeadersTime => "http3_headers_time",
            Self::ContentRate => "http3_content_rate",
            Self::RequestTime => "http3_request_time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limit;

    #[test]
    fn limits_are_listed_in_the_order_of_their_discriminants() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index, "{}", limit.as_str());
        }
    }
}

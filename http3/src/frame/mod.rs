//! Frames (RFC 9114 §7): their types, an incremental [`FrameReader`], and writers.
//!
//! A reader takes the bytes of a stream in pieces of any length. The payload of DATA is handed out as it comes, as slices
//! of those pieces; what is to be ignored is dropped as it comes; all other payloads are collected, and how long they
//! say to be is judged before the first byte is kept.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{FrameReader, Item};
pub use write::{HeadersPlace, put_frame_header, put_integer_frame, put_priority_update, put_varint};

use std::fmt;

use bytes::Bytes;

/// The type of a frame, as it was sent: any variable-length integer.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct FrameType(pub u64);

impl FrameType {
    /// RFC 9114 §7.2.1.
    pub const DATA: Self = Self(0x00);
    /// RFC 9114 §7.2.2.
    pub const HEADERS: Self = Self(0x01);
    /// RFC 9114 §7.2.3.
    pub const CANCEL_PUSH: Self = Self(0x03);
    /// RFC 9114 §7.2.4.
    pub const SETTINGS: Self = Self(0x04);
    /// RFC 9114 §7.2.5.
    pub const PUSH_PROMISE: Self = Self(0x05);
    /// RFC 9114 §7.2.6.
    pub const GOAWAY: Self = Self(0x07);
    /// RFC 9114 §7.2.7.
    pub const MAX_PUSH_ID: Self = Self(0x0d);
    /// For request streams, RFC 9218 §7.2.
    pub const PRIORITY_UPDATE: Self = Self(0xf0700);
    /// For push streams, RFC 9218 §7.2.
    pub const PRIORITY_UPDATE_PUSH: Self = Self(0xf0701);

    /// What it is to us.
    pub const fn kind(self) -> FrameKind {
        match self {
            Self::DATA => FrameKind::Data,
            Self::HEADERS => FrameKind::Headers,
            Self::CANCEL_PUSH => FrameKind::CancelPush,
            Self::SETTINGS => FrameKind::Settings,
            Self::PUSH_PROMISE => FrameKind::PushPromise,
            Self::GOAWAY => FrameKind::Goaway,
            Self::MAX_PUSH_ID => FrameKind::MaxPushId,
            Self::PRIORITY_UPDATE => FrameKind::PriorityUpdate,
            Self::PRIORITY_UPDATE_PUSH => FrameKind::PriorityUpdatePush,
            // RFC 9114 §11.2.1: types of HTTP/2 that have no counterpart.
            Self(0x02 | 0x06 | 0x08 | 0x09) => FrameKind::Http2,
            Self(number) if is_reserved(number) => FrameKind::Reserved,
            Self(_) => FrameKind::Unknown,
        }
    }
}

impl fmt::Debug for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.kind().label(), self.0)
    }
}

/// Whether a number of frames, settings, streams or errors is one of those that nobody may give a meaning:
/// `0x1f * N + 0x21` (RFC 9114 §7.2.8).
pub const fn is_reserved(number: u64) -> bool {
    number >= 0x21 && (number - 0x21).is_multiple_of(0x1f)
}

/// What a frame is to us.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the RFCs' names; FrameType has the sections")]
pub enum FrameKind {
    Data,
    Headers,
    CancelPush,
    Settings,
    PushPromise,
    Goaway,
    MaxPushId,
    PriorityUpdate,
    PriorityUpdatePush,
    /// A type of HTTP/2 that may not be sent.
    Http2,
    /// A type without meaning, for everybody.
    Reserved,
    /// A type of an extension that we do not know.
    Unknown,
}

impl FrameKind {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 12] = [
        Self::Data,
        Self::Headers,
        Self::CancelPush,
        Self::Settings,
        Self::PushPromise,
        Self::Goaway,
        Self::MaxPushId,
        Self::PriorityUpdate,
        Self::PriorityUpdatePush,
        Self::Http2,
        Self::Reserved,
        Self::Unknown,
    ];

    /// Its name as a label. Both kinds of PRIORITY_UPDATE share one, and so do both kinds of reserved types.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Headers => "headers",
            Self::CancelPush => "cancel_push",
            Self::Settings => "settings",
            Self::PushPromise => "push_promise",
            Self::Goaway => "goaway",
            Self::MaxPushId => "max_push_id",
            Self::PriorityUpdate | Self::PriorityUpdatePush => "priority_update",
            Self::Http2 | Self::Reserved => "reserved",
            Self::Unknown => "unknown",
        }
    }
}

/// A frame whose payload was collected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// An encoded field section.
    Headers(Bytes),
    /// A push ID.
    CancelPush(u64),
    /// The parameters, as they were sent.
    Settings(Bytes),
    /// A stream ID or push ID.
    Goaway(u64),
    /// A push ID.
    MaxPushId(u64),
    /// A new priority.
    PriorityUpdate {
        /// Whether of a push, not of a request.
        push: bool,
        /// The stream ID or push ID.
        element: u64,
        /// The Priority field value.
        value: Bytes,
    },
}

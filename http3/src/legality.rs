//! Which frame is permitted where: one table for both roles (RFC 9114 §7, RFC 9218 §7.2).

use codec::Side;

use crate::error::{Code, ConnectionError};
use crate::frame::FrameKind;

/// Where a frame begins: on which stream, and how far that has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// The first frame of the control stream.
    ControlStart,
    /// Later on the control stream.
    Control,
    /// On a request stream, before the head of the request or of the final response.
    Head,
    /// Behind that head.
    Content,
    /// Behind the trailers.
    Trailed,
    /// In a tunnel (CONNECT).
    Tunnel,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ControlStart, Self::Control, Self::Head, Self::Content, Self::Trailed, Self::Tunnel];
}

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ruling {
    /// It is read.
    Read,
    /// It is dropped as it comes.
    Ignore,
    /// The connection closes with this.
    Refuse(Code, &'static str),
}

impl Ruling {
    /// Whether it may be there at all, and if it may, whether it is to be read.
    #[track_caller]
    pub(crate) const fn is_read(self) -> Result<bool, ConnectionError> {
        match self {
            Self::Read => Ok(true),
            Self::Ignore => Ok(false),
            Self::Refuse(code, reason) => Err(ConnectionError::new(code, reason)),
        }
    }
}

/// What `side` does with a frame of this kind that the peer sent there.
///
/// | | control, first | control | head | content | trailed | tunnel |
/// |---|---|---|---|---|---|---|
/// | DATA | missing settings | unexpected | unexpected | **read** | unexpected | **read** |
/// | HEADERS | missing settings | unexpected | **read** | **read** | unexpected | unexpected |
/// | CANCEL_PUSH, GOAWAY | missing settings | **read** | unexpected | unexpected | unexpected | unexpected |
/// | SETTINGS | **read** | unexpected | unexpected | unexpected | unexpected | unexpected |
/// | PUSH_PROMISE | missing settings | unexpected | ¹ | ¹ | ¹ | unexpected |
/// | MAX_PUSH_ID, PRIORITY_UPDATE | missing settings | server: **read** | unexpected | unexpected | unexpected | unexpected |
/// | of HTTP/2 | missing settings | unexpected | unexpected | unexpected | unexpected | unexpected |
/// | reserved, unknown | missing settings | ignored | ignored | ignored | ignored | ignored |
///
/// ¹ At a server unexpected; at a client H3_ID_ERROR, because no push ID was ever permitted.
pub const fn judge(side: Side, place: Place, kind: FrameKind) -> Ruling {
    const fn unexpected(reason: &'static str) -> Ruling {
        Ruling::Refuse(Code::H3_FRAME_UNEXPECTED, reason)
    }
    match (place, kind) {
        (Place::ControlStart, FrameKind::Settings) => Ruling::Read,
        //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1
        //# If
        //# the first frame of the control stream is any other frame type, this MUST be
        //# treated as a connection error of type H3_MISSING_SETTINGS.
        (Place::ControlStart, _) => {
            Ruling::Refuse(Code::H3_MISSING_SETTINGS, "the control stream does not begin with SETTINGS")
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-9
        //# Implementations MUST ignore unknown or unsupported values in all extensible
        //# protocol elements.
        (_, FrameKind::Reserved | FrameKind::Unknown) => Ruling::Ignore,
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.8
        //# These frame types MUST NOT be
        //# sent, and their receipt MUST be treated as a connection error of type
        //# H3_FRAME_UNEXPECTED.
        (_, FrameKind::Http2) => unexpected("a frame type of HTTP/2"),
        (Place::Control, _) => judge_control(side, kind),
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1
        //# Receipt of an invalid sequence of frames MUST be treated as a connection error
        //# of type H3_FRAME_UNEXPECTED.  In particular, a DATA frame before
        //# any HEADERS frame, or a HEADERS or DATA frame after the trailing HEADERS frame,
        //# is considered invalid.
        (Place::Head, FrameKind::Data) => unexpected("DATA before HEADERS"),
        (Place::Trailed, FrameKind::Data) => unexpected("DATA after trailers"),
        (Place::Trailed, FrameKind::Headers) => unexpected("HEADERS after trailers"),
        (Place::Head | Place::Content, FrameKind::Headers) | (Place::Content | Place::Tunnel, FrameKind::Data) => {
            Ruling::Read
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.4
        //# Receipt of any other known frame type MUST be
        //# treated as a connection error of type H3_FRAME_UNEXPECTED.
        (Place::Tunnel, _) => unexpected("only DATA is permitted in a tunnel"),
        (_, FrameKind::PushPromise) => match side {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5
            //# A client MUST treat receipt of a
            //# PUSH_PROMISE frame that contains a larger push ID than the client has advertised
            //# as a connection error of H3_ID_ERROR.
            Side::Client => Ruling::Refuse(Code::H3_ID_ERROR, "PUSH_PROMISE, and no push ID was permitted"),
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5
            //# A server MUST treat the receipt of
            //# a PUSH_PROMISE frame as a connection error of type H3_FRAME_UNEXPECTED.
            Side::Server => unexpected("PUSH_PROMISE from a client"),
        },
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4
        //# If an endpoint receives a SETTINGS frame on a different stream, the endpoint
        //# MUST respond with a connection error of type H3_FRAME_UNEXPECTED.
        (_, FrameKind::Settings) => unexpected("SETTINGS on a request stream"),
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6
        //# A
        //# client MUST treat a GOAWAY frame on a stream other than the control stream as a
        //# connection error of type H3_FRAME_UNEXPECTED.
        (_, FrameKind::Goaway) => unexpected("GOAWAY on a request stream"),
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3
        //# Receiving a CANCEL_PUSH
        //# frame on a stream other than the control stream MUST be treated as a connection
        //# error of type H3_FRAME_UNEXPECTED.
        (_, FrameKind::CancelPush) => unexpected("CANCEL_PUSH on a request stream"),
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7
        //# Receipt of a
        //# MAX_PUSH_ID frame on any other stream MUST be treated as a connection error of
        //# type H3_FRAME_UNEXPECTED.
        (_, FrameKind::MaxPushId) => unexpected("MAX_PUSH_ID on a request stream"),
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7.2
        //# Receiving a PRIORITY_UPDATE frame on a
        //# stream other than the client control stream MUST be treated as a connection
        //# error of type H3_FRAME_UNEXPECTED.
        (_, FrameKind::PriorityUpdate | FrameKind::PriorityUpdatePush) => {
            unexpected("PRIORITY_UPDATE on a request stream")
        }
    }
}

/// Behind the SETTINGS.
const fn judge_control(side: Side, kind: FrameKind) -> Ruling {
    let reason = match (kind, side) {
        (FrameKind::CancelPush | FrameKind::Goaway, _)
        | (FrameKind::MaxPushId | FrameKind::PriorityUpdate | FrameKind::PriorityUpdatePush, Side::Server) => {
            return Ruling::Read;
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7
        //# A client MUST treat the receipt of
        //# a MAX_PUSH_ID frame as a connection error of type H3_FRAME_UNEXPECTED.
        (FrameKind::MaxPushId, Side::Client) => "MAX_PUSH_ID from a server",
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7.2
        //# If a client
        //# receives a PRIORITY_UPDATE frame, this MUST be treated as a connection error of
        //# type H3_FRAME_UNEXPECTED.
        (FrameKind::PriorityUpdate | FrameKind::PriorityUpdatePush, Side::Client) => "PRIORITY_UPDATE from a server",
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4
        //# If
        //# an endpoint receives a second SETTINGS frame on the control stream, the endpoint
        //# MUST respond with a connection error of type H3_FRAME_UNEXPECTED.
        (FrameKind::Settings, _) => "SETTINGS for the second time",
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.1
        //# If a DATA
        //# frame is received on a control stream, the recipient MUST respond with a
        //# connection error of type H3_FRAME_UNEXPECTED.
        (FrameKind::Data, _) => "DATA on the control stream",
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.2
        //# If a
        //# HEADERS frame is received on a control stream, the recipient MUST respond with a
        //# connection error of type H3_FRAME_UNEXPECTED.
        (FrameKind::Headers, _) => "HEADERS on the control stream",
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5
        //# If a PUSH_PROMISE frame is received on the control stream, the client MUST
        //# respond with a connection error of type H3_FRAME_UNEXPECTED.
        (FrameKind::PushPromise, _) => "PUSH_PROMISE on the control stream",
        // Judged for all streams alike.
        (FrameKind::Http2 | FrameKind::Reserved | FrameKind::Unknown, _) => return Ruling::Ignore,
    };
    Ruling::Refuse(Code::H3_FRAME_UNEXPECTED, reason)
}

//! Every bound on what a client can ask of the site, in one place.

use std::time::Duration;

/// The longest answer of `/bytes/{n}`: 1 TiB. It costs no memory, only the client's patience.
pub(super) const LONGEST_BYTES: u64 = 1 << 40;
/// The size of a piece of `/bytes/{n}`: what a slow client holds of it is a reference to the pattern.
pub(super) const CHUNK: usize = 64 * 1024;

/// The most bytes of `/drip`.
pub(super) const LONGEST_DRIP: u64 = 1 << 20;
/// The most time `/drip` takes: less than any carrier waits for a byte.
pub(super) const SLOWEST_DRIP: Duration = Duration::from_secs(120);

/// The most tiles of a picture.
pub(super) const MOST_TILES: u32 = 1_000;
/// The longest that a tile is held back on request.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// WebSockets at once.
pub(super) const WEBSOCKETS: usize = 1_024;
/// The longest message of a WebSocket, in bytes; what is longer closes it with code 1009.
pub(super) const LONGEST_MESSAGE: usize = 1 << 20;
/// How long a WebSocket may say nothing, or take nothing.
pub(super) const WEBSOCKET_IDLE: Duration = Duration::from_secs(240);

/// The longest part of a request that an error message repeats, in characters.
pub(super) const LONGEST_QUOTE: usize = 64;

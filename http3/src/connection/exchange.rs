//! [`Exchange`]: a request and its response on one stream, and the table of those that are open.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use codec::{StreamId, Time};
use foldhash::fast::FixedState;
use slab::Slab;

use super::deadlines::Receipt;
use crate::config::Config;
use crate::frame::FrameReader;
use crate::legality::Place;
use crate::limits;
use crate::message::{Asked, Content};
use crate::priority::Priority;
use crate::stats::Tunnel;

/// How far what the peer sends has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Receive {
    /// Its head is awaited; at a client, the final one.
    Head,
    /// Content may come, and trailers.
    Content,
    /// The trailers came.
    Trailed,
    /// The bytes of a tunnel.
    Tunnel,
    /// It is complete, or not wanted.
    Done,
}

impl Receive {
    /// Where a frame that comes now begins.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Head => Place::Head,
            Self::Content => Place::Content,
            // Of a half that is done nothing is read.
            Self::Trailed | Self::Done => Place::Trailed,
            Self::Tunnel => Place::Tunnel,
        }
    }
}

/// How far what we send has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Send {
    /// The head, at a server the final one, was not sent yet.
    Head,
    /// Content may be sent, and trailers.
    Content,
    /// The end is sent.
    Finished,
    /// It was reset, by us or on the peer's wish.
    Over,
}

/// Why bytes of a stream are not read on.
#[derive(Debug, Default)]
pub(super) enum Hold {
    /// They are.
    #[default]
    None,
    /// A field section waits for the peer's encoder stream.
    Blocked,
    /// A field section waits until earlier ones are polled.
    Undispatched(Bytes),
}

/// A request and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) stream: StreamId,
    pub(super) receive: Receive,
    pub(super) send: Send,
    /// At a client: what was asked.
    pub(super) asked: Asked,
    /// Interim responses that came, or went.
    pub(super) interim: u8,
    /// Whether the application knows of it: it hears how it ends.
    pub(super) known: bool,
    /// Whether HTTP datagrams belong to it.
    pub(super) datagrams: bool,
    /// Whether all bytes of the peer's half were given to us.
    pub(super) fin: bool,
    /// Whether there was no room for what was to be sent, and the application waits for some.
    pub(super) wants_room: bool,
    /// For a CONNECT that is not answered yet.
    pub(super) tunnel: Option<Tunnel>,
    pub(super) reader: FrameReader,
    pub(super) hold: Hold,
    /// What came behind a section that waits, in order. Nothing, if none waits.
    pub(super) kept: VecDeque<Bytes>,
    /// Received bytes that are still held here: neither handed to the application nor reported as consumed.
    pub(super) charged: u64,
    /// What may come.
    pub(super) content: Content,
    /// What we said that we send.
    pub(super) promised: Content,
    /// How the response is scheduled.
    pub(super) priority: Priority,
    /// Bytes that the transport took.
    pub(super) sent: u64,
    /// Bytes that were written and the transport did not take yet.
    pub(super) unsent: u64,
    /// When it last took some, or `unsent` was zero.
    pub(super) progress: Time,
    /// At a server: how long the request may still take to come.
    pub(super) receipt: Receipt,
    /// Its number among all requests, for those that are cancelled too soon.
    pub(super) number: u64,
}

impl Exchange {
    pub(super) fn new(stream: StreamId, number: u64, now: Time, config: &Config) -> Self {
        Self {
            stream,
            receive: Receive::Head,
            send: Send::Head,
            asked: Asked::Ordinary,
            interim: 0,
            known: false,
            datagrams: false,
            fin: false,
            wants_room: false,
            tunnel: None,
            reader: FrameReader::new(),
            hold: Hold::None,
            kept: VecDeque::new(),
            charged: 0,
            content: Content::Any,
            promised: Content::Any,
            priority: Priority::default(),
            sent: 0,
            unsent: 0,
            progress: now,
            receipt: Receipt::new(now, config),
            number,
        }
    }

    /// How many more bytes may be written: a peer that takes nothing makes us hold little.
    pub(super) fn room(&self) -> u64 {
        let ahead = limits::BLOCKED_STREAM.saturating_add(self.sent).min(limits::SEND_AHEAD);
        ahead.saturating_sub(self.unsent)
    }

    /// Whether our half is neither ended nor reset.
    pub(super) const fn may_write(&self) -> bool {
        matches!(self.send, Send::Head | Send::Content)
    }

    /// Whether it is not read on for now.
    pub(super) const fn is_held(&self) -> bool {
        !matches!(self.hold, Hold::None)
    }

    /// Whether there is still something to be sent.
    pub(super) const fn is_sending(&self) -> bool {
        match self.send {
            Send::Head | Send::Content => true,
            Send::Finished => self.unsent > 0,
            Send::Over => false,
        }
    }

    /// How many bytes need not be held any longer, now that all that came were read.
    pub(super) fn settle(&mut self) -> u64 {
        // The parts of a section are here until it is whole.
        if self.reader.is_collecting() { 0 } else { std::mem::take(&mut self.charged) }
    }
}

/// The exchanges that are open.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    places: Slab<Exchange>,
    keys: HashMap<StreamId, usize, FixedState>,
}

/// Room that an empty table keeps.
const KEPT: usize = 16;

impl Exchanges {
    pub(super) fn insert(&mut self, exchange: Exchange) -> usize {
        let stream = exchange.stream;
        let key = self.places.insert(exchange);
        self.keys.insert(stream, key);
        key
    }

    pub(super) fn find(&self, stream: StreamId) -> Option<usize> {
        self.keys.get(&stream).copied()
    }

    pub(super) fn get(&self, key: usize) -> Option<&Exchange> {
        self.places.get(key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Exchange> {
        self.places.get_mut(key)
    }

    pub(super) fn of(&self, stream: StreamId) -> Option<&Exchange> {
        self.get(self.find(stream)?)
    }

    pub(super) fn remove(&mut self, key: usize) {
        if let Some(exchange) = self.places.try_remove(key) {
            self.keys.remove(&exchange.stream);
        }
        if self.places.is_empty() && self.places.capacity() > KEPT {
            self.places = Slab::new();
            self.keys.shrink_to(KEPT);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Exchange)> {
        self.places.iter()
    }
}

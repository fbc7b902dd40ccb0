//! [`Router`]: which connection a datagram belongs to (RFC 9000 §5.2).
//!
//! One table a shard. It knows connections by a small key that its owner chooses, and finds them by typed names:
//!
//! * an id that was issued here: 8 random bytes, a fast hash;
//! * the first destination id of a client, together with the client's address: bytes chosen by the peer, a keyed hash;
//! * the stateless reset token of an id in use, for datagrams that name nobody.
//!
//! A connection that ended may leave a [farewell](Router::retire): its names stay for a while, so that late packets are
//! neither taken for new attempts nor answered with resets.

mod closed;
mod hash;
mod ids;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::net::SocketAddr;

use bytes::Bytes;
use codec::packet::{Peek, stateless_reset};
use codec::{ConnectionId, ResetToken, Time};
use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::reset::is_same_token;
use closed::{Closed, Names};
pub use closed::{ClosedKey, Farewell};
pub use hash::KeyedHash;
pub use ids::{IdGenerator, LOCAL_ID_LENGTH, shard_of};

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route<K> {
    /// To this connection.
    Connection(K),
    /// To nobody any more: the connection ended a moment ago. See [`Router::answer_closed`].
    Closed(ClosedKey),
    /// To nobody we know: [`accept`](crate::accept) decides.
    Unknown,
}

/// What a connection tells the router of its shard.
#[derive(Clone, Copy, Debug)]
pub enum RouteChange {
    /// Datagrams for this id, issued here, are the connection's. Said before any packet reveals the id.
    Add(ConnectionId),
    /// They no longer are: the peer retired it.
    Remove(ConnectionId),
    /// A datagram that names nobody and ends in this token, given by the peer for an id that is now in use, is a
    /// stateless reset for the connection (RFC 9000 §10.3).
    AddResetToken(ResetToken),
    /// It no longer is.
    RemoveResetToken(ResetToken),
}

/// Takes the first change that is to be said. They are rare, so what is empty keeps no room.
pub(crate) fn next_change(changes: &mut Vec<RouteChange>) -> Option<RouteChange> {
    if changes.is_empty() {
        return None;
    }
    let next = changes.remove(0);
    if changes.is_empty() {
        *changes = Vec::new();
    }
    Some(next)
}

/// The name is taken by another connection; nothing was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameTaken;

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another connection has this name")
    }
}

impl std::error::Error for NameTaken {}

/// What the hashes of a [`Router`] start from; all unpredictable, drawn by who builds it.
#[derive(Clone, Copy)]
pub struct RouterSeeds {
    /// For the fast hash of ids issued here.
    pub own: u64,
    /// For the keyed hash of what peers choose.
    pub peer: [u64; 2],
}

impl fmt::Debug for RouterSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouterSeeds(..)")
    }
}

/// The table of one shard. See the [module](self).
#[derive(Debug)]
pub struct Router<K> {
    own: HashMap<u64, Target<K>, FixedState>,
    first: HashMap<(ConnectionId, SocketAddr), Target<K>, KeyedHash>,
    // Found by a keyed hash, so that the time of a look-up tells nothing about a token; told apart in constant time.
    tokens: HashMap<u64, SmallVec<[TokenRoute<K>; 1]>, FixedState>,
    token_hash: KeyedHash,
    // What each connection is known by, so that it can be forgotten whole.
    names: HashMap<K, Names, FixedState>,
    closed: Closed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target<K> {
    Connection(K),
    Closed(ClosedKey),
}

#[derive(Clone, Copy, Debug)]
struct TokenRoute<K> {
    token: ResetToken,
    key: K,
}

impl<K: Copy + Eq + Hash> Router<K> {
    /// An empty table.
    pub fn new(seeds: RouterSeeds) -> Self {
        Self {
            own: HashMap::with_hasher(FixedState::with_seed(seeds.own)),
            first: HashMap::with_hasher(KeyedHash::new(seeds.peer)),
            tokens: HashMap::with_hasher(FixedState::with_seed(seeds.own)),
            token_hash: KeyedHash::new(seeds.peer),
            names: HashMap::with_hasher(FixedState::with_seed(seeds.own)),
            closed: Closed::default(),
        }
    }

    /// Whose datagram this is. No allocation; the hash that peers cannot influence is tried first.
    #[inline]
    pub fn route(&self, peek: &Peek<'_>, remote: SocketAddr) -> Route<K> {
        let target = match *peek {
            Peek::Short { destination } => own_key(destination.as_bytes()).and_then(|key| self.own.get(&key)),
            Peek::Long { destination, .. } => own_key(destination)
                .and_then(|key| self.own.get(&key))
                .or_else(|| self.first.get(&(ConnectionId::new(destination)?, remote))),
        };
        match target {
            None => Route::Unknown,
            Some(Target::Connection(key)) => Route::Connection(*key),
            Some(Target::Closed(closed)) => Route::Closed(*closed),
        }
    }

    /// The connection that this datagram, which names nobody, resets (RFC 9000 §10.3.1).
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
    //# However,
    //# the comparison MUST be performed when the first packet in an incoming datagram
    //# either cannot be associated with a connection or cannot be decrypted.
    pub fn reset_target(&self, datagram: &[u8]) -> Option<K> {
        let token = stateless_reset::trailing_token(datagram)?;
        let routes = self.tokens.get(&self.token_key(&token))?;
        let mut found = None;
        for route in routes {
            if is_same_token(&route.token, &token) {
                found = Some(route.key);
            }
        }
        found
    }

    /// Learns what a connection said.
    ///
    /// # Errors
    /// [`NameTaken`] if it wants an id that is another's, or that is not of the length issued here.
    pub fn apply(&mut self, key: K, change: RouteChange) -> Result<(), NameTaken> {
        match change {
            RouteChange::Add(id) => return self.add(id, key),
            RouteChange::Remove(id) => self.remove(&id, key),
            RouteChange::AddResetToken(token) => self.add_token(token, key),
            RouteChange::RemoveResetToken(token) => self.remove_token(token, key),
        }
        Ok(())
    }

    /// Datagrams for `id`, issued here, go to `key` from now on. Adding what is there changes nothing.
    ///
    /// # Errors
    /// [`NameTaken`] if the id is another's, or not [`LOCAL_ID_LENGTH`] bytes long.
    pub fn add(&mut self, id: ConnectionId, key: K) -> Result<(), NameTaken> {
        let own = own_key(id.as_bytes()).ok_or(NameTaken)?;
        if claim(self.own.entry(own), key)? {
            self.names.entry(key).or_default().own.push(own);
        }
        Ok(())
    }

    /// Packets with a long header that a client at `remote` sends to `destination`, which it chose (or got in a
    /// Retry), go to `key` from now on. A connection has one such name; a second replaces the first.
    ///
    /// The address is part of the name, so that nobody who sees the id can take it away from the client.
    ///
    /// # Errors
    /// [`NameTaken`] if the name is another's.
    pub fn add_initial(&mut self, destination: ConnectionId, remote: SocketAddr, key: K) -> Result<(), NameTaken> {
        if claim(self.first.entry((destination, remote)), key)? {
            let before = self.names.entry(key).or_default().first.replace((destination, remote));
            if let Some(before) = before {
                self.first.remove(&before);
            }
        }
        Ok(())
    }

    /// Forgets the client-chosen name of `key`: the client has shown that it uses the id issued here.
    pub fn remove_initial(&mut self, key: K) {
        let Some(names) = self.names.get_mut(&key) else { return };
        if let Some(name) = names.first.take() {
            self.first.remove(&name);
        }
        self.forget_nameless(key);
    }

    /// Forgets an id of `key`. Another's id is left alone.
    pub fn remove(&mut self, id: &ConnectionId, key: K) {
        let Some(own) = own_key(id.as_bytes()) else { return };
        if self.own.get(&own) != Some(&Target::Connection(key)) {
            return;
        }
        self.own.remove(&own);
        if let Some(names) = self.names.get_mut(&key) {
            names.own.retain(|name| *name != own);
        }
        self.forget_nameless(key);
    }

    /// Forgets all names of `key`, at once. What comes later for it is [`Route::Unknown`].
    pub fn forget(&mut self, key: K) {
        let Some(names) = self.names.remove(&key) else { return };
        self.remove_tokens(&names, key);
        self.remove_names(&names);
    }

    /// Forgets a connection that ended, but keeps its names until `farewell.until`: what comes meanwhile is
    /// [`Route::Closed`]. At most [`CLOSED_CONNECTIONS`](crate::limits::CLOSED_CONNECTIONS) are kept, the oldest goes first.
    pub fn retire(&mut self, now: Time, key: K, farewell: Farewell) {
        self.expire(now);
        let Some(names) = self.names.remove(&key) else { return };
        self.remove_tokens(&names, key);
        let first = names.first;
        let own = names.own.clone();
        let (closed, evicted) = self.closed.push(names_without_tokens(names), farewell);
        for own in own {
            self.own.insert(own, Target::Closed(closed));
        }
        if let Some(first) = first {
            self.first.insert(first, Target::Closed(closed));
        }
        if let Some(evicted) = evicted {
            self.remove_names(&evicted);
        }
    }

    /// A datagram of `bytes` bytes came from `remote` for a connection that ended: what to answer, if anything.
    ///
    /// The farewell is repeated for the 1st, 2nd, 4th, 8th … datagram, and never makes more than three times what came
    /// (RFC 9000 §10.2.1).
    pub fn answer_closed(&mut self, now: Time, closed: ClosedKey, remote: SocketAddr, bytes: usize) -> Option<Bytes> {
        self.closed.answer(now, closed, remote, bytes)
    }

    /// When [`Self::expire`] has something to do next.
    pub fn deadline(&self) -> Option<Time> {
        self.closed.next()
    }

    /// Forgets farewells whose time is over.
    pub fn expire(&mut self, now: Time) {
        while let Some(names) = self.closed.pop_expired(now) {
            self.remove_names(&names);
        }
    }

    /// How many names there are, of all kinds, those of ended connections included.
    pub fn len(&self) -> usize {
        self.own.len() + self.first.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add_token(&mut self, token: ResetToken, key: K) {
        let name = self.token_key(&token);
        let routes = self.tokens.entry(name).or_default();
        if routes.iter().any(|route| route.key == key && is_same_token(&route.token, &token)) {
            return;
        }
        routes.push(TokenRoute { token, key });
        self.names.entry(key).or_default().tokens.push(name);
    }

    fn remove_token(&mut self, token: ResetToken, key: K) {
        let name = self.token_key(&token);
        self.remove_token_route(name, key);
        if let Some(names) = self.names.get_mut(&key) {
            names.tokens.retain(|known| *known != name);
        }
        self.forget_nameless(key);
    }

    fn remove_token_route(&mut self, name: u64, key: K) {
        if let Entry::Occupied(mut entry) = self.tokens.entry(name) {
            entry.get_mut().retain(|route| route.key != key);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    fn remove_tokens(&mut self, names: &Names, key: K) {
        for &name in &names.tokens {
            self.remove_token_route(name, key);
        }
    }

    fn remove_names(&mut self, names: &Names) {
        for own in &names.own {
            self.own.remove(own);
        }
        if let Some(first) = &names.first {
            self.first.remove(first);
        }
    }

    fn forget_nameless(&mut self, key: K) {
        if self.names.get(&key).is_some_and(Names::is_empty) {
            self.names.remove(&key);
        }
    }

    fn token_key(&self, token: &ResetToken) -> u64 {
        self.token_hash.hash_one(token.0)
    }
}

/// Whether the entry was free and is now `key`'s; `false` if it was already.
fn claim<N, K: Copy + Eq>(entry: Entry<'_, N, Target<K>>, key: K) -> Result<bool, NameTaken> {
    match entry {
        Entry::Occupied(entry) if *entry.get() == Target::Connection(key) => Ok(false),
        Entry::Occupied(_) => Err(NameTaken),
        Entry::Vacant(entry) => {
            entry.insert(Target::Connection(key));
            Ok(true)
        }
    }
}

#[inline]
fn own_key(id: &[u8]) -> Option<u64> {
    id.try_into().ok().map(u64::from_ne_bytes)
}

fn names_without_tokens(mut names: Names) -> Names {
    names.tokens.clear();
    names
}

#[cfg(test)]
mod tests;

//! Conformance: what a violation costs, to the exact code, and what is forgotten without a word, to the counter.
//!
//! A [`Puppet`](quicast_tests::Puppet) breaks one rule in an authenticated packet: its victim closes with the code that
//! the RFC names, on the wire as well. Or it sends what nobody vouches for: the victim counts it under its reason, and
//! goes on. Everything that applies to both sides is tried with both.
//!
//! | Module | What is broken |
//! |---|---|
//! | [`frames`] | the form of frames, and frames that one side must not send |
//! | [`acknowledgements`] | numbers that were left out; how often the victim acknowledges |
//! | [`streams`] | stream ids, states, final sizes, limits |
//! | [`endings`] | the orders in which a stream may end |
//! | [`ids`] | connection ids |
//! | [`parameters`] | transport parameters |
//! | [`packets`] | headers and datagrams |
//! | [`versions`] | Version Negotiation and Retry packets |
//! | [`attempts`] | datagrams that belong to nobody |
//! | [`handshake`] | TLS messages, packets before and after their keys |
//! | [`crypto`] | CRYPTO frames |
//! | [`keys`] | key updates and the limits of keys |
//! | [`paths`] | addresses and path validation |
//! | [`closing`] | what a closed connection still says |
//! | [`extremes`] | nothing: numbers at the ends of their ranges |
//! | [`matrix`] | every frame type in every kind of packet in every state at either side |

#![expect(clippy::unwrap_used, reason = "a test panics where a promise is broken")]

#[macro_use]
mod support;

mod acknowledgements;
mod attempts;
mod closing;
mod crypto;
mod endings;
mod extremes;
mod frames;
mod handshake;
mod ids;
mod impostor;
mod keys;
mod matrix;
mod packets;
mod parameters;
mod paths;
mod streams;
mod versions;

//! The cases, a file for each layer.

mod frames;
mod http3;
mod messages;
mod packet;
mod pair;
mod qpack;
mod recovery;
mod routes;
mod streams;
mod wheel;

use crate::Case;

/// All of them, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let layers = [
        packet::CASES,
        frames::CASES,
        recovery::CASES,
        streams::CASES,
        wheel::CASES,
        routes::CASES,
        messages::CASES,
        qpack::CASES,
        http3::CASES,
        pair::CASES,
    ];
    layers.into_iter().flatten()
}

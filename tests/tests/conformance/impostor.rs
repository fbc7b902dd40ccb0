//! [`Impostor`]: a TLS session of our own opposite the victim, with transport parameters that no encoder of ours would
//! write, and messages that may be changed before they are said.

use std::sync::Arc;

use codec::frame::{Crypto, Frame};
use codec::{ConnectionId, Side};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use tls::{Level, Session};

use crate::support::*;

/// Parameters by number, as they go on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(Vec<(u64, Vec<u8>)>);

impl Parameters {
    /// What every client must send, or every server in answer to an Initial that went to `original`.
    fn new(puppet: &Puppet, original: ConnectionId) -> Self {
        let mut all = vec![(0x0f, puppet.source.as_bytes().to_vec())];
        if puppet.side().is_server() {
            all.push((0x00, original.as_bytes().to_vec()));
        }
        for (id, value) in
            [(0x04, 1 << 20), (0x05, 1 << 18), (0x06, 1 << 18), (0x07, 1 << 18), (0x08, 100), (0x09, 100)]
        {
            all.push((id, varint(value)));
        }
        Self(all)
    }

    pub(crate) fn add(&mut self, id: u64, value: &[u8]) {
        self.0.push((id, value.to_vec()));
    }

    pub(crate) fn set(&mut self, id: u64, value: &[u8]) {
        self.remove(id);
        self.add(id, value);
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.0.retain(|(other, _)| *other != id);
    }

    fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(id, value)| join(&[&varint(*id), &varint(value.len() as u64), value])).collect()
    }
}

/// What a TLS session of our own says: pieces, each in its space.
pub(crate) type Flight = Vec<(SpaceId, Vec<u8>)>;

/// A session of our own opposite the victim, whose messages may be changed before they are said.
pub(crate) struct Impostor {
    pub(crate) puppet: Puppet,
    pub(crate) flight: Flight,
}

impl Impostor {
    /// A puppet at the very beginning, and the first flight of a session with these parameters.
    pub(crate) fn new(settings: &Settings, victim: Side, change: impl FnOnce(&mut Parameters)) -> Self {
        Self::opposite(Puppet::at(settings, victim, Stage::Start), settings, change)
    }

    /// The same with a puppet that has said something already.
    pub(crate) fn opposite(mut puppet: Puppet, settings: &Settings, change: impl FnOnce(&mut Parameters)) -> Self {
        let victim = puppet.side().peer();
        let version = settings.client.versions[0];
        let original = puppet.victim_host.nodes.first().and_then(|node| node.connection.original_destination());
        let original = original.unwrap_or(puppet.destination);
        let mut parameters = Parameters::new(&puppet, original);
        change(&mut parameters);
        let encoded = parameters.encode();
        let session = if victim.is_server() {
            let name = tls::pki_types::ServerName::try_from("localhost").unwrap();
            Session::client(Arc::clone(&settings.client_tls), version, name, encoded).unwrap()
        } else {
            let mut session = Session::server(Arc::clone(&settings.server_tls), version, encoded).unwrap();
            session.read(&client_hello(&puppet)).unwrap();
            session
        };
        let flight = write(session, &mut puppet);
        Self { puppet, flight }
    }

    /// Says everything.
    pub(crate) fn say(mut self) -> Puppet {
        for space in SpaceId::ALL {
            let mut offset = 0;
            for (_, bytes) in self.flight.iter().filter(|(of, _)| *of == space) {
                for data in bytes.chunks(1000) {
                    self.puppet.say(space, &[Frame::Crypto(Crypto { offset, data })]);
                    offset += data.len() as u64;
                }
            }
        }
        self.puppet
    }

    /// Changes the extensions of the ClientHello, or those of the EncryptedExtensions, whichever is said.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Vec<(u16, Vec<u8>)>)) -> Self {
        let kind = if self.puppet.side().is_client() { 1 } else { 8 };
        self.edit_message(kind, |body| {
            let start = if kind == 1 { extensions_of_client_hello(body) } else { 0 };
            let mut extensions = parse_extensions(&body[start + 2..]);
            change(&mut extensions);
            body.truncate(start);
            let encoded: Vec<u8> = extensions
                .iter()
                .flat_map(|(id, data)| join(&[&id.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data]))
                .collect();
            body.extend((encoded.len() as u16).to_be_bytes());
            body.extend(encoded);
        });
        self
    }

    /// Changes the body of the first message of this type.
    pub(crate) fn edit_message(&mut self, kind: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let mut change = Some(change);
        for (_, bytes) in &mut self.flight {
            let mut start = 0;
            while start < bytes.len() {
                let length = u32::from_be_bytes([0, bytes[start + 1], bytes[start + 2], bytes[start + 3]]) as usize;
                let end = start + 4 + length;
                if bytes[start] == kind
                    && let Some(change) = change.take()
                {
                    let mut body = bytes[start + 4..end].to_vec();
                    change(&mut body);
                    let mut message = vec![kind];
                    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
                    message.extend(body);
                    bytes.splice(start..end, message);
                    return;
                }
                start = end;
            }
        }
        panic!("no message of type {kind}");
    }
}

/// Everything a session wants to say, by space; the puppet takes its keys.
fn write(mut session: Session, puppet: &mut Puppet) -> Flight {
    let mut flight = Flight::new();
    let mut space = SpaceId::Initial;
    loop {
        let mut bytes = Vec::new();
        let change = session.write(&mut bytes);
        let nothing = bytes.is_empty() && change.is_none();
        if !bytes.is_empty() {
            flight.push((space, bytes));
        }
        if let Some(change) = change {
            space = if change.level() == Level::Handshake { SpaceId::Handshake } else { SpaceId::Application };
            puppet.keys.install(change);
        }
        if nothing {
            return flight;
        }
    }
}

/// The ClientHello of a victim client.
fn client_hello(puppet: &Puppet) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut pieces: Vec<(u64, Vec<u8>)> = puppet
        .heard_frames(SpaceId::Initial)
        .filter_map(|frame| match frame {
            Frame::Crypto(crypto) => Some((crypto.offset, crypto.data.to_vec())),
            _ => None,
        })
        .collect();
    pieces.sort();
    for (offset, data) in pieces {
        hello.truncate(offset as usize);
        hello.extend(data);
    }
    hello
}

/// Where the extensions of a ClientHello's body begin (RFC 8446 §4.1.2).
fn extensions_of_client_hello(body: &[u8]) -> usize {
    let mut at = 2 + 32;
    at += 1 + usize::from(body[at]);
    at += 2 + usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    at + 1 + usize::from(body[at])
}

fn parse_extensions(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        all.push((u16::from_be_bytes([bytes[0], bytes[1]]), bytes[4..4 + length].to_vec()));
        bytes = &bytes[4 + length..];
    }
    all
}

impl Impostor {
    /// Says nothing after the EncryptedExtensions.
    pub(crate) fn keep_encrypted_extensions(&mut self) {
        for (space, bytes) in &mut self.flight {
            if *space == SpaceId::Handshake {
                let length = u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
                bytes.truncate(4 + length);
                break;
            }
        }
    }
}

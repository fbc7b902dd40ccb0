//! The life of a connection as a transition table (RFC 9000 §10).

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// TLS is not done.
    Handshaking,
    /// TLS is done; the peer may not know yet.
    Connected,
    /// Both ends know (RFC 9001 §4.1.2).
    Confirmed,
    /// We said CONNECTION_CLOSE and answer what still arrives with it (RFC 9000 §10.2.1).
    Closing,
    /// The peer said it; we are silent (RFC 9000 §10.2.2).
    Draining,
    /// Over.
    Drained,
}

/// What moves a connection on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trigger {
    /// TLS reported that the handshake is complete.
    HandshakeComplete,
    /// The server completed it, or the client received HANDSHAKE_DONE.
    HandshakeConfirmed,
    /// We close: the application asked, or a rule was broken.
    Close,
    /// CONNECTION_CLOSE or a stateless reset arrived.
    PeerClosed,
    /// Idle timeout, or no version in common: nothing is said and nothing awaited.
    Silence,
    /// The closing or draining period is over.
    Expired,
}

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Handshaking, Self::Connected, Self::Confirmed, Self::Closing, Self::Draining, Self::Drained];

    /// The state after `trigger`, or `None` if it changes nothing here.
    pub const fn after(self, trigger: Trigger) -> Option<Self> {
        match (self, trigger) {
            (Self::Handshaking, Trigger::HandshakeComplete) => Some(Self::Connected),
            (Self::Connected, Trigger::HandshakeConfirmed) => Some(Self::Confirmed),
            (Self::Handshaking | Self::Connected | Self::Confirmed, Trigger::Close) => Some(Self::Closing),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2
            //# An endpoint MAY enter the draining state from the closing state if it receives
            //# a CONNECTION_CLOSE frame, which indicates that the peer is also closing or draining.
            (Self::Handshaking | Self::Connected | Self::Confirmed | Self::Closing, Trigger::PeerClosed) => {
                Some(Self::Draining)
            }
            (Self::Handshaking | Self::Connected | Self::Confirmed, Trigger::Silence)
            | (Self::Closing | Self::Draining, Trigger::Expired) => Some(Self::Drained),
            _ => None,
        }
    }

    /// Whether application data may flow.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Handshaking | Self::Connected | Self::Confirmed)
    }

    /// Whether TLS is done and the connection not over.
    pub const fn is_established(self) -> bool {
        matches!(self, Self::Connected | Self::Confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_is_the_one_of_this_table() {
        let triggers = [
            Trigger::HandshakeComplete,
            Trigger::HandshakeConfirmed,
            Trigger::Close,
            Trigger::PeerClosed,
            Trigger::Silence,
            Trigger::Expired,
        ];
        let mut table = String::new();
        for state in State::ALL {
            for trigger in triggers {
                if let Some(next) = state.after(trigger) {
                    table.push_str(&format!("{state:?} + {trigger:?} -> {next:?}\n"));
                }
            }
        }
        assert_eq!(
            table,
            "Handshaking + HandshakeComplete -> Connected\n\
             Handshaking + Close -> Closing\n\
             Handshaking + PeerClosed -> Draining\n\
             Handshaking + Silence -> Drained\n\
             Connected + HandshakeConfirmed -> Confirmed\n\
             Connected + Close -> Closing\n\
             Connected + PeerClosed -> Draining\n\
             Connected + Silence -> Drained\n\
             Confirmed + Close -> Closing\n\
             Confirmed + PeerClosed -> Draining\n\
             Confirmed + Silence -> Drained\n\
             Closing + PeerClosed -> Draining\n\
             Closing + Expired -> Drained\n\
             Draining + Expired -> Drained\n"
        );
    }
}

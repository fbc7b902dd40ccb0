//! [`Ledger`]: what became of each piece of a flow's data.

use std::collections::VecDeque;

/// A piece of data: what one packet carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    pub(crate) index: u64,
    pub(crate) bytes: u16,
}

/// The sender's account of its pieces: each was acknowledged, or is in a packet of which something will be heard, or waits
/// to be sent again. Nothing else may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Of the pieces from `first` on.
    accounts: VecDeque<Account>,
    first: u64,
    again: VecDeque<Piece>,
    again_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Packets that carry it and are not judged.
    copies: u16,
    waits: bool,
    acknowledged: bool,
}

impl Ledger {
    /// The number of the next new piece.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.accounts.len() as u64
    }

    /// Bytes that wait to be sent again.
    pub(crate) const fn waiting(&self) -> u64 {
        self.again_bytes
    }

    /// What is to be sent again next.
    pub(crate) fn front(&self) -> Option<Piece> {
        self.again.front().copied()
    }

    /// A piece leaves in a packet: that which waits first, or a new one.
    pub(crate) fn on_sent(&mut self, index: u64) {
        if self.again.front().is_some_and(|piece| piece.index == index) {
            if let Some(piece) = self.again.pop_front() {
                self.again_bytes -= u64::from(piece.bytes);
            }
            self.settle();
        }
        if index == self.next() {
            self.accounts.push_back(Account::default());
        }
        if let Some(account) = self.account(index) {
            account.copies += 1;
            account.waits = false;
        }
    }

    pub(crate) fn on_acknowledged(&mut self, index: u64) {
        if let Some(account) = self.account(index) {
            account.copies = account.copies.saturating_sub(1);
            account.acknowledged = true;
        }
        self.settle();
        while self.accounts.front().is_some_and(|account| account.acknowledged && !account.waits) {
            self.accounts.pop_front();
            self.first += 1;
        }
    }

    /// The packet with it is lost, or a probe takes it over.
    pub(crate) fn on_lost(&mut self, piece: Piece) {
        let Some(account) = self.account(piece.index) else { return };
        account.copies = account.copies.saturating_sub(1);
        if !account.acknowledged && !account.waits {
            account.waits = true;
            self.again.push_back(piece);
            self.again_bytes += u64::from(piece.bytes);
        }
    }

    /// The first piece that nobody will ever send again although it was not acknowledged.
    pub(crate) fn forgotten(&self) -> Option<u64> {
        let mut numbered = (self.first..).zip(&self.accounts);
        let lost = |account: &Account| !account.acknowledged && account.copies == 0 && !account.waits;
        numbered.find(|(_, account)| lost(account)).map(|(index, _)| index)
    }

    /// Whether everything sent was acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Drops from the front of the queue what was acknowledged while it waited.
    fn settle(&mut self) {
        while let Some(piece) = self.again.front().copied() {
            let is_done = self.account(piece.index).is_none_or(|account| account.acknowledged);
            if !is_done {
                break;
            }
            if let Some(account) = self.account(piece.index) {
                account.waits = false;
            }
            self.again.pop_front();
            self.again_bytes -= u64::from(piece.bytes);
        }
    }

    fn account(&mut self, index: u64) -> Option<&mut Account> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.accounts.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn piece(index: u64) -> Piece {
        Piece { index, bytes: 1000 }
    }

    #[test]
    fn a_lost_piece_waits_until_it_is_sent_again() {
        let mut ledger = Ledger::default();
        for index in 0..3 {
            assert_eq!(ledger.next(), index);
            ledger.on_sent(index);
        }
        ledger.on_acknowledged(1);
        ledger.on_lost(piece(0));
        assert_eq!((ledger.front(), ledger.waiting()), (Some(piece(0)), 1000));
        ledger.on_sent(0);
        assert_eq!((ledger.front(), ledger.waiting(), ledger.forgotten()), (None, 0, None));
        ledger.on_acknowledged(0);
        ledger.on_acknowledged(2);
        assert!(ledger.is_settled());
        assert_eq!(ledger.next(), 3);
    }

    #[test]
    fn a_piece_that_arrived_after_all_is_not_sent_again() {
        let mut ledger = Ledger::default();
        ledger.on_sent(0);
        ledger.on_sent(1);
        ledger.on_lost(piece(0));
        ledger.on_sent(0);
        ledger.on_lost(piece(0));
        ledger.on_lost(piece(0));
        assert_eq!(ledger.waiting(), 1000, "it waits once");
        ledger.on_acknowledged(0);
        assert_eq!((ledger.front(), ledger.waiting()), (None, 0));
        ledger.on_acknowledged(1);
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_piece_of_which_nothing_will_be_heard_is_found() {
        let mut ledger = Ledger::default();
        ledger.on_sent(0);
        ledger.on_sent(1);
        assert_eq!(ledger.forgotten(), None);
        ledger.account(1).unwrap().copies = 0;
        assert_eq!(ledger.forgotten(), Some(1));
    }
}

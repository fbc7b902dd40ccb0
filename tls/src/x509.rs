//! The three facts of a certificate that its owner wants to know: from when, until when, which public key.
//!
//! A reader for our own certificates, not a verifier: that is the TLS library's.

use core::ops::Range;
use core::time::Duration;

use rustls_pki_types::UnixTime;

/// What a certificate says (RFC 5280 §4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// Where in the certificate its SubjectPublicKeyInfo is.
    pub(crate) public_key: Range<usize>,
}

impl Facts {
    /// Reads a DER certificate; `None` if it is not one.
    pub(crate) fn parse(certificate: &[u8]) -> Option<Self> {
        let mut outer = Der { bytes: certificate, position: 0 };
        let mut certificate = outer.enter(SEQUENCE)?;
        let mut to_be_signed = certificate.enter(SEQUENCE)?;
        if to_be_signed.peek() == Some(EXPLICIT_VERSION) {
            to_be_signed.value(EXPLICIT_VERSION)?;
        }
        to_be_signed.value(INTEGER)?; // serialNumber
        to_be_signed.value(SEQUENCE)?; // signature
        to_be_signed.value(SEQUENCE)?; // issuer
        let mut validity = to_be_signed.enter(SEQUENCE)?;
        let not_before = validity.time()?;
        let not_after = validity.time()?;
        to_be_signed.value(SEQUENCE)?; // subject
        let start = to_be_signed.position;
        to_be_signed.value(SEQUENCE)?;
        Some(Self { not_before, not_after, public_key: start..to_be_signed.position })
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A reader of DER values. `bytes` always begins where the whole certificate does, so that positions mean the same
/// everywhere.
struct Der<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// The range of the next value, which must have this tag.
    fn range(&mut self, tag: u8) -> Option<Range<usize>> {
        let rest = self.bytes.get(self.position..)?;
        let (&[found, first], mut after) = rest.split_first_chunk()?;
        if found != tag {
            return None;
        }
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let (digits, rest) = after.split_at_checked(count)?;
            length = digits
                .iter()
                .try_fold(0_usize, |length, &digit| length.checked_mul(256)?.checked_add(usize::from(digit)))?;
            after = rest;
        }
        let start = self.bytes.len() - after.len();
        let end = start.checked_add(length).filter(|&end| end <= self.bytes.len())?;
        self.position = end;
        Some(start..end)
    }

    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let range = self.range(tag)?;
        self.bytes.get(range)
    }

    /// A reader of what is inside the next value.
    fn enter(&mut self, tag: u8) -> Option<Self> {
        let range = self.range(tag)?;
        Some(Self { bytes: self.bytes.get(..range.end)?, position: range.start })
    }

    /// UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
    fn time(&mut self) -> Option<UnixTime> {
        let (century, digits) = if self.peek() == Some(UTC_TIME) {
            (None, self.value(UTC_TIME)?)
        } else {
            let (century, digits) = self.value(GENERALIZED_TIME)?.split_at_checked(2)?;
            (Some(two_digits(century)?), digits)
        };
        let (&[y1, y2, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, b'Z'], []) = digits.split_first_chunk()? else {
            return None;
        };
        let year = two_digits(&[y1, y2])?;
        let year = match century {
            Some(century) => century * 100 + year,
            None if year < 50 => 2000 + year,
            None => 1900 + year,
        };
        let [month, day] = [two_digits(&[m1, m2])?, two_digits(&[d1, d2])?];
        let [hour, minute, second] = [two_digits(&[h1, h2])?, two_digits(&[n1, n2])?, two_digits(&[s1, s2])?];
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days_since_1970(year, month, day)?;
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn two_digits(digits: &[u8]) -> Option<u64> {
    let &[tens, ones] = digits.first_chunk()?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Days from 1 January 1970 to this day of the Gregorian calendar; `None` before.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that begin in March put the leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days_since_march_of_year_0 = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days_since_march_of_year_0.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        // Values of `date -u -d DATE +%s` divided by 86400.
        assert_eq!(days_since_1970(1970, 1, 1), Some(0));
        assert_eq!(days_since_1970(2000, 2, 29), Some(11_016));
        assert_eq!(days_since_1970(2000, 3, 1), Some(11_017));
        assert_eq!(days_since_1970(2026, 11, 21), Some(20_778));
        assert_eq!(days_since_1970(2100, 3, 1), Some(47_541));
        assert_eq!(days_since_1970(1969, 12, 31), None);
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let mut utc = Der { bytes: b"\x17\x0d491231235959Z", position: 0 };
        let mut generalized = Der { bytes: b"\x18\x0f20491231235959Z", position: 0 };
        assert_eq!(utc.time().unwrap(), generalized.time().unwrap());
        let mut old = Der { bytes: b"\x17\x0d700101000000Z", position: 0 };
        assert_eq!(old.time().unwrap().as_secs(), 0);
        for wrong in [&b"\x17\x0d491331235959Z"[..], b"\x17\x0c49123123595Z", b"\x17\x0d4912312359590", b"\x17\x0d"] {
            assert!(Der { bytes: wrong, position: 0 }.time().is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: std::vec::Vec<u8>) {
            let _ = Facts::parse(&bytes);
        }
    }
}

//! Dictionaries of structured fields (RFC 8941 §4.2.2): all of their syntax is judged, integers and booleans are told.

/// The value of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Boolean(bool),
    /// A decimal, string, token, byte sequence or inner list.
    Other,
}

/// Reads a whole field value, and tells each member. `None` if it is no Dictionary; what was told then is to be forgotten.
pub(super) fn parse(value: &[u8], mut member: impl FnMut(&[u8], Value)) -> Option<()> {
    let mut rest = Scanner(value);
    rest.skip(|byte| byte == b' ');
    if rest.0.is_empty() {
        return Some(());
    }
    loop {
        let key = rest.key()?;
        let value = if rest.eat(b'=') {
            rest.item_or_inner_list()?
        } else {
            rest.parameters()?;
            Value::Boolean(true)
        };
        member(key, value);
        rest.skip(|byte| matches!(byte, b' ' | b'\t'));
        if rest.0.is_empty() {
            return Some(());
        }
        if !rest.eat(b',') {
            return None;
        }
        // After a comma there must be a member.
        rest.skip(|byte| matches!(byte, b' ' | b'\t'));
    }
}

/// What is left.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        if eaten {
            self.next();
        }
        eaten
    }

    /// The longest front of which every byte is such.
    fn skip(&mut self, is_such: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|byte| !is_such(*byte)).unwrap_or(self.0.len());
        let (front, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        front
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        if !first.is_ascii_lowercase() && first != b'*' {
            return None;
        }
        Some(self.skip(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    fn item_or_inner_list(&mut self) -> Option<Value> {
        if !self.eat(b'(') {
            return self.item();
        }
        loop {
            self.skip(|byte| byte == b' ');
            if self.eat(b')') {
                self.parameters()?;
                return Some(Value::Other);
            }
            self.item()?;
            if !matches!(self.peek()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Value> {
        let value = self.bare_item()?;
        self.parameters()?;
        Some(value)
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(|byte| byte == b' ');
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn bare_item(&mut self) -> Option<Value> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Value::Other)
            }
            b':' => self.byte_sequence(),
            b'?' => {
                self.next();
                match self.next()? {
                    b'0' => Some(Value::Boolean(false)),
                    b'1' => Some(Value::Boolean(true)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// An integer of up to 15 digits, or a decimal of up to 12 and 3.
    fn number(&mut self) -> Option<Value> {
        let sign = if self.eat(b'-') { -1 } else { 1 };
        let digits = self.skip(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.eat(b'.') {
            let fraction = self.skip(|byte| byte.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Value::Other);
        }
        let number = digits.iter().fold(0_i64, |number, digit| number * 10 + i64::from(*digit - b'0'));
        Some(Value::Integer(sign * number))
    }

    fn string(&mut self) -> Option<Value> {
        self.next();
        loop {
            match self.next()? {
                b'"' => return Some(Value::Other),
                b'\\' if !matches!(self.next()?, b'"' | b'\\') => return None,
                0x00..=0x1f | 0x7f..=0xff => return None,
                _ => {}
            }
        }
    }

    fn byte_sequence(&mut self) -> Option<Value> {
        self.next();
        self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.eat(b':').then_some(Value::Other)
    }
}

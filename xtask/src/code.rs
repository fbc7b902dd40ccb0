//! Rust source without what the compiler does not run: comments, strings, characters.

/// The same text with comments and literals blanked; lines stay where they are.
pub(crate) fn only(source: &str) -> String {
    let mut scanner = Scanner { bytes: source.as_bytes(), at: 0, out: Vec::with_capacity(source.len()) };
    scanner.run();
    String::from_utf8_lossy(&scanner.out).into_owned()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'/')) => self.blank_while(|scanner| scanner.peek(0).is_some_and(|byte| byte != b'\n')),
                (b'/', Some(b'*')) => self.blank_block_comment(),
                (b'"', _) => self.blank_string(),
                (b'r', Some(b'"' | b'#')) if !self.follows_a_word() || self.follows_a_literal_prefix() => {
                    self.blank_raw_string();
                }
                (b'\'', _) => self.blank_character(),
                _ => self.keep(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.out.push(byte);
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.out.push(if byte == b'\n' { b'\n' } else { b' ' });
            self.at += 1;
        }
    }

    fn blank_while(&mut self, condition: impl Fn(&Self) -> bool) {
        while condition(self) {
            self.blank();
        }
    }

    fn follows_a_word(&self) -> bool {
        self.out.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }

    /// `br"…"` and `cr"…"`: the letter before the `r` belongs to the literal.
    fn follows_a_literal_prefix(&self) -> bool {
        let word = self.out.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        word == 1 && matches!(self.out.last(), Some(b'b' | b'c'))
    }

    fn blank_block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => depth += 1,
                (Some(b'*'), Some(b'/')) => depth -= 1,
                (Some(_), _) => {
                    self.blank();
                    continue;
                }
                (None, _) => return,
            }
            self.blank();
            self.blank();
            if depth == 0 {
                return;
            }
        }
    }

    fn blank_string(&mut self) {
        self.blank();
        while let Some(byte) = self.peek(0) {
            self.blank();
            match byte {
                b'\\' => self.blank(),
                b'"' => return,
                _ => {}
            }
        }
    }

    fn blank_raw_string(&mut self) {
        let hashes = self.bytes[self.at + 1..].iter().take_while(|byte| **byte == b'#').count();
        if self.peek(1 + hashes) != Some(b'"') {
            // A raw identifier.
            self.keep();
            return;
        }
        for _ in 0..hashes + 2 {
            self.blank();
        }
        while let Some(byte) = self.peek(0) {
            self.blank();
            if byte == b'"' && (0..hashes).all(|ahead| self.peek(ahead) == Some(b'#')) {
                (0..hashes).for_each(|_| self.blank());
                return;
            }
        }
    }

    /// A character, or the tick of a lifetime, which stays.
    fn blank_character(&mut self) {
        let escaped = self.peek(1) == Some(b'\\');
        let length = match self.peek(1) {
            Some(byte) if byte >= 0xf0 => 4,
            Some(byte) if byte >= 0xe0 => 3,
            Some(byte) if byte >= 0xc0 => 2,
            _ => 1,
        };
        if escaped {
            (0..3).for_each(|_| self.blank());
            self.blank_while(|scanner| !matches!(scanner.peek(0), Some(b'\'' | b'\n') | None));
            self.blank();
        } else if self.peek(1 + length) == Some(b'\'') {
            (0..length + 2).for_each(|_| self.blank());
        } else {
            self.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::only;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let source = "let a = \"unsafe // no\"; // unsafe\n/* unsafe /* nested */ unsafe\n*/ let b = 'x';\nunsafe {}";
        let code = only(source);
        assert_eq!(code.lines().count(), source.lines().count());
        assert_eq!(code.matches("unsafe").count(), 1);
        assert_eq!(code.lines().nth(3), Some("unsafe {}"));
        assert!(code.contains("let a =") && code.contains("let b ="));
    }

    #[test]
    fn raw_strings_end_where_their_hashes_do() {
        assert_eq!(only("r#\"a \" unsafe\"# + b").trim(), "+ b");
        assert_eq!(only("br\"unsafe\" + b").replace(' ', ""), "b+b");
        assert_eq!(only("let r#type = attr\"x\";").trim_end_matches([' ', ';']), "let r#type = attr");
    }

    #[test]
    fn lifetimes_and_escapes_are_told_from_characters() {
        let code = only("fn f<'a>(x: &'a str) { g('\"', '\\'', '\\u{1F600}', 'é', '\\\\'); unsafe_code() }");
        assert!(code.contains("<'a>(x: &'a str)"), "{code}");
        assert!(code.contains("unsafe_code()"), "{code}");
        assert!(!code.contains('"'), "{code}");
    }

    #[test]
    fn what_never_ends_is_blanked_to_the_end() {
        for source in ["\"abc", "/* abc", "r#\"abc", "'\\", "'"] {
            assert_eq!(only(source).len(), source.len(), "{source}");
        }
    }
}

//! [`Failure`]: why a command did not do what it was asked for, in one line, and its exit code.

use std::fmt;
use std::process::ExitCode;

use crate::out;

/// What went wrong, where, and what to do about it, in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    message: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Failed,
    /// The peer's application closed the connection.
    Closed,
    Usage,
    Interrupted,
    /// A code of its own, which the command's help explains.
    Coded(u8),
    /// Likewise, and it has been told.
    Told(u8),
}

impl Failure {
    /// The command was understood and could not be carried out: exit code 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The peer's application closed the connection with a code of its own: exit code 1.
    pub(crate) fn closed(code: u64, reason: &[u8]) -> Self {
        Self::new(Kind::Closed, format_args!("closed {code} {}", String::from_utf8_lossy(reason)))
    }

    /// The command cannot be meant like this: exit code 2.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The user did not want to wait for the end: exit code 130, and nothing to explain.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// The command could not be carried out, and its help says what this exit code means.
    pub(crate) fn coded(code: u8, message: impl fmt::Display) -> Self {
        Self::new(Kind::Coded(code), message)
    }

    /// Everything has been said; what is left is the exit code.
    pub(crate) fn told(code: u8) -> Self {
        Self::new(Kind::Told(code), "failed")
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), kind }
    }

    /// Says it on standard error. An interrupted user knows already.
    pub(crate) fn tell(&self) {
        match self.kind {
            Kind::Failed | Kind::Usage | Kind::Coded(_) => out::note(format_args!("quicast: {self}")),
            Kind::Closed => out::note(self),
            Kind::Interrupted | Kind::Told(_) => {}
        }
    }

    /// 1, 2 or 130, or the code that the command's help explains.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed | Kind::Closed => 1,
            Kind::Usage => 2,
            Kind::Interrupted => 130,
            Kind::Coded(code) | Kind::Told(code) => code,
        })
    }
}

impl fmt::Display for Failure {
    /// Whatever the parts said (a peer's words among them), it is one line without control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.message.chars() {
            let shown = if character.is_control() { ' ' } else { character };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_whatever_it_quotes() {
        assert_eq!(Failure::failed("one\ntwo\x1b[31m").to_string(), "one two [31m");
    }
}

//! [`Token`]: the secret of the admin address, in a file that only the user can read.

use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::address::plain;
use crate::certificate::write_private;
use crate::error::Failure;
use crate::units::hexadecimal;

/// 256 random bits, kept as their digest.
pub(crate) struct Token {
    digest: [u8; 32],
}

impl Token {
    /// A new one, written to the file of `--admin-token-file`.
    pub(crate) fn new(file: &Path) -> Result<Self, Failure> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| Failure::failed("the system gives no random numbers"))?;
        let secret = hexadecimal(&secret);
        write_private(file, &format!("{secret}\n")).map_err(|error| {
            Failure::failed(format_args!("--admin-token-file {}: {}", file.display(), plain(&error)))
        })?;
        Ok(Self { digest: sha256(secret.as_bytes()) })
    }

    /// Whether this is it. The digests are compared: how long that takes says nothing about the token.
    pub(crate) fn is(&self, candidate: &[u8]) -> bool {
        sha256(candidate) == self.digest
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_token_is_in_the_file_and_nobody_else_may_read_it() {
        let file = std::env::temp_dir().join(format!("quicast-token-{}", std::process::id()));
        let token = Token::new(&file).unwrap();
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(kept.trim().len() == 64 && token.is(kept.trim().as_bytes()));
        assert!(!token.is(b"") && !token.is(&kept.trim().as_bytes()[..63]));
        std::fs::remove_file(&file).unwrap();
    }
}

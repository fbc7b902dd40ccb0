//! [`Token`]: the secret of the admin address, in a file that only the user can read.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::address::plain;
use crate::certificate::write_private;
use crate::error::Failure;
use crate::out;
use crate::units::hexadecimal;

/// 256 random bits, compared by their digest.
pub(crate) struct Token {
    digest: [u8; 32],
    secret: String,
}

impl Token {
    fn new() -> Result<Self, Failure> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| Failure::failed("the system gives no random numbers"))?;
        let secret = hexadecimal(&secret);
        Ok(Self { digest: sha256(secret.as_bytes()), secret })
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

/// A token in its file.
#[derive(Debug)]
pub(crate) struct Kept {
    token: Token,
    path: PathBuf,
}

/// Makes a token and puts it into this file, or where it is looked for. Without such a place there is none, which is said.
///
/// # Errors
/// The file that was named cannot be written.
pub(super) fn keep(file: Option<&Path>, port: u16) -> Result<Option<Kept>, Failure> {
    let token = Token::new()?;
    if let Some(file) = file {
        let kept = Kept { token, path: file.to_owned() };
        return match kept.write() {
            Ok(()) => Ok(Some(kept)),
            Err(error) => {
                Err(Failure::failed(format_args!("--admin-token-file {}: {}", file.display(), plain(&error))))
            }
        };
    }
    let mut kept = Kept { token, path: PathBuf::new() };
    let mut why = "neither XDG_RUNTIME_DIR nor XDG_CACHE_HOME nor HOME is set".to_owned();
    for path in places(port) {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        kept.path.clone_from(&path);
        match made.and_then(|()| kept.write()) {
            Ok(()) => return Ok(Some(kept)),
            Err(error) => why = format!("{}: {}", path.display(), plain(&error)),
        }
    }
    out::note(format_args!(
        "warning: no place for the token of the admin address ({why}); nothing can be changed there: give --admin-token-file FILE"
    ));
    Ok(None)
}

/// Where the token of the admin address on this port is kept and looked for, the best place first: the user's runtime
/// directory, the user's cache directory.
pub(crate) fn places(port: u16) -> Vec<PathBuf> {
    let from = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    let bases = from("XDG_RUNTIME_DIR").into_iter().chain(cache);
    bases.map(|base| base.join("quicast").join(format!("admin-{port}.token"))).collect()
}

impl Kept {
    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file, for who starts the process and sees what it prints.
    pub(super) fn secret(&self) -> &str {
        &self.token.secret
    }

    fn write(&self) -> std::io::Result<()> {
        write_private(&self.path, &format!("{}\n", self.token.secret))
    }

    /// Takes the file away, if it is still ours.
    pub(super) fn remove(&self) {
        if fs::read_to_string(&self.path).is_ok_and(|kept| kept.trim() == self.token.secret) {
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_token_is_in_the_file_and_nobody_else_may_read_it() {
        let file = std::env::temp_dir().join(format!("quicast-token-{}", std::process::id()));
        let made = keep(Some(&file), 9440).unwrap().unwrap();
        let kept = fs::read_to_string(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let token = made.token();
        assert!(kept.trim().len() == 64 && token.is(kept.trim().as_bytes()));
        assert!(!token.is(b"") && !token.is(&kept.trim().as_bytes()[..63]));
        assert!(!format!("{made:?}").contains(kept.trim()));
        // Another server's token stays where it is.
        let second = keep(Some(&file), 9440).unwrap().unwrap();
        made.remove();
        assert!(file.exists());
        second.remove();
        assert!(!file.exists());
    }
}

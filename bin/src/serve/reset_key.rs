//! The file of `--reset-key-file`.

use std::io::ErrorKind;
use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::address::plain;
use crate::certificate::write_private;
use crate::error::Failure;
use crate::units::hexadecimal;

/// A secret is as long as this at least, in bytes.
const SHORTEST: usize = 16;

/// The key that the file's content stands for. A file that is not there is made, readable by its owner alone.
pub(crate) fn load(path: &Path) -> Result<[u8; 32], Failure> {
    let failed =
        |why: &dyn std::fmt::Display| Failure::failed(format_args!("--reset-key-file {}: {why}", path.display()));
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(failed(&plain(&error))),
    };
    let secret = content.trim_ascii();
    if secret.len() < SHORTEST {
        return Err(failed(&format_args!("a secret has at least {SHORTEST} bytes; remove the file to have one made")));
    }
    // Whatever its length, it becomes a key.
    Ok(digest(&SHA256, secret).as_ref().try_into().unwrap_or_default())
}

fn make(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut secret = [0; 32];
    SystemRandom::new().fill(&mut secret).map_err(|_| Failure::failed("the system gives no random numbers"))?;
    let secret = hexadecimal(&secret);
    write_private(path, &format!("{secret}\n"))
        .map_err(|error| Failure::failed(format_args!("--reset-key-file {}: {}", path.display(), plain(&error))))?;
    Ok(secret.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_short_secrets_are_refused() {
        let file = std::env::temp_dir().join(format!("quicast-reset-key-{}", std::process::id()));
        let first = load(&file).unwrap();
        assert_ne!(first, [0; 32]);
        assert_eq!(load(&file).unwrap(), first);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short\n").unwrap();
        assert!(load(&file).unwrap_err().to_string().contains("at least 16 bytes"));
        std::fs::remove_file(&file).unwrap();
    }
}

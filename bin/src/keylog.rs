//! TLS secrets in a file, for Wireshark (the format of NSS): only when asked for, and never silently.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::address::plain;
use crate::error::Failure;
use crate::out;
use crate::units::hexadecimal;

/// Appends a line for each secret.
#[derive(Debug)]
struct KeyLogFile(Mutex<File>);

impl rustls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hexadecimal(client_random), hexadecimal(secret));
        if let Ok(mut file) = self.0.lock() {
            file.write_all(line.as_bytes()).ok();
        }
    }
}

/// Where the secrets go: `--keylog`, or else SSLKEYLOGFILE; nowhere if neither is given.
pub(crate) fn open(argument: Option<&Path>) -> Result<Option<Arc<dyn rustls::KeyLog>>, Failure> {
    let from_environment = || std::env::var_os("SSLKEYLOGFILE").filter(|name| !name.is_empty()).map(PathBuf::from);
    let (path, origin) = match (argument, from_environment()) {
        (Some(path), _) => (path.to_owned(), "--keylog"),
        (None, Some(path)) => (path, "SSLKEYLOGFILE"),
        (None, None) => return Ok(None),
    };
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(|error| {
        Failure::failed(format_args!("cannot write TLS secrets to {} ({origin}): {}", path.display(), plain(&error)))
    })?;
    out::note(format_args!(
        "warning: TLS secrets are written to {} ({origin}); whoever reads it can read these connections",
        path.display()
    ));
    Ok(Some(Arc::new(KeyLogFile(Mutex::new(file)))))
}

//! The server's certificate: the user's own, or a development certificate kept in the user's cache directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tls::Certificate;
use tls::pki_types::{CertificateDer, UnixTime};

use crate::address::plain;
use crate::error::Failure;

/// A development certificate with less than this left is replaced, in seconds: a server should outlive a day's work.
const RENEW_BEFORE: u64 = 24 * 60 * 60;

/// A certificate, and where it is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) certificate: Certificate,
    pub(crate) path: PathBuf,
}

/// Reads the files of `--cert` and `--key`.
pub(crate) fn load(chain: &Path, key: &Path) -> Result<Found, Failure> {
    let certificate = Certificate::from_pem(&read("--cert", chain)?, &read("--key", key)?).map_err(|error| {
        Failure::failed(format_args!("--cert {} --key {}: {error}", chain.display(), key.display()))
    })?;
    Ok(Found { certificate, path: chain.to_owned() })
}

/// The certificates of a PEM file that `--cacert` names.
pub(crate) fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    use tls::pki_types::pem::PemObject as _;
    let contents = read("--cacert", path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents).collect();
    match found {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err(Failure::failed(format_args!("--cacert {}: the file has no CERTIFICATE section", path.display()))),
        Err(error) => Err(Failure::failed(format_args!("--cacert {}: not readable as PEM: {error}", path.display()))),
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::failed(format_args!("{option} {}: {}", path.display(), plain(&error))))
}

/// The development certificate of this user: the kept one, or a new one if there is none or it ends soon.
pub(crate) fn development() -> Result<Found, Failure> {
    development_in(&cache_directory()?, UnixTime::now())
}

fn development_in(directory: &Path, now: UnixTime) -> Result<Found, Failure> {
    let path = directory.join(CHAIN);
    if let Some(certificate) = kept(directory, now) {
        return Ok(Found { certificate, path });
    }
    let certificate = tls::development::certificate(&[], now)
        .map_err(|error| Failure::failed(format_args!("cannot make a development certificate: {error}")))?;
    keep(directory, &certificate).map_err(|error| {
        Failure::failed(format_args!(
            "cannot keep the development certificate in {}: {}; set XDG_CACHE_HOME to a folder you can write to",
            directory.display(),
            plain(&error)
        ))
    })?;
    Ok(Found { certificate, path })
}

/// The kept development certificate for a client to trust, if there is one.
pub(crate) fn trusted_on_loopback() -> Option<CertificateDer<'static>> {
    use tls::pki_types::pem::PemObject as _;
    let contents = fs::read(cache_directory().ok()?.join(CHAIN)).ok()?;
    CertificateDer::from_pem_slice(&contents).ok()
}

const CHAIN: &str = "development.pem";
const KEY: &str = "development.key";

fn kept(directory: &Path, now: UnixTime) -> Option<Certificate> {
    let read = |name| fs::read(directory.join(name)).ok();
    let certificate = Certificate::from_pem(&read(CHAIN)?, &read(KEY)?).ok()?;
    let has_begun = certificate.not_before().as_secs() <= now.as_secs();
    let lasts = certificate.not_after().as_secs() > now.as_secs().saturating_add(RENEW_BEFORE);
    (has_begun && lasts).then_some(certificate)
}

/// Each file appears whole or not at all. Two servers that start at once may leave a pair that does not match: the next
/// start makes a new one.
fn keep(directory: &Path, certificate: &Certificate) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    write_private(&directory.join(KEY), &certificate.key_pem())?;
    write_private(&directory.join(CHAIN), &certificate.chain_pem())
}

/// Makes or replaces a file that nobody but the user may read. Only a file is replaced: what else has the name (a link,
/// a pipe, a device) stays what it is, and that is an error.
pub(crate) fn write_private(path: &Path, contents: &str) -> std::io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "there is something else than a file"));
    }
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(contents.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written
}

fn cache_directory() -> Result<PathBuf, Failure> {
    let from = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("quicast")).ok_or_else(|| {
        Failure::failed("no place to keep a development certificate: neither XDG_CACHE_HOME nor HOME is set; set one, or give --cert and --key")
    })
}

/// What to say of a certificate that clients will refuse because of the time, if that is so.
pub(crate) fn time_warning(found: &Found, now: UnixTime) -> Option<String> {
    let path = found.path.display();
    if found.certificate.not_after().as_secs() < now.as_secs() {
        let days = (now.as_secs() - found.certificate.not_after().as_secs()) / 86_400;
        return Some(format!(
            "warning: the certificate {path} expired {days} days ago; clients will refuse it: renew it"
        ));
    }
    if !found.certificate.is_valid_at(now) {
        return Some(format!(
            "warning: the certificate {path} is not valid yet; clients will refuse it: check the clock"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    fn at(days: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000 + days * 86_400))
    }

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("quicast-{}-{name}", std::process::id()));
        fs::remove_dir_all(&directory).ok();
        directory
    }

    #[test]
    fn a_development_certificate_is_kept_until_its_last_day() {
        let directory = directory("kept");
        let first = development_in(&directory, at(0)).unwrap();
        let fingerprint = |days| development_in(&directory, at(days)).unwrap().certificate.fingerprint();
        assert_eq!(fingerprint(12), first.certificate.fingerprint());
        assert_ne!(fingerprint(13), first.certificate.fingerprint());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let directory = directory("no-file");
        fs::create_dir_all(&directory).unwrap();
        let (link, target) = (directory.join("link"), directory.join("target"));
        fs::write(&target, "before").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write_private(&link, "after").is_err());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "before");
        assert!(write_private(&target, "after").is_ok());
        assert_eq!(fs::read_to_string(&target).unwrap(), "after");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn nobody_else_may_read_the_key_and_a_broken_one_is_replaced() {
        let directory = directory("private");
        let first = development_in(&directory, at(0)).unwrap();
        let mode = |name| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(KEY), 0o600);
        fs::write(directory.join(KEY), "not a key").unwrap();
        let second = development_in(&directory, at(0)).unwrap();
        assert_ne!(first.certificate.fingerprint(), second.certificate.fingerprint());
        assert_eq!(mode(KEY), 0o600);
        fs::remove_dir_all(&directory).unwrap();
    }
}

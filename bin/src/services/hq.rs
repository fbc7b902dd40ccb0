//! `hq-interop`: HTTP/0.9 on streams, as the QUIC interop runner has it. `GET /path` is answered with the bare file.
//!
//! What cannot be answered is a stream reset with a code of [`refusal`]; there is no other way to say it.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use quicast::{Connection, RecvStream, SendStream, WriteError};
use tokio::io::AsyncReadExt as _;

use super::CHUNK;
use crate::address::plain;
use crate::error::Failure;
use crate::site::Content;

/// Why a stream is reset: HTTP's numbers, which everybody knows.
pub(crate) mod refusal {
    /// The request is not `GET /path`.
    pub(crate) const MALFORMED: u64 = 400;
    /// There is no such file.
    pub(crate) const NOT_FOUND: u64 = 404;
    /// The file could not be read to its end.
    pub(crate) const UNREADABLE: u64 = 500;
}

/// The longest request, in bytes.
const LONGEST_REQUEST: usize = 4096;

/// What is served.
#[derive(Debug)]
pub(crate) enum Files {
    /// The files below a folder, whose path is canonical.
    Folder(PathBuf),
    /// `/bytes/N`: N bytes.
    Generated,
}

impl Files {
    /// What `--root` names.
    pub(crate) fn new(root: Option<&Path>) -> Result<Self, Failure> {
        let Some(root) = root else { return Ok(Self::Generated) };
        let folder = root.canonicalize().map_err(|error| {
            Failure::failed(format_args!("--root {}: {}; give an existing folder", root.display(), plain(&error)))
        })?;
        if !folder.is_dir() {
            return Err(Failure::failed(format_args!("--root {}: not a folder", root.display())));
        }
        Ok(Self::Folder(folder))
    }

    /// The same as HTTP shows it.
    pub(crate) fn content(&self) -> Content {
        match self {
            Self::Folder(folder) => Content::Folder(folder.clone()),
            Self::Generated => Content::BuiltIn,
        }
    }
}

/// Serves until the connection ends.
pub(crate) async fn serve(connection: Connection, files: std::sync::Arc<Files>) {
    while let Ok((mut send, receive)) = connection.accept_bi().await {
        let files = files.clone();
        tokio::spawn(async move {
            let answered = match request(receive).await {
                Some(path) => answer(&mut send, &files, &path).await,
                None => Err(refusal::MALFORMED),
            };
            match answered {
                Ok(()) => send.finish().await.ok(),
                Err(code) => send.reset(code).ok(),
            };
        });
    }
}

/// The path of the request, once its line or its stream has ended.
async fn request(mut receive: RecvStream) -> Option<String> {
    let mut line = Vec::new();
    while let Some(chunk) = receive.read_chunk(LONGEST_REQUEST).await.ok()? {
        line.extend_from_slice(&chunk);
        if line.contains(&b'\n') {
            break;
        }
        if line.len() > LONGEST_REQUEST {
            receive.stop(refusal::MALFORMED);
            return None;
        }
    }
    path_of(&line)
}

fn path_of(request: &[u8]) -> Option<String> {
    let line = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let path = line.strip_prefix("GET ")?;
    (path.starts_with('/') && path.len() <= LONGEST_REQUEST).then(|| path.to_owned())
}

async fn answer(send: &mut SendStream, files: &Files, path: &str) -> Result<(), u64> {
    match files {
        Files::Folder(folder) => file(send, folder, path).await,
        Files::Generated => {
            let count = path.strip_prefix("/bytes/").and_then(|count| crate::units::parse_bytes(count).ok());
            generated(send, count.ok_or(refusal::NOT_FOUND)?).await
        }
    }
}

/// `count` bytes that compress badly and cost nothing.
async fn generated(send: &mut SendStream, mut count: u64) -> Result<(), u64> {
    let block = crate::echo::pattern::Pattern::new(0);
    let mut offset = 0;
    while count > 0 {
        let chunk = block.chunk(offset, CHUNK.min(usize::try_from(count).unwrap_or(CHUNK)));
        count -= chunk.len() as u64;
        offset += chunk.len() as u64;
        write(send, chunk).await?;
    }
    Ok(())
}

async fn file(send: &mut SendStream, folder: &Path, path: &str) -> Result<(), u64> {
    let (folder, path) = (folder.to_owned(), path.to_owned());
    let found = tokio::task::spawn_blocking(move || open(&folder, &path)).await;
    let file = found.ok().flatten().ok_or(refusal::NOT_FOUND)?;
    let mut file = tokio::fs::File::from_std(file);
    loop {
        let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut buffer).await.map_err(|_| refusal::UNREADABLE)?;
        if read == 0 {
            return Ok(());
        }
        write(send, buffer.freeze()).await?;
    }
}

async fn write(send: &mut SendStream, chunk: Bytes) -> Result<(), u64> {
    send.write_chunk(chunk).await.map_err(|error| match error {
        WriteError::Stopped(code) => code,
        WriteError::Finished | WriteError::ConnectionLost(_) => refusal::UNREADABLE,
    })
}

/// Opens a regular file below the folder; neither `..` nor a symbolic link leads out of it.
pub(crate) fn open(folder: &Path, path: &str) -> Option<std::fs::File> {
    let path = Path::new(path.strip_prefix('/')?);
    if !path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let below = |path: &Path| path.starts_with(folder);
    // The check for a regular file comes first: to open a pipe would wait for its writer.
    let canonical = folder.join(path).canonicalize().ok().filter(|path| below(path) && path.is_file())?;
    let file = std::fs::File::open(canonical).ok()?;
    // Somebody may have put a link there since: what counts is what was opened, where the system can say it.
    match std::fs::read_link(opened(&file)) {
        Ok(truth) => below(&truth).then_some(file),
        Err(_) => Some(file),
    }
}

fn opened(file: &std::fs::File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn requests_are_one_line() {
        for (request, path) in [
            ("GET /a\r\n", Some("/a")),
            ("GET /a\n", Some("/a")),
            ("GET /a", Some("/a")),
            ("GET /a b\r\nignored", Some("/a b")),
            ("GET a\r\n", None),
            ("PUT /a\r\n", None),
            ("", None),
        ] {
            assert_eq!(path_of(request.as_bytes()).as_deref(), path, "{request:?}");
        }
        assert_eq!(path_of(b"GET /\xff\r\n"), None);
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let base = std::env::temp_dir().join(format!("quicast-hq-{}", std::process::id()));
        let root = base.join("root");
        fs::create_dir_all(root.join("below")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(root.join("below/file"), "file").unwrap();
        std::os::unix::fs::symlink(base.join("secret"), root.join("leak")).unwrap();
        std::os::unix::fs::symlink(&base, root.join("up")).unwrap();
        std::os::unix::fs::symlink(root.join("below/file"), root.join("inside")).unwrap();
        let root = root.canonicalize().unwrap();
        for path in ["/below/file", "/./below/file", "/inside"] {
            assert!(open(&root, path).is_some(), "{path}");
        }
        for path in ["/../secret", "/below/../../secret", "/leak", "/up/secret", "//etc/passwd", "below/file"] {
            assert!(open(&root, path).is_none(), "{path}");
        }
        for path in ["/", "/below", "/none", "/a\0b"] {
            assert!(open(&root, path).is_none(), "{path}");
        }
        fs::remove_dir_all(&base).unwrap();
    }
}

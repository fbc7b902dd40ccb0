//! What a request sends: pieces of files, of standard input or of the command line, read when there is room for them.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::arguments::Asked;
use super::problem::{Problem, code};
use crate::address::plain;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// What is to be sent; it can be begun again unless it is standard input.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    parts: Vec<Part>,
    /// What it is, if nobody says otherwise.
    pub(crate) content_type: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Bytes),
    /// Without its line ends: as curl sends the files of `-d`.
    File {
        path: PathBuf,
        joined: bool,
    },
    Stdin {
        joined: bool,
    },
}

impl Upload {
    /// This file; `-` is standard input.
    pub(crate) fn file(path: &Path) -> Self {
        Self { parts: vec![file(path, false)], content_type: None }
    }

    /// What `-d` and its like say, if they say anything.
    pub(crate) fn of(arguments: &Asked) -> Option<Self> {
        let (texts, names_files, joined) = match (&arguments.data[..], &arguments.data_binary[..]) {
            ([], []) => (&arguments.data_raw, false, false),
            ([], _) => (&arguments.data_binary, true, false),
            _ => (&arguments.data, true, true),
        };
        let mut parts = Vec::new();
        for text in texts {
            if !parts.is_empty() {
                parts.push(Part::Bytes(Bytes::from_static(b"&")));
            }
            parts.push(match text.strip_prefix('@').filter(|_| names_files) {
                Some(name) => file(Path::new(name), joined),
                None => Part::Bytes(Bytes::copy_from_slice(text.as_bytes())),
            });
        }
        (!parts.is_empty()).then_some(Self { parts, content_type: Some(FORM) })
    }

    /// Whether it can be sent twice.
    pub(crate) fn can_begin_again(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Stdin { .. }))
    }

    /// How many bytes it has, if that is known before they are read. A file that cannot be read is found out here.
    pub(crate) async fn length(&self) -> Result<Option<u64>, Problem> {
        let mut length = Some(0_u64);
        for part in &self.parts {
            let known = match part {
                Part::Bytes(bytes) => Some(bytes.len() as u64),
                Part::Stdin { .. } => None,
                Part::File { path, joined } => {
                    let found = tokio::fs::metadata(path).await.map_err(|error| unreadable(path, &error))?;
                    if found.is_dir() {
                        return Err(Problem::new(code::READ, format_args!("{}: this is a folder", path.display())));
                    }
                    tokio::fs::File::open(path).await.map_err(|error| unreadable(path, &error))?;
                    (found.is_file() && !joined).then_some(found.len())
                }
            };
            length = length.zip(known).map(|(length, known)| length.saturating_add(known));
        }
        Ok(length)
    }

    /// All of it.
    pub(crate) async fn whole(&self) -> Result<Bytes, Problem> {
        let mut pieces = self.pieces();
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// What it has, from the beginning.
    pub(crate) fn pieces(&self) -> Pieces {
        Pieces { parts: self.parts.clone().into_iter(), current: None }
    }
}

fn file(path: &Path, joined: bool) -> Part {
    if path == Path::new("-") { Part::Stdin { joined } } else { Part::File { path: path.to_owned(), joined } }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(code::READ, format_args!("{}: {}", path.display(), plain(error)))
}

/// What is to be sent, while it is read.
pub(crate) struct Pieces {
    parts: std::vec::IntoIter<Part>,
    current: Option<Open>,
}

struct Open {
    from: Box<dyn AsyncRead + Send + Unpin>,
    name: PathBuf,
    joined: bool,
    buffer: BytesMut,
}

impl Pieces {
    /// The next one; `None` is the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(open) = &mut self.current {
                open.buffer.reserve(CHUNK);
                let read = open.from.read_buf(&mut open.buffer).await;
                if read.map_err(|error| unreadable(&open.name, &error))? == 0 {
                    self.current = None;
                    continue;
                }
                let mut piece = open.buffer.split();
                if open.joined {
                    piece = piece.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
                }
                if !piece.is_empty() {
                    return Ok(Some(piece.freeze()));
                }
                continue;
            }
            let (from, name, joined): (Box<dyn AsyncRead + Send + Unpin>, _, _) = match self.parts.next() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) if bytes.is_empty() => continue,
                Some(Part::Bytes(bytes)) => return Ok(Some(bytes)),
                Some(Part::Stdin { joined }) => (Box::new(tokio::io::stdin()), PathBuf::from("standard input"), joined),
                Some(Part::File { path, joined }) => {
                    let opened = tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, &error))?;
                    (Box::new(opened), path, joined)
                }
            };
            self.current = Some(Open { from, name, joined, buffer: BytesMut::new() });
        }
    }
}

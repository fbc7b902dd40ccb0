//! What a request sends: pieces of a file, of standard input or of the command line, read when there is room for them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Notify;

use super::arguments::Get;
use super::meter::Meter;
use super::problem::{Problem, code};
use crate::address::plain;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// What is to be sent; it can be begun again unless it is standard input.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    parts: Vec<Part>,
    /// What it is, if nobody says otherwise.
    pub(super) content_type: Option<&'static str>,
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
    /// What the command line says, if it says anything.
    pub(super) fn of(arguments: &Get) -> Option<Self> {
        if let Some(path) = &arguments.upload_file {
            return Some(Self { parts: vec![file(path, false)], content_type: None });
        }
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
    pub(super) fn can_begin_again(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Stdin { .. }))
    }

    /// How many bytes it has, if that is known before they are read. A file that cannot be read is found out here.
    pub(super) async fn length(&self) -> Result<Option<u64>, Problem> {
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

    /// The body of a request, which counts what it gives.
    pub(super) fn body(&self, sent: &Arc<Sent>) -> Body {
        let reading = Reading { parts: self.parts.clone().into_iter(), current: None, sent: sent.clone() };
        Body::from_stream(stream::unfold(reading, |mut reading| async move {
            let piece = reading.next().await.transpose()?;
            if let Err(problem) = &piece {
                reading.sent.fail(problem.clone());
            }
            Some((piece.map_err(|problem| std::io::Error::other(problem.message)), reading))
        }))
    }
}

fn file(path: &Path, joined: bool) -> Part {
    if path == Path::new("-") { Part::Stdin { joined } } else { Part::File { path: path.to_owned(), joined } }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(code::READ, format_args!("{}: {}", path.display(), plain(error)))
}

/// What has become of a body.
#[derive(Debug)]
pub(super) struct Sent {
    meter: Arc<Meter>,
    bytes: AtomicU64,
    failure: OnceLock<Problem>,
    failed: Notify,
}

impl Sent {
    pub(super) fn new(meter: &Arc<Meter>) -> Arc<Self> {
        Arc::new(Self {
            meter: meter.clone(),
            bytes: AtomicU64::new(0),
            failure: OnceLock::new(),
            failed: Notify::new(),
        })
    }

    /// How many bytes it has given.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn fail(&self, problem: Problem) {
        self.failure.set(problem).ok();
        self.failed.notify_one();
    }

    /// Waits until it cannot be read.
    pub(super) async fn failed(&self) -> Problem {
        loop {
            if let Some(problem) = self.failure.get() {
                return problem.clone();
            }
            self.failed.notified().await;
        }
    }
}

struct Reading {
    parts: std::vec::IntoIter<Part>,
    current: Option<Open>,
    sent: Arc<Sent>,
}

struct Open {
    from: Box<dyn AsyncRead + Send + Unpin>,
    name: PathBuf,
    joined: bool,
    buffer: BytesMut,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
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
                    return Ok(Some(self.given(piece.freeze())));
                }
                continue;
            }
            let (from, name, joined): (Box<dyn AsyncRead + Send + Unpin>, _, _) = match self.parts.next() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) if bytes.is_empty() => continue,
                Some(Part::Bytes(bytes)) => return Ok(Some(self.given(bytes))),
                Some(Part::Stdin { joined }) => (Box::new(tokio::io::stdin()), PathBuf::from("standard input"), joined),
                Some(Part::File { path, joined }) => {
                    let opened = tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, &error))?;
                    (Box::new(opened), path, joined)
                }
            };
            self.current = Some(Open { from, name, joined, buffer: BytesMut::new() });
        }
    }

    fn given(&self, piece: Bytes) -> Bytes {
        self.sent.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.sent.meter.moved(piece.len() as u64);
        piece
    }
}

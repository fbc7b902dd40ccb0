//! Where a fetched file goes.

use std::path::Path;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWriteExt as _, Stdout};

use crate::address::plain;
use crate::error::Failure;

/// Where a fetched file goes: standard output, or what a path names.
///
/// What is there already (a file, a link, a pipe, `/dev/null`) is written to and stays what it is; nothing is ever put
/// in its place. It is not touched before the first bytes have come, so a file that the server does not have empties
/// nothing.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    path: Option<&'a Path>,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed,
    Stdout(Stdout),
    /// A file, and whether it was not there before.
    File(File, bool),
}

impl<'a> Sink<'a> {
    /// No path and `-` are standard output.
    pub(super) fn new(path: Option<&'a Path>) -> Self {
        Self { path: path.filter(|path| *path != Path::new("-")), state: State::Closed }
    }

    /// Whether it is not standard output.
    pub(super) const fn is_file(&self) -> bool {
        self.path.is_some()
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.open().await?;
        let written = match &mut self.state {
            State::Closed => Ok(()),
            State::Stdout(stdout) => stdout.write_all(chunk).await,
            State::File(file, _) => file.write_all(chunk).await,
        };
        written.map_err(|error| self.failed(&error))
    }

    /// Everything has been written. An empty file is one, too.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.open().await?;
        let flushed = match &mut self.state {
            State::Closed => Ok(()),
            State::Stdout(stdout) => stdout.flush().await,
            State::File(file, _) => file.flush().await,
        };
        flushed.map_err(|error| self.failed(&error))
    }

    /// Not everything came: a file that was not there before does not stay.
    pub(super) async fn abandon(self) {
        if let (State::File(_, true), Some(path)) = (&self.state, self.path) {
            tokio::fs::remove_file(path).await.ok();
        }
    }

    async fn open(&mut self) -> Result<(), Failure> {
        if !matches!(self.state, State::Closed) {
            return Ok(());
        }
        let Some(path) = self.path else {
            self.state = State::Stdout(tokio::io::stdout());
            return Ok(());
        };
        self.state = match OpenOptions::new().write(true).create_new(true).open(path).await {
            Ok(file) => State::File(file, true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let opened = OpenOptions::new().write(true).truncate(true).open(path).await;
                State::File(opened.map_err(|error| self.failed(&error))?, false)
            }
            Err(error) => return Err(self.failed(&error)),
        };
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        match self.path {
            Some(path) => Failure::failed(format_args!("{}: {}", path.display(), plain(error))),
            None => Failure::failed(format_args!("standard output: {}", plain(error))),
        }
    }
}

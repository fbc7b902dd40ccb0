//! [`Sink`]: where the content of a URL goes.

use std::io::{IsTerminal as _, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, Stdout};

use crate::address::plain;
use crate::request::problem::{Problem, code};

/// Where the content goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// Standard output; whether that was said, and not only left unsaid.
    Stdout {
        said: bool,
    },
    File(PathBuf),
}

impl Target {
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout { .. } => None,
            Self::File(path) => Some(path),
        }
    }
}

/// See the module.
///
/// A file is touched when the first bytes for it have come, so a server that says no empties nothing; what has come stays
/// when the rest does not.
#[derive(Debug)]
pub(super) struct Sink {
    target: Target,
    create_dirs: bool,
    /// Where in the file it begins.
    start: u64,
    written: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed,
    Stdout(Stdout),
    File(File),
}

impl Sink {
    pub(super) const fn new(target: Target, create_dirs: bool) -> Self {
        Self { target, create_dirs, start: 0, written: 0, state: State::Closed }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// What is before this byte of the file stays.
    pub(super) const fn start_at(&mut self, start: u64) {
        self.start = start;
    }

    /// How many bytes of a file are there already.
    pub(super) async fn length(&self) -> Result<u64, Problem> {
        let Target::File(path) = &self.target else { return Ok(0) };
        match tokio::fs::metadata(path).await {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        if matches!(self.state, State::Closed) {
            self.check_terminal(chunk)?;
            self.open().await?;
        }
        let written = match &mut self.state {
            State::Closed => Ok(()),
            State::Stdout(stdout) => stdout.write_all(chunk).await,
            State::File(file) => file.write_all(chunk).await,
        };
        written.map_err(|error| self.failed(&error))?;
        self.written += chunk.len() as u64;
        Ok(())
    }

    /// Everything has come. An empty file is one, too.
    pub(super) async fn finish(&mut self) -> Result<(), Problem> {
        if matches!(self.state, State::Closed) && self.start == 0 && matches!(self.target, Target::File(_)) {
            self.open().await?;
        }
        self.flush().await
    }

    /// What has come is where it belongs.
    pub(super) async fn flush(&mut self) -> Result<(), Problem> {
        let flushed = match &mut self.state {
            State::Closed => Ok(()),
            State::Stdout(stdout) => stdout.flush().await,
            State::File(file) => file.flush().await,
        };
        flushed.map_err(|error| self.failed(&error))
    }

    /// Nothing of what was written counts: it begins again. What went to standard output cannot be taken back.
    pub(super) async fn begin_again(&mut self) -> Result<(), Problem> {
        self.flush().await?;
        if let State::File(file) = &mut self.state {
            let cut = async {
                file.set_len(self.start).await?;
                file.seek(SeekFrom::Start(self.start)).await
            };
            let cut = cut.await;
            cut.map_err(|error| self.failed(&error))?;
            self.written = 0;
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(), Problem> {
        let Target::File(path) = &self.target else {
            self.state = State::Stdout(tokio::io::stdout());
            return Ok(());
        };
        if let Some(folder) = path.parent().filter(|folder| self.create_dirs && !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|error| self.failed(&error))?;
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(self.start == 0).open(path).await;
        let mut file = opened.map_err(|error| self.failed(&error))?;
        if self.start > 0 {
            file.seek(SeekFrom::Start(self.start)).await.map_err(|error| self.failed(&error))?;
        }
        self.state = State::File(file);
        Ok(())
    }

    /// Bytes that are no text are not for a terminal, unless somebody says so.
    fn check_terminal(&self, chunk: &[u8]) -> Result<(), Problem> {
        if self.target == (Target::Stdout { said: false }) && chunk.contains(&0) && std::io::stdout().is_terminal() {
            return Err(Problem::new(
                code::WRITE,
                "this is no text and might confuse the terminal; write it to a file with -o FILE, or say -o - to see it",
            ));
        }
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Problem {
        let advice = match error.kind() {
            std::io::ErrorKind::NotFound => "; make the folder, or say --create-dirs",
            _ => "",
        };
        match &self.target {
            Target::File(path) => {
                Problem::new(code::WRITE, format_args!("{}: {}{advice}", path.display(), plain(error)))
            }
            Target::Stdout { .. } => Problem::new(code::WRITE, format_args!("standard output: {}", plain(error))),
        }
    }
}

//! A driver that runs: pinned, listened to, and ended whatever happens.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::stacks::Program;

/// How long one that has ended may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A driver that runs. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Process {
    /// Starts it on one core.
    pub(crate) fn start(core: &str, program: &Program, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(&program.path).args(program.words).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("taskset: {error}"))?;
        let (line, lines) = channel();
        if let Some(out) = child.stdout.take() {
            // Read to the end even if nobody listens, so that the driver never waits for us.
            thread::spawn(move || {
                for text in BufReader::new(out).lines().map_while(Result::ok) {
                    drop(line.send(text));
                }
            });
        }
        let (error, errors) = channel();
        if let Some(mut out) = child.stderr.take() {
            thread::spawn(move || {
                let mut text = Vec::new();
                drop(out.read_to_end(&mut text));
                drop(error.send(String::from_utf8_lossy(&text).into_owned()));
            });
        }
        let input = child.stdin.take();
        Ok(Self { child, input, lines, errors })
    }

    /// Its number; `taskset` becomes the driver and keeps it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self, patience: Duration) -> Result<String, String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("says nothing for {} s", patience.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err(self.last_words()),
        }
    }

    /// Lets it come to its end, and sees that it is a good one.
    pub(crate) fn finish(&mut self, patience: Duration) -> Result<(), String> {
        drop(self.input.take());
        match self.ended(patience) {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(self.last_words()),
            None => Err(format!("does not end within {} s", patience.as_secs())),
        }
    }

    /// How it ended, if it does in time.
    fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Whether it still runs, as a server should.
    pub(crate) fn still_runs(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.last_words()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// How it ended, and the last of what it complained about.
    fn last_words(&mut self) -> String {
        let status = self.ended(LAST_WORDS).map_or_else(|| "is silent".to_owned(), |status| status.to_string());
        let errors = self.errors.recv_timeout(LAST_WORDS).unwrap_or_default();
        let complaint = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
        format!("{status}: {complaint}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is only collected.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

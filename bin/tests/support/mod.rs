//! The command as a process: what tests start, read and stop.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot start its processes has failed")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder of one test, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The command, with this folder as the user's cache and nothing of the environment that changes what it does.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quicast"));
        command.args(arguments).env("XDG_CACHE_HOME", &self.0).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env_remove("SSLKEYLOGFILE").env_remove("RUST_LOG");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A command that does not read its input is none of this thread's business.
        let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ended { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output of a command that did what it should.
    #[track_caller]
    pub(crate) fn done(&self) -> &[u8] {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        &self.stdout
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.done()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.done()).unwrap()
    }
}

/// A running server; it is killed with its test.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// What it printed until it was ready.
    pub(crate) said: Vec<String>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Server {
    /// Starts `serve` on free ports of 127.0.0.1, and waits until it says that it listens.
    pub(crate) fn start(folder: &Folder, arguments: &[&str]) -> Self {
        Self::start_at(folder, "127.0.0.1:0", arguments)
    }

    /// The same at another address, with what the first `listening on` says of it.
    pub(crate) fn start_at(folder: &Folder, listen: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", listen, "--admin", "127.0.0.1:0", "--shards", "1"];
        all.extend(arguments);
        Self::start_as(folder, &all)
    }

    /// Starts any command that says `listening on` as the last of what it says at first.
    pub(crate) fn start_as(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = folder.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.starts_with("listening on ")) {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                stderr.read_to_string(&mut line).unwrap();
                panic!("the server ended: {line}");
            }
            said.push(line.trim_end().to_owned());
        }
        Self { child, said, stdout, stderr }
    }

    /// The rest of the line that begins like this.
    #[track_caller]
    pub(crate) fn after(&self, beginning: &str) -> &str {
        self.said.iter().find_map(|line| line.strip_prefix(beginning)).expect(beginning)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.after("listening on ")
    }

    /// Where its metrics are.
    pub(crate) fn admin(&self) -> SocketAddr {
        let url = self.after("admin").trim_start();
        url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap()
    }

    /// The token of its admin address.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.after("  token").trim_start()).unwrap().trim().to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The next line on standard output.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line on standard error.
    pub(crate) fn next_error(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Waits for its end. Its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// A client that echoes what a test writes.
pub(crate) struct Talk {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

impl Talk {
    pub(crate) fn start(folder: &Folder, server: &str) -> Self {
        let mut command = folder.command(&["echo", server]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Says something and waits until it comes back.
    pub(crate) fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        let mut back = vec![0; text.len()];
        self.stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, text.as_bytes());
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Says that nothing follows; the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks the admin address for something, with this token and JSON, if any. The status and the answer.
pub(crate) fn ask(
    admin: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, serde_json::Value) {
    let credential = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: {length}\r\n{credential}{kind}\r\n{body}"
    );
    let (status, _, answer) = http(admin, &request);
    (status, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{status} {answer}")))
}

/// Sends these bytes, and gives the answer: its status, its head and its body.
pub(crate) fn http(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that closes while more is being sent to it may reset the connection after its answer.
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_ascii_lowercase(), body.to_owned())
}

//! What became of a URL: for `--json` and for `-w`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use quicast::Connection;
use serde::Serialize;

use super::sent::Sent;
use super::verbose::text;
use crate::request::problem::Problem;

/// Everything that can be told.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// As it was typed, and which one it is.
    pub(super) url: String,
    pub(super) number: usize,
    /// Where redirects led.
    pub(super) url_effective: String,
    pub(super) method: Method,
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    pub(super) header_bytes: u64,
    pub(super) bytes_down: u64,
    pub(super) uploads: Vec<Arc<Sent>>,
    pub(super) name_lookup: Duration,
    pub(super) handshake: Duration,
    pub(super) request_sent: Duration,
    pub(super) first_byte: Duration,
    pub(super) total: Duration,
    pub(super) connections: u32,
    pub(super) redirects: u32,
    /// Those of `--retry`.
    pub(super) retries: u32,
    /// Requests that were made once more by themselves.
    pub(super) repeated: u32,
    pub(super) redirect_url: String,
    pub(super) file: Option<PathBuf>,
    pub(super) connection: Option<Connection>,
    /// Whether its keys were updated because we wished so.
    pub(super) key_updated: bool,
    /// Packets that were lost on it before.
    pub(super) lost_before: u64,
    pub(super) problem: Option<Problem>,
}

/// A line of `--json`. Times are in seconds.
#[derive(Debug, Serialize)]
struct Line<'a> {
    url: &'a str,
    url_effective: &'a str,
    method: &'a str,
    status: Option<u16>,
    version: &'a str,
    bytes_up: u64,
    bytes_down: u64,
    content_type: Option<String>,
    file: Option<String>,
    remote: Option<String>,
    reused: bool,
    redirects: u32,
    retries: u32,
    time_dns: f64,
    time_handshake: f64,
    time_first_byte: f64,
    time_total: f64,
    rtt: Option<f64>,
    packets_lost: u64,
    key_updates: u64,
    exit_code: u8,
    error: Option<&'a str>,
}

impl Report {
    fn bytes_up(&self) -> u64 {
        self.uploads.iter().map(|sent| sent.bytes()).sum()
    }

    fn code(&self) -> u8 {
        self.problem.as_ref().map_or(0, |problem| problem.code)
    }

    fn status_number(&self) -> u16 {
        self.status.map_or(0, |status| status.as_u16())
    }

    fn version(&self) -> &'static str {
        if self.status.is_some() { "3" } else { "0" }
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(text)
    }

    fn lost(&self) -> u64 {
        let lost = self.connection.as_ref().map_or(0, |connection| connection.stats().totals.packets_lost);
        lost.saturating_sub(self.lost_before)
    }

    /// Those of either side. The connection's numbers may be a moment old; of our own update we know.
    fn key_updates(&self) -> u64 {
        let counted = self.connection.as_ref().map_or(0, |connection| connection.stats().totals.key_updates);
        counted.max(u64::from(self.key_updated))
    }

    /// The line of `--json`.
    pub(super) fn json(&self) -> String {
        let line = Line {
            url: &self.url,
            url_effective: &self.url_effective,
            method: self.method.as_str(),
            status: self.status.map(|status| status.as_u16()),
            version: self.version(),
            bytes_up: self.bytes_up(),
            bytes_down: self.bytes_down,
            content_type: self.header("content-type"),
            file: self.file.as_ref().map(|file| file.display().to_string()),
            remote: self.connection.as_ref().map(|connection| connection.remote_address().to_string()),
            reused: self.connection.is_some() && self.connections == 0,
            redirects: self.redirects,
            retries: self.retries + self.repeated,
            time_dns: self.name_lookup.as_secs_f64(),
            time_handshake: self.handshake.as_secs_f64(),
            time_first_byte: self.first_byte.as_secs_f64(),
            time_total: self.total.as_secs_f64(),
            rtt: self.connection.as_ref().map(|connection| connection.rtt().as_secs_f64()),
            packets_lost: self.lost(),
            key_updates: self.key_updates(),
            exit_code: self.code(),
            error: self.problem.as_ref().map(|problem| problem.message.as_str()),
        };
        // Texts and numbers can always be written.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// A variable of `-w`; `None`: there is none of that name.
    fn variable(&self, name: &str) -> Option<String> {
        let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
        let rate = |bytes: u64| format!("{:.0}", bytes as f64 / self.total.as_secs_f64().max(1e-9));
        let remote = || self.connection.as_ref().map(Connection::remote_address);
        // The handshake of TLS is that of QUIC.
        let connected = self.name_lookup + self.handshake;
        Some(match name {
            "content_type" => self.header("content-type").unwrap_or_default(),
            "errormsg" => self.problem.as_ref().map_or_else(String::new, |problem| problem.message.clone()),
            "exitcode" => self.code().to_string(),
            "filename_effective" => self.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
            "http_code" | "response_code" => format!("{:03}", self.status_number()),
            "http_version" => self.version().to_owned(),
            "json" => self.json(),
            "method" => self.method.to_string(),
            "num_connects" => self.connections.to_string(),
            "num_headers" => self.headers.len().to_string(),
            "num_redirects" => self.redirects.to_string(),
            "num_retries" => (self.retries + self.repeated).to_string(),
            "quic_lost" => self.lost().to_string(),
            "quic_rtt" => seconds(self.connection.as_ref().map(Connection::rtt).unwrap_or_default()),
            "quic_version" => "1".to_owned(),
            "redirect_url" => self.redirect_url.clone(),
            "remote_ip" => remote().map_or_else(String::new, |remote| remote.ip().to_canonical().to_string()),
            "remote_port" => remote().map_or(0, |remote| remote.port()).to_string(),
            "scheme" => "https".to_owned(),
            "size_download" => self.bytes_down.to_string(),
            "size_header" => self.header_bytes.to_string(),
            "size_upload" => self.bytes_up().to_string(),
            "speed_download" => rate(self.bytes_down),
            "speed_upload" => rate(self.bytes_up()),
            "ssl_verify_result" => u8::from(self.code() == crate::request::problem::code::CERTIFICATE).to_string(),
            "time_appconnect" | "time_connect" => seconds(connected),
            "time_namelookup" => seconds(self.name_lookup),
            "time_pretransfer" => seconds(self.request_sent),
            "time_starttransfer" => seconds(self.first_byte),
            "time_total" => seconds(self.total),
            "url" => self.url.clone(),
            "url_effective" => self.url_effective.clone(),
            "urlnum" => self.number.to_string(),
            _ => return None,
        })
    }

    /// What `-w` asks for: what is for standard output, and what for standard error.
    pub(super) fn written_out(&self, format: &str) -> (String, String) {
        let mut texts = [String::new(), String::new()];
        let mut to = 0;
        let mut rest = format;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            let text = &mut texts[to];
            match character {
                '\\' => {
                    let next = rest.chars().next();
                    rest = next.map_or("", |next| &rest[next.len_utf8()..]);
                    match next {
                        Some('n') => text.push('\n'),
                        Some('r') => text.push('\r'),
                        Some('t') => text.push('\t'),
                        other => text.extend(std::iter::once('\\').chain(other)),
                    }
                }
                '%' => {
                    if let Some(after) = rest.strip_prefix('%') {
                        text.push('%');
                        rest = after;
                    } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                        rest = after;
                        match name {
                            "stdout" => to = 0,
                            "stderr" => to = 1,
                            name => match self.variable(name) {
                                Some(value) => text.push_str(&value),
                                None => texts[1].push_str(&format!("quicast: -w: there is no variable {name}\n")),
                            },
                        }
                    } else if let Some((name, after)) =
                        rest.strip_prefix("header{").and_then(|rest| rest.split_once('}'))
                    {
                        rest = after;
                        text.push_str(&self.header(&name.to_ascii_lowercase()).unwrap_or_default());
                    } else {
                        text.push('%');
                    }
                }
                other => text.push(other),
            }
        }
        let [out, err] = texts;
        (out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_filled_in() {
        let report = Report {
            url: "https://h/ü".to_owned(),
            status: Some(StatusCode::NOT_FOUND),
            bytes_down: 7,
            total: Duration::from_millis(1500),
            headers: HeaderMap::from_iter([("x-a".parse().unwrap(), "b".parse().unwrap())]),
            ..Report::default()
        };
        for (format, out) in [
            ("%{http_code} %{size_download}\\n", "404 7\n"),
            ("%{time_total}\\t%{http_version}", "1.500000\t3"),
            ("100%% ü %{url} \\\\ \\x %", "100% ü https://h/ü \\\\ \\x %"),
            ("%header{X-A}|%header{none}", "b|"),
            ("a%{stderr}b%{stdout}c", "ac"),
            ("%{http_code", "%{http_code"),
            ("end\\", "end\\"),
        ] {
            assert_eq!(report.written_out(format).0, out, "{format}");
        }
        assert_eq!(report.written_out("a%{stderr}b%{stdout}c").1, "b");
        assert!(report.written_out("%{nothing}").1.contains("no variable nothing"));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((json["status"].as_u64(), json["error"].is_null()), (Some(404), true));
    }

    #[test]
    fn every_variable_of_the_help_is_there() {
        let help = <crate::cli::Cli as clap::CommandFactory>::command()
            .find_subcommand("get")
            .and_then(|get| get.get_after_help().map(ToString::to_string))
            .unwrap();
        let (_, list) = help.split_once("Variables of -w: ").unwrap();
        let (list, _) = list.split_once(';').unwrap();
        let names: Vec<&str> = list.split_whitespace().collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names.into_iter().filter(|name| !["stdout", "stderr"].contains(name)) {
            assert!(Report::default().variable(name).is_some(), "{name}");
        }
    }
}

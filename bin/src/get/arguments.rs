//! The command line of `quicast get`: curl's, where curl has one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::Tuning;
use crate::request::arguments::Asked;

/// More requests at once than this wait for one another at most servers.
const MOST_PARALLEL: u16 = 300;

/// `quicast get`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The URLs of one server share a connection; with -Z their requests run at the
same time. A request that the server says it did not process is made once more
by itself, on a new connection.

A server must have a certificate that this machine trusts. On a loopback
address, the development certificate in your cache directory will do.

An interrupted download stays as far as it came, and FILE.quicast-resume next
to it says which version of it that is: `-C -` goes on from there, and fails if
the server has another version by now.

With --json the line of each URL goes to standard output; to standard error, if
the content goes to standard output.

Variables of -w: content_type errormsg exitcode filename_effective http_code
http_version json method num_connects num_headers
num_redirects num_retries quic_lost quic_rtt quic_version redirect_url remote_ip
remote_port response_code scheme size_download size_header size_upload
speed_download speed_upload ssl_verify_result stderr stdout time_appconnect
time_connect time_namelookup time_pretransfer time_starttransfer time_total url
url_effective urlnum; header{NAME} as %header{NAME}.

Exit codes, those of curl; of several URLs, the first that failed counts:
   0  done                             35  the TLS handshake failed
   1  no https:// URL                  47  too many redirects
   2  wrong usage                      55  sending failed
   3  the URL is malformed             56  receiving failed
   6  the name was not found           60  the certificate is not trusted
   7  nobody answered                  65  the upload cannot be begun again
  22  --fail, and the status is >=400  77  --cacert cannot be read
  23  writing failed                   95  an error of HTTP/3
  26  reading what is sent failed      96  an error of QUIC
  28  time is up                      130  interrupted
  33  it cannot be resumed")]
pub(crate) struct Get {
    /// What to fetch: https://host[:port][/path]; https:// may be left out.
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Write to this file; `-` is standard output. Repeat it: the first is for the first URL, and so on.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// Write each URL that has no -o to a file with the last name of its path, here.
    #[arg(short = 'O', long)]
    pub(crate) remote_name: bool,
    /// The folder of the files of -o and -O.
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Make the folders that a file needs.
    #[arg(long)]
    pub(crate) create_dirs: bool,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Upload this file (PUT), `-` is standard input. A URL that ends with / gets the file's name.
    #[arg(short = 'T', long, value_name = "FILE", conflicts_with_all = ["data", "data_binary", "data_raw"])]
    pub(crate) upload_file: Option<PathBuf>,
    /// Only the head (HEAD).
    #[arg(short = 'I', long, conflicts_with_all = ["data", "data_binary", "data_raw", "upload_file"])]
    pub(crate) head: bool,
    /// Heads go where the content goes.
    #[arg(short = 'i', long, alias = "show-headers")]
    pub(crate) include: bool,
    /// Tell what happens, on standard error.
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    /// No progress, no errors.
    #[arg(short = 's', long)]
    pub(crate) silent: bool,
    /// Errors in spite of -s.
    #[arg(short = 'S', long)]
    pub(crate) show_error: bool,
    /// Trust every server. Whoever is on the way can read and change everything.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Trust what these certificates (PEM) have signed, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,
    /// Only IPv4.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Only IPv6.
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Follow redirects.
    #[arg(short = 'L', long)]
    pub(crate) location: bool,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) max_redirs: u32,
    /// All URLs at the same time.
    #[arg(short = 'Z', long)]
    pub(crate) parallel: bool,
    /// At most so many at the same time.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_PARALLEL)))]
    pub(crate) parallel_max: u16,
    /// Go on from this byte; `-` from where the file ends.
    #[arg(short = 'C', long, value_name = "OFFSET", value_parser = Offset::parse, conflicts_with_all = ["range", "head", "include"])]
    pub(crate) continue_at: Option<Offset>,
    /// Only these bytes: 0-499, 500-, -500.
    #[arg(short = 'r', long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<String>,
    /// A status of 400 or more is a failure, and its content is not written.
    #[arg(short = 'f', long)]
    pub(crate) fail: bool,
    /// Likewise, but the content is written.
    #[arg(long, conflicts_with = "fail")]
    pub(crate) fail_with_body: bool,
    /// How long a connection may take to be there, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,
    /// How long each attempt may take, in seconds.
    #[arg(short = 'm', long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,
    /// Try again so many times: after a timeout, and status 408, 429, 500, 502, 503 or 504.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retry: u32,
    /// Wait so long before each time; without it 1 s, and then twice as long each time, or what the server says.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) retry_delay: Option<Duration>,
    /// Begin a key update (RFC 9001 section 6) on each new connection as soon as the handshake is confirmed, before the
    /// first request.
    #[arg(long)]
    pub(crate) key_update: bool,
    /// --retry also when nobody answers.
    #[arg(long)]
    pub(crate) retry_connrefused: bool,
    /// Print this at the end: text, \n, \t, and %{variables}; @FILE reads it from a file.
    #[arg(short = 'w', long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub(crate) write_out: Option<String>,
    /// A line of JSON for each URL.
    #[arg(long)]
    pub(crate) json: bool,
    /// Say how urgent it is (RFC 9218): u=0 to u=7, and i if it may be shown in part.
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    pub(crate) priority: Option<String>,
    /// Log in (Basic).
    #[arg(short = 'u', long, value_name = "USER:PASSWORD")]
    pub(crate) user: Option<String>,
    /// Who asks.
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,
    /// Where the link was.
    #[arg(short = 'e', long, value_name = "URL")]
    pub(crate) referer: Option<String>,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
}

/// Where `-C` goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offset {
    /// Where the file ends.
    End,
    /// There.
    Byte(u64),
}

impl Offset {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self::End),
            _ => text.parse().map(Self::Byte).map_err(|_| "give a number of bytes, or - for the file's end".to_owned()),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "give seconds, like 2 or 0.5".to_owned())
}

/// Checks what a server would ignore if it were wrong.
fn priority(text: &str) -> Result<String, String> {
    let known = |member: &str| match member.trim_matches([' ', '\t']).split_once('=') {
        None => member.trim_matches([' ', '\t']) == "i",
        Some(("u", urgency)) => matches!(urgency.as_bytes(), [b'0'..=b'7']),
        Some(("i", incremental)) => matches!(incremental, "?0" | "?1"),
        Some(_) => false,
    };
    match text.split(',').all(known) {
        true => Ok(text.to_owned()),
        false => Err("a priority is u=0 (the most urgent) to u=7, or i, or both: 'u=1, i'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_checked() {
        for text in ["u=0", "i", "u=7, i", "u=1,i=?0", "i=?1"] {
            assert_eq!(priority(text), Ok(text.to_owned()));
        }
        for text in ["", "u", "u=8", "u=10", "x=1", "u=1 i", "i=1", "u=1,"] {
            assert!(priority(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_and_offsets_are_checked() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "0", "-1", "x", "inf", "NaN", "1e400"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!((Offset::parse("-"), Offset::parse("7")), (Ok(Offset::End), Ok(Offset::Byte(7))));
        assert!(Offset::parse("-1").is_err());
    }
}

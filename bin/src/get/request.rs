//! The head of a request, from the command line.

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, IF_RANGE, RANGE, REFERER, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::arguments::Get;
use super::problem::{Problem, code};
use super::upload::Upload;
use super::url::Url;
use crate::error::Failure;
use crate::out;

const AGENT: &str = concat!("quicast/", env!("CARGO_PKG_VERSION"));
/// What belongs to a connection of HTTP/1.1 (RFC 9114 §4.2).
const CONNECTION_SPECIFIC: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// What the command line says of every request.
#[derive(Debug)]
pub(super) struct Wanted {
    method: Method,
    /// Whether it was said, and is the same after a redirect.
    method_said: bool,
    /// `-H`; without a value it is taken away.
    lines: Vec<(HeaderName, Option<HeaderValue>)>,
    host: Option<String>,
    defaults: HeaderMap,
    user: Option<String>,
}

impl Wanted {
    pub(super) fn new(arguments: &Get, upload: Option<&Upload>) -> Result<Self, Failure> {
        let method = match &arguments.request {
            Some(text) => Method::from_bytes(text.as_bytes())
                .map_err(|_| Failure::usage(format_args!("-X {text}: a method is a word, like DELETE")))?,
            None if arguments.head => Method::HEAD,
            None if arguments.upload_file.is_some() => Method::PUT,
            None if upload.is_some() => Method::POST,
            None => Method::GET,
        };
        if method == Method::CONNECT {
            return Err(Failure::usage("-X CONNECT: a tunnel is not made here"));
        }
        let mut defaults = HeaderMap::new();
        let mut set = |option: &str, name: HeaderName, text: &str| match HeaderValue::from_str(text) {
            Ok(value) => Ok(_ = defaults.insert(name, value)),
            Err(_) => Err(Failure::usage(format_args!("{option}: a header has no line ends and control characters"))),
        };
        set("-A", USER_AGENT, arguments.user_agent.as_deref().unwrap_or(AGENT))?;
        set("-H", ACCEPT, "*/*")?;
        if let Some(referer) = &arguments.referer {
            set("-e", REFERER, referer)?;
        }
        if let Some(range) = &arguments.range {
            set("-r", RANGE, &format!("bytes={range}"))?;
        }
        if let Some(priority) = &arguments.priority {
            set("--priority", HeaderName::from_static("priority"), priority)?;
        }
        if arguments.user_agent.as_deref() == Some("") {
            defaults.remove(USER_AGENT);
        }
        let mut wanted = Self {
            method,
            method_said: arguments.request.is_some(),
            lines: Vec::new(),
            host: None,
            defaults,
            user: arguments.user.clone(),
        };
        for line in &arguments.header {
            wanted.line(line, arguments.silent)?;
        }
        Ok(wanted)
    }

    fn line(&mut self, line: &str, silent: bool) -> Result<(), Failure> {
        let wrong = || {
            Failure::usage(format_args!("-H {line:?}: write 'Name: value'; 'Name:' takes one away, 'Name;' is empty"))
        };
        let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
            (Some((name, value)), _) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
            (None, Some(name)) => (name, Some("")),
            (None, None) => return Err(wrong()),
        };
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let value = value.map(HeaderValue::from_str).transpose().map_err(|_| wrong())?;
        if CONNECTION_SPECIFIC.contains(&name.as_str()) {
            if value.is_some() && !silent {
                out::note(format_args!("warning: HTTP/3 has no header {name}; it is left out"));
            }
        } else if name == HOST {
            self.host = value.and_then(|value| value.to_str().ok().map(ToOwned::to_owned));
        } else {
            self.lines.push((name, value));
        }
        Ok(())
    }
}

/// Where a file goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Resumed {
    pub(super) from: u64,
    /// The version that the first part is of.
    pub(super) version: Option<HeaderValue>,
}

/// A request on its way through redirects.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) upload: Option<Upload>,
    /// Whether this server is the one that the user named, and may know what is meant for that one.
    trusted: bool,
    userinfo: Option<String>,
}

impl Hop {
    pub(super) fn first(wanted: &Wanted, url: &Url, upload: Option<&Upload>) -> Self {
        let userinfo = wanted.user.clone().or_else(|| url.userinfo.clone());
        Self { url: url.clone(), method: wanted.method.clone(), upload: upload.cloned(), trusted: true, userinfo }
    }

    /// The head; `length`: that of what is uploaded.
    pub(super) fn head(&self, wanted: &Wanted, resumed: &Resumed, length: Option<u64>) -> Result<Request<()>, Problem> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.target(wanted.host.as_deref().filter(|_| self.trusted))?;
        let headers = request.headers_mut();
        headers.extend(wanted.defaults.clone());
        if let (Some(userinfo), true) = (&self.userinfo, self.trusted) {
            headers.insert(AUTHORIZATION, basic(userinfo));
        }
        if resumed.from > 0 {
            headers.insert(RANGE, value(&format!("bytes={}-", resumed.from)));
            if let Some(version) = &resumed.version {
                headers.insert(IF_RANGE, version.clone());
            }
        }
        if let Some(upload) = &self.upload {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            if let Some(content_type) = upload.content_type {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
        }
        let mut seen: Vec<&HeaderName> = Vec::new();
        for (name, value) in &wanted.lines {
            if !self.trusted && [AUTHORIZATION, COOKIE].contains(name) {
                continue;
            }
            // The first one replaces what would be there by itself.
            if !seen.contains(&name) {
                headers.remove(name);
                seen.push(name);
            }
            if let Some(value) = value {
                headers.append(name, value.clone());
            }
        }
        Ok(request)
    }

    /// The request that follows a redirect (RFC 9110 §15.4), as clients make it.
    pub(super) fn redirected(&self, wanted: &Wanted, status: StatusCode, location: &str) -> Result<Self, Problem> {
        let url = self.url.join(location)?;
        let mut next = Self { trusted: self.trusted && url.same_origin(&self.url), ..self.clone() };
        if next.trusted {
            next.userinfo = next.userinfo.or_else(|| url.userinfo.clone());
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.upload = None;
            if !wanted.method_said {
                next.method = Method::GET;
            }
        } else if next.upload.as_ref().is_some_and(|upload| !upload.can_begin_again()) {
            return Err(Problem::new(
                code::REWIND,
                format_args!(
                    "{url}: the redirect wants the upload again, and standard input cannot be read twice; send a file"
                ),
            ));
        }
        next.url = url;
        Ok(next)
    }
}

/// Base64 and digits are always a value.
fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

fn basic(userinfo: &str) -> HeaderValue {
    let userinfo = if userinfo.contains(':') { userinfo.to_owned() } else { format!("{userinfo}:") };
    let mut value = value(&format!("Basic {}", BASE64_STANDARD.encode(userinfo)));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn get(arguments: &[&str]) -> Get {
        let all = ["quicast", "get"].into_iter().chain(arguments.iter().copied());
        let Command::Get(get) = Cli::try_parse_from(all).unwrap().command else { panic!("not get") };
        *get
    }

    fn hop(arguments: &[&str]) -> (Wanted, Hop) {
        let get = get(arguments);
        let upload = Upload::of(&get);
        let wanted = Wanted::new(&get, upload.as_ref()).unwrap();
        let hop = Hop::first(&wanted, &Url::parse(&get.urls[0]).unwrap(), upload.as_ref());
        (wanted, hop)
    }

    fn head(arguments: &[&str]) -> Request<()> {
        let (wanted, hop) = hop(arguments);
        hop.head(&wanted, &Resumed::default(), None).unwrap()
    }

    #[test]
    fn the_method_follows_from_what_is_sent() {
        for (arguments, method) in [
            (&["https://h/"][..], "GET"),
            (&["https://h/", "-d", "x"], "POST"),
            (&["https://h/", "-T", "/x"], "PUT"),
            (&["https://h/", "-I"], "HEAD"),
            (&["https://h/", "-X", "DELETE", "-d", "x"], "DELETE"),
        ] {
            assert_eq!(head(arguments).method().as_str(), method, "{arguments:?}");
        }
        for wrong in
            [["-X", "a b"], ["-X", "CONNECT"], ["-H", "x"], ["-H", "a b: c"], ["-H", "a: b\nc: d"], ["-A", "a\nb"]]
        {
            let get = get(&["https://h/", wrong[0], wrong[1]]);
            assert!(Wanted::new(&get, None).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_replace_add_and_take_away() {
        let request = head(&[
            "https://h/",
            "-H",
            "Accept: text/html",
            "-H",
            "accept: a/b",
            "-H",
            "User-Agent:",
            "-H",
            "x;",
            "-H",
            "Host: other:1",
        ]);
        let accepted: Vec<_> = request.headers().get_all(ACCEPT).iter().collect();
        assert_eq!(accepted, ["text/html", "a/b"]);
        assert!(!request.headers().contains_key(USER_AGENT));
        assert_eq!(request.headers()["x"], "");
        assert_eq!(request.uri().to_string(), "https://other:1/");
    }

    #[test]
    fn credentials_are_basic_and_those_of_u_win() {
        let authorization = |arguments: &[&str]| head(arguments).headers()[AUTHORIZATION].clone();
        assert_eq!(authorization(&["https://a:b@h/"]), "Basic YTpi");
        assert_eq!(
            authorization(&["https://a:b@h/", "-u", "Aladdin:open sesame"]),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(authorization(&["https://h/", "-u", "a"]), "Basic YTo=");
    }

    #[test]
    fn another_server_is_told_no_secrets() {
        let (wanted, first) = hop(&["https://h/x", "-u", "a:b", "-H", "Cookie: c", "-H", "Host: v", "-H", "X-Kept: 1"]);
        let head = |hop: &Hop| hop.head(&wanted, &Resumed::default(), None).unwrap();
        let same = first.redirected(&wanted, StatusCode::FOUND, "/y").unwrap();
        assert!(head(&same).headers().contains_key(COOKIE) && head(&same).headers().contains_key(AUTHORIZATION));
        assert_eq!(head(&same).uri().to_string(), "https://v/y");
        let other = same.redirected(&wanted, StatusCode::FOUND, "https://other/").unwrap();
        let back = other.redirected(&wanted, StatusCode::FOUND, "https://h/").unwrap();
        for (hop, uri) in [(&other, "https://other/"), (&back, "https://h/")] {
            let head = head(hop);
            assert!(!head.headers().contains_key(COOKIE) && !head.headers().contains_key(AUTHORIZATION));
            assert_eq!((head.uri().to_string().as_str(), head.headers()["x-kept"].as_bytes()), (uri, &b"1"[..]));
        }
    }

    #[test]
    fn redirects_change_the_method_as_clients_do() {
        let after = |arguments: &[&str], status: u16| {
            let (wanted, hop) = hop(arguments);
            let next = hop.redirected(&wanted, StatusCode::from_u16(status).unwrap(), "/y").unwrap();
            (next.method.to_string(), next.upload.is_some())
        };
        let is = |method: &str, upload| (method.to_owned(), upload);
        for status in [301, 302, 303] {
            assert_eq!(after(&["https://h/", "-d", "x"], status), is("GET", false), "{status}");
        }
        for status in [307, 308] {
            assert_eq!(after(&["https://h/", "-d", "x"], status), is("POST", true), "{status}");
        }
        assert_eq!(after(&["https://h/", "-T", "/x"], 302), is("PUT", true));
        assert_eq!(after(&["https://h/", "-T", "/x"], 303), is("GET", false));
        assert_eq!(after(&["https://h/", "-I"], 303), is("HEAD", false));
        assert_eq!(after(&["https://h/", "-d", "x", "-X", "POST"], 302), is("POST", false));
        let (wanted, hop) = hop(&["https://h/", "-T", "-"]);
        assert_eq!(hop.redirected(&wanted, StatusCode::TEMPORARY_REDIRECT, "/y").unwrap_err().code, code::REWIND);
    }

    #[test]
    fn the_rest_is_asked_for_of_the_same_version() {
        let (wanted, hop) = hop(&["https://h/"]);
        let resumed = Resumed { from: 5, version: Some(HeaderValue::from_static("\"v\"")) };
        let request = hop.head(&wanted, &resumed, None).unwrap();
        assert_eq!(
            (&request.headers()[RANGE], &request.headers()[IF_RANGE]),
            (&HeaderValue::from_static("bytes=5-"), &HeaderValue::from_static("\"v\""))
        );
    }
}

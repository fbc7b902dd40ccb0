//! [`Head`]: the head of a request, from the command line.

use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, HeaderName, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::arguments::Asked;
use super::problem::Problem;
use super::url::Url;
use crate::error::Failure;
use crate::out;

const AGENT: &str = concat!("quicast/", env!("CARGO_PKG_VERSION"));
/// What belongs to a connection of HTTP/1.1 (RFC 9114 §4.2).
const CONNECTION_SPECIFIC: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// What the command line says of every request's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// `-H`; without a value it is taken away.
    lines: Vec<(HeaderName, Option<HeaderValue>)>,
    /// The host as `-H` calls it.
    host: Option<String>,
    /// What is there by itself.
    defaults: HeaderMap,
}

impl Head {
    /// From `-X` and `-H`; `method`: if nothing is said of it. `quiet`: nothing is said of what is left out.
    pub(crate) fn read(asked: &Asked, method: Method, quiet: bool) -> Result<Self, Failure> {
        let method = match &asked.request {
            Some(text) => Method::from_bytes(text.as_bytes())
                .map_err(|_| Failure::usage(format_args!("-X {text}: a method is a word, like DELETE")))?,
            None => method,
        };
        if method == Method::CONNECT {
            return Err(Failure::usage("-X CONNECT: a tunnel is not made here"));
        }
        let mut head = Self { method, lines: Vec::new(), host: None, defaults: HeaderMap::new() };
        head.set("-A", USER_AGENT, AGENT)?;
        head.set("-H", ACCEPT, "*/*")?;
        for line in &asked.header {
            head.line(line, quiet)?;
        }
        Ok(head)
    }

    /// A header that is there by itself, because this option says so; without a value it is not.
    pub(crate) fn set(&mut self, option: &str, name: HeaderName, text: &str) -> Result<(), Failure> {
        let value = HeaderValue::from_str(text)
            .map_err(|_| Failure::usage(format_args!("{option}: a header has no line ends and control characters")))?;
        if value.is_empty() {
            self.defaults.remove(name);
        } else {
            self.defaults.insert(name, value);
        }
        Ok(())
    }

    fn line(&mut self, line: &str, quiet: bool) -> Result<(), Failure> {
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
            if value.is_some() && !quiet {
                out::note(format_args!("warning: HTTP/3 has no header {name}; it is left out"));
            }
        } else if name == HOST {
            self.host = value.and_then(|value| value.to_str().ok().map(ToOwned::to_owned));
        } else {
            self.lines.push((name, value));
        }
        Ok(())
    }

    /// The head for this URL, with `more` headers of its own. A server that is not `trusted` is told no secrets, and keeps
    /// its name.
    pub(crate) fn make(&self, url: &Url, more: HeaderMap, trusted: bool) -> Result<Request<()>, Problem> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url.target(self.host.as_deref().filter(|_| trusted))?;
        let headers = request.headers_mut();
        headers.extend(self.defaults.clone());
        headers.extend(more);
        let mut seen: Vec<&HeaderName> = Vec::new();
        for (name, value) in &self.lines {
            if !trusted && [AUTHORIZATION, COOKIE].contains(name) {
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
}

/// The value of `Authorization` for `user:password` (RFC 7617).
pub(crate) fn basic(userinfo: &str) -> HeaderValue {
    let userinfo = if userinfo.contains(':') { userinfo.to_owned() } else { format!("{userinfo}:") };
    // Base64 is always a value.
    let value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(userinfo)));
    let mut value = value.unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Option<&str>, lines: &[&str]) -> Result<Head, Failure> {
        let header = lines.iter().map(|line| (*line).to_owned()).collect();
        let asked = Asked { header, request: method.map(ToOwned::to_owned), ..Asked::default() };
        Head::read(&asked, Method::GET, true)
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for method in ["a b", "", "CONNECT"] {
            assert!(read(Some(method), &[]).unwrap_err().to_string().starts_with("-X "), "{method}");
        }
        for line in ["x", "a b: c", "a: b\nc: d", ": x", ""] {
            assert!(read(None, &[line]).unwrap_err().to_string().contains("write 'Name: value'"), "{line}");
        }
        let mut head = read(Some("BREW"), &[]).unwrap();
        assert!(head.set("-A", USER_AGENT, "a\nb").unwrap_err().to_string().starts_with("-A"));
    }

    #[test]
    fn lines_replace_add_and_take_away() {
        let head = read(None, &["Accept: text/html", "accept: a/b", "x;", "Host: other:1", "Connection: close", "y:"]);
        let url = Url::parse("https://h/").unwrap();
        let more = || HeaderMap::from_iter([(HeaderName::from_static("y"), HeaderValue::from_static("1"))]);
        let mut head = head.unwrap();
        head.set("-A", USER_AGENT, "").unwrap();
        let request = head.make(&url, more(), true).unwrap();
        let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "x"]);
        let accepted: Vec<_> = request.headers().get_all(ACCEPT).iter().collect();
        assert_eq!(accepted, ["text/html", "a/b"]);
        assert_eq!(
            (&request.headers()["x"], request.uri().to_string().as_str()),
            (&HeaderValue::from_static(""), "https://other:1/")
        );
        assert_eq!(head.make(&url, more(), false).unwrap().uri(), "https://h/");
    }

    #[test]
    fn credentials_are_written_in_base64() {
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a"), "Basic YTo=");
        assert!(basic("a").is_sensitive());
    }
}

//! The head of a request, from the command line.

use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_RANGE, RANGE, REFERER, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::arguments::Get;
use crate::error::Failure;
use crate::request::head::{Head, basic};
use crate::request::problem::{Problem, code};
use crate::request::upload::Upload;
use crate::request::url::Url;

/// What the command line says of every request.
#[derive(Debug)]
pub(super) struct Wanted {
    head: Head,
    /// Whether the method was said, and is the same after a redirect.
    method_said: bool,
    user: Option<String>,
}

impl Wanted {
    pub(super) fn new(arguments: &Get, upload: Option<&Upload>) -> Result<Self, Failure> {
        let method = match upload {
            _ if arguments.head => Method::HEAD,
            _ if arguments.upload_file.is_some() => Method::PUT,
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut head = Head::read(&arguments.asked, method, arguments.silent)?;
        if let Some(agent) = &arguments.user_agent {
            head.set("-A", USER_AGENT, agent)?;
        }
        if let Some(referer) = &arguments.referer {
            head.set("-e", REFERER, referer)?;
        }
        if let Some(range) = &arguments.range {
            head.set("-r", RANGE, &format!("bytes={range}"))?;
        }
        if let Some(priority) = &arguments.priority {
            head.set("--priority", HeaderName::from_static("priority"), priority)?;
        }
        Ok(Self { head, method_said: arguments.asked.request.is_some(), user: arguments.user.clone() })
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
        Self { url: url.clone(), method: wanted.head.method.clone(), upload: upload.cloned(), trusted: true, userinfo }
    }

    /// The head; `length`: that of what is uploaded.
    pub(super) fn head(&self, wanted: &Wanted, resumed: &Resumed, length: Option<u64>) -> Result<Request<()>, Problem> {
        let mut more = HeaderMap::new();
        if let (Some(userinfo), true) = (&self.userinfo, self.trusted) {
            more.insert(AUTHORIZATION, basic(userinfo));
        }
        if resumed.from > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", resumed.from));
            // Digits are always a value.
            more.insert(RANGE, range.unwrap_or(HeaderValue::from_static("")));
            if let Some(version) = &resumed.version {
                more.insert(IF_RANGE, version.clone());
            }
        }
        if let Some(upload) = &self.upload {
            if let Some(length) = length {
                more.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            if let Some(content_type) = upload.content_type {
                more.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
        }
        let mut request = wanted.head.make(&self.url, more, self.trusted)?;
        *request.method_mut() = self.method.clone();
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

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;
    use clap::Parser as _;

    use super::super::uploaded;
    use super::*;
    use crate::cli::{Cli, Command};

    fn get(arguments: &[&str]) -> Get {
        let all = ["quicast", "get"].into_iter().chain(arguments.iter().copied());
        let Command::Get(get) = Cli::try_parse_from(all).unwrap().command else { panic!("not get") };
        *get
    }

    fn hop(arguments: &[&str]) -> (Wanted, Hop) {
        let get = get(arguments);
        let upload = uploaded(&get);
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
        for wrong in [["-X", "a b"], ["-H", "x"], ["-A", "a\nb"]] {
            let get = get(&["https://h/", wrong[0], wrong[1]]);
            assert!(Wanted::new(&get, None).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn options_are_headers_that_lines_replace() {
        let options = ["https://h/", "-A", "me", "-e", "https://there/", "-r", "0-4", "--priority", "u=1"];
        let names = ["user-agent", "referer", "range", "priority"];
        let said = head(&options);
        let said: Vec<_> = names.iter().map(|name| said.headers()[*name].to_str().unwrap()).collect();
        assert_eq!(said, ["me", "https://there/", "bytes=0-4", "u=1"]);
        let replaced = head(&[&options[..], &["-H", "Range: bytes=5-", "-H", "priority:"]].concat());
        assert_eq!(
            (&replaced.headers()[RANGE], replaced.headers().get("priority")),
            (&"bytes=5-".parse().unwrap(), None)
        );
        assert!(!head(&["https://h/", "-A", ""]).headers().contains_key(USER_AGENT));
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

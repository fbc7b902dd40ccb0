//! What is asked for: URLs become requests, and the servers that they go to.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::arguments::Load;
use crate::address::{Server, plain};
use crate::error::Failure;

/// What is sent with every request.
#[derive(Clone, Debug)]
pub(super) struct Message {
    method: Method,
    headers: HeaderMap,
    content: Content,
}

impl Message {
    /// From `-X`, `-H` and `-d`.
    pub(super) fn read(arguments: &Load) -> Result<Self, Failure> {
        let content = match &arguments.data {
            Some(data) => Content(self::data(data)?),
            None => Content(Bytes::new()),
        };
        let method = match (&arguments.method, &arguments.data) {
            (Some(method), _) => Method::from_bytes(method.as_bytes())
                .ok()
                .filter(|method| method != Method::CONNECT)
                .ok_or_else(|| Failure::usage(format_args!("-X {method}: not a method that asks for something")))?,
            (None, Some(_)) => Method::POST,
            (None, None) => Method::GET,
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("quicast/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if arguments.data.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(content.0.len()));
        }
        let mut given = HeaderMap::new();
        for text in &arguments.headers {
            let (name, value) = header(text)?;
            headers.remove(&name);
            if !value.is_empty() {
                given.append(name, value);
            }
        }
        headers.extend(given);
        Ok(Self { method, headers, content })
    }

    /// The request for this.
    pub(super) fn request(&self, uri: &Uri) -> Request<Content> {
        let mut request = Request::new(self.content.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn data(text: &str) -> Result<Bytes, Failure> {
    match text.strip_prefix('@') {
        None => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(file) => std::fs::read(Path::new(file))
            .map(Bytes::from)
            .map_err(|error| Failure::failed(format_args!("-d {text}: {}", plain(&error)))),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let read = || {
        let (name, value) = text.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    };
    read().ok_or_else(|| Failure::usage(format_args!("-H {text}: not a header; write 'Name: value'")))
}

/// The content of a request, which may be none.
#[derive(Clone, Debug)]
pub(super) struct Content(Bytes);

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let all = std::mem::take(&mut self.0);
        Poll::Ready((!all.is_empty()).then(|| Ok(Frame::data(all))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// A server, and what it is asked for in turns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    /// `HOST:PORT`, as addresses are looked up by.
    pub(super) place: String,
    pub(super) uris: Vec<Uri>,
}

/// The servers of these URLs, in the order in which they are first named.
pub(super) fn origins(urls: &[String]) -> Result<Vec<Origin>, Failure> {
    let mut origins: Vec<Origin> = Vec::new();
    for url in urls {
        let (place, uri) = read(url)?;
        match origins.iter_mut().find(|origin| origin.place == place) {
            Some(origin) => origin.uris.push(uri),
            None => origins.push(Origin { place, uris: vec![uri] }),
        }
    }
    Ok(origins)
}

fn read(url: &str) -> Result<(String, Uri), Failure> {
    let refused = |why: &str| Failure::usage(format_args!("{url}: {why}"));
    let without_fragment = url.split('#').next().unwrap_or_default();
    let uri: Uri = without_fragment
        .parse()
        .map_err(|error| refused(&format!("{error}; write https://localhost:4433/ (with %20 for a space)")))?;
    if uri.scheme_str() != Some("https") {
        return Err(refused("HTTP/3 is for https only; write https://HOST[:PORT]/PATH"));
    }
    let authority = uri.authority().ok_or_else(|| refused("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(refused("a name and a password do not belong into a URL; use -H 'Authorization: ...'"));
    }
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
    // The port that is left out is another's way to write 443; an empty or too large one is nobody's.
    if host.is_empty() || (authority.port().is_none() && authority.as_str() != host) {
        return Err(refused("not HOST or HOST:PORT"));
    }
    Ok((format!("{}:{port}", host.to_ascii_lowercase()), uri))
}

/// A `--resolve`: where a host is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resolve {
    place: String,
    address: SocketAddr,
}

impl Resolve {
    /// Reads `HOST:PORT:ADDRESS`; the host or the address may be `[::1]`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let read = || {
            let end_of_host = if text.starts_with('[') { text.find("]:")? + 1 } else { text.find(':')? };
            let (host, rest) = (text.get(..end_of_host)?, text.get(end_of_host + 1..)?);
            let (port, address) = rest.split_once(':')?;
            let port: u16 = port.parse().ok()?;
            let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
            let address: IpAddr = bare.parse().ok()?;
            let place = format!("{}:{port}", host.to_ascii_lowercase());
            (!host.is_empty()).then(|| Self { place, address: SocketAddr::new(address, port) })
        };
        read().ok_or_else(|| "write HOST:PORT:ADDRESS, as in example.org:443:127.0.0.1".to_owned())
    }
}

/// Where a server is: as `--resolve` says, or as the system does.
pub(super) async fn find(place: &str, resolve: &[Resolve]) -> Result<Server, Failure> {
    let given: Vec<SocketAddr> = resolve.iter().filter(|one| one.place == place).map(|one| one.address).collect();
    match crate::address::split(place) {
        Some((name, _)) if !given.is_empty() => Ok(Server { name: name.to_owned(), addresses: given }),
        _ => Server::find(place).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn message(arguments: &[&str]) -> Result<Message, Failure> {
        let all = [&["quicast", "load", "https://localhost/", "-n", "1"], arguments].concat();
        match Cli::try_parse_from(all).unwrap().command {
            Command::Load(arguments) => Message::read(&arguments),
            _ => unreachable!("it is `load`"),
        }
    }

    #[test]
    fn urls_are_grouped_by_their_server() {
        let urls = ["https://A.example/1", "https://b.example:4433/2?q#f", "https://a.example:443/3"];
        let found = origins(&urls.map(str::to_owned)).unwrap();
        let places: Vec<&str> = found.iter().map(|origin| origin.place.as_str()).collect();
        assert_eq!(places, ["a.example:443", "b.example:4433"]);
        assert_eq!(found[0].uris.len(), 2);
        assert_eq!(found[1].uris[0].path_and_query().unwrap(), "/2?q");
        assert_eq!(read("https://[::1]:4433/").unwrap().0, "[::1]:4433");
        for url in
            ["http://a/", "a/b", "https:///x", "https://u:p@a/", "https://a:/", "https://a:70000/", "https://a/ b"]
        {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_host_is_where_it_is_said_to_be() {
        let found = Resolve::read("Example.org:443:127.0.0.1").unwrap();
        assert_eq!((found.place.as_str(), found.address), ("example.org:443", "127.0.0.1:443".parse().unwrap()));
        assert_eq!(Resolve::read("[::2]:1:[::1]").unwrap().address, "[::1]:1".parse().unwrap());
        assert_eq!(Resolve::read("a:1:::1").unwrap().address, "[::1]:1".parse().unwrap());
        for text in ["", "a", "a:1", "a:x:127.0.0.1", "a:1:b", ":1:::1", "[::1:1:::1"] {
            assert!(Resolve::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_is_what_the_arguments_make_of_it() {
        let uri = Uri::from_static("https://localhost/");
        let plain = message(&[]).unwrap().request(&uri);
        assert_eq!((plain.method(), plain.headers().len()), (&Method::GET, 2));
        assert!(plain.body().is_end_stream());

        let posted = message(&["-d", "a=1", "-H", "Accept:", "-H", "x: 1", "-H", "x:2"]).unwrap().request(&uri);
        assert_eq!((posted.method(), posted.body().size_hint().exact()), (&Method::POST, Some(3)));
        assert_eq!((posted.headers().get(ACCEPT), &posted.headers()[CONTENT_LENGTH]), (None, &HeaderValue::from(3)));
        assert_eq!(posted.headers().get_all("x").iter().count(), 2);

        let put = message(&["-X", "PUT", "-d", "x", "-H", "content-type: text/plain"]).unwrap().request(&uri);
        assert_eq!(
            (put.method(), &put.headers()[CONTENT_TYPE]),
            (&Method::PUT, &HeaderValue::from_static("text/plain"))
        );
        assert!(message(&["-H", "no colon"]).is_err() && message(&["-X", "CONNECT"]).is_err());
        assert!(message(&["-d", "@/no/such/file"]).unwrap_err().to_string().contains("/no/such/file"));
    }
}

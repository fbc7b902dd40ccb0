//! What is asked for: the command line becomes requests, and the servers that they go to.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::arguments::Load;
use crate::address::Server;
use crate::error::Failure;
use crate::request::head::{Head, basic};
use crate::request::problem::Problem;
use crate::request::resolve::{Families, resolve};
use crate::request::upload::Upload;
use crate::request::url::Url;

/// More addresses of a server than this are not tried: one of each family.
const MOST_ADDRESSES: usize = 2;

/// The content of a request, which may be none.
#[derive(Clone, Debug, Default)]
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
#[derive(Debug)]
pub(super) struct Origin {
    /// A URL of it.
    pub(super) url: Url,
    pub(super) requests: Vec<Request<Content>>,
}

/// The servers of the URLs, in the order in which they are first named.
pub(super) async fn origins(arguments: &Load) -> Result<Vec<Origin>, Failure> {
    let urls: Result<Vec<Url>, Problem> = arguments.urls.iter().map(|url| Url::parse(url)).collect();
    let urls = urls.map_err(wrong)?;
    let upload = Upload::of(&arguments.asked);
    let method = if upload.is_some() { Method::POST } else { Method::GET };
    let head = Head::read(&arguments.asked, method, arguments.json)?;
    let mut more = HeaderMap::new();
    let mut content = Content::default();
    if let Some(upload) = upload {
        // Read once: what it costs to read a file is no matter of the server's.
        content = Content(upload.whole().await.map_err(failed)?);
        more.insert(CONTENT_LENGTH, HeaderValue::from(content.0.len()));
        if let Some(content_type) = upload.content_type {
            more.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
    }
    let mut origins: Vec<Origin> = Vec::new();
    for url in urls {
        let mut more = more.clone();
        if let Some(userinfo) = &url.userinfo {
            more.insert(AUTHORIZATION, basic(userinfo));
        }
        let request = head.make(&url, more, true).map_err(wrong)?.map(|()| content.clone());
        match origins.iter_mut().find(|origin| origin.url.same_origin(&url)) {
            Some(origin) => origin.requests.push(request),
            None => origins.push(Origin { url, requests: vec![request] }),
        }
    }
    Ok(origins)
}

/// The words are those of `get`, and the exit codes those of every other command.
fn wrong(problem: Problem) -> Failure {
    Failure::usage(problem.message)
}

fn failed(problem: Problem) -> Failure {
    Failure::failed(problem.message)
}

/// Where a server is: as `--resolve` says, or as the system does.
pub(super) async fn find(url: &Url, arguments: &Load) -> Result<Server, Failure> {
    let found = resolve(url, &arguments.asked.resolve, Families { v4: true, v6: true }).await;
    let mut addresses = found.map_err(failed)?;
    addresses.truncate(MOST_ADDRESSES);
    Ok(Server { name: url.host.clone(), addresses })
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    async fn origins(arguments: &[&str]) -> Result<Vec<Origin>, Failure> {
        let all = [&["quicast", "load", "-n", "1"], arguments].concat();
        match Cli::try_parse_from(all).unwrap().command {
            Command::Load(arguments) => super::origins(&arguments).await,
            _ => unreachable!("it is `load`"),
        }
    }

    async fn request(arguments: &[&str]) -> Request<Content> {
        let all = [&["https://localhost/"], arguments].concat();
        origins(&all).await.unwrap().remove(0).requests.remove(0)
    }

    #[tokio::test]
    async fn urls_are_grouped_by_their_server() {
        let urls = ["https://A.example/1", "b.example:4433/2?q#f", "https://a.example:443/3"];
        let found = origins(&urls).await.unwrap();
        let places: Vec<String> = found.iter().map(|origin| origin.url.authority()).collect();
        assert_eq!(places, ["a.example", "b.example:4433"]);
        let uris: Vec<String> = found[0].requests.iter().map(|request| request.uri().to_string()).collect();
        assert_eq!(uris, ["https://a.example/1", "https://a.example/3"]);
        assert_eq!(found[1].requests[0].uri(), "https://b.example:4433/2?q");
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_in_the_words_of_get() {
        for (arguments, words) in [
            (&["http://a/"][..], "HTTP/3 is always encrypted; write https://a/"),
            (&["https:///x"], "the host is missing"),
            (&["https://a:70000/"], "the port is a number from 1 to 65535"),
            (&["https://a/ b"], "write %20"),
            (&["https://a/", "-H", "no colon"], "write 'Name: value'"),
            (&["https://a/", "-X", "CONNECT"], "a tunnel is not made here"),
            (&["https://a/", "-d", "@/no/such/file"], "/no/such/file: no such file"),
        ] {
            let error = origins(arguments).await.unwrap_err().to_string();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_request_is_what_the_arguments_make_of_it() {
        let plain = request(&[]).await;
        assert_eq!((plain.method(), plain.headers().len()), (&Method::GET, 2));
        assert!(plain.body().is_end_stream());

        let posted = request(&["-d", "a=1", "-d", "b=2", "-H", "Accept:", "-H", "x: 1", "-H", "x:2"]).await;
        assert_eq!((posted.method(), posted.body().size_hint().exact()), (&Method::POST, Some(7)));
        assert_eq!((posted.headers().get(ACCEPT), &posted.headers()[CONTENT_LENGTH]), (None, &HeaderValue::from(7)));
        assert_eq!(posted.headers().get_all("x").iter().count(), 2);

        let put = request(&["-X", "PUT", "-d", "x", "-H", "content-type: text/plain"]).await;
        assert_eq!(
            (put.method(), &put.headers()[CONTENT_TYPE]),
            (&Method::PUT, &HeaderValue::from_static("text/plain"))
        );
        let known = origins(&["https://a:b@localhost/"]).await.unwrap();
        assert_eq!(known[0].requests[0].headers()[AUTHORIZATION], "Basic YTpi");
        assert_eq!(known[0].requests[0].uri(), "https://localhost/");
    }

    #[tokio::test]
    async fn a_host_is_where_it_is_said_to_be() {
        let all =
            ["quicast", "load", "-n", "1", "https://Example.org/", "--resolve", "example.org:443:127.0.0.1,[::1]"];
        let Command::Load(arguments) = Cli::try_parse_from(all).unwrap().command else { panic!("not load") };
        let origin = super::origins(&arguments).await.unwrap().remove(0);
        let found = find(&origin.url, &arguments).await.unwrap();
        assert_eq!((found.name.as_str(), found.addresses.len()), ("example.org", 2));
    }
}

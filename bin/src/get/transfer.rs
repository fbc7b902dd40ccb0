//! One URL from its first request to the last byte of its answer, through redirects and further tries.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, HttpBody as _};
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use quicast::http3::{Error, Interim, OnInterim, RecvBody};
use tokio::sync::watch;

use super::arguments::{Get, Offset};
use super::connections::{Connections, Held, Lent};
use super::meter::Meter;
use super::report::Report;
use super::request::{Hop, Resumed, Wanted};
use super::resume;
use super::save::{Sink, Target};
use super::sent::Sent;
use super::verbose::{Verbose, text};
use crate::out;
use crate::request::problem::{Problem, code};
use crate::request::upload::Upload;
use crate::request::url::Url;
use crate::units;

/// The first pause of `--retry`; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What all transfers share.
pub(super) struct Session<'a> {
    pub(super) arguments: &'a Get,
    pub(super) wanted: Wanted,
    pub(super) upload: Option<Upload>,
    pub(super) connections: Connections<'a>,
    pub(super) verbose: Verbose,
    pub(super) meter: Arc<Meter>,
    /// Becomes true when the user does not want to wait any more.
    pub(super) interrupted: watch::Receiver<bool>,
}

/// One URL, and where it goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) plan: Result<(Url, Target), Problem>,
}

/// Does it. What became of it is in the report, and nowhere else.
pub(super) async fn run(session: &Session<'_>, job: &Job) -> Report {
    let began = Instant::now();
    let mut report =
        Report { url: job.text.clone(), url_effective: job.text.clone(), number: job.number, ..Report::default() };
    let ended = match &job.plan {
        Err(problem) => Err(problem.clone()),
        Ok((url, target)) => save(session, url, target, &mut report).await,
    };
    report.total = began.elapsed();
    report.problem = ended.err();
    report
}

async fn save(session: &Session<'_>, url: &Url, target: &Target, report: &mut Report) -> Result<(), Problem> {
    let mut sink = Sink::new(target.clone(), session.arguments.create_dirs);
    report.file = target.path().map(ToOwned::to_owned);
    let ended = tries(session, url, &mut sink, report).await;
    let flushed = sink.flush().await;
    if let Some(file) = target.path() {
        match (&ended, resume::validator(&report.headers)) {
            (Ok(()), _) => resume::forget(file, url).await,
            (Err(_), Some(version)) if sink.written() > 0 && session.arguments.range.is_none() => {
                resume::keep(file, url, &version).await;
            }
            _ => {}
        }
    }
    ended.and(flushed)
}

/// As often as `--retry` says.
async fn tries(session: &Session<'_>, url: &Url, sink: &mut Sink, report: &mut Report) -> Result<(), Problem> {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut interrupted = session.interrupted.clone();
        let ended = tokio::select! {
            biased;
            _ = interrupted.wait_for(|interrupted| *interrupted) => return Err(Problem::interrupted()),
            ended = in_time(session, url, sink, report) => ended,
        };
        let Err(problem) = ended else { return Ok(()) };
        let refused = problem.code == code::CONNECT && session.arguments.retry_connrefused;
        let after = match problem.passing {
            Some(after) => after,
            None if refused => None,
            None => return Err(problem),
        };
        let again = session.upload.as_ref().is_none_or(Upload::can_begin_again);
        if report.retries >= session.arguments.retry || !again {
            return Err(problem);
        }
        report.retries += 1;
        let wait = session.arguments.retry_delay.or(after).unwrap_or(pause).min(LONGEST_PAUSE);
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !session.arguments.silent {
            let left = session.arguments.retry - report.retries;
            let words =
                format!("warning: {url}: {}; again in {}, {left} more after that", problem.message, units::time(wait));
            out::note(words.replace(char::is_control, " "));
        }
        tokio::select! {
            biased;
            _ = interrupted.wait_for(|interrupted| *interrupted) => return Err(Problem::interrupted()),
            () = tokio::time::sleep(wait) => {}
        }
        sink.begin_again().await?;
    }
}

async fn in_time(session: &Session<'_>, url: &Url, sink: &mut Sink, report: &mut Report) -> Result<(), Problem> {
    let Some(limit) = session.arguments.max_time else { return attempt(session, url, sink, report).await };
    let ended = tokio::time::timeout(limit, attempt(session, url, sink, report)).await;
    ended.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f64();
        let message = format!("time is up after {seconds} s (-m), {} bytes have come", report.bytes_down);
        Err(Problem::new(code::TIMEOUT, message))
    })
}

/// An answer, and what it came with.
struct Answer {
    response: Response<RecvBody>,
    sent: Arc<Sent>,
    held: Arc<Held>,
}

async fn attempt(session: &Session<'_>, url: &Url, sink: &mut Sink, report: &mut Report) -> Result<(), Problem> {
    let began = Instant::now();
    report.bytes_down = 0;
    report.redirects = 0;
    let resumed = resumed(session, url, sink).await?;
    let mut hop = Hop::first(&session.wanted, url, session.upload.as_ref());
    loop {
        let answer = exchange(session, &hop, &resumed, report, began).await?;
        report.first_byte = began.elapsed();
        let (status, headers) = (answer.response.status(), answer.response.headers());
        report.status = Some(status);
        report.headers.clone_from(headers);
        report.header_bytes = heads(&answer.response).len() as u64;
        report.url_effective = hop.url.to_string();
        report.method = hop.method.clone();
        report.redirect_url.clear();
        if let Some(next) = redirect(session, &hop, status, headers, report)? {
            if session.arguments.include || session.arguments.head {
                sink.write(&heads(&answer.response)).await?;
            }
            session.verbose.fact(format_args!("following the redirect to {}", next.url));
            hop = next;
            continue;
        }
        return receive(session, &hop, answer, &resumed, sink, report).await;
    }
}

/// Where the file goes on, if it does.
async fn resumed(session: &Session<'_>, url: &Url, sink: &mut Sink) -> Result<Resumed, Problem> {
    let resumed = match session.arguments.continue_at {
        None => Resumed::default(),
        Some(Offset::Byte(from)) => Resumed { from, version: None },
        Some(Offset::End) => {
            let from = sink.length().await?;
            let version = match sink.target().path() {
                Some(file) if from > 0 => resume::kept(file, url).await,
                _ => None,
            };
            Resumed { from, version }
        }
    };
    sink.start_at(resumed.from);
    Ok(resumed)
}

/// A request and the head of its answer; once more, if nothing was done with it.
async fn exchange(
    session: &Session<'_>,
    hop: &Hop,
    resumed: &Resumed,
    report: &mut Report,
    began: Instant,
) -> Result<Answer, Problem> {
    let mut again = true;
    loop {
        let lent = session.connections.to(&hop.url).await?;
        borrowed(session, &lent, report);
        let length = match &hop.upload {
            Some(upload) => upload.length().await?,
            None => Some(0),
        };
        let head = hop.head(&session.wanted, resumed, length)?;
        let sent = Sent::new(&session.meter);
        session.meter.expect(length.unwrap_or(0));
        session.verbose.request(&head);
        let body = hop.upload.as_ref().map_or_else(Body::empty, |upload| sent.body(upload));
        report.uploads.push(sent.clone());
        report.request_sent = began.elapsed();
        let (mut parts, ()) = head.into_parts();
        if session.arguments.verbose {
            let verbose = session.verbose;
            parts.extensions.insert(OnInterim::new(move |interim| verbose.response(interim)));
        }
        let answered = tokio::select! {
            biased;
            problem = sent.failed() => return Err(problem),
            answered = lent.held.requests.send(Request::from_parts(parts, body)) => answered,
        };
        let error = match answered {
            Ok(response) => {
                session.verbose.response(&response);
                return Ok(Answer { response, sent, held: lent.held });
            }
            Err(error) => error,
        };
        // A connection that nobody used for a while may be gone without anybody's fault.
        let went_stale = lent.reused && matches!(error, Error::Connection(_)) && hop.method.is_safe();
        let may_be_retried = error.may_be_retried() || went_stale;
        let can_begin_again = hop.upload.as_ref().is_none_or(Upload::can_begin_again);
        if !(may_be_retried && can_begin_again && std::mem::take(&mut again)) {
            return Err(Problem::of_exchange(&error));
        }
        report.repeated += 1;
        session.verbose.fact(format_args!("{error}: making the request once more"));
    }
}

/// What is to be told of the connection.
fn borrowed(session: &Session<'_>, lent: &Lent, report: &mut Report) {
    let connection = lent.held.requests.connection();
    session.meter.over(connection);
    report.lost_before = if lent.reused { connection.stats().totals.packets_lost } else { 0 };
    report.connection = Some(connection.clone());
    report.key_updated = lent.held.key_updated;
    if !lent.reused {
        report.connections += 1;
        report.name_lookup = lent.held.name_lookup;
        report.handshake = lent.held.handshake;
    }
}

/// The next request, if the answer is a redirect that is to be followed.
fn redirect(
    session: &Session<'_>,
    hop: &Hop,
    status: StatusCode,
    headers: &HeaderMap,
    report: &mut Report,
) -> Result<Option<Hop>, Problem> {
    let leads_elsewhere = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = headers.get(LOCATION).filter(|_| leads_elsewhere) else { return Ok(None) };
    if !session.arguments.location {
        report.redirect_url = hop.url.join(&text(location)).map_or_else(|_| text(location), |url| url.to_string());
        return Ok(None);
    }
    if report.redirects >= session.arguments.max_redirs {
        return Err(Problem::new(
            code::REDIRECTS,
            format_args!("{}: more than {} redirects (--max-redirs)", hop.url, session.arguments.max_redirs),
        ));
    }
    report.redirects += 1;
    hop.redirected(&session.wanted, status, &text(location)).map(Some)
}

/// The content, to where it belongs.
async fn receive(
    session: &Session<'_>,
    hop: &Hop,
    answer: Answer,
    resumed: &Resumed,
    sink: &mut Sink,
    report: &mut Report,
) -> Result<(), Problem> {
    let Answer { response, sent, held } = answer;
    let (status, arguments) = (response.status(), session.arguments);
    if is_passing(status) && report.retries < arguments.retry {
        return Err(Problem::passing(status, retry_after(response.headers())));
    }
    if resumed.from > 0 && resume::is_whole(&response, resumed, sink)? {
        session.verbose.fact("the file is complete already");
        return Ok(());
    }
    let failed = status.as_u16() >= 400;
    if failed && arguments.fail {
        return Err(Problem::status(status));
    }
    if arguments.include || arguments.head {
        sink.write(&heads(&response)).await?;
    }
    let mut body = response.into_body();
    if hop.method != Method::HEAD {
        session.meter.expect(body.size_hint().exact().unwrap_or(0));
    }
    loop {
        let next = tokio::select! {
            biased;
            problem = sent.failed() => return Err(problem),
            next = poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => next,
        };
        let Some(frame) = next else { break };
        match frame.map_err(|error| Problem::of_exchange(&error))?.into_data() {
            Ok(data) => {
                report.bytes_down += data.len() as u64;
                session.meter.moved(data.len() as u64);
                sink.write(&data).await?;
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    session.verbose.trailers(&trailers);
                }
            }
        }
    }
    sink.finish().await?;
    session.verbose.end(held.requests.connection());
    if failed && arguments.fail_with_body { Err(Problem::status(status)) } else { Ok(()) }
}

/// The heads of an answer as `-i` shows them.
fn heads<B>(response: &Response<B>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(Interim(interim)) = response.extensions().get() {
        interim.iter().for_each(|interim| head(interim.status(), interim.headers(), &mut bytes));
    }
    head(response.status(), response.headers(), &mut bytes);
    bytes
}

fn head(status: StatusCode, headers: &HeaderMap, into: &mut Vec<u8>) {
    into.extend_from_slice(format!("HTTP/3 {} \r\n", status.as_u16()).as_bytes());
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            into.extend_from_slice(part);
        }
    }
    into.extend_from_slice(b"\r\n");
}

/// The answers that `--retry` is for.
const fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Seconds or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers.get(RETRY_AFTER)?);
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(&value).ok()?.duration_since(SystemTime::now()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_again_in_seconds_or_with_a_date() {
        let after = |value: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(after(&later).is_some_and(|wait| wait > Duration::from_secs(90) && wait <= Duration::from_secs(100)));
        assert_eq!(after("soon"), None);
    }
}

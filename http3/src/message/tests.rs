//! Messages: what is accepted and how it looks, and a table of what is malformed.

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use proptest::prelude::*;

use super::*;
use crate::error::Code;
use crate::qpack::{Field, FieldRef};

/// One line each: `name: value`, or `name` and nothing.
fn fields(lines: &[(&str, &str)]) -> Vec<Field> {
    lines.iter().map(|(name, value)| Field::new(name.to_string(), value.to_string())).collect()
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/x?y=1")];
const CONNECT: [(&str, &str); 2] = [(":method", "CONNECT"), (":authority", "a.example:443")];
const EXTENDED: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":authority", "a.example"),
    (":path", "/chat"),
];

fn with<'a>(base: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [base, more].concat()
}

/// The base with one value replaced, or the line removed.
fn but<'a>(base: &[(&'a str, &'a str)], name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    base.iter()
        .filter_map(|(key, old)| if *key == name { value.map(|new| (*key, new)) } else { Some((*key, *old)) })
        .collect()
}

fn request(lines: &[(&str, &str)]) -> Result<RequestHead, StreamError> {
    decode_request(fields(lines), true)
}

fn response(lines: &[(&str, &str)], asked: Asked) -> Result<ResponseHead, StreamError> {
    decode_response(fields(lines), asked)
}

#[track_caller]
fn malformed_request(lines: &[(&str, &str)]) {
    let error = request(lines).expect_err(&format!("{lines:?}"));
    assert_eq!(error.code, Code::H3_MESSAGE_ERROR, "{lines:?}");
}

#[track_caller]
fn malformed_response(lines: &[(&str, &str)]) {
    let error = response(lines, Asked::Ordinary).expect_err(&format!("{lines:?}"));
    assert_eq!(error.code, Code::H3_MESSAGE_ERROR, "{lines:?}");
}

#[test]
fn a_request_is_read() {
    let RequestHead { head, content } =
        request(&with(&GET, &[("accept", "*/*"), ("x-a", ""), ("accept", "b")])).unwrap();
    assert_eq!(head.method(), Method::GET);
    assert_eq!(head.uri(), &Uri::from_static("https://a.example/x?y=1"));
    assert_eq!(head.version(), Version::HTTP_3);
    assert_eq!(head.headers().get_all("accept").iter().collect::<Vec<_>>(), ["*/*", "b"]);
    assert_eq!(head.headers()["x-a"], "");
    assert_eq!(content, Content::Any);
}

#[test]
fn values_are_not_copied() {
    let value = Bytes::from(b"some value".to_vec());
    let path = Bytes::from(b"/a/path".to_vec());
    let mut lines = fields(&but(&GET, ":path", None));
    lines.push(Field::new(":path", path.clone()));
    lines.push(Field::new("x-a", value.clone()));
    let head = decode_request(lines, false).unwrap().head;
    assert_eq!(head.headers()["x-a"].as_bytes().as_ptr(), value.as_ptr());
    assert_eq!(head.uri().path().as_ptr(), path.as_ptr());
}

#[test]
fn sensitive_lines_stay_sensitive_both_ways() {
    let mut lines = fields(&GET);
    lines.push(Field { sensitive: true, ..Field::new("authorization", "secret") });
    lines.push(Field::new("cookie", "a=1"));
    lines.push(Field { sensitive: true, ..Field::new("cookie", "b=2") });
    let head = decode_request(lines, false).unwrap().head;
    assert!(head.headers()["authorization"].is_sensitive() && head.headers()["cookie"].is_sensitive());
    let sensitive: Vec<&[u8]> =
        request_lines(&head).unwrap().iter().filter(|line| line.sensitive).map(|line| line.name).collect();
    assert_eq!(sensitive, [&b"authorization"[..], b"cookie"]);
}

#[test]
fn cookie_crumbs_are_joined() {
    let head =
        request(&with(&GET, &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")])).unwrap().head;
    assert_eq!(head.headers().get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    let head = request(&with(&GET, &[("cookie", "a=1")])).unwrap().head;
    assert_eq!(head.headers()["cookie"], "a=1");
}

#[test]
fn pseudo_header_fields_are_judged() {
    // h3spec: duplicated, absent, prohibited, after a regular field.
    for (name, value) in GET {
        malformed_request(&with(&GET, &[(name, value)]));
        malformed_request(&but(&GET, name, None));
        let late = with(&with(&but(&GET, name, None), &[("accept", "x")]), &[(name, value)]);
        malformed_request(&late);
    }
    for name in [":foo", ":autority", ":status", ":", ":Method"] {
        malformed_request(&with(&GET, &[(name, "x")]));
    }
    malformed_request(&with(&[("cookie", "a=1")], &GET));
    malformed_request(&[]);
}

#[test]
fn methods_schemes_and_paths_are_judged() {
    for method in ["", "GE T", "GET\0", "G\u{e9}T"] {
        malformed_request(&but(&GET, ":method", Some(method)));
    }
    for method in ["get", "M-SEARCH", "A-METHOD-THAT-IS-RATHER-LONG"] {
        assert_eq!(request(&but(&GET, ":method", Some(method))).unwrap().head.method().as_str(), method);
    }
    for scheme in ["", "1http", "ht tp", "http:", "h\u{e9}"] {
        malformed_request(&but(&GET, ":scheme", Some(scheme)));
    }
    assert_eq!(request(&but(&GET, ":scheme", Some("HTTPS"))).unwrap().head.uri().scheme(), Some(&Scheme::HTTPS));
    for path in ["", "x", "*", "/a b", "/a#b", "/\u{e9}", "/\0", "/\x7f", "/a\r\nhost: b", "/a\tb", "?a"] {
        malformed_request(&but(&GET, ":path", Some(path)));
    }
    for path in ["/", "/?", "//x", "/a?b?c", "/%00", "/|{}\"", "/a;b=c,d"] {
        let head = request(&but(&GET, ":path", Some(path))).unwrap().head;
        assert_eq!(head.uri().path_and_query().unwrap().as_str(), path);
    }
    let options = but(&but(&GET, ":method", Some("OPTIONS")), ":path", Some("*"));
    assert_eq!(request(&options).unwrap().head.uri().path(), "*");
}

#[test]
fn an_authority_is_needed_and_says_one_thing() {
    let bare = but(&GET, ":authority", None);
    for authority in
        ["", "user@a.example", "a b", "a/b", "a.example:x", "a.example:99999", ":443", "[::1", "[::1]x", "a:1:2"]
    {
        malformed_request(&but(&GET, ":authority", Some(authority)));
        malformed_request(&with(&bare, &[("host", authority)]));
    }
    malformed_request(&with(&GET, &[("host", "b.example")]));
    malformed_request(&with(&GET, &[("host", "")]));
    malformed_request(&with(&GET, &[("host", "a.example"), ("host", "a.example")]));
    malformed_request(&with(&bare, &[("host", "a.example"), ("host", "b.example")]));
    let head = request(&with(&GET, &[("host", "a.example")])).unwrap().head;
    assert_eq!(head.uri().authority().unwrap(), "a.example");
    let head = request(&with(&bare, &[("host", "b.example:8443")])).unwrap().head;
    assert_eq!(head.uri().authority().unwrap(), "b.example:8443");
    let head = request(&but(&GET, ":authority", Some("[::1]:443"))).unwrap().head;
    assert_eq!(head.uri().port_u16(), Some(443));
}

#[test]
fn schemes_without_authority_are_kept_beside_the_target() {
    let urn = [(":method", "GET"), (":scheme", "urn"), (":path", "/isbn")];
    let head = request(&urn).unwrap().head;
    assert_eq!(head.uri(), "/isbn");
    assert_eq!(head.extensions().get::<Scheme>().unwrap().as_str(), "urn");
    let head = request(&with(&urn, &[(":authority", "user@x")])).unwrap().head;
    assert_eq!(head.uri(), "urn://user@x/isbn");
    assert_eq!(request(&but(&urn, ":path", Some(""))).unwrap().head.uri().path(), "/");
}

#[test]
fn connect_has_an_authority_and_nothing_else() {
    let head = request(&CONNECT).unwrap().head;
    assert_eq!((head.method(), head.uri().to_string().as_str()), (&Method::CONNECT, "a.example:443"));
    assert_eq!(head.extensions().get::<Protocol>(), None);
    malformed_request(&with(&CONNECT, &[(":scheme", "https")]));
    malformed_request(&with(&CONNECT, &[(":path", "/")]));
    malformed_request(&but(&CONNECT, ":authority", None));
    malformed_request(&with(&but(&CONNECT, ":authority", None), &[("host", "a.example:443")]));
    for authority in ["", "a.example", "a.example:", "a.example:99999", "user@a.example:443"] {
        malformed_request(&but(&CONNECT, ":authority", Some(authority)));
    }
    malformed_request(&with(&CONNECT, &[("content-length", "0")]));
    malformed_request(&with(&CONNECT, &[("host", "b.example:443")]));
}

#[test]
fn extended_connect_needs_everything_and_leave() {
    let head = request(&EXTENDED).unwrap().head;
    assert_eq!(head.extensions().get::<Protocol>(), Some(&Protocol::WEBSOCKET));
    assert_eq!(head.uri(), "https://a.example/chat");
    for (name, _) in EXTENDED {
        if name != ":protocol" {
            malformed_request(&but(&EXTENDED, name, None));
        }
    }
    malformed_request(&with(&but(&EXTENDED, ":authority", None), &[("host", "a.example")]));
    malformed_request(&but(&EXTENDED, ":method", Some("GET")));
    malformed_request(&but(&EXTENDED, ":protocol", Some("")));
    malformed_request(&but(&EXTENDED, ":protocol", Some("web socket")));
    malformed_request(&with(&EXTENDED, &[(":protocol", "websocket")]));
    // Without our leave it is a field that requests do not have.
    let error = decode_request(fields(&EXTENDED), false).unwrap_err();
    assert_eq!(error.code, Code::H3_MESSAGE_ERROR);
}

#[test]
fn names_and_values_are_judged_in_every_section() {
    let names = ["Accept", "", "a b", "a:b", "a\0", "a\r", "\u{e9}", "x\n", "a\x7f", "(a)"];
    let values = ["\r", "a\nb", "\0", " a", "a ", "\ta", "a\t", " ", "a\x01", "\x7f"];
    let forbidden = [
        ("connection", "close"),
        ("keep-alive", "5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ];
    let lines = names.map(|name| (name, "x")).into_iter().chain(values.map(|value| ("x-a", value))).chain(forbidden);
    for line in lines {
        malformed_request(&with(&GET, &[line]));
        malformed_request(&with(&GET, &[("cookie", line.1), line]));
        malformed_response(&[(":status", "200"), line]);
        assert_eq!(decode_trailers(fields(&[line])).unwrap_err().code, Code::H3_MESSAGE_ERROR, "{line:?}");
    }
    malformed_request(&with(&GET, &[("cookie", "a\r\nb")]));
    for value in ["", "a\tb", "a b", "\u{e9}", "\"quoted\""] {
        assert_eq!(request(&with(&GET, &[("x-a", value)])).unwrap().head.headers()["x-a"].as_bytes(), value.as_bytes());
        assert_eq!(decode_trailers(fields(&[("x-a", value)])).unwrap()["x-a"].as_bytes(), value.as_bytes());
    }
}

#[test]
fn te_says_trailers_or_nothing() {
    assert_eq!(request(&with(&GET, &[("te", "trailers")])).unwrap().head.headers()["te"], "trailers");
    for value in ["", "gzip", "trailers, gzip", "trailers;q=1"] {
        malformed_request(&with(&GET, &[("te", value)]));
    }
    malformed_response(&[(":status", "200"), ("te", "trailers")]);
    assert!(decode_trailers(fields(&[("te", "trailers")])).is_err());
}

#[test]
fn trailers_have_no_pseudo_header_fields_and_no_framing() {
    for line in [(":status", "200"), (":path", "/"), (":x", ""), ("content-length", "3"), ("host", "a")] {
        assert_eq!(decode_trailers(fields(&[line])).unwrap_err().code, Code::H3_MESSAGE_ERROR, "{line:?}");
    }
    let trailers = decode_trailers(fields(&[("x-sum", "1"), ("x-sum", "2")])).unwrap();
    assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn content_length_is_one_number() {
    for value in ["", "-1", "+1", "1,1", "1 1", "0x1", "1.0", "18446744073709551616", "\u{661}"] {
        malformed_request(&with(&GET, &[("content-length", value)]));
        malformed_response(&[(":status", "200"), ("content-length", value)]);
    }
    malformed_request(&with(&GET, &[("content-length", "5"), ("content-length", "6")]));
    malformed_request(&with(&GET, &[("content-length", "5"), ("content-length", "5")]));
    malformed_response(&[(":status", "200"), ("content-length", "5"), ("content-length", "5")]);
    for (value, number) in [("0", 0), ("007", 7), ("18446744073709551615", u64::MAX)] {
        assert_eq!(request(&with(&GET, &[("content-length", value)])).unwrap().content, Content::Exactly(number));
    }
}

#[test]
fn content_is_as_long_as_it_says() {
    let mut content = Content::Exactly(5);
    assert_eq!((content.received(3), content.received(2), content.finished()), (Ok(()), Ok(()), Ok(())));
    assert_eq!(content.received(1).unwrap_err().code, Code::H3_MESSAGE_ERROR);
    let mut content = Content::Exactly(5);
    assert!(content.received(4).is_ok() && content.finished().is_err());
    assert!(content.received(u64::MAX).is_err());
    let mut content = Content::Never;
    assert!(content.received(0).is_ok() && content.finished().is_ok());
    assert_eq!(content.received(1).unwrap_err().code, Code::H3_MESSAGE_ERROR);
    let mut content = Content::Any;
    assert!(content.received(u64::MAX).is_ok() && content.received(u64::MAX).is_ok() && content.finished().is_ok());
}

#[test]
fn responses_have_a_status() {
    let ResponseHead { head, content, tunnel } = response(&[(":status", "404"), ("x", "y")], Asked::Ordinary).unwrap();
    assert_eq!(
        (head.status(), head.version(), content, tunnel),
        (StatusCode::NOT_FOUND, Version::HTTP_3, Content::Any, false)
    );
    for status in ["", "20", "2000", "abc", "099", "000", "-20", "20 ", "2\u{b2}", "101"] {
        malformed_response(&[(":status", status)]);
    }
    malformed_response(&[]);
    malformed_response(&[("x", "y")]);
    malformed_response(&[("x", "y"), (":status", "200")]);
    malformed_response(&[(":status", "200"), (":status", "200")]);
    for name in [":method", ":path", ":scheme", ":authority", ":foo"] {
        malformed_response(&[(":status", "200"), (name, "x")]);
    }
    // Codes that nobody has defined are responses.
    for status in ["299", "599", "999"] {
        assert!(response(&[(":status", status)], Asked::Ordinary).is_ok());
    }
}

#[test]
fn how_much_content_a_response_has() {
    let of = |status: &'static str, length: Option<&'static str>, asked| {
        let mut lines = vec![(":status", status)];
        lines.extend(length.map(|length| ("content-length", length)));
        response(&lines, asked).map(|head| head.content).map_err(|error| error.code)
    };
    assert_eq!(of("200", Some("5"), Asked::Ordinary), Ok(Content::Exactly(5)));
    assert_eq!(of("200", None, Asked::Ordinary), Ok(Content::Any));
    assert_eq!(of("200", Some("5"), Asked::Head), Ok(Content::Never));
    assert_eq!(of("304", Some("5"), Asked::Ordinary), Ok(Content::Never));
    assert_eq!(of("204", None, Asked::Ordinary), Ok(Content::Never));
    assert_eq!(of("204", Some("0"), Asked::Ordinary), Ok(Content::Never));
    assert_eq!(of("204", Some("5"), Asked::Ordinary), Err(Code::H3_MESSAGE_ERROR));
    assert_eq!(of("103", Some("0"), Asked::Ordinary), Err(Code::H3_MESSAGE_ERROR));
    assert_eq!(of("200", Some("5"), Asked::Connect), Ok(Content::Any));
    assert_eq!(of("407", Some("5"), Asked::Connect), Ok(Content::Exactly(5)));
    let connected = response(&[(":status", "200"), ("content-length", "5")], Asked::Connect).unwrap();
    assert!(connected.tunnel && connected.head.headers().is_empty(), "what is to be ignored is not shown");
    assert!(!response(&[(":status", "407")], Asked::Connect).unwrap().tunnel);
}

#[test]
fn capsules_go_without_content() {
    let capsules = ("capsule-protocol", "?1");
    assert!(has_capsules(request(&with(&EXTENDED, &[capsules])).unwrap().head.headers()));
    assert!(has_capsules(request(&with(&EXTENDED, &[("capsule-protocol", "?1;a=b")])).unwrap().head.headers()));
    malformed_request(&with(&EXTENDED, &[capsules, ("content-type", "text/plain")]));
    for status in ["204", "205", "206"] {
        assert!(response(&[(":status", status), capsules], Asked::Connect).is_err());
        assert!(response(&[(":status", status), ("capsule-protocol", "?0")], Asked::Connect).is_ok());
    }
    assert!(response(&[(":status", "200"), capsules], Asked::Connect).is_ok());
    assert!(response(&[(":status", "200"), capsules, ("content-length", "0")], Asked::Connect).is_err());
    // Without a tunnel it means nothing, and said twice it is no boolean.
    assert!(response(&[(":status", "206"), capsules], Asked::Ordinary).is_ok());
    assert!(request(&with(&EXTENDED, &[capsules, capsules, ("content-type", "x")])).is_ok());
}

fn written(lines: Lines<'_>) -> Vec<(String, String)> {
    lines.iter().map(|line| (text(line.name), text(line.value))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn a_request_is_written() {
    let head = Request::get("https://user:pw@a.example/x?y=1").header("accept", " */* ").header("te", "trailers");
    let expected = with(&GET, &[("accept", "*/*"), ("te", "trailers")]);
    assert_eq!(written(request_lines(&head.body(()).unwrap()).unwrap()), lines(&expected));
    // Host stands for what the target does not say.
    let head = Request::get("/x?y=1").header("host", "a.example").body(()).unwrap();
    assert_eq!(written(request_lines(&head).unwrap()), lines(&GET));
    let head = Request::get("https://a.example").header("host", "b.example").body(()).unwrap();
    assert_eq!(written(request_lines(&head).unwrap()), lines(&but(&GET, ":path", Some("/"))));
    let head = Request::options("*").header("host", "a.example").body(()).unwrap();
    assert_eq!(written(request_lines(&head).unwrap())[3], (":path".to_owned(), "*".to_owned()));
    let head = Request::connect("a.example:443").header("content-length", "5").body(()).unwrap();
    assert_eq!(written(request_lines(&head).unwrap()), lines(&CONNECT));
    let head = Request::connect("https://a.example/chat").extension(Protocol::WEBSOCKET).body(()).unwrap();
    let mut extended = written(request_lines(&head).unwrap());
    extended.sort();
    let mut expected = lines(&EXTENDED);
    expected.sort();
    assert_eq!(extended, expected);
}

#[test]
fn every_status_is_written() {
    for number in (100..1000).filter(|number| *number != 101) {
        let head = Response::builder().status(number).body(()).unwrap();
        assert_eq!(written(response_lines(&head).unwrap()), lines(&[(":status", &number.to_string())]));
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let error = |head: http::request::Builder| request_lines(&head.body(()).unwrap()).unwrap_err();
    assert_eq!(error(Request::get("/x")), HeadError::NoAuthority);
    assert_eq!(error(Request::get("/x").header("host", " ")), HeadError::NoAuthority);
    assert_eq!(error(Request::connect("a.example")), HeadError::NoPort);
    let head = Request::get("https://a.example/").extension(Protocol::WEBSOCKET);
    assert_eq!(error(head), HeadError::ProtocolWithoutConnect);
    let head = Response::builder().status(101).body(()).unwrap();
    assert_eq!(response_lines(&head).unwrap_err(), HeadError::SwitchingProtocols);
}

#[test]
fn what_is_about_the_connection_is_left_out() {
    let head = Response::builder()
        .header("connection", "close, X-Hop")
        .header("connection", "x-other")
        .header("keep-alive", "5")
        .header("transfer-encoding", "chunked")
        .header("upgrade", "h2c")
        .header("proxy-connection", "x")
        .header("x-hop", "1")
        .header("x-other", "1")
        .header("te", "trailers")
        .header("content-length", "5")
        .header("x-stays", "1");
    let head = head.body(()).unwrap();
    assert_eq!(
        written(response_lines(&head).unwrap()),
        lines(&[(":status", "200"), ("content-length", "5"), ("x-stays", "1")])
    );
    let (mut parts, ()) = head.into_parts();
    for status in [103, 204] {
        parts.status = StatusCode::from_u16(status).unwrap();
        let head = Response::from_parts(parts.clone(), ());
        assert_eq!(written(response_lines(&head).unwrap())[1..], lines(&[("x-stays", "1")]));
    }
    assert_eq!(written(trailer_lines(&parts.headers)).last().unwrap().0, "x-stays");
    assert!(!written(trailer_lines(&parts.headers)).iter().any(|(name, _)| name == "content-length" || name == "te"));
    let head = Request::get("https://a.example/").header("te", "gzip").header("connection", "te, x").header("x", "y");
    assert_eq!(request_lines(&head.body(()).unwrap()).unwrap().len(), 4);
    let head = Request::get("https://a.example/").header("te", "trailers").header("connection", "te");
    assert_eq!(request_lines(&head.body(()).unwrap()).unwrap().len(), 5);
}

#[test]
fn protocols_are_tokens() {
    for name in ["websocket", "connect-udp", "a/b", "x!#$%&'*+-.^_`|~1"] {
        assert_eq!(Protocol::new(Bytes::from(name)).unwrap().as_str(), name);
    }
    for name in ["", "a b", "a\"", "a(", "\u{e9}", "a,b"] {
        assert_eq!(Protocol::new(Bytes::from(name)), None, "{name}");
    }
}

fn owned(line: &FieldRef<'_>) -> Field {
    Field { sensitive: line.sensitive, ..Field::new(line.name.to_vec(), line.value.to_vec()) }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        path in "/[!$-;=?-Z_a-z~]{0,20}",
        names in proptest::collection::vec("[a-z0-9!#$%&'*+.^_`|~-]{1,12}", 0..10),
        value in "[ -~\u{80}-\u{ff}\t]{0,20}",
    ) {
        let mut head = Request::post(Uri::builder().scheme("https").authority("a.example:1").path_and_query(&path[..]).build().unwrap()).body(()).unwrap();
        for name in &names {
            let name = http::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            head.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let lines: Vec<Field> = request_lines(&head).unwrap().iter().map(owned).collect();
        match decode_request(lines, false) {
            Ok(read) => {
                prop_assert_eq!(read.head.uri(), head.uri());
                for (name, value) in read.head.headers() {
                    prop_assert!(head.headers().get_all(name).iter().any(|sent| sent.as_bytes().trim_ascii() == value.as_bytes()));
                }
            }
            // A random name may be one whose values have a meaning.
            Err(_) => prop_assert!(names.iter().any(|name| ["content-length", "te", "host"].contains(&name.as_str()))),
        }
    }

    #[test]
    fn any_lines_are_read_or_malformed(lines in proptest::collection::vec((
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            Just(b":method".to_vec()), Just(b":path".to_vec()), Just(b":scheme".to_vec()), Just(b":authority".to_vec()),
            Just(b":status".to_vec()), Just(b":protocol".to_vec()), Just(b"host".to_vec()), Just(b"content-length".to_vec()),
        ],
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..12), Just(b"CONNECT".to_vec()), Just(b"/".to_vec()), Just(b"a:1".to_vec())],
    ), 0..12)) {
        let fields: Vec<Field> = lines.into_iter().map(|(name, value)| Field::new(name, value)).collect();
        for error in [
            decode_request(fields.clone(), true).err(),
            decode_response(fields.clone(), Asked::Connect).err(),
            decode_trailers(fields).err(),
        ].into_iter().flatten() {
            prop_assert_eq!(error.code, Code::H3_MESSAGE_ERROR);
        }
    }
}

//! The rules that are about files: which of them may name what, how long they may be, what may not be left in them.

use crate::code;
use crate::house::Source;
use crate::report::Finding;

/// Files over this many lines are named; over the second, refused.
const SOFT_LIMIT: usize = 400;
const HARD_LIMIT: usize = 800;

/// The crates without I/O, clock, threads, locks, chance.
const PURE: [&str; 6] = ["codec/src/", "recovery/src/", "congestion/src/", "tls/src/", "transport/src/", "http3/src/"];

/// Words that may stand only in some files.
struct Rule {
    words: &'static [&'static str],
    /// Where the rule holds.
    within: fn(&str) -> bool,
    /// Where it does not.
    except: &'static [&'static str],
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["unsafe"],
        within: |_| true,
        except: &["actors/src/socket/io.rs"],
        instead: "only actors/src/socket/io.rs may contain unsafe code",
    },
    Rule {
        words: &["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed"],
        within: |path| is_pure(path) || path.starts_with("actors/src/") || path.starts_with("telemetry/src/"),
        except: &["actors/src/clock.rs"],
        instead: "only actors/src/clock.rs reads the clock: take a Time as an argument",
    },
    Rule {
        words: &[
            "std::time::Instant",
            "std::time::SystemTime",
            "time::Instant",
            "time::SystemTime",
            "Instant",
            "SystemTime",
        ],
        within: is_pure,
        except: &[],
        instead: "pure crates know no clock: take a codec::Time as an argument",
    },
    Rule {
        words: &["UdpSocket", "TcpStream", "TcpListener", "std::fs", "std::io", "std::env", "std::process"],
        within: is_pure,
        except: &[],
        instead: "pure crates do no I/O: bytes come in and go out as arguments",
    },
    Rule {
        words: &[
            "Mutex",
            "RwLock",
            "Condvar",
            "OnceLock",
            "LazyLock",
            "OnceCell",
            "thread_local",
            "RefCell",
            "static mut",
        ],
        within: |path| is_pure(path) && !is_test(path),
        except: &[],
        instead: "pure crates have no locks, globals or hidden state: the machine owns it, or it is an argument",
    },
    Rule {
        words: &["std::thread", "thread::spawn", "async fn", ".await"],
        within: is_pure,
        except: &[],
        instead: "pure crates have no threads and no async: a machine is called, and answers",
    },
    Rule {
        words: &["SystemRandom", "thread_rng", "RandomState"],
        within: is_pure,
        except: &["tls/src/development.rs"],
        instead: "chance comes in as bytes or a seed",
    },
    Rule {
        words: &["rustls::quic"],
        within: |path| path.starts_with("tls/src/"),
        except: &["tls/src/rustls.rs"],
        instead: "only tls/src/rustls.rs names rustls's QUIC interface: use Session and KeyRing",
    },
    Rule {
        words: &["rustls::"],
        within: |path| path.starts_with("tls/src/") && !is_test(path),
        except: &[
            "tls/src/rustls.rs",
            "tls/src/development.rs",
            "tls/src/certificate.rs",
            "tls/src/config.rs",
            "tls/src/provider.rs",
            "tls/src/lib.rs",
        ],
        instead: "inside tls only rustls.rs and what makes its configuration name rustls (lib.rs may pass its types on)",
    },
    Rule {
        words: &["ctx.wait", "SystemService", "ArbiterService", "actix_broker", "Arc<Mutex"],
        within: |path| path.starts_with("actors/src/"),
        except: &[],
        instead: "no actor waits for another, and there is no registry, broker or shared lock: send a fact",
    },
    Rule {
        words: &["thread::sleep"],
        within: is_test,
        except: &[],
        instead: "no test sleeps: await the event, or make time virtual",
    },
];

/// What marks unfinished work, in code or comments. Written in halves, so that this file holds none.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!"), concat!("unimplemen", "ted!")];

/// Everything that a rule about files forbids.
pub(crate) fn broken(files: &[Source]) -> Vec<Finding> {
    files.iter().flat_map(of_file).collect()
}

fn of_file(file: &Source) -> Vec<Finding> {
    let code = code::only(&file.text);
    let mut findings = Vec::new();
    let rules = RULES.iter().filter(|rule| (rule.within)(&file.path) && !rule.except.contains(&file.path.as_str()));
    for rule in rules {
        for (number, line) in code.lines().enumerate() {
            if let Some(word) = rule.words.iter().find(|word| names(line, word)) {
                findings.push(at(file, number, format!("`{word}`: {}", rule.instead)));
            }
        }
    }
    for (number, line) in file.text.lines().enumerate() {
        if let Some(mark) = UNFINISHED.iter().find(|mark| names(line, mark)) {
            findings.push(at(file, number, format!("`{mark}`: finish it, or say in words what the limit is")));
        }
    }
    let lines = file.text.lines().count();
    if lines > HARD_LIMIT {
        findings.push(Finding::new(
            &file.path,
            format!("{lines} lines, {HARD_LIMIT} are the limit: split it along the way of the data"),
        ));
    }
    findings
}

/// The files that are longer than they should be, though not too long, as lines to print.
pub(crate) fn long(files: &[Source]) -> Vec<String> {
    let lengths = files.iter().map(|file| (file.text.lines().count(), &file.path));
    let long = lengths.filter(|(lines, _)| (SOFT_LIMIT + 1..=HARD_LIMIT).contains(lines));
    long.map(|(lines, path)| format!("{path}: {lines} lines, {SOFT_LIMIT} are enough for one reason")).collect()
}

fn at(file: &Source, number: usize, what: String) -> Finding {
    Finding::new(format!("{}:{}", file.path, number + 1), what)
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|folder| path.starts_with(folder))
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Whether the word stands there as a word of its own. `crate::rustls::` is ours, not the crate of that name.
fn names(line: &str, word: &str) -> bool {
    let part_of_word = |character: Option<char>| character.is_some_and(|it| it.is_alphanumeric() || it == '_');
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        let begins = word.starts_with('.') || !part_of_word(before.chars().next_back());
        let ends = !word.ends_with(|it: char| it.is_alphanumeric()) || !part_of_word(after.chars().next());
        let ours = ["crate::", "self::", "super::"].iter().any(|path| before.ends_with(path));
        begins && ends && !ours
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        of_file(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn unsafe_code_has_one_place() {
        assert!(found("actors/src/socket/io.rs", "unsafe { recv() }").is_empty());
        assert_eq!(found("codec/src/cursor.rs", "fn f() {\n    unsafe { g() }\n}")[0].place, "codec/src/cursor.rs:2");
        assert!(found("codec/src/lib.rs", "// unsafe is forbidden\n#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn the_clock_has_one_place() {
        assert!(found("actors/src/clock.rs", "let now = Instant::now();").is_empty());
        assert_eq!(found("actors/src/timer/mod.rs", "let now = Instant::now();").len(), 1);
        assert!(!found("transport/src/wheel.rs", "use std::time::Instant;").is_empty());
        assert!(found("transport/src/limits.rs", "use std::time::Duration;").is_empty());
        assert!(found("bin/src/perf.rs", "let now = Instant::now();").is_empty());
    }

    #[test]
    fn pure_crates_have_no_locks_sockets_or_threads() {
        for text in
            ["use std::sync::Mutex;", "std::net::UdpSocket::bind(a)", "std::thread::spawn(f)", "async fn f() {}"]
        {
            assert_eq!(found("recovery/src/sent.rs", text).len(), 1, "{text}");
        }
        assert!(found("actors/src/socket/mod.rs", "use std::net::UdpSocket;").is_empty());
    }

    #[test]
    fn rustls_is_named_in_its_file_and_our_module_of_that_name_is_not_it() {
        assert_eq!(found("tls/src/session.rs", "use rustls::Error;").len(), 1);
        assert_eq!(found("tls/src/session.rs", "use ::rustls::Error;").len(), 1);
        assert_eq!(found("tls/src/config.rs", "use ::rustls::quic::Keys;").len(), 1);
        assert!(found("tls/src/session.rs", "use crate::rustls::Keys;\nuse rustls_pki_types::ServerName;").is_empty());
        assert!(found("tls/src/rustls.rs", "use ::rustls::quic::Keys;").is_empty());
        assert!(found("tls/src/session/tests.rs", "use ::rustls::RootCertStore;").is_empty());
    }

    #[test]
    fn unfinished_marks_are_found_in_comments_too() {
        assert_eq!(found("bin/src/main.rs", concat!("// TO", "DO: later")).len(), 1);
        assert_eq!(found("bin/src/main.rs", concat!("fn f() { to", "do!() }")).len(), 1);
        assert!(found("bin/src/main.rs", "let todos = 3; // mastodon").is_empty());
    }

    #[test]
    fn long_files_are_named_and_too_long_ones_refused() {
        let file = |lines: usize| Source { path: "codec/src/a.rs".to_owned(), text: "x\n".repeat(lines) };
        assert!(long(&[file(400)]).is_empty());
        assert_eq!(long(&[file(401), file(800)]).len(), 2);
        assert!(of_file(&file(800)).is_empty());
        assert_eq!(of_file(&file(801)).len(), 1);
    }
}

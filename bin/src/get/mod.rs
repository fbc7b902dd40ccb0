//! `quicast get`: a client like curl, over HTTP/3.
//!
//! ```text
//! arguments ─▶ jobs ─▶ transfer ─┬▶ connections                    one to each server, for everybody
//!                                ├▶ request, sent ─▶ (HTTP/3) ─▶ save, resume
//!                                └▶ report ─▶ --json, -w
//! ```
//! What `load` understands too is in [`crate::request`]. What goes wrong is a [`Problem`] with curl's exit code.

pub(crate) mod arguments;
mod connections;
mod meter;
mod report;
mod request;
mod resume;
mod save;
mod sent;
mod transfer;
mod verbose;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use self::arguments::{Get, Offset};
use self::connections::Connections;
use self::meter::Meter;
use self::report::Report;
use self::request::Wanted;
use self::save::Target;
use self::transfer::{Job, Session};
use self::verbose::Verbose;
use crate::address::plain;
use crate::error::Failure;
use crate::out;
use crate::progress::Progress;
use crate::request::problem::{Problem, code};
use crate::request::upload::Upload;
use crate::request::url::Url;

/// Carries the command out.
pub(crate) async fn run(arguments: Get) -> Result<(), Failure> {
    let upload = uploaded(&arguments);
    let wanted = Wanted::new(&arguments, upload.as_ref())?;
    let jobs = jobs(&arguments)?;
    check(&arguments, upload.as_ref(), &jobs)?;
    let format = arguments.write_out.as_deref().map(format).transpose()?;
    let (interrupt, interrupted) = watch::channel(false);
    let verbose = Verbose(arguments.verbose);
    let connections = Connections::new(&arguments, verbose).map_err(|problem| problem.failure())?;
    let meter = Arc::new(Meter::default());
    let session = Session { arguments: &arguments, wanted, upload, connections, verbose, meter, interrupted };

    let to_terminal = |job: &Job| matches!(job.plan, Ok((_, Target::Stdout { .. })));
    let shared = std::io::stdout().is_terminal() && jobs.iter().any(to_terminal);
    let progress = Progress::bytes(0, arguments.silent || arguments.verbose || shared);
    let mut first_code = None;
    let at_once = if arguments.parallel { usize::from(arguments.parallel_max) } else { 1 };
    let mut ended = stream::iter(&jobs).map(|job| transfer::run(&session, job)).buffer_unordered(at_once);
    let work = async {
        while let Some(report) = ended.next().await {
            progress.aside(|| tell(&arguments, format.as_deref(), &report));
            first_code = first_code.or(report.problem.as_ref().map(|problem| problem.code));
        }
    };
    let watched = async {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            () = &mut work => return,
            _ = tokio::signal::ctrl_c() => { interrupt.send_replace(true); }
            never = session.meter.show(&progress) => match never {},
        }
        // What was under way comes to its end at once.
        work.await;
    };
    watched.await;
    drop(ended);
    progress.clear();
    let was_interrupted = *interrupt.borrow();
    session.connections.close().await;
    match first_code {
        _ if was_interrupted => Err(Failure::interrupted()),
        None => Ok(()),
        Some(code) => Err(Failure::told(code)),
    }
}

/// What is sent, if anything is.
fn uploaded(arguments: &Get) -> Option<Upload> {
    let file = arguments.upload_file.as_deref().map(Upload::file);
    file.or_else(|| Upload::of(&arguments.asked))
}

/// The URLs with their files.
fn jobs(arguments: &Get) -> Result<Vec<Job>, Failure> {
    if arguments.output.len() > arguments.urls.len() {
        return Err(Failure::usage("there are more -o than URLs"));
    }
    let uploaded = arguments.upload_file.as_deref().filter(|path| *path != Path::new("-")).and_then(Path::file_name);
    let uploaded = uploaded.map(|name| name.to_string_lossy().into_owned());
    let plan = |number: usize, text: &str| {
        let mut url = Url::parse(text)?;
        if let Some(name) = &uploaded {
            url = url.with_name(name)?;
        }
        let target = target(arguments, number, &url)?;
        Ok((url, target))
    };
    let jobs = arguments.urls.iter().enumerate();
    Ok(jobs.map(|(number, text)| Job { number, text: text.clone(), plan: plan(number, text) }).collect())
}

fn target(arguments: &Get, number: usize, url: &Url) -> Result<Target, Problem> {
    let name = match arguments.output.get(number) {
        Some(name) if name == Path::new("-") => return Ok(Target::Stdout { said: true }),
        Some(name) => name.clone(),
        None if arguments.remote_name => url.file_name().map(Into::into).ok_or_else(|| {
            Problem::new(code::WRITE, format_args!("{url}: -O needs a name at the end of the path; say -o FILE"))
        })?,
        None => return Ok(Target::Stdout { said: false }),
    };
    Ok(Target::File(match &arguments.output_dir {
        Some(folder) => folder.join(name),
        None => name,
    }))
}

/// What is wrong before anything is sent.
fn check(arguments: &Get, upload: Option<&Upload>, jobs: &[Job]) -> Result<(), Failure> {
    let targets = || jobs.iter().filter_map(|job| job.plan.as_ref().ok()).map(|(_, target)| target);
    if arguments.continue_at == Some(Offset::End) && targets().any(|target| target.path().is_none()) {
        return Err(Failure::usage("-C - goes on where a file ends; say which with -o FILE or -O"));
    }
    if jobs.len() > 1 && upload.is_some_and(|upload| !upload.can_begin_again()) {
        return Err(Failure::usage("standard input can be sent to one URL only; send a file, or one URL at a time"));
    }
    let mut files: Vec<&Path> = targets().filter_map(Target::path).filter(|path| !is_device(path)).collect();
    files.sort_unstable();
    match files.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::usage(format_args!(
            "two URLs would be written to {}; give each its own -o FILE",
            pair[0].display()
        ))),
        None => Ok(()),
    }
}

/// `/dev/null` takes any number of them.
fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The format of `-w`, which may be in a file.
fn format(text: &str) -> Result<String, Failure> {
    let Some(name) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let read = if name == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(name) };
    read.map_err(|error| Failure::coded(code::READ, format_args!("-w @{name}: {}", plain(&error))))
}

/// Says what became of a URL.
fn tell(arguments: &Get, format: Option<&str>, report: &Report) {
    if let Some(problem) = &report.problem
        && problem.code != code::INTERRUPTED
        && (!arguments.silent || arguments.show_error)
    {
        let message = &problem.message;
        let shown = if message.contains(&report.url) { message.clone() } else { format!("{}: {message}", report.url) };
        Failure::coded(problem.code, shown).tell();
    }
    if let Some(format) = format {
        let (out, err) = report.written_out(format);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()).ok();
        std::io::stderr().lock().write_all(err.as_bytes()).ok();
    }
    if arguments.json {
        // Standard output is the content's, if that goes there.
        match report.file {
            Some(_) => out::line(report.json()),
            None => out::note(report.json()),
        }
    }
}

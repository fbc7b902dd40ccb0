//! The file of `--config`: what `serve` is told on its command line, and which connections get which congestion controller.
//!
//! It is read as a whole or refused as a whole; what is wrong is said with its line and column.

pub(crate) mod check;
mod locate;
pub(crate) mod reload;
pub(crate) mod rules;
pub(crate) mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use quicast::Algorithm;
use quicast::controllers::{Registry, Rules};
use serde::Deserialize;

use self::locate::Source;
use self::rules::{ApplyTo, RuleText, Wrong};
use self::text::Texts;
use crate::address::plain;
use crate::cli::Serve;
use crate::error::Failure;
use crate::units::parse_busy_poll;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    serve: WrittenServe,
    congestion: WrittenCongestion,
}

/// `[serve]`: each key is an option of `quicast serve` with `_` for `-`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenServe {
    listen: Texts,
    root: Option<PathBuf>,
    no_tcp: Option<bool>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    admin: Option<String>,
    admin_token_file: Option<PathBuf>,
    keylog: Option<PathBuf>,
    shards: Option<u16>,
    busy_poll: Option<String>,
    reset_key_file: Option<PathBuf>,
    retry: Option<bool>,
}

/// `[congestion]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenCongestion {
    default: Option<String>,
    apply_to: ApplyTo,
    rule: Vec<RuleText>,
}

/// A file that has been read and found right.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    serve: Settings,
    /// Which connection gets which controller.
    pub(crate) congestion: CongestionSettings,
}

/// What the file says about congestion controllers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CongestionSettings {
    /// Rules, and what connections get that none means.
    pub(crate) rules: Rules,
    /// Whether the file says what that is.
    pub(crate) has_default: bool,
    pub(crate) apply_to: ApplyTo,
}

/// What the file says in place of options.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Settings {
    listen: Vec<String>,
    root: Option<PathBuf>,
    no_tcp: bool,
    identity: Option<(PathBuf, PathBuf)>,
    admin: Option<String>,
    admin_token_file: Option<PathBuf>,
    keylog: Option<PathBuf>,
    shards: Option<u16>,
    busy_poll: Option<Duration>,
    reset_key_file: Option<PathBuf>,
    retry: bool,
}

/// So many threads at most, as for `--shards`.
const MOST_SHARDS: u16 = 64;
/// A file of this size is none that anybody wrote.
const LONGEST_FILE: u64 = 1 << 20;

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read (exit code 1), or it is wrong (2): `file:line:column: what, what would be right`.
    pub(crate) fn load(path: &Path, registry: &Registry) -> Result<Self, Failure> {
        let failed = |why: &str| Failure::failed(format_args!("{}: {why}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| failed(&plain(&error)))?.len();
        if size > LONGEST_FILE {
            return Err(failed("the file is larger than a mebibyte; is it the right one?"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&plain(&error)))?;
        Self::read(path, &text, registry).map_err(Failure::usage)
    }

    /// Reads what is in the file; an error says where.
    fn read(path: &Path, text: &str, registry: &Registry) -> Result<Self, String> {
        let source = Source { path, text };
        let written: Written = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        let settings = Settings::read(&written.serve, path).map_err(|wrong| wrong.within("serve"));
        let congestion = written.congestion.read(registry).map_err(|wrong| wrong.within("congestion"));
        let (serve, congestion) = match (settings, congestion) {
            (Ok(serve), Ok(congestion)) => (serve, congestion),
            (Err(wrong), _) | (_, Err(wrong)) => return Err(source.wrong(&wrong)),
        };
        Ok(Self { path: path.to_owned(), serve, congestion })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills in what the command line leaves open.
    pub(crate) fn complete(&self, arguments: &mut Serve) {
        let Settings { listen, identity, .. } = &self.serve;
        let serve = self.serve.clone();
        if arguments.listen.is_empty() {
            arguments.listen.clone_from(listen);
        }
        if let (None, Some((cert, key))) = (&arguments.cert, identity) {
            (arguments.cert, arguments.key) = (Some(cert.clone()), Some(key.clone()));
        }
        arguments.root = arguments.root.take().or(serve.root);
        arguments.admin = arguments.admin.take().or(serve.admin);
        arguments.admin_token_file = arguments.admin_token_file.take().or(serve.admin_token_file);
        arguments.tuning.keylog = arguments.tuning.keylog.take().or(serve.keylog);
        arguments.shards = arguments.shards.or(serve.shards);
        arguments.busy_poll = arguments.busy_poll.or(serve.busy_poll);
        arguments.reset_key_file = arguments.reset_key_file.take().or(serve.reset_key_file);
        arguments.no_tcp |= serve.no_tcp;
        arguments.retry |= serve.retry;
        if self.congestion.has_default && arguments.tuning.cc.is_none() {
            arguments.tuning.cc = Some(self.congestion.rules.default);
        }
    }

    /// Whether only a restart would bring about what `new` says differently.
    pub(crate) fn needs_restart(&self, new: &Self) -> bool {
        self.serve != new.serve
    }
}

impl WrittenCongestion {
    fn read(&self, registry: &Registry) -> Result<CongestionSettings, Wrong> {
        let default = match &self.default {
            None => Algorithm::default(),
            Some(name) => registry.find(name).map_err(|error| Wrong::from(error).within("default"))?,
        };
        Ok(CongestionSettings {
            rules: rules::read(registry, "rule", &self.rule, default)?,
            has_default: self.default.is_some(),
            apply_to: self.apply_to,
        })
    }
}

impl Settings {
    /// Names of files are relative to the folder of the configuration.
    fn read(written: &WrittenServe, path: &Path) -> Result<Self, Wrong> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let beside = |name: &Option<PathBuf>| name.as_ref().map(|name| folder.join(name));
        let identity = match (beside(&written.cert), beside(&written.key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(Wrong::new("cert needs key: the file of its private key").within("cert")),
            (None, Some(_)) => return Err(Wrong::new("key needs cert: the file of its certificate").within("key")),
        };
        if written.shards.is_some_and(|shards| !(1..=MOST_SHARDS).contains(&shards)) {
            return Err(Wrong::new(format_args!("a number of threads is 1 to {MOST_SHARDS}")).within("shards"));
        }
        let busy_poll = written.busy_poll.as_deref().map(parse_busy_poll).transpose();
        Ok(Self {
            listen: written.listen.0.clone(),
            root: beside(&written.root),
            no_tcp: written.no_tcp.unwrap_or_default(),
            identity,
            admin: written.admin.clone(),
            admin_token_file: beside(&written.admin_token_file),
            keylog: beside(&written.keylog),
            shards: written.shards,
            busy_poll: busy_poll.map_err(|what| Wrong::new(what).within("busy_poll"))?,
            reset_key_file: beside(&written.reset_key_file),
            retry: written.retry.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;

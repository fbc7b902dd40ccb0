//! The part of the command line that says what is asked for: curl's words, where curl has some.

use clap::Args;

use super::resolve::Override;

/// `-d`, `-H`, `-X`, `--resolve`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Send this (POST); @FILE sends a file without its line ends, @- standard input. Several are joined with &.
    #[arg(short = 'd', long, value_name = "DATA", allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["data_binary", "data_raw"])]
    pub(crate) data: Vec<String>,
    /// Likewise, but files are sent as they are.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true, conflicts_with = "data_raw")]
    pub(crate) data_binary: Vec<String>,
    /// Likewise, but @ means nothing.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    pub(crate) data_raw: Vec<String>,
    /// Send this header; `Name:` takes one away, `Name;` sends it empty.
    #[arg(short = 'H', long, value_name = "LINE")]
    pub(crate) header: Vec<String>,
    /// The method.
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) request: Option<String>,
    /// Look HOST:PORT up here, not with DNS. HOST may be *.
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]", value_parser = Override::parse)]
    pub(crate) resolve: Vec<Override>,
}

//! What `get` and `load` are asked for, in the same words: URLs, `-X`, `-H`, `-d` and `--resolve`.
//!
//! ```text
//! arguments ─┬▶ head, upload ─▶ the requests that are made
//!            └▶ url ─▶ resolve ─▶ where they go
//! ```
//! What is wrong with them is a [`problem::Problem`], or, if it is wrong whatever the URL, a usage error.

pub(crate) mod arguments;
pub(crate) mod head;
pub(crate) mod problem;
pub(crate) mod resolve;
pub(crate) mod upload;
pub(crate) mod url;

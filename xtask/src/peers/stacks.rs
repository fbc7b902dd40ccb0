//! Who takes part, what each can do, and how its driver is built.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::house::House;

use super::workloads::Workload;

/// One stack.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in a table.
    pub(crate) title: &'static str,
    /// What it is beside ours.
    pub(crate) kind: Kind,
    /// The package of its driver.
    package: &'static str,
    /// The package whose version is its version, in `benches/peers/Cargo.lock`.
    pub(crate) version_of: &'static str,
    /// The workloads that it does not do.
    not: &'static [&'static str],
}

/// What a stack is beside ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It is ours.
    Ours,
    /// Ours with other cryptography, for the workloads in which that is much of the time.
    Variant,
    /// Another QUIC.
    Quic,
    /// TCP with TLS.
    Tcp,
    /// What the machine can do.
    Limit,
}

/// All of them, in the order of the columns.
pub(crate) const STACKS: [Stack; 7] = [
    Stack { name: "quicast", title: "quicast", kind: Kind::Ours, package: "quicast-cli", version_of: "", not: &[] },
    Stack {
        name: "quicast-aws-lc",
        title: "quicast (aws-lc)",
        kind: Kind::Variant,
        package: "quicast-cli",
        version_of: "aws-lc-rs",
        not: &["bulk-8", "requests", "requests-100", "idle"],
    },
    Stack { name: "quinn", title: "quinn", kind: Kind::Quic, package: "peer-quinn", version_of: "quinn", not: &[] },
    Stack {
        name: "s2n-quic",
        title: "s2n-quic",
        kind: Kind::Quic,
        package: "peer-s2n-quic",
        version_of: "s2n-quic",
        not: &[],
    },
    Stack { name: "quiche", title: "quiche", kind: Kind::Quic, package: "peer-quiche", version_of: "quiche", not: &[] },
    Stack {
        name: "tcp-tls",
        title: "TCP+TLS",
        kind: Kind::Tcp,
        package: "peer-tcp-tls",
        version_of: "rustls",
        not: &["bulk-9000"],
    },
    Stack {
        name: "raw-limit",
        title: "raw limit",
        kind: Kind::Limit,
        package: "peer-raw-limit",
        version_of: "ring",
        not: &["bulk-8", "requests", "requests-100", "handshakes", "idle"],
    },
];

/// A driver that was built: the program and the words before the contract's.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) words: &'static [&'static str],
    /// Words of the client alone: other drivers look at no certificate, and so need none for it.
    pub(crate) client_words: &'static [&'static str],
}

impl Stack {
    /// Whether it takes part in a workload.
    pub(crate) fn does(&self, workload: &Workload) -> bool {
        !self.not.contains(&workload.name)
    }

    /// Builds its driver.
    pub(crate) fn build(&self, house: &House) -> Result<Program, String> {
        println!("   building {} for {}", self.package, self.name);
        let mut command = house.command("cargo");
        command.args(["build", "--release", "--package", self.package, "--message-format", "json-render-diagnostics"]);
        let words: &[&str] = match self.kind {
            Kind::Ours => &["perf"],
            Kind::Variant => {
                command.args(["--features", "aws-lc-rs"]);
                // A folder of its own, or it would take the place of the other program.
                let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
                command.arg("--target-dir").arg(target.join("aws-lc"));
                &["perf"]
            }
            _ => {
                command.args(["--manifest-path", "benches/peers/Cargo.toml"]);
                if std::env::var_os("CARGO_TARGET_DIR").is_none() {
                    // Beside ours, so that a second workspace litters nothing.
                    command.args(["--target-dir", "target/peers"]);
                }
                &[]
            }
        };
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err(
                "its driver cannot be built here (see above; benches/peers/README.md says what it needs)".into()
            );
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let path = executable(&said).ok_or("cargo built no program")?;
        let ours = matches!(self.kind, Kind::Ours | Kind::Variant);
        let client_words: &[&str] = if ours { &["-k"] } else { &[] };
        let program = Program { path: path.into(), words, client_words };
        if ours { program.can_perf(house).map(|()| program) } else { Ok(program) }
    }
}

impl Program {
    fn can_perf(&self, house: &House) -> Result<(), String> {
        let mut command = house.command(&self.path.to_string_lossy());
        command.args(self.words).arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err("this quicast has no command `perf`".to_owned()),
        }
    }
}

/// The last program that cargo says it made.
fn executable(messages: &str) -> Option<String> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned())).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::workloads::WORKLOADS;

    #[test]
    fn cargo_says_where_the_program_is() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnoise\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/house/target/release/peer\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}";
        assert_eq!(executable(messages).as_deref(), Some("/house/target/release/peer"));
        assert_eq!(executable("{}"), None);
    }

    #[test]
    fn what_a_stack_does_not_do_exists() {
        for stack in &STACKS {
            for name in stack.not {
                assert!(WORKLOADS.iter().any(|workload| workload.name == *name), "{}: {name}", stack.name);
            }
        }
    }
}

//! Where and with what the numbers were taken.

use std::fs;

use crate::house::House;

use super::stacks::{Kind, STACKS};

/// One line about the machine, one about the versions.
pub(crate) fn description(house: &House) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let (model, cores) = processor(&cpu);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = said(house, "date", &["-u", "+%Y-%m-%d"]);
    let revision = said(house, "git", &["describe", "--always", "--dirty", "--abbrev=9"]);
    let ours = fs::read_to_string(house.root.join("Cargo.lock")).unwrap_or_default();
    let lock = fs::read_to_string(house.root.join("benches/peers/Cargo.lock")).unwrap_or_default();
    let versions: Vec<String> = STACKS
        .iter()
        .map(|stack| match stack.kind {
            Kind::Ours => format!("{} {revision}", stack.title),
            Kind::Variant => format!("{} with {} {}", stack.title, stack.version_of, version(&ours, stack.version_of)),
            Kind::Quic => format!("{} {}", stack.title, version(&lock, stack.version_of)),
            Kind::Tcp | Kind::Limit => {
                format!("{} with {} {}", stack.title, stack.version_of, version(&lock, stack.version_of))
            }
        })
        .collect();
    format!("{date}, {model}, {cores} cores, Linux {}.\nVersions: {}.", kernel.trim(), versions.join(", "))
}

/// The model and how many cores there are.
fn processor(cpuinfo: &str) -> (String, usize) {
    let field = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(field);
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    (model.unwrap_or_else(|| "an unknown processor".to_owned()), cores)
}

/// The highest version of a package that a lock file has: cargo sorts them.
fn version(lock: &str, package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    let mut found = None;
    while lines.by_ref().any(|line| line == name) {
        found = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    }
    found.unwrap_or("of unknown version").to_owned()
}

fn said(house: &House, program: &str, arguments: &[&str]) -> String {
    let output = house.command(program).args(arguments).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"quinn-udp\"\nversion = \"0.5.16\"\n\n[[package]]\nname = \"quinn-udp\"\n\
                    version = \"0.6.3\"\n\n[[package]]\nname = \"ring\"\nversion = \"0.17.14\"\n";
        assert_eq!([version(lock, "quinn-udp"), version(lock, "ring")], ["0.6.3", "0.17.14"]);
        assert_eq!(version(lock, "quiche"), "of unknown version");
    }

    #[test]
    fn the_processor_has_a_name_and_cores() {
        let text = "processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\nmodel name\t: Fast One\n";
        assert_eq!(processor(text), ("Fast One".to_owned(), 2));
        assert_eq!(processor("").1, 0);
    }
}

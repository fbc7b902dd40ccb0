//! The part of `docs/performance.md` that is written by a measurement.

use std::fs;
use std::path::Path;

use crate::house::House;

use super::figures::Results;
use super::machine;
use super::options::Options;
use super::tables;
use super::workloads::Workload;

const BEGIN: &str = "<!-- peers:begin -->";
const END: &str = "<!-- peers:end -->";

const HEAD: &str = "\
# Performance

How fast this stack is beside others, on one machine in one run. What is measured and how, and what each stack is set to,
is said in [`benches/peers`](../benches/peers/README.md); `cargo xtask peers` takes the numbers and writes them here.
Machines differ and are noisy: only ratios from one run mean anything.

";

/// Writes the tables between the markers; what stands around them stays.
pub(crate) fn write(
    house: &House,
    path: &Path,
    all: &[(&'static Workload, Results)],
    options: &Options,
) -> Result<(), String> {
    let page = match fs::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => format!("{HEAD}{BEGIN}\n{END}\n"),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = format!("{}\n{}\n\n", machine::description(house), conditions(options));
    text +=
        &all.iter().map(|(workload, results)| tables::of_workload(workload, results)).collect::<Vec<_>>().join("\n");
    let page = replaced(&page, [BEGIN, END], &text).ok_or_else(|| format!("has no `{BEGIN}` with `{END}` after it"))?;
    fs::write(path, page).map_err(|error| error.to_string())
}

fn conditions(options: &Options) -> String {
    let rounds = match (options.quick, options.rounds) {
        (true, _) => "Quick runs that show that everything works; the numbers mean nothing".to_owned(),
        (false, rounds) => {
            format!("Medians of {rounds} rounds after one to warm up (least–most), all stacks alternating")
        }
    };
    format!(
        "{rounds}; server on one core, client on another, over loopback.\n↑ more is better, ↓ less is better; a ratio is \
         quicast's figure divided by the other's; the best peer is the best of the QUIC stacks in that figure."
    )
}

/// The page with this text between two markers.
pub(crate) fn replaced(page: &str, [begin, end]: [&str; 2], text: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_markers_stays() {
        let page = format!("# Head\n\n{BEGIN}\nold\n{END}\n\ntail\n");
        let new = replaced(&page, [BEGIN, END], "new\n").unwrap();
        assert_eq!(new, format!("# Head\n\n{BEGIN}\nnew\n{END}\n\ntail\n"));
        assert_eq!(replaced(&new, [BEGIN, END], "new\n").unwrap(), new);
        assert_eq!(replaced("no markers", [BEGIN, END], "new"), None);
        assert_eq!(replaced(&format!("{END} {BEGIN}"), [BEGIN, END], "new"), None);
    }
}

//! Tables in Markdown, which can be read as they are.

use super::figures::{Outcome, Results};
use super::stacks::{Kind, STACKS};
use super::workloads::{Better, Figure, Workload};

/// One run in a line.
pub(crate) fn line(workload: &Workload, outcome: &Outcome) -> String {
    match outcome {
        Ok(run) => {
            let figure = |figure: &Figure| Some(format!("{} {}", number((figure.of)(run)?, figure), figure.title));
            workload.figures.iter().filter_map(figure).collect::<Vec<_>>().join("; ")
        }
        Err(why) => format!("failed, {why}"),
    }
}

/// All figures of a workload: a row each, a column for each stack, and the ratios.
pub(crate) fn of_workload(workload: &Workload, results: &Results) -> String {
    let stacks: Vec<_> = results.stacks().collect();
    let ours = stacks.iter().any(|stack| stack.kind == Kind::Ours);
    let others = stacks.iter().filter(|stack| matches!(stack.kind, Kind::Limit | Kind::Tcp));
    let compared: Vec<_> =
        stacks.iter().filter(|stack| stack.name == "quinn").chain(others).filter(|_| ours).copied().collect();
    let best = ours && stacks.iter().any(|stack| stack.kind == Kind::Quic);

    let mut header = vec![String::new()];
    header.extend(stacks.iter().map(|stack| stack.title.to_owned()));
    if best {
        header.push("to the best peer".to_owned());
    }
    let variant = stacks.iter().find(|stack| best && stack.kind == Kind::Variant);
    if let Some(variant) = variant {
        header.push(format!("{} to the best peer", variant.title));
    }
    header.extend(compared.iter().map(|stack| format!("to {}", stack.title)));
    let mut table = format!("### {}\n\n", workload.title);
    row(&mut table, &header);
    row(&mut table, &vec!["---".to_owned(); header.len()]);
    for figure in workload.figures {
        let sign = if figure.better == Better::More { '↑' } else { '↓' };
        let mut cells = vec![format!("{} {sign}", figure.title)];
        cells.extend(stacks.iter().map(|stack| cell(results, stack.name, figure)));
        if best {
            let peer = results.best_peer(figure);
            for kind in [Some(Kind::Ours), variant.map(|stack| stack.kind)].into_iter().flatten() {
                let ratio = peer.and_then(|peer| Some((results.ratio_of(kind, figure, peer.name)?, peer.title)));
                cells.push(ratio.map_or_else(nothing, |(ratio, peer)| format!("**{ratio:.2}** ({peer})")));
            }
        }
        cells.extend(
            compared
                .iter()
                .map(|stack| results.ratio(figure, stack.name).map_or_else(nothing, |ratio| format!("{ratio:.2}"))),
        );
        row(&mut table, &cells);
    }
    for (stack, why) in results.failures() {
        let title = STACKS.iter().find(|one| one.name == stack).map_or(stack, |stack| stack.title);
        table += &format!("\nA run of {title} failed: {}\n", why.replace('|', "/"));
    }
    table
}

fn cell(results: &Results, stack: &'static str, figure: &Figure) -> String {
    match results.spread(stack, figure) {
        Some(spread) => {
            let [median, least, most] = [spread.median, spread.least, spread.most].map(|value| number(value, figure));
            if least == most { median } else { format!("{median} ({least}–{most})") }
        }
        None if results.failures().any(|(failed, _)| failed == stack) => "failed".to_owned(),
        None => nothing(),
    }
}

fn nothing() -> String {
    "–".to_owned()
}

fn row(table: &mut String, cells: &[String]) {
    *table += &format!("| {} |\n", cells.join(" | "));
}

/// With commas between thousands.
fn number(value: f64, figure: &Figure) -> String {
    let text = format!("{value:.*}", figure.digits);
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut out = String::from(sign);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::workloads::{Run, WORKLOADS};

    fn run(rate: f64) -> Outcome {
        let client = serde_json::json!({ "bytes": rate * 1e9, "seconds": 8.0, "client_cpu_seconds": rate });
        Ok(Run { client, server_cpu_seconds: rate / 2.0, ..Run::default() })
    }

    #[test]
    fn numbers_have_commas() {
        let [figure, ..] = WORKLOADS[0].figures else { panic!("no figures") };
        assert_eq!(
            [0.5, 123.0, 1234.5, -1_234_567.0].map(|value| number(value, figure)),
            ["0.50", "123.00", "1,234.50", "-1,234,567.00"]
        );
    }

    #[test]
    fn a_table_has_medians_spreads_ratios_and_failures() {
        let mut results = Results::default();
        for rate in [9.0, 10.0, 12.0] {
            results.add("quicast", run(rate));
        }
        results.add("quinn", run(5.0));
        results.add("raw-limit", run(20.0));
        results.add("s2n-quic", Err("exit status: 1: wrong | data".to_owned()));
        let table = of_workload(&WORKLOADS[0], &results);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[2],
            "|  | quicast | quinn | s2n-quic | raw limit | to the best peer | to quinn | to raw limit |"
        );
        assert_eq!(
            lines[4],
            "| Gbit/s ↑ | 10.00 (9.00–12.00) | 5.00 | failed | 20.00 | **2.00** (quinn) | 2.00 | 0.50 |"
        );
        assert!(table.ends_with("A run of s2n-quic failed: exit status: 1: wrong / data\n"), "{table}");
    }

    #[test]
    fn the_variant_is_compared_with_the_best_peer_and_is_none_itself() {
        let mut results = Results::default();
        for (stack, rate) in [("quicast", 10.0), ("quicast-aws-lc", 12.0), ("quinn", 5.0)] {
            results.add(stack, run(rate));
        }
        let table = of_workload(&WORKLOADS[0], &results);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[2],
            "|  | quicast | quicast (aws-lc) | quinn | to the best peer | quicast (aws-lc) to the best peer | to quinn |"
        );
        assert_eq!(lines[4], "| Gbit/s ↑ | 10.00 | 12.00 | 5.00 | **2.00** (quinn) | **2.40** (quinn) | 2.00 |");
    }

    #[test]
    fn without_ours_there_is_nothing_to_compare() {
        let mut results = Results::default();
        results.add("quinn", run(5.0));
        assert!(of_workload(&WORKLOADS[0], &results).contains("|  | quinn |\n"));
        assert!(line(&WORKLOADS[0], &run(5.0)).starts_with("5.00 Gbit/s; "));
        assert_eq!(line(&WORKLOADS[0], &Err("why".to_owned())), "failed, why");
    }
}

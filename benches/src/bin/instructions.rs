//! Runs one case a given number of times and prints nothing: for `cargo xtask bench --instructions`, under callgrind.
//!
//! Without arguments it lists the cases, a line each: name, operations, parts, the function that is counted, and what an
//! operation is, with tabs between them.
#![expect(clippy::print_stdout, reason = "a command talks to its caller")]

use std::process::ExitCode;

use quicast_benches::{cases, counted};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for case in cases::all() {
            let quicast_benches::Case { name, operation, operations, parts, counted_in, .. } = case;
            println!("{name}\t{operations}\t{parts}\t{counted_in}\t{operation}");
        }
        return ExitCode::SUCCESS;
    };
    let operations = arguments.next().and_then(|number| number.parse().ok());
    let (Some(case), Some(operations)) = (cases::all().find(|case| case.name == name), operations) else {
        println!("usage: instructions [CASE OPERATIONS]; without arguments it lists the cases");
        return ExitCode::from(2);
    };
    let mut work = (case.begin)();
    counted(&mut work, operations);
    ExitCode::SUCCESS
}

//! Which crate may name which: the dependency rule of the house.

use crate::house::{House, Package};
use crate::report::Finding;

/// What a folder of the house may name of the house.
struct Room {
    folder: &'static str,
    may: &'static [&'static str],
    /// And in tests, too.
    tests_may: &'static [&'static str],
    rule: &'static str,
}

const EVERYTHING: &[&str] =
    &["codec", "recovery", "congestion", "sim", "tls", "http3", "transport", "telemetry", "actors", "tests"];

const ROOMS: &[Room] = &[
    Room { folder: "codec", may: &[], tests_may: &[], rule: "codec is below everything" },
    Room {
        folder: "recovery",
        may: &["codec"],
        tests_may: &[],
        rule: "recovery and congestion do not know each other: recovery says what happened, transport carries it over",
    },
    Room {
        folder: "congestion",
        may: &["codec"],
        tests_may: &[],
        rule: "recovery and congestion do not know each other: congestion hears of `Observed`, which transport makes",
    },
    Room {
        folder: "sim",
        may: &["codec", "recovery", "congestion"],
        tests_may: &[],
        rule: "sim joins recovery and congestion over a simulated link, and knows no packets, streams or keys",
    },
    Room { folder: "tls", may: &["codec"], tests_may: &[], rule: "tls makes keys and knows only codec" },
    Room { folder: "http3", may: &["codec"], tests_may: &[], rule: "http3 knows of QUIC only codec's varint" },
    Room {
        folder: "transport",
        may: &["codec", "recovery", "congestion", "tls"],
        tests_may: &[],
        rule: "transport joins codec, recovery, congestion and tls, and knows nothing above",
    },
    Room {
        folder: "telemetry",
        may: &[],
        tests_may: &["codec", "congestion"],
        rule: "telemetry names metrics, and the crates that count do not know it nor it them",
    },
    Room {
        folder: "actors",
        may: &["codec", "recovery", "congestion", "tls", "http3", "transport", "telemetry"],
        tests_may: &[],
        rule: "actors stand around the machines, below the command and the tests",
    },
    Room { folder: "h3", may: &["actors"], tests_may: EVERYTHING, rule: "h3 stands on the public API" },
    Room {
        folder: "bin",
        may: &["actors", "telemetry", "tls", "sim"],
        tests_may: EVERYTHING,
        rule: "the command is thin: it uses the public API, not the machines",
    },
    Room { folder: "tests", may: EVERYTHING, tests_may: &[], rule: "tests may name everything" },
    Room { folder: "benches", may: EVERYTHING, tests_may: &[], rule: "benches may name everything" },
    Room {
        folder: "fuzz",
        may: &["codec", "recovery", "congestion", "tls", "http3", "transport"],
        tests_may: &[],
        rule: "fuzz targets drive machines",
    },
    Room { folder: "xtask", may: &[], tests_may: &[], rule: "xtask stands alone" },
];

/// Crates from outside that only some folders may name.
struct Reserved {
    /// A name, or with a star at the end, the beginning of one.
    names: &'static [&'static str],
    folders: &'static [&'static str],
    rule: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        names: &["actix*", "tokio*"],
        folders: &["actors", "bin", "h3", "tests", "benches"],
        rule: "only actors, bin, tests and benches name actix or tokio: machines take time and bytes as arguments",
    },
    Reserved {
        names: &["rustls*", "tokio-rustls", "rcgen"],
        folders: &["tls", "actors", "bin", "tests", "benches"],
        rule: "only tls names rustls, and actors for the signatures of the public API: use tls::Session and tls::KeyRing",
    },
    Reserved {
        names: &["metrics*", "prometheus*", "opentelemetry*"],
        folders: &["telemetry"],
        rule: "only telemetry names metrics libraries: count in a plain u64 and add it through telemetry's handles",
    },
    Reserved {
        names: &["quinn-udp", "socket2", "nix", "libc", "mio"],
        folders: &["actors", "bin", "tests", "benches"],
        rule: "only actors name sockets",
    },
    Reserved {
        names: &["tracing*", "log", "dashmap", "parking_lot", "arc-swap", "crossbeam*", "rayon", "once_cell"],
        folders: &["actors", "bin", "tests", "benches"],
        rule: "pure crates have no logs, locks, threads or globals",
    },
    Reserved {
        names: &["rand", "rand_*", "getrandom", "fastrand"],
        folders: &["tests", "benches", "fuzz"],
        rule: "chance comes in as bytes or a seed; ring makes the bytes in the shells",
    },
    Reserved {
        names: &["ring", "aws-lc-rs"],
        folders: &["tls", "transport", "actors", "bin", "tests", "benches"],
        rule: "cryptography is for tls, and for transport's tokens",
    },
    Reserved {
        names: &["axum*", "hyper*", "clap*", "indicatif", "ratatui"],
        folders: &["actors", "bin", "tests", "benches"],
        rule: "the command's libraries stay with the command",
    },
];

/// Every edge that a rule forbids.
pub(crate) fn broken(house: &House) -> Vec<Finding> {
    house.packages.iter().flat_map(|package| of_package(package, &house.packages)).collect()
}

fn of_package(package: &Package, packages: &[Package]) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.folder);
    let Some(room) = ROOMS.iter().find(|room| room.folder == package.folder) else {
        let what = "this folder is not in the dependency rule; add a line to ROOMS in xtask/src/dependencies.rs";
        return vec![Finding::new(manifest, what)];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let finding = |rule: &str| Finding::new(&manifest, format!("may not name `{}`: {rule}", dependency.name));
        if let Some(inside) = packages.iter().find(|other| other.name == dependency.name) {
            let tests_may = dependency.dev && room.tests_may.contains(&inside.folder.as_str());
            let itself = dependency.dev && inside.folder == package.folder;
            if !room.may.contains(&inside.folder.as_str()) && !tests_may && !itself {
                findings.push(finding(room.rule));
            }
        } else if package.folder == "xtask" && dependency.name != "serde_json" {
            findings.push(finding("xtask builds in seconds, from std and serde_json"));
        } else {
            let reserved = RESERVED.iter().filter(|reserved| reserved.is_about(&dependency.name));
            let reserved = reserved.filter(|reserved| !reserved.folders.contains(&package.folder.as_str()));
            findings.extend(reserved.map(|reserved| finding(reserved.rule)));
        }
    }
    findings
}

impl Reserved {
    fn is_about(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *known,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::Dependency;

    fn package(name: &str, folder: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, dev)| Dependency { name: (*name).to_owned(), dev: *dev });
        Package { name: name.to_owned(), folder: folder.to_owned(), dependencies: dependencies.collect() }
    }

    fn findings(package_to_judge: Package) -> Vec<Finding> {
        let others = ["codec", "recovery", "congestion", "tls", "transport", "telemetry"];
        let mut packages: Vec<Package> =
            others.iter().map(|folder| package(&format!("quicast-{folder}"), folder, &[])).collect();
        packages.push(package("quicast", "actors", &[]));
        of_package(&package_to_judge, &packages)
    }

    #[test]
    fn recovery_may_not_know_congestion() {
        let found = findings(package("quicast-recovery", "recovery", &[("quicast-congestion", false)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "recovery/Cargo.toml");
        assert!(found[0].what.contains("`quicast-congestion`") && found[0].what.contains("do not know each other"));
    }

    #[test]
    fn nothing_pure_may_name_the_runtime_not_even_in_tests() {
        for name in ["tokio", "tokio-util", "actix", "actix-rt"] {
            assert_eq!(findings(package("quicast-transport", "transport", &[(name, true)])).len(), 1, "{name}");
        }
    }

    #[test]
    fn only_telemetry_names_metrics() {
        assert_eq!(findings(package("quicast", "actors", &[("metrics", false)])).len(), 1);
        assert!(findings(package("quicast-telemetry", "telemetry", &[("metrics", false)])).is_empty());
    }

    #[test]
    fn the_command_goes_through_the_public_api() {
        assert!(findings(package("quicast-cli", "bin", &[("quicast", false)])).is_empty());
        assert_eq!(findings(package("quicast-cli", "bin", &[("quicast-transport", false)])).len(), 1);
    }

    #[test]
    fn what_the_drawing_shows_is_allowed() {
        let edges = ["quicast-codec", "quicast-recovery", "quicast-congestion", "quicast-tls", "bytes", "slab"];
        let edges: Vec<(&str, bool)> = edges.into_iter().map(|name| (name, false)).collect();
        assert!(findings(package("quicast-transport", "transport", &edges)).is_empty());
    }

    #[test]
    fn a_folder_without_a_rule_is_a_finding() {
        assert_eq!(findings(package("quicast-util", "util", &[])).len(), 1);
    }

    #[test]
    fn xtask_stays_small() {
        assert!(findings(package("xtask", "xtask", &[("serde_json", false)])).is_empty());
        assert_eq!(findings(package("xtask", "xtask", &[("regex", false)])).len(), 1);
        assert_eq!(findings(package("xtask", "xtask", &[("quicast-telemetry", false)])).len(), 1);
    }
}

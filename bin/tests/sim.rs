//! `quicast sim`: what it tells, that it is the same each time, and what it says of arguments that cannot be meant.

mod support;

use serde_json::Value;
use support::Folder;

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let folder = Folder::new();
    let all: Vec<&str> = [&["sim"], arguments].concat();
    let ended = folder.run(&all, b"");
    assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
    assert_eq!((ended.stderr.lines().count(), ended.stdout.len()), (1, 0), "{arguments:?}: {}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{arguments:?}: no {word:?} in {}", ended.stderr);
    }
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let folder = Folder::new();
    let all: Vec<&str> = [&["sim", "--json"], arguments].concat();
    let ended = folder.run(&all, b"");
    assert_eq!(ended.text().lines().count(), 1, "one line of JSON");
    serde_json::from_slice(ended.done()).unwrap()
}

#[test]
fn without_arguments_a_flow_fills_a_link() {
    let folder = Folder::new();
    let ended = folder.run(&["sim"], b"");
    let text = ended.text();
    for words in ["50 Mbit/s, 50 ms", "(1.00 bdp)", "seed 1", "used      9", "cubic", "congestion_avoidance"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert_eq!(ended.stderr, "", "nothing but the result in a pipe");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = Folder::new();
    let run = |seed: &str| {
        let arguments = ["sim", "--json", "--loss", "1%", "--seconds", "5", "--seed", seed];
        folder.run(&arguments, b"").done().to_vec()
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn flows_begin_end_swap_and_are_told_one_by_one() {
    let flows =
        ["--flow", "cubic;name=first;swap=newreno@4s;swap=cubic@6s", "--flow", "newreno;start=2s;stop=5s;count=2"];
    let told = json(&[&flows[..], &["--seconds", "8", "--samples", "80"]].concat());
    let flows = told["flows"].as_array().unwrap();
    let names: Vec<&str> = flows.iter().map(|flow| flow["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "newreno 1", "newreno 2"]);
    let swaps = flows[0]["swaps"].as_array().unwrap();
    assert_eq!((swaps.len(), &swaps[0]["to"], &swaps[1]["to"]), (2, &"newreno".into(), &"cubic".into()));
    assert!(swaps[0]["window_after_bytes"].as_u64() <= swaps[0]["window_before_bytes"].as_u64());
    let series = flows[1]["series"].as_array().unwrap();
    assert_eq!(series.len(), 81);
    let goodput = |place: usize| series[place]["goodput_bytes_per_second"].as_f64().unwrap();
    // Nothing before it starts, something while it sends, and nothing long after its end.
    assert!(goodput(19) == 0.0 && goodput(35) > 10_000.0 && goodput(75) == 0.0);
    assert!(flows[1]["completed_seconds"].as_f64().unwrap() > 5.0);
    assert_eq!(flows[0]["completed_seconds"], Value::Null);
    assert!(told["utilisation"].as_f64().unwrap() > 0.8 && told["seed"] == 1);
}

#[test]
fn the_link_is_what_it_was_asked_to_be() {
    let lossy = json(&["--loss", "2%", "--seconds", "10"]);
    let flow = &lossy["flows"][0];
    let share = flow["lost_packets"].as_f64().unwrap() / flow["sent_packets"].as_f64().unwrap();
    assert!((0.01..0.03).contains(&share), "{share}");
    let small = json(&["--rate", "10mbit", "--rtt", "20ms", "--queue", "30kB", "--seconds", "5"]);
    assert!(small["link"]["most_queued_bytes"].as_u64().unwrap() <= 30_000);
    assert_eq!(small["link"]["rate_bytes_per_second"], 1_250_000);
    // Marks instead of drops, and a short queue.
    let marked = json(&["--aqm", "codel-ecn", "--queue", "8bdp", "--ecn", "--seconds", "20"]);
    assert!(marked["flows"][0]["marked_packets"].as_u64().unwrap() > 0);
    assert!(marked["link"]["classic_wait"]["mean_seconds"].as_f64().unwrap() < 0.02);
    // Half of the rate from the middle on.
    let changed = json(&["--change", "5s;rate=10mbit;rtt=100ms", "--seconds", "10", "--samples", "100"]);
    let series = changed["link"]["series"].as_array().unwrap();
    let rate = |place: usize| series[place]["rate_bytes_per_second"].as_u64().unwrap();
    assert_eq!((rate(49), rate(51)), (6_250_000, 1_250_000));
    let written = json(&["--flow", "cubic;app=rate:2mbit", "--seconds", "5"]);
    let goodput = written["flows"][0]["goodput_bytes_per_second"].as_f64().unwrap();
    assert!((240_000.0..252_000.0).contains(&goodput), "{goodput}");
}

#[test]
fn a_picture_is_drawn() {
    let folder = Folder::new();
    let picture = folder.text("sim.svg");
    let arguments =
        ["sim", "--seconds", "3", "--flow", "cubic;swap=newreno@2s", "--flow", "newreno", "--plot", &picture];
    folder.run(&arguments, b"").done();
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("goodput in Mbit/s") && svg.contains("→ newreno"));
    let nowhere = folder.run(&["sim", "--seconds", "1", "--plot", "/none/sim.svg"], b"");
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("/none/sim.svg"), "{}", nowhere.stderr);
}

#[test]
fn what_cannot_be_meant_is_said_with_what_would_be_right() {
    refused(&["--flow", "cubik"], &["cubik", "did you mean \"cubic\"", "--flow"]);
    refused(&["--flow", "cubic;strat=2s"], &["did you mean \"start\""]);
    refused(&["--flow", "cubic;swap=newreno"], &["bbr@10s"]);
    refused(&["--rate", "fast"], &["--rate", "50mbit"]);
    refused(&["--rtt", "50"], &["--rtt", "50ms"]);
    refused(&["--queue", "long"], &["--queue", "0.5bdp"]);
    refused(&["--loss", "1"], &["--loss", "1%"]);
    refused(&["--burst-loss", "1%"], &["1%x8"]);
    refused(&["--aqm", "red"], &["--aqm", "droptail", "codel"]);
    refused(&["--reorder"], &["--jitter"]);
    refused(&["--change", "5s;rat=1mbit"], &["did you mean \"rate\""]);
    refused(&["--flow", "cubic;count=1000", "--flow", "cubic"], &["1001 flows", "1000 at most"]);
    refused(&["--seconds", "0"], &["--seconds"]);
}

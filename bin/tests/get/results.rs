//! What is told, and what it costs.

use super::*;

#[test]
fn results_are_told_to_people_and_programs() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/bytes/5");
    let file = folder.text("file");
    let told = fetch(&folder, &[&url, "-o", &file, "--json"]).json();
    for (name, value) in
        [("status", 200), ("bytes_down", 5), ("bytes_up", 0), ("retries", 0), ("exit_code", 0), ("packets_lost", 0)]
    {
        assert_eq!(told[name].as_u64(), Some(value), "{name}: {told}");
    }
    assert_eq!(
        (&told["version"], &told["reused"], &told["error"]),
        (&"3".into(), &false.into(), &serde_json::Value::Null)
    );
    let [dns, handshake, first, total] =
        ["time_dns", "time_handshake", "time_first_byte", "time_total"].map(|name| told[name].as_f64().unwrap());
    assert!(handshake > 0.0 && dns + handshake < first && first <= total, "{told}");
    // Where the content goes to standard output, the line does not.
    let mixed = fetch(&folder, &[&url, "--json"]);
    assert_eq!(mixed.done().len(), 5);
    assert!(serde_json::from_str::<serde_json::Value>(&mixed.stderr).is_ok(), "{}", mixed.stderr);
    let failed = fetch(&folder, &["https://[", "--json", "-s"]);
    let told: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
    assert!(told["exit_code"] == 3 && told["error"].as_str().unwrap().contains("]"), "{told}");
    std::fs::write(folder.path("format"), "%{http_code}\\t%{content_type}\\n%{stderr}%{scheme}").unwrap();
    let out = fetch(&folder, &[&url, "-o", &file, "-w", &format!("@{}", folder.text("format"))]);
    assert_eq!((out.text(), out.stderr.as_str()), ("200\tapplication/octet-stream\n", "https"));
    // The controller and the secrets are those of other commands.
    let keys = folder.text("keys");
    let out = fetch(&folder, &[&url, "-o", &file, "-v", "--cc", "newreno", "--keylog", &keys]);
    assert!(out.code == Some(0) && out.stderr.contains("congestion control newreno"), "{}", out.stderr);
    assert!(std::fs::read_to_string(&keys).unwrap().contains("CLIENT_TRAFFIC_SECRET_0 "));
    assert_eq!(out.stderr.matches("TLS secrets").count(), 1, "{}", out.stderr);
}

/// The most memory that a process has used so far, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &std::process::Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    high.and_then(|high| high.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_what_is_moved() {
    /// Some windows and buffers, in KiB; far less than what is moved.
    const BOUND: u64 = 64 * 1024;
    const MOVED: usize = 256 << 20;
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let down = format!("{url}/bytes/256M");
    let mut child = folder.command(&["get", &down]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut piece, mut came, mut peak_down) = (vec![0; 1 << 20], 0, 0);
    while let Ok(read @ 1..) = stdout.read(&mut piece) {
        came += read;
        peak_down = peak(&child).max(peak_down);
    }
    assert_eq!((child.wait().unwrap().code(), came), (Some(0), MOVED));
    assert!(peak_down > 0 && peak_down < BOUND, "{peak_down} KiB for a download");
    let swallow = |request: Request| async move {
        use futures_util::StreamExt as _;
        let mut pieces = request.into_body().into_data_stream();
        let mut sum = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            sum += piece.len();
        }
        format!("{sum}")
    };
    let peer = Peer::routes(&folder, Router::new().fallback(any(swallow)));
    let (up, trusted) = (peer.at("/"), folder.text("peer.pem"));
    let mut command = folder.command(&["get", &up, "--cacert", &trusted, "-T", "-", "-o", "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut peak_up) = (child.stdin.take().unwrap(), 0);
    for _ in 0..MOVED / piece.len() {
        stdin.write_all(&piece).unwrap();
        peak_up = peak(&child).max(peak_up);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(peak_up > 0 && peak_up < BOUND, "{peak_up} KiB for an upload");
    println!("peaks: {peak_down} KiB down, {peak_up} KiB up");
}

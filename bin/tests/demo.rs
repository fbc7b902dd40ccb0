//! The demo checks itself.

mod support;

use support::Folder;

#[test]
fn the_self_check_passes() {
    let folder = Folder::new();
    let ended = folder.run(&["demo", "--once"], b"");
    let text = ended.text();
    assert_eq!(text.lines().count(), 11, "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    assert_eq!(ended.stderr, "");
}

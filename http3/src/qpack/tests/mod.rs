//! Tests of both sides together.

use std::path::Path;

/// A file of the texts and vectors that stand beside the repository; `None`, with a word about it, if it is not there.
pub(super) fn shared(file: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(file);
    let bytes = std::fs::read(&path);
    if let Err(error) = &bytes {
        println!("skipped: {}: {error}", path.display());
    }
    bytes.ok()
}

//! Tests of both sides together.

use std::path::{Path, PathBuf};

mod appendix_b;
mod exchange;
mod offline;
mod vectors;

/// Where the texts and vectors stand, beside the repository.
fn shared_path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(file)
}

/// A file of the texts and vectors that stand beside the repository; `None`, with a word about it, if it is not there.
pub(super) fn shared(file: &str) -> Option<Vec<u8>> {
    let path = shared_path(file);
    let bytes = std::fs::read(&path);
    if let Err(error) = &bytes {
        println!("skipped: {}: {error}", path.display());
    }
    bytes.ok()
}

/// The files of a folder of them, sorted; `None`, with a word about it, if it is not there.
pub(super) fn shared_folder(folder: &str) -> Option<Vec<PathBuf>> {
    let path = shared_path(folder);
    match std::fs::read_dir(&path) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            Some(files)
        }
        Err(error) => {
            println!("skipped: {}: {error}", path.display());
            None
        }
    }
}

//! Programs of others from PyPI, fetched once for all tests.

use std::path::PathBuf;
use std::process::Command;

use crate::common::skip;

/// A folder for PYTHONPATH with these packages, the first of which is
/// `NAME==VERSION`; nothing if they cannot be had.
pub fn fetch(packages: &[&str]) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(packages[0].replace("==", "-"));
    if folder.is_dir() {
        return Some(folder);
    }
    // Complete, or not there: others may look for it at the same moment.
    let draft = folder.with_extension(format!("{}.draft", std::process::id()));
    let fetched = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(&draft)
        .args(packages)
        .output();
    if !fetched.as_ref().is_ok_and(|it| it.status.success()) {
        skip(&format!("pip install {} fails: {fetched:?}", packages[0]));
        return None;
    }
    let _ = std::fs::rename(&draft, &folder);
    Some(folder)
}

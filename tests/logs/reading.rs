//! Logs as a test reads them: all backups and the current file, oldest first.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::common::{Going, Place, children, strings, wait_until};

/// The options for a going that keeps logs.
pub const LOGGING: &[&str] = &["-o", "stdout=log", "-o", "stderr=stdout"];

/// A number of a backup; the current file has none.
fn number(file: &str, name: &str) -> Option<u64> {
    let rest = file.strip_prefix(name)?.strip_prefix(".log")?;
    if rest.is_empty() {
        return Some(0);
    }
    rest.strip_prefix('.')?.trim_end_matches(".gz").parse().ok()
}

/// The files of a log, the oldest first.
pub fn files(place: &Place, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.dir.join("log")).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|it| {
            let file = it.file_name().into_string().ok()?;
            Some((number(&file, name)?, file.ends_with(".gz"), it.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    // One that is just being compressed may be there twice.
    found.dedup_by_key(|it| it.0);
    found.into_iter().map(|it| it.2).collect()
}

/// All that was ever logged, as far as it is kept.
pub fn text(place: &Place, name: &str) -> String {
    let mut bytes = None;
    // A file that was there may be a compressed one by the time it is opened.
    wait_until("its files to stay", || {
        let before = files(place, name);
        bytes = before.iter().map(|it| read(it)).collect::<Option<Vec<_>>>();
        bytes.is_some() && files(place, name) == before
    });
    String::from_utf8(bytes.unwrap().concat()).expect("text")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).ok()?;
    if path.extension().is_some_and(|it| it == "gz") {
        MultiGzDecoder::new(file).read_to_end(&mut bytes).ok()?;
    } else {
        file.read_to_end(&mut bytes).ok()?;
    }
    Some(bytes)
}

/// The lines of the service, without their times and without what going says.
pub fn lines(place: &Place, name: &str) -> Vec<String> {
    text(place, name).lines().map(bare).filter(|it| !it.starts_with("--- ")).collect()
}

/// A line without its time.
fn bare(line: &str) -> String {
    match line.split_once(' ') {
        Some((time, rest)) if time.len() == 24 && time.ends_with('Z') => rest.to_owned(),
        _ => line.to_owned(),
    }
}

/// What going says in a log.
pub fn marks(place: &Place, name: &str) -> Vec<String> {
    text(place, name).lines().map(bare).filter(|it| it.starts_with("--- ")).collect()
}

/// Waits until the log has these lines and no others.
#[track_caller]
pub fn wait_lines(place: &Place, name: &str, expected: &[&str]) {
    wait_until(&format!("{expected:?} in the log of {name}"), || lines(place, name) == expected);
}

/// The size of all files of a log, which changes with whatever is written.
pub fn bytes(place: &Place, name: &str) -> u64 {
    files(place, name).iter().map(|it| fs::metadata(it).map_or(0, |it| it.len())).sum()
}

/// The last line of a log, without its time.
pub fn last_line(place: &Place, name: &str) -> Option<String> {
    // The current file is empty when that line was the one that filled it.
    let is_whole = |it: &PathBuf| fs::metadata(it).is_ok_and(|it| it.len() > 0);
    let newest = files(place, name).into_iter().rev().find(is_whole)?;
    let mut file = fs::File::open(newest).ok()?;
    let end = file.seek(SeekFrom::End(0)).unwrap();
    file.seek(SeekFrom::Start(end.saturating_sub(200))).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.strip_suffix('\n')?.lines().last().map(bare)
}

/// Whether the last line of a log is what going says of an end.
pub fn marks_end(place: &Place, name: &str) -> bool {
    last_line(place, name).is_some_and(|it| it.starts_with("--- exit status"))
}

/// The pid of the going-log that runs, if one does.
pub fn logger(going: &Going) -> Option<i32> {
    let is_it = |it: &i32| strings(*it, "environ").contains(&"GOING_SERVICE=going-log".to_owned());
    let is_program =
        |it: &i32| strings(*it, "cmdline").first().is_some_and(|it| it.ends_with("log"));
    children(going.pid).into_iter().find(|it| is_it(it) && is_program(it))
}

/// Waits for a going-log, which must be another one than `old`.
#[track_caller]
pub fn wait_logger(going: &Going, old: Option<i32>) -> i32 {
    let mut found = None;
    wait_until("a going-log", || {
        found = logger(going).filter(|it| Some(*it) != old);
        found.is_some()
    });
    found.unwrap()
}

/// Fails unless the lines are the numbers from 1 to `last`, once each, in order.
#[track_caller]
pub fn assert_counts(lines: &[String], last: usize) {
    for (index, line) in lines.iter().enumerate() {
        let around = &lines[index.saturating_sub(2)..(index + 3).min(lines.len())];
        assert_eq!(*line, (index + 1).to_string(), "line {} of {around:?}", index + 1);
    }
    assert_eq!(lines.len(), last, "lines in all");
}

//! Backups: `.1` is the newest, and the higher the number, the older. Whenever
//! we are killed, what is there is complete and in order, but for a number which
//! may be missing; the next rotation fills the gap instead of dropping the last.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::libc;
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::stamp::Stamp;

/// What the time in a name looks like.
const TIME: &str = "00000000T000000.000";

/// Whether there is anything of that name.
fn is_there(dir: BorrowedFd, name: &str) -> bool {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
}

fn rename(dir: BorrowedFd, old: &str, new: &str) -> io::Result<()> {
    match renameat(dir, old, dir, new) {
        Err(Errno::ENOENT) => Ok(()),
        done => Ok(done?),
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// What unlinkat(2) says.
pub fn remove(dir: BorrowedFd, name: &str) -> io::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => Ok(done?),
    }
}

/// Makes a backup of a log; `keep` 0 is for ever, and names the backup by time.
///
/// # Errors
/// What the file system says. Nothing is lost then.
pub fn rotate(
    dir: BorrowedFd,
    directory: &Path,
    base: &str,
    keep: u32,
    millis: u64,
) -> io::Result<()> {
    let current = format!("{base}.log");
    if keep == 0 {
        let time = time_of(directory, base, millis)?;
        return rename(dir, &current, &format!("{base}.log.{time}"));
    }
    let number = |number: u32| format!("{base}.log.{number}");
    let zipped = |number: u32| format!("{base}.log.{number}.gz");
    let has = |number| is_there(dir, &number_of(base, number)) || is_there(dir, &zipped(number));
    // More than are to be kept may be left from before.
    let mut beyond = keep.saturating_add(1);
    while has(beyond) {
        remove(dir, &number(beyond))?;
        remove(dir, &zipped(beyond))?;
        beyond = beyond.saturating_add(1);
    }
    let gap = (1..=keep).find(|&number| !has(number)).unwrap_or(keep);
    remove(dir, &number(gap))?;
    remove(dir, &zipped(gap))?;
    for from in (1..gap).rev() {
        rename(dir, &number(from), &number(from + 1))?;
        rename(dir, &zipped(from), &zipped(from + 1))?;
    }
    rename(dir, &current, &number(1))
}

/// The time of a backup: after that of all others, even if the clock was put back,
/// for they are read in this order.
fn time_of(directory: &Path, base: &str, millis: u64) -> io::Result<String> {
    let start = format!("{base}.log.");
    let mut time = Stamp::of_name(millis);
    for (part, name) in parts(directory, base)? {
        let Part::Timed { .. } = part else { continue };
        let other = name.strip_prefix(&start).and_then(|rest| rest.get(..TIME.len()));
        if let Some(other) = other.filter(|other| **other >= *time) {
            time = after(other);
        }
    }
    Ok(time)
}

/// The next time in the order of names. It need not be one of a clock: after the
/// second 59 may come 60.
fn after(time: &str) -> String {
    let digits: String = time.chars().filter(char::is_ascii_digit).collect();
    let next = format!("{:017}", digits.parse::<u64>().unwrap_or(0).saturating_add(1));
    let (date, clock) = next.split_at_checked(8).unwrap_or_default();
    let (seconds, millis) = clock.split_at_checked(6).unwrap_or_default();
    format!("{date}T{seconds}.{millis}")
}

fn number_of(base: &str, number: u32) -> String {
    format!("{base}.log.{number}")
}

/// What kind of file of a log a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A backup with a number, compressed or not.
    Numbered { number: u32, is_zipped: bool },
    /// A backup with a time.
    Timed { is_zipped: bool },
    /// What compression was at work on.
    Temporary,
}

/// What `name` is to the log called `base`, if it is a part of it.
pub fn part(base: &str, name: &str) -> Option<Part> {
    if name == temporary(base) {
        return Some(Part::Temporary);
    }
    let rest = name.strip_prefix(base)?.strip_prefix(".log.")?;
    let (rest, is_zipped) = rest.strip_suffix(".gz").map_or((rest, false), |rest| (rest, true));
    if let Ok(number) = rest.parse() {
        let is_ours = rest == format!("{number}") && number > 0;
        return is_ours.then_some(Part::Numbered { number, is_zipped });
    }
    let is_time = rest.len() == TIME.len()
        && rest
            .bytes()
            .zip(TIME.bytes())
            .all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form });
    is_time.then_some(Part::Timed { is_zipped })
}

/// What a backup is called while it is being compressed.
pub fn temporary(base: &str) -> String {
    format!(".{base}.log.gz-new")
}

/// All parts of a log but the log itself.
///
/// # Errors
/// What readdir(3) says.
pub fn parts(directory: &Path, base: &str) -> io::Result<Vec<(Part, String)>> {
    let names = std::fs::read_dir(directory)?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| Some((part(base, &name)?, name))).collect())
}

/// A backup that is to be compressed, the oldest first: all but the newest.
///
/// # Errors
/// What readdir(3) and unlinkat(2) say.
pub fn uncompressed(
    dir: BorrowedFd,
    directory: &Path,
    base: &str,
    keep: u32,
) -> io::Result<Option<String>> {
    let mut plain = Vec::new();
    for (part, name) in parts(directory, base)? {
        match part {
            // The compressed one is complete, or it would have another name;
            // somebody was killed before he could remove this one. Unless it is
            // something else which others made.
            Part::Numbered { is_zipped: false, .. } | Part::Timed { is_zipped: false }
                if is_there(dir, &format!("{name}.gz")) =>
            {
                if is_same(directory, &name).unwrap_or(false) {
                    remove(dir, &name)?;
                }
            }
            Part::Numbered { number, is_zipped: false } if keep > 0 && number >= 2 => {
                plain.push((u32::MAX - number, name));
            }
            Part::Timed { is_zipped: false } if keep == 0 => plain.push((0, name)),
            Part::Numbered { .. } | Part::Timed { .. } | Part::Temporary => {}
        }
    }
    plain.sort();
    if keep == 0 {
        plain.pop();
    }
    Ok(plain.into_iter().next().map(|(_, name)| name))
}

/// Whether a backup was compressed into the file that has its name: as old, and as
/// long as gzip(1) notes at the end.
fn is_same(directory: &Path, name: &str) -> io::Result<bool> {
    let open = |name: &str| {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        OpenOptions::new().read(true).custom_flags(flags).open(directory.join(name))
    };
    let (plain, zipped) = (open(name)?.metadata()?, open(&format!("{name}.gz"))?);
    let stat = zipped.metadata()?;
    let mut length = [0; 4];
    zipped.read_exact_at(&mut length, stat.size().saturating_sub(4))?;
    let is_as_long = u64::from(u32::from_le_bytes(length)) == plain.size() % (1 << 32);
    Ok(is_as_long && plain.modified()? == stat.modified()?)
}

/// Removes all backups.
///
/// # Errors
/// What the file system says.
pub fn remove_backups(dir: BorrowedFd, directory: &Path, base: &str) -> io::Result<()> {
    for (part, name) in parts(directory, base)? {
        if part != Part::Temporary {
            remove(dir, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "rotate_tests.rs"]
mod tests;

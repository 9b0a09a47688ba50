//! The file that names our pid, for scripts which look for one; and the opening of
//! files that somebody else could have put in our way. A pidfile is locked as long as
//! we live, so that a stale one can be told from one that is not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Uid;

use super::rundir::{Refusal, is_same, lock};
use super::stat::Stat;
use crate::supervise::Pid;
use crate::sys::{self, processes};

/// Clocks and file systems do not agree on the second.
const SLACK: u64 = 2;

/// A file that names us; it is removed with this.
pub(super) struct Pidfile {
    path: PathBuf,
    file: File,
}

impl Pidfile {
    /// Takes this file, unless a living process has it.
    pub(super) fn take(path: &Path) -> Result<Pidfile, Refusal> {
        let mut file = open(path, OpenOptions::new().read(true).write(true), 0o644)?;
        let mut holder = String::new();
        // More than a pid is none.
        (&file).take(32).read_to_string(&mut holder)?;
        let holder = holder.trim();
        if !lock(&file)? || is_live(holder, &file) {
            return Err(Refusal::Held(holder.to_owned()));
        }
        if !is_same(&file, path) {
            // Removed by its last owner while we opened it; the next one is ours.
            file = open(path, OpenOptions::new().read(true).write(true).create_new(true), 0o644)?;
            if !lock(&file)? {
                return Err(Refusal::Held(String::new()));
            }
        }
        file.set_len(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Pidfile { path: path.to_owned(), file })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if is_same(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the process that is named in a file can be the one that wrote it: it lives,
/// and did so before.
fn is_live(holder: &str, file: &File) -> bool {
    let Some(pid) = holder.parse().ok().filter(|&pid| pid > 0).map(Pid) else { return false };
    if u32::try_from(pid.0) == Ok(std::process::id()) || !processes::is_there(pid) {
        return false;
    }
    let Some(stat) = Stat::read(pid) else { return true };
    let age = sys::ticks().saturating_sub(stat.started) / 100;
    let written_at = file.metadata().map_or(0, |it| it.mtime());
    let since = sys::wall_seconds().saturating_sub(written_at);
    !stat.is_dead && u64::try_from(since).is_ok_and(|since| age.saturating_add(SLACK) >= since)
}

/// Opens a file of our own, or makes it. Whoever can write to its directory must not
/// make us write to another one.
///
/// # Errors
/// What open(2) says, and what is wrong with it.
pub(super) fn open(path: &Path, how: &mut OpenOptions, mode: u32) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = how.create(true).mode(mode).custom_flags(flags).open(path)?;
    let stat = file.metadata()?;
    let is_ours = stat.uid() == Uid::effective().as_raw();
    let is_device = stat.file_type().is_char_device() && stat.uid() == 0;
    if is_device || is_ours && stat.is_file() && stat.nlink() == 1 {
        return Ok(file);
    }
    Err(io::Error::other("it must be a file of ours, and no link"))
}

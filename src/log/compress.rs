//! Backups are compressed by a child of our own, one at a time and with the
//! least priority: reading never waits for it. It writes to another name, which
//! becomes the right one when all of it is on the disk.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::renameat;
use nix::libc;
use nix::sys::stat::Mode;

use super::files::Files;
use super::news::Level;
use super::rotate::{Part, parts, remove, temporary, uncompressed};
use crate::supervise::{Exit, Pid};
use crate::sys::child::{self, Program};
use crate::sys::sandbox::Wrapping;
use crate::sys::{self, streams::Source};

/// So long until a failed one is tried again, in milliseconds.
const PATIENCE: u64 = 60_000;

/// Who compresses, and what is to be compressed.
#[derive(Default)]
pub struct Compressor {
    running: Option<Job>,
    /// Logs that may have a backup to compress, with how many they may have.
    waiting: VecDeque<(String, u32)>,
    /// Not before this.
    pub retry_at: Option<u64>,
    is_failure_told: bool,
}

/// What is being compressed.
struct Job {
    pid: Pid,
    base: String,
    keep: u32,
    /// Known by its number, for a rotation may rename it meanwhile; and held
    /// open, so that no other file gets that number.
    source: File,
}

impl Compressor {
    /// This log may have something to compress.
    pub fn add(&mut self, base: String, keep: u32) {
        if keep != 1 && self.waiting.iter().all(|(waiting, _)| *waiting != base) {
            self.waiting.push_back((base, keep));
        }
    }

    /// Begins with the next one, if there is one and nobody is at work.
    pub fn start(&mut self, files: &mut Files, now: u64) {
        if self.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.retry_at = None;
        while self.running.is_none() {
            let Some((base, keep)) = self.waiting.pop_front() else { return };
            match begin(files, &base, keep) {
                Ok(job) => self.running = job,
                Err(error) => return self.fail(files, &base, keep, &sys::explain(&error), now),
            }
        }
    }

    fn fail(&mut self, files: &mut Files, base: &str, keep: u32, why: &str, now: u64) {
        if !std::mem::replace(&mut self.is_failure_told, true) {
            let text = format!("a backup of {base}.log cannot be compressed: {why}");
            files.news.add(Level::Warning, text);
        }
        self.add(base.to_owned(), keep);
        self.retry_at = Some(now.saturating_add(PATIENCE));
    }

    /// A child of ours has ended.
    pub fn hear(&mut self, pid: Pid, exit: Exit, files: &mut Files, now: u64) {
        let Some(job) = self.running.take_if(|job| job.pid == pid) else { return };
        let done = if exit == Exit::Code(0) {
            put_in_place(files, &job).map_err(|error| sys::explain(&error))
        } else {
            Err(match exit {
                Exit::Code(code) => format!("exit status {code}"),
                Exit::Signal { signal, .. } => format!("killed by signal {}", signal.0),
                Exit::Memory | Exit::Unknown => "exit unknown".to_owned(),
            })
        };
        match done {
            Ok(()) => {
                self.is_failure_told = false;
                // There may be another one.
                self.add(job.base, job.keep);
            }
            Err(why) => {
                let _ = files.dir().and_then(|dir| remove(dir, &temporary(&job.base)));
                self.fail(files, &job.base, job.keep, &why, now);
            }
        }
    }
}

/// Starts the child, if there is something for it.
fn begin(files: &mut Files, base: &str, keep: u32) -> io::Result<Option<Job>> {
    let directory = files.directory.clone();
    let Some(name) = uncompressed(files.dir()?, &directory, base, keep)? else { return Ok(None) };
    // Opened here and now: by the time the child runs, a rotation may have given
    // these names to other files.
    let (source, target) = open(files, &directory.join(name), &temporary(base))?;
    let text = |text: &str| CString::new(text).map_err(io::Error::other);
    let words = ["going-log", "--compress"];
    let program = Program {
        path: text("/proc/self/exe")?,
        argv: words.into_iter().map(text).collect::<io::Result<_>>()?,
        envp: Vec::new(),
        cwd: text(&directory.to_string_lossy())?,
        umask: Mode::from_bits_truncate(0o077),
        identity: None,
        streams: [
            Source::Descriptor(source.as_raw_fd()),
            Source::Descriptor(target.as_raw_fd()),
            Source::Inherit,
        ],
        wrapping: Wrapping::default(),
        passed: Vec::new(),
        voice: None,
        has_terminal: false,
        cgroup: None,
        slack: None,
    };
    let null = sys::fds::open_null()?;
    let spawned = child::spawn(&program, null.as_fd(), None);
    // Whether it became our program is told by how it ends.
    let (pid, _) = spawned.map_err(|fault| io::Error::from_raw_os_error(fault.errno))?;
    Ok(Some(Job { pid, base: base.to_owned(), keep, source }))
}

/// Opens the backup, and the file which takes its place when all is in it.
fn open(files: &mut Files, from: &Path, to: &str) -> io::Result<(File, File)> {
    remove(files.dir()?, to)?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let source = OpenOptions::new().read(true).custom_flags(flags).open(from)?;
    let stat = source.metadata()?;
    if !stat.is_file() || stat.nlink() > 1 {
        return Err(io::Error::other(super::files::reason(super::files::NO_FILE)));
    }
    let mut options = OpenOptions::new();
    let target = options.write(true).create_new(true).mode(0o640).custom_flags(flags);
    let target = target.open(from.with_file_name(to))?;
    // Whoever may write here must not have a program of his made into one of ours.
    target.set_permissions(Permissions::from_mode(stat.mode() & 0o777))?;
    Ok((source, target))
}

/// Gives the compressed file the name of what it was made of, wherever that is now.
fn put_in_place(files: &mut Files, job: &Job) -> io::Result<()> {
    let (directory, temporary) = (files.directory.clone(), temporary(&job.base));
    let backups = parts(&directory, &job.base)?.into_iter();
    let mut backups = backups.filter(|(part, _)| {
        matches!(part, Part::Numbered { is_zipped: false, .. } | Part::Timed { is_zipped: false })
    });
    let ino = job.source.metadata()?.ino();
    let is_it =
        |name: &str| fs::symlink_metadata(directory.join(name)).is_ok_and(|stat| stat.ino() == ino);
    let dir = files.dir()?;
    let Some((_, name)) = backups.find(|(_, name)| is_it(name)) else {
        // It fell off the end, or was cleared away.
        return remove(dir, &temporary);
    };
    renameat(dir, temporary.as_str(), dir, format!("{name}.gz").as_str())?;
    remove(dir, &name)
}

/// Removes what was left by one who was killed.
pub fn clean_up(files: &mut Files) {
    let Ok(names) = fs::read_dir(&files.directory) else { return };
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left = names.filter(|name| name.starts_with('.') && name.ends_with(".log.gz-new"));
    for name in left.collect::<Vec<_>>() {
        let _ = files.dir().and_then(|dir| remove(dir, &name));
    }
}

/// What the child does: compresses its stdin to its stdout, a file.
///
/// # Errors
/// What the file system says.
pub fn compress() -> io::Result<()> {
    sys::pipes::be_modest();
    let target = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut encoder = GzEncoder::new(target, Compression::default());
    let mut source = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    io::copy(&mut source, &mut encoder)?;
    let target = encoder.finish()?;
    // As gzip(1) does; and it tells whose other half this is.
    target.set_modified(source.metadata()?.modified()?)?;
    // The original is removed as soon as we have ended.
    target.sync_all()
}

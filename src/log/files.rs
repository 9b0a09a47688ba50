//! The logs: opened, watched over, and tried again when they cannot be written.
//! Only a plain file with one name is ever written to, since whoever can make
//! links in the directory must not choose what we change.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::libc;
use nix::sys::stat::{Mode, fstat};

use super::lines::Loss;
use super::news::{Level, News};
use super::records::{Record, Records, hash, step};
use crate::sys;

/// In place of an error number: there is something, but no file of ours.
pub const NO_FILE: u64 = 1 << 32;

/// So long until a log that cannot be written is tried again, in milliseconds.
const PATIENCE: u64 = 1000;

/// All logs in use.
pub struct Files {
    /// Where they are.
    pub directory: PathBuf,
    dir: Option<OwnedFd>,
    logs: Vec<Log>,
    /// For going's report.
    pub news: News,
}

/// One of them.
pub struct Log {
    /// Its name without `.log`.
    pub base: String,
    hash: u64,
    file: Option<File>,
    /// The file, as stat(2) tells.
    pub dev: u64,
    /// Its number.
    pub ino: u64,
    /// It ends with a newline, or is empty.
    pub is_at_start: bool,
    /// Whose line is open.
    pub owner: Option<u64>,
    /// It was opened before, so that we know better than any record.
    is_known: bool,
    /// The owner is not the one it was.
    pub is_taken_over: bool,
    /// To be opened anew where a line begins.
    is_leaving: bool,
    /// Why it cannot be written.
    trouble: Option<u64>,
    /// When it is tried again.
    pub retry_at: u64,
    /// Until then it is not rotated, because that failed.
    pub rotate_at: u64,
    /// So large it may become without running out of space.
    reserved: u64,
    /// What streams lost that ended meanwhile, and why.
    pub left_over: (Loss, u64),
}

/// What went wrong, in words.
pub fn reason(errno: u64) -> String {
    match i32::try_from(errno) {
        Ok(errno) => sys::describe(errno),
        Err(_) => "not a plain file with one name".to_owned(),
    }
}

/// The number of an error, as logs keep it.
pub fn number(error: &io::Error) -> u64 {
    u64::try_from(error.raw_os_error().unwrap_or(libc::EIO)).unwrap_or(0)
}

impl Files {
    /// The logs in that directory; none is opened yet.
    pub fn new(directory: PathBuf) -> Files {
        Files { directory, dir: None, logs: Vec::new(), news: News::default() }
    }

    /// Opens the directory, which is made if it is not there.
    ///
    /// # Errors
    /// What mkdir(2) and open(2) say.
    pub fn dir(&mut self) -> io::Result<BorrowedFd<'_>> {
        if self.is_elsewhere() {
            self.reopen();
        }
        if self.dir.is_none() {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_DIRECTORY);
            let opened = options.open(&self.directory).or_else(|error| {
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(error);
                }
                DirBuilder::new().recursive(true).mode(0o750).create(&self.directory)?;
                options.open(&self.directory)
            });
            self.dir = Some(opened?.into());
        }
        self.dir.as_ref().map(AsFd::as_fd).ok_or(io::ErrorKind::NotFound.into())
    }

    /// Whether another directory has the name of the one that is open.
    fn is_elsewhere(&self) -> bool {
        let stat = |dir: &OwnedFd| fstat(dir).ok().map(|it| (it.st_dev, it.st_ino));
        let here = self.dir.as_ref().and_then(stat);
        let named = fs::metadata(&self.directory).map(|it| (it.dev(), it.ino()));
        named.is_ok_and(|named| here.is_some_and(|here| here != named))
    }

    /// Closes everything, to be opened again by its name; a log with an open line
    /// only when that has ended, for nobody wants the other half elsewhere.
    pub fn reopen(&mut self) {
        self.dir = None;
        for log in &mut self.logs {
            log.is_leaving = true;
            log.retry_at = 0;
        }
    }

    /// The names of all logs in use, without `.log`.
    pub fn names(&self) -> Vec<String> {
        self.logs.iter().map(|log| log.base.clone()).collect()
    }

    /// Forgets logs which are not `used` any more.
    pub fn retain(&mut self, is_used: impl Fn(&str) -> bool) {
        self.logs.retain(|log| log.trouble.is_some() || is_used(&log.base));
    }

    /// A log by its name.
    pub fn get(&mut self, base: &str) -> Option<&mut Log> {
        self.logs.iter_mut().find(|log| log.base == base)
    }

    fn add(&mut self, base: &str) -> usize {
        if let Some(index) = self.logs.iter().position(|log| log.base == base) {
            return index;
        }
        self.logs.push(Log {
            base: base.to_owned(),
            hash: hash(base.as_bytes()),
            file: None,
            dev: 0,
            ino: 0,
            is_at_start: true,
            owner: None,
            is_known: false,
            is_taken_over: true,
            is_leaving: false,
            trouble: None,
            retry_at: 0,
            rotate_at: 0,
            reserved: 0,
            left_over: Default::default(),
        });
        self.logs.len() - 1
    }

    /// The log, ready to be written, and how large it is.
    ///
    /// # Errors
    /// The number of why it cannot be; it is not tried again too soon.
    pub fn ready(
        &mut self,
        base: &str,
        records: &Records,
        now: u64,
    ) -> Result<(&mut Log, u64), u64> {
        let index = self.add(base);
        let log = self.logs.get_mut(index).ok_or(NO_FILE)?;
        if let Some(errno) = log.trouble.filter(|_| now < log.retry_at) {
            return Err(errno);
        }
        if log.is_leaving && log.is_at_start {
            log.close();
        }
        let stat = log.file.as_ref().and_then(|file| file.metadata().ok());
        let stat = stat.filter(|stat| stat.nlink() > 0 || !log.is_at_start);
        let size = match stat {
            Some(stat) => stat.size(),
            None => {
                log.close();
                match self.open(index, records) {
                    Ok(size) => size,
                    Err(errno) => {
                        self.fail(base, errno, now);
                        return Err(errno);
                    }
                }
            }
        };
        let log = self.logs.get_mut(index).ok_or(NO_FILE)?;
        if size == 0 {
            // Somebody may have emptied it.
            log.is_at_start = true;
        }
        Ok((log, size))
    }

    fn open(&mut self, index: usize, records: &Records) -> Result<u64, u64> {
        let name = format!("{}.log", self.logs.get(index).ok_or(NO_FILE)?.base);
        let (mut file, mut stat) = match self.open_named(&name) {
            Err(errno) if errno == number(&Errno::ENOENT.into()) => {
                // The directory is gone; perhaps we may make another one.
                self.dir = None;
                self.open_named(&name)
            }
            opened => opened,
        }?;
        let log = self.logs.get(index).ok_or(NO_FILE)?;
        let mut open = records.all().map(|(_, record)| record);
        let is_open = |record: &Record| record.log == log.hash && record.flow.column > 0;
        let open = if log.is_known { None } else { open.find(is_open) };
        let mut is_leaving = false;
        if let Some(ino) = open.map(|open| open.ino).filter(|ino| *ino != stat.ino()) {
            // It was moved away while a line was open, which goes on in there.
            if let Some(found) = self.find(&name, ino) {
                (file, stat) = found;
                is_leaving = true;
            }
        }
        let is_at_start = is_at_start(&file, stat.size());
        let log = self.logs.get_mut(index).ok_or(NO_FILE)?;
        (log.dev, log.ino) = (stat.dev(), stat.ino());
        log.owner = open.filter(|open| open.ino == stat.ino()).map(|open| open.id);
        log.is_taken_over = true;
        log.is_known = true;
        log.is_at_start = is_at_start;
        log.is_leaving = is_leaving;
        log.reserved = 0;
        log.file = Some(file);
        Ok(stat.size())
    }

    /// Opens a file of that name if it is one that we may write to.
    fn open_named(&mut self, name: &str) -> Result<(File, Metadata), u64> {
        let dir = self.dir().map_err(|error| number(&error))?;
        let flags = OFlag::O_RDWR
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let file = match openat(dir, name, flags, Mode::from_bits_truncate(0o640)) {
            Ok(file) => File::from(file),
            // A link, a directory, a socket.
            Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => return Err(NO_FILE),
            Err(errno) => return Err(number(&errno.into())),
        };
        let stat = file.metadata().map_err(|error| number(&error))?;
        let is_ours = stat.is_file() && stat.nlink() == 1;
        if is_ours { Ok((file, stat)) } else { Err(NO_FILE) }
    }

    /// The file of that number among those whose names begin with that of a log.
    fn find(&mut self, name: &str, ino: u64) -> Option<(File, Metadata)> {
        let names = fs::read_dir(&self.directory).ok()?.flatten();
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.find_map(|other| {
            // Opened to look at it, but it is not to be made.
            let path = self.directory.join(&other);
            let is_it = other.starts_with(name)
                && fs::symlink_metadata(path).is_ok_and(|stat| stat.ino() == ino);
            if is_it { self.open_named(&other).ok() } else { None }
        })
    }

    /// Opens the file which was being written when somebody was killed, wherever
    /// it is now; false if it is not to be found.
    pub fn resume(&mut self, base: &str, dev: u64, ino: u64, owner: Option<u64>) -> bool {
        let Some((file, stat)) = self.find(&format!("{base}.log"), ino) else { return false };
        let index = self.add(base);
        let Some(log) = self.logs.get_mut(index).filter(|_| stat.dev() == dev) else {
            return false;
        };
        (log.dev, log.ino, log.owner) = (dev, ino, owner);
        log.is_at_start = is_at_start(&file, stat.size());
        log.file = Some(file);
        log.is_known = true;
        // Unless it is the current one, another one takes over where a line begins.
        let current = fs::symlink_metadata(self.directory.join(format!("{base}.log")));
        log.is_leaving = current.map_or(true, |current| current.ino() != ino);
        true
    }

    /// Empties a log, if there is one.
    ///
    /// # Errors
    /// What the file system says, or that it is no file of ours.
    pub fn empty(&mut self, base: &str) -> io::Result<()> {
        let name = format!("{base}.log");
        match fs::symlink_metadata(self.directory.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let opened = self.open_named(&name);
        let (file, _) = opened.map_err(|errno| io::Error::other(reason(errno)))?;
        file.set_len(0)
    }

    /// A log cannot be written: it is told once, and tried again later.
    pub fn fail(&mut self, base: &str, errno: u64, now: u64) {
        let Some(log) = self.logs.iter_mut().find(|log| log.base == base) else { return };
        log.retry_at = now.saturating_add(PATIENCE);
        let is_new = log.trouble.replace(errno) != Some(errno);
        if is_new {
            let text = format!("{base}.log cannot be written: {}", reason(errno));
            self.news.add(Level::Error, text);
        }
    }

    /// A log could be written.
    pub fn succeed(&mut self, base: &str) {
        let log = self.logs.iter_mut().find(|log| log.base == base);
        if log.and_then(|log| log.trouble.take()).is_some() {
            self.news.add(Level::Info, format!("{base}.log is written again"));
        }
    }
}

/// What is written at once: all, unless a test wants to be killed in between.
fn piece(bytes: &[u8]) -> &[u8] {
    if cfg!(test) { bytes.get(..7).unwrap_or(bytes) } else { bytes }
}

/// Whether a file ends where a line does.
fn is_at_start(file: &File, size: u64) -> bool {
    let mut last = [0];
    match size.checked_sub(1) {
        None => true,
        Some(at) => file.read_at(&mut last, at).is_ok_and(|_| last == *b"\n"),
    }
}

impl Log {
    /// How large it is.
    pub fn size(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |stat| stat.size())
    }

    /// Adds to it; what is written before an error, and the number of that.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), (usize, u64)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = bytes.len() - rest.len();
            let Some(file) = &mut self.file else { return Err((written, NO_FILE)) };
            step();
            match file.write(piece(rest)) {
                Ok(0) => return Err((written, number(&Errno::ENOSPC.into()))),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, number(&error))),
            }
        }
        Ok(())
    }

    /// Cuts it back.
    pub fn cut(&mut self, size: u64) {
        if let Some(file) = &self.file {
            // If that fails, too, half a line stays; the next one begins with a
            // newline.
            let _ = file.set_len(size);
            self.is_at_start = is_at_start(file, size);
        }
        self.reserved = 0;
        self.owner = None;
    }

    /// Who wrote last, and whether that ended with a newline.
    pub fn wrote(&mut self, id: u64, is_at_start: bool) {
        self.is_taken_over |= self.owner != Some(id);
        self.owner = Some(id);
        self.is_at_start = is_at_start;
    }

    /// Sees to it that the file can become so large, whatever happens to the
    /// disk; how large it can.
    ///
    /// # Errors
    /// What fallocate(2) says, unless this file system knows no such thing.
    pub fn reserve(&mut self, size: u64, more: u64) -> Result<u64, u64> {
        if size.saturating_add(more) <= self.reserved {
            return Ok(self.reserved);
        }
        let file = self.file.as_ref().ok_or(NO_FILE)?;
        let from = i64::try_from(size).map_err(|_| NO_FILE)?;
        let length = i64::try_from(more).map_err(|_| NO_FILE)?;
        self.reserved = match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, length) {
            Ok(()) => size.saturating_add(more),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => u64::MAX,
            Err(errno) => return Err(number(&errno.into())),
        };
        Ok(self.reserved)
    }

    /// Closes it, and gives back what was reserved and is not needed.
    pub fn close(&mut self) {
        if let Some(file) = self.file.take() {
            let size = file.metadata().map_or(0, |stat| stat.size());
            if self.reserved > size && self.reserved != u64::MAX {
                let _ = file.set_len(size);
            }
        }
        self.reserved = 0;
        self.is_leaving = false;
        self.is_at_start = true;
        self.owner = None;
    }
}

//! The state file in the run directory: what the next going must know, should this
//! one die. One write a change, into the page cache of a tmpfs; nothing is ever
//! read back. What an earlier going left is believed only if it is a file of
//! ours, of this boot, and whole.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Uid;

use super::rundir::is_same;
use super::stat::Stat;
use crate::supervise::record::{self, BIRTH_AT, Birth, Entry, Header, Record, SIZE};
use crate::supervise::{Pid, Service};
use crate::sys;

/// More services than this are no state of ours.
const RECORDS_MAX: u64 = 65_536;

/// Our state file.
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    /// It could not be written, and that has been said.
    is_failing: bool,
}

/// A service as an earlier going wrote it down.
pub(super) struct Kept {
    pub(super) record: Record,
    /// Its latest process.
    pub(super) birth: Option<Birth>,
    /// The process that was written down, if it is there.
    pub(super) stat: Option<Stat>,
}

/// Why a state file cannot be read.
pub(super) enum Unread {
    /// It could be at another time.
    Passing(io::Error),
    /// It is useless, for this reason.
    Useless(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        if sys::is_passing(&error) {
            return Unread::Passing(error);
        }
        Unread::Useless(sys::explain(&error))
    }
}

impl Unread {
    /// For people.
    pub(super) fn explain(self) -> String {
        match self {
            Unread::Passing(error) => sys::explain(&error),
            Unread::Useless(why) => why,
        }
    }
}

/// What an earlier going left.
pub(super) struct Found {
    /// The going that wrote it, and the tick in which that was born.
    pub(super) writer: (Pid, u64),
    pub(super) kept: Vec<Kept>,
    /// So many records cannot be read.
    pub(super) broken: usize,
}

impl Kept {
    /// Looks for the process that was written down.
    fn look(record: Record, birth: Option<Birth>) -> io::Result<Kept> {
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let mut stat = None;
        if let Some(birth) = &birth {
            // A dead child of ours is reaped as any other.
            let is_there = |it: &Stat| !it.is_dead || it.parent == us;
            stat = Stat::look(birth.pid)?;
            stat = stat.filter(|it| birth.is_of(it.pid, it.started) && is_there(it));
        }
        // After an upgrade, a child that has not got so far.
        if let (None, Some(pid)) = (&stat, record.state().pid()) {
            stat = Stat::look(pid)?.filter(|it| it.parent == us);
        }
        Ok(Kept { record, birth, stat })
    }
}

impl Ledger {
    /// Begins a file beside the one that is there, which counts until
    /// [`Ledger::publish`].
    ///
    /// # Errors
    /// What open(2) and write(2) say.
    pub(super) fn begin(directory: &Path) -> io::Result<Ledger> {
        let path = directory.join("state.new");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let (boot, namespace) = here()?;
        let started = Stat::read(us).map_or(0, |it| it.started);
        file.write_all_at(&Header { boot, namespace, writer: us, started }.encode(), 0)?;
        Ok(Ledger { file, path: directory.join("state"), is_failing: false })
    }

    /// Puts it in the place of the old one.
    ///
    /// # Errors
    /// What rename(2) says.
    pub(super) fn publish(&self) -> io::Result<()> {
        fs::rename(self.path.with_file_name("state.new"), &self.path)
    }

    /// Whether what is written would be found by nobody.
    pub(super) fn is_lost(&self) -> bool {
        !is_same(&self.file, &self.path)
    }

    /// All is over, and there is nothing to be taken up.
    pub(super) fn remove(&self) {
        if !self.is_lost() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Where a child may write down its birth.
    pub(super) fn place(&self, index: usize) -> Option<(BorrowedFd<'_>, i64)> {
        let offset = i64::try_from(offset(index)).ok()?;
        Some((self.file.as_fd(), offset.checked_add(i64::try_from(BIRTH_AT).ok()?)?))
    }

    /// Writes down how things are with a service, or that there is none.
    ///
    /// # Errors
    /// What pwrite(2) says, once until it works again.
    pub(super) fn write(&mut self, index: usize, service: Option<&Service>) -> io::Result<()> {
        let place = offset(index);
        let done = match service {
            Some(service) => self.file.write_all_at(&record::encode(service), place),
            None => self.file.write_all_at(&[0; SIZE], place),
        };
        // It is whole again when all of it has been written.
        let was_failing = self.is_failing;
        self.is_failing |= done.is_err();
        if was_failing { Ok(()) } else { done }
    }

    /// Whether something is missing in the file.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// All of it is to be written again.
    pub(super) fn mend(&mut self) {
        self.is_failing = false;
    }

    /// Writes down the birth of a process that is no child to do so.
    pub(super) fn write_birth(&mut self, index: usize, birth: &Birth) -> io::Result<()> {
        let place = offset(index).saturating_add(u64::try_from(BIRTH_AT).unwrap_or(0));
        let done = self.file.write_all_at(&birth.encode(), place);
        let was_failing = self.is_failing;
        self.is_failing |= done.is_err();
        if was_failing { Ok(()) } else { done }
    }
}

impl Ledger {
    /// Writes down that another process is the service, made as the last one was.
    ///
    /// # Errors
    /// What pread(2) and pwrite(2) say.
    pub(super) fn hand_down(&mut self, index: usize, heir: Pid, born: u64) -> io::Result<()> {
        let Some(birth) = self.birth(index)? else { return Ok(()) };
        self.write_birth(index, &Birth { pid: heir, born: (born, born), ..birth })
    }

    /// The birth that is written down for a service.
    ///
    /// # Errors
    /// What pread(2) says.
    pub(super) fn birth(&self, index: usize) -> io::Result<Option<Birth>> {
        let mut record = [0; SIZE];
        self.file.read_exact_at(&mut record, offset(index))?;
        Ok(Birth::decode(&record))
    }
}

/// Where the record of the service with this number begins: after the header.
fn offset(index: usize) -> u64 {
    let place = index.saturating_add(1).saturating_mul(SIZE);
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// Which boot of the machine this is, and which PID namespace.
fn here() -> io::Result<([u8; 16], u64)> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits = text.trim().replace('-', "");
    let number = u128::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    Ok((number.to_be_bytes(), fs::metadata("/proc/self/ns/pid")?.ino()))
}

/// Reads what is there; `None` if there is nothing.
///
/// # Errors
/// Why it cannot be used, for people.
pub(super) fn read(path: &Path) -> Result<Option<Found>, Unread> {
    let useless = |why: &str| Unread::Useless(why.to_owned());
    // Never to follow a link, nor to wait for a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let stat = file.metadata()?;
    let is_ours = stat.is_file() && stat.uid() == Uid::effective().as_raw();
    if !is_ours || stat.nlink() != 1 || stat.mode() & 0o177 != 0 {
        return Err(useless("it is not a file of ours that nobody else can read or write"));
    }
    let mut bytes = [0; SIZE];
    let bytes_of_header = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => bytes.as_slice(),
        Err(error) if sys::is_passing(&error) => return Err(error.into()),
        Err(_) => &[],
    };
    let header = Header::decode(bytes_of_header).map_err(useless)?;
    if here()? != (header.boot, header.namespace) {
        return Err(useless("it is of another boot or container"));
    }
    let writer = (header.writer, header.started);
    let mut found = Found { writer, kept: Vec::new(), broken: 0 };
    for index in 1..RECORDS_MAX {
        let place = u64::try_from(SIZE).unwrap_or(0).saturating_mul(index);
        if place >= stat.len() {
            break;
        }
        // The last record may have had no birth, and end early.
        bytes = [0; SIZE];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let at = place.saturating_add(u64::try_from(length).unwrap_or(0));
            match file.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        match record::decode(&bytes) {
            Entry::Free => {}
            Entry::Broken => found.broken += 1,
            Entry::Life(record) => {
                found.kept.push(Kept::look(record, Birth::decode(&bytes))?);
            }
        }
    }
    Ok(Some(found))
}

/// The variable by which processes of services name the run directory they are of.
pub(super) fn mark(directory: &Path) -> Option<CString> {
    let path = fs::canonicalize(directory).ok()?;
    CString::new([b"GOING_RUN_DIR=", path.as_os_str().as_bytes()].concat()).ok()
}

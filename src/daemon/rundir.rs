//! The run directory: the lock that only one going can hold, and the place of the
//! control socket. The lock is taken before anything else, so that a second
//! instance finds the first one's things and leaves them as they are.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::Uid;

/// A run directory whose lock is ours.
pub struct RunDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Ours until it is closed, or the process ends.
    lock: File,
    /// The control socket is ours, too.
    is_listening: bool,
}

/// Why there is no run directory for us.
pub enum Refusal {
    /// Another going has it; what its lock file says is its pid.
    Held(String),
    /// Something else is wrong.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

impl RunDirectory {
    /// Makes the directory if it is not there, and takes its lock; or goes on with
    /// the one that was handed over to us.
    pub fn take(path: &Path, handed: Option<OwnedFd>) -> Result<RunDirectory, Refusal> {
        match DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => check(path)?,
        }
        let handed = handed.map(File::from).filter(|it| is_same(it, &path.join("lock")));
        let open = || {
            OpenOptions::new()
                .write(true)
                .read(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path.join("lock"))
        };
        let lock = handed.map_or_else(open, Ok)?;
        // A lock of this kind is a process's, and stays behind at fork and not at
        // exec (fcntl_locking(2)). One of flock(2) would be shared by children that
        // are not their programs yet, and so outlive a going that was killed.
        if !self::lock(&lock)? {
            let holder = io::read_to_string(lock).unwrap_or_default();
            return Err(Refusal::Held(holder.trim().to_owned()));
        }
        // For people: on a full disk it is a lock without it.
        let text = format!("{}\n", std::process::id());
        let _ = lock.set_len(0).and_then(|()| lock.write_all_at(text.as_bytes(), 0));
        Ok(RunDirectory { path: path.to_owned(), lock, is_listening: false })
    }

    /// Makes the directory and the lock anew if they are not those which we made;
    /// whether that was so.
    pub fn restore(&mut self) -> Result<bool, Refusal> {
        if is_same(&self.lock, &self.path.join("lock")) {
            return Ok(false);
        }
        let mut new = RunDirectory::take(&self.path, None)?;
        std::mem::swap(&mut self.lock, &mut new.lock);
        Ok(true)
    }

    /// Whether there is a control socket, which is ours then.
    pub fn has_socket(&self) -> bool {
        fs::symlink_metadata(self.path.join("control")).is_ok()
    }

    /// What keeps the lock.
    pub fn lock(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    /// Opens the control socket. One that is there already is a dead going's, as
    /// the lock is ours; or it is the one that was handed over to us.
    ///
    /// # Errors
    /// What unlink(2), bind(2) and chmod(2) say.
    pub fn listen(&mut self, handed: Option<OwnedFd>) -> io::Result<UnixListener> {
        let path = self.path.join("control");
        let is_it = |it: &UnixListener| {
            let address = it.local_addr().ok();
            address.is_some_and(|it| it.as_pathname() == Some(&path)) && path.exists()
        };
        if let Some(listener) = handed.map(UnixListener::from).filter(is_it) {
            listener.set_nonblocking(true)?;
            self.is_listening = true;
            return Ok(listener);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        self.is_listening = true;
        // Everybody may ask; who may command is decided by who asks (unix(7)).
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Drop for RunDirectory {
    /// Leaves no socket on which nobody answers. The lock file stays: removed,
    /// it could be locked by two at a time.
    fn drop(&mut self) {
        if self.is_listening && is_same(&self.lock, &self.path.join("lock")) {
            let _ = fs::remove_file(self.path.join("control"));
        }
    }
}

/// Locks a file until it is closed, or the process ends; whether nobody else had.
///
/// # Errors
/// What fcntl(2) says.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_SETLK(&whole_file())) {
        Ok(_) => Ok(true),
        Err(Errno::EACCES | Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A lock that excludes all others, on all that the file is and may become.
fn whole_file() -> libc::flock {
    let (l_type, l_whence) = (libc::F_WRLCK, libc::SEEK_SET);
    let narrow = |number: i32| libc::c_short::try_from(number).unwrap_or(0);
    libc::flock {
        l_type: narrow(l_type),
        l_whence: narrow(l_whence),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Whether an open file is the one of this path.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    let identity = |it: fs::Metadata| (it.dev(), it.ino());
    let there = fs::symlink_metadata(path).map(identity).ok();
    there.is_some() && there == file.metadata().map(identity).ok()
}

/// Whoever else may write here could put a socket of his own in place of ours.
fn check(path: &Path) -> io::Result<()> {
    let stat = fs::symlink_metadata(path)?;
    let is_ours = stat.uid() == Uid::effective().as_raw() || stat.uid() == 0;
    if !stat.is_dir() || !is_ours || stat.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it must be a directory of ours that nobody else can write to",
        ));
    }
    Ok(())
}

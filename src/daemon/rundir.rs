//! The run directory: the lock that only one going can hold, and the place of the
//! control socket. The lock is taken before anything else, so that a second
//! instance finds the first one's things and leaves them as they are.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::Uid;

/// A run directory whose lock is ours.
pub struct RunDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Ours until the process ends.
    _lock: Flock<File>,
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
    /// Makes the directory if it is not there, and takes its lock.
    pub fn take(path: &Path) -> Result<RunDirectory, Refusal> {
        match DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => check(path)?,
        }
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path.join("lock"))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((file, Errno::EWOULDBLOCK)) => {
                let holder = io::read_to_string(file).unwrap_or_default();
                return Err(Refusal::Held(holder.trim().to_owned()));
            }
            Err((_, errno)) => return Err(Refusal::Failed(errno.into())),
        };
        lock.set_len(0)?;
        lock.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(RunDirectory { path: path.to_owned(), _lock: lock })
    }

    /// Opens the control socket. One that is there already is a dead going's, as
    /// the lock is ours.
    ///
    /// # Errors
    /// What unlink(2), bind(2) and chmod(2) say.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let path = self.path.join("control");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
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
        let _ = fs::remove_file(self.path.join("control"));
    }
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

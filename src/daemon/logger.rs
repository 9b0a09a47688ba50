//! going-log as a service: where its program is, where the logs are, as whom it
//! runs, and what it is handed. A service file of its name takes the place of
//! what is said here.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::unistd::{self, AccessFlags, Gid, Uid, User};

use crate::config::Spec;
use crate::config::{grammar, parse};
use crate::supervise::Definition;

/// The service's name.
pub(super) const NAME: &str = "going-log";

/// Whom going-log runs as, the first that exists, when going is root.
const USERS: [&str; 2] = [NAME, "nobody"];

/// No directory, and none can ever be made there.
const NOWHERE: &str = "/dev/null/log";

/// All that is needed to run going-log.
pub(super) struct Place {
    /// Its program.
    program: PathBuf,
    /// Where the logs are.
    pub(super) directory: PathBuf,
    run_directory: PathBuf,
    /// Whom it runs as, going's own user if none.
    user: Option<User>,
}

impl Place {
    /// Finds the program, and whether logs can be written.
    ///
    /// # Errors
    /// What is missing, for people; without a directory it is a place all the
    /// same, and what is missing comes with it.
    pub(super) fn find(
        directory: Option<&Path>,
        run_directory: Option<&Path>,
    ) -> Result<(Place, Option<String>), String> {
        let run_directory = run_directory.ok_or("there is no run directory")?.to_owned();
        let program = find_program().ok_or("no going-log beside going")?;
        let user = is_root().then(find_user).flatten();
        let place = |directory: &Path, user| Place {
            program,
            directory: directory.to_owned(),
            run_directory,
            user,
        };
        let why = match directory {
            None => "no directory for logs; give one with -l".to_owned(),
            Some(directory) => match writer(directory, user.clone()) {
                Ok(user) => return Ok((place(directory, user), None)),
                Err(error) => format!("{}: {}", directory.display(), crate::sys::explain(&error)),
            },
        };
        // Prefixes and syslog need no directory, and so it may be one that is none.
        Ok((place(Path::new(NOWHERE), user), Some(why)))
    }

    /// Whether it runs as going's own root, for want of somebody with fewer rights.
    pub(super) fn is_root(&self) -> bool {
        is_root() && self.user.is_none()
    }

    /// going-log's service file, if there is none in the directory.
    pub(super) fn definition(&self) -> Definition {
        let words = [&self.program.to_string_lossy(), "-l", &self.directory.to_string_lossy()]
            .map(str::to_owned);
        let mut text = format!("cmd={}\n", grammar::join(&words));
        if is_root() {
            text += &format!("user={}\n", self.user.as_ref().map_or("root", |user| &user.name));
        }
        // Services wait while it is away, so it is never away for long.
        text += "description=writes the logs of all services\nstdout=inherit\nstderr=inherit\n\
                 umask=027\nmin-uptime=1s\nbackoff=10ms\nbackoff-max=1s\nburst=none\n\
                 restart=always\nstrikes=0\nstop=TERM 30s KILL\nkill=process\n";
        let policy = parse(text.as_bytes(), &Spec::default()).unwrap_or_default().policy;
        Definition { text: text.into_bytes().into(), policy: policy.into() }
    }

    /// A listening socket in place of a dead going-log's, the journal, and a
    /// connection to the socket.
    ///
    /// # Errors
    /// What bind(2), connect(2) and open(2) say.
    pub(super) fn open(&self) -> io::Result<([OwnedFd; 2], OwnedFd)> {
        // going-log says what it cannot write, and goes on.
        let _ = make(&self.directory, self.user.as_ref());
        let path = self.run_directory.join("log");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let address = UnixAddr::new(&path)?;
        let listener = new_socket()?;
        bind(listener.as_raw_fd(), &address)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listen(&listener, Backlog::new(16)?)?;
        let connection = self.rejoin()?;
        let journal = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(self.run_directory.join("log-journal"))?;
        Ok(([listener, journal.into()], connection))
    }

    /// Whether what a going-log works with is where it was put.
    pub(super) fn is_there(&self) -> bool {
        ["log", "log-journal"].iter().all(|name| self.run_directory.join(name).exists())
    }

    /// A connection to the socket of a going-log that runs.
    ///
    /// # Errors
    /// What connect(2) says, ECONNREFUSED if it is dead.
    pub(super) fn rejoin(&self) -> io::Result<OwnedFd> {
        let connection = new_socket()?;
        connect(connection.as_raw_fd(), &UnixAddr::new(&self.run_directory.join("log"))?)?;
        Ok(connection)
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Beside going itself, where it was installed or built with it.
fn find_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(NAME);
    path.is_file().then_some(path)
}

fn find_user() -> Option<User> {
    USERS.into_iter().find_map(|name| User::from_name(name).ok().flatten())
}

/// Who of `user` and us can write logs in this directory, which need not be
/// there yet.
fn writer(directory: &Path, user: Option<User>) -> io::Result<Option<User>> {
    let stat = match fs::metadata(directory) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let there = directory.ancestors().find(|path| path.exists());
            let there = there.unwrap_or(Path::new("/"));
            unistd::access(there, AccessFlags::W_OK)?;
            return Ok(user);
        }
        Err(error) => return Err(error),
    };
    if !stat.is_dir() || stat.mode() & 0o002 != 0 {
        return Err(io::Error::other("it must be a directory that not everybody can write to"));
    }
    let can_write = |user: &User| {
        let is_owner = stat.uid() == user.uid.as_raw() && stat.mode() & 0o300 == 0o300;
        is_owner || Gid::from_raw(stat.gid()) == user.gid && stat.mode() & 0o030 == 0o030
    };
    let user = user.filter(can_write);
    if user.is_none() {
        unistd::access(directory, AccessFlags::W_OK)?;
    }
    Ok(user)
}

/// Makes the directory if it is not there, for `user` to write to.
fn make(directory: &Path, user: Option<&User>) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    DirBuilder::new().mode(0o750).create(directory)?;
    if let Some(user) = user {
        chown(directory, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}

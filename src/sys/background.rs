//! Leaves whoever started us, for those who have no init to do it for them: forks
//! twice, so that we are nobody's child, lead no session, and can never get a terminal
//! (daemon(7)). The one who stays behind hears through a pipe how the start went.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, chdir, pipe2, setsid};

use super::fds::open_null;

/// Which of the two we are.
pub enum Side {
    /// Who was started, and exits with this when it is known how the start went.
    Behind(u8),
    /// Who does the work, in `/` and without stdin and stdout.
    Away(Starter),
}

/// Somebody waits to hear how our start went.
pub struct Starter {
    mouth: File,
}

impl Starter {
    /// Tells the exit status for whoever started us.
    pub fn tell(mut self, status: u8) {
        // Whoever does not wait any more does not want to know.
        let _ = self.mouth.write_all(&[status]);
    }
}

/// Forks twice. To be called before there is anything that a fork would double.
///
/// # Errors
/// What pipe2(2), fork(2), open(2) of `/dev/null` and chdir(2) say; in the child, too,
/// whose `Starter` then says nothing.
pub fn leave() -> io::Result<Side> {
    let (ear, mouth) = pipe2(OFlag::O_CLOEXEC)?;
    if let ForkResult::Parent { child } = fork()? {
        drop(mouth);
        waitpid(child, None)?;
        let mut status = [0];
        File::from(ear).read_exact(&mut status)?;
        return Ok(Side::Behind(status[0]));
    }
    drop(ear);
    setsid()?;
    if let ForkResult::Parent { .. } = fork()? {
        // SAFETY: ends the process at once, with nothing flushed twice.
        unsafe { libc::_exit(0) }
    }
    chdir("/")?;
    umask(Mode::from_bits_truncate(0o022));
    to_null(&[0, 1])?;
    Ok(Side::Away(Starter { mouth: mouth.into() }))
}

/// Lets go of stderr as well, when all that concerns the start has been said.
///
/// # Errors
/// What open(2) says of `/dev/null`.
pub fn drop_stderr() -> io::Result<()> {
    to_null(&[2])
}

fn fork() -> io::Result<ForkResult> {
    // SAFETY: there is one thread, so no lock can be held by another one.
    let number = unsafe { libc::fork() };
    match number {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(ForkResult::Child),
        _ => Ok(ForkResult::Parent { child: Pid::from_raw(number) }),
    }
}

fn to_null(numbers: &[i32]) -> io::Result<()> {
    let null = open_null()?;
    for &number in numbers {
        // SAFETY: replaces a standard stream, which nobody owns.
        if unsafe { libc::dup2(null.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

//! What /proc/PID/stat says of a process (proc_pid_stat(5)).

use std::{fs, io};

use crate::supervise::{Exit, Pid};
use crate::sys::{self, processes};

/// A process as it was when it was looked at.
pub struct Stat {
    pub pid: Pid,
    pub parent: Pid,
    pub group: Pid,
    pub session: Pid,
    /// In ticks since boot: with the pid, the identity of a process.
    pub started: u64,
    /// It is dead, and only waits to be reaped.
    pub is_dead: bool,
    /// As of waitpid(2); 0 if it lives, or if we may not know.
    status: i32,
}

impl Stat {
    /// `None` if there is no such process.
    ///
    /// # Errors
    /// It cannot be known now, for want of descriptors or memory: who is not seen is
    /// not dead.
    pub fn look(pid: Pid) -> io::Result<Option<Stat>> {
        match fs::read(format!("/proc/{}/stat", pid.0)) {
            Ok(stat) => Ok(Stat::parse(pid, &stat)),
            Err(error) if sys::is_passing(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// `None` if there is no such process, or none that can be seen now.
    pub fn read(pid: Pid) -> Option<Stat> {
        Stat::look(pid).ok().flatten()
    }

    fn parse(pid: Pid, stat: &[u8]) -> Option<Stat> {
        // The command's name is in parentheses, and may itself hold any.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let mut next = || fields.next()?.parse().ok().map(Pid);
        let (parent, group, session) = (next()?, next()?, next()?);
        // Field 22; the session was field 6.
        let started = fields.nth(15)?.parse().ok()?;
        // Field 52, since Linux 3.5.
        let status = fields.nth(29).and_then(|it| it.parse().ok()).unwrap_or(0);
        Some(Stat { pid, parent, group, session, started, is_dead, status })
    }

    /// How it ended, if it is dead and we may know.
    pub fn exit(&self) -> Option<Exit> {
        // To whom it is secret it is 0; but then this link is secret, too, while
        // to others it is just not there any more.
        let may_know = || {
            let link = fs::read_link(format!("/proc/{}/exe", self.pid.0));
            link.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let is_known = self.is_dead && (self.status != 0 || may_know());
        is_known.then(|| processes::exit_of(self.status))
    }
}

//! The processes of listeners: each is talked to over pipes, and started again when it
//! ends, later each time it ends soon.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::start::complain;
use super::options::Listen;
use crate::client::say;
use crate::supervise::{self, Moment};
use crate::sys;

/// Who lives so long was started well, as supervisor's startsecs has it.
const STARTED: Duration = Duration::from_secs(1);

/// So long after the first early end, and twice as long after each other one.
const RETRY: Duration = Duration::from_secs(1);
/// So long at most.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The place of one listener.
#[derive(Debug)]
pub struct Kid {
    /// Its name.
    name: String,
    life: Option<Life>,
    start_at: Moment,
    tries: u32,
}

#[derive(Debug)]
struct Life {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    pidfd: Option<OwnedFd>,
    /// It will say nothing more.
    is_mute: bool,
    /// What it was not told yet.
    unsaid: Vec<u8>,
    since: Moment,
}

impl Kid {
    /// The place of the listener of this number.
    pub fn new(options: &Listen, number: usize) -> Kid {
        let name = match options.pool {
            1 => options.name.clone(),
            _ => format!("{}_{number:02}", options.name),
        };
        Kid { name, life: None, start_at: Moment(0), tries: 0 }
    }

    /// Starts it if it is time to.
    ///
    /// # Errors
    /// It cannot be.
    pub fn start(&mut self, options: &Listen, now: Moment) -> io::Result<()> {
        if self.life.is_some() || now < self.start_at {
            return Ok(());
        }
        let started = self.spawn(options, now);
        if started.is_err() {
            self.delay(now);
        }
        self.life = Some(started?);
        Ok(())
    }

    fn spawn(&self, options: &Listen, now: Moment) -> io::Result<Life> {
        let missing = || io::Error::from(ErrorKind::NotFound);
        let (program, rest) = options.command.split_first().ok_or_else(missing)?;
        #[expect(clippy::disallowed_methods, reason = "no service, and no going which could wait")]
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("SUPERVISOR_ENABLED", "1");
        command.env("SUPERVISOR_SERVER_URL", &options.server_url);
        command.env("SUPERVISOR_PROCESS_NAME", &self.name);
        command.env("SUPERVISOR_GROUP_NAME", &options.name);
        // Whoever stops us with all of our group leaves it to us to stop them.
        let mut child = command.process_group(0).spawn()?;
        let (stdin, stdout) =
            (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        for fd in [stdin.as_fd(), stdout.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let pidfd = sys::pidfds::open(supervise::Pid(pid)).ok();
        Ok(Life { child, stdin, stdout, pidfd, is_mute: false, unsaid: Vec::new(), since: now })
    }

    fn delay(&mut self, now: Moment) {
        let wait = RETRY.saturating_mul(1_u32.wrapping_shl(self.tries.min(16))).min(RETRY_MAX);
        self.tries = self.tries.saturating_add(1);
        self.start_at = now.after(wait);
    }

    /// What to poll: what it says, and whether it is there.
    pub fn ears(&self) -> Vec<BorrowedFd<'_>> {
        let Some(life) = &self.life else { return Vec::new() };
        let stdout = (!life.is_mute).then(|| life.stdout.as_fd());
        stdout.into_iter().chain(life.pidfd.as_ref().map(AsFd::as_fd)).collect()
    }

    /// What to poll if there is something it was not told yet.
    pub fn mouth(&self) -> Option<BorrowedFd<'_>> {
        self.life.as_ref().filter(|life| !life.unsaid.is_empty()).map(|it| it.stdin.as_fd())
    }

    /// When it is to be started, if it is.
    pub fn start_at(&self) -> Option<Moment> {
        if self.life.is_some() { None } else { Some(self.start_at) }
    }

    /// Whether it is there.
    pub fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    /// Tells it more.
    pub fn say(&mut self, text: &[u8]) {
        let Some(life) = &mut self.life else { return };
        life.unsaid.extend_from_slice(text);
        while !life.unsaid.is_empty() {
            match life.stdin.write(&life.unsaid) {
                Ok(length) => drop(life.unsaid.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It does not listen any more; its end comes.
                Err(_) => {
                    life.unsaid.clear();
                    self.signal(Signal::SIGTERM);
                    return;
                }
            }
        }
    }

    /// What it said.
    pub fn hear(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let Some(life) = &mut self.life else { return said };
        let mut buffer = [0; 4096];
        loop {
            match life.stdout.read(&mut buffer) {
                Ok(0) => {
                    life.is_mute = true;
                    return said;
                }
                Ok(length) => said.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return said,
            }
        }
    }

    /// Sends a signal to it and to what it started.
    pub fn signal(&self, signal: Signal) {
        let Some(life) = &self.life else { return };
        let _ = killpg(Pid::from_raw(i32::try_from(life.child.id()).unwrap_or(0)), signal);
    }

    /// Notes its end; whether it is over. What it said before must be heard first.
    pub fn reap(&mut self, now: Moment, is_closing: bool) -> bool {
        let Some(life) = &mut self.life else { return false };
        let Ok(Some(status)) = life.child.try_wait() else { return false };
        let span = now.since(life.since);
        self.life = None;
        if is_closing {
            return true;
        }
        if span > STARTED {
            self.tries = 0;
        }
        self.delay(now);
        let wait = say::span(self.start_at.since(now));
        complain(&format!("{} ended ({status}), next try in {wait}", self.name));
        true
    }
}

//! The pipes of one run of a service: made before its process is there, so that
//! what cannot be made is told like any other fault.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::Daemon;
use crate::config::{Log, Spec, Stream};
use crate::supervise::{Slot, State};
use crate::sys::fds;

/// Which of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Stdout,
    Stderr,
}

/// The pipes of one run, before its process is there.
#[derive(Default)]
pub(super) struct Run {
    /// Read ends for going-log, and which stream each is for.
    pub(super) outputs: Vec<(OwnedFd, Which)>,
    /// The service's own ends, for the child.
    theirs: [Option<OwnedFd>; 3],
    /// Our end of its stdin.
    pub(super) input: Option<OwnedFd>,
}

impl Run {
    /// Makes the pipes that a spec asks for; `uid` is to own them.
    ///
    /// # Errors
    /// What pipe2(2) and open(2) say.
    pub(super) fn prepare(spec: &Spec, owner: Option<(u32, u32)>) -> io::Result<Run> {
        let mut run = Run::default();
        let [stdin, stdout, stderr] = &mut run.theirs;
        if spec.stdin == Stream::Pipe {
            let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            *stdin = Some(fds::reopen_pipe(read, owner)?);
            run.input = Some(write);
        }
        for (stream, which, theirs) in
            [(&spec.stdout, Which::Stdout, stdout), (&spec.stderr, Which::Stderr, stderr)]
        {
            if needs_pipe(stream, &spec.log) {
                let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
                *theirs = Some(fds::reopen_pipe(write, owner)?);
                run.outputs.push((read, which));
            }
        }
        Ok(run)
    }

    /// Whether going-log is needed.
    pub(super) fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The descriptor that stream `number` of the child is to be.
    pub(super) fn descriptor(&self, number: usize) -> Option<RawFd> {
        self.theirs.get(number)?.as_ref().map(AsRawFd::as_raw_fd)
    }
}

/// Whether going-log is to read a stream.
pub(super) fn needs_pipe(stream: &Stream, log: &Log) -> bool {
    match stream {
        Stream::Log | Stream::Syslog => true,
        Stream::Inherit => log.prefix,
        Stream::Null | Stream::File(_) | Stream::Stdout | Stream::Pipe => false,
    }
}

/// The outcome of an order that was not done, and why.
pub(super) type Unsent = (&'static str, &'static str);

/// Another try may help.
const FULL: Unsent = ("busy", "it does not read its stdin, and the pipe is full");

/// All or nothing: half a line would become the beginning of the next one.
fn write_whole(pipe: BorrowedFd, line: &[u8]) -> Result<(), Unsent> {
    match fds::room(pipe) {
        Ok(room) if room >= line.len() => {}
        Ok(_) => return Err(FULL),
        Err(_) => return Err(("failed", "its stdin cannot be written")),
    }
    match nix::unistd::write(pipe, line) {
        Ok(length) if length == line.len() => Ok(()),
        Ok(_) => Err(("failed", "only a part of it could be written")),
        Err(Errno::EAGAIN) => Err(FULL),
        Err(_) => Err(("failed", "its stdin cannot be written")),
    }
}

impl Daemon {
    /// Writes a line to the stdin of a service; what went wrong if it did.
    pub(super) fn send_input(&self, slot: Slot, text: &str) -> Result<(), Unsent> {
        let Some((_, input)) = self.inputs.iter().find(|(it, _)| *it == slot) else {
            return Err(("failed", "it has no stdin=pipe"));
        };
        let is_up =
            self.supervisor.get(slot).is_some_and(|it| matches!(it.state, State::Up { .. }));
        if !is_up {
            return Err(("failed", "it does not run"));
        }
        write_whole(input.as_fd(), format!("{text}\n").as_bytes())
    }
}

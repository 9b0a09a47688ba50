//! Watches processes that are no children of ours, through pidfds: how and when they
//! end, and whom of what they leave behind there is still to wait for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Daemon;
use super::adopt::Legacy;
use super::stat::Stat;
use crate::config::Signal;
use crate::supervise::{Exit, Moment, Pid, Slot, State};
use crate::sys::{fds, pidfds, processes};

/// Watched processes are known by their pid beyond this: above all children, below
/// all clients.
const WATCHED: usize = 1 << 24;

/// A process without a descriptor to watch it by is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A service whose main process is no child of ours.
pub(super) struct Watch {
    /// Its main process, dead or alive.
    pub(super) head: Pid,
    /// Who of it is watched: the main process, or, when that is dead, another.
    pub(super) process: Pid,
    /// When that was born, in ticks since boot.
    pub(super) started: u64,
    /// None if the kernel has none to give, or if the process is dead.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) is_dead: bool,
}

impl Watch {
    /// Of a main process that lives.
    pub(super) fn of_main(pid: Pid, started: u64) -> Watch {
        let (head, process) = (pid, pid);
        Watch { head, process, started, pidfd: None, is_dead: false }
    }

    fn token(&self) -> Token {
        Token(WATCHED.saturating_add(usize::try_from(self.process.0).unwrap_or(0)))
    }

    /// Whether the watched process has died since it was looked at last.
    fn has_ended(&self, heard: &[usize], is_time_to_look: bool) -> bool {
        match &self.pidfd {
            _ if self.is_dead => false,
            Some(pidfd) => heard.contains(&self.token().0) && is_over(pidfd, 0),
            None if is_time_to_look => is_gone(self.process, self.started),
            None => false,
        }
    }

    /// How the watched process ended. Until it is reaped /proc tells, and then the
    /// pidfd; the reaper may come in between.
    fn exit(&self) -> Exit {
        let asked = || self.pidfd.as_ref().and_then(|pidfd| pidfds::exit(pidfd.as_fd()));
        let looked = || find(self.process, self.started).and_then(|it| it.exit());
        asked().or_else(looked).or_else(asked).unwrap_or(Exit::Unknown)
    }

    pub(super) fn send(&self, signal: Signal, is_group: bool) -> io::Result<()> {
        let Some(pidfd) = self.pidfd.as_ref().map(AsFd::as_fd) else {
            let is_there = find(self.process, self.started).is_some();
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            is_there.then_some(()).ok_or_else(gone)?;
            return send_plainly(self.process, signal, is_group);
        };
        match pidfds::signal_group(pidfd, signal) {
            _ if !is_group => pidfds::signal(pidfd, signal),
            // Before Linux 6.9: the group is its own as long as it is there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                pidfds::signal(pidfd, Signal(0))?;
                processes::signal_group(self.process, signal)
            }
            done => done,
        }
    }
}

pub(super) fn send_plainly(pid: Pid, signal: Signal, is_group: bool) -> io::Result<()> {
    if is_group { processes::signal_group(pid, signal) } else { processes::signal(pid, signal) }
}

/// Whether a process is dead, waiting for that so long.
pub(super) fn is_over(pidfd: &OwnedFd, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(milliseconds)).is_ok_and(|count| count > 0)
}

/// The process of this pid that was born in this tick.
pub(super) fn find(pid: Pid, started: u64) -> Option<Stat> {
    Stat::read(pid).filter(|it| it.started == started)
}

/// Whether it is known that the process is dead.
pub(super) fn is_gone(pid: Pid, started: u64) -> bool {
    let is_other = |it: Stat| it.started != started || it.is_dead;
    Stat::look(pid).is_ok_and(|it| it.is_none_or(is_other))
}

impl Legacy {
    /// Whether there are services that are no children of ours.
    pub(super) fn has_others(&self) -> bool {
        !self.watches.is_empty()
    }

    /// When a process is to be looked at that nothing else tells of, or an upgrade has
    /// taken too long.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let is_blind = self.watches.iter().any(|it| it.pidfd.is_none() && !it.is_dead);
        let look_at = is_blind.then(|| self.look_at.max(now));
        let until = self.upgrade.as_ref().map(|it| it.until);
        look_at.into_iter().chain(until).min()
    }
}

impl Daemon {
    /// Watches a main process that is no child of ours.
    pub(super) fn watch_main(&mut self, watch: Watch) {
        self.legacy.watches.push(watch);
        self.open_watch(self.legacy.watches.len() - 1);
    }

    /// Opens the descriptor of a watch. Where the kernel has none for us, we look
    /// for ourselves from time to time.
    pub(super) fn open_watch(&mut self, index: usize) {
        // A quarter of all, for there have to be new services and clients, too.
        let open = self.legacy.watches.iter().filter(|it| it.pidfd.is_some()).count();
        if fds::limit().is_some_and(|limit| open >= limit / 4) {
            return;
        }
        let Some(watch) = self.legacy.watches.get_mut(index) else { return };
        let Ok(pidfd) = pidfds::open(watch.process) else { return };
        let raw = pidfd.as_raw_fd();
        // Held now, it is looked at once more: the pid may have changed hands.
        let is_it = find(watch.process, watch.started).is_some();
        let registry = self.poll.registry();
        let interest = Interest::READABLE;
        if is_it && registry.register(&mut SourceFd(&raw), watch.token(), interest).is_ok() {
            watch.pidfd = Some(pidfd);
        }
    }

    /// Main processes that died, and are not ours to reap.
    pub(super) fn adopted_dead(&mut self) -> Vec<(Pid, Exit)> {
        let is_time = self.legacy.look_at <= self.now;
        if is_time {
            self.legacy.look_at = self.now.after(LOOK_AGAIN);
        }
        let mut dead = Vec::new();
        for watch in &mut self.legacy.watches {
            if watch.has_ended(&self.heard, is_time) {
                if watch.process == watch.head {
                    dead.push((watch.head, watch.exit()));
                }
                if let Some(pidfd) = watch.pidfd.take() {
                    let _ = self.poll.registry().deregister(&mut SourceFd(&pidfd.as_raw_fd()));
                }
                watch.is_dead = true;
            }
        }
        if is_time {
            // There was no descriptor for these, but there may be by now.
            for index in 0..self.legacy.watches.len() {
                let watch = self.legacy.watches.get(index);
                if watch.is_some_and(|it| it.pidfd.is_none() && !it.is_dead) {
                    self.open_watch(index);
                }
            }
        }
        dead
    }

    /// Watches one of what each adopted service has left behind, for we are not told
    /// when others' children die; lets go of those of which nothing is left.
    pub(super) fn watch_leftovers(&mut self) {
        for index in (0..self.legacy.watches.len()).rev() {
            let Some(watch) = self.legacy.watches.get(index) else { continue };
            if !watch.is_dead {
                continue;
            }
            let is_it = |slot: &Slot| {
                let state = self.supervisor.get(*slot).map(|it| it.state);
                matches!(state, Some(State::Clearing { group, .. }) if group == watch.head)
            };
            let slot = self.rest.clearing.iter().map(|it| it.0).find(is_it);
            let head = slot.and_then(|slot| self.head(slot, watch.head));
            let Some(head) = head else {
                self.legacy.watches.swap_remove(index);
                continue;
            };
            // Gone since it was looked for: then the next turn must not wait.
            let census = self.take_census();
            let found = census.member(&head);
            let member = found.unwrap_or((watch.head, 0));
            if found.is_none() && census.is_whole() {
                self.legacy.look_at = self.now;
            }
            if let Some(watch) = self.legacy.watches.get_mut(index) {
                (watch.process, watch.started) = member;
                watch.is_dead = false;
            }
            self.open_watch(index);
        }
    }
}

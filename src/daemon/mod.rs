//! The loop: waits, hears what happened, tells the core, does what it decided.
//! It must never block outside `wait`, never die, and write nothing but reports.
//!
//! The steps of a turn have a fixed order. Signals come before the reaping,
//! because one of them says that somebody died; reaping before all else, because
//! a pid may be signalled only until it is reaped; the directory after the
//! deadlines, so that a file which comes back finds its service where it is.

mod check;
mod confdir;
mod family;
mod options;
mod reload;
mod report;
mod spawn;
mod start;
mod tell;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::libc;
use nix::sys::signalfd::SignalFd;

use crate::config::{Signal, Spec, Whom, parse};
use crate::supervise::{Action, Event, Fault, Moment, Outcome, Pid, Slot, State, Step, Supervisor};
use crate::sys::{self, child, processes};
use confdir::Directory;
use family::{Census, Head};
use report::{Level, Reporter, report};

use options::Options;

pub use options::HELP;
pub use start::main;

/// Children are known by their pid, which is neither 0 nor 1.
const SIGNALS: Token = Token(0);
const DOORBELL: Token = Token(1);

/// More spawns than this in one turn would keep the dead waiting for their
/// reaping, and hold as many pipes open.
const SPAWNS_A_TURN: usize = 32;

struct Daemon {
    supervisor: Supervisor,
    reporter: Reporter,
    directory: Directory,
    defaults: Spec,
    signals: SignalFd,
    poll: Poll,
    events: Events,
    null: OwnedFd,
    /// What newborn children speak through, until they have become programs.
    ears: Vec<(Pid, OwnedFd)>,
    /// Files with complaints, by name, each with a hash of what was said, so that
    /// it is said once.
    refused: BTreeMap<String, u64>,
    /// Services whose process groups outlived them.
    clearing: Vec<Slot>,
    /// Families to be signalled when this turn's decisions are made.
    families: Vec<(Slot, Pid, Whom, Signal)>,
    reread: Option<reload::Due>,
    /// The services of the first reading have been started.
    is_started: bool,
    has_rung: bool,
    heard: Vec<Pid>,
    now: Moment,
}

impl Daemon {
    /// Takes over signals and opens all that is needed to the end.
    ///
    /// # Errors
    /// What signalfd(2), epoll_create(2), inotify_init(2) and open(2) say.
    fn new(options: Options, reporter: Reporter) -> io::Result<Daemon> {
        sys::fds::keep_from_children();
        // Before the first fork, or the first SIGCHLD would be lost.
        let signals = sys::signals::take_over()?;
        if std::process::id() != 1 {
            processes::become_subreaper()?;
        }
        let directory = Directory::new(options.directory)?;
        let poll = Poll::new()?;
        let listen = |fd: RawFd, token| {
            poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)
        };
        listen(signals.as_raw_fd(), SIGNALS)?;
        listen(directory.doorbell(), DOORBELL)?;
        // The standard hasher's keys are random, and so good enough as dice.
        let seed = RandomState::new().build_hasher().finish() & u64::from(u32::MAX);
        Ok(Daemon {
            supervisor: Supervisor::new(u32::try_from(seed).unwrap_or(1)),
            reporter,
            directory,
            defaults: options.defaults,
            signals,
            poll,
            events: Events::with_capacity(64),
            null: sys::fds::open_null()?,
            ears: Vec::new(),
            refused: BTreeMap::new(),
            clearing: Vec::new(),
            families: Vec::new(),
            reread: None,
            is_started: false,
            has_rung: false,
            heard: Vec::new(),
            now: sys::monotonic(),
        })
    }

    /// Keeps services going until told to stop.
    fn run(mut self) -> io::Result<()> {
        self.read_directory();
        self.is_started = true;
        self.settle();
        while !self.supervisor.is_closing() || self.supervisor.alive() > 0 {
            self.wait()?;
            self.now = sys::monotonic();
            self.read_signals();
            self.reap();
            self.hear_children();
            self.supervisor.tick(self.now);
            self.reread_directory();
            self.settle();
        }
        report!(self.reporter, Level::Info, "all services stopped");
        self.reporter.flush();
        Ok(())
    }

    /// Sleeps until something happens or the earliest deadline has come.
    fn wait(&mut self) -> io::Result<()> {
        let reread_at = self.reread.map(|due| due.at);
        let timeout = if self.supervisor.has_turns() {
            Some(Duration::ZERO)
        } else {
            let deadline = [self.supervisor.deadline(), reread_at].into_iter().flatten().min();
            deadline.map(|deadline| deadline.since(self.now))
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.has_rung = self.events.iter().any(|event| event.token() == DOORBELL);
        let tokens = self.events.iter().map(|event| event.token());
        let children = tokens.filter(|&token| token != SIGNALS && token != DOORBELL);
        self.heard.clear();
        self.heard.extend(children.filter_map(|Token(pid)| i32::try_from(pid).ok()).map(Pid));
        Ok(())
    }

    fn read_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo) {
                Ok(signal @ (libc::SIGTERM | libc::SIGINT)) => self.close(signal),
                Ok(libc::SIGHUP) => self.ring(),
                // SIGCHLD has woken us, which is all it is for.
                _ => {}
            }
        }
    }

    fn close(&mut self, signal: i32) {
        let name = if signal == libc::SIGTERM { "SIGTERM" } else { "SIGINT" };
        let count = self.supervisor.alive();
        if self.supervisor.is_closing() {
            report!(self.reporter, Level::Info, "{name} again: killing {count} services");
        } else {
            report!(self.reporter, Level::Info, "{name}: stopping {count} services");
        }
        self.supervisor.close(self.now);
    }

    /// One SIGCHLD may stand for many deaths, so asks until nobody is left.
    fn reap(&mut self) {
        let mut has_reaped = false;
        while let Some((pid, exit)) = processes::reap() {
            has_reaped = true;
            self.hear(pid, true);
            let Some(slot) = self.supervisor.find_pid(pid) else { continue };
            let left = self.has_family(slot, pid);
            self.supervisor.step(slot, Event::Exited { exit, left }, self.now);
        }
        if has_reaped {
            self.clear();
        }
    }

    /// Whether processes are left which the service's `kill` key includes.
    fn has_family(&self, slot: Slot, pid: Pid) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return false };
        let whom = service.definition.policy.kill;
        match whom {
            Whom::Process => false,
            Whom::Group => processes::is_group_alive(pid),
            Whom::All => {
                let head = Head { name: &service.name, pid, whom };
                Census::take().has(&head, |it| self.supervisor.find_pid(it).is_some())
            }
        }
    }

    /// Tells the services whose last leftover is gone.
    fn clear(&mut self) {
        for slot in std::mem::take(&mut self.clearing) {
            let state = self.supervisor.get(slot).map(|it| it.state);
            let Some(State::Clearing { group, .. }) = state else { continue };
            if self.has_family(slot, group) {
                self.clearing.push(slot);
            } else {
                self.supervisor.step(slot, Event::Cleared, self.now);
            }
        }
    }

    fn hear_children(&mut self) {
        for pid in std::mem::take(&mut self.heard) {
            self.hear(pid, false);
        }
    }

    /// Hears how far a child came. The last words of a dead one come before the
    /// news of its death, or a program that never ran would seem to have.
    fn hear(&mut self, pid: Pid, is_dead: bool) {
        let Some(index) = self.ears.iter().position(|&(it, _)| it == pid) else { return };
        let Some((_, ear)) = self.ears.get(index) else { return };
        let words = child::hear(ear.as_fd());
        if words.is_none() && !is_dead {
            return;
        }
        // Removed by hand: a copy in a child that was forked meanwhile would
        // keep it in the poll after we close ours (epoll(7)).
        let _ = self.poll.registry().deregister(&mut SourceFd(&ear.as_raw_fd()));
        self.ears.swap_remove(index);
        let event = match words {
            Some(Err(fault)) => Event::ExecFailed(fault),
            Some(Ok(())) | None => Event::Executed,
        };
        if let Some(slot) = self.supervisor.find_pid(pid) {
            self.supervisor.step(slot, event, self.now);
        }
    }

    /// Decides and acts until nothing is left to do.
    fn settle(&mut self) {
        for turn in 0..=SPAWNS_A_TURN {
            while let Some(outcome) = self.supervisor.next_outcome() {
                self.tell(&outcome);
                self.act(&outcome);
            }
            if turn == SPAWNS_A_TURN || !self.supervisor.give_turn(self.now) {
                break;
            }
        }
        self.signal_families();
        self.reporter.flush();
    }

    fn act(&mut self, outcome: &Outcome) {
        let slot = outcome.slot;
        match outcome.action {
            None => {}
            Some(Action::Spawn) => match self.spawn(slot) {
                Ok((pid, ear)) => {
                    self.supervisor.step(slot, Event::Spawned(pid), self.now);
                    self.listen(pid, ear);
                }
                Err(fault) => self.supervisor.step(slot, Event::SpawnFailed(fault), self.now),
            },
            Some(Action::Signal { pid, signal, whom }) => {
                if outcome.after.pid() == Some(pid) {
                    self.signal(slot, pid, signal, whom);
                }
                if outcome.after.pid().is_none() || whom == Whom::All {
                    self.families.push((slot, pid, whom, signal));
                }
            }
            Some(Action::Forget) => self.supervisor.forget(slot),
        }
        if matches!(outcome.after, State::Clearing { .. }) && !self.clearing.contains(&slot) {
            self.clearing.push(slot);
        }
    }

    fn spawn(&self, slot: Slot) -> Result<(Pid, OwnedFd), Fault> {
        let failed = Fault { step: Step::Parse, errno: libc::EINVAL };
        let service = self.supervisor.get(slot).ok_or(failed)?;
        let spec = parse(&service.definition.text, &self.defaults).map_err(|_| failed)?;
        let program = spawn::prepare(&service.name, &spec)?;
        child::spawn(&program, self.null.as_fd())
    }

    /// Listens for a child to become its program.
    fn listen(&mut self, pid: Pid, ear: OwnedFd) {
        let token = Token(usize::try_from(pid.0).unwrap_or(usize::MAX));
        let raw = ear.as_raw_fd();
        self.ears.push((pid, ear));
        if self.poll.registry().register(&mut SourceFd(&raw), token, Interest::READABLE).is_err() {
            // The kernel has no memory for this watch: then the child is heard
            // when it dies, and believed to run until then.
            self.hear(pid, true);
        }
    }

    /// Signals a main process that is not reaped, and its group.
    fn signal(&mut self, slot: Slot, pid: Pid, signal: Signal, whom: Whom) {
        let send = |signal| match whom {
            Whom::Process => processes::signal(pid, signal),
            // Before setsid(2) the child is in no group of its own.
            Whom::Group | Whom::All => {
                processes::signal_group(pid, signal).or_else(|_| processes::signal(pid, signal))
            }
        };
        if let Err(error) = send(signal) {
            let name = self.supervisor.get(slot).map_or("", |it| &it.name);
            report!(self.reporter, Level::Warning, "{name}: can't send {signal}: {error}");
        } else if signal != KILL {
            // A stopped process obeys nothing but KILL before it continues.
            let _ = send(CONT);
        }
    }

    /// Signals what can be found through /proc only: with one look for all of
    /// them, for a thousand services may be killed in the same turn.
    fn signal_families(&mut self) {
        let families = std::mem::take(&mut self.families);
        let mut signals: Vec<_> = families.iter().map(|it| it.3).collect();
        signals.sort_unstable();
        signals.dedup();
        for signal in signals {
            let same = families.iter().filter(|it| it.3 == signal);
            let heads: Vec<_> = same
                .filter_map(|&(slot, pid, whom, _)| {
                    Some(Head { name: &self.supervisor.get(slot)?.name, pid, whom })
                })
                .collect();
            family::signal(&heads, signal, |it| self.supervisor.find_pid(it).is_some());
        }
    }
}

const KILL: Signal = Signal(9);
const CONT: Signal = Signal(18);

//! The loop: waits, hears what happened, tells the core, does what it decided.
//! It must never block outside `wait`, never die, and write nothing but reports.
//!
//! The steps of a turn have a fixed order. Signals come before the reaping,
//! because one of them says that somebody died; reaping before all else, because
//! a pid may be signalled only until it is reaped; the directory after the
//! deadlines, so that a file which comes back finds its service where it is.

mod check;
mod confdir;
mod deeds;
mod family;
mod options;
mod reload;
mod report;
mod spawn;
mod start;
mod tell;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::{Events, Poll, Token};
use nix::libc;
use nix::sys::signalfd::SignalFd;

use crate::config::{Signal, Spec, Whom};
use crate::supervise::{Event, Moment, Pid, Slot, State, Supervisor};
use crate::sys::{self, processes};
use confdir::Directory;
use report::{Level, Reporter, report};

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
    /// Files which cannot be used, by name, and why, so that it is said once; the
    /// one without a name is the directory.
    refused: BTreeMap<String, String>,
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
        // The other two come along: no child has their number.
        let tokens = self.events.iter().filter_map(|event| i32::try_from(event.token().0).ok());
        self.heard = tokens.map(Pid).collect();
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
            // Noted now, for the last of what is left may be reaped in this turn.
            self.clearing.extend(left.then_some(slot));
        }
        if has_reaped {
            self.clear();
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

    /// Decides and acts until nothing is left to do.
    fn settle(&mut self) {
        for turn in 0..=SPAWNS_A_TURN {
            self.follow_up();
            if turn == SPAWNS_A_TURN || !self.supervisor.give_turn(self.now) {
                break;
            }
        }
        self.signal_families();
        self.reporter.flush();
    }

    /// Tells and does what the decisions made so far came to.
    fn follow_up(&mut self) {
        while let Some(outcome) = self.supervisor.next_outcome() {
            self.tell(&outcome);
            self.act(&outcome);
        }
    }
}

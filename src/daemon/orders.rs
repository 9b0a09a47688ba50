//! What signals ask of going, and how it ends.

use nix::libc;

use super::main_command::MainCommand;
use super::pidfile::Pidfile;
use super::report::{Level, report};
use super::{Daemon, SIGNALS, family};
use crate::config::{Signal, line_of};
use crate::supervise::{Death, Exit, Outcome, Service, Slot};

/// What is to be at the end, and why it came.
#[derive(Default)]
pub(super) struct Ends {
    /// Services are to go on without us.
    pub(super) is_leaving: bool,
    /// Nobody shall outlive us.
    pub(super) is_init: bool,
    /// The service whose end was that of all.
    pub(super) ended_by: Option<Slot>,
    /// What names our pid, until it is dropped with this.
    pub(super) _pidfile: Option<Pidfile>,
    /// What stands on our command line.
    pub(super) main: Option<Box<MainCommand>>,
}

/// What shells exit with for a program that is not there, and for one that cannot be
/// executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// So often what should not fail is tried at once.
const TRIES: u32 = 16;

impl Daemon {
    /// What the signals since the last turn ask for. SIGCHLD is among them, which
    /// is why this comes before the reaping, and obeying after it.
    pub(super) fn read_signals(&mut self) -> Vec<u32> {
        if !self.heard.contains(&SIGNALS) {
            return Vec::new();
        }
        let signals = std::iter::from_fn(|| {
            // The poll tells of them once, so nothing may keep us from reading all.
            let mut tries = 0..TRIES;
            tries.find_map(|_| self.signals.read_signal().ok()).flatten()
        });
        let orders = signals.map(|info| info.ssi_signo);
        orders.filter(|&signal| signal != libc::SIGCHLD.unsigned_abs()).collect()
    }

    pub(super) fn obey(&mut self, orders: &[u32]) {
        self.watch_terminal();
        for signal in orders.iter().filter_map(|&signal| i32::try_from(signal).ok()) {
            match signal {
                libc::SIGTERM => self.close("SIGTERM"),
                libc::SIGINT => self.close("SIGINT"),
                libc::SIGQUIT if self.ends.main.is_none() => self.leave(),
                libc::SIGHUP => self.ring(),
                libc::SIGUSR1 => self.reopen_logs(),
                _ => {}
            }
            // PIPE is the answer to a report that nobody reads.
            if !matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGPIPE) {
                self.pass_on(signal);
            }
        }
    }

    /// Ends, and leaves the services to the next going.
    fn leave(&mut self) {
        let why = if std::process::id() == 1 {
            "nobody outlives process 1"
        } else if self.legacy.is_written() {
            self.ends.is_leaving = true;
            return;
        } else {
            "there is no state file"
        };
        report!(self.reporter, Level::Warning, "SIGQUIT ignored: {why}");
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        self.ends.is_leaving || self.supervisor.is_closing() && self.supervisor.alive() == 0
    }

    /// Says how it ended.
    pub(super) fn end(&mut self) {
        if self.ends.is_leaving {
            let count = self.supervisor.alive();
            report!(self.reporter, Level::Info, "SIGQUIT: leaving {count} services as they are");
        } else {
            self.legacy.end();
            self.cgroups.end();
            if self.ends.is_init {
                family::kill_all();
            }
            report!(self.reporter, Level::Info, "all services stopped");
        }
        self.reporter.flush();
    }

    /// Stops everything, the main command first; a second order kills what is left.
    pub(super) fn close(&mut self, name: &str) {
        let count = self.supervisor.alive();
        let is_second = self.supervisor.is_closing() || self.is_main_leaving();
        let fact = if is_second { " again: killing" } else { ": stopping" };
        report!(self.reporter, Level::Info, "{name}{fact} {count} services");
        if is_second && !self.supervisor.is_closing() {
            self.supervisor.close(self.now);
        }
        let signal = if name == "SIGINT" { Signal(2) } else { Signal::TERM };
        if !self.stop_main_first(signal) {
            self.supervisor.close(self.now);
        }
    }

    /// Stops all others when a service ends without which they are not wanted.
    pub(super) fn heed_end(&mut self, outcome: &Outcome) {
        self.reclaim_terminal(outcome);
        let is_over = outcome.before != outcome.after && !self.supervisor.is_closing();
        if !is_over || !self.is_end_of_all(outcome.slot, outcome.after) {
            return;
        }
        let Some(service) = self.supervisor.get(outcome.slot) else { return };
        self.ends.ended_by = Some(outcome.slot);
        let (name, count) = (&service.name, self.supervisor.alive());
        report!(self.reporter, Level::Info, "{name}: has ended, stopping {count} services");
        self.supervisor.close(self.now);
    }

    /// What going exits with when all services are stopped.
    pub(super) fn exit_status(&self) -> u8 {
        if self.ends.is_leaving {
            return 0;
        }
        let says = |service: &&Service| line_of(&service.definition.text, "exit-code-from") > 0;
        let asking = self.supervisor.services().find(|(_, it)| says(it)).map(|(slot, _)| slot);
        let spec = asking.and_then(|slot| self.spec(slot));
        let named = spec.as_ref().unwrap_or(&self.defaults).exit_code_from.as_ref();
        let slot = named.and_then(|name| self.supervisor.find(name)).or(self.ends.ended_by);
        let service = slot.and_then(|slot| self.supervisor.get(slot));
        service.map_or(0, status_of)
    }
}

/// The status of a service's last run, as a shell has it; 0 for what is no failure.
fn status_of(service: &Service) -> u8 {
    match service.last() {
        None => 0,
        Some(Death { fault: Some(fault), .. }) => {
            // ENOENT has this number on every Linux.
            if fault.errno == 2 { NOT_FOUND } else { NOT_EXECUTABLE }
        }
        Some(Death { exit: Some(exit), .. }) if service.is_success(exit) => 0,
        Some(Death { exit: Some(Exit::Code(code)), .. }) => code,
        Some(Death { exit: Some(Exit::Signal { signal, .. }), .. }) => {
            128_u8.wrapping_add(signal.0)
        }
        Some(Death { exit: Some(Exit::Memory), .. }) => 128_u8.wrapping_add(Signal::KILL.0),
        Some(Death { exit: Some(Exit::Unknown) | None, .. }) => 1,
    }
}

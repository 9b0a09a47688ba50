//! The loop: waits, hears what happened, tells the core, does what it decided.
//! It must never block outside `wait`, never die, and write nothing but reports.
//!
//! The steps of a turn have a fixed order. Signals come before the reaping,
//! because one of them says that somebody died; reaping before all else, because
//! a pid may be signalled only until it is reaped; the directory after the
//! deadlines, so that a file which comes back finds its service where it is.

mod adopt;
mod answer;
mod cgroup;
mod changes;
mod check;
mod confdir;
mod deeds;
mod errands;
mod events;
mod family;
mod files;
mod forking;
mod home;
mod instances;
mod listeners;
mod logger;
mod logs;
mod main_command;
mod mend;
mod minding;
mod options;
mod order;
mod orders;
mod pidfile;
mod pipes;
mod ready;
mod reclaim;
mod reload;
mod report;
mod rest;
mod rundir;
mod server;
mod spawn;
mod start;
mod stat;
mod state;
mod status;
mod tasks;
mod tell;
mod trace;
mod unusable;
mod upgrade;
mod wake;
mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::Poll;
use nix::sys::signalfd::SignalFd;

use crate::config::Spec;
use crate::supervise::{Action, Moment, Pid, Slot, Supervisor};
use crate::sys::{self, processes};
use adopt::Legacy;
use cgroup::Cgroups;
use confdir::Directory;
use errands::Errands;
use events::Events;
use listeners::Listeners;
use logs::Logs;
use mend::Arrears;
use minding::Mind;
use orders::Ends;
use ready::Readiness;
use report::Reporter;
use rest::Rest;
use server::Server;
use unusable::Unusable;
use upgrade::Handover;

pub use options::HELP;
pub use start::main;

/// Children are known by their pid, which is neither 0 nor 1.
const SIGNALS: usize = 0;
const DOORBELL: usize = 1;

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
    polled: mio::Events,
    null: OwnedFd,
    /// What newborn children speak through, until they have become programs.
    ears: Vec<(Pid, OwnedFd)>,
    /// Files which cannot be used, by name, and why, so that it is said once; the
    /// one without a name is the directory.
    refused: Unusable,
    /// What is wrong with the order of all services, as it was told.
    misplaced: Vec<String>,
    rest: Rest,
    reread: Option<reload::Due>,
    /// What services watch, if any does.
    watching: Option<Box<changes::Watching>>,
    /// The services of the first reading have been started.
    is_started: bool,
    /// The tokens of all that has something to say in this turn.
    heard: Vec<usize>,
    /// Nobody to write logs, no logs.
    logs: Option<Logs>,
    listeners: Listeners,
    /// Whoever is waited for, or listened to, if anybody is.
    readiness: Option<Box<Readiness>>,
    /// Our ends of the services' standard inputs.
    inputs: Vec<(Slot, OwnedFd)>,
    cgroups: Cgroups,
    /// What outlives one going.
    legacy: Legacy,
    ends: Ends,
    arrears: Arrears,
    errands: Errands,
    /// Services that are looked after.
    minds: Vec<Mind>,
    /// No run directory, no clients.
    server: Option<Server>,
    events_ring: Events,
    /// Turns of the loop so far.
    turns: u64,
    /// A start was prepared since the stack was given back, which takes 40 kB of it.
    is_stack_deep: bool,
    started_at: Moment,
    now: Moment,
}

impl Daemon {
    /// Keeps services going until told to stop.
    fn run(mut self: Box<Self>, handover: Handover) -> io::Result<u8> {
        self.read_directory();
        self.take_up_rest(handover);
        self.is_started = true;
        self.watch_home();
        self.settle();
        while !self.is_over() {
            self.mend();
            self.wait();
            self.now = sys::monotonic();
            let orders = self.read_signals();
            self.reap();
            self.obey(&orders);
            self.hear_children();
            self.hear_demands();
            self.look_after_errands();
            self.look_after_services();
            self.supervisor.tick(self.now);
            self.reread_directory();
            self.look_at_changes();
            self.serve_clients();
            self.settle();
            self.talk_to_logger();
            self.go_on_upgrading();
            self.publish();
        }
        self.end();
        Ok(self.exit_status())
    }

    /// Sleeps until something happens or the earliest deadline has come.
    fn wait(&mut self) {
        let timeout = self.wake_at().map(|wake_at| wake_at.since(self.now));
        if timeout != Some(Duration::ZERO) && std::mem::take(&mut self.is_stack_deep) {
            sys::stack::clean();
        }
        self.sleep(timeout);
        self.turns = self.turns.wrapping_add(1);
    }

    /// One SIGCHLD may stand for many deaths, so asks until nobody is left; only
    /// then is it known who of a group has survived the main process. Nobody is asked
    /// for without one, for the kernel looks at all children, but in the first turn:
    /// who started us may have left us somebody.
    fn reap(&mut self) {
        // Whose last words they were is known until then.
        self.hear_readiness();
        let may_have_any = self.heard.contains(&SIGNALS) || self.turns == 1;
        let dead = std::iter::from_fn(|| may_have_any.then(processes::reap).flatten());
        let mut dead: Vec<_> = dead.collect();
        dead.extend(self.adopted_dead());
        (self.rest.census, self.rest.has_no_strangers) = (None, None);
        for (pid, exit) in dead {
            self.hear(pid, true);
            match self.supervisor.find_pid(pid) {
                Some(slot) => self.tell_death(slot, pid, exit),
                None if self.reap_errand(pid, exit) => {}
                None => self.hear_check(pid, exit),
            }
        }
        self.clear();
    }

    /// Decides and acts until nothing is left to do.
    fn settle(&mut self) {
        for turn in 0..=SPAWNS_A_TURN {
            self.supervisor.see_off(self.now);
            while self.follow_up() {
                self.supervisor.see_off(self.now);
            }
            if turn == SPAWNS_A_TURN || !self.supervisor.give_turn(self.now) {
                break;
            }
            self.is_stack_deep = true;
        }
        self.signal_families();
        self.reporter.flush();
    }

    /// Tells and does what the decisions made so far came to; whether there were any.
    pub(super) fn follow_up(&mut self) -> bool {
        let mut has_any = false;
        while let Some(outcome) = self.supervisor.next_outcome() {
            // It has not ended as long as somebody of it is left.
            if self.find_strays(&outcome) {
                has_any = true;
                continue;
            }
            self.tell(&outcome);
            self.mark_change(&outcome);
            self.call_hooks(&outcome);
            self.mind(outcome.slot, outcome.action == Some(Action::Forget));
            self.act(&outcome);
            self.heed_end(&outcome);
            self.note(outcome.slot);
            has_any = true;
        }
        self.tell_dependents();
        has_any
    }
}

//! Daemons which leave their parent: when that ends well, one of those it left to us
//! is the service from then on. All of them come to us, for we are their subreaper;
//! which one it is tell its environment, its group, and its program.

use std::time::Duration;

use nix::poll::{PollTimeout, poll};

use super::Daemon;
use super::family::{Census, Head, Heir, Relative};
use super::report::{Level, report};
use super::stat::Stat;
use super::watch::{Watch, find};
use crate::config::{Kind, Policy, Whom};
use crate::supervise::record::{Birth, Record};
use crate::supervise::{Event, Exit, Job, Moment, Pid, Slot, State};
use crate::sys::{self, processes};

/// So many times more a daemon is looked for that is not seen, or not seen clearly.
const LOOKS: usize = 3;
const LOOKS_AT_A_GUESS: usize = 20;

/// Births are known to this.
const TICK: Duration = Duration::from_millis(10);

/// Time for an execve(2) to end.
const PAUSE_MS: u16 = 1;

impl Daemon {
    /// Whether a service lives on in another process now that this one has ended.
    pub(super) fn has_moved(&mut self, slot: Slot, pid: Pid, exit: Exit) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return false };
        let is_forking = service.definition.policy.kind == Kind::Forking;
        let mark = self.legacy.mark_of(pid);
        // Not every kernel tells how a process ended that was not our child.
        let is_well = exit == Exit::Code(0) || exit == Exit::Unknown && mark.is_some();
        if !is_forking || !is_well || service.spawned_job() != Job::Main {
            return false;
        }
        let is_adopted = mark.is_some();
        let command = self.spec(slot).and_then(|spec| spec.cmd.into_iter().next());
        let program = command.as_deref().and_then(|it| it.rsplit('/').next());
        let head = Head {
            name: &service.name,
            pid,
            whom: Whom::All,
            mark,
            trace: self.legacy.trace(&service.name),
            cgroup: Vec::new(),
            known: Vec::new(),
        };
        let found = self.look_for_heir(&head, program.unwrap_or(""));
        let Some((heir, born)) = found else { return false };
        let name = &service.name;
        report!(self.reporter, Level::Debug, "{name}: pid {} lives on as pid {}", pid.0, heir.0);
        self.legacy.hand_down(slot, heir, born);
        self.supervisor.step(slot, Event::Moved(heir), self.now);
        if is_adopted {
            self.watch_main(Watch::of_main(heir, born));
        }
        true
    }

    /// The daemon that a parent left which ended while no going was there, or of which
    /// an earlier one did not come to write down that it has left.
    pub(super) fn find_heir(
        &self,
        record: &Record,
        policy: &Policy,
        birth: Option<Birth>,
        stat: Option<Stat>,
    ) -> (Option<Birth>, Option<Stat>, bool) {
        let born = birth.filter(|it| policy.kind == Kind::Forking && it.job == Job::Main);
        let (born, pid) = match (born, record.state()) {
            (Some(born), State::Starting { pid, .. } | State::Stopping { pid, .. }) => (born, pid),
            // It has written itself down, and the one that forked it came no further.
            (Some(born), State::Waiting) if self.is_born_since(&born, record.changed_at()) => {
                (born, born.pid)
            }
            _ => return (birth, stat, false),
        };
        let name = record.name();
        if stat.is_some() {
            let has_moved = pid != born.pid;
            return (birth, stat, has_moved);
        }
        let mark = self.legacy.own_mark();
        let (cgroup, known) = (Vec::new(), Vec::new());
        let trace = self.legacy.trace(name);
        let head = Head { name, pid: born.pid, whom: Whom::All, mark, trace, cgroup, known };
        let heir = self.look_for_heir(&head, "");
        let heir = heir.and_then(|(pid, started)| find(pid, started));
        let birth = heir.as_ref().map_or(born, |heir| {
            let (pid, born_at) = (heir.pid, (heir.started, heir.started));
            Birth { pid, born: born_at, ..born }
        });
        let has_moved = heir.is_some();
        (Some(birth), heir, has_moved)
    }

    /// Whether a birth is no older than this, as well as the clock of births can tell.
    fn is_born_since(&self, birth: &Birth, moment: Moment) -> bool {
        let ticks = sys::ticks().saturating_sub(birth.born.0);
        Duration::from_millis(ticks.saturating_mul(10)) <= self.now.since(moment) + TICK
    }

    /// Who goes on in the place of a main process which has just ended. Between the two
    /// there may be another one, which ends while we look: then neither is seen as what
    /// it is. And one that is just being executed may be anybody's.
    fn look_for_heir(&self, head: &Head, program: &str) -> Option<Relative> {
        let is_main = |it| self.supervisor.find_pid(it).is_some() || self.errands.has(it);
        let are_known = || processes::children().is_some_and(|all| all.into_iter().all(is_main));
        for look in 0.. {
            match Census::take(is_main).heir(head, program, is_main) {
                Some(Heir { process, is_guess }) if !is_guess || look == LOOKS_AT_A_GUESS => {
                    return Some(process);
                }
                Some(_) => drop(poll(&mut [], PollTimeout::from(PAUSE_MS))),
                None if look >= LOOKS || head.mark.is_none() && are_known() => break,
                None => std::thread::yield_now(),
            }
        }
        None
    }
}

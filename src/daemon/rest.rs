//! What a service has besides its main process: known before it is told to stop,
//! told what the main process was told, killed when it does not obey, and waited
//! for. A stop that leaves somebody behind is none.

use super::Daemon;
use super::family::{self, Census, Head, Relative};
use super::report::{Level, report};
use crate::config::{Signal, Whom};
use crate::supervise::{Event, Outcome, Pid, Slot, State};
use crate::sys::processes;

/// What is known of those besides the main processes.
#[derive(Default)]
pub(super) struct Rest {
    /// Everybody, as seen in this turn.
    pub(super) census: Option<Census>,
    /// Whether we have no children but main processes and errands, in this turn.
    pub(super) has_no_strangers: Option<bool>,
    /// Services of which something outlived its main process, and whether all of that
    /// was told to stop.
    pub(super) clearing: Vec<(Slot, bool)>,
    /// Families to be signalled when this turn's decisions are made.
    pub(super) families: Vec<(Slot, Pid, Whom, Signal)>,
    /// Processes of services that are being stopped.
    pub(super) relatives: Vec<(Slot, Relative)>,
    /// Services of which something is known to survive KILL.
    pub(super) stuck: Vec<Slot>,
    /// Services at rest of which somebody was found, who is being stopped.
    pub(super) found: Vec<Slot>,
}

impl Rest {
    /// Whether the service was at rest when somebody of it was found.
    pub(super) fn forget_found(&mut self, slot: Slot) -> bool {
        let count = self.found.len();
        self.found.retain(|it| *it != slot);
        self.found.len() < count
    }
}

impl Daemon {
    /// A look at everybody.
    pub(super) fn take_census(&self) -> Census {
        // Errands are nobody's family, nor is what they start as long as they run.
        let is_main = |it| self.supervisor.find_pid(it).is_some() || self.errands.has(it);
        let mut census = Census::take(is_main);
        census.name_strangers(|slack| {
            let names = self.supervisor.services().map(|(_, it)| &*it.name);
            let mut names = names.filter(|name| self.legacy.trace(name) == slack);
            // Of two who share a number, neither is believed.
            names.next().filter(|_| names.next().is_none())
        });
        census
    }

    /// The same, once a turn.
    pub(super) fn look(&mut self) {
        if self.rest.census.is_none() {
            self.rest.census = Some(self.take_census());
        }
    }

    /// Who is to be looked for as the family of a service.
    pub(super) fn head(&self, slot: Slot, pid: Pid) -> Option<Head<'_>> {
        let service = self.supervisor.get(slot)?;
        let (name, whom) = (&*service.name, service.reach());
        let known = self.rest.relatives.iter().filter(|it| it.0 == slot).map(|it| it.1).collect();
        let cgroup = self.cgroups.processes(slot, name);
        let (mark, trace) = (self.legacy.mark_of(pid), self.legacy.trace(name));
        Some(Head { name, pid, whom, mark, trace, cgroup, known })
    }

    /// Remembers the family of a service that is about to be told to stop: whose child
    /// somebody was is not known any more when the parent is dead.
    pub(super) fn get_to_know(&mut self, slot: Slot, pid: Pid) {
        let is_far = self.supervisor.get(slot).is_some_and(|it| it.reach() == Whom::All);
        // Who has no children, while nobody is left of those who had, has nobody.
        if !is_far || self.is_alone(slot, pid) && processes::is_childless(pid) {
            return;
        }
        self.look();
        let (Some(census), Some(head)) = (&self.rest.census, self.head(slot, pid)) else { return };
        let new: Vec<_> = census.relatives(&head).filter(|it| !head.known.contains(it)).collect();
        self.rest.relatives.extend(new.into_iter().map(|it| (slot, it)));
    }

    /// Signals what can be found through /proc only: with one look for all of
    /// them, for a thousand services may be killed in the same turn.
    pub(super) fn signal_families(&mut self) {
        self.rest.census = None;
        let families = std::mem::take(&mut self.rest.families);
        let mut signals: Vec<_> = families.iter().map(|it| it.3).collect();
        signals.sort_unstable();
        signals.dedup();
        for signal in signals {
            let same = families.iter().filter(|it| it.3 == signal);
            let heads: Vec<_> = same
                .filter_map(|&(slot, pid, whom, _)| {
                    let head = Head { whom, ..self.head(slot, pid)? };
                    if signal == Signal::KILL {
                        self.cgroups.kill(slot, head.name);
                    }
                    Some(head)
                })
                .collect();
            family::signal(&heads, signal, || self.take_census());
        }
    }

    /// Whether processes are left that must be gone before the service is.
    pub(super) fn has_family(&mut self, slot: Slot, pid: Pid) -> bool {
        let Some(service) = self.supervisor.get(slot) else { return false };
        match service.reach() {
            Whom::Process => false,
            Whom::Group if !processes::is_group_alive(pid) => false,
            // Whom we reap, the kernel counts.
            Whom::Group if self.legacy.mark_of(pid).is_none() => true,
            Whom::Group | Whom::All | Whom::Strays => {
                if self.is_alone(slot, pid) {
                    return false;
                }
                self.look();
                let head = self.head(slot, pid);
                self.rest.census.as_ref().zip(head).is_some_and(|(census, head)| census.has(&head))
            }
        }
    }

    /// Whether nobody can be there of a main process but what descends from it now, as far
    /// as can be known without a look at everybody: what it left is our child by now, or
    /// descends from one.
    fn is_alone(&mut self, slot: Slot, pid: Pid) -> bool {
        let name = self.supervisor.get(slot).map_or("", |it| &it.name);
        let is_plain = self.legacy.mark_of(pid).is_none()
            && !self.rest.relatives.iter().any(|it| it.0 == slot)
            && self.cgroups.path(slot, name).is_none();
        is_plain
            && *self.rest.has_no_strangers.get_or_insert_with(|| {
                let is_known =
                    |&it: &Pid| self.supervisor.find_pid(it).is_some() || self.errands.has(it);
                processes::children().is_some_and(|all| all.iter().all(is_known))
            })
    }

    /// Tells the services whose last leftover is gone. Looked for in every turn, for
    /// a leftover may have a parent of its own, which reaps it instead of us.
    pub(super) fn clear(&mut self) {
        for (slot, was_told) in std::mem::take(&mut self.rest.clearing) {
            let service = self.supervisor.get(slot);
            let Some(State::Clearing { group, .. }) = service.map(|it| it.state) else { continue };
            if !self.has_family(slot, group) {
                self.supervisor.step(slot, Event::Cleared, self.now);
                continue;
            }
            self.get_to_know(slot, group);
            let is_untold = !was_told && self.has_strays(slot, group);
            if is_untold {
                self.supervisor.step(slot, Event::Strays, self.now);
            }
            self.rest.clearing.push((slot, was_told || is_untold));
        }
        self.watch_leftovers();
    }

    /// Whether some have left the group which alone was told to stop.
    fn has_strays(&self, slot: Slot, group: Pid) -> bool {
        let kill = self.supervisor.get(slot).map(|it| it.definition.policy.kill);
        let head = self.head(slot, group).filter(|it| it.whom == Whom::All);
        let Some((census, head)) = self.rest.census.as_ref().zip(head) else { return false };
        kill == Some(Whom::Group) && census.has(&Head { whom: Whom::Strays, ..head })
    }

    /// A service that is told to stop while none of it should run may have lost
    /// somebody when it crashed. Tells whether it has, and is not stopped yet.
    pub(super) fn find_strays(&mut self, outcome: &Outcome) -> bool {
        let slot = outcome.slot;
        let is_at_rest = outcome.after == State::Down && !outcome.before.is_alive();
        let service = self.supervisor.get(slot);
        let is_far = service.is_some_and(|it| it.starts > 0 && it.reach() == Whom::All);
        if !is_at_rest || outcome.before == State::Down || !is_far {
            return false;
        }
        self.look();
        // No process has this number: those who are left are known by other means.
        let head = self.head(slot, Pid(i32::MAX));
        let found =
            self.rest.census.as_ref().zip(head).and_then(|(census, head)| census.member(&head));
        let Some((pid, _)) = found else { return false };
        self.rest.found.push(slot);
        self.supervisor.step(slot, Event::Found(pid), self.now);
        self.rest.clearing.push((slot, true));
        true
    }

    /// Reports, once, what has survived KILL until it is sent again.
    pub(super) fn doubt(&mut self, outcome: &Outcome, signal: Signal) {
        let slot = outcome.slot;
        let step = |state| match state {
            State::Stopping { pid, step, .. } | State::Clearing { group: pid, step, .. } => {
                Some((pid, step))
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => None,
        };
        let Some((pid, last)) = step(outcome.before) else { return };
        let is_again = step(outcome.after) == Some((pid, last)) && signal == Signal::KILL;
        if !is_again || self.rest.stuck.contains(&slot) {
            return;
        }
        self.look();
        let Some((census, head)) = self.rest.census.as_ref().zip(self.head(slot, pid)) else {
            return;
        };
        let main = self.supervisor.find_pid(pid).map(|_| pid);
        let all = main.into_iter().chain(census.relatives(&head).map(|it| it.0));
        let all = all.map(|it| it.0.to_string()).collect::<Vec<_>>().join(" ");
        let name = head.name.to_owned();
        report!(self.reporter, Level::Error, "{name}: survives SIGKILL, still waiting (pid {all})");
        self.rest.stuck.push(slot);
    }
}

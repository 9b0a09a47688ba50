//! Looks after those services that ask for it: whether they are well, how much
//! memory they have, how long they run; and has work done again when it is time. Of
//! services that ask for nothing there is nothing in here, and no wake for them.
//!
//! What is asked of a run is over with it: what a check of the last one would say
//! nobody hears. A service that is taken up begins anew, too.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::Daemon;
use super::cgroup::hear_alarm;
use super::errands::{End, Order, Purpose};
use super::events::millis;
use super::family::Head;
use super::report::{Level, report};
use crate::config::Whom;
use crate::config::minding::Minding;
use crate::config::words::{show_duration, show_size};
use crate::protocol::{put, put_number};
use crate::supervise::{Event, Moment, Pid, Service, Slot, State};

/// Often enough for what grows, and seldom enough for those who count wake-ups.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Alarms are known by the number of the service beyond this: above all sockets that
/// start services, below all clients.
const ALARMS: usize = 1 << 27;

/// A service that is looked after.
pub(super) struct Mind {
    slot: Slot,
    /// Its process and when that was forked, while it is up.
    run: Option<(Pid, Moment)>,
    /// When its health is asked for, unless that is under way.
    check_at: Option<Moment>,
    /// When its memory is looked at.
    look_at: Option<Moment>,
    /// By which the kernel tells that it may have too much, where it does.
    alarm: Option<File>,
    health: Health,
    /// What was wrong with it last, also in an earlier run, and when.
    ill: Option<(Box<str>, Moment)>,
    /// That it cannot even be asked has been said.
    is_told: bool,
}

/// What the answers so far say of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Unknown,
    Ok,
    /// So many were bad in a row.
    Failing(u32),
}

impl Mind {
    /// Nothing is known of it yet.
    fn of(slot: Slot) -> Mind {
        Mind {
            slot,
            run: None,
            check_at: None,
            look_at: None,
            alarm: None,
            health: Health::Unknown,
            ill: None,
            is_told: false,
        }
    }

    fn token(&self) -> Token {
        Token(ALARMS.saturating_add(self.slot.index()))
    }

    /// Another run, or none.
    fn begin(&mut self, run: Option<(Pid, Moment)>, minding: &Minding, now: Moment) {
        self.run = run;
        self.health = Health::Unknown;
        let when = |is_asked: bool, wait| run.filter(|_| is_asked).map(|_| now.after(wait));
        self.check_at = when(minding.health, minding.health_every);
        self.look_at = when(minding.max_memory.is_some(), LOOK_EVERY);
    }

    /// When a run has lasted long enough.
    fn end_at(&self, service: &Service) -> Option<Moment> {
        let (_, since) = self.run?;
        Some(since.after(service.definition.policy.care.minding.max_runtime?))
    }

    /// When there is something to do.
    fn due_at(&self, service: &Service) -> Option<Moment> {
        let all = [self.check_at, self.look_at, self.end_at(service), service.next_run()];
        all.into_iter().flatten().min()
    }
}

impl Daemon {
    /// When a service is to be looked after.
    pub(super) fn mind_at(&self) -> Option<Moment> {
        let due_at = |it: &Mind| it.due_at(self.supervisor.get(it.slot)?);
        self.minds.iter().filter_map(due_at).min()
    }

    /// Begins or ends to look after a service of which something has become.
    pub(super) fn mind(&mut self, slot: Slot, is_gone: bool) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let minding = service.definition.policy.care.minding;
        let is_minded = minding.is_some() && !is_gone;
        if !is_minded && self.minds.is_empty() {
            return;
        }
        let mut run = None;
        if let State::Up { pid, since } = service.state {
            run = Some((pid, since));
        }
        let mut index = self.minds.iter().position(|it| it.slot == slot);
        if index.is_none() && is_minded {
            index = Some(self.minds.len());
            self.minds.push(Mind::of(slot));
        }
        let Some(mind) = index.and_then(|index| self.minds.get_mut(index)) else { return };
        if !is_minded || mind.run != run {
            mind.begin(run, &minding, self.now);
            let name = service.name.clone();
            self.set_alarm(slot);
            self.errands.cancel(Purpose::Health, &name);
        }
        if !is_minded {
            self.minds.retain(|it| it.slot != slot);
        }
    }

    /// The same when its file says something else.
    pub(super) fn mind_anew(&mut self, slot: Slot) {
        self.minds.iter_mut().filter(|it| it.slot == slot).for_each(|it| it.run = None);
        self.mind(slot, false);
    }

    /// Has the kernel tell when a service that runs has too much memory, if it can.
    fn set_alarm(&mut self, slot: Slot) {
        let name = self.supervisor.get(slot).map(|it| it.name.clone()).unwrap_or_default();
        let Some(mind) = self.minds.iter_mut().find(|it| it.slot == slot) else { return };
        if let Some(old) = mind.alarm.take() {
            // A child that is not its program yet may have a copy (epoll(7)).
            let _ = self.poll.registry().deregister(&mut SourceFd(&old.as_raw_fd()));
        }
        if mind.look_at.is_none() {
            return;
        }
        let Some(alarm) = self.cgroups.alarm(slot, &name) else { return };
        let (fd, interest) = (alarm.as_raw_fd(), Interest::PRIORITY);
        // Without memory for the watch we look now and then, as ever.
        let _ = self.poll.registry().register(&mut SourceFd(&fd), mind.token(), interest);
        mind.alarm = Some(alarm);
    }

    /// Does what is due.
    pub(super) fn look_after_services(&mut self) {
        for mind in self.minds.iter_mut().filter(|it| self.heard.contains(&it.token().0)) {
            // What was told so far is read, or the next alarm would not be heard.
            let is_alarm = mind.alarm.as_ref().is_some_and(hear_alarm);
            mind.look_at = mind.look_at.map(|at| if is_alarm { self.now } else { at });
        }
        for index in 0..self.minds.len() {
            // Nobody is added or leaves meanwhile.
            let Some(mind) = self.minds.get(index) else { return };
            let slot = mind.slot;
            let due_at = self.supervisor.get(slot).and_then(|service| mind.due_at(service));
            if due_at.is_some_and(|at| at <= self.now) {
                self.look_after(slot);
            }
        }
    }

    fn look_after(&mut self, slot: Slot) {
        self.supervisor.step(slot, Event::Again, self.now);
        let Some(service) = self.supervisor.get(slot) else { return };
        let Some(mind) = self.minds.iter_mut().find(|it| it.slot == slot) else { return };
        let Some((pid, _)) = mind.run else { return };
        if !matches!(service.state, State::Up { pid: it, .. } if it == pid) {
            return self.mind(slot, false);
        }
        let now = self.now;
        let is_over = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        if let Some(max) = service.definition.policy.care.minding.max_runtime {
            if is_over(mind.end_at(service)) {
                let (name, max) = (&service.name, show_duration(max));
                let fact = "has run for";
                report!(
                    self.reporter,
                    Level::Info,
                    "{name}: {fact} {max} (max-runtime), restarting"
                );
                return self.supervisor.step(slot, Event::Restart, self.now);
            }
        }
        if is_over(mind.check_at) {
            mind.check_at = None;
            let facts = format!("GOING_EVENT=health\nGOING_PID={}\n", pid.0);
            let order = Order::new(Purpose::Health, service, facts);
            self.send_errand(order);
        }
        let Some(mind) = self.minds.iter_mut().find(|it| it.slot == slot) else { return };
        if is_over(mind.look_at) {
            mind.look_at = Some(self.now.after(LOOK_EVERY));
            self.weigh(slot, pid);
        }
    }

    /// Restarts a service that has too much memory.
    fn weigh(&mut self, slot: Slot, pid: Pid) {
        let max = self.supervisor.get(slot).map(|it| it.definition.policy.care.minding.max_memory);
        let (Some(max), memory) = (max.flatten(), self.memory_of(slot, pid)) else { return };
        if memory > max {
            let name = self.supervisor.get(slot).map_or("", |it| &it.name);
            let (memory, max) = (show_size(round(memory)), show_size(max));
            let fact = format!("has {memory} of memory, more than {max}");
            report!(self.reporter, Level::Warning, "{name}: {fact} (max-memory), restarting");
            self.supervisor.step(slot, Event::Restart, self.now);
        }
    }

    /// The memory of all processes of a service that could not be had back without
    /// stopping them: the kernel counts it for a control group; otherwise it is what
    /// each of them has for itself.
    fn memory_of(&mut self, slot: Slot, pid: Pid) -> u64 {
        let name = self.supervisor.get(slot).map(|it| it.name.clone()).unwrap_or_default();
        if let Some(memory) = self.cgroups.memory(slot, &name) {
            return memory;
        }
        self.look();
        let (Some(census), Some(head)) = (&self.rest.census, self.head(slot, pid)) else {
            return own_memory(pid);
        };
        let head = Head { whom: Whom::All, ..head };
        let others = census.relatives(&head).map(|it| own_memory(it.0));
        others.fold(own_memory(pid), u64::saturating_add)
    }

    /// What a check of its health came to: why it failed, and all that it said.
    pub(super) fn hear_health(&mut self, name: &str, end: &End, why: &str, all: String) {
        let Some(slot) = self.supervisor.find(name) else { return };
        let Some(service) = self.supervisor.get(slot) else { return };
        let minding = service.definition.policy.care.minding;
        let Some(mind) = self.minds.iter_mut().find(|it| it.slot == slot) else { return };
        mind.check_at = mind.run.map(|_| self.now.after(minding.health_every));
        let so_far = if let Health::Failing(count) = mind.health { count } else { 0 };
        let was_told = std::mem::take(&mut mind.is_told);
        if matches!(end, End::Fault(_)) {
            // Whose health cannot be asked for is not ill.
            (mind.health, mind.is_told) = (Health::Unknown, true);
            if !was_told {
                report!(self.reporter, Level::Warning, "{name}: health is not known: {why}");
            }
            return;
        }
        if why.is_empty() {
            mind.health = Health::Ok;
            if so_far > 0 {
                report!(self.reporter, Level::Info, "{name}: is well again");
            }
            return;
        }
        let (count, fails) = (so_far.saturating_add(1), minding.health_fails);
        mind.health = Health::Failing(count);
        mind.ill = Some((all.into(), self.now));
        let consequence = if count >= fails { ", restarting" } else { "" };
        let fact = "health check failed";
        report!(
            self.reporter,
            Level::Warning,
            "{name}: {fact}, {count} of {fails} ({why}){consequence}"
        );
        if count >= fails {
            self.supervisor.step(slot, Event::Unhealthy, self.now);
        }
    }

    /// How it is with a service that is looked after.
    pub(super) fn put_minding(&self, out: &mut Vec<u8>, slot: Slot, is_told_all: bool) {
        let mind = self.minds.iter().find(|it| it.slot == slot);
        let Some((mind, service)) = mind.zip(self.supervisor.get(slot)) else { return };
        let minding = service.definition.policy.care.minding;
        let next = service.next_run().map(|at| (at, "run"));
        let next = next.or_else(|| mind.end_at(service).map(|at| (at, "restart")));
        if let Some((at, what)) = next {
            put_number(out, "next-ms", millis(at.since(self.now)));
            put(out, "next", what);
        }
        if minding.health && mind.run.is_some() {
            let (word, failed) = match mind.health {
                Health::Unknown => ("unknown", 0),
                Health::Ok => ("ok", 0),
                Health::Failing(count) => ("failing", count),
            };
            put(out, "health", word);
            if failed > 0 {
                put_number(out, "health-failed", failed.into());
                put_number(out, "health-fails", minding.health_fails.into());
            }
        }
        // What it says may be meant for few.
        if let Some((said, at)) = mind.ill.as_ref().filter(|_| is_told_all) {
            put(out, "ill", said);
            put_number(out, "ill-ago-ms", millis(self.now.since(*at)));
        }
    }
}

/// What a process has for itself and cannot be dropped (proc_pid_status(5)).
fn own_memory(pid: Pid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.0)).unwrap_or_default();
    let kilobytes = |line: &str| {
        let rest = line.strip_prefix("RssAnon:").or(line.strip_prefix("VmSwap:"))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    text.lines().filter_map(kilobytes).fold(0, u64::saturating_add).saturating_mul(1024)
}

/// As exact as people want to know it.
fn round(size: u64) -> u64 {
    let unit = if size < 10 << 20 { 1 << 10 } else { 1 << 20 };
    size - size % unit
}

//! Finds what a service left behind or started anew in sessions of its own, by
//! walking /proc up to ourselves: going is the parent, near or far, of all that
//! its services ever start. What is no descendant of ours, nor of a service that an
//! earlier going left to us, is never touched.
//!
//! A process that left its session *and* overwrote its environment is known by its
//! parents while it has any, which is why they are looked at before a service is
//! told to stop; later, by its trace, or its control group, if there is one.

use std::cell::OnceCell;
use std::fs;
use std::os::fd::AsFd;

use nix::unistd::getppid;

use super::stat::Stat;
use super::trace;
use crate::config::{Signal, Whom};
use crate::supervise::Pid;
use crate::sys::{self, pidfds};

/// Whose family is looked for.
pub struct Head<'a> {
    /// The service.
    pub name: &'a str,
    /// Its main process, dead or alive, after which its group is named.
    pub pid: Pid,
    /// How far the family goes.
    pub whom: Whom,
    /// For a service that an earlier going started: the variable by which its
    /// processes name our run directory. Those whose parents died are no
    /// descendants of ours.
    pub mark: Option<&'a [u8]>,
    /// The number by which its processes are known that name nobody.
    pub trace: u32,
    /// Who is in its control group, if it has one.
    pub cgroup: Vec<Pid>,
    /// Who has been seen to belong to it, whatever became of its parents since.
    pub known: Vec<Relative>,
}

/// A process that belongs to a service, and when it was born.
pub type Relative = (Pid, u64);

/// A process, and the main process of a service, or else the child of ours, that it
/// descends from.
struct Person {
    stat: Stat,
    ancestor: Option<Pid>,
    /// Whether that is a main process.
    is_of_main: bool,
    /// What its environment says, if that counts.
    service: Option<Box<[u8]>>,
    /// The same of one that is no descendant, if it names our run directory, too; looked
    /// at when somebody asks first, for many may ask.
    marked: OnceCell<Option<Box<[u8]>>>,
    /// The trace of one whose environment names nobody.
    trace: OnceCell<Option<u32>>,
}

impl Person {
    fn of(stat: Stat) -> Person {
        let (ancestor, is_of_main, service) = (None, false, None);
        let (marked, trace) = (OnceCell::new(), OnceCell::new());
        Person { stat, ancestor, is_of_main, service, marked, trace }
    }

    /// Whether it carries the mark of all of ours, and the name of this service.
    fn carries(&self, name: &str, mark: &[u8]) -> bool {
        let service = self.marked.get_or_init(|| service_of(self.stat.pid, Some(mark)));
        service.as_deref() == Some(name.as_bytes())
    }

    /// Whether it names nobody, and has this trace.
    fn has_trace(&self, trace: u32) -> bool {
        let pid = self.stat.pid;
        let is_nameless = || service_of(pid, None).is_none();
        let found = self.trace.get_or_init(|| trace::of(pid).filter(|_| is_nameless()));
        *found == Some(trace)
    }
}

/// Who goes on in the place of another.
pub struct Heir {
    /// It.
    pub process: Relative,
    /// It is just being executed, and may be anybody's.
    pub is_guess: bool,
}

/// Everybody who may be one of our services, as far as /proc tells.
pub struct Census {
    us: Pid,
    /// Init, and our parent: they may have taken up what an earlier going left.
    reapers: [Pid; 2],
    all: Vec<Person>,
    /// Those in there who are no main processes: few, where these are many.
    others: Vec<usize>,
    /// Some may be there who could not be looked at.
    is_blind: bool,
}

/// So many times a family is looked for again after it was killed: a fork can
/// slip through between the look and the signal.
const ROUNDS: usize = 8;

impl Census {
    /// Looks at every process there is. `is_main` tells the main processes of all
    /// services, whose descendants are nobody else's.
    pub fn take(is_main: impl Fn(Pid) -> bool) -> Census {
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let reapers = [Pid(1), Pid(getppid().as_raw())];
        let (all, others) = (Vec::new(), Vec::new());
        let mut census = Census { us, reapers, all, others, is_blind: false };
        let entries = fs::read_dir("/proc");
        census.is_blind = entries.as_ref().is_err_and(sys::is_passing);
        for entry in entries.into_iter().flatten() {
            census.is_blind |= entry.as_ref().is_err_and(sys::is_passing);
            let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match Stat::look(Pid(pid)) {
                Ok(stat) => census.all.extend(stat.filter(|it| !it.is_dead).map(Person::of)),
                Err(_) => census.is_blind = true,
            }
        }
        census.all.sort_unstable_by_key(|it| it.stat.pid);
        for index in 0..census.all.len() {
            let Some(it) = census.all.get(index) else { break };
            let ancestor = census.ancestor(&it.stat, &is_main);
            if let Some(it) = census.all.get_mut(index) {
                it.ancestor = ancestor;
                it.is_of_main = ancestor.is_some_and(&is_main);
                if !is_main(it.stat.pid) {
                    census.others.push(index);
                }
                if ancestor.is_some() && !it.is_of_main {
                    it.service = service_of(it.stat.pid, None);
                }
            }
        }
        census
    }

    /// Gives those whose environment tells nothing to the service which `who` knows by
    /// their trace.
    pub fn name_strangers<'a>(&mut self, who: impl Fn(u32) -> Option<&'a str>) {
        for it in &mut self.all {
            if it.ancestor.is_some() && !it.is_of_main && it.service.is_none() {
                let name = trace::of(it.stat.pid).and_then(&who);
                it.service = name.map(|name| name.as_bytes().into());
            }
        }
    }

    fn find(&self, pid: Pid) -> Option<&Person> {
        let index = self.all.binary_search_by_key(&pid, |it| it.stat.pid).ok()?;
        self.all.get(index)
    }

    /// Which main process, or else child of ours, `it` descends from, if it does.
    fn ancestor(&self, it: &Stat, is_main: &impl Fn(Pid) -> bool) -> Option<Pid> {
        let mut it = it;
        // Processes come and go while /proc is read, so the walk is bounded.
        for _ in 0..self.all.len() {
            if it.parent == self.us || is_main(it.pid) {
                return Some(it.pid);
            }
            it = &self.find(it.parent)?.stat;
        }
        None
    }

    /// Whether one that descends from nobody we know was left by an adopted `head`.
    fn is_orphan(&self, person: &Person, head: &Head) -> bool {
        let (it, Some(mark)) = (&person.stat, head.mark) else { return false };
        // While a group or session lasts, nobody else gets its number as a pid.
        let is_stale =
            self.find(head.pid).is_some_and(|it| !it.is_of_main || it.ancestor != Some(head.pid));
        let is_of_group = !is_stale && it.group == head.pid;
        match head.whom {
            Whom::Process => false,
            Whom::Group => is_of_group,
            Whom::All | Whom::Strays => {
                is_of_group
                    || !is_stale && it.session == head.pid
                    || person.carries(head.name, mark)
                    || self.is_traced(person, head, mark)
            }
        }
    }

    /// Whether all from here up to the process which takes up orphans are of an adopted
    /// `head`: by their trace, for another going's have the like.
    fn is_traced(&self, person: &Person, head: &Head, mark: &[u8]) -> bool {
        let mut it = person;
        for _ in 0..self.all.len() {
            if !it.has_trace(head.trace) && !it.carries(head.name, mark) {
                return false;
            }
            if self.reapers.contains(&it.stat.parent) {
                return true;
            }
            match self.find(it.stat.parent) {
                Some(parent) => it = parent,
                None => return false,
            }
        }
        false
    }

    /// Whether `person` belongs to the family of `head`, wherever it ends.
    fn is_relative(&self, person: &Person, head: &Head) -> bool {
        let it = &person.stat;
        if person.is_of_main && person.ancestor != Some(head.pid) {
            return false;
        }
        if head.whom == Whom::Process {
            return it.pid == head.pid;
        }
        if head.whom != Whom::Group {
            let root = person.ancestor.and_then(|it| self.find(it)).map(|it| &it.stat);
            let is_known = |it: &Stat| head.known.contains(&(it.pid, it.started));
            let is_descendant = root.is_some_and(is_known);
            // A session has its number for itself as long as it lasts.
            let is_led =
                head.known.iter().any(|known| known.0 == it.session && known.1 <= it.started);
            if head.cgroup.contains(&it.pid) || is_known(it) || is_descendant || is_led {
                return true;
            }
        }
        let Some(ancestor) = person.ancestor else { return self.is_orphan(person, head) };
        let is_named = |it: &Person| it.service.as_deref() == Some(head.name.as_bytes());
        match head.whom {
            Whom::Process | Whom::Group => it.group == head.pid,
            Whom::All | Whom::Strays => {
                ancestor == head.pid
                    || it.group == head.pid
                    || it.session == head.pid
                    || is_named(person)
                    || self.find(ancestor).is_some_and(is_named)
            }
        }
    }

    /// Who of the family of `head` is alive.
    fn members(&self, head: &Head) -> impl Iterator<Item = &Stat> {
        let is_meant = |it: &Stat| head.whom != Whom::Strays || it.group != head.pid;
        // No main process is of another's family.
        let others = self.others.iter().filter_map(|&index| self.all.get(index));
        let main = self.find(head.pid).filter(|it| it.ancestor == Some(head.pid) && it.is_of_main);
        let all = main.into_iter().chain(others).filter(move |it| is_meant(&it.stat));
        all.filter(|it| self.is_relative(it, head)).map(|it| &it.stat)
    }

    /// Whether it is going itself, or descends from it.
    pub fn is_ours(&self, pid: Pid) -> bool {
        pid == self.us || self.find(pid).is_none_or(|it| it.ancestor.is_some())
    }

    /// Whether anybody of the family lives, or may.
    pub fn has(&self, head: &Head) -> bool {
        self.is_blind || self.members(head).next().is_some()
    }

    /// Whether anybody of it lives who is certainly no stranger: for a family that
    /// nobody watched for a while.
    pub fn has_marked(&self, head: &Head) -> bool {
        let is_certain = |it: &Stat| {
            let (person, mark) = (self.find(it.pid)?, head.mark?);
            Some(person.carries(head.name, mark) || self.is_traced(person, head, mark))
        };
        self.is_blind || self.members(head).any(|it| is_certain(it) == Some(true))
    }

    /// Whether it saw everybody.
    pub fn is_whole(&self) -> bool {
        !self.is_blind
    }

    /// Who goes on in the place of a main process which has just ended: of those it
    /// left to us the one that leads a session, or else the oldest. Many daemons
    /// write over their environment, and are known by their trace, or where there is
    /// none, by their program; one that is just being executed is taken for what it may
    /// be, if there is no other.
    pub fn heir(&self, head: &Head, program: &str, is_main: impl Fn(Pid) -> bool) -> Option<Heir> {
        let is_known = |it: &Stat| {
            let is_near = it.group == head.pid || it.session == head.pid;
            let named = || is_named(it.pid, head.name);
            let trace = || trace::of(it.pid).filter(|it| trace::is_one(*it));
            let traced = || trace().map(|it| it == head.trace);
            let is_known = is_near.then_some(true).or_else(named).or_else(traced);
            is_known.or_else(|| runs(it.pid, program).then_some(true))
        };
        // Of a parent that was no child of ours, we are not told what it left.
        let carries = |pid, mark| carries_mark(pid, head.name, mark);
        let is_left = |it: &Person| match head.mark {
            _ if it.stat.parent == self.us => true,
            Some(mark) if carries(it.stat.pid, mark) => !carries(it.stat.parent, mark),
            Some(mark) => self.reapers.contains(&it.stat.parent) && self.is_traced(it, head, mark),
            None => false,
        };
        let left = self.all.iter().filter(|it| !is_main(it.stat.pid) && is_left(it));
        let heirs = left.filter_map(|Person { stat, .. }| {
            let is_guess = match is_known(stat) {
                Some(true) => false,
                Some(false) => return None,
                None => is_being_executed(stat.pid).then_some(true)?,
            };
            let rank = (is_guess, stat.session != stat.pid, stat.started, stat.pid);
            Some((rank, Heir { process: (stat.pid, stat.started), is_guess }))
        });
        heirs.min_by_key(|(rank, _)| *rank).map(|(_, heir)| heir)
    }

    /// One of the family, to be watched.
    pub fn member(&self, head: &Head) -> Option<(Pid, u64)> {
        self.members(head).next().map(|it| (it.pid, it.started))
    }

    /// All of the family but its head, to be known again.
    pub fn relatives(&self, head: &Head) -> impl Iterator<Item = Relative> {
        let others = self.members(head).filter(|it| it.pid != head.pid);
        others.map(|it| (it.pid, it.started))
    }
}

/// The environment with which `pid` was executed, empty if it has none. While it is
/// being executed it has none for a moment, and is asked again.
fn environment(pid: Pid) -> Option<Vec<u8>> {
    for _ in 0..4 {
        let environment = fs::read(format!("/proc/{}/environ", pid.0)).ok()?;
        if !environment.is_empty() {
            return Some(environment);
        }
        std::thread::yield_now();
    }
    Some(Vec::new())
}

/// The service which the environment names with which `pid` was executed, if it names
/// our run directory, too, where that is asked for.
pub(super) fn service_of(pid: Pid, mark: Option<&[u8]>) -> Option<Box<[u8]>> {
    let environment = environment(pid)?;
    let mut lines = environment.split(|&byte| byte == 0);
    if mark.is_some_and(|mark| !lines.clone().any(|line| line == mark)) {
        return None;
    }
    lines.find_map(|line| line.strip_prefix(b"GOING_SERVICE=")).map(Box::from)
}

fn carries_mark(pid: Pid, name: &str, mark: &[u8]) -> bool {
    service_of(pid, Some(mark)).as_deref() == Some(name.as_bytes())
}

/// Whether the environment of `pid` names this service; `None` if it names none.
fn is_named(pid: Pid, name: &str) -> Option<bool> {
    let environment = environment(pid)?;
    let mut lines = environment.split(|&byte| byte == 0);
    let named = lines.find_map(|line| line.strip_prefix(b"GOING_SERVICE="))?;
    Some(named == name.as_bytes())
}

/// Whether `pid` is in the midst of execve(2), where for a moment it has neither
/// arguments nor an environment.
fn is_being_executed(pid: Pid) -> bool {
    let is_empty = |file| fs::read(format!("/proc/{}/{file}", pid.0)).is_ok_and(|it| it.is_empty());
    is_empty("cmdline") && is_empty("environ")
}

/// Whether `pid` runs a program of this name.
fn runs(pid: Pid, program: &str) -> bool {
    let file = fs::read_link(format!("/proc/{}/exe", pid.0)).ok();
    file.is_some_and(|it| it.file_name().is_some_and(|it| it == program))
}

/// Sends `signal` to the families of all heads; KILL until nobody is left.
pub fn signal(heads: &[Head], signal: Signal, look: impl Fn() -> Census) {
    let rounds = if signal == Signal(9) { ROUNDS } else { 1 };
    for _ in 0..rounds {
        let census = look();
        let mut is_done = true;
        for head in heads {
            for relative in census.members(head) {
                is_done &= !send(relative, signal);
            }
        }
        if is_done {
            return;
        }
    }
}

/// Kills everybody who descends from us.
pub fn kill_all() {
    for _ in 0..ROUNDS {
        let census = Census::take(|_| false);
        let ours = census.all.iter().filter(|it| it.ancestor.is_some());
        let mut ours = ours.map(|it| &it.stat).peekable();
        if ours.peek().is_none() {
            return;
        }
        ours.for_each(|it| {
            let _ = send(it, Signal::KILL);
        });
    }
}

/// Through a pidfd, so that between the look and the signal the pid cannot
/// become a stranger's (pidfd_open(2), Linux 5.3).
fn send(relative: &Stat, signal: Signal) -> bool {
    let Ok(pidfd) = pidfds::open(relative.pid) else { return false };
    Stat::read(relative.pid).is_some_and(|it| it.started == relative.started && !it.is_dead)
        && pidfds::signal(pidfd.as_fd(), signal).is_ok()
}

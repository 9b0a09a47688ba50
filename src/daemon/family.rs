//! Finds what a service left behind or started anew in sessions of its own, by
//! walking /proc up to ourselves: going is the parent, near or far, of all that
//! its services ever start. What is no descendant of ours, nor of a service that an
//! earlier going left to us, is never touched.
//!
//! A process that left its session *and* overwrote its environment cannot be
//! told from any other orphan; only a cgroup could.

use std::fs;
use std::os::fd::AsFd;

use super::stat::Stat;
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
}

/// Everybody who descends from us, as far as /proc tells.
pub struct Census {
    us: Pid,
    all: Vec<Stat>,
    /// Some may be there who could not be looked at.
    is_blind: bool,
}

/// So many times a family is looked for again after it was killed: a fork can
/// slip through between the look and the signal.
const ROUNDS: usize = 8;

impl Census {
    /// Looks at every process there is.
    pub fn take() -> Census {
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let mut census = Census { us, all: Vec::new(), is_blind: false };
        let entries = fs::read_dir("/proc");
        census.is_blind = entries.as_ref().is_err_and(sys::is_passing);
        for entry in entries.into_iter().flatten() {
            census.is_blind |= entry.as_ref().is_err_and(sys::is_passing);
            let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match Stat::look(Pid(pid)) {
                Ok(stat) => census.all.extend(stat.filter(|it| !it.is_dead)),
                Err(_) => census.is_blind = true,
            }
        }
        census.all.sort_unstable_by_key(|it| it.pid);
        census
    }

    fn find(&self, pid: Pid) -> Option<&Stat> {
        let index = self.all.binary_search_by_key(&pid, |it| it.pid).ok()?;
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
            it = self.find(it.parent)?;
        }
        None
    }

    /// Whether one that descends from nobody we know was left by an adopted `head`.
    fn is_orphan(&self, it: &Stat, head: &Head, is_main: &impl Fn(Pid) -> bool) -> bool {
        let Some(mark) = head.mark else { return false };
        // While a group or session lasts, nobody else gets its number as a pid.
        let is_stale = !is_main(head.pid) && self.find(head.pid).is_some();
        let is_of_group = !is_stale && it.group == head.pid;
        match head.whom {
            Whom::Process => false,
            Whom::Group => is_of_group,
            Whom::All => {
                is_of_group
                    || !is_stale && it.session == head.pid
                    || carries_mark(it.pid, head.name, Some(mark))
            }
        }
    }

    /// Who of the family of `head` is alive. `is_main` tells the main processes
    /// of all services, whose descendants are nobody else's.
    fn members(&self, head: &Head, is_main: &impl Fn(Pid) -> bool) -> impl Iterator<Item = &Stat> {
        self.all.iter().filter(move |it| {
            let Some(ancestor) = self.ancestor(it, is_main) else {
                return self.is_orphan(it, head, is_main);
            };
            if ancestor != head.pid && is_main(ancestor) {
                return false;
            }
            match head.whom {
                Whom::Process => it.pid == head.pid,
                Whom::Group => it.group == head.pid,
                Whom::All => {
                    ancestor == head.pid
                        || it.group == head.pid
                        || it.session == head.pid
                        || carries_mark(it.pid, head.name, None)
                        || carries_mark(ancestor, head.name, None)
                }
            }
        })
    }

    /// Whether anybody of the family lives, or may.
    pub fn has(&self, head: &Head, is_main: impl Fn(Pid) -> bool) -> bool {
        self.is_blind || self.members(head, &is_main).next().is_some()
    }

    /// Whether anybody of it lives who is certainly no stranger: for a family that
    /// nobody watched for a while.
    pub fn has_marked(&self, head: &Head, is_main: impl Fn(Pid) -> bool) -> bool {
        self.is_blind
            || self.members(head, &is_main).any(|it| carries_mark(it.pid, head.name, head.mark))
    }

    /// Whether it saw everybody.
    pub fn is_whole(&self) -> bool {
        !self.is_blind
    }

    /// Who goes on in the place of a main process which has just ended: of those it
    /// left to us the one that leads a session, or else the oldest. Many daemons
    /// write over their environment, and are known by their program only; one that
    /// is just being executed is taken for what it may be, if there is no other.
    pub fn heir(
        &self,
        head: &Head,
        program: &str,
        is_main: impl Fn(Pid) -> bool,
    ) -> Option<(Pid, u64)> {
        let is_known = |it: &Stat| {
            let is_near = it.group == head.pid || it.session == head.pid;
            is_near || is_named(it.pid, head.name).unwrap_or_else(|| runs(it.pid, program))
        };
        let left = self.all.iter().filter(|it| it.parent == self.us && !is_main(it.pid));
        let heirs = left.filter_map(|it| {
            let is_known = is_known(it);
            (is_known || is_being_executed(it.pid)).then_some((!is_known, it))
        });
        let rank =
            |(is_guess, it): &(bool, &Stat)| (*is_guess, it.session != it.pid, it.started, it.pid);
        heirs.min_by_key(rank).map(|(_, it)| (it.pid, it.started))
    }

    /// One of the family, to be watched.
    pub fn member(&self, head: &Head, is_main: impl Fn(Pid) -> bool) -> Option<(Pid, u64)> {
        self.members(head, &is_main).next().map(|it| (it.pid, it.started))
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

/// Whether the environment with which `pid` was executed names this service, and
/// our run directory if that is asked for.
fn carries_mark(pid: Pid, name: &str, mark: Option<&[u8]>) -> bool {
    let Some(environment) = environment(pid) else { return false };
    let lines = || environment.split(|&byte| byte == 0);
    mark.is_none_or(|mark| lines().any(|line| line == mark))
        && lines()
            .filter_map(|line| line.strip_prefix(b"GOING_SERVICE="))
            .any(|it| it == name.as_bytes())
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
pub fn signal(heads: &[Head], signal: Signal, is_main: impl Fn(Pid) -> bool) {
    let rounds = if signal == Signal(9) { ROUNDS } else { 1 };
    for _ in 0..rounds {
        let census = Census::take();
        let mut is_done = true;
        for head in heads {
            for relative in census.members(head, &is_main) {
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
        let census = Census::take();
        let is_ours = |it: &&Stat| census.ancestor(it, &|_| false).is_some();
        let mut ours = census.all.iter().filter(is_ours).peekable();
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

//! Finds what a service left behind or started anew in sessions of its own, by
//! walking /proc up to ourselves: going is the parent, near or far, of all that
//! its services ever start. What is no descendant of ours is never touched.
//!
//! A process that left its session *and* overwrote its environment cannot be
//! told from any other orphan; only a cgroup could.

use std::fs;

use crate::config::{Signal, Whom};
use crate::supervise::Pid;
use crate::sys::processes;

/// Whose family is looked for.
pub struct Head<'a> {
    /// The service.
    pub name: &'a str,
    /// Its main process, dead or alive, after which its group is named.
    pub pid: Pid,
    /// How far the family goes.
    pub whom: Whom,
}

/// A living descendant of ours.
struct Relative {
    pid: Pid,
    parent: Pid,
    group: Pid,
    session: Pid,
    /// In ticks since boot: with the pid, the identity of a process.
    started: u64,
}

/// Everybody who descends from us, as far as /proc tells.
pub struct Census {
    us: Pid,
    all: Vec<Relative>,
}

/// So many times a family is looked for again after it was killed: a fork can
/// slip through between the look and the signal.
const ROUNDS: usize = 8;

impl Census {
    /// Looks at every process there is.
    pub fn take() -> Census {
        let us = Pid(i32::try_from(std::process::id()).unwrap_or(0));
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut all: Vec<_> = pids.filter_map(|pid| Relative::read(Pid(pid))).collect();
        all.sort_unstable_by_key(|it| it.pid);
        Census { us, all }
    }

    fn find(&self, pid: Pid) -> Option<&Relative> {
        let index = self.all.binary_search_by_key(&pid, |it| it.pid).ok()?;
        self.all.get(index)
    }

    /// Which child of ours `relative` descends from, if it does.
    fn ancestor(&self, relative: &Relative) -> Option<Pid> {
        let mut it = relative;
        // Processes come and go while /proc is read, so the walk is bounded.
        for _ in 0..self.all.len() {
            if it.parent == self.us {
                return Some(it.pid);
            }
            it = self.find(it.parent)?;
        }
        None
    }

    /// Who of the family of `head` is alive. `is_main` tells the main processes
    /// of all services, whose descendants are nobody else's.
    fn members(
        &self,
        head: &Head,
        is_main: &impl Fn(Pid) -> bool,
    ) -> impl Iterator<Item = &Relative> {
        self.all.iter().filter(move |it| {
            let Some(ancestor) = self.ancestor(it) else { return false };
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
                        || carries_mark(it.pid, head.name)
                        || carries_mark(ancestor, head.name)
                }
            }
        })
    }

    /// Whether anybody of the family lives.
    pub fn has(&self, head: &Head, is_main: impl Fn(Pid) -> bool) -> bool {
        self.members(head, &is_main).next().is_some()
    }
}

impl Relative {
    /// `None` if it is gone, or dead and only unreaped (proc_pid_stat(5)).
    fn read(pid: Pid) -> Option<Relative> {
        let stat = fs::read(format!("/proc/{}/stat", pid.0)).ok()?;
        // The command's name is in parentheses, and may itself hold any.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let mut next = || fields.next()?.parse().ok().map(Pid);
        let (parent, group, session) = (next()?, next()?, next()?);
        // Field 22; the session was field 6.
        let started = fields.nth(15)?.parse().ok()?;
        Some(Relative { pid, parent, group, session, started })
    }
}

/// Whether the environment with which `pid` was executed names this service.
fn carries_mark(pid: Pid, name: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{}/environ", pid.0)) else { return false };
    environment
        .split(|&byte| byte == 0)
        .filter_map(|line| line.strip_prefix(b"GOING_SERVICE="))
        .any(|it| it == name.as_bytes())
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

/// Through a pidfd, so that between the look and the signal the pid cannot
/// become a stranger's (pidfd_open(2), Linux 5.3).
fn send(relative: &Relative, signal: Signal) -> bool {
    let Ok(pidfd) = processes::open(relative.pid) else { return false };
    Relative::read(relative.pid).is_some_and(|it| it.started == relative.started)
        && processes::signal_open(&pidfd, signal).is_ok()
}

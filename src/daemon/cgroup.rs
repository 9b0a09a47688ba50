//! A control group for each service that has a use for one, all of them in one
//! of ours: limits for all of its processes together, and a census from which none
//! escapes. Whatever of it cannot be had is told, and the service runs without; a
//! service that wants none costs nothing here.
//!
//! ```text
//! OWN             where going was started
//! └ going         named after the run directory, so that the next going finds it
//!   ├ .going      going itself, but only if it must leave OWN to share it out
//!   └ web.service
//! ```

mod place;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::libc;

pub(super) use self::place::{LIMITS, Place, all_lacks, is_used, lacks};

use self::place::limits;
use super::Daemon;
use super::family::Census;
use super::report::{Level, report};
use crate::config::cgroup::Wish;
use crate::config::{Signal, Spec};
use crate::supervise::{Exit, Fault, Pid, Slot, State, Step, digest};
use crate::sys::cgroup::Cgroup;

/// Sub-groups which a service made for itself are followed so deep.
const DEPTH: usize = 16;

/// The control groups of our services.
pub(super) struct Cgroups {
    /// The name of ours.
    name: Box<str>,
    /// Looked for when it is needed first.
    place: Option<Place>,
    /// Who has one, and how many of its processes the kernel had killed for memory.
    members: Vec<(Slot, u64)>,
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// The kernel makes no file in there for us, so none is created.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The number in a line of `file` that begins with `key`.
fn count(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    lines.next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Reads an alarm, so that the next one is heard; whether it can be.
pub(super) fn hear_alarm(mut alarm: &File) -> bool {
    alarm.rewind().and_then(|()| alarm.read(&mut [0; 256])).is_ok()
}

/// The groups inside of this one, which are all of its directories.
fn inner(group: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir())).map(|it| it.path())
}

/// Adds the processes of a group and of those inside of it.
fn add_processes(group: &Path, depth: usize, all: &mut Vec<Pid>) {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // One in another PID namespace is 0.
    all.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|it| *it > 0).map(Pid));
    if depth > 0 {
        inner(group).for_each(|it| add_processes(&it, depth - 1, all));
    }
}

/// Removes a group and those inside of it, if all are empty.
fn remove(group: &Path, depth: usize) -> io::Result<()> {
    if depth > 0 {
        inner(group).for_each(|it| drop(remove(&it, depth - 1)));
    }
    fs::remove_dir(group)
}

impl Cgroups {
    /// Those of the going with this run directory.
    pub(super) fn new(run_directory: Option<&Path>) -> Cgroups {
        let name = match run_directory {
            Some(path) if path == Path::new("/run/going") => "going".to_owned(),
            Some(path) => format!("going-{:x}", digest(path.as_os_str().as_encoded_bytes())),
            None => format!("going-{}", std::process::id()),
        };
        Cgroups { name: name.into(), place: None, members: Vec::new() }
    }

    /// Where a service's group is, if it has one.
    pub(super) fn path(&self, slot: Slot, service: &str) -> Option<PathBuf> {
        self.members.iter().find(|it| it.0 == slot)?;
        Some(self.place.as_ref()?.group(&self.name, service))
    }

    /// The memory of all in it, without what can be dropped: files, but not those which
    /// are nowhere else (Documentation/admin-guide/cgroup-v2.rst, memory.stat).
    pub(super) fn memory(&self, slot: Slot, service: &str) -> Option<u64> {
        let path = self.path(slot, service)?;
        let all: u64 = fs::read_to_string(path.join("memory.current")).ok()?.trim().parse().ok()?;
        let files = ["inactive_file", "active_file"].map(|it| count(&path.join("memory.stat"), it));
        Some(files.into_iter().fold(all, u64::saturating_sub))
    }

    /// What the kernel tells when it has more memory than it may have for long; heard
    /// by `EPOLLPRI`, and again when it was read.
    pub(super) fn alarm(&self, slot: Slot, service: &str) -> Option<File> {
        let alarm = File::open(self.path(slot, service)?.join("memory.events")).ok()?;
        hear_alarm(&alarm).then_some(alarm)
    }

    /// Everybody in it.
    pub(super) fn processes(&self, slot: Slot, service: &str) -> Vec<Pid> {
        let mut all = Vec::new();
        if let Some(path) = self.path(slot, service) {
            add_processes(&path, DEPTH, &mut all);
        }
        all
    }

    /// Kills everybody in it at once, those who are being forked, too (Linux 5.14).
    pub(super) fn kill(&self, slot: Slot, service: &str) {
        if let Some(path) = self.path(slot, service) {
            // Where there is no such file, they are killed one by one.
            let _ = write(&path.join("cgroup.kill"), "1");
        }
    }

    /// A process of a service which an earlier going started is in the group which
    /// that made for it, wherever we were started.
    pub(super) fn take_up(&mut self, slot: Slot, service: &str, pid: Pid) {
        let Some(place) = Place::of(pid, &self.name, service) else { return };
        self.place.get_or_insert(place);
        self.members.push((slot, 0));
        let path = self.path(slot, service).unwrap_or_default();
        let killed = count(&path.join("memory.events"), "oom_kill");
        self.members.iter_mut().filter(|it| it.0 == slot).for_each(|it| it.1 = killed);
    }

    /// Makes the group of a service. Also tells whose processes were in there, whom
    /// no going knows any more and who are killed.
    fn make(&mut self, slot: Slot, service: &str) -> io::Result<(PathBuf, Vec<Pid>)> {
        if self.place.is_none() {
            self.place = Some(Place::find(&self.name)?);
        }
        let Some(place) = &self.place else { return Err(io::ErrorKind::NotFound.into()) };
        let path = place.group(&self.name, service);
        let ours = place.ours(&self.name);
        match fs::create_dir(&ours) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut old = Vec::new();
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // What `kill=process` spared stays where it is.
                if self.path(slot, service).is_none() {
                    add_processes(&path, DEPTH, &mut old);
                }
            }
            made => made?,
        }
        self.members.retain(|it| it.0 != slot);
        self.members.push((slot, count(&path.join("memory.events"), "oom_kill")));
        if !old.is_empty() {
            self.kill(slot, service);
        }
        Ok((path, old))
    }

    /// Sets every limit; those that are unlimited, too, for they may have been
    /// something else. Answers with those that could not be set.
    fn limit(&self, path: &Path, spec: &Spec) -> Vec<Fault> {
        let mut lacks = Vec::new();
        let Some(place) = &self.place else { return lacks };
        for (which, limit) in (1..).zip(limits(&spec.cgroup)) {
            let file = path.join(limit.file);
            let Some(value) = limit.value else {
                let _ = write(&file, limit.none);
                continue;
            };
            let done = place.enable(&self.name, limit.controller, true);
            if let Err(error) = done.and_then(|()| write(&file, &value)) {
                lacks.push(Fault { step: Step::Cgroup(which), errno: errno(&error) });
            }
        }
        // The kernel tells when it is reached. Where it cannot, we look.
        if let (None, Some(max)) = (spec.cgroup.memory_high, spec.policy.care.minding.max_memory) {
            let _ = write(&path.join("memory.high"), &max.to_string());
        }
        lacks
    }

    /// Removes the group of a service if nobody is left in it.
    fn leave(&mut self, slot: Slot, service: &str) {
        let Some(path) = self.path(slot, service) else { return };
        if remove(&path, DEPTH).is_ok() {
            self.members.retain(|it| it.0 != slot);
        }
    }

    /// Removes what we made for all of them.
    pub(super) fn end(&self) {
        if let Some(place) = &self.place {
            let _ = fs::remove_dir(place.ours(&self.name));
        }
    }
}

impl Daemon {
    /// The group which a service is about to enter, if it is to have one.
    pub(super) fn prepare_cgroup(
        &mut self,
        slot: Slot,
        name: &str,
        spec: &Spec,
    ) -> Result<Option<Cgroup>, Fault> {
        if !is_used(spec) {
            return Ok(None);
        }
        let is_must = spec.cgroup.wish == Wish::Yes;
        let failed = |error: &io::Error| Fault { step: Step::Cgroup(0), errno: errno(error) };
        let (entrance, lacks) = match self.open_cgroup(slot, name, spec) {
            Ok((entrance, lacks)) => (Some(entrance), lacks),
            Err(error) if is_must => (None, vec![failed(&error)]),
            Err(error) => (None, all_lacks(spec, errno(&error))),
        };
        match lacks.first() {
            Some(fault) if is_must => {
                self.cgroups.leave(slot, name);
                return Err(*fault);
            }
            // `kill=all` has other ways to find them.
            _ if !spec.cgroup.is_limited() => {}
            _ => lacks.iter().for_each(|lack| self.report_lack(name, *lack, spec)),
        }
        Ok(entrance.map(|entrance| Cgroup { entrance, is_must }))
    }

    fn open_cgroup(
        &mut self,
        slot: Slot,
        name: &str,
        spec: &Spec,
    ) -> io::Result<(OwnedFd, Vec<Fault>)> {
        let (path, old) = self.cgroups.make(slot, name)?;
        if !old.is_empty() {
            let pids = old.iter().map(|it| it.0.to_string()).collect::<Vec<_>>().join(" ");
            let fact = "killed what an earlier going had left in its control group";
            report!(self.reporter, Level::Warning, "{name}: {fact} (pid {pids})");
        }
        if let Some(place) = &self.cgroups.place {
            // For the figures only: if it is not to be had, nothing is lacking.
            for controller in ["memory", "pids"] {
                let _ = place.enable(&self.cgroups.name, controller, false);
            }
        }
        let entrance = OpenOptions::new().write(true).open(path.join("cgroup.procs"))?;
        Ok((entrance.into(), self.cgroups.limit(&path, spec)))
    }

    /// The limits of a file that changed count at once.
    pub(super) fn renew_limits(&mut self, slot: Slot) {
        let Some(service) = self.supervisor.get(slot) else { return };
        let name = service.name.clone();
        let (Some(path), Some(spec)) = (self.cgroups.path(slot, &name), self.spec(slot)) else {
            return;
        };
        for lack in self.cgroups.limit(&path, &spec) {
            self.report_lack(&name, lack, &spec);
        }
    }

    /// Nobody of a service is left: neither is its group, nor what was known of them.
    pub(super) fn bury(&mut self, slot: Slot) {
        if let Some(service) = self.supervisor.get(slot) {
            self.cgroups.leave(slot, &service.name);
        }
        self.rest.relatives.retain(|it| it.0 != slot);
        self.rest.stuck.retain(|it| *it != slot);
    }

    /// A service that an earlier going started may be in a group of ours.
    pub(super) fn take_up_cgroup(&mut self, slot: Slot, pid: Pid) {
        if let Some(service) = self.supervisor.get(slot) {
            self.cgroups.take_up(slot, &service.name, pid);
        }
    }

    /// How a main process really ended: who is killed while nobody wanted it to
    /// be, and while the kernel kills for memory, is one of those.
    pub(super) fn blame(&mut self, slot: Slot, exit: Exit) -> Exit {
        let Some(service) = self.supervisor.get(slot) else { return exit };
        let Some(path) = self.cgroups.path(slot, &service.name) else { return exit };
        let is_wanted = matches!(service.state, State::Up { .. } | State::Starting { .. });
        let killed = count(&path.join("memory.events"), "oom_kill");
        let Some(member) = self.cgroups.members.iter_mut().find(|it| it.0 == slot) else {
            return exit;
        };
        let is_more = killed > member.1;
        member.1 = killed;
        let is_killed = matches!(exit, Exit::Signal { signal: Signal::KILL, .. });
        if is_killed && is_wanted && is_more { Exit::Memory } else { exit }
    }
}

/// Moves all processes of `from` to `to`, if all of them are ours.
fn move_out(from: &Path, to: &Path) -> io::Result<()> {
    let mut all = Vec::new();
    add_processes(from, 0, &mut all);
    let census = Census::take(|_| false);
    if all.iter().any(|pid| !census.is_ours(*pid)) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    for Pid(pid) in all {
        match write(&to.join("cgroup.procs"), &pid.to_string()) {
            // It ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            done => done?,
        }
    }
    Ok(())
}

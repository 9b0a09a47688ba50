//! What processes use, as /proc tells it: of services it is their main process, or
//! all of them where they have a control group; of going it is all of it. A process that is gone or hidden uses nothing that
//! could be told.

use std::fs;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::reply::Status;

/// What one process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In RAM, in bytes.
    pub memory: u64,
    /// CPU time since it was forked.
    pub cpu: Duration,
}

/// What the process of this number uses.
pub fn of(pid: u64) -> Option<Usage> {
    // A thousand services are a thousand of these, and /proc/PID/stat, which has
    // both, takes the kernel twice as long.
    let mut line = [0; 128];
    let statm = openat(AT_FDCWD, format!("/proc/{pid}/statm").as_str(), FLAGS, Mode::empty());
    let length = nix::unistd::read(statm.ok()?, &mut line).ok()?;
    let pages = resident(line.get(..length)?)?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(Usage {
        memory: pages.saturating_mul(u64::try_from(page).ok()?),
        cpu: clock_gettime(clock).ok()?.into(),
    })
}

/// A service and what its main process uses.
pub type Row = (Status, Option<Usage>);

/// Adds what going does not know.
pub fn measured(services: Vec<Status>) -> Vec<Row> {
    services.into_iter().map(measure).collect()
}

/// Adds it to one.
pub fn measure(service: Status) -> Row {
    let usage = service.pid.and_then(|pid| of_service(pid, service.cgroup.as_deref()));
    (service, usage)
}

/// What a service uses, by its main process and its control group.
pub fn of_service(pid: u64, cgroup: Option<&str>) -> Option<Usage> {
    let usage = of(pid)?;
    Some(match cgroup.and_then(of_group) {
        Some(all) => Usage { memory: all.memory.unwrap_or(usage.memory), cpu: all.cpu },
        None => usage,
    })
}

/// What each of these rows uses.
pub fn used(rows: &[Row]) -> Vec<Option<Usage>> {
    rows.iter().map(|row| row.1).collect()
}

/// What all processes in a control group use; some of it only where the kernel
/// keeps count (Documentation/admin-guide/cgroup-v2.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Group {
    /// In bytes, files in memory among it.
    pub memory: Option<u64>,
    /// The most it ever was.
    pub peak: Option<u64>,
    /// Since the group was made.
    pub cpu: Duration,
    /// How many there are, threads counted.
    pub pids: Option<u64>,
    /// How many of them were killed for memory.
    pub killed: u64,
}

/// What those in the group of this directory use.
pub fn of_group(path: &str) -> Option<Group> {
    let read = |file| fs::read_to_string(format!("{path}/{file}")).ok();
    let value = |file| read(file)?.trim().parse().ok();
    let line = |file, name| read(file).and_then(|text| flat(&text, name));
    Some(Group {
        memory: value("memory.current"),
        peak: value("memory.peak"),
        cpu: Duration::from_micros(line("cpu.stat", "usage_usec")?),
        pids: value("pids.current"),
        killed: line("memory.events", "oom_kill").unwrap_or(0),
    })
}

/// The number after a name and a blank at the beginning of a line.
fn flat(text: &str, name: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next()?.parse().ok()
}

const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC);

/// The second number of /proc/PID/statm, in pages (proc_pid_statm(5)).
fn resident(statm: &[u8]) -> Option<u64> {
    std::str::from_utf8(statm).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A field of /proc/PID/`file` that is a number, such as `VmPeak:  796 kB`.
pub fn field(pid: u64, file: &str, name: &str) -> Option<u64> {
    number(&fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?, name)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_resident() {
        assert_eq!(resident(b"626 300 280 5 0 47 0\n"), Some(300));
        assert_eq!(resident(b"626"), None);
        assert_eq!(resident(b"\xff 1"), None);
    }

    #[test]
    fn groups_tell_in_lines() {
        let text = "low 0\noom 1\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(flat(text, "oom_kill"), Some(2));
        assert_eq!(flat(text, "max"), None);
        assert_eq!(of_group("/nowhere"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmPeakX:\t1 kB\nVmPeak:\t     796 kB\nThreads:\t1\n";
        assert_eq!(number(text, "VmPeak"), Some(796));
        assert_eq!(number(text, "Threads"), Some(1));
        assert_eq!(number(text, "Vm"), None);
    }

    #[test]
    fn we_use_some_memory_and_what_is_not_there_none() {
        assert!(of(u64::from(std::process::id())).unwrap().memory > 0);
        assert_eq!(of(u64::MAX), None);
    }
}

//! What processes use, as /proc tells it: of services it is their main process,
//! of going it is all of it. A process that is gone or hidden uses nothing that
//! could be told.

use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

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
    // One line, in one read: a thousand services are a thousand of these.
    let mut line = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let stat = String::from_utf8_lossy(line.get(..length)?);
    let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    read(&stat, u64::try_from(ticks).ok()?, u64::try_from(page).ok()?)
}

/// Reads /proc/PID/stat (proc_pid_stat(5)).
fn read(stat: &str, ticks: u64, page: u64) -> Option<Usage> {
    // The name in parentheses may have anything in it, blanks and parentheses
    // too. What follows it begins with field 3.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
    let mut after = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    let (user, system, pages) = (after(14 - 3)?, after(0)?, after(24 - 16)?);
    let cpu = user.saturating_add(system);
    Some(Usage {
        memory: pages.saturating_mul(page),
        cpu: Duration::from_millis(cpu.saturating_mul(1000).checked_div(ticks)?),
    })
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
    fn stat_is_read_whatever_the_name_is() {
        let stat = "812 (a) b (c) S 1 812 812 0 -1 4194560 119 0 0 0 150 50 0 0 20 0 1 0 \
                    3600 2564096 300 18446744073709551615 1 1 0\n";
        let usage = Usage { memory: 300 * 4096, cpu: Duration::from_secs(2) };
        assert_eq!(read(stat, 100, 4096), Some(usage));
        assert_eq!(read("812 (a) S 1", 100, 4096), None);
        assert_eq!(read("", 100, 4096), None);
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

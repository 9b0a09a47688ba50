//! A trace of its service in every process, which sessions, parents, descriptors and
//! environments have nothing to do with: by how many nanoseconds the kernel may delay
//! its timers, so that it wakes up less often. Children have it from their parents;
//! usually it is 50000, and less means that timers are more exact. Nobody is known by
//! it who may be known otherwise.

use std::fs;

use crate::supervise::{Pid, digest};
use crate::sys::capabilities;

/// The smallest of them, in nanoseconds. From here to the usual value nobody feels
/// the difference.
const LEAST: u32 = 30_000;

/// How many there are.
const COUNT: u32 = 20_000;

/// By which those of others may be read (capabilities(7)).
const SYS_NICE: u8 = 23;

/// The number for a service of ours, which has this mark in its environment: the same
/// from every going that has the same run directory.
pub(super) fn slack(service: &str, mark: Option<&[u8]>) -> u32 {
    let place = digest(&[service.as_bytes(), mark.unwrap_or_default()].concat());
    LEAST + u32::try_from(place % u64::from(COUNT)).unwrap_or(0)
}

/// Whether it is the number of some service, ours or another's.
pub(super) fn is_one(slack: u32) -> bool {
    (LEAST..LEAST + COUNT).contains(&slack)
}

/// Whether those of others can be read.
pub(super) fn is_readable() -> bool {
    capabilities::permitted() >> SYS_NICE & 1 == 1
}

/// The number of a process (proc_pid_timerslack_ns(5)).
pub(super) fn of(pid: Pid) -> Option<u32> {
    fs::read_to_string(format!("/proc/{}/timerslack_ns", pid.0)).ok()?.trim().parse().ok()
}

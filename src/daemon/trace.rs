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

/// The number for a service, by its name, so that every going gives it the same.
pub(super) fn slack(service: &str) -> u32 {
    let place = digest(service.as_bytes()) % u64::from(COUNT);
    LEAST + u32::try_from(place).unwrap_or(0)
}

/// The number for a service, if it is of any use.
pub(super) fn mark(service: &str) -> Option<u32> {
    (capabilities::permitted() >> SYS_NICE & 1 == 1).then(|| slack(service))
}

/// The number of a process (proc_pid_timerslack_ns(5)).
pub(super) fn of(pid: Pid) -> Option<u32> {
    fs::read_to_string(format!("/proc/{}/timerslack_ns", pid.0)).ok()?.trim().parse().ok()
}

//! How much a child may take, between fork and exec: the rules of `child.rs` hold
//! here, too.

use std::ffi::{CString, c_int, c_long};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd;

use super::child::fault;
use crate::supervise::{Fault, Step};

/// Ready for use after fork.
#[derive(Default)]
pub struct Limits {
    /// A place in `RESOURCES`, the soft and the hard limit.
    pub resources: Vec<(u8, u64, u64)>,
    /// From -20 to 19.
    pub nice: Option<i8>,
    /// The number, as it is written.
    pub oom_score_adj: Option<CString>,
    /// A bit a processor; empty for all.
    pub affinity: Vec<u64>,
    /// Policy and priority, as sched(7) numbers them.
    pub sched: Option<(c_int, c_int)>,
    /// Class and level, as ioprio_set(2) numbers them.
    pub ionice: Option<(c_int, c_int)>,
}

/// In the order of `config::limits::RESOURCES`.
const RESOURCES: [Resource; 16] = [
    Resource::RLIMIT_AS,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_LOCKS,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_MSGQUEUE,
    Resource::RLIMIT_NICE,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_RSS,
    Resource::RLIMIT_RTPRIO,
    Resource::RLIMIT_RTTIME,
    Resource::RLIMIT_SIGPENDING,
    Resource::RLIMIT_STACK,
];

/// Whom it comes before.
pub(super) fn set_priorities(limits: &Limits) -> Result<(), Fault> {
    if let Some(score) = &limits.oom_score_adj {
        write_score(score).map_err(|errno| fault(Step::OomScore, errno))?;
    }
    if let Some(nice) = limits.nice {
        // SAFETY: no memory is passed; 0 is this process.
        let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, c_int::from(nice)) };
        check(c_long::from(done), Step::Nice)?;
    }
    if !limits.affinity.is_empty() {
        let size = size_of_val(&*limits.affinity);
        let mask = limits.affinity.as_ptr();
        // SAFETY: the mask has that size.
        let done = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size, mask) };
        check(done, Step::Affinity)?;
    }
    if let Some((policy, priority)) = limits.sched {
        // SAFETY: a struct sched_param is one int. Past musl, which refuses.
        let done =
            unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
        check(done, Step::Sched)?;
    }
    if let Some((class, level)) = limits.ionice {
        let value = (class << CLASS_SHIFT) | level;
        // SAFETY: no memory is passed; 0 is this process.
        let done = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) };
        check(done, Step::Ionice)?;
    }
    Ok(())
}

/// IOPRIO_WHO_PROCESS and IOPRIO_CLASS_SHIFT of ioprio_set(2).
const WHO_PROCESS: c_int = 1;
const CLASS_SHIFT: c_int = 13;

/// What it may take.
pub(super) fn set_limits(limits: &Limits) -> Result<(), Fault> {
    for &(which, soft, hard) in &limits.resources {
        let Some(&resource) = RESOURCES.get(usize::from(which)) else { continue };
        setrlimit(resource, soft, hard).map_err(|errno| fault(Step::Limit(which), errno))?;
    }
    Ok(())
}

/// The hard limit that we, and hence a child without more rights, have.
pub fn hard_limit(which: u8) -> Option<u64> {
    let resource = *RESOURCES.get(usize::from(which))?;
    getrlimit(resource).ok().map(|(_, hard)| hard)
}

fn check(done: c_long, step: Step) -> Result<(), Fault> {
    if done < 0 { Err(fault(step, Errno::last())) } else { Ok(()) }
}

fn write_score(score: &CString) -> Result<(), Errno> {
    let path = c"/proc/self/oom_score_adj".as_ptr();
    // SAFETY: path is a C string.
    let fd = unsafe { libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC) };
    let fd = Errno::result(fd)?;
    // SAFETY: the kernel just made this descriptor, and we are the first to own it.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    unistd::write(&file, score.as_bytes()).map(|_| ())
}

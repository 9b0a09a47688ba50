//! The child's way into its control group.

use std::os::fd::OwnedFd;

use nix::unistd;

use super::child::fault;
use crate::supervise::{Fault, Step};

/// A control group that a child is to enter.
pub struct Cgroup {
    /// Its `cgroup.procs`, open for writing.
    pub entrance: OwnedFd,
    /// Whether the service does not run outside of it.
    pub is_must: bool,
}

/// Puts this process in; between fork and exec.
///
/// # Errors
/// What the kernel says, if it must be in there; else `lack` is told.
pub fn enter(cgroup: Option<&Cgroup>, lack: impl Fn(Fault)) -> Result<(), Fault> {
    let Some(cgroup) = cgroup else { return Ok(()) };
    // 0 is whoever writes it (cgroups(7)).
    match unistd::write(&cgroup.entrance, b"0") {
        Ok(_) => Ok(()),
        Err(errno) if cgroup.is_must => Err(fault(Step::Cgroup(0), errno)),
        Err(errno) => {
            lack(fault(Step::Cgroup(0), errno));
            Ok(())
        }
    }
}

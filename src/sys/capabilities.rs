//! The rights of root that a child keeps, between fork and exec: the rules of
//! `child.rs` hold here, too. They are taken out of every set there is, or a program
//! that is set-user-ID would bring them back; and looked for afterwards.

use std::ffi::{c_int, c_ulong};

use nix::errno::Errno;

use super::child::fault;
use crate::supervise::{Fault, Step};

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// A bit for each, by number.
    pub kept: u64,
    /// Whether it is to go on where the bounding set cannot be made smaller, all
    /// other sets being so. Only together with `no_new_privs`, which has the
    /// same effect.
    pub is_lenient: bool,
}

/// struct __user_cap_header_struct of capset(2), and its version with two words.
#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}
const VERSION: u32 = 0x2008_0522;

/// struct __user_cap_data_struct of capset(2), for 32 capabilities.
#[repr(C)]
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// No kernel has more of them.
const MAX: u8 = 64;

/// Takes away what no program it executes shall have, and lets the rest survive
/// the change of user. Needs the capability setpcap.
pub(super) fn bound(
    capabilities: Option<&Capabilities>,
    lack: impl Fn(Fault),
) -> Result<(), Fault> {
    let Some(&Capabilities { kept, is_lenient }) = capabilities else { return Ok(()) };
    for number in (0..MAX).filter(|&number| !has(kept, number)) {
        match control(libc::PR_CAPBSET_DROP, number) {
            Ok(_) => {}
            // There are no more.
            Err(Errno::EINVAL) => break,
            Err(errno) if is_lenient => {
                // Who has none lacks nothing.
                if permitted() != 0 {
                    lack(fault(Step::Capability(number), errno));
                }
                break;
            }
            Err(errno) => return Err(fault(Step::Capability(number), errno)),
        }
    }
    if kept != 0 {
        control(libc::PR_SET_KEEPCAPS, 1).map_err(|errno| fault(Step::Capability(0), errno))?;
    }
    Ok(())
}

/// Gives up all others, and has what is kept survive the exec; then looks.
pub(super) fn keep(capabilities: Option<&Capabilities>) -> Result<(), Fault> {
    let Some(&Capabilities { kept, is_lenient }) = capabilities else { return Ok(()) };
    let first = (0..MAX).find(|&number| has(kept, number)).unwrap_or(0);
    let sets = sets_of(kept);
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: the header is of the version that has two sets, which are read.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    Errno::result(done)
        .map_err(|errno| fault(missing(kept).unwrap_or(Step::Capability(first)), errno))?;
    for number in (0..MAX).filter(|&number| has(kept, number)) {
        ambient(libc::PR_CAP_AMBIENT_RAISE, number)
            .map_err(|errno| fault(Step::Capability(number), errno))?;
    }
    let is_more =
        own() != Some(sets) || (!is_lenient && bounding().is_none_or(|it| it & !kept != 0));
    if is_more { Err(fault(Step::Capability(first), Errno::EPERM)) } else { Ok(()) }
}

/// The first one that is to be kept, but is not there.
fn missing(kept: u64) -> Option<Step> {
    let permitted = permitted();
    (0..MAX).find(|&it| has(kept, it) && !has(permitted, it)).map(Step::Capability)
}

/// Nothing that is executed gets more rights than there are (prctl(2)).
pub(super) fn deny_new_privileges(is_denied: bool) -> Result<(), Fault> {
    if !is_denied {
        return Ok(());
    }
    let (one, zero): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: no memory is passed.
    let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) };
    Errno::result(done).map(|_| ()).map_err(|errno| fault(Step::NewPrivileges, errno))
}

/// Those that we have, a bit each.
pub fn permitted() -> u64 {
    let [low, high] = own().unwrap_or_default();
    u64::from(low.permitted) | u64::from(high.permitted) << 32
}

fn has(set: u64, number: u8) -> bool {
    set >> number & 1 == 1
}

fn sets_of(kept: u64) -> [Sets; 2] {
    [kept, kept >> 32].map(|word| {
        let word = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        Sets { effective: word, permitted: word, inheritable: word }
    })
}

fn own() -> Option<[Sets; 2]> {
    let mut sets = [Sets::default(); 2];
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: the header is of the version that has two sets, which are written.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) };
    (done == 0).then_some(sets)
}

/// The bounding set; `None` if the kernel does not tell.
fn bounding() -> Option<u64> {
    let mut set = 0;
    for number in 0..MAX {
        match control(libc::PR_CAPBSET_READ, number) {
            Ok(0) => {}
            Ok(_) => set |= 1 << number,
            Err(Errno::EINVAL) if number > 0 => break,
            Err(_) => return None,
        }
    }
    Some(set)
}

fn control(option: c_int, number: u8) -> Result<c_int, Errno> {
    let zero: c_ulong = 0;
    // SAFETY: no memory is passed.
    let done = unsafe { libc::prctl(option, c_ulong::from(number), zero, zero, zero) };
    Errno::result(done)
}

fn ambient(option: c_int, number: u8) -> Result<c_int, Errno> {
    let zero: c_ulong = 0;
    let option = c_ulong::try_from(option).unwrap_or(0);
    // SAFETY: no memory is passed.
    let done =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, option, c_ulong::from(number), zero, zero) };
    Errno::result(done)
}

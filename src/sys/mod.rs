//! The only unsafe code: what nix does not wrap, or wraps with less than we
//! need. One operation a function; nothing here decides anything.
#![expect(unsafe_code, reason = "this is the place for it")]

pub mod capabilities;
pub mod child;
pub mod fds;
pub mod identity;
pub mod image;
pub mod journal;
pub mod limits;
pub mod memory;
mod mouth;
pub mod pidfds;
pub mod pipes;
pub mod processes;
pub mod register;
pub mod sandbox;
pub mod signals;
pub mod streams;
pub mod terminal;

use std::io;

use nix::time::{ClockId, clock_gettime};

use crate::supervise::Moment;

/// Now, on CLOCK_MONOTONIC: steps of the wall clock do not show (clock_gettime(2)).
pub fn monotonic() -> Moment {
    // This clock exists on every Linux; were it gone, time would stand still,
    // and services be kept all the same.
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Moment(0) };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec() / 1_000_000).unwrap_or(0);
    Moment(seconds.saturating_mul(1000).saturating_add(millis))
}

/// Now, in ticks since boot, suspended time included: the clock by which
/// processes are born (proc_pid_stat(5), field 22). A tick is 10 ms on every Linux
/// that we run on (USER_HZ).
pub fn ticks() -> u64 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return 0 };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let ticks = u64::try_from(time.tv_nsec() / 10_000_000).unwrap_or(0);
    seconds.saturating_mul(100).saturating_add(ticks)
}

/// Whether an error is about a shortage which may be over in a moment, and says nothing
/// of what was asked for.
pub fn is_passing(error: &io::Error) -> bool {
    let is_listed = |errno| {
        matches!(
            errno,
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOSPC
                | libc::EDQUOT
                | libc::ENOBUFS
                | libc::EAGAIN
                | libc::EINTR
        )
    };
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(is_listed)
}

/// What strerror(3) says of an error number.
pub fn describe(errno: i32) -> String {
    explain(&io::Error::from_raw_os_error(errno))
}

/// What went wrong, in words without the number.
pub fn explain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

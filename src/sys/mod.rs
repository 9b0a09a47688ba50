//! The only unsafe code: what nix does not wrap, or wraps with less than we
//! need. One operation a function; nothing here decides anything.
#![expect(unsafe_code, reason = "this is the place for it")]

pub mod background;
pub mod capabilities;
pub mod cgroup;
pub mod child;
pub mod fault;
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
pub mod stack;
pub mod streams;
pub mod terminal;

use std::io;
use std::mem::MaybeUninit;

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

/// Now, in seconds since 1970, for people and files: it may jump.
pub fn wall_seconds() -> i64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec())
}

/// Now, as `2026-11-21T10:05:06Z` (RFC 3339).
pub fn wall_clock() -> String {
    let mut time = MaybeUninit::<libc::tm>::zeroed();
    let now = wall_seconds();
    // SAFETY: now is a time_t to read and time a tm to write to; both outlive the call.
    unsafe { libc::gmtime_r(&raw const now, time.as_mut_ptr()) };
    // SAFETY: zeroed first, and all zeroes are a tm.
    let time = unsafe { time.assume_init() };
    let (year, month) = (time.tm_year.saturating_add(1900), time.tm_mon.saturating_add(1));
    let (day, hour, minute, second) = (time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

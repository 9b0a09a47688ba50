//! The only unsafe code: what nix does not wrap, or wraps with less than we
//! need. One operation a function; nothing here decides anything.
#![expect(unsafe_code, reason = "this is the place for it")]

pub mod child;
pub mod fds;
pub mod processes;
pub mod signals;
pub mod streams;

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

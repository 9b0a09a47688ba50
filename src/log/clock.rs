//! The time of the day; nothing else in going-log may ask for it.

use nix::time::{ClockId, clock_gettime};

use super::stamp::Time;
use crate::config::Timestamps;
use crate::sys::pipes::local_offset;

/// Milliseconds since 1970.
pub fn now() -> u64 {
    // This clock exists on every Linux.
    let Ok(time) = clock_gettime(ClockId::CLOCK_REALTIME) else { return 0 };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec() / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// A time as these timestamps show it.
pub fn time(millis: u64, timestamps: Timestamps) -> Time {
    let seconds = i64::try_from(millis / 1000).unwrap_or(0);
    let offset = (timestamps == Timestamps::Local).then(|| local_offset(seconds));
    Time { millis, offset }
}

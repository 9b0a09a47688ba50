//! By what is known that a service is well while it is up.

use super::{Entry, PLAIN};
use crate::config::care::read_watchdog;
use crate::config::values::wrong;
use crate::config::words::show_duration;

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 1] = [Entry {
    name: "watchdog",
    values: "DURATION|none",
    default: "none",
    help: "How long it may be silent, as sd_watchdog_enabled(3) has it, before it is taken for \
           hung, and killed.",
    set: |spec, value| {
        let watchdog = read_watchdog(value).map_err(|must| wrong(value, must))?;
        spec.policy.care.make().watchdog = watchdog;
        Ok(())
    },
    get: |spec| spec.policy.care.watchdog.map_or("none".into(), show_duration),
    ..PLAIN
}];

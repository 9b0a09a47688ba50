//! What is run beside a service: to look after it, and to tell of it.

use super::{Effect, Entry, PLAIN};
use crate::config::hooks::Hook;
use crate::config::template::join;

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 3] = [
    Entry {
        name: "on-quarantine",
        effect: Effect::Now,
        values: "WORD...",
        help: "A command that is run, as the service's user, when it is quarantined.",
        set: |spec, value| Hook::Quarantine.set(spec, value),
        get: |spec| join(Hook::Quarantine.words(spec)),
        ..PLAIN
    },
    Entry {
        name: "on-failed",
        effect: Effect::Now,
        values: "WORD...",
        help: "A command that is run, as the service's user, when it is given up.",
        set: |spec, value| Hook::Failed.set(spec, value),
        get: |spec| join(Hook::Failed.words(spec)),
        ..PLAIN
    },
    Entry {
        name: "on-change",
        effect: Effect::Now,
        values: "WORD...",
        help: "A command that is run, as the service's user, with each change of its state.",
        set: |spec, value| Hook::Change.set(spec, value),
        get: |spec| join(Hook::Change.words(spec)),
        ..PLAIN
    },
];

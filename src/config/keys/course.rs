//! What must be so before a service is started, what comes before and after each
//! of its runs, and when it counts as up.

use super::{Effect, Entry, PLAIN};
use crate::config::care::{add_condition, read_timeout, show_conditions};
use crate::config::ready::{get_ready, set_ready};
use crate::config::template::join;
use crate::config::values::{set_command, store};
use crate::config::words::show_duration;

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 6] = [
    Entry {
        name: "condition",
        repeats: true,
        effect: Effect::Now,
        values: "[!]path:PATH|dir:PATH|nonempty:PATH|env:NAME",
        help: "What must be so for it to be started; otherwise it stays down until going looks \
               again.",
        set: |spec, value| add_condition(&mut spec.conditions, value),
        get: |spec| show_conditions(&spec.conditions),
        clear: |spec| spec.conditions.clear(),
        ..PLAIN
    },
    Entry {
        name: "setup",
        values: "WORD...",
        help: "A command that is run before it, as the same user and in the same surroundings; \
               the service is started only if that exits with 0.",
        set: |spec, value| {
            spec.policy.care.make().setup = true;
            set_command(&mut spec.setup, value)
        },
        get: |spec| join(&spec.setup),
        ..PLAIN
    },
    Entry {
        name: "ready",
        values: "exec|uptime|notify|fd:NUMBER|tcp:[HOST:]PORT|cmd:WORD...",
        default: "exec",
        help: "When it counts as up: as soon as its program runs, when it has run for \
               min-uptime, says so as sd_notify(3) does, has written a line to a descriptor, \
               takes connections, or when a command ends with 0.",
        set: set_ready,
        get: get_ready,
        ..PLAIN
    },
    Entry {
        name: "start-timeout",
        effect: Effect::Now,
        values: "DURATION",
        default: "90s",
        help: "How long its setup may take, and then it itself until it is ready.",
        set: |spec, value| store(&mut spec.policy.care.make().start_timeout, value, read_timeout),
        get: |spec| show_duration(spec.policy.care.start_timeout),
        ..PLAIN
    },
    Entry {
        name: "finish",
        effect: Effect::Now,
        values: "WORD...",
        help: "A command that is run after each of its runs, however that ended, before anything \
               else becomes of it.",
        set: |spec, value| {
            spec.policy.care.make().finish = true;
            set_command(&mut spec.finish, value)
        },
        get: |spec| join(&spec.finish),
        ..PLAIN
    },
    Entry {
        name: "finish-timeout",
        effect: Effect::Now,
        values: "DURATION",
        default: "30s",
        help: "How long its finish may take before it is killed.",
        set: |spec, value| store(&mut spec.policy.care.make().finish_timeout, value, read_timeout),
        get: |spec| show_duration(spec.policy.care.finish_timeout),
        ..PLAIN
    },
];

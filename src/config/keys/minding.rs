//! What is run beside a service: to look after it, and to tell of it; and when a run
//! has lasted long enough.

use super::{Effect, Entry, PLAIN};
use crate::config::cgroup::limit;
use crate::config::hooks::Hook;
use crate::config::minding::{
    read_fails, read_memory, read_runtime, set_every, show_memory, show_wait,
};
use crate::config::template::join;
use crate::config::values::{read_backoff, set_command, store};
use crate::config::words::show_duration;

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 10] = [
    Entry {
        name: "health",
        effect: Effect::Now,
        values: "WORD...",
        help: "A command that is run now and then, as the service's user, while it is up; if that \
               does not exit with 0 several times in a row, the service is restarted.",
        set: |spec, value| {
            spec.policy.care.make().minding.health = true;
            set_command(&mut spec.health, value)
        },
        get: |spec| join(&spec.health),
        ..PLAIN
    },
    Entry {
        name: "health-every",
        effect: Effect::Now,
        values: "DURATION",
        default: "30s",
        help: "How long after it is up, and after each answer, its health is asked for.",
        set: |spec, value| {
            store(&mut spec.policy.care.make().minding.health_every, value, read_backoff)
        },
        get: |spec| show_duration(spec.policy.care.minding.health_every),
        ..PLAIN
    },
    Entry {
        name: "health-timeout",
        effect: Effect::Now,
        values: "DURATION",
        default: "5s",
        help: "How long the command may take to answer.",
        set: |spec, value| {
            store(&mut spec.policy.care.make().minding.health_timeout, value, read_backoff)
        },
        get: |spec| show_duration(spec.policy.care.minding.health_timeout),
        ..PLAIN
    },
    Entry {
        name: "health-fails",
        effect: Effect::Now,
        values: "COUNT",
        default: "3",
        help: "After so many bad answers in a row it is restarted, and that is a strike.",
        set: |spec, value| {
            store(&mut spec.policy.care.make().minding.health_fails, value, read_fails)
        },
        get: |spec| spec.policy.care.minding.health_fails.to_string(),
        ..PLAIN
    },
    Entry {
        name: "every",
        effect: Effect::Now,
        values: "DURATION|never",
        help: "How long after its start a oneshot is run again.",
        set: set_every,
        get: |spec| show_wait(spec.policy.care.minding.every),
        ..PLAIN
    },
    Entry {
        name: "max-runtime",
        effect: Effect::Now,
        values: "DURATION|unlimited",
        help: "How long it runs before it is restarted.",
        set: |spec, value| {
            limit(&mut spec.policy.care.make().minding.max_runtime, value, read_runtime)
        },
        get: |spec| show_wait(spec.policy.care.minding.max_runtime),
        ..PLAIN
    },
    Entry {
        name: "max-memory",
        effect: Effect::Now,
        values: "SIZE|unlimited",
        help: "How much memory all its processes together may have before it is restarted.",
        set: |spec, value| {
            limit(&mut spec.policy.care.make().minding.max_memory, value, read_memory)
        },
        get: |spec| show_memory(spec.policy.care.minding.max_memory),
        ..PLAIN
    },
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

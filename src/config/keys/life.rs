//! When a service is started again, and how it is stopped.

use super::{Effect, Entry, PLAIN};
use crate::config::values::{
    KINDS, RESTARTS, WHOMS, add_success, choose, chosen, read_backoff, read_stop, read_strikes,
    show_stop, show_success, store,
};
use crate::config::words::{read_burst, read_duration, read_percent, show_burst, show_duration};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 11] = [
    Entry {
        name: "type",
        values: "service|oneshot|forking",
        default: "service",
        help: "Whether it is to run for ever, to do its work once, or to leave its parent as a \
               daemon does.",
        set: |spec, value| choose(&mut spec.policy.kind, value, KINDS),
        get: |spec| chosen(&spec.policy.kind, KINDS),
        ..PLAIN
    },
    Entry {
        name: "restart",
        effect: Effect::Now,
        values: "always|on-failure|never",
        default: "always",
        help: "When it is started again after it ended by itself.",
        set: |spec, value| choose(&mut spec.policy.restart, value, RESTARTS),
        get: |spec| chosen(&spec.policy.restart, RESTARTS),
        ..PLAIN
    },
    Entry {
        name: "success",
        repeats: true,
        effect: Effect::Now,
        values: "STATUS|SIGNAL...",
        default: "0",
        help: "The exit statuses and signals which are no failure.",
        set: |spec, value| add_success(&mut spec.policy.success, value),
        get: |spec| show_success(&spec.policy.success),
        clear: |spec| spec.policy.success = Box::default(),
    },
    Entry {
        name: "min-uptime",
        effect: Effect::Now,
        values: "DURATION",
        default: "5s",
        help: "A run shorter than this is a strike and leads to quarantine.",
        set: |spec, value| store(&mut spec.policy.min_uptime, value, read_duration),
        get: |spec| show_duration(spec.policy.min_uptime),
        ..PLAIN
    },
    Entry {
        name: "backoff",
        effect: Effect::Now,
        values: "DURATION",
        default: "1s",
        help: "The first quarantine of a row; each further one is twice as long.",
        set: |spec, value| store(&mut spec.policy.backoff, value, read_backoff),
        get: |spec| show_duration(spec.policy.backoff),
        ..PLAIN
    },
    Entry {
        name: "backoff-max",
        effect: Effect::Now,
        values: "DURATION",
        default: "5m",
        help: "No quarantine gets longer than this.",
        set: |spec, value| store(&mut spec.policy.backoff_max, value, read_backoff),
        get: |spec| show_duration(spec.policy.backoff_max),
        ..PLAIN
    },
    Entry {
        name: "jitter",
        effect: Effect::Now,
        values: "PERCENT",
        default: "10",
        help: "By how much a quarantine is made longer or shorter at random, so that many \
               services do not come back at the same moment.",
        set: |spec, value| store(&mut spec.policy.jitter, value, read_percent),
        get: |spec| spec.policy.jitter.to_string(),
        ..PLAIN
    },
    Entry {
        name: "strikes",
        effect: Effect::Now,
        values: "COUNT",
        default: "0",
        help: "It is given up after so many strikes in a row; 0 is never.",
        set: |spec, value| store(&mut spec.policy.strikes, value, read_strikes),
        get: |spec| spec.policy.strikes.to_string(),
        ..PLAIN
    },
    Entry {
        name: "burst",
        effect: Effect::Now,
        values: "DEATHS/DURATION|none",
        default: "10/60s",
        help: "So many deaths within so long a time of running are a strike, however long each \
               run was.",
        set: |spec, value| store(&mut spec.policy.burst, value, read_burst),
        get: |spec| show_burst(spec.policy.burst),
        ..PLAIN
    },
    Entry {
        name: "stop",
        effect: Effect::Now,
        values: "SIGNAL [DURATION]...",
        default: "TERM 10s KILL",
        help: "The signals that stop it, and how long to wait after each; KILL is always last.",
        set: |spec, value| read_stop(value).map(|steps| spec.policy.set_signals(&steps)),
        get: |spec| show_stop(spec.policy.signals()),
        ..PLAIN
    },
    Entry {
        name: "kill",
        effect: Effect::Now,
        values: "group|process|all",
        default: "group",
        help: "Who gets these signals: its process group, its main process alone, or every \
               descendant; KILL always reaches all.",
        set: |spec, value| choose(&mut spec.policy.kill, value, WHOMS),
        get: |spec| chosen(&spec.policy.kill, WHOMS),
        ..PLAIN
    },
];

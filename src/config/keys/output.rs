//! Where a service reads from and writes to, and how its output is kept.

use super::{Effect, Entry, PLAIN};
use crate::config::logs::{
    FULLS, TIMESTAMPS, read_keep, read_log_size, read_rate, read_stream, show_rate, show_stream,
};
use crate::config::values::{choose, chosen, store};
use crate::config::words::{read_yes, show_size, show_yes};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 12] = [
    Entry {
        name: "stdin",
        values: "null|pipe|inherit|file:PATH",
        default: "null",
        help: "Where it reads from; what goingctl send says comes through a pipe.",
        set: |spec, value| {
            let forms = &["null", "pipe", "inherit", "file:PATH"];
            read_stream(value, forms).map(|to| spec.stdin = to)
        },
        get: |spec| show_stream(&spec.stdin),
        ..PLAIN
    },
    Entry {
        name: "stdout",
        values: "log|inherit|null|syslog|file:PATH",
        default: "log",
        help: "Where its output goes: to a log of its own, to going's own output, nowhere, to the \
               system's log, or to the end of a file.",
        set: |spec, value| {
            let forms = &["log", "inherit", "null", "syslog", "file:PATH"];
            read_stream(value, forms).map(|to| spec.stdout = to)
        },
        get: |spec| show_stream(&spec.stdout),
        ..PLAIN
    },
    Entry {
        name: "stderr",
        values: "stdout|log|inherit|null|syslog|file:PATH",
        default: "stdout",
        help: "Where its errors go: with its output, or to one of the places there are for that; \
               log is then a log for errors alone.",
        set: |spec, value| {
            let forms = &["stdout", "log", "inherit", "null", "syslog", "file:PATH"];
            read_stream(value, forms).map(|to| spec.stderr = to)
        },
        get: |spec| show_stream(&spec.stderr),
        ..PLAIN
    },
    Entry {
        name: "log-size",
        effect: Effect::Now,
        values: "SIZE",
        default: "1M",
        help: "A log of this size becomes a backup, and a new one begins; 0 is never.",
        set: |spec, value| store(&mut spec.log.size, value, read_log_size),
        get: |spec| show_size(spec.log.size),
        ..PLAIN
    },
    Entry {
        name: "log-keep",
        effect: Effect::Now,
        values: "COUNT",
        default: "4",
        help: "So many backups of a log are kept; with 0 all are, for ever.",
        set: |spec, value| store(&mut spec.log.keep, value, read_keep),
        get: |spec| spec.log.keep.to_string(),
        ..PLAIN
    },
    Entry {
        name: "log-compress",
        effect: Effect::Now,
        values: "yes|no",
        default: "yes",
        help: "Whether backups but the newest one are compressed.",
        set: |spec, value| store(&mut spec.log.compress, value, read_yes),
        get: |spec| show_yes(spec.log.compress),
        ..PLAIN
    },
    Entry {
        name: "log-timestamps",
        effect: Effect::Now,
        values: "yes|local|no",
        default: "yes",
        help: "Whether each line of a log begins with its time: in UTC, in local time, or not.",
        set: |spec, value| choose(&mut spec.log.timestamps, value, TIMESTAMPS),
        get: |spec| chosen(&spec.log.timestamps, TIMESTAMPS),
        ..PLAIN
    },
    Entry {
        name: "log-strip-ansi",
        effect: Effect::Now,
        values: "yes|no",
        default: "no",
        help: "Whether colors and cursor movements are left out of the log.",
        set: |spec, value| store(&mut spec.log.strip_ansi, value, read_yes),
        get: |spec| show_yes(spec.log.strip_ansi),
        ..PLAIN
    },
    Entry {
        name: "log-rate",
        effect: Effect::Now,
        values: "LINES/DURATION|unlimited",
        default: "unlimited",
        help: "Lines beyond so many within so long are counted instead of kept.",
        set: |spec, value| store(&mut spec.log.rate, value, read_rate),
        get: |spec| show_rate(spec.log.rate),
        ..PLAIN
    },
    Entry {
        name: "log-full",
        effect: Effect::Now,
        values: "drop|block",
        default: "drop",
        help: "When the log cannot be written, lines are counted instead of kept, or the service \
               waits.",
        set: |spec, value| choose(&mut spec.log.full, value, FULLS),
        get: |spec| chosen(&spec.log.full, FULLS),
        ..PLAIN
    },
    Entry {
        name: "log-prefix",
        values: "yes|no",
        default: "no",
        help: "Whether what is inherited goes out in whole lines, the service's name before each.",
        set: |spec, value| store(&mut spec.log.prefix, value, read_yes),
        get: |spec| show_yes(spec.log.prefix),
        ..PLAIN
    },
    Entry {
        name: "log-truncate",
        effect: Effect::Now,
        values: "yes|no",
        default: "no",
        help: "Whether each start begins with an empty log and no backups.",
        set: |spec, value| store(&mut spec.log.truncate, value, read_yes),
        get: |spec| show_yes(spec.log.truncate),
        ..PLAIN
    },
];

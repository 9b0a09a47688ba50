//! How much a service may take, and before whom.

use super::{Entry, PLAIN};
use crate::config::Spec;
use crate::config::limits::{
    read_affinity, read_ionice, read_nice, read_oom_score, set_limit, set_sched, show_affinity,
    show_ionice, show_limit, show_sched,
};
use crate::config::values::store;

/// A key for one resource: what it is counted in, and what it is for.
const fn limit(
    name: &'static str,
    values: &'static str,
    help: &'static str,
    set: fn(&mut Spec, &str) -> Result<(), String>,
    get: fn(&Spec) -> String,
) -> Entry {
    Entry { name, values, help, set, get, ..PLAIN }
}

/// In the order in which one reads about them; the numbers are those of
/// `limits::RESOURCES`.
pub(super) const KEYS: [Entry; 21] = [
    limit(
        "limit-as",
        "SIZE[:SIZE]",
        "The most memory it can have mapped.",
        |spec, value| set_limit(&mut spec.limits, 0, value),
        |spec| show_limit(&spec.limits, 0),
    ),
    limit(
        "limit-core",
        "SIZE[:SIZE]",
        "The largest core file, which tells how it crashed.",
        |spec, value| set_limit(&mut spec.limits, 1, value),
        |spec| show_limit(&spec.limits, 1),
    ),
    limit(
        "limit-cpu",
        "SECONDS[:SECONDS]",
        "How long it can compute before XCPU, and at last KILL, ends it.",
        |spec, value| set_limit(&mut spec.limits, 2, value),
        |spec| show_limit(&spec.limits, 2),
    ),
    limit(
        "limit-data",
        "SIZE[:SIZE]",
        "The most memory for its data.",
        |spec, value| set_limit(&mut spec.limits, 3, value),
        |spec| show_limit(&spec.limits, 3),
    ),
    limit(
        "limit-fsize",
        "SIZE[:SIZE]",
        "The largest file it can write.",
        |spec, value| set_limit(&mut spec.limits, 4, value),
        |spec| show_limit(&spec.limits, 4),
    ),
    limit(
        "limit-locks",
        "COUNT[:COUNT]",
        "The most locks on files; kernels no longer look at it.",
        |spec, value| set_limit(&mut spec.limits, 5, value),
        |spec| show_limit(&spec.limits, 5),
    ),
    limit(
        "limit-memlock",
        "SIZE[:SIZE]",
        "The most memory it can keep from being swapped out.",
        |spec, value| set_limit(&mut spec.limits, 6, value),
        |spec| show_limit(&spec.limits, 6),
    ),
    limit(
        "limit-msgqueue",
        "SIZE[:SIZE]",
        "The most memory for message queues of its user.",
        |spec, value| set_limit(&mut spec.limits, 7, value),
        |spec| show_limit(&spec.limits, 7),
    ),
    limit(
        "limit-nice",
        "COUNT[:COUNT]",
        "How far it can lower its niceness: to 20 less this.",
        |spec, value| set_limit(&mut spec.limits, 8, value),
        |spec| show_limit(&spec.limits, 8),
    ),
    limit(
        "limit-nofile",
        "COUNT[:COUNT]",
        "The most descriptors, that is files and connections, it can have open.",
        |spec, value| set_limit(&mut spec.limits, 9, value),
        |spec| show_limit(&spec.limits, 9),
    ),
    limit(
        "limit-nproc",
        "COUNT[:COUNT]",
        "The most processes and threads of its user.",
        |spec, value| set_limit(&mut spec.limits, 10, value),
        |spec| show_limit(&spec.limits, 10),
    ),
    limit(
        "limit-rss",
        "SIZE[:SIZE]",
        "The most memory it can have resident; kernels no longer look at it.",
        |spec, value| set_limit(&mut spec.limits, 11, value),
        |spec| show_limit(&spec.limits, 11),
    ),
    limit(
        "limit-rtprio",
        "COUNT[:COUNT]",
        "The highest real-time priority it can give itself.",
        |spec, value| set_limit(&mut spec.limits, 12, value),
        |spec| show_limit(&spec.limits, 12),
    ),
    limit(
        "limit-rttime",
        "MICROSECONDS[:MICROSECONDS]",
        "How long it can compute with a real-time priority without waiting.",
        |spec, value| set_limit(&mut spec.limits, 13, value),
        |spec| show_limit(&spec.limits, 13),
    ),
    limit(
        "limit-sigpending",
        "COUNT[:COUNT]",
        "The most signals that wait for processes of its user.",
        |spec, value| set_limit(&mut spec.limits, 14, value),
        |spec| show_limit(&spec.limits, 14),
    ),
    limit(
        "limit-stack",
        "SIZE[:SIZE]",
        "The largest stack of its main thread.",
        |spec, value| set_limit(&mut spec.limits, 15, value),
        |spec| show_limit(&spec.limits, 15),
    ),
    Entry {
        name: "nice",
        values: "NUMBER",
        help: "Its niceness, from -20, first to run, to 19.",
        set: |spec, value| store(&mut spec.limits.nice, value, |value| read_nice(value).map(Some)),
        get: |spec| spec.limits.nice.map_or(String::new(), |nice| nice.to_string()),
        ..PLAIN
    },
    Entry {
        name: "oom-score-adj",
        values: "NUMBER",
        help: "When memory runs out, who is killed: from -1000, never this one, to 1000, this one \
               first.",
        set: |spec, value| {
            store(&mut spec.limits.oom_score_adj, value, |value| read_oom_score(value).map(Some))
        },
        get: |spec| spec.limits.oom_score_adj.map_or(String::new(), |score| score.to_string()),
        ..PLAIN
    },
    Entry {
        name: "cpu-affinity",
        values: "NUMBER[-NUMBER],...",
        help: "The processors on which it runs, the first one being 0.",
        set: |spec, value| store(&mut spec.limits.cpu_affinity, value, read_affinity),
        get: |spec| show_affinity(&spec.limits.cpu_affinity),
        ..PLAIN
    },
    Entry {
        name: "sched",
        values: "other|batch|idle|fifo:PRIORITY|rr:PRIORITY",
        help: "Which of those that are ready runs first; fifo and rr come before all others.",
        set: |spec, value| set_sched(&mut spec.limits.sched, value),
        get: |spec| show_sched(spec.limits.sched),
        ..PLAIN
    },
    Entry {
        name: "ionice",
        values: "idle|best-effort[:LEVEL]|realtime[:LEVEL]",
        help: "Whose reading and writing comes first; levels are from 0, first, to 7.",
        set: |spec, value| {
            store(&mut spec.limits.ionice, value, |value| read_ionice(value).map(Some))
        },
        get: |spec| show_ionice(spec.limits.ionice),
        ..PLAIN
    },
];

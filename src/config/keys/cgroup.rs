//! How much of the machine all processes of a service together may take.

use super::{Effect, Entry, PLAIN};
use crate::config::cgroup::{
    WISHES, limit, read_cpu_max, read_memory, read_pids, read_weight, show_cpu_max, show_memory,
    show_number,
};
use crate::config::values::{choose, chosen};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 6] = [
    Entry {
        name: "cgroup",
        values: "auto|yes|no",
        default: "auto",
        help: "Whether it has a control group of its own, from which no process escapes: if one \
               of the limits below or kill=all makes use of it, always, or never.",
        set: |spec, value| choose(&mut spec.cgroup.wish, value, WISHES),
        get: |spec| chosen(&spec.cgroup.wish, WISHES),
        ..PLAIN
    },
    Entry {
        name: "memory-max",
        effect: Effect::Now,
        values: "SIZE|PERCENT%|unlimited",
        help: "The memory of all its processes together; beyond it the kernel kills one of them.",
        set: |spec, value| limit(&mut spec.cgroup.memory_max, value, read_memory),
        get: |spec| show_memory(spec.cgroup.memory_max),
        ..PLAIN
    },
    Entry {
        name: "memory-high",
        effect: Effect::Now,
        values: "SIZE|PERCENT%|unlimited",
        help: "The memory beyond which its processes are slowed down and have to give some back.",
        set: |spec, value| limit(&mut spec.cgroup.memory_high, value, read_memory),
        get: |spec| show_memory(spec.cgroup.memory_high),
        ..PLAIN
    },
    Entry {
        name: "cpu-max",
        effect: Effect::Now,
        values: "PERCENT%|QUOTA PERIOD|unlimited",
        help: "The time of a processor that all its processes together get; 200% is two of them.",
        set: |spec, value| limit(&mut spec.cgroup.cpu_max, value, read_cpu_max),
        get: |spec| show_cpu_max(spec.cgroup.cpu_max),
        ..PLAIN
    },
    Entry {
        name: "cpu-weight",
        effect: Effect::Now,
        values: "WEIGHT|unlimited",
        help: "Its share of the processors when there are not enough, 1 to 10000; 100 is usual.",
        set: |spec, value| limit(&mut spec.cgroup.cpu_weight, value, read_weight),
        get: |spec| show_number(spec.cgroup.cpu_weight),
        ..PLAIN
    },
    Entry {
        name: "pids-max",
        effect: Effect::Now,
        values: "COUNT|unlimited",
        help: "So many processes and threads it may have at once; further forks fail.",
        set: |spec, value| limit(&mut spec.cgroup.pids_max, value, read_pids),
        get: |spec| show_number(spec.cgroup.pids_max),
        ..PLAIN
    },
];

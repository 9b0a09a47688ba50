//! Before and after whom a service is started and stopped.

use super::{Effect, Entry, PLAIN};
use crate::config::order::{ON_NEEDS, add_names, read_priority, show_names};
use crate::config::values::{choose, chosen, store};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 4] = [
    Entry {
        name: "needs",
        repeats: true,
        effect: Effect::Now,
        values: "NAME...",
        help: "Services which must be ready before it is started, and are stopped after it; \
               NAME@ are all instances of a template.",
        set: |spec, value| add_names(&mut spec.policy.order.make().needs, value),
        get: |spec| show_names(&spec.policy.order.needs),
        clear: |spec| spec.policy.order.make().needs.clear(),
        ..PLAIN
    },
    Entry {
        name: "after",
        repeats: true,
        effect: Effect::Now,
        values: "NAME...",
        help: "Services for which it waits while they are on their way up, and which are \
               stopped after it; if they fail or are not there, it does without.",
        set: |spec, value| add_names(&mut spec.policy.order.make().after, value),
        get: |spec| show_names(&spec.policy.order.after),
        clear: |spec| spec.policy.order.make().after.clear(),
        ..PLAIN
    },
    Entry {
        name: "priority",
        effect: Effect::Now,
        values: "NUMBER",
        default: "100",
        help: "Those with lower numbers are started earlier and stopped later; from 0 to 999.",
        set: |spec, value| store(&mut spec.policy.order.make().priority, value, read_priority),
        get: |spec| spec.policy.order.priority.to_string(),
        ..PLAIN
    },
    Entry {
        name: "on-need-restart",
        effect: Effect::Now,
        values: "nothing|reload|restart",
        default: "nothing",
        help: "What is done with it when one that it needs was restarted: nothing, its \
               reload-signal, or a restart.",
        set: |spec, value| choose(&mut spec.policy.order.make().on_need, value, ON_NEEDS),
        get: |spec| chosen(&spec.policy.order.on_need, ON_NEEDS),
        ..PLAIN
    },
];

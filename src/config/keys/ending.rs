//! What the end of a service means for all others, and how it is announced.

use super::{Effect, Entry, PLAIN};
use crate::config::ending::read_name;
use crate::config::values::store;
use crate::config::words::{read_duration, read_yes, show_duration, show_yes};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 3] = [
    Entry {
        name: "term-delay",
        effect: Effect::Now,
        values: "DURATION",
        default: "0s",
        help: "How long it is left alone between the wish to stop it and the first signal of \
               stop, so that load balancers take notice.",
        set: |spec, value| {
            let mut wait = std::time::Duration::ZERO;
            store(&mut wait, value, read_duration)?;
            spec.policy.set_term_delay(wait);
            Ok(())
        },
        get: |spec| show_duration(spec.policy.term_delay()),
        ..PLAIN
    },
    Entry {
        name: "essential",
        effect: Effect::Now,
        values: "yes|no",
        default: "no",
        help: "Whether its end stops all services in order, and going with them: when it is \
               given up, or done and not started again.",
        set: |spec, value| store(&mut spec.essential, value, read_yes),
        get: |spec| show_yes(spec.essential),
        ..PLAIN
    },
    Entry {
        name: "exit-code-from",
        effect: Effect::Now,
        values: "SERVICE",
        help: "The service with whose exit status going exits.",
        set: |spec, value| {
            let mut name = String::new();
            store(&mut name, value, read_name)?;
            spec.exit_code_from = Some(name);
            Ok(())
        },
        get: |spec| spec.exit_code_from.clone().unwrap_or_default(),
        ..PLAIN
    },
];

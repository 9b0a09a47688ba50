//! What a service has of its own that changes, and how it is told.

use super::{Effect, Entry, PLAIN};
use crate::config::changes::{
    REACTIONS, add_watched, read_reload_signal, show_reload_signal, show_watched,
};
use crate::config::values::{choose, chosen};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 3] = [
    Entry {
        name: "reload-signal",
        effect: Effect::Now,
        values: "SIGNAL|none",
        default: "HUP",
        help: "The signal upon which it reads its own configuration again.",
        set: |spec, value| read_reload_signal(value).map(|it| spec.changes.signal = it),
        get: |spec| show_reload_signal(spec.changes.signal),
        ..PLAIN
    },
    Entry {
        name: "watch",
        repeats: true,
        effect: Effect::Now,
        values: "PATH",
        default: "",
        help: "A file of its own configuration, or a directory, the content of which is watched.",
        set: |spec, value| add_watched(&mut spec.changes.watch, value),
        get: |spec| show_watched(&spec.changes.watch),
        clear: |spec| spec.changes.watch = Box::default(),
    },
    Entry {
        name: "on-watch",
        effect: Effect::Now,
        values: "restart|reload-signal",
        default: "restart",
        help: "What is done when that has changed.",
        set: |spec, value| choose(&mut spec.changes.reaction, value, REACTIONS),
        get: |spec| chosen(&spec.changes.reaction, REACTIONS),
        ..PLAIN
    },
];

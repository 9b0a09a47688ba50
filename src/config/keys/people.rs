//! What people call a service, and who of them commands it.

use super::{Effect, Entry, PLAIN};
use crate::config::values::{add_controllers, add_tags, read_description};

/// In the order in which one reads about them.
pub(super) const KEYS: [Entry; 3] = [
    Entry {
        name: "tag",
        repeats: true,
        effect: Effect::Now,
        values: "NAME...",
        default: "",
        help: "Groups it belongs to, each of which can be commanded as @NAME.",
        set: |spec, value| add_tags(&mut spec.tags, value),
        get: |spec| spec.tags.join(" "),
        clear: |spec| spec.tags.clear(),
    },
    Entry {
        name: "control",
        repeats: true,
        effect: Effect::Now,
        values: "USER|@GROUP...",
        default: "",
        help: "Who else may command it; root, going's own user and its user always may.",
        set: |spec, value| add_controllers(&mut spec.control, value),
        get: |spec| spec.control.join(" "),
        clear: |spec| spec.control.clear(),
    },
    Entry {
        name: "description",
        effect: Effect::Now,
        values: "TEXT",
        help: "One line for people.",
        set: |spec, value| read_description(value).map(|text| spec.description = text),
        get: |spec| spec.description.clone(),
        ..PLAIN
    },
];

//! How many services a template is.

use super::{Effect, Entry, PLAIN};
use crate::config::instances::{KEY, read_count};
use crate::config::values::store;

/// The only one.
pub(super) const KEYS: [Entry; 1] = [Entry {
    name: KEY,
    effect: Effect::Now,
    values: "COUNT",
    default: "0",
    help: "How many services NAME@1, NAME@2, ... are made of the template NAME@.",
    set: |spec, value| store(&mut spec.instances, value, read_count),
    get: |spec| spec.instances.to_string(),
    ..PLAIN
}];

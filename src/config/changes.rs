//! What a file says of the service's own configuration, and of what is to be done
//! when that has changed.

use super::nearest::nearest;
use super::signals::{nearest_signal, read_signal};
use super::spec::Signal;
use super::values::{Choices, hint, read_path, wrong};

/// More paths than these are a mistake, and each costs watches.
const PATHS_MAX: usize = 32;

/// How a service learns of its own changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// It reads its configuration again upon this one, if upon any.
    pub signal: Option<Signal>,
    /// What is watched, absolute paths.
    pub watch: Box<[String]>,
    /// What then happens.
    pub reaction: Reaction,
}

/// What happens when what is watched has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// A new process.
    Restart,
    /// The signal upon which it reads its configuration again.
    Signal,
}

/// The words for these.
pub const REACTIONS: &Choices<Reaction> =
    &[("restart", Reaction::Restart), ("reload-signal", Reaction::Signal)];

impl Default for Changes {
    /// As in `keys/changes.rs`.
    fn default() -> Changes {
        Changes { signal: Some(Signal(1)), watch: Box::default(), reaction: Reaction::Restart }
    }
}

/// A signal, or none.
pub fn read_reload_signal(value: &str) -> Result<Option<Signal>, String> {
    if value == "none" {
        return Ok(None);
    }
    let signal = read_signal(value).ok_or_else(|| {
        let meant = nearest_signal(value).or(nearest(value, ["none"].into_iter()));
        hint(wrong(value, "a signal, or none"), meant)
    })?;
    if [Signal::KILL, Signal(19)].contains(&signal) {
        return Err(wrong(value, "a signal that a process can hear"));
    }
    Ok(Some(signal))
}

/// As it is read.
pub fn show_reload_signal(signal: Option<Signal>) -> String {
    signal.map_or("none".into(), Signal::word)
}

/// Adds a path.
pub fn add_watched(place: &mut Box<[String]>, value: &str) -> Result<(), String> {
    let path = read_path(value).map_err(|must| wrong(value, must))?;
    let mut paths = std::mem::take(place).into_vec();
    let is_full = paths.len() >= PATHS_MAX;
    if !is_full && !paths.contains(&path) {
        paths.push(path);
    }
    *place = paths.into();
    if is_full { Err(format!("is more than {PATHS_MAX} paths")) } else { Ok(()) }
}

/// A path a line.
pub fn show_watched(paths: &[String]) -> String {
    paths.join("\n")
}

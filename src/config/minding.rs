//! What is to be minded of a service while it runs, or until it runs again.

use std::time::Duration;

use super::spec::{Kind, Spec};
use super::values::{read_backoff, wrong};
use super::words::{Must, read_count, read_size, show_duration, show_size};

/// What of it there is to do. All of it is small, and kept at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minding {
    /// Whether a command tells how it is.
    pub health: bool,
    /// How long after it is up, and after each answer, that is asked.
    pub health_every: Duration,
    /// How long an answer may take.
    pub health_timeout: Duration,
    /// So many bad answers in a row are the end of a run.
    pub health_fails: u32,
    /// The end of a run, however well it goes.
    pub max_runtime: Option<Duration>,
    /// The end of a run that has more of it, in bytes.
    pub max_memory: Option<u64>,
    /// From the start of a oneshot that is done to the next.
    pub every: Option<Duration>,
}

impl Minding {
    /// Nothing, until a file says something.
    pub const NONE: Minding = Minding {
        health: false,
        health_every: Duration::from_secs(30),
        health_timeout: Duration::from_secs(5),
        health_fails: 3,
        max_runtime: None,
        max_memory: None,
        every: None,
    };

    /// Whether there is something to do.
    pub fn is_some(&self) -> bool {
        let is_limited = self.max_runtime.is_some() || self.max_memory.is_some();
        self.health || is_limited || self.every.is_some()
    }
}

/// When it is run again, if ever.
pub(super) fn set_every(spec: &mut Spec, value: &str) -> Result<(), String> {
    let every = &mut spec.policy.care.make().minding.every;
    if value == "never" {
        *every = None;
        return Ok(());
    }
    let must = |_| wrong(value, "a duration such as 30s or 1h, longer than 0s, or never");
    *every = Some(read_backoff(value).map_err(must)?);
    Ok(())
}

/// How long something may last.
pub(super) fn read_runtime(value: &str) -> Result<Duration, Must> {
    const FORM: Must = "a duration such as 30s or 1h, longer than 0s, or unlimited";
    read_backoff(value).map_err(|_| FORM)
}

/// As it is read; nothing for none.
pub(super) fn show_wait(wait: Option<Duration>) -> String {
    wait.map_or(String::new(), show_duration)
}

/// A size that something can have.
pub(super) fn read_memory(value: &str) -> Result<u64, Must> {
    const FORM: Must = "a size such as 200M, or unlimited";
    read_size(value).ok().filter(|size| *size > 0).ok_or(FORM)
}

/// As it is read; nothing for none.
pub(super) fn show_memory(size: Option<u64>) -> String {
    size.map_or(String::new(), show_size)
}

/// How often somebody may fail.
pub(super) fn read_fails(value: &str) -> Result<u32, Must> {
    let count = read_count(value).filter(|count| (1..=1000).contains(count));
    count.ok_or("a number from 1 to 1000")
}

/// Why it cannot be run again and again, if that is asked for.
pub(super) fn complain(spec: &Spec) -> Option<String> {
    spec.policy.care.minding.every?;
    let kind = match spec.policy.kind {
        Kind::Oneshot => return None,
        Kind::Service => "service",
        Kind::Forking => "forking",
    };
    Some(format!("every= is for type=oneshot only, but type= is \"{kind}\""))
}

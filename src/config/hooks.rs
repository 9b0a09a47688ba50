//! What is run when something becomes of a service, and is none of it.

use super::spec::Spec;
use super::values::set_command;

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// It is held back.
    Quarantine,
    /// It is given up.
    Failed,
    /// Its state is another one.
    Change,
}

impl Hook {
    /// All of them, the rarest first.
    pub const ALL: [Hook; 3] = [Hook::Quarantine, Hook::Failed, Hook::Change];

    /// The name of its key.
    pub fn key(self) -> &'static str {
        match self {
            Hook::Quarantine => "on-quarantine",
            Hook::Failed => "on-failed",
            Hook::Change => "on-change",
        }
    }

    /// The words of its command; none for nothing.
    pub fn words(self, spec: &Spec) -> &[String] {
        let [quarantine, failed, change] = &spec.hooks;
        match self {
            Hook::Quarantine => quarantine,
            Hook::Failed => failed,
            Hook::Change => change,
        }
    }

    /// Whether there is one.
    pub fn is_in(self, [quarantine, failed, change]: [bool; 3]) -> bool {
        match self {
            Hook::Quarantine => quarantine,
            Hook::Failed => failed,
            Hook::Change => change,
        }
    }

    /// Reads its key.
    pub(super) fn set(self, spec: &mut Spec, value: &str) -> Result<(), String> {
        let has = &mut spec.policy.care.make().hooks;
        let mut places = Hook::ALL.into_iter().zip(has).zip(&mut spec.hooks);
        let Some(((_, has), words)) = places.find(|((it, _), _)| *it == self) else {
            return Ok(());
        };
        *has = true;
        set_command(words, value)
    }
}

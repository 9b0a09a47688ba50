//! What is minded of a service that runs, and of one whose work is done until it is
//! to be done again. The times are kept here; who looks at the clock is not.

use super::facts::{Action, Death, Fault, Moment};
use super::service::Service;
use super::state::State;
use crate::config::{Kind, Restart};

impl Service {
    /// It runs, but not well: it is stopped, and that is its own fault.
    pub(super) fn unhealthy(&mut self, now: Moment) -> Option<Action> {
        let State::Up { pid, since } = self.state else { return None };
        self.fault = Some(Fault::UNHEALTHY);
        self.stop_process(pid, since, self.definition.policy.first_signal(), now)
    }

    /// Who was well for longer than a quarantine can last begins a new row, though it
    /// died of its bad health: else some bad hours in a year would be a row.
    pub(super) fn forgive_long_run(&mut self, death: &Death) {
        let is_ill = death.fault == Some(Fault::UNHEALTHY);
        if is_ill && death.ran > self.definition.policy.backoff_max {
            self.forgive();
        }
    }

    /// When its work is to be done again, if it is done for now: so long after it
    /// began. Work that failed and is not tried again is done, too.
    pub fn next_run(&self) -> Option<Moment> {
        let policy = &self.definition.policy;
        let every = policy.care.minding.every.filter(|_| policy.kind == Kind::Oneshot)?;
        let is_over = match self.state {
            State::Done => true,
            State::Failed => policy.restart == Restart::Never,
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. } => false,
        };
        // Who is down, or about to be, is in none of these.
        let began = match self.last() {
            Some(Death { at, ran, .. }) => Moment(at.0.saturating_sub(Moment(0).after(ran).0)),
            None => self.changed_at,
        };
        is_over.then(|| began.after(every))
    }

    /// Begins anew if it is time to, however often that has been missed.
    pub(super) fn again(&mut self, now: Moment) -> Option<Action> {
        if self.next_run().is_some_and(|at| at <= now) {
            if self.state == State::Done {
                self.forgive();
            }
            self.state = State::Waiting;
        }
        None
    }
}

#[cfg(test)]
#[path = "minding_tests.rs"]
mod tests;

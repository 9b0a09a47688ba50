//! A daemon that leaves its parent, or says which process it is: the service is another
//! one from then on.

use super::facts::{Action, Moment, Pid};
use super::service::Service;
use super::state::{Stage, State};
use crate::config::Ready;

impl Service {
    /// Its main process has left its work to `pid`. What was being stopped
    /// still is: the new one may not have heard of it.
    pub(super) fn moved(&mut self, pid: Pid, now: Moment) -> Option<Action> {
        if let State::Stopping { since, step, .. } = self.state {
            return self.stop_process(pid, since, step, now);
        }
        let is_ready = self.definition.policy.care.ready == Ready::Exec;
        match self.state {
            // It has still to show, or to say, that it is ready.
            State::Starting { since, give_up, .. } if !is_ready => {
                self.state = State::Starting { pid, since, give_up };
                self.stage = Stage::Running;
            }
            State::Starting { since, .. } | State::Up { since, .. } => {
                self.state = State::Up { pid, since };
                self.stage = Stage::Running;
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => {}
        }
        None
    }
}

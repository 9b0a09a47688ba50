//! A daemon that leaves its parent: the service is another process from then on.

use super::facts::{Action, Moment, Pid};
use super::service::Service;
use super::state::{Stage, State};

impl Service {
    /// Its main process ended well and left its work to `pid`. What was being stopped
    /// still is: the new one may not have heard of it.
    pub(super) fn moved(&mut self, pid: Pid, now: Moment) -> Option<Action> {
        if let State::Stopping { since, step, .. } = self.state {
            return self.stop_process(pid, since, step, now);
        }
        if let State::Starting { since, .. } | State::Up { since, .. } = self.state {
            self.state = State::Up { pid, since };
            self.stage = Stage::Running;
        }
        None
    }
}

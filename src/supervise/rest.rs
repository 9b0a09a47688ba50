//! What is left of a service besides its main process, and how far it is to be
//! stopped: a death is an end of what `kill` says, an order is one of everything.

use std::time::Duration;

use super::facts::{Action, Moment, Pid};
use super::service::{KILL_AGAIN, Service};
use super::state::State;
use crate::config::{Signal, Whom};

impl Service {
    /// Goes to `step` of the stop sequence when the main process is dead.
    pub(super) fn stop_rest(&mut self, group: Pid, step: u8, now: Moment) -> Option<Action> {
        let (step, signal, whom, wait) = self.stop_step(step);
        self.state = State::Clearing { group, step, next_at: now.after(wait) };
        let whom = self.reach_of_rest(whom);
        Some(Action::Signal { pid: group, signal, whom })
    }

    /// The step at or after which the sequence stands; past its end is KILL.
    pub(super) fn stop_step(&self, step: u8) -> (u8, Signal, Whom, Duration) {
        let policy = &self.definition.policy;
        match policy.stop.get(usize::from(step)) {
            Some(it) => (step, it.signal, policy.kill, it.wait),
            None => {
                let end = u8::try_from(policy.stop.len()).unwrap_or(u8::MAX);
                (end, Signal::KILL, Whom::All, KILL_AGAIN)
            }
        }
    }

    /// Tells those who have left its group what the others were told.
    pub(super) fn stop_strays(&mut self, now: Moment) -> Option<Action> {
        let State::Clearing { group, .. } = self.state else { return None };
        // They have waited for `term-delay` with the others.
        let is_wait = self.definition.policy.stop.first().is_some_and(|it| it.signal == Signal(0));
        match self.stop_rest(group, u8::from(is_wait), now) {
            Some(Action::Signal { pid, signal, .. }) if signal != Signal::KILL => {
                Some(Action::Signal { pid, signal, whom: Whom::Strays })
            }
            action => action,
        }
    }

    /// Whether somebody wants all of it stopped, rather than that it ended.
    pub fn is_stopping(&self) -> bool {
        self.ordered || !self.is_wanted()
    }

    /// How far its family goes that must be gone before it is: as `kill` says when it
    /// died, and all of it when it was told to stop, but never beyond a main process
    /// that alone is to be signalled.
    pub fn reach(&self) -> Whom {
        match self.definition.policy.kill {
            Whom::Group if self.is_stopping() => Whom::All,
            whom @ (Whom::Process | Whom::Group | Whom::All | Whom::Strays) => whom,
        }
    }

    /// Stops what runs of it though nothing of it should.
    pub(super) fn stop_found(&mut self, pid: Pid, now: Moment) -> Option<Action> {
        if self.state == State::Down { self.stop_rest(pid, 0, now) } else { None }
    }

    /// Who is signalled instead of `whom` when the main process is dead.
    pub(super) fn reach_of_rest(&self, whom: Whom) -> Whom {
        match whom {
            // Who wants it stopped wants all of it stopped.
            Whom::Group if self.is_stopping() => Whom::All,
            // The dead main process has no pid any more, but its group still does.
            Whom::Process => Whom::Group,
            Whom::Group | Whom::All | Whom::Strays => whom,
        }
    }
}

//! Between running and being up, and how a service that is up can turn out to hang.
//! Whoever watches it from outside tells; here is only what follows from it.

use std::time::Duration;

use super::facts::{Action, Event, Fault, Moment};
use super::service::Service;
use super::state::{ABORTING, Stage, State};
use crate::config::{Ready, Signal};

/// Nobody gets more time than this at once, or a stop could take for ever.
const EXTENSION_MAX: Duration = Duration::from_secs(3600);

impl Service {
    /// Whether it is ready as soon as it has lasted.
    pub fn is_proving_itself(&self) -> bool {
        self.stage == Stage::Running && self.definition.policy.care.ready == Ready::Uptime
    }

    /// Whether it counts as ready when its time is up. One that may have said so while
    /// nobody heard it is not stopped for that.
    pub(super) fn is_ready_by_now(&self) -> bool {
        self.is_proving_itself() || self.unheard && self.stage == Stage::Running
    }

    /// What it says of itself but that it is ready, or may have said.
    pub(super) fn said(&mut self, event: Event, now: Moment) -> Option<Action> {
        if let Event::Extend(by) = event {
            return self.extend(by, now);
        }
        if event == Event::Hung {
            return self.hung(now);
        }
        self.unheard = true;
        None
    }

    pub(super) fn ready(&mut self) -> Option<Action> {
        if let (State::Starting { pid, since, .. }, Stage::Running) = (self.state, self.stage) {
            self.state = State::Up { pid, since };
        }
        None
    }

    /// Gives its main process more time to start, or for the present step of its stop.
    fn extend(&mut self, by: Duration, now: Moment) -> Option<Action> {
        let until = now.after(by.min(EXTENSION_MAX));
        let steps = self.definition.policy.stop.len();
        let is_proving = self.is_proving_itself();
        match &mut self.state {
            State::Starting { give_up: deadline, .. }
                if self.stage == Stage::Running && !is_proving =>
            {
                *deadline = until.max(*deadline);
            }
            State::Stopping { step, next_at: deadline, .. }
                if self.stage == Stage::Running && usize::from(*step) < steps =>
            {
                *deadline = until.max(*deadline);
            }
            State::Starting { .. }
            | State::Stopping { .. }
            | State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Up { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => {}
        }
        None
    }

    /// No deadline of a start or stop can be later than so long from now.
    pub(super) fn most(&self, usual: Duration) -> Duration {
        if self.definition.policy.care.is_heard() { usual.max(EXTENSION_MAX) } else { usual }
    }

    /// Ends what hangs, so that it can leave a picture of where it did.
    fn hung(&mut self, now: Moment) -> Option<Action> {
        let State::Up { pid, since } = self.state else { return None };
        self.fault = Some(Fault::HUNG);
        let (patience, whom) = (self.patience(), self.definition.policy.kill);
        if patience.is_zero() {
            return self.stop_process(pid, since, u8::MAX, now);
        }
        self.state = State::Stopping { pid, since, step: ABORTING, next_at: now.after(patience) };
        Some(Action::Signal { pid, signal: Signal::ABRT, whom })
    }

    /// Whether it is being ended because it hangs.
    pub fn is_hung(&self) -> bool {
        self.fault == Some(Fault::HUNG)
    }

    /// How long it has from the first signal of its stop to KILL.
    pub fn patience(&self) -> Duration {
        let steps = self.definition.policy.stop.iter().filter(|it| it.signal != Signal(0));
        steps.fold(Duration::ZERO, |sum, it| sum.saturating_add(it.wait))
    }

    /// The signal that was sent at this step of a stop, and how long it has to work.
    pub fn sent(&self, step: u8) -> (Signal, Duration) {
        match self.definition.policy.stop.get(usize::from(step)) {
            Some(it) => (it.signal, it.wait),
            None if step == ABORTING => (Signal::ABRT, self.patience()),
            None => (Signal::KILL, super::service::KILL_AGAIN),
        }
    }
}

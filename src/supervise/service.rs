//! One service's life: `step` takes what happened and when, and answers with at
//! most one thing to do. It must never lose a pid, have two, or wait for ever
//! without a deadline; `walk.rs` plays every short history against that.
//!
//! Two axes, never mixed: `want` is what the operator asked for, `state` is how
//! things are. A restart is a stop of something that is wanted up.

use std::time::Duration;

use super::facts::{Action, Definition, Event, Fault, Moment, Pid};
use super::state::{Stage, State, Stay, Want};
use super::verdict::History;
use crate::config::Signal;

/// A process that outlives KILL sleeps in the kernel. It is asked again now and
/// then, because what it left behind in other sessions may be killable by now.
pub(super) const KILL_AGAIN: Duration = Duration::from_secs(5);

/// A service and what became of it.
#[derive(Debug, Clone)]
pub struct Service {
    /// The file's name.
    pub name: Box<str>,
    /// The last good version of the file.
    pub definition: Definition,
    /// What the operator wants.
    pub want: Want,
    /// Whether there is a place for it.
    pub stay: Stay,
    /// How things are.
    pub state: State,
    /// How far the present run has come; always fresh when there is none.
    pub stage: Stage,
    /// Strikes in a row; a healthy run ends the row.
    pub strikes: u32,
    /// Quarantines in a row, healing ones too.
    pub row: u32,
    /// How often its program was run.
    pub starts: u32,
    /// When its state changed last.
    pub changed_at: Moment,
    /// The stop under way was asked for, so it is nobody's fault.
    pub(super) ordered: bool,
    /// A death was remembered in this very step.
    pub(super) has_died: bool,
    /// What it said of being ready may not have been heard.
    pub(super) unheard: bool,
    /// The child's last words, kept until it is reaped.
    pub(super) fault: Option<Fault>,
    /// What a service that never dies need not pay for.
    pub(super) history: Option<Box<History>>,
}

impl Service {
    /// A service that was never started.
    pub fn new(name: &str, definition: Definition) -> Service {
        Service {
            name: name.into(),
            definition,
            want: Want::Down,
            stay: Stay::Here,
            state: State::Down,
            stage: Stage::Fresh,
            strikes: 0,
            row: 0,
            starts: 0,
            changed_at: Moment(0),
            ordered: false,
            has_died: false,
            unheard: false,
            fault: None,
            history: None,
        }
    }

    /// Whether it should run: the operator's wish, if there is a place for it.
    pub fn is_wanted(&self) -> bool {
        self.want == Want::Up && self.stay == Stay::Here
    }

    /// Takes note of `event`. `dice` is a random number, for the jitter.
    pub fn step(&mut self, event: Event, now: Moment, dice: u32) -> Option<Action> {
        match event {
            Event::Arrive => self.arrive(now),
            Event::Demand => self.demanded(now),
            Event::Start => {
                self.want = Want::Up;
                if self.stay == Stay::Gone {
                    self.stay = Stay::Here;
                }
                if self.state.is_alive() { None } else { self.renew() }
            }
            Event::Restart => {
                self.want = Want::Up;
                if self.state.is_alive() { self.stop(now) } else { self.renew() }
            }
            Event::Stop => {
                self.want = Want::Down;
                self.stop(now)
            }
            Event::Leave(stay) => {
                self.stay = stay;
                self.stop(now)
            }
            Event::Kill => self.kill(now),
            Event::Go => self.state.awaits_turn().then(|| Action::Spawn(self.job())),
            Event::Spawned(pid) => self.spawned(pid, now),
            Event::SpawnFailed(fault) => self.spawn_failed(fault, now, dice),
            Event::Unmet(which) => self.unmet(which),
            Event::Look => self.look(),
            Event::Executed => self.executed(),
            Event::Ready => self.ready(),
            Event::Unhealthy => self.unhealthy(now),
            Event::Again => self.again(now),
            Event::Extend(_) | Event::Hung | Event::Unheard => self.said(event, now),
            Event::ExecFailed(fault) => {
                self.fault = Some(fault);
                None
            }
            Event::Moved(pid) => self.moved(pid, now),
            Event::Exited { exit, left } => self.exited(exit, left, now, dice),
            Event::Strays => self.stop_strays(now),
            Event::Found(pid) => self.stop_found(pid, now),
            Event::Cleared => {
                if matches!(self.state, State::Clearing { .. }) {
                    self.ended(now, dice)
                } else {
                    None
                }
            }
            Event::Tick => self.tick(now),
        }
    }

    /// Starts with a clean slate: whoever asks for a start releases it from
    /// quarantine, too.
    pub(super) fn renew(&mut self) -> Option<Action> {
        if self.is_wanted() {
            self.forgive();
            if let Some(history) = &mut self.history {
                history.deaths.clear();
            }
            self.state = State::Waiting;
        }
        None
    }

    /// Stops it by order.
    pub(super) fn stop(&mut self, now: Moment) -> Option<Action> {
        match self.state {
            State::Starting { pid, since, .. } | State::Up { pid, since } => {
                self.ordered = true;
                self.stop_process(pid, since, 0, now)
            }
            // Of these, the finish is not cut short.
            State::Stopping { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Finishing { .. } => {
                self.ordered = true;
                None
            }
            State::Waiting if self.stage == Stage::Prepared => {
                self.ordered = true;
                self.wind_up(now, 0)
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => self.rest(),
        }
    }

    /// Nothing of it runs, and nothing shall.
    pub(super) fn rest(&mut self) -> Option<Action> {
        self.state = State::Down;
        (self.stay == Stay::Gone).then_some(Action::Forget)
    }

    fn kill(&mut self, now: Moment) -> Option<Action> {
        if let Some((pid, since)) = self.state.run() {
            self.ordered = true;
            return self.stop_process(pid, since, u8::MAX, now);
        }
        match self.state {
            State::Clearing { group, .. } => self.stop_rest(group, u8::MAX, now),
            State::Ending if !self.is_wanted() => {
                (self.stage, self.ordered) = (Stage::Fresh, false);
                self.rest()
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => None,
        }
    }

    /// Goes to `step` of the stop sequence while the main process lives.
    pub(super) fn stop_process(
        &mut self,
        pid: Pid,
        since: Moment,
        step: u8,
        now: Moment,
    ) -> Option<Action> {
        let (step, signal, whom, wait) = self.stop_step(step);
        self.state = State::Stopping { pid, since, step, next_at: now.after(wait) };
        (signal != Signal(0)).then_some(Action::Signal { pid, signal, whom })
    }

    fn tick(&mut self, now: Moment) -> Option<Action> {
        match self.state {
            State::Starting { pid, since, give_up } if give_up <= now => {
                if self.is_ready_by_now() {
                    return self.ready();
                }
                self.fault = Some(Fault::LATE);
                self.stop_process(pid, since, self.definition.policy.first_signal(), now)
            }
            State::Stopping { pid, since, step, next_at } if next_at <= now => {
                self.stop_process(pid, since, step.saturating_add(1), now)
            }
            State::Clearing { group, step, next_at } if next_at <= now => {
                self.stop_rest(group, step.saturating_add(1), now)
            }
            // It had all the time that a finish gets, so nobody asks it first.
            State::Finishing { pid, since, kill_at } if kill_at <= now => {
                self.stop_process(pid, since, u8::MAX, now)
            }
            State::Quarantined { until } if until <= now => {
                self.state = self.poised();
                None
            }
            State::Starting { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Up { .. }
            | State::Ending
            | State::Done
            | State::Failed => None,
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

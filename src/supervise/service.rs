//! One service's life: `step` takes what happened and when, and answers with at
//! most one thing to do. It must never lose a pid, have two, or wait for ever
//! without a deadline; `walk.rs` plays every short history against that.
//!
//! Two axes, never mixed: `want` is what the operator asked for, `state` is how
//! things are. A restart is a stop of something that is wanted up.

use std::time::Duration;

use super::facts::{Action, Death, Definition, Event, Exit, Fault, Moment, Pid, State, Stay, Want};
use super::verdict::History;
use crate::config::{Kind, Signal};

/// From fork to exec there are a dozen system calls; one that takes this long
/// (a dead network file system under `cwd`) will not come back.
const START_TIMEOUT: Duration = Duration::from_secs(90);

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
            strikes: 0,
            row: 0,
            starts: 0,
            changed_at: Moment(0),
            ordered: false,
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
            Event::Go => (self.state == State::Waiting).then_some(Action::Spawn),
            Event::Spawned(pid) => self.spawned(pid, now),
            Event::SpawnFailed(fault) => self.spawn_failed(fault, now, dice),
            Event::Executed => self.executed(),
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
            State::Stopping { .. } | State::Clearing { .. } => {
                self.ordered = true;
                None
            }
            State::Down
            | State::Waiting
            | State::Listening
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
        let State::Clearing { group, .. } = self.state else { return None };
        self.stop_rest(group, u8::MAX, now)
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

    fn spawned(&mut self, pid: Pid, now: Moment) -> Option<Action> {
        // Spawned answers Go within one turn of the loop, so it is Waiting; were
        // it not, the child must not run unseen.
        self.ordered = self.state != State::Waiting;
        self.fault = None;
        if self.ordered {
            return self.stop_process(pid, now, u8::MAX, now);
        }
        self.state = State::Starting { pid, since: now, give_up: now.after(START_TIMEOUT) };
        None
    }

    fn spawn_failed(&mut self, fault: Fault, now: Moment, dice: u32) -> Option<Action> {
        if !matches!(self.state, State::Waiting | State::Listening) {
            return None;
        }
        self.fault = Some(fault);
        self.ordered = false;
        self.died(None, Duration::ZERO, now);
        self.ended(now, dice)
    }

    pub(super) fn executed(&mut self) -> Option<Action> {
        if let State::Starting { pid, since, .. } = self.state {
            self.starts = self.starts.saturating_add(1);
            // A daemon is up when it has left its parent.
            if self.definition.policy.kind != Kind::Forking {
                self.state = State::Up { pid, since };
            }
        }
        None
    }

    pub(super) fn exited(
        &mut self,
        exit: Exit,
        left: bool,
        now: Moment,
        dice: u32,
    ) -> Option<Action> {
        let (group, stopping) = match self.state {
            State::Starting { pid, since, .. } | State::Up { pid, since } => {
                self.died(Some(exit), now.since(since), now);
                (pid, None)
            }
            State::Stopping { pid, since, step, next_at } => {
                self.died(Some(exit), now.since(since), now);
                (pid, Some((step, next_at)))
            }
            State::Down
            | State::Waiting
            | State::Listening
            | State::Clearing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => return None,
        };
        match (left, stopping) {
            (false, _) => self.ended(now, dice),
            // The rest has had the same signal, and the same time to obey.
            (true, Some((step, next_at))) => {
                self.state = State::Clearing { group, step, next_at };
                None
            }
            // There is nothing to announce: it is dead.
            (true, None) => self.stop_rest(group, self.definition.policy.first_signal(), now),
        }
    }

    fn died(&mut self, exit: Option<Exit>, ran: Duration, now: Moment) {
        let (fault, ordered) = (self.fault.take(), self.ordered);
        self.remember(Death { exit, fault, ran, at: now, strike: None, ordered });
    }

    /// Nothing of it runs any more: what next?
    pub(super) fn ended(&mut self, now: Moment, dice: u32) -> Option<Action> {
        let ordered = std::mem::take(&mut self.ordered);
        if let Some(death) = self.last_mut() {
            death.ordered = ordered;
        }
        if !self.is_wanted() {
            return self.rest();
        }
        if ordered {
            return self.renew();
        }
        self.state = self.judge(now, dice);
        None
    }

    fn tick(&mut self, now: Moment) -> Option<Action> {
        match self.state {
            State::Starting { pid, since, give_up } if give_up <= now => {
                self.fault = Some(Fault::LATE);
                self.stop_process(pid, since, self.definition.policy.first_signal(), now)
            }
            State::Stopping { pid, since, step, next_at } if next_at <= now => {
                self.stop_process(pid, since, step.saturating_add(1), now)
            }
            State::Clearing { group, step, next_at } if next_at <= now => {
                self.stop_rest(group, step.saturating_add(1), now)
            }
            State::Quarantined { until } if until <= now => {
                self.state = self.ready();
                None
            }
            State::Starting { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Quarantined { .. }
            | State::Down
            | State::Waiting
            | State::Listening
            | State::Up { .. }
            | State::Done
            | State::Failed => None,
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

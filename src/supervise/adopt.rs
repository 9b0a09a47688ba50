//! A service that an earlier going kept, taken up as it is found. What the record
//! says is believed only as far as it can be so: whatever it holds, nothing of the
//! service may be lost, run twice, or wait longer than its file lets it.

use std::time::Duration;

use super::facts::{Action, Exit, Job, Moment, Pid, Remains};
use super::service::Service;
use super::state::{Stage, State};

impl Service {
    /// Brings the state that was written down into line with what is there.
    pub(super) fn take_up(&mut self, found: Remains, now: Moment, dice: u32) -> Option<Action> {
        self.changed_at = self.changed_at.min(now);
        let action = match (found, self.state) {
            (Remains::Process(job, pid, since), state) => {
                self.go_on(state, job, pid, since, now);
                None
            }
            (Remains::Group(group), State::Clearing { step, next_at, .. }) => {
                self.state = State::Clearing { group, step, next_at };
                None
            }
            // What became of a setup or a finish is not known, so there is another.
            (Remains::Group(group), state)
                if state.pid() == Some(group)
                    && matches!(self.stage, Stage::Setup | Stage::Finish) =>
            {
                let is_setup = self.stage == Stage::Setup;
                self.stage = if is_setup { Stage::Fresh } else { Stage::Running };
                self.stop_rest(group, 0, now)
            }
            (Remains::Group(group), state) if state.pid() == Some(group) => {
                self.exited(Exit::Unknown, true, now, dice)
            }
            // Born and dead between two changes that were written down.
            (Remains::Group(group), _) => self.stop_rest(group, 0, now),
            // It died with the going that forked it, and nobody is to blame for that.
            (Remains::Nothing, State::Starting { .. }) if self.stage != Stage::Running => {
                let has_setup = self.stage == Stage::Forked && self.definition.policy.care.setup;
                self.stage = if has_setup { Stage::Prepared } else { Stage::Fresh };
                // Whoever demanded it has lost the connection.
                self.state = if has_setup { State::Waiting } else { self.poised() };
                None
            }
            (Remains::Nothing, State::Finishing { .. }) => {
                self.state = State::Ending;
                None
            }
            (Remains::Nothing, State::Clearing { .. }) => self.ended(now, dice),
            // How it ended the kernel told its parent of that time alone: no pidfd that
            // is opened now can ask any more. So a oneshot is run again, since work done
            // twice can be seen, and work never done cannot.
            (Remains::Nothing, state) if state.pid().is_some() => {
                self.exited(Exit::Unknown, false, now, dice)
            }
            (Remains::Nothing, _) => None,
        };
        self.tidy_stage();
        self.bound(now);
        action.or_else(|| self.agree(now))
    }

    /// Takes up a process that lives.
    fn go_on(&mut self, state: State, job: Job, pid: Pid, since: Moment, now: Moment) {
        let is_known = state.pid() == Some(pid);
        let care = &self.definition.policy.care;
        match job {
            _ if is_known && matches!(state, State::Stopping { .. }) => {}
            Job::Setup | Job::Finish if is_known => {}
            Job::Main if is_known && self.stage == Stage::Running => {}
            Job::Setup => {
                self.state = State::Starting { pid, since, give_up: now.after(care.start_timeout) };
                (self.stage, self.ordered, self.fault) = (Stage::Setup, false, None);
            }
            Job::Finish => {
                let kill_at = now.after(care.finish_timeout);
                self.state = State::Finishing { pid, since, kill_at };
                (self.stage, self.fault) = (Stage::Finish, None);
            }
            // Forked by the going before us, which could not say any more what
            // became of it.
            Job::Main => {
                self.state = State::Starting { pid, since, give_up: now.after(care.start_timeout) };
                (self.stage, self.ordered, self.fault) = (Stage::Forked, false, None);
                self.executed();
            }
        }
    }

    /// Has the stage be one that is possible in the state.
    fn tidy_stage(&mut self) {
        self.stage = match (self.state, self.stage) {
            (State::Up { .. }, _) => Stage::Running,
            (State::Starting { .. }, Stage::Fresh | Stage::Prepared | Stage::Finish) => {
                Stage::Forked
            }
            (State::Stopping { .. }, Stage::Fresh | Stage::Prepared) => Stage::Running,
            (State::Finishing { .. }, _) => Stage::Finish,
            (State::Ending, Stage::Fresh | Stage::Finish) => Stage::Running,
            (State::Waiting, Stage::Prepared) if self.definition.policy.care.setup => {
                Stage::Prepared
            }
            (State::Starting { .. } | State::Stopping { .. }, stage)
            | (State::Clearing { .. } | State::Ending, stage) => stage,
            (
                State::Down
                | State::Waiting
                | State::Listening
                | State::Unmet { .. }
                | State::Quarantined { .. }
                | State::Done
                | State::Failed,
                _,
            ) => Stage::Fresh,
        };
    }

    /// No deadline may be later than one that began now: the record may be made
    /// up, and the file may be more impatient than it was. While the file cannot be
    /// read, only the record tells how long.
    fn bound(&mut self, now: Moment) {
        if self.definition.text.is_empty() {
            return;
        }
        let policy = &self.definition.policy;
        let (start_max, stop_max) = (self.most(policy.care.start_timeout), self.stop_max());
        let longest = policy.backoff_max.saturating_mul(100 + u32::from(policy.jitter)) / 100;
        match &mut self.state {
            State::Stopping { next_at, .. } | State::Clearing { next_at, .. } => {
                *next_at = (*next_at).min(now.after(stop_max));
            }
            State::Starting { give_up, .. } => *give_up = (*give_up).min(now.after(start_max)),
            State::Finishing { kill_at, .. } => {
                *kill_at = (*kill_at).min(now.after(policy.care.finish_timeout));
            }
            State::Quarantined { until } => *until = (*until).min(now.after(longest)),
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Up { .. }
            | State::Ending
            | State::Done
            | State::Failed => {}
        }
    }

    /// How long the present step of its stop can take.
    fn stop_max(&self) -> Duration {
        match self.state {
            State::Stopping { step, .. } => self.most(self.sent(step).1),
            State::Clearing { step, .. } => self.sent(step).1,
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => Duration::ZERO,
        }
    }

    /// Has the state be one that is possible with what is wanted: the going before us
    /// may have been about to end, or have died between two steps.
    fn agree(&mut self, now: Moment) -> Option<Action> {
        match (self.is_wanted(), self.state) {
            (true, State::Down | State::Listening) => {
                self.state = self.poised();
                None
            }
            (false, State::Starting { pid, since, .. } | State::Up { pid, since }) => {
                self.ordered = true;
                self.stop_process(pid, since, 0, now)
            }
            (false, State::Waiting) if self.stage == Stage::Prepared => {
                self.ordered = true;
                self.wind_up(now, 0)
            }
            (
                false,
                State::Waiting
                | State::Listening
                | State::Unmet { .. }
                | State::Quarantined { .. }
                | State::Done
                | State::Failed,
            ) => self.rest(),
            (_, State::Stopping { .. } | State::Clearing { .. })
            | (_, State::Ending | State::Finishing { .. })
            | (
                true,
                State::Starting { .. } | State::Up { .. } | State::Waiting | State::Unmet { .. },
            )
            | (true, State::Quarantined { .. } | State::Done | State::Failed)
            | (false, State::Down) => None,
        }
    }
}

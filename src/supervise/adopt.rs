//! A service that an earlier going kept, taken up as it is found. What the record
//! says is believed only as far as it can be so: whatever it holds, nothing of the
//! service may be lost, run twice, or wait longer than its file lets it.

use super::facts::{Action, Exit, Moment, Remains, State};
use super::service::Service;

impl Service {
    /// Brings the state that was written down into line with what is there.
    pub(super) fn take_up(&mut self, found: Remains, now: Moment, dice: u32) -> Option<Action> {
        self.changed_at = self.changed_at.min(now);
        let action = match (found, self.state) {
            (Remains::Main(pid, since), state) => {
                let is_known = !matches!(state, State::Starting { .. }) && state.pid() == Some(pid);
                if !is_known {
                    // Forked by the going before us, which could not say any more what
                    // became of it.
                    self.state = State::Up { pid, since };
                    self.ordered = false;
                    self.fault = None;
                    self.starts = self.starts.saturating_add(1);
                }
                None
            }
            (Remains::Group(group), State::Clearing { step, next_at, .. }) => {
                self.state = State::Clearing { group, step, next_at };
                None
            }
            (Remains::Group(group), state) if state.pid() == Some(group) => {
                self.exited(Exit::Unknown, true, now, dice)
            }
            // Born and dead between two changes that were written down.
            (Remains::Group(group), _) => self.stop_rest(group, 0, now),
            // It died with the going that forked it, and nobody is to blame for that.
            (Remains::Nothing, State::Starting { .. }) => {
                self.state = State::Waiting;
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
        self.bound(now);
        action.or_else(|| self.agree(now))
    }

    /// No deadline may be later than one that began now: the record may be made
    /// up, and the file may be more impatient than it was.
    fn bound(&mut self, now: Moment) {
        let policy = &self.definition.policy;
        let longest = policy.backoff_max.saturating_mul(100 + u32::from(policy.jitter)) / 100;
        match &mut self.state {
            State::Stopping { step, next_at, .. } | State::Clearing { step, next_at, .. } => {
                let wait = policy.stop.get(usize::from(*step)).map(|it| it.wait);
                *next_at = (*next_at).min(now.after(wait.unwrap_or(super::service::KILL_AGAIN)));
            }
            State::Quarantined { until } => *until = (*until).min(now.after(longest)),
            State::Starting { .. }
            | State::Down
            | State::Waiting
            | State::Listening
            | State::Up { .. }
            | State::Done
            | State::Failed => {}
        }
    }

    /// Has the state be one that is possible with what is wanted: the going before us
    /// may have been about to end, or have died between two steps.
    fn agree(&mut self, now: Moment) -> Option<Action> {
        match (self.is_wanted(), self.state) {
            (true, State::Down | State::Listening) => {
                self.state = self.ready();
                None
            }
            (false, State::Up { pid, since }) => {
                self.ordered = true;
                self.stop_process(pid, since, 0, now)
            }
            (
                false,
                State::Waiting
                | State::Listening
                | State::Quarantined { .. }
                | State::Done
                | State::Failed,
            ) => self.rest(),
            (_, State::Starting { .. } | State::Stopping { .. } | State::Clearing { .. })
            | (true, State::Up { .. })
            | (true, State::Waiting | State::Quarantined { .. } | State::Done | State::Failed)
            | (false, State::Down) => None,
        }
    }
}

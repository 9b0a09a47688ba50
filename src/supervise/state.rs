//! How things can be with a service: what is wanted of it, and what is so. A state
//! carries its data, so that no pid or deadline can be where there is none.

use super::facts::{Moment, Pid};

/// What the operator asked for last. Accidents never change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Keep it going.
    Up,
    /// Leave it down.
    Down,
}

/// Whether there is a place for the service at all; overrides what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Its file is there and going goes on.
    Here,
    /// Its file is gone: forget it as soon as nothing of it runs.
    Gone,
    /// Going itself is about to end.
    Closing,
}

/// How things are. Only events change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing runs and nothing will.
    Down,
    /// Wanted, and to be spawned when its turn comes.
    Waiting,
    /// Wanted, and started by the first connection to one of its sockets.
    Listening,
    /// One of its conditions is not met.
    Unmet {
        /// Which one, in the order of its file.
        which: u8,
    },
    /// On its way up: its setup runs, or its program does not yet, or is not ready.
    Starting {
        /// The setup, or the main process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// When its start has failed.
        give_up: Moment,
    },
    /// Its program runs.
    Up {
        /// The main process.
        pid: Pid,
        /// When it was forked.
        since: Moment,
    },
    /// Told to stop, and not dead yet.
    Stopping {
        /// The main process, its setup or its finish.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// Which signal of the stop sequence was sent last; its length is KILL.
        step: u8,
        /// When the next one is due.
        next_at: Moment,
    },
    /// The main process is dead; what it left behind is being stopped.
    Clearing {
        /// The process group, named after the dead main process.
        group: Pid,
        /// As in `Stopping`.
        step: u8,
        /// As in `Stopping`.
        next_at: Moment,
    },
    /// Nothing of it runs any more, and its finish is to be spawned.
    Ending,
    /// Its finish runs.
    Finishing {
        /// The finish.
        pid: Pid,
        /// When it was forked.
        since: Moment,
        /// When it has taken too long.
        kill_at: Moment,
    },
    /// Died too soon, and is held back.
    Quarantined {
        /// When it is started again.
        until: Moment,
    },
    /// Ended as it should, and is not started again.
    Done,
    /// Given up.
    Failed,
}

/// The step of a stop by which one that hangs is told so: beyond all others, so that KILL
/// comes next.
pub(super) const ABORTING: u8 = u8::MAX - 1;

/// How far the present run has come: what was forked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    Fresh,
    /// Its setup.
    Setup,
    /// Its setup, which has done its work.
    Prepared,
    /// Its main process, which does not run its program yet.
    Forked,
    /// Its main process.
    Running,
    /// Its finish.
    Finish,
}

impl State {
    /// The process that all is about, and when it was forked, while there is one.
    pub fn run(&self) -> Option<(Pid, Moment)> {
        match *self {
            State::Starting { pid, since, .. }
            | State::Up { pid, since }
            | State::Stopping { pid, since, .. }
            | State::Finishing { pid, since, .. } => Some((pid, since)),
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Clearing { .. }
            | State::Ending
            | State::Quarantined { .. }
            | State::Done
            | State::Failed => None,
        }
    }

    /// That process, while there is one.
    pub fn pid(&self) -> Option<Pid> {
        self.run().map(|(pid, _)| pid)
    }

    /// When something is to happen by itself, if it is.
    pub fn deadline(&self) -> Option<Moment> {
        match *self {
            State::Starting { give_up, .. } => Some(give_up),
            State::Stopping { next_at, .. } | State::Clearing { next_at, .. } => Some(next_at),
            State::Finishing { kill_at, .. } => Some(kill_at),
            State::Quarantined { until } => Some(until),
            State::Down
            | State::Waiting
            | State::Listening
            | State::Unmet { .. }
            | State::Up { .. }
            | State::Ending
            | State::Done
            | State::Failed => None,
        }
    }

    /// Whether it is the other one but for its deadline.
    pub fn is_like(&self, other: &State) -> bool {
        match (*self, *other) {
            (State::Starting { pid, .. }, State::Starting { pid: was, .. }) => pid == was,
            (State::Stopping { pid, step, .. }, State::Stopping { pid: was, step: last, .. }) => {
                (pid, step) == (was, last)
            }
            (this, that) => this == that,
        }
    }

    /// Whether a process of the service is, or may be, alive, or is still to come.
    pub fn is_alive(&self) -> bool {
        self.pid().is_some() || matches!(self, State::Clearing { .. } | State::Ending)
    }

    /// Whether something is to be spawned when its turn comes.
    pub fn awaits_turn(&self) -> bool {
        matches!(self, State::Waiting | State::Ending)
    }
}

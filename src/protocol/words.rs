//! The words for what is wanted and what is so, one spelling for daemon, client
//! and manual.

use crate::supervise;

/// How things are with a service, as far as others need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing runs and nothing will.
    Down,
    /// To be started when its turn comes.
    Waiting,
    /// Started by the first connection.
    Listening,
    /// Forked, but its program does not run yet.
    Starting,
    /// Its program runs.
    Up,
    /// Told to stop, and not dead yet.
    Stopping,
    /// Dead; what it left behind is being stopped.
    Clearing,
    /// Over; its finish runs, or is about to.
    Finishing,
    /// Died too soon, and is held back.
    Quarantined,
    /// Ended as it should.
    Done,
    /// Given up.
    Failed,
    /// Down until somebody enables it.
    Disabled,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 12] = [
        State::Down,
        State::Waiting,
        State::Listening,
        State::Starting,
        State::Up,
        State::Stopping,
        State::Clearing,
        State::Finishing,
        State::Quarantined,
        State::Done,
        State::Failed,
        State::Disabled,
    ];

    /// The word of a state of the core, which does not know who is disabled.
    pub fn of(state: &supervise::State) -> State {
        match state {
            supervise::State::Down | supervise::State::Unmet { .. } => State::Down,
            supervise::State::Waiting => State::Waiting,
            supervise::State::Listening => State::Listening,
            supervise::State::Starting { .. } => State::Starting,
            supervise::State::Up { .. } => State::Up,
            supervise::State::Stopping { .. } => State::Stopping,
            supervise::State::Clearing { .. } => State::Clearing,
            supervise::State::Ending | supervise::State::Finishing { .. } => State::Finishing,
            supervise::State::Quarantined { .. } => State::Quarantined,
            supervise::State::Done => State::Done,
            supervise::State::Failed => State::Failed,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Waiting => "waiting",
            State::Listening => "listening",
            State::Starting => "starting",
            State::Up => "up",
            State::Stopping => "stopping",
            State::Clearing => "clearing",
            State::Finishing => "finishing",
            State::Quarantined => "quarantined",
            State::Done => "done",
            State::Failed => "failed",
            State::Disabled => "disabled",
        }
    }

    /// The state of this word.
    pub fn read(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// The word for what is wanted.
pub fn want(want: supervise::Want) -> &'static str {
    match want {
        supervise::Want::Up => "up",
        supervise::Want::Down => "down",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_by_its_word() {
        for state in State::ALL {
            assert_eq!(State::read(state.word()), Some(state));
        }
        assert_eq!(State::read("Up"), None);
        assert_eq!(State::read(""), None);
    }
}

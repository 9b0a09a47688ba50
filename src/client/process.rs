//! How a service is, in the words of supervisor: for programs that were written for
//! it.

use crate::protocol::State;

/// How things are, in supervisor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// By order, or never started.
    Stopped = 0,
    /// Not up yet.
    Starting = 10,
    /// Up.
    Running = 20,
    /// Held back after a death.
    Backoff = 30,
    /// Told to stop.
    Stopping = 40,
    /// Ended as it should.
    Exited = 100,
    /// Given up.
    Fatal = 200,
    /// Something that is newer than this program.
    Unknown = 1000,
}

impl Process {
    /// Of a service in this state, as going says it.
    pub fn of(state: &str) -> Process {
        let Some(state) = State::read(state) else { return Process::Unknown };
        match state {
            State::Up => Process::Running,
            State::Down | State::Listening | State::Disabled => Process::Stopped,
            State::Quarantined => Process::Backoff,
            State::Done => Process::Exited,
            State::Failed => Process::Fatal,
            State::Stopping | State::Clearing | State::Finishing => Process::Stopping,
            State::Waiting | State::Starting => Process::Starting,
        }
    }

    /// Supervisor's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Process::Stopped => "STOPPED",
            Process::Starting => "STARTING",
            Process::Running => "RUNNING",
            Process::Backoff => "BACKOFF",
            Process::Stopping => "STOPPING",
            Process::Exited => "EXITED",
            Process::Fatal => "FATAL",
            Process::Unknown => "UNKNOWN",
        }
    }

    /// Whether supervisor would not start it.
    pub fn is_running(self) -> bool {
        matches!(self, Process::Running | Process::Backoff | Process::Starting)
    }
}

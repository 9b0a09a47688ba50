//! How a service begins: when its file appears, by what its `start` key says, and when
//! somebody wants to talk to it. Who waits for that is started by nothing else, and
//! never more often than `burst` allows.

use super::facts::{Action, Moment};
use super::service::Service;
use super::state::{State, Stay, Want};
use crate::config::Start;

impl Service {
    /// Its file has appeared, or says something else about its start.
    pub(super) fn arrive(&mut self, now: Moment) -> Option<Action> {
        let start = self.definition.policy.start;
        self.want = if start == Start::Manual { Want::Down } else { Want::Up };
        if self.stay == Stay::Gone {
            self.stay = Stay::Here;
        }
        match start {
            Start::Manual => self.stop(now),
            Start::Auto | Start::OnDemand if self.state.is_alive() => None,
            Start::Auto => self.renew(),
            Start::OnDemand => {
                self.renew();
                self.state = if self.is_wanted() { self.poised() } else { self.state };
                None
            }
        }
    }

    /// Somebody has connected.
    pub(super) fn demanded(&mut self, now: Moment) -> Option<Action> {
        if self.state == State::Listening {
            // Who waits for the next one is well, so that only those starts are a
            // burst that follow each other closely.
            let waited = now.since(self.changed_at);
            if let Some(history) = &mut self.history {
                history.lived = history.lived.saturating_add(waited);
            }
            self.state = State::Waiting;
        }
        None
    }

    /// The state of one that is wanted and may run.
    pub(super) fn poised(&self) -> State {
        match self.definition.policy.start {
            Start::OnDemand => State::Listening,
            Start::Auto | Start::Manual => State::Waiting,
        }
    }
}

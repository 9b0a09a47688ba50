//! What follows from a death nobody asked for: a new start, a quarantine and how
//! long, or the end. Numbers only; nothing is stopped or started here.

use std::collections::VecDeque;
use std::time::Duration;

use super::facts::{Death, Exit, Fault, Moment, Pid, Step, Strike};
use super::service::Service;
use super::state::State;
use crate::config::{Burst, Kind, Policy, Restart, Start, Success};

/// So many deaths tell whether they are all alike; more would be a log.
pub(super) const REMEMBERED: usize = 4;

/// How a service died.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The latest first, as many as [`REMEMBERED`].
    pub(super) recent: VecDeque<Death>,
    /// The process of the latest.
    pub(super) pid: Option<Pid>,
    /// The one with which the present row of strikes began.
    pub(super) first: Option<Death>,
    /// Time spent running, and when in it the last deaths were. Quarantines do
    /// not count, or a longer one would look like better health.
    pub(super) lived: Duration,
    pub(super) deaths: VecDeque<Duration>,
}

impl Service {
    /// How the last run ended.
    pub fn last(&self) -> Option<Death> {
        self.deaths().next().copied()
    }

    /// Which process that was.
    pub fn last_pid(&self) -> Option<Pid> {
        self.history.as_ref()?.pid
    }

    /// The deaths that are remembered, the latest first.
    pub fn deaths(&self) -> impl Iterator<Item = &Death> {
        self.history.iter().flat_map(|history| &history.recent)
    }

    /// The death with which the present row of strikes began.
    pub fn first_of_row(&self) -> Option<Death> {
        self.history.as_ref()?.first
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Death> {
        self.history.as_mut()?.recent.front_mut()
    }

    /// Whether such an end is no failure.
    pub fn is_success(&self, exit: Exit) -> bool {
        forgives(&self.definition.policy, exit)
    }

    /// Notes the end of a run, or of an attempt at one.
    pub(super) fn remember(&mut self, death: Death) {
        let pid = self.state.pid();
        let history = self.history.get_or_insert_default();
        history.pid = pid;
        history.lived = history.lived.saturating_add(death.ran);
        history.recent.truncate(REMEMBERED - 1);
        history.recent.push_front(death);
        self.has_died = true;
    }

    /// The verdict on a death nobody asked for.
    pub(super) fn judge(&mut self, now: Moment, dice: u32) -> State {
        // Every path here has just recorded a death.
        let Some(death) = self.last() else { return State::Waiting };
        let policy = &self.definition.policy;
        // Who dies on the way up has done nothing yet, however it says it ended.
        let is_clean = death.fault.is_none()
            && death.strike.is_none()
            && death.exit.is_some_and(|exit| forgives(policy, exit));
        let heals = death.fault.is_some_and(Fault::heals);
        let is_over = match policy.restart {
            Restart::Always => policy.kind == Kind::Oneshot && is_clean,
            Restart::OnFailure => is_clean,
            Restart::Never => !heals,
        };
        let is_demanded = policy.start == Start::OnDemand;
        // Whoever is started on demand has always done enough.
        let is_enough = is_demanded && (is_over || is_clean);
        if is_over && !is_demanded {
            return if is_clean { State::Done } else { State::Failed };
        }
        if heals {
            if let Some(death) = self.last_mut() {
                death.strike = None;
            }
        } else {
            let strike = self.strike(&death, is_enough);
            self.forgive_long_run(&death);
            if let Some(death) = self.last_mut() {
                death.strike = strike;
            }
            if strike.is_none() {
                self.forgive();
                return self.poised();
            }
            self.strikes = self.strikes.saturating_add(1);
            self.note_first();
        }
        let policy = &self.definition.policy;
        if policy.strikes > 0 && self.strikes >= policy.strikes {
            return State::Failed;
        }
        self.row = self.row.saturating_add(1);
        State::Quarantined { until: now.after(quarantine(policy, self.row, dice)) }
    }

    /// Ends a row of strikes.
    pub(super) fn forgive(&mut self) {
        self.strikes = 0;
        self.row = 0;
        if let Some(history) = &mut self.history {
            history.first = None;
        }
    }

    fn note_first(&mut self) {
        let last = self.last();
        if let Some(history) = &mut self.history {
            history.first = history.first.or(last);
        }
    }

    /// Whether, and why, this death counts.
    fn strike(&mut self, death: &Death, is_enough: bool) -> Option<Strike> {
        let policy = &self.definition.policy;
        let history = self.history.get_or_insert_default();
        let is_burst = policy.burst.is_some_and(|burst| history.is_burst(burst));
        if death.strike.is_some() {
            death.strike
        } else if death.fault.is_some_and(|fault| fault.step == Step::Late) {
            Some(Strike::Unready)
        } else if death.fault.is_some_and(|fault| fault.step == Step::Unhealthy) {
            Some(Strike::Health)
        } else if death.fault.is_some_and(|fault| fault.step == Step::Hung) {
            Some(Strike::Watchdog)
        } else if death.fault.is_some() {
            Some(Strike::Fault)
        } else if policy.kind == Kind::Oneshot && !is_enough {
            Some(Strike::Work)
        } else if death.ran < policy.min_uptime && !is_enough {
            Some(Strike::Short)
        } else {
            is_burst.then_some(Strike::Burst)
        }
    }
}

impl History {
    /// Notes a death, and whether it is one too many.
    fn is_burst(&mut self, Burst { count, within }: Burst) -> bool {
        let count = usize::from(count);
        self.deaths.push_back(self.lived);
        while self.deaths.len() > count {
            self.deaths.pop_front();
        }
        let first = self.deaths.front().copied().unwrap_or(self.lived);
        self.deaths.len() == count && self.lived.saturating_sub(first) <= within
    }
}

pub(super) fn forgives(policy: &Policy, exit: Exit) -> bool {
    policy.success.iter().any(|success| match (*success, exit) {
        (Success::Code(code), Exit::Code(it)) => code == it,
        (Success::Signal(signal), Exit::Signal { signal: it, .. }) => signal == it,
        (Success::Code(_), Exit::Signal { .. } | Exit::Memory | Exit::Unknown)
        | (Success::Signal(_), Exit::Code(_) | Exit::Memory | Exit::Unknown) => false,
    })
}

/// How long the quarantine number `row` of a row is.
pub(super) fn quarantine(policy: &Policy, row: u32, dice: u32) -> Duration {
    // 2^31 times the shortest backoff of 1 ms is 24 days, longer than anybody
    // waits, so the shift need not go on.
    let doubled = policy.backoff.saturating_mul(1 << row.saturating_sub(1).min(31));
    let wait = doubled.min(policy.backoff_max);
    let spread = wait.saturating_mul(u32::from(policy.jitter)) / 100;
    let shift = spread.saturating_mul(2).as_millis() * u128::from(dice) / u128::from(u32::MAX);
    wait.saturating_sub(spread)
        .saturating_add(Duration::from_millis(u64::try_from(shift).unwrap_or(u64::MAX)))
}

//! The course of one run: setup, main process, readiness, death, finish. Each has
//! a process of its own, and the next one comes when that is dead and nothing is
//! left of it, so that there are never two.

use std::time::Duration;

use super::facts::{Action, Death, Exit, Fault, Job, Moment, Pid, Step, Strike};
use super::service::Service;
use super::state::{Stage, State};
use crate::config::{Kind, Ready};

impl Service {
    /// What is to be spawned when its turn comes.
    pub fn job(&self) -> Job {
        match (self.state, self.stage) {
            (State::Ending, _) => Job::Finish,
            (_, Stage::Fresh) if self.definition.policy.care.setup => Job::Setup,
            _ => Job::Main,
        }
    }

    /// What was spawned last.
    pub fn spawned_job(&self) -> Job {
        match self.stage {
            Stage::Setup | Stage::Prepared => Job::Setup,
            Stage::Finish => Job::Finish,
            Stage::Fresh | Stage::Forked | Stage::Running => Job::Main,
        }
    }

    /// A condition keeps it from running.
    pub(super) fn unmet(&mut self, which: u8) -> Option<Action> {
        if self.state == State::Waiting && self.stage == Stage::Fresh {
            self.state = State::Unmet { which };
        }
        None
    }

    /// That may be over.
    pub(super) fn look(&mut self) -> Option<Action> {
        if matches!(self.state, State::Unmet { .. }) {
            self.state = State::Waiting;
        }
        None
    }

    pub(super) fn spawned(&mut self, pid: Pid, now: Moment) -> Option<Action> {
        let (job, care) = (self.job(), &self.definition.policy.care);
        (self.fault, self.unheard) = (None, false);
        if self.state == State::Ending {
            let kill_at = now.after(care.finish_timeout);
            self.state = State::Finishing { pid, since: now, kill_at };
            self.stage = Stage::Finish;
            return None;
        }
        // Spawned answers Go within one turn of the loop, so it is Waiting; were
        // it not, the child must not run unseen.
        self.ordered = self.state != State::Waiting;
        let give_up = now.after(care.start_timeout);
        self.stage = if job == Job::Setup { Stage::Setup } else { Stage::Forked };
        if self.ordered {
            return self.stop_process(pid, now, u8::MAX, now);
        }
        self.state = State::Starting { pid, since: now, give_up };
        None
    }

    pub(super) fn spawn_failed(&mut self, fault: Fault, now: Moment, dice: u32) -> Option<Action> {
        if self.state == State::Ending {
            return self.conclude(now, dice);
        }
        if !matches!(self.state, State::Waiting | State::Listening) {
            return None;
        }
        self.fault = Some(fault);
        self.ordered = false;
        // Its sockets are opened before anything of it runs.
        let is_setup = self.job() == Job::Setup && !matches!(fault.step, Step::Listen(_));
        let strike = is_setup.then_some(Strike::Setup);
        self.died(None, Duration::ZERO, strike, now);
        match self.stage {
            // What was set up is to be taken down again.
            Stage::Prepared => self.wind_up(now, dice),
            Stage::Fresh | Stage::Setup | Stage::Forked | Stage::Running | Stage::Finish => {
                self.conclude(now, dice)
            }
        }
    }

    pub(super) fn executed(&mut self) -> Option<Action> {
        let State::Starting { pid, since, .. } = self.state else { return None };
        if self.stage == Stage::Forked {
            self.starts = self.starts.saturating_add(1);
            self.stage = Stage::Running;
            let policy = &self.definition.policy;
            self.state = match policy.care.ready {
                // A daemon is up when it has left its parent.
                Ready::Exec if policy.kind == Kind::Forking => self.state,
                Ready::Exec => State::Up { pid, since },
                // Others tell.
                Ready::Notify | Ready::Descriptor(_) | Ready::Port(_) | Ready::Command => {
                    self.state
                }
                Ready::Uptime => {
                    State::Starting { pid, since, give_up: since.after(policy.min_uptime) }
                }
            };
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
        let (group, since) = self.state.run()?;
        let is_starting = matches!(self.state, State::Starting { .. });
        let is_done = is_starting && exit == Exit::Code(0) && self.fault.is_none();
        let strike = match self.stage {
            Stage::Setup => Some(Strike::Setup),
            Stage::Running if is_starting => Some(Strike::Unready),
            Stage::Fresh | Stage::Prepared | Stage::Forked | Stage::Running | Stage::Finish => None,
        };
        match self.stage {
            Stage::Setup if is_done => self.stage = Stage::Prepared,
            // Nobody judges a finish, and the service did not die of it.
            Stage::Finish => self.fault = None,
            Stage::Fresh | Stage::Setup | Stage::Prepared | Stage::Forked | Stage::Running => {
                self.died(Some(exit), now.since(since), strike, now);
            }
        }
        match (left, self.state) {
            (false, _) => self.ended(now, dice),
            // The rest has had the same signal, and the same time to obey.
            (true, State::Stopping { step, next_at, .. }) => {
                self.state = State::Clearing { group, step, next_at };
                None
            }
            // There is nothing to announce: it is dead.
            (true, _) => self.stop_rest(group, self.definition.policy.first_signal(), now),
        }
    }

    fn died(&mut self, exit: Option<Exit>, ran: Duration, strike: Option<Strike>, now: Moment) {
        let (fault, ordered) = (self.fault.take(), self.ordered);
        let strike = strike.filter(|_| !ordered);
        self.remember(Death { exit, fault, ran, at: now, strike, ordered });
    }

    /// Nothing of what ran last does any more: what next?
    pub(super) fn ended(&mut self, now: Moment, dice: u32) -> Option<Action> {
        match self.stage {
            // Found by a new going that knows of no run, so there is none to judge.
            Stage::Fresh if self.is_wanted() => {
                (self.state, self.ordered) = (self.poised(), false);
                return None;
            }
            Stage::Prepared if self.is_wanted() && !self.ordered => {
                self.state = State::Waiting;
                return None;
            }
            Stage::Setup | Stage::Forked | Stage::Running => {
                let ordered = self.ordered;
                if let Some(death) = self.last_mut() {
                    death.ordered = ordered;
                    death.strike = death.strike.filter(|_| !ordered);
                }
                return self.wind_up(now, dice);
            }
            Stage::Prepared => return self.wind_up(now, dice),
            Stage::Fresh | Stage::Finish => {}
        }
        self.conclude(now, dice)
    }

    /// After a run, and before what follows from it: its finish, if it has one.
    pub(super) fn wind_up(&mut self, now: Moment, dice: u32) -> Option<Action> {
        if self.definition.policy.care.finish {
            self.state = State::Ending;
            return None;
        }
        self.conclude(now, dice)
    }

    /// All of a run is over: what next?
    fn conclude(&mut self, now: Moment, dice: u32) -> Option<Action> {
        self.stage = Stage::Fresh;
        let ordered = std::mem::take(&mut self.ordered);
        if !self.is_wanted() {
            return self.rest();
        }
        if ordered {
            return self.renew();
        }
        self.state = self.judge(now, dice);
        None
    }
}

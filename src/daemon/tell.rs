//! What people read: a line for each change, from before and after. The first
//! words are those of the original going, for the scripts that look for them;
//! what ours knows beyond that follows in parentheses.

use std::time::Duration;

use super::report::{Level, Reporter, report};
use super::{Daemon, spawn, sys};
use crate::config::care::show_condition;
use crate::config::parse::line_of;
use crate::config::words::show_duration;
use crate::config::{Burst, Restart, Signal, Spec, Whom};
use crate::supervise::{
    Action, Death, Exit, Fault, Moment, Outcome, Pid, Service, Stage, State, Step, Strike,
};

impl Daemon {
    /// Reports what changed.
    pub(super) fn tell(&mut self, outcome: &Outcome) {
        let Some(service) = self.supervisor.get(outcome.slot) else { return };
        let name = &service.name;
        let is_prepared = service.stage == Stage::Prepared;
        let is_end = outcome.before.is_alive() && !outcome.after.is_alive() && !is_prepared;
        // Its death was told long before somebody of it was found.
        let was_found = is_end && self.rest.forget_found(outcome.slot);
        let is_death = is_end && !was_found;
        let death = service.last().filter(|_| is_death);
        // To wait for one's turn is nothing to tell, but what led to it may be.
        let is_silent = matches!(outcome.after, State::Waiting | State::Finishing { .. });
        let is_change = !outcome.before.is_like(&outcome.after);
        if is_change && (death.is_some() || !is_silent) {
            self.events_ring.change(self.now, name, (outcome.before, outcome.after), death);
        }
        let fault = service.last().and_then(|death| death.fault);
        let is_unmet = matches!(outcome.after, State::Unmet { .. });
        let spec = (fault.is_some() || is_unmet).then(|| self.spec(outcome.slot)).flatten();
        let spec = spec.unwrap_or_default();
        let reporter = &mut self.reporter;
        if was_found {
            report!(reporter, Level::Info, "{name}: what it left behind is gone");
        }
        if outcome.action == Some(Action::Forget) {
            if !was_found {
                tell_end(reporter, service, outcome.before);
            }
            report!(reporter, Level::Info, "{name}: removed");
            return;
        }
        if outcome.before == outcome.after {
            return;
        }
        match outcome.after {
            State::Starting { .. }
            | State::Up { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Unmet { .. } => tell_course(reporter, service, outcome.after, &spec),
            State::Waiting if is_prepared => report!(reporter, Level::Debug, "{name}: set up"),
            State::Stopping { .. } | State::Clearing { .. } => {
                tell_signal(reporter, service, outcome, self.now);
            }
            State::Waiting | State::Down if was_found => {}
            State::Waiting | State::Down => tell_end(reporter, service, outcome.before),
            State::Listening => tell_listening(reporter, service, is_death),
            State::Quarantined { .. } | State::Done | State::Failed => {
                if let Some(fault) = fault.filter(|fault| fault.step != Step::Fork) {
                    tell_fault(reporter, service, fault, &spec);
                }
                tell_verdict(reporter, service, outcome.after, self.now);
            }
        }
    }
}

/// How far it has come on its way up, or down.
fn tell_course(reporter: &mut Reporter, service: &Service, state: State, spec: &Spec) {
    let name = &service.name;
    match state {
        State::Starting { pid, .. } if service.stage == Stage::Setup => {
            report!(reporter, Level::Info, "{name}: setting up (pid {})", pid.0);
        }
        State::Starting { pid, .. } if service.stage == Stage::Running => {
            report!(reporter, Level::Debug, "{name}: runs, but is not ready (pid {})", pid.0);
        }
        State::Starting { pid, .. } => {
            report!(reporter, Level::Debug, "{name}: forked (pid {})", pid.0);
        }
        State::Up { pid, .. } => report!(reporter, Level::Info, "{name}: started (pid {})", pid.0),
        State::Unmet { which } => {
            let which = spec.conditions.get(usize::from(which)).map(show_condition);
            let which = which.unwrap_or_default();
            report!(reporter, Level::Info, "{name}: not started ({which} is not met)");
        }
        State::Ending => report!(reporter, Level::Debug, "{name}: ended, its finish is next"),
        State::Finishing { pid, .. } => {
            report!(reporter, Level::Debug, "{name}: finishing (pid {})", pid.0);
        }
        State::Down
        | State::Waiting
        | State::Listening
        | State::Stopping { .. }
        | State::Clearing { .. }
        | State::Quarantined { .. }
        | State::Done
        | State::Failed => {}
    }
}

impl Daemon {
    /// Says in the service's log how a run ended.
    pub(super) fn mark_change(&mut self, outcome: &Outcome) {
        let Some(service) = self.supervisor.get(outcome.slot) else { return };
        let has_ended = outcome.has_died && outcome.before.pid().is_some();
        let Some(death) = service.last().filter(|_| has_ended) else { return };
        let what = if death.strike == Some(Strike::Setup) { "setup: " } else { "" };
        let ran = show_duration(round(death.ran));
        let text = match death.exit {
            // While there was no going, or none whose child it was.
            Some(Exit::Unknown) => format!("{what}ended unseen, after {ran} at most"),
            _ => format!("{what}{} after {ran}", how(Some(death))),
        };
        self.mark(outcome.slot, &text);
    }

    /// A service runs without something that it was to have if possible.
    pub(super) fn tell_lack(&mut self, pid: Pid, fault: Fault) {
        let Some(slot) = self.supervisor.find_pid(pid) else { return };
        let (Some(service), Some(spec)) = (self.supervisor.get(slot), self.spec(slot)) else {
            return;
        };
        let name = service.name.clone();
        self.report_lack(&name, fault, &spec);
    }

    /// What it does without.
    pub(super) fn report_lack(&mut self, name: &str, fault: Fault, spec: &Spec) {
        let (sentence, key) = spawn::explain(fault, spec);
        report!(self.reporter, Level::Warning, "{name}: does without ({key}): {sentence}");
    }
}

/// Hours of running are not told in milliseconds.
fn round(ran: Duration) -> Duration {
    if ran.as_secs() < 10 { ran } else { Duration::from_secs(ran.as_secs()) }
}

/// What is sent, and to whom.
fn order_of(outcome: &Outcome) -> String {
    match outcome.action {
        Some(Action::Signal { pid, signal, whom }) => {
            let whom = match whom {
                Whom::Process => "process",
                Whom::Group => "group",
                Whom::All => "all of",
                Whom::Strays => "the rest of",
            };
            format!("{signal} to {whom} {}", pid.0)
        }
        Some(Action::Spawn(_) | Action::Forget) | None => "it was told already".to_owned(),
    }
}

/// Something of the service runs on and was, or will be, told to stop.
fn tell_signal(reporter: &mut Reporter, service: &Service, outcome: &Outcome, now: Moment) {
    let name = &service.name;
    let order = order_of(outcome);
    match (outcome.before, outcome.after) {
        (State::Finishing { .. }, State::Stopping { .. }) => {
            let waited = show_duration(service.definition.policy.care.finish_timeout);
            let what = "finish is not done after";
            report!(reporter, Level::Warning, "{name}: {what} {waited}, sending {order}");
        }
        (State::Starting { .. }, State::Clearing { .. }) if service.stage == Stage::Prepared => {
            report!(reporter, Level::Info, "{name}: stopping what its setup left ({order})");
        }
        (State::Starting { .. } | State::Up { .. }, State::Clearing { group, .. }) => {
            let how = how(service.last());
            report!(
                reporter,
                Level::Warning,
                "{name}: main process {} ended ({how}), stopping what it left behind ({order})",
                group.0
            );
        }
        (
            State::Stopping { step, next_at, .. } | State::Clearing { step, next_at, .. },
            State::Stopping { step: next, .. } | State::Clearing { step: next, .. },
        ) if step != next && next_at <= now => {
            let (signal, waited) = service.sent(step);
            let waited = show_duration(waited);
            if signal == Signal(0) {
                report!(reporter, Level::Info, "{name}: stopping ({order})");
                return;
            }
            report!(
                reporter,
                Level::Warning,
                "{name}: still running {waited} after {signal}, sending {order}"
            );
        }
        _ if matches!(outcome.action, Some(Action::Signal { whom: Whom::Strays, .. })) => {
            report!(reporter, Level::Info, "{name}: stopping what left its group ({order})");
        }
        (State::Down, State::Clearing { .. }) => {
            report!(reporter, Level::Info, "{name}: stopping what it left behind ({order})");
        }
        (State::Starting { .. } | State::Up { .. }, State::Stopping { next_at, .. })
            if outcome.action.is_none() =>
        {
            let wait = show_duration(next_at.since(now));
            report!(reporter, Level::Info, "{name}: stopping, first signal in {wait} (term-delay)");
        }
        (State::Up { .. }, _) if service.is_hung() => {
            report!(reporter, Level::Warning, "{name}: hangs, sending {order}");
        }
        (State::Starting { .. } | State::Up { .. }, _) => {
            report!(reporter, Level::Info, "{name}: stopping ({order})");
        }
        _ => report!(reporter, Level::Debug, "{name}: still stopping ({order})"),
    }
}

/// The end of something that ran, if it did: ordered, or healthy.
fn tell_end(reporter: &mut Reporter, service: &Service, before: State) {
    let (name, Some(death)) = (&service.name, service.last()) else { return };
    if !before.is_alive() {
        return;
    }
    let (seconds, how) = (death.ran.as_secs(), how(service.last()));
    if death.ordered {
        report!(reporter, Level::Info, "{name}: stopped after {seconds}s ({how})");
    } else {
        report!(reporter, Level::Warning, "{name} terminated after: {seconds}s ({how})");
    }
}

/// It is up to its clients now. That it ended is nothing to warn of.
fn tell_listening(reporter: &mut Reporter, service: &Service, is_death: bool) {
    let name = &service.name;
    match service.last().filter(|_| is_death) {
        Some(death) => {
            let (seconds, how) = (death.ran.as_secs(), how(Some(death)));
            report!(
                reporter,
                Level::Info,
                "{name} terminated after: {seconds}s ({how}; listening)"
            );
        }
        None => report!(reporter, Level::Info, "{name}: listening, started on demand"),
    }
}

/// Why the program never ran, with the line of the file that says so.
fn tell_fault(reporter: &mut Reporter, service: &Service, fault: Fault, spec: &Spec) {
    let (name, text) = (&service.name, &service.definition.text);
    let Some(death) = service.last() else { return };
    let (sentence, key) = spawn::explain_death(&death, fault, spec);
    let place = match line_of(text, key) {
        0 => key.to_owned(),
        line => format!("{key}, line {line}"),
    };
    report!(reporter, Level::Error, "{sentence} ({name}: {place})");
}

/// A death nobody asked for, and what follows from it.
fn tell_verdict(reporter: &mut Reporter, service: &Service, after: State, now: Moment) {
    let (name, strikes) = (&service.name, service.strikes);
    let Some(death) = service.last() else { return };
    let fact = match death.exit {
        Some(_) if death.strike == Some(Strike::Setup) => {
            format!("{name} was not started, its setup failed after: {}s", death.ran.as_secs())
        }
        Some(_) => format!("{name} terminated after: {}s", death.ran.as_secs()),
        None => format!("{name} was not started"),
    };
    let how = how(Some(death));
    match after {
        State::Quarantined { until } => {
            tell_quarantine(reporter, service, &death, &fact, until.since(now));
        }
        State::Failed if service.definition.policy.restart == Restart::Never => {
            report!(reporter, Level::Error, "{fact} ({how}; failed, restart=never)");
        }
        State::Failed => {
            let s = if strikes == 1 { "" } else { "s" };
            report!(reporter, Level::Error, "{fact} ({how}; gave up after {strikes} strike{s})");
        }
        State::Done => report!(reporter, Level::Info, "{fact} ({how}; done)"),
        State::Down
        | State::Waiting
        | State::Listening
        | State::Starting { .. }
        | State::Up { .. }
        | State::Stopping { .. }
        | State::Clearing { .. }
        | State::Unmet { .. }
        | State::Ending
        | State::Finishing { .. } => {}
    }
}

fn tell_quarantine(
    reporter: &mut Reporter,
    service: &Service,
    death: &Death,
    fact: &str,
    wait: Duration,
) {
    let (name, policy) = (&service.name, &service.definition.policy);
    // To the nearest, so that a jitter of some per cent does not show.
    let whole = wait.saturating_add(Duration::from_millis(500)).as_secs();
    if let Some(Fault { step: Step::Fork, errno }) = death.fault {
        let why = sys::describe(errno);
        report!(
            reporter,
            Level::Error,
            "Could not fork, sleeping {whole}s ({name}: {why}; only this service waits)"
        );
        return;
    }
    let is_setup = death.strike == Some(Strike::Setup);
    let is_short = death.exit.is_some() && death.ran < policy.min_uptime && !is_setup;
    let limit = if is_short {
        format!(" (limit: {})", show_duration(policy.min_uptime))
    } else {
        String::new()
    };
    let burst = match (death.strike, policy.burst) {
        (Some(Strike::Burst), Some(Burst { count, within })) => {
            format!("; crash loop: {count} deaths within {}", show_duration(within))
        }
        (Some(Strike::Unready), _) => "; never ready".to_owned(),
        (Some(Strike::Watchdog), _) => "; watchdog".to_owned(),
        _ => String::new(),
    };
    let strike = match death.strike {
        Some(_) => format!("strike {}", service.strikes),
        None => "no strike".to_owned(),
    };
    let (how, next) = (how(Some(*death)), wait.as_millis());
    report!(
        reporter,
        Level::Warning,
        "{fact}{limit} and will be quarantined for {whole}s \
         ({how}{burst}; {strike}, next try in {}.{:03}s)",
        next / 1000,
        next % 1000
    );
}

/// How a process ended, in words.
fn how(death: Option<Death>) -> String {
    death.and_then(|death| death.exit).map_or("never ran".to_owned(), ended)
}

/// The same of any process.
pub(super) fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal { signal, core: false } => format!("killed by {signal}"),
        Exit::Signal { signal, core: true } => format!("killed by {signal}, core dumped"),
        Exit::Memory => "killed by the kernel for memory".to_owned(),
        Exit::Unknown => "exit unknown".to_owned(),
    }
}

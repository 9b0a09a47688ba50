//! Hooks: what is run when something becomes of a service. The facts are told in the
//! environment; what the hook makes of them, and whether it fails, changes nothing.

use std::fmt::Write;

use super::super::{Daemon, tasks};
use super::{Order, Purpose};
use crate::config::hooks::Hook;
use crate::protocol;
use crate::supervise::{Moment, Outcome, Service, State};

impl Daemon {
    /// Runs the hooks of a service which something has become of.
    pub(in crate::daemon) fn call_hooks(&mut self, outcome: &Outcome) {
        let Some(service) = self.supervisor.get(outcome.slot) else { return };
        let hooks = service.definition.policy.care.hooks;
        if hooks == [false; 3] {
            return;
        }
        for hook in Hook::ALL {
            if !hook.is_in(hooks) || !has_happened(hook, outcome) {
                continue;
            }
            let Some(service) = self.supervisor.get(outcome.slot) else { return };
            let facts = facts(hook, service, outcome, self.now);
            let order = Order::new(Purpose::Hook(hook), service, facts);
            self.send_errand(order);
        }
    }
}

/// Whether this is what a hook is for.
fn has_happened(hook: Hook, outcome: &Outcome) -> bool {
    let Outcome { before, after, .. } = outcome;
    let [before_word, after_word] = [before, after].map(protocol::State::of);
    match hook {
        Hook::Quarantine => matches!(after, State::Quarantined { .. }) && before != after,
        Hook::Failed => *after == State::Failed && before != after,
        Hook::Change => before_word != after_word,
    }
}

/// What the hook is told, a variable a line.
fn facts(hook: Hook, service: &Service, outcome: &Outcome, now: Moment) -> String {
    let Outcome { before, after, .. } = outcome;
    let [from, to] = [before, after].map(|it| protocol::State::of(it).word());
    let event = hook.key().trim_start_matches("on-");
    let strikes = service.strikes;
    let mut facts = String::new();
    // Writing into a string cannot fail.
    let _ = write!(
        facts,
        "GOING_EVENT={event}\nGOING_FROM={from}\nGOING_TO={to}\nGOING_STRIKES={strikes}\n"
    );
    match after.run() {
        // How an earlier run ended is not what this is about.
        Some((pid, since)) => {
            let uptime = now.since(since).as_secs();
            let _ = write!(facts, "GOING_PID={}\nGOING_UPTIME={uptime}\n", pid.0);
        }
        None => tasks::put_death(&mut facts, service),
    }
    if let State::Quarantined { until } = after {
        let _ = writeln!(facts, "GOING_NEXT_TRY={}", until.since(now).as_millis().div_ceil(1000));
    }
    facts
}

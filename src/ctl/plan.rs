//! When a service that keeps dying is tried again, told in advance. The core
//! itself is asked, by playing such a life to it: a plan of our own would be a
//! second opinion.

use std::time::Duration;

use crate::client::say::{count, span};
use crate::config::care::HeldCare;
use crate::config::{Kind, Policy, Restart, Spec};
use crate::supervise::{Definition, Event, Exit, Moment, Pid, Service, State};

/// As many tries are looked at, and fewer shown: by then every wait is the
/// longest there is, or the service was given up.
const TRIES_MAX: usize = 64;

/// How a life ends in which every run fails at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The waits between the tries.
    pub waits: Vec<Duration>,
    /// After them the service is given up.
    pub is_given_up: bool,
}

/// Plays a life in which every run fails at once.
pub fn play(policy: &Policy) -> Plan {
    // Chance is told in words: each wait is its mean.
    let policy = Policy { jitter: 0, care: HeldCare::default(), ..policy.clone() };
    let mut service = Service::new("", Definition { text: Box::default(), policy: policy.into() });
    let mut now = Moment(0);
    let mut waits = Vec::new();
    let tell = |service: &mut Service, event, now| {
        let _ = service.step(event, now, 0);
    };
    tell(&mut service, Event::Start, now);
    while waits.len() < TRIES_MAX {
        for event in [Event::Demand, Event::Go, Event::Spawned(Pid(2)), Event::Executed] {
            tell(&mut service, event, now);
        }
        // No status that any `success` would list by chance.
        let exit = Exit::Signal { signal: crate::config::Signal(64), core: false };
        tell(&mut service, Event::Exited { exit, left: false }, now);
        match service.state {
            State::Quarantined { until } => {
                waits.push(until.since(now));
                now = until;
                tell(&mut service, Event::Tick, now);
            }
            // A healthy death: with min-uptime=0s only a burst is a strike.
            State::Waiting | State::Listening => waits.push(Duration::ZERO),
            State::Down
            | State::Unmet { .. }
            | State::Ending
            | State::Finishing { .. }
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Done
            | State::Failed => return Plan { waits, is_given_up: true },
        }
    }
    Plan { waits, is_given_up: false }
}

/// What there is to know about the tries of a service, in sentences.
pub fn tell(spec: &Spec) -> String {
    let policy = &spec.policy;
    let mut text = String::new();
    let what = match policy.kind {
        Kind::Service | Kind::Forking if policy.min_uptime.is_zero() => {
            "A run that ends too often".to_owned()
        }
        Kind::Service | Kind::Forking => format!("A run shorter than {}", span(policy.min_uptime)),
        Kind::Oneshot => "A run that fails".to_owned(),
    };
    if policy.restart == Restart::Never {
        return "It is not started again, however it ends.\n".to_owned();
    }
    let plan = play(policy);
    let waits = shown(&plan.waits);
    text.push_str(&match (waits.is_empty(), plan.is_given_up) {
        (true, _) => format!("{what} is a strike, and it is given up at the first.\n"),
        (false, true) => {
            let total = plan.waits.iter().sum::<Duration>();
            let strikes = count(u64::from(policy.strikes), "strike");
            format!(
                "{what} is a strike, and it is tried again after {waits}, then given up:\n\
                 {strikes} in a row, the last one {} after the first.\n",
                span(total)
            )
        }
        (false, false) => format!(
            "{what} is a strike, and it is tried again after {waits},\n\
             for as long as it takes.\n"
        ),
    });
    if policy.jitter > 0 {
        let jitter = policy.jitter;
        text.push_str(&format!("Each of these waits is up to {jitter} % longer or shorter.\n"));
    }
    if let (Some(burst), Kind::Service | Kind::Forking) = (policy.burst, policy.kind) {
        let (deaths, within) = (burst.count, span(burst.within));
        text.push_str(&format!("{deaths} deaths within {within} of running are a strike, too.\n"));
    }
    if policy.restart == Restart::OnFailure {
        text.push_str("If it ends well, it is not started again.\n");
    }
    text
}

/// `1s, 2s, 4s, then every 5m`: what repeats for ever is said once.
fn shown(waits: &[Duration]) -> String {
    let Some(last) = waits.last() else { return String::new() };
    let repeats = waits.iter().rev().take_while(|wait| *wait == last).count();
    let is_endless = waits.len() == TRIES_MAX;
    let kept = if is_endless { waits.len() - repeats } else { waits.len() };
    let first: Vec<String> = waits.iter().take(kept).map(|wait| short(*wait)).collect();
    match (first.is_empty(), is_endless) {
        (_, false) => first.join(", "),
        (true, true) => format!("{} each time", short(*last)),
        (false, true) => format!("{}, then {} each time", first.join(", "), short(*last)),
    }
}

/// Waits are exact, so they are told exactly.
fn short(wait: Duration) -> String {
    crate::config::words::show_duration(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn spec(lines: &str) -> Spec {
        parse(format!("cmd=x\n{lines}").as_bytes(), &Spec::default()).unwrap()
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let plan = play(&spec("backoff=1s\nbackoff-max=5s").policy);
        let waits: Vec<u64> = plan.waits.iter().take(5).map(Duration::as_secs).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert!(!plan.is_given_up);
    }

    #[test]
    fn default_file_is_tried_for_ever() {
        assert_eq!(
            tell(&spec("")),
            "A run shorter than 5s is a strike, and it is tried again after 1s, 2s, 4s, 8s, \
             16s, 32s, 1m4s, 2m8s, 4m16s, then 5m each time,\n\
             for as long as it takes.\n\
             Each of these waits is up to 10 % longer or shorter.\n\
             10 deaths within 1m of running are a strike, too.\n"
        );
    }

    #[test]
    fn strikes_bring_it_to_an_end() {
        let text = tell(&spec("strikes=4\nbackoff=500ms\njitter=0\nburst=none"));
        assert_eq!(
            text,
            "A run shorter than 5s is a strike, and it is tried again after 500ms, 1s, 2s, then \
             given up:\n4 strikes in a row, the last one 3.5s after the first.\n"
        );
        let text = tell(&spec("strikes=1"));
        assert!(
            text.starts_with("A run shorter than 5s is a strike, and it is given up at the first.")
        );
    }

    #[test]
    fn never_is_never() {
        assert_eq!(tell(&spec("restart=never")), "It is not started again, however it ends.\n");
        let text = tell(&spec("restart=on-failure\ntype=oneshot"));
        assert!(text.starts_with("A run that fails is a strike"), "{text}");
        assert!(text.ends_with("If it ends well, it is not started again.\n"), "{text}");
        assert!(!text.contains("deaths within"), "{text}");
    }

    #[test]
    fn services_without_a_least_uptime_are_held_back_by_bursts_only() {
        let plan = play(&spec("min-uptime=0s\nburst=3/1s\nbackoff=7s").policy);
        let waits: Vec<u64> = plan.waits.iter().take(4).map(Duration::as_secs).collect();
        assert_eq!(waits, [0, 0, 7, 14], "three deaths are needed, then each one is too many");
    }
}

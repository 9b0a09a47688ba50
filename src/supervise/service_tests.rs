//! One service against a clock that the test owns.

use super::*;
use crate::config::{Burst, Kind, Policy, Restart, StopStep, Success, Whom};
use crate::supervise::verdict::{forgives, quarantine};
use crate::supervise::{Exit, Job, Step, Strike};

const PID: Pid = Pid(7);

/// A service on a bench: pids are given out, time passes when told.
struct Bench {
    service: Service,
    now: Moment,
    dice: u32,
}

impl Bench {
    fn new(policy: Policy) -> Bench {
        let service = Service::new("web", Definition { text: Box::new([]), policy: policy.into() });
        let mut bench = Bench { service, now: Moment(5_000), dice: u32::MAX / 2 };
        assert_eq!(bench.tell(Event::Start), None);
        bench
    }

    fn tell(&mut self, event: Event) -> Option<Action> {
        self.service.step(event, self.now, self.dice)
    }

    fn wait(&mut self, millis: u64) -> Option<Action> {
        self.now = Moment(self.now.0 + millis);
        self.tell(Event::Tick)
    }

    fn run(&mut self) {
        assert_eq!(
            self.tell(Event::Go),
            Some(Action::Spawn(Job::Main)),
            "{:?}",
            self.service.state
        );
        assert_eq!(self.tell(Event::Spawned(PID)), None);
        assert_eq!(self.tell(Event::Executed), None);
    }

    fn die(&mut self, exit: Exit) {
        assert_eq!(self.tell(Event::Exited { exit, left: false }), None);
    }

    /// Runs for so long, then exits with status 1.
    fn crash_after(&mut self, millis: u64) {
        self.run();
        self.wait(millis);
        self.die(Exit::Code(1));
    }

    /// How long the quarantine is, in milliseconds.
    fn quarantine(&mut self) -> u64 {
        let State::Quarantined { until } = self.service.state else {
            panic!("not quarantined but {:?}", self.service.state)
        };
        until.0 - self.now.0
    }

    /// Lets the quarantine pass.
    fn sit_it_out(&mut self) -> u64 {
        let wait = self.quarantine();
        self.wait(wait - 1);
        assert!(matches!(self.service.state, State::Quarantined { .. }), "let out too soon");
        self.wait(1);
        assert_eq!(self.service.state, State::Waiting);
        wait
    }
}

fn steady() -> Policy {
    Policy { jitter: 0, burst: None, ..Policy::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn early_death_is_quarantined() {
    let mut bench = Bench::new(steady());
    bench.crash_after(4_999);
    assert_eq!(bench.quarantine(), 1_000);
    assert_eq!(bench.service.last().unwrap().strike, Some(Strike::Short));
}

#[test]
fn a_run_of_just_min_uptime_is_healthy_and_restarted_at_once() {
    let mut bench = Bench::new(steady());
    bench.crash_after(5_000);
    assert_eq!(bench.service.state, State::Waiting);
    assert_eq!(bench.service.last().unwrap().strike, None);
}

#[test]
fn quarantines_double_up_to_their_limit() {
    let mut bench = Bench::new(Policy { backoff_max: seconds(10), ..steady() });
    let waits: Vec<_> = (0..6)
        .map(|_| {
            bench.crash_after(0);
            bench.sit_it_out()
        })
        .collect();
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
}

#[test]
fn quarantines_stay_within_their_limit_for_ever() {
    let policy = Policy { backoff: seconds(1 << 40), backoff_max: seconds(1 << 41), ..steady() };
    for row in [1, 2, 31, 32, 33, 64, u32::MAX] {
        assert!(quarantine(&policy, row, u32::MAX) <= policy.backoff_max);
    }
}

#[test]
fn a_healthy_run_ends_the_row() {
    let mut bench = Bench::new(steady());
    for _ in 0..3 {
        bench.crash_after(0);
        bench.sit_it_out();
    }
    bench.crash_after(60_000);
    assert_eq!((bench.service.strikes, bench.service.row), (0, 0));
    bench.crash_after(0);
    assert_eq!(bench.quarantine(), 1_000);
}

#[test]
fn jitter_spreads_to_both_sides_and_no_further() {
    let policy = Policy { jitter: 10, ..steady() };
    assert_eq!(quarantine(&policy, 1, 0), Duration::from_millis(900));
    assert_eq!(quarantine(&policy, 1, u32::MAX), Duration::from_millis(1_100));
    let middle = quarantine(&policy, 1, u32::MAX / 2).as_millis();
    assert!((999..=1_001).contains(&middle), "{middle}");
}

#[test]
fn a_service_that_dies_every_six_seconds_is_caught_and_held_longer_each_time() {
    let burst = Some(Burst { count: 10, within: seconds(60) });
    let mut bench = Bench::new(Policy { burst, ..steady() });
    for _ in 0..9 {
        bench.crash_after(6_000);
        assert_eq!(bench.service.state, State::Waiting);
    }
    for expected in [1_000, 2_000, 4_000, 8_000, 16_000] {
        bench.crash_after(6_000);
        assert_eq!(bench.service.last().unwrap().strike, Some(Strike::Burst));
        assert_eq!(bench.sit_it_out(), expected);
    }
    bench.crash_after(30_000);
    assert_eq!(bench.service.state, State::Waiting, "nine deaths in a minute are allowed");
    assert_eq!(bench.service.row, 0);
}

#[test]
fn strikes_are_counted_until_it_is_given_up() {
    let mut bench = Bench::new(Policy { strikes: 3, ..steady() });
    bench.crash_after(0);
    bench.sit_it_out();
    bench.crash_after(0);
    bench.sit_it_out();
    bench.crash_after(0);
    assert_eq!(bench.service.state, State::Failed);
    assert_eq!(bench.tell(Event::Start), None);
    assert_eq!(bench.service.state, State::Waiting, "a start is a new chance");
    assert_eq!(bench.service.strikes, 0);
}

#[test]
fn a_fault_that_heals_is_retried_later_and_blames_nobody() {
    let mut bench = Bench::new(Policy { strikes: 1, restart: Restart::Never, ..steady() });
    for expected in [1_000, 2_000, 4_000] {
        assert_eq!(bench.tell(Event::Go), Some(Action::Spawn(Job::Main)));
        let fault = Fault { step: Step::Fork, errno: 11 };
        assert_eq!(bench.tell(Event::SpawnFailed(fault)), None);
        assert_eq!(bench.sit_it_out(), expected);
        assert_eq!(bench.service.strikes, 0);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_a_strike_with_its_reason() {
    let mut bench = Bench::new(Policy { min_uptime: Duration::ZERO, ..steady() });
    let fault = Fault { step: Step::Execute, errno: 2 };
    bench.tell(Event::Go);
    bench.tell(Event::Spawned(PID));
    bench.tell(Event::ExecFailed(fault));
    bench.die(Exit::Code(127));
    let last = bench.service.last().unwrap();
    assert_eq!((last.fault, last.strike), (Some(fault), Some(Strike::Fault)));
    assert_eq!(bench.service.starts, 0);
    bench.sit_it_out();
    bench.crash_after(0);
    assert_eq!(bench.service.last().unwrap().fault, None, "the reason of an older death");
}

#[test]
fn a_start_that_hangs_is_stopped_and_counted() {
    let mut bench = Bench::new(steady());
    bench.tell(Event::Go);
    bench.tell(Event::Spawned(PID));
    assert_eq!(bench.wait(89_999), None);
    let term = Action::Signal { pid: PID, signal: Signal(15), whom: Whom::Group };
    assert_eq!(bench.wait(1), Some(term));
    bench.die(Exit::Signal { signal: Signal(15), core: false });
    assert_eq!(bench.quarantine(), 1_000);
    assert_eq!(bench.service.last().unwrap().fault, Some(Fault::LATE));
}

#[test]
fn restart_decides_what_an_end_means() {
    let killed = Exit::Signal { signal: Signal(9), core: false };
    let cases = [
        (Restart::Always, Exit::Code(0), State::Waiting),
        (Restart::Always, Exit::Code(1), State::Waiting),
        (Restart::OnFailure, Exit::Code(0), State::Done),
        (Restart::OnFailure, Exit::Code(1), State::Waiting),
        (Restart::OnFailure, killed, State::Waiting),
        (Restart::Never, Exit::Code(0), State::Done),
        (Restart::Never, Exit::Code(1), State::Failed),
        (Restart::Never, killed, State::Failed),
    ];
    for (restart, exit, state) in cases {
        let mut bench = Bench::new(Policy { restart, ..steady() });
        bench.run();
        bench.wait(10_000);
        bench.die(exit);
        assert_eq!(bench.service.state, state, "{restart:?} {exit:?}");
    }
}

#[test]
fn success_lists_codes_and_signals() {
    let success = Box::new([Success::Code(3), Success::Signal(Signal(15))]);
    let policy = Policy { success, restart: Restart::OnFailure, ..steady() };
    let core = false;
    let cases = [
        (Exit::Code(0), false),
        (Exit::Code(3), true),
        (Exit::Code(15), false),
        (Exit::Signal { signal: Signal(15), core }, true),
        (Exit::Signal { signal: Signal(3), core }, false),
    ];
    for (exit, is_clean) in cases {
        assert_eq!(forgives(&policy, exit), is_clean, "{exit:?}");
    }
}

#[test]
fn a_oneshot_is_done_once_and_retried_until_then() {
    let mut bench = Bench::new(Policy { kind: Kind::Oneshot, ..steady() });
    bench.crash_after(60_000);
    assert_eq!(bench.service.last().unwrap().strike, Some(Strike::Work));
    bench.sit_it_out();
    bench.run();
    bench.die(Exit::Code(0));
    assert_eq!(bench.service.state, State::Done);
}

#[test]
fn stop_escalates_to_kill_and_kills_again() {
    let step = |signal, wait| StopStep { signal: Signal(signal), wait: seconds(wait) };
    let mut bench = Bench::new(Policy { stop: Box::new([step(15, 3), step(2, 2)]), ..steady() });
    let sent = |signal, whom| Some(Action::Signal { pid: PID, signal: Signal(signal), whom });
    bench.run();
    assert_eq!(bench.tell(Event::Stop), sent(15, Whom::Group));
    assert_eq!(bench.wait(2_999), None);
    assert_eq!(bench.wait(1), sent(2, Whom::Group));
    assert_eq!(bench.tell(Event::Stop), None, "a second stop must not start it over");
    assert_eq!(bench.wait(2_000), sent(9, Whom::All));
    assert_eq!(bench.wait(4_999), None);
    assert_eq!(bench.wait(1), sent(9, Whom::All));
    bench.die(Exit::Signal { signal: Signal(9), core: false });
    assert_eq!(bench.service.state, State::Down);
    assert!(bench.service.last().unwrap().ordered);
}

#[test]
fn what_is_left_behind_is_stopped_before_the_restart() {
    let mut bench = Bench::new(steady());
    bench.run();
    bench.wait(9_000);
    let exit = Exit::Code(1);
    let term = Action::Signal { pid: PID, signal: Signal(15), whom: Whom::Group };
    assert_eq!(bench.tell(Event::Exited { exit, left: true }), Some(term));
    let kill = Action::Signal { pid: PID, signal: Signal(9), whom: Whom::All };
    assert_eq!(bench.wait(10_000), Some(kill));
    assert_eq!(bench.service.state.pid(), None);
    assert_eq!(bench.tell(Event::Cleared), None);
    assert_eq!(bench.service.state, State::Waiting);
    assert_eq!(bench.service.last().unwrap().ran, seconds(9));
}

#[test]
fn what_an_ordered_stop_leaves_has_the_rest_of_its_time() {
    let mut bench = Bench::new(steady());
    bench.run();
    let _ = bench.tell(Event::Stop);
    bench.wait(4_000);
    assert_eq!(bench.tell(Event::Exited { exit: Exit::Code(0), left: true }), None);
    assert_eq!(bench.wait(5_999), None);
    assert!(matches!(bench.wait(1), Some(Action::Signal { signal: Signal::KILL, .. })));
    assert_eq!(bench.tell(Event::Cleared), None);
    assert_eq!(bench.service.state, State::Down);
}

#[test]
fn a_restart_is_a_stop_that_counts_nothing() {
    let mut bench = Bench::new(steady());
    bench.run();
    assert!(bench.tell(Event::Restart).is_some());
    assert!(matches!(bench.service.state, State::Stopping { .. }));
    bench.die(Exit::Signal { signal: Signal(15), core: false });
    assert_eq!((bench.service.state, bench.service.strikes), (State::Waiting, 0));
}

#[test]
fn a_start_during_a_stop_starts_it_when_it_is_dead() {
    let mut bench = Bench::new(steady());
    bench.run();
    let _ = bench.tell(Event::Stop);
    assert_eq!(bench.tell(Event::Start), None);
    assert!(matches!(bench.service.state, State::Stopping { .. }), "it would run twice");
    bench.die(Exit::Code(0));
    assert_eq!(bench.service.state, State::Waiting);
}

#[test]
fn a_removed_service_is_forgotten_when_it_is_dead_and_not_before() {
    let mut bench = Bench::new(steady());
    bench.run();
    assert!(bench.tell(Event::Leave(Stay::Gone)).is_some());
    let exit = Exit::Code(0);
    assert_eq!(bench.tell(Event::Exited { exit, left: false }), Some(Action::Forget));
}

#[test]
fn removing_a_quarantined_service_signals_nobody() {
    let mut bench = Bench::new(steady());
    bench.crash_after(0);
    assert_eq!(bench.tell(Event::Leave(Stay::Gone)), Some(Action::Forget));
}

#[test]
fn a_stop_ends_a_quarantine_and_nothing_starts_it_again() {
    let mut bench = Bench::new(steady());
    bench.crash_after(0);
    assert_eq!(bench.tell(Event::Stop), None);
    assert_eq!(bench.wait(1_000_000), None);
    assert_eq!(bench.service.state, State::Down);
}

#[test]
fn a_closing_going_starts_nothing() {
    let mut bench = Bench::new(steady());
    bench.run();
    let _ = bench.tell(Event::Leave(Stay::Closing));
    assert_eq!(bench.tell(Event::Start), None);
    bench.die(Exit::Code(0));
    assert_eq!(bench.service.state, State::Down);
    assert_eq!(bench.tell(Event::Restart), None);
    assert_eq!(bench.service.state, State::Down);
}

#[test]
fn time_far_away_does_not_overflow() {
    assert_eq!(Moment(u64::MAX).after(seconds(1)), Moment(u64::MAX));
    assert_eq!(Moment(5).since(Moment(6)), Duration::ZERO);
    assert_eq!(Moment(0).after(Duration::MAX), Moment(u64::MAX));
}

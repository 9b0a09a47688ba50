//! Bad health, and work that is done again and again, against a clock that the test
//! owns.

use std::time::Duration;

use super::*;
use crate::config::Policy;
use crate::config::care::HeldCare;
use crate::supervise::{Definition, Event, Exit, Pid, Stay, Strike};

const PID: Pid = Pid(7);

struct Bench {
    service: Service,
    now: Moment,
}

impl Bench {
    fn new(policy: Policy) -> Bench {
        let service = Service::new("web", Definition { text: Box::new([]), policy: policy.into() });
        let mut bench = Bench { service, now: Moment(5_000) };
        bench.tell(Event::Start);
        bench
    }

    fn tell(&mut self, event: Event) {
        let _ = self.service.step(event, self.now, 0);
    }

    fn wait(&mut self, millis: u64) {
        self.now = Moment(self.now.0 + millis);
        self.tell(Event::Tick);
    }

    fn run(&mut self, millis: u64, exit: u8) {
        assert_eq!(self.service.state, State::Waiting);
        [Event::Go, Event::Spawned(PID), Event::Executed].into_iter().for_each(|it| self.tell(it));
        self.wait(millis);
        self.tell(Event::Exited { exit: Exit::Code(exit), left: false });
    }

    /// Runs for so long, then is found ill and stopped, which takes a second.
    fn ail(&mut self, millis: u64) {
        [Event::Go, Event::Spawned(PID), Event::Executed].into_iter().for_each(|it| self.tell(it));
        self.wait(millis - 1000);
        self.tell(Event::Unhealthy);
        assert!(matches!(self.service.state, State::Stopping { .. }));
        self.wait(1000);
        self.tell(Event::Exited { exit: Exit::Code(0), left: false });
    }
}

fn plain() -> Policy {
    Policy { jitter: 0, burst: None, ..Policy::default() }
}

fn every(seconds: u64, restart: Restart) -> Policy {
    let mut care = HeldCare::default();
    care.make().minding.every = Some(Duration::from_secs(seconds));
    Policy { kind: Kind::Oneshot, restart, care, ..plain() }
}

#[test]
fn bad_health_is_a_strike_however_long_the_run_was() {
    for restart in [Restart::Always, Restart::OnFailure] {
        let mut bench = Bench::new(Policy { restart, ..plain() });
        bench.ail(100_000);
        assert!(matches!(bench.service.state, State::Quarantined { .. }));
        assert_eq!(bench.service.last().unwrap().strike, Some(Strike::Health));
        assert_eq!(bench.service.strikes, 1);
    }
    let mut bench = Bench::new(Policy { restart: Restart::Never, ..plain() });
    bench.ail(100_000);
    assert_eq!(bench.service.state, State::Failed);
}

#[test]
fn bad_health_after_a_long_good_run_begins_a_new_row() {
    let mut bench = Bench::new(Policy { strikes: 3, ..plain() });
    for (millis, strikes) in [(100_000, 1), (100_000, 2), (400_000, 1), (300_000, 2), (5_000, 3)] {
        bench.ail(millis);
        assert_eq!(bench.service.strikes, strikes, "{millis}");
        bench.wait(300_000);
    }
    assert_eq!(bench.service.state, State::Failed);
}

#[test]
fn whoever_is_told_to_stop_while_ill_is_not_blamed() {
    for event in [Event::Stop, Event::Leave(Stay::Gone), Event::Restart] {
        let mut bench = Bench::new(plain());
        [Event::Go, Event::Spawned(PID), Event::Executed].into_iter().for_each(|it| bench.tell(it));
        bench.tell(Event::Unhealthy);
        bench.tell(event);
        bench.tell(Event::Exited { exit: Exit::Code(1), left: false });
        assert_eq!(bench.service.strikes, 0, "{event:?}");
        assert!(!matches!(bench.service.state, State::Quarantined { .. }), "{event:?}");
    }
}

#[test]
fn bad_health_of_what_does_not_run_is_nothing() {
    let mut bench = Bench::new(plain());
    let before = bench.service.state;
    bench.tell(Event::Unhealthy);
    assert_eq!((bench.service.state, bench.service.fault), (before, None));
    bench.tell(Event::Go);
    bench.tell(Event::Spawned(PID));
    let before = bench.service.state;
    bench.tell(Event::Unhealthy);
    assert_eq!((bench.service.state, bench.service.fault), (before, None));
}

#[test]
fn work_is_done_again_so_long_after_it_began() {
    let mut bench = Bench::new(every(60, Restart::Always));
    bench.run(20_000, 0);
    assert_eq!(bench.service.next_run(), Some(Moment(65_000)));
    bench.wait(39_999);
    bench.tell(Event::Again);
    assert_eq!(bench.service.state, State::Done);
    bench.wait(1);
    bench.tell(Event::Again);
    // It took longer than there was time, so it is due when it is done.
    bench.run(200_000, 0);
    assert_eq!(bench.service.next_run(), Some(Moment(125_000)));
    bench.tell(Event::Again);
    bench.run(10_000, 0);
    // However many were missed, one is made up for.
    assert_eq!(bench.service.next_run(), Some(Moment(325_000)));
    bench.wait(1_000_000);
    bench.tell(Event::Again);
    bench.run(1_000, 0);
    assert_eq!(bench.service.next_run(), Some(Moment(bench.now.0 + 59_000)));
}

#[test]
fn work_that_fails_is_tried_again_or_waits_for_its_time() {
    let mut bench = Bench::new(every(60, Restart::OnFailure));
    bench.run(1_000, 3);
    assert!(matches!(bench.service.state, State::Quarantined { .. }));
    assert_eq!(bench.service.next_run(), None);
    bench.wait(1_000);
    bench.run(1_000, 0);
    assert_eq!((bench.service.state, bench.service.strikes), (State::Done, 1));
    bench.wait(60_000);
    bench.tell(Event::Again);
    assert_eq!(bench.service.strikes, 0, "done work ends the row");
    let mut bench = Bench::new(every(60, Restart::Never));
    bench.run(1_000, 3);
    assert_eq!(
        (bench.service.state, bench.service.next_run()),
        (State::Failed, Some(Moment(65_000)))
    );
    let given_up = Policy { strikes: 1, ..every(60, Restart::Always) };
    let mut bench = Bench::new(given_up);
    bench.run(1_000, 3);
    assert_eq!((bench.service.state, bench.service.next_run()), (State::Failed, None));
}

#[test]
fn what_is_stopped_or_started_meanwhile_is_not_run_twice() {
    let mut bench = Bench::new(every(60, Restart::Always));
    bench.run(1_000, 0);
    bench.tell(Event::Stop);
    assert_eq!((bench.service.state, bench.service.next_run()), (State::Down, None));
    bench.wait(100_000);
    bench.tell(Event::Again);
    assert_eq!(bench.service.state, State::Down);
    bench.tell(Event::Start);
    bench.run(1_000, 0);
    // By hand before its time: from then on it counts anew.
    bench.wait(30_000);
    bench.tell(Event::Start);
    bench.run(1_000, 0);
    assert_eq!(bench.service.next_run(), Some(Moment(bench.now.0 + 59_000)));
    bench.tell(Event::Leave(Stay::Gone));
    assert_eq!(bench.service.next_run(), None);
}

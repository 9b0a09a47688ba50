//! Many services: order, turns, deadlines, and who is who.

use std::time::Duration;

use super::*;
use crate::config::{Policy, Signal};
use crate::supervise::{Exit, Want};

const NOW: Moment = Moment(1_000);

fn definition() -> Definition {
    let policy = Policy { jitter: 0, burst: None, ..Policy::default() };
    Definition { text: Box::new([]), policy: policy.into() }
}

fn with(names: &[&str]) -> Supervisor {
    let mut supervisor = Supervisor::new(0);
    for name in names {
        supervisor.add(name, definition(), NOW);
    }
    supervisor
}

/// Gives every turn, forks with the pid that `pid` gives; the order of spawns.
fn settle(supervisor: &mut Supervisor, now: Moment, next_pid: &mut i32) -> Vec<String> {
    let mut spawned = Vec::new();
    loop {
        while let Some(outcome) = supervisor.next_outcome() {
            match outcome.action {
                Some(Action::Spawn(_)) => {
                    spawned.push(supervisor.get(outcome.slot).unwrap().name.to_string());
                    *next_pid += 1;
                    supervisor.step(outcome.slot, Event::Spawned(Pid(*next_pid)), now);
                    supervisor.step(outcome.slot, Event::Executed, now);
                }
                Some(Action::Forget) => supervisor.forget(outcome.slot),
                Some(Action::Signal { .. }) | None => {}
            }
        }
        if !supervisor.give_turn(now) {
            return spawned;
        }
    }
}

fn die(supervisor: &mut Supervisor, name: &str, now: Moment) {
    let slot = supervisor.find(name).unwrap();
    let pid = supervisor.get(slot).unwrap().state.pid().unwrap();
    assert_eq!(supervisor.find_pid(pid), Some(slot));
    supervisor.step(slot, Event::Exited { exit: Exit::Code(1), left: false }, now);
    assert_eq!(supervisor.find_pid(pid), None, "a dead pid is remembered");
}

fn until(supervisor: &Supervisor, name: &str) -> Moment {
    let service = supervisor.get(supervisor.find(name).unwrap()).unwrap();
    service.state.deadline().unwrap()
}

#[test]
fn turns_come_in_the_order_of_the_asking() {
    let mut supervisor = with(&["alpha", "beta", "gamma"]);
    assert_eq!(settle(&mut supervisor, NOW, &mut 10), ["alpha", "beta", "gamma"]);
}

#[test]
fn one_services_fate_never_moves_anothers_deadline() {
    let mut supervisor = with(&["crash", "busy"]);
    let mut pid = 10;
    settle(&mut supervisor, NOW, &mut pid);
    die(&mut supervisor, "crash", NOW);
    settle(&mut supervisor, NOW, &mut pid);
    let release = until(&supervisor, "crash");
    assert_eq!(release, NOW.after(Duration::from_secs(1)));
    for millis in (1_100..2_000).step_by(100) {
        let now = Moment(millis);
        die(&mut supervisor, "busy", now);
        supervisor.tick(now);
        let slot = supervisor.find("busy").unwrap();
        supervisor.step(slot, Event::Start, now);
        settle(&mut supervisor, now, &mut pid);
        assert_eq!(until(&supervisor, "crash"), release);
        assert_eq!(supervisor.deadline(), Some(release));
    }
    supervisor.tick(release);
    assert_eq!(settle(&mut supervisor, release, &mut pid), ["crash"]);
}

#[test]
fn nothing_to_wait_for_is_no_deadline() {
    let mut supervisor = with(&["a", "b"]);
    settle(&mut supervisor, NOW, &mut 10);
    assert_eq!(supervisor.deadline(), None, "an idle going would wake up");
}

#[test]
fn closing_stops_the_last_first_and_a_second_time_kills() {
    let mut supervisor = with(&["a", "b", "c"]);
    settle(&mut supervisor, NOW, &mut 10);
    for expected in [Signal(15), Signal(9)] {
        supervisor.close(NOW);
        let mut told = Vec::new();
        while let Some(outcome) = supervisor.next_outcome() {
            let Some(Action::Signal { signal, .. }) = outcome.action else { continue };
            assert_eq!(signal, expected);
            told.push(supervisor.get(outcome.slot).unwrap().name.to_string());
        }
        assert_eq!(told, ["c", "b", "a"]);
    }
    assert_eq!(supervisor.alive(), 3);
    for name in ["a", "b", "c"] {
        die(&mut supervisor, name, NOW);
    }
    assert_eq!(settle(&mut supervisor, NOW, &mut 20), Vec::<String>::new());
    assert_eq!(supervisor.alive(), 0);
}

#[test]
fn a_forgotten_place_is_given_to_the_next_and_nothing_is_mixed_up() {
    let mut supervisor = with(&["a", "b", "c"]);
    let mut pid = 10;
    settle(&mut supervisor, NOW, &mut pid);
    let b = supervisor.find("b").unwrap();
    supervisor.step(b, Event::Leave(Stay::Gone), NOW);
    die(&mut supervisor, "b", NOW);
    settle(&mut supervisor, NOW, &mut pid);
    assert_eq!(supervisor.find("b"), None);
    supervisor.add("aa", definition(), NOW);
    settle(&mut supervisor, NOW, &mut pid);
    let names: Vec<_> = supervisor.services().map(|(_, it)| it.name.to_string()).collect();
    assert_eq!(names, ["a", "aa", "c"]);
    for name in names {
        let slot = supervisor.find(&name).unwrap();
        assert_eq!(*supervisor.get(slot).unwrap().name, *name);
    }
}

#[test]
fn a_service_stopped_before_its_turn_is_not_spawned() {
    let mut supervisor = with(&["a", "b"]);
    let a = supervisor.find("a").unwrap();
    supervisor.step(a, Event::Stop, NOW);
    assert_eq!(settle(&mut supervisor, NOW, &mut 10), ["b"]);
    assert_eq!(supervisor.get(a).unwrap().want, Want::Down);
}

#[test]
fn a_service_asked_for_twice_has_one_process() {
    let mut supervisor = with(&["a"]);
    let a = supervisor.find("a").unwrap();
    supervisor.step(a, Event::Stop, NOW);
    supervisor.step(a, Event::Start, NOW);
    supervisor.step(a, Event::Start, NOW);
    assert_eq!(settle(&mut supervisor, NOW, &mut 10), ["a"]);
}

#[test]
fn a_name_known_already_is_not_taken_up_again() {
    let mut supervisor = with(&["a"]);
    supervisor.add("a", definition(), NOW);
    assert_eq!(supervisor.services().count(), 1);
}

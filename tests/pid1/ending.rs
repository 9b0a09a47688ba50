//! The end of one service which is that of all: keys `essential`, `exit-code-from` and
//! `term-delay`, and the order in which things end.

use super::main_command;
use crate::common::{Place, Signal, is_alive, wait_until};

const SLEEP: &str = "cmd=sleep 100000\n";

/// The main command may need the others to its end.
#[test]
fn the_main_command_is_stopped_before_all_others() {
    let place = Place::new();
    place.service("db", SLEEP);
    let script = "trap 'until test -e $D/go; do sleep 0.05; done; exit 3' TERM; echo >$D/ready; \
                  while :; do sleep 0.05; done";
    let mut going = main_command(&place, &["-o", "stop=TERM 1m"], script);
    let db = going.wait_started("db");
    place.wait_text("ready");
    going.signal(Signal::SIGTERM);
    going.wait_for("sh: stopping (SIGTERM to group *)");
    assert!(is_alive(db));
    assert_eq!(going.count("db: stopping*"), 0);
    place.write("go", "");
    going.wait_for("sh: stopped after * (exit status 3)");
    going.wait_for("sh: has ended, stopping * services");
    going.wait_for("db: stopping (SIGTERM to group *)");
    assert_eq!(going.wait_exit(), 3);
    assert!(!is_alive(db));
}

#[test]
fn a_second_order_kills_the_main_command_and_all_others() {
    let place = Place::new();
    place.service("db", &place.logged("db", "trap '' TERM; while :; do sleep 0.05; done"));
    let script = "trap '' TERM; echo >$D/ready; while :; do sleep 0.05; done";
    let mut going = main_command(&place, &["-o", "stop=TERM 1h"], script);
    let db = place.wait_starts("db", 1);
    place.wait_text("ready");
    going.signal(Signal::SIGTERM);
    going.wait_for("sh: stopping (SIGTERM to group *)");
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM again: killing * services");
    assert_eq!(going.wait_exit(), 137);
    assert!(!is_alive(db));
}

#[test]
fn services_run_beside_the_main_command_and_end_with_it() {
    let place = Place::new();
    place.service("db", SLEEP);
    let mut going = main_command(&place, &[], "until test -e $D/go; do sleep 0.05; done; exit 2");
    let db = going.wait_started("db");
    place.service("late", SLEEP);
    let late = going.wait_started("late");
    // One of its own name cannot be told from it, and is none.
    place.service("sh", SLEEP);
    going.wait_for("*/going.d/sh: the main command has this name");
    place.write("go", "");
    assert_eq!(going.wait_exit(), 2);
    assert!(!is_alive(db) && !is_alive(late));
}

/// An init that can also restart: its keys are given by -o.
#[test]
fn a_main_command_can_be_restarted() {
    let place = Place::new();
    let options = ["-o", "restart=on-failure", "-o", "backoff=10ms"];
    let script = "echo $$ >>$D/main.pids; test $(wc -l <$D/main.pids) -ge 3";
    let mut going = main_command(&place, &options, script);
    assert_eq!(going.wait_exit(), 0);
    assert_eq!(place.starts("main").len(), 3);
}

#[test]
fn the_end_of_an_essential_service_is_that_of_all() {
    let place = Place::new();
    place.service("other", SLEEP);
    place.service("app", "cmd=sh -c 'exit 9'\nrestart=never\nessential=yes\n");
    let mut going = place.start(&[]);
    going.wait_for("app: has ended, stopping * services");
    going.wait_for("other: stopping*");
    assert_eq!(going.wait_exit(), 9);
}

#[test]
fn an_essential_service_may_fail_as_long_as_it_is_not_given_up() {
    let place = Place::new();
    let app = place.logged("app", "exit 9");
    let keys = "strikes=3\nbackoff=10ms\nessential=yes\nexit-code-from=other\n";
    place.service("app", &(app + keys));
    place.service("other", "cmd=sh -c 'trap \"exit 12\" TERM; while :; do sleep 0.05; done'\n");
    // No essential one, so nobody cares.
    place.service("plain", "cmd=sh -c 'exit 3'\nrestart=never\n");
    let mut going = place.start(&[]);
    going.wait_for("app: has ended*");
    assert_eq!(going.wait_exit(), 12);
    assert_eq!(place.starts("app").len(), 3);
}

/// By hand it can be stopped and started as any other.
#[test]
fn a_status_is_taken_from_whom_it_was_asked() {
    let place = Place::new();
    place.service("app", "cmd=sh -c 'trap \"exit 12\" TERM; while :; do sleep 0.05; done'\n");
    let mut going = place.start(&["-o", "exit-code-from=app"]);
    going.wait_started("app");
    wait_until("the trap", || crate::common::children(going.pid).len() == 1);
    going.signal(Signal::SIGTERM);
    let status = going.wait_exit();
    // It may have been told before it could set its trap.
    assert!([12, 143].contains(&status), "{status}");
}

#[test]
fn a_stop_can_be_announced_before_the_first_signal() {
    let place = Place::new();
    place.service("web", "cmd=sleep 100000\nterm-delay=300ms\n");
    place.service("slow", "cmd=sleep 100000\nterm-delay=1h\n");
    let mut going = place.start(&[]);
    let [web, slow] = going.wait_all_started(["web", "slow"]);
    place.remove("web");
    going.wait_for("web: stopping, first signal in 300ms (term-delay)");
    going.wait_for("web: stopping (SIGTERM to group *)");
    going.wait_for("web: removed");
    assert!(!is_alive(web));
    place.remove("slow");
    going.wait_for("slow: stopping, first signal in 1h (term-delay)");
    // What is to be killed is not waited for.
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: stopping * services");
    assert!(is_alive(slow));
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    assert!(!is_alive(slow));
}

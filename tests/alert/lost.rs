//! No message is lost, whoever dies, and none is told twice.

use std::fs;

use crate::bench::{PROGRAM, Teller, noting, place, target, told, value, waiting};
use crate::common::{Signal, run, send, wait_until};

#[test]
fn what_happened_while_it_was_dead_is_told_when_it_is_back() {
    let place = place();
    target(&place, "ops", &noting(&place, "ops", ""));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let mut pid = going.wait_started("web");
    let teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    pid = going.wait_started("web");
    wait_until("the first is told", || told(&place, "ops").len() == 1);
    // Killed before it knows that, it would have to tell it once more.
    wait_until("it knows that", || waiting(&place, "ops") == 0);
    teller.kill();
    for _ in 0..3 {
        send(pid, Signal::SIGKILL);
        pid = going.wait_started("web");
    }
    let teller = Teller::start(&place);
    wait_until("the others are told", || told(&place, "ops").len() == 4);
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    teller.kill();
    let _teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    wait_until("one more is told", || told(&place, "ops").len() >= 5);
    let mut pids: Vec<String> =
        told(&place, "ops").iter().map(|it| value(it, "GOING_PID").to_owned()).collect();
    pids.dedup();
    assert_eq!(pids.len(), 5, "each death is told once: {pids:?}");
}

#[test]
fn a_new_going_is_followed_from_its_first_event_on() {
    let place = place();
    target(&place, "ops", &format!("event=ready exit\n{}", noting(&place, "ops", "")));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let teller = Teller::start(&place);
    going.signal(Signal::SIGTERM);
    going.wait_exit();
    teller.wait_for("going hung up");
    drop(going);
    place.service("db", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["db", "web"]);
    let names = || {
        let mut names: Vec<String> =
            told(&place, "ops").iter().map(|it| value(it, "GOING_SERVICE").to_owned()).collect();
        names.sort();
        names
    };
    wait_until("both are told", || names() == ["db", "web"]);
    teller.wait_for("there is a going again");
}

#[test]
fn what_cannot_be_sent_waits_on_disk_until_it_can() {
    let place = place();
    let refusing = format!("test -e {} || exit 75", place.path("go"));
    target(&place, "ops", &noting(&place, "ops", &refusing));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let teller = Teller::start(&place);
    for _ in 0..2 {
        send(going.wait_started("web"), Signal::SIGKILL);
    }
    teller.wait_for("ops: not sent: /bin/sh: exit status 75; next try in 1s");
    wait_until("both wait", || waiting(&place, "ops") == 2);
    teller.kill();
    place.write("go", "");
    let _teller = Teller::start(&place);
    wait_until("both are told", || told(&place, "ops").len() == 2);
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
}

#[test]
fn a_full_spool_loses_the_oldest_and_says_so() {
    let place = place();
    let refusing = format!("test -e {} || exit 75", place.path("go"));
    let cmd = noting(&place, "ops", &refusing);
    target(&place, "ops", &format!("spool=2\n{cmd}"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let teller = Teller::start(&place);
    let mut last = 0;
    for _ in 0..4 {
        last = going.wait_started("web");
        send(last, Signal::SIGKILL);
    }
    wait_until("two were dropped", || {
        teller.log().matches("spool is full, 1 dropped").count() == 2
    });
    place.write("go", "");
    wait_until("two are told", || told(&place, "ops").len() == 2);
    assert_eq!(value(&told(&place, "ops")[1], "GOING_PID"), last.to_string());
}

#[test]
fn two_of_them_do_not_share_a_spool() {
    let place = place();
    let teller = Teller::start_early(&place, &[]);
    teller.wait_for("no going here");
    let words = [
        PROGRAM,
        "-r",
        &place.path("run"),
        "-d",
        &place.path("alert.d"),
        "-s",
        &place.path("spool"),
    ];
    let output = run(&words);
    assert_eq!(output.status.code(), Some(75));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another going-alert uses it"), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(place.path("spool")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

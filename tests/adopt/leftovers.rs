//! What is left of a service whose main process is dead, when its going is dead, too;
//! and the logs of services over such a death.

use std::fs;

use crate::client::Client;
use crate::common::{Place, Signal, has_root, is_alive, send, stat, wait_until};
use crate::kill;

/// A service whose main process starts another one and ends when it is told to;
/// `how` starts the other, which writes its pid to `NAME.other`.
fn parent(place: &Place, name: &str, how: &str) -> String {
    let other = format!("echo $$ >{}; exec sleep 1000", place.path(&format!("{name}.other")));
    let file = format!("{name}-other.sh");
    place.write(&file, other);
    let script = format!("{how} sh {} &\nexec sleep 1000", place.path(&file));
    place.logged(name, &script) + "min-uptime=0\nburst=none\n"
}

/// Its main process.
fn main_of(place: &Place, name: &str) -> i32 {
    place.wait_starts(name, 1)
}

fn other(place: &Place, name: &str) -> i32 {
    place.wait_text(&format!("{name}.other")).trim().parse().unwrap()
}

#[test]
fn what_a_service_left_while_nobody_looked_is_stopped_before_it_starts_again() {
    let place = Place::new();
    place.service("group", &parent(&place, "group", ""));
    place.service("all", &(parent(&place, "all", "setsid") + "kill=all\n"));
    place.service("process", &(parent(&place, "process", "") + "kill=process\n"));
    let mut going = place.start(&[]);
    going.wait_all_started(["all", "group", "process"]);
    let others = ["group", "all", "process"].map(|it| other(&place, it));
    let mains = ["group", "all", "process"].map(|it| main_of(&place, it));
    kill(&mut going);
    for pid in mains {
        send(pid, Signal::SIGKILL);
        wait_until("its death", || !is_alive(pid));
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "group: main process * ended (exit unknown), stopping what it left behind (*)",
        "all: main process * ended (exit unknown), stopping what it left behind (*)",
        "took up 0 services, 3 died meanwhile",
    ]);
    going.wait_all_started(["group", "all", "process"]);
    assert!(!is_alive(others[0]) && !is_alive(others[1]), "two generations at once");
    assert!(is_alive(others[2]), "that one was not to be stopped");
    going.stop();
}

/// One that has cleaned its environment, left its session and lost its parents, all of
/// that while going was alive which is dead by now.
#[test]
fn who_names_nobody_is_known_by_its_trace() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let orphan = parent(&place, "web", "env -i setsid sh -c 'sh $1 &'");
    place.service("web", &(orphan + "kill=all\nstop=TERM 300ms KILL\ncgroup=no\n"));
    let mut going = place.start(&[]);
    let (pid, other) = (going.wait_started("web"), other(&place, "web"));
    wait_until("its parents to end", || parent_of(other) == going.pid);
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    Client::connect(&place).order(&["command=stop", "name=web"]);
    going.wait_for("web: stopped after *");
    assert!(!is_alive(pid) && !is_alive(other));
    going.stop();
}

fn parent_of(pid: i32) -> i32 {
    stat(pid).map_or(0, |it| it[1].parse().unwrap())
}

#[test]
fn what_an_adopted_service_leaves_is_stopped_too() {
    let place = Place::new();
    place.service("group", &parent(&place, "group", ""));
    place.service("all", &(parent(&place, "all", "setsid") + "kill=all\n"));
    let mut going = place.start(&[]);
    going.wait_all_started(["all", "group"]);
    let others = ["group", "all"].map(|it| other(&place, it));
    let mains = ["group", "all"].map(|it| main_of(&place, it));
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 2 services, 0 died meanwhile");
    for pid in mains {
        send(pid, Signal::SIGKILL);
    }
    going.wait_for_all(&[
        "group: main process * ended (killed by SIGKILL), stopping what it left behind (*)",
        "all: main process * ended (killed by SIGKILL), stopping what it left behind (*)",
    ]);
    going.wait_all_started(["group", "all"]);
    assert!(others.iter().all(|it| !is_alive(*it)), "two generations at once");
    going.stop();
}

/// Told to stop, killed with what it left, and the next going waits for that.
#[test]
fn a_stop_goes_on_where_it_was() {
    let place = Place::new();
    let deaf = "trap '' TERM; echo $$ >web.other; while :; do sleep 0.05; done";
    let script = format!("sh -c \"{}\" &\nexec sleep 1000", deaf.replace('$', "\\$"));
    let text = place.logged("web", &script) + "stop=TERM 4s KILL\n";
    place.service("web", &format!("{text}cwd={}\n", place.dir.display()));
    let mut going = place.start(&[]);
    going.wait_started("web");
    let other = other(&place, "web");
    let main = main_of(&place, "web");
    Client::connect(&place).order(&["command=stop", "name=web"]);
    going.wait_for("web: stopping (SIGTERM to group *)");
    wait_until("its main process to end", || !is_alive(main));
    kill(&mut going);
    assert!(is_alive(other));
    let mut going = place.start(&[]);
    going.wait_for("web: still running 4s after SIGTERM, sending SIGKILL to all of *");
    going.wait_for("web: stopped after *");
    assert!(!is_alive(other));
    going.stop();
}

/// Two goings with services of the same name: neither touches the other's.
#[test]
fn another_goings_leftovers_are_not_ours() {
    check_neighbors("setsid");
}

/// The same with those that name nobody: they are known by their trace.
#[test]
fn another_goings_leftovers_that_name_nobody_are_not_ours() {
    if has_root() {
        check_neighbors("env -i setsid");
    }
}

fn check_neighbors(how: &str) {
    let (place, neighbor) = (Place::new(), Place::new());
    for it in [&place, &neighbor] {
        it.service("web", &(parent(it, "web", how) + "kill=all\ncgroup=no\n"));
    }
    let mut both = [place.start(&[]), neighbor.start(&[])];
    for going in &mut both {
        going.wait_started("web");
    }
    let theirs = (main_of(&neighbor, "web"), other(&neighbor, "web"));
    let ours = (main_of(&place, "web"), other(&place, "web"));
    let [mut going, mut other_going] = both;
    kill(&mut going);
    kill(&mut other_going);
    send(ours.0, Signal::SIGKILL);
    wait_until("its death", || !is_alive(ours.0));
    let mut going = place.start(&[]);
    going.wait_for("took up 0 services, 1 died meanwhile");
    going.wait_started("web");
    assert!(!is_alive(ours.1));
    going.stop();
    assert!(is_alive(theirs.0) && is_alive(theirs.1), "a neighbor's process was killed");
    let mut other_going = neighbor.start(&[]);
    other_going.wait_for("took up 1 services, 0 died meanwhile");
    other_going.stop();
    assert!(!is_alive(theirs.0) && !is_alive(theirs.1));
}

/// Numbered lines, written all the time, and going killed again and again: every line
/// is in the log once, and in order.
#[test]
fn no_line_of_a_log_is_lost_over_the_death_of_going() {
    let place = Place::new();
    let script =
        "n=0\nwhile [ ! -e stop ]; do n=$((n + 1)); echo \"line $n\"; done\nexec sleep 1000";
    place.write("count.sh", script);
    let text = format!("cmd=sh {}\ncwd={}\n", place.path("count.sh"), place.dir.display());
    place.service("web", &(text + "log-timestamps=no\nlog-size=1G\n"));
    let logging = ["-o", "stdout=log"];
    let mut going = place.start(&logging);
    // The end of one is the end of all that are marked alike, so all are kept.
    let mut dead = Vec::new();
    going.wait_started("web");
    let pid = crate::main_of(&place, "web");
    for round in 1..=10 {
        let length = || fs::metadata(place.path("log/web.log")).map_or(0, |it| it.len());
        let before = length();
        wait_until("more lines", || length() > before);
        kill(&mut going);
        dead.push(std::mem::replace(&mut going, place.start(&logging)));
        going.wait_for("took up 2 services, 0 died meanwhile");
        assert_eq!(crate::main_of(&place, "web"), pid, "round {round}");
    }
    place.write("stop", "");
    let mut numbers: Vec<u64> = Vec::new();
    wait_until("the writer to stop", || crate::common::status(pid.0, "Name") == "sleep");
    going.stop();
    for line in place.read("log/web.log").lines() {
        match line.strip_prefix("line ").map(str::parse) {
            Some(Ok(number)) => numbers.push(number),
            _ => assert!(line.contains("--- "), "a torn line: {line:?}"),
        }
    }
    assert!(numbers.len() > 100, "only {} lines", numbers.len());
    let wrong = numbers.iter().zip(1_u64..).find(|(it, number)| **it != *number);
    assert_eq!(wrong, None, "of {} lines", numbers.len());
}

//! Logs over the death of going itself, of both at once, and over an upgrade.

use crate::common::*;
use crate::ctl::ctl;
use crate::reading::*;

/// A service that counts at full speed, and then stays: what a dead one left in
/// its pipe nobody could find again when both are killed.
fn counting(last: usize, more: &str) -> String {
    format!("cmd=sh -c 'seq 1 {last}; exec sleep 1000'\nlog-keep=1000\n{more}")
}

/// The pid of the going-log of this place, whoever is its parent.
fn any_logger(place: &Place) -> Option<i32> {
    let is_it = |it: &i32| strings(*it, "environ").contains(&"GOING_SERVICE=going-log".to_owned());
    place.processes().into_iter().find(|it| is_it(it) && status(*it, "Name") == "going-log")
}

/// Kills these at once: stopped first, none of them can do anything between the
/// first death and the last.
fn kill_at_once(pids: &[i32]) {
    let is_stopped = |pid: i32| stat(pid).is_none_or(|it| it[0] == "T" || it[0] == "Z");
    pids.iter().for_each(|&it| send(it, Signal::SIGSTOP));
    wait_until("them to stop", || pids.iter().all(|&it| is_stopped(it)));
    pids.iter().for_each(|&it| send(it, Signal::SIGKILL));
}

/// Kills again and again, whenever something was written, until all lines are
/// there; how often that was.
fn survive(last: usize, more: &str, with_logger: bool) -> usize {
    let place = Place::new();
    place.service("a", &counting(last, more));
    // The old ones stay where they are: their end would be that of all services.
    let mut all = vec![place.start(LOGGING)];
    let pid = all[0].wait_started("a");
    let is_done = || last_line(&place, "a") == Some(last.to_string());
    let mut kills = 0;
    loop {
        let before = bytes(&place, "a");
        wait_until("it to write", || bytes(&place, "a") != before || is_done());
        if is_done() {
            break;
        }
        let going = all.last_mut().unwrap();
        let logger = if with_logger { any_logger(&place) } else { None };
        let both: Vec<i32> = std::iter::once(going.pid).chain(logger).collect();
        kill_at_once(&both);
        assert_eq!(going.wait_exit(), -9);
        kills += 1;
        all.push(place.start(LOGGING));
    }
    assert_counts(&lines(&place, "a"), last);
    assert!(is_alive(pid), "it is the same process all the time");
    all.last_mut().unwrap().stop();
    kills
}

#[test]
fn no_line_is_lost_when_going_is_killed_again_and_again() {
    let kills = survive(1_000_000, "log-size=256K\nlog-compress=no\n", false);
    assert!(kills > 0, "{kills} kills prove nothing");
}

#[test]
fn no_line_is_lost_when_both_are_killed_in_the_same_instant() {
    let timed = survive(400_000, "log-size=256K\nlog-compress=no\n", true);
    let plain = survive(4_000_000, "log-size=0\nlog-timestamps=no\n", true);
    assert!(timed > 0 && plain > 0, "{timed} and {plain} kills prove nothing");
}

#[test]
fn no_line_is_lost_over_upgrades() {
    let place = Place::new();
    let last = 1_000_000;
    place.service("a", &counting(last, "log-size=256K\n"));
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    let is_done = || last_line(&place, "a") == Some(last.to_string());
    let mut upgrades = 0;
    while !is_done() {
        let said = ctl(&place, &["upgrade"]);
        assert_eq!(said.code, 0, "{said:?}");
        upgrades += 1;
    }
    assert_counts(&lines(&place, "a"), last);
    assert!(upgrades >= 2, "{upgrades} upgrades prove nothing");
    going.stop();
}

#[test]
fn a_service_that_listens_still_does_when_going_was_killed() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'while read x; do echo $x; done'\nstdin=pipe\n");
    let mut first = place.start(LOGGING);
    let pid = first.wait_started("a");
    kill_at_once(&[first.pid]);
    assert_eq!(first.wait_exit(), -9);
    let mut second = place.start(LOGGING);
    wait_until("an answer", || ctl(&place, &["ping"]).code == 0);
    let said = ctl(&place, &["send", "a", "still there"]);
    assert_eq!(said.code, 0, "{said:?}");
    wait_lines(&place, "a", &["still there"]);
    assert!(is_alive(pid));
    second.stop();
}

#[test]
fn what_a_killed_service_wrote_is_all_there() {
    let place = Place::new();
    let more = "backoff=1h\nbackoff-max=1h\nlog-size=0\n";
    place.service("a", &format!("cmd=seq 1 100000000\n{more}"));
    let mut going = place.start(LOGGING);
    for run in 1..=5 {
        let pid = going.wait_started("a");
        let before = bytes(&place, "a");
        wait_until("it to write", || bytes(&place, "a") > before + 100_000);
        send(pid, Signal::SIGKILL);
        going.wait_for("a terminated after*");
        let is_end = |it: &String| it.starts_with("--- killed by SIGKILL after");
        wait_until("its end", || last_line(&place, "a").as_ref().is_some_and(is_end));
        if run < 5 {
            assert_eq!(ctl(&place, &["retry", "--no-wait", "a"]).code, 0);
        }
    }
    going.stop();
    let text = text(&place, "a");
    let lines: Vec<_> = text.lines().filter_map(|it| it.split_once(' ')).map(|it| it.1).collect();
    let runs: Vec<_> = lines.split(|it| it.starts_with("--- started")).skip(1).collect();
    assert_eq!(runs.len(), 5);
    for run in runs {
        let (end, numbers) = run.split_last().unwrap();
        assert!(end.starts_with("--- killed by SIGKILL after"), "{end}");
        // The last one may be what it had not finished itself.
        let (last, whole) = numbers.split_last().unwrap();
        let whole: Vec<String> = whole.iter().map(|&it| it.to_owned()).collect();
        assert_counts(&whole, whole.len());
        assert!((whole.len() + 1).to_string().starts_with(last), "{last} after {}", whole.len());
    }
}

#[test]
fn the_end_of_a_service_that_died_while_going_was_away_is_marked_once() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo hello; exec sleep 1000'\nbackoff=1h\nbackoff-max=1h\n");
    let mut first = place.start(LOGGING);
    let pid = first.wait_started("a");
    wait_lines(&place, "a", &["hello"]);
    kill_at_once(&[first.pid, pid]);
    assert_eq!(first.wait_exit(), -9);
    wait_until("its end", || !is_alive(pid));
    let mut going = place.start(LOGGING);
    going.wait_for("took up * services, 1 died meanwhile");
    wait_until("the end in the log", || marks(&place, "a").len() == 2);
    kill_at_once(&[going.pid]);
    going.wait_exit();
    let mut going = place.start(LOGGING);
    going.wait_for("took up * services, 0 died meanwhile");
    going.stop();
    let marks = marks(&place, "a");
    assert_eq!(marks.len(), 2, "{marks:?}");
    assert!(like("--- ended unseen, after * at most", &marks[1]), "{marks:?}");
}

/// A file that cannot be used says nothing of how a log is to be kept, and it goes on
/// as it was.
#[test]
fn a_log_is_kept_as_before_while_its_file_is_broken() {
    let place = Place::new();
    let text = "cmd=sh -c 'while read x; do echo $x; done'\nstdin=pipe\nlog-timestamps=no\n";
    place.service("a", text);
    let mut first = place.start(LOGGING);
    first.wait_started("a");
    let send = |text: &str| {
        wait_until("an answer", || ctl(&place, &["send", "a", text]).code == 0);
        wait_until(text, || place.read("log/a.log").lines().any(|it| it == text));
    };
    send("one");
    place.service("a", "cmmd=oops\n");
    first.wait_for("a: new file refused, kept as it was");
    kill_at_once(&[first.pid]);
    assert_eq!(first.wait_exit(), -9);
    let mut second = place.start(LOGGING);
    second.wait_for("took up 2 services, 0 died meanwhile");
    send("two");
    place.service("a", &format!("# mended\n{text}"));
    second.wait_for("a: log-timestamps changed, applied");
    send("three");
    second.stop();
}

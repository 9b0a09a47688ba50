//! Logs, through the real going and the real going-log: what services write is
//! there, once, whole and in order, whoever dies meanwhile.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics; it may start programs"
)]

mod common;
#[path = "logs/crowd.rs"]
mod crowd;
#[path = "ctl/mod.rs"]
mod ctl;
#[path = "logs/logrotate.rs"]
mod logrotate;
#[path = "logs/reading.rs"]
mod reading;
#[path = "logs/refused.rs"]
mod refused;
#[path = "logs/survive.rs"]
mod survive;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::*;
use ctl::ctl;
use reading::*;

/// A oneshot that counts as fast as it can.
fn count(last: usize, more: &str) -> String {
    format!("cmd=seq 1 {last}\ntype=oneshot\nrestart=never\nlog-keep=1000\n{more}")
}

#[test]
fn output_and_errors_are_logged_with_their_time_and_what_became_of_the_service() {
    let place = Place::new();
    let script = "echo out; echo err >&2; exit 3";
    place.service("a", &format!("cmd=sh -c '{script}'\nbackoff=1h\nbackoff-max=1h\n"));
    let mut going = place.start(LOGGING);
    going.wait_for("a terminated after: 0s *");
    wait_lines(&place, "a", &["out", "err"]);
    wait_until("the end in the log", || marks(&place, "a").len() == 2);
    let marks = marks(&place, "a");
    assert!(like("--- started (pid *)", &marks[0]), "{marks:?}");
    assert!(like("--- exit status 3 after *", &marks[1]), "{marks:?}");
    let text = text(&place, "a");
    let time = text.lines().next().unwrap().split(' ').next().unwrap();
    assert!(like("20??-??-??T??:??:??.???Z".replace('?', "*").as_str(), time), "{time}");
    going.stop();
}

#[test]
fn the_end_is_marked_of_a_service_that_closed_its_output_before() {
    let place = Place::new();
    let script = "echo out; exec >&- 2>&-; exit 5";
    place.service("a", &format!("cmd=sh -c '{script}'\nbackoff=10ms\nbackoff-max=10ms\n"));
    let mut going = place.start(LOGGING);
    going.wait_for("a terminated*");
    going.wait_for("a terminated*");
    let is_end = |it: &&String| it.starts_with("--- exit status 5");
    wait_until("two ends", || marks(&place, "a").iter().filter(is_end).count() >= 2);
    going.stop();
    // Every run has its start before its output, and its end behind it.
    let text = text(&place, "a");
    let kinds: Vec<_> = text.lines().map(|it| it.split(' ').nth(2).unwrap_or("out")).collect();
    for run in kinds.chunks_exact(3) {
        assert_eq!(run, ["started", "out", "exit"], "{text}");
    }
}

#[test]
fn prefixes_need_no_directory() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo hello; exec sleep 1000'\nlog-prefix=yes\n");
    let (program, dir) = (program(), place.path("going.d"));
    let mut going =
        place.start_words(&[&program, "-d", &dir, "--report", "stderr", "-l", "/dev/null/x"]);
    going.wait_for("No logs, stdout=inherit is the default: /dev/null/x: *");
    wait_until("the line", || place.read("stdout").contains("a: hello\n"));
    going.stop();
}

#[test]
fn errors_can_have_a_log_of_their_own() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo out; echo err >&2; exec sleep 1000'\nstderr=log\n");
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    wait_lines(&place, "a", &["out"]);
    wait_lines(&place, "a+stderr", &["err"]);
    going.stop();
}

#[test]
fn everything_is_written_before_going_ends() {
    let place = Place::new();
    let script = "trap \"seq 1 20000; exit\" TERM; echo ready; while :; do sleep 1000 & wait; done";
    place.service("a", &format!("cmd=sh -c '{script}'\nkill=process\nlog-size=0\n"));
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    wait_lines(&place, "a", &["ready"]);
    going.stop();
    assert_counts(&lines(&place, "a")[1..], 20_000);
}

#[test]
fn what_grandchildren_write_is_logged_after_their_service_is_gone() {
    let place = Place::new();
    place.service(
        "a",
        "cmd=sh -c '(read x <go; seq 1 1000) & exit 0'\ntype=oneshot\nkill=process\ncwd=PLACE\n"
            .replace("PLACE", &place.path(""))
            .as_str(),
    );
    assert!(run(&["mkfifo", &place.path("go")]).status.success());
    let mut going = place.start(LOGGING);
    going.wait_for("a *; done)");
    fs::write(place.path("go"), "\n").unwrap();
    wait_until("all lines", || lines(&place, "a").len() == 1000);
    assert_counts(&lines(&place, "a"), 1000);
    going.stop();
}

/// Kills going-log whenever the log of `name` has grown, until the service has
/// ended; how often that was.
fn kill_loggers(place: &Place, going: &mut Going, name: &str) -> usize {
    let mut old = None;
    let mut kills = 0;
    let is_over = |going: &Going| going.count(&format!("{name} *; done)")) > 0;
    while !is_over(going) {
        let pid = wait_logger(going, old);
        let before = bytes(place, name);
        wait_until("it to write", || bytes(place, name) != before || is_over(going));
        send(pid, Signal::SIGKILL);
        old = Some(pid);
        kills += 1;
    }
    kills
}

#[test]
fn no_line_is_lost_when_the_logger_is_killed_again_and_again() {
    let place = Place::new();
    let last = 400_000;
    place.service("timed", &count(last, "log-size=256K\nlog-compress=no\n"));
    let mut going = place.start(LOGGING);
    let kills = kill_loggers(&place, &mut going, "timed");
    // What going says of the end may be lost with a logger, the output never.
    wait_until("the last line", || lines(&place, "timed").last() == Some(&last.to_string()));
    assert_counts(&lines(&place, "timed"), last);
    // More than one where there is nothing else to do for the machine.
    assert!(kills > 0);
    going.stop();
}

#[test]
fn no_line_is_lost_without_times_either() {
    let place = Place::new();
    let last = 4_000_000;
    place.service("plain", &count(last, "log-size=0\nlog-timestamps=no\n"));
    let mut going = place.start(LOGGING);
    let kills = kill_loggers(&place, &mut going, "plain");
    // What going says of the end may be lost with a logger, the output never.
    wait_until("the last line", || lines(&place, "plain").last() == Some(&last.to_string()));
    assert_counts(&lines(&place, "plain"), last);
    // More than one where there is nothing else to do for the machine.
    assert!(kills > 0);
    going.stop();
}

#[test]
fn no_line_is_lost_over_rotations_compressions_and_reopenings() {
    let place = Place::new();
    let last = 300_000;
    place.service("a", &count(last, "log-size=64K\n"));
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    while !marks_end(&place, "a") {
        let before = bytes(&place, "a");
        going.signal(Signal::SIGUSR1);
        wait_until("it to write", || bytes(&place, "a") != before || marks_end(&place, "a"));
    }
    assert_counts(&lines(&place, "a"), last);
    assert!(files(&place, "a").len() > 10);
    wait_until("all but the newest backup to be compressed", || {
        let plain = |it: &PathBuf| it.extension().is_some_and(|it| it != "gz");
        files(&place, "a").iter().filter(|it| plain(it)).count() == 2
    });
    assert_counts(&lines(&place, "a"), last);
    going.stop();
}

#[test]
fn moved_logs_are_begun_anew_when_asked_for() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo one; read x; echo $x; exec sleep 1000'\nstdin=pipe\n");
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    wait_lines(&place, "a", &["one"]);
    fs::rename(place.path("log/a.log"), place.path("moved")).unwrap();
    let said = ctl(&place, &["reopen-logs"]);
    assert_eq!(said.code, 0, "{said:?}");
    wait_until("a new file", || place.dir.join("log/a.log").exists());
    assert_eq!(ctl(&place, &["send", "a", "two", "words"]).code, 0);
    wait_lines(&place, "a", &["two words"]);
    assert!(place.read("moved").contains(" one\n"));
    going.stop();
}

#[test]
fn a_changed_log_key_applies_without_a_restart() {
    let place = Place::new();
    let file =
        |more: &str| format!("cmd=sh -c 'while read x; do echo $x; done'\nstdin=pipe\n{more}");
    place.service("a", &file(""));
    let mut going = place.start(LOGGING);
    let pid = going.wait_started("a");
    assert_eq!(ctl(&place, &["send", "a", "with"]).code, 0);
    wait_lines(&place, "a", &["with"]);
    place.service("a", &file("log-timestamps=no\n"));
    going.wait_for("a: log-timestamps changed, applied");
    assert_eq!(ctl(&place, &["send", "a", "without"]).code, 0);
    wait_until("the line", || text(&place, "a").ends_with("\nwithout\n"));
    assert!(is_alive(pid));
    going.stop();
}

#[test]
fn a_service_of_another_user_can_open_its_own_output_again() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo hello >/dev/stderr; exec sleep 1000'\nuser=nobody\n");
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    wait_lines(&place, "a", &["hello"]);
    going.stop();
}

#[test]
fn logs_belong_to_a_user_without_rights() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo hello; exec sleep 1000'\n");
    let mut going = place.start(LOGGING);
    wait_lines(&place, "a", &["hello"]);
    let pid = wait_logger(&going, None);
    assert!(status(pid, "Uid").starts_with("65534 "), "{}", status(pid, "Uid"));
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!((mode("log"), mode("log/a.log")), (0o750, 0o640));
    going.stop();
}

#[test]
fn without_a_logger_output_is_inherited_and_that_is_said() {
    let place = Place::new();
    place.service("a", "cmd=sh -c 'echo hello; exec sleep 1000'\n");
    place.service("b", "cmd=sleep 1000\nstdout=log\nbackoff=1h\nbackoff-max=1h\n");
    let copy = place.copied_program();
    let (dir, log) = (place.path("going.d"), place.path("log"));
    let mut going = place.start_words(&[&copy, "-d", &dir, "--report", "stderr", "-l", &log]);
    going.wait_for("No logs, stdout=inherit is the default: no going-log beside going");
    going.wait_for("Can't log, going-log cannot be started: * (b: stdout, line 2)");
    wait_until("the line", || place.read("stdout") == "hello\n");
    going.stop();
}

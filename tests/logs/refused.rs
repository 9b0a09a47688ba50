//! Directories that going-log may not write to any more: what is lost is counted,
//! and said where it is missing as soon as that can be.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::User;

use super::*;

/// A service that repeats what it is told, and a going-log with fewer rights.
fn repeating(more: &str) -> Option<(Place, Going, i32)> {
    if !has_root() {
        return None;
    }
    let place = Place::new();
    let script = "while read -r it; do echo \"got $it\"; echo \"$it\" >>said; done";
    let cwd = place.path("");
    place.service("a", &format!("cmd=sh -c '{script}'\nstdin=pipe\ncwd={cwd}\n{more}"));
    let mut going = place.start(LOGGING);
    let pid = going.wait_started("a");
    tell(&place, "one");
    wait_lines(&place, "a", &["got one"]);
    Some((place, going, pid))
}

fn tell(place: &Place, text: &str) {
    let said = ctl(place, &["send", "a", text]);
    assert_eq!(said.code, 0, "{said:?}");
}

/// Whether nothing is left in the pipe that a process writes to.
fn is_read(pid: i32) -> bool {
    let mut options = fs::File::options();
    let options = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let pipe = options.open(format!("/proc/{pid}/fd/1")).unwrap();
    poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0)
}

/// Makes the directory somebody's.
fn give(place: &Place, name: &str) {
    let user = User::from_name(name).unwrap().expect("a user");
    let dir = place.path("log");
    chown(&dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
}

/// Who has it.
fn owner(place: &Place) -> String {
    use std::os::unix::fs::MetadataExt;
    let uid = fs::metadata(place.path("log")).unwrap().uid();
    User::from_uid(uid.into()).unwrap().expect("a user").name
}

#[test]
fn lines_that_a_directory_does_not_take_are_counted_and_told() {
    let Some((place, mut going, pid)) = repeating("") else { return };
    let user = owner(&place);
    give(&place, "root");
    // A log that is there can still be written; another one cannot be made.
    going.signal(Signal::SIGUSR1);
    tell(&place, "two");
    wait_lines(&place, "a", &["got one", "got two"]);
    fs::rename(place.path("log/a.log"), place.path("log/a.log.1")).unwrap();
    going.signal(Signal::SIGUSR1);
    going.wait_for("going-log: a.log cannot be written: Permission denied");
    tell(&place, "three");
    tell(&place, "four");
    // Written and taken away, for going-log lets nobody wait.
    wait_until("all to be said", || place.read("said") == "one\ntwo\nthree\nfour\n");
    wait_until("it to be read", || is_read(pid));
    give(&place, &user);
    going.wait_for("going-log: a.log is written again");
    tell(&place, "five");
    wait_until("the rest", || lines(&place, "a").last().is_some_and(|it| it == "got five"));
    let marks = marks(&place, "a");
    let there = lines(&place, "a");
    assert!(!there.contains(&"got three".to_owned()), "{there:?}");
    let lost = |it: &&String| it.contains("not written: Permission denied");
    let told: u32 = marks
        .iter()
        .filter(lost)
        .map(|it| it.split(' ').nth(1).unwrap().parse::<u32>().unwrap())
        .sum();
    assert_eq!(there.len() + told as usize, 5, "{there:?} {marks:?}");
    going.stop();
}

#[test]
fn a_log_that_cannot_be_rotated_grows_and_loses_nothing() {
    let Some((place, mut going, _)) = repeating("log-size=1K\n") else { return };
    give(&place, "root");
    let long = "x".repeat(300);
    for _ in 0..10 {
        tell(&place, &long);
    }
    going.wait_for("going-log: a.log cannot be rotated, and grows: Permission denied");
    wait_until("all lines", || lines(&place, "a").len() == 11);
    assert_eq!(files(&place, "a").len(), 1);
    assert!(bytes(&place, "a") > 3000);
    going.stop();
}

#[test]
fn a_fifo_that_nobody_reads_is_told_at_once() {
    let place = Place::new();
    let fifo = place.path("fifo");
    assert!(run(&["mkfifo", &fifo]).status.success());
    let text = "cmd=sh -c 'echo hello; exec sleep 1000'\nenv=WHERE=PLACE\nstdout=file:${WHERE}/fifo\n\
                backoff=1h\nbackoff-max=1h\n";
    place.service("a", &text.replace("PLACE", place.path("").trim_end_matches('/')));
    let mut going = place.start(LOGGING);
    let why = "No such device or address, or a FIFO that nobody reads";
    going.wait_for(&format!("Can't open {fifo} for stdout: {why} (a: stdout, line 3)"));
    let mut options = fs::File::options();
    let mut reader = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&fifo).unwrap();
    assert_eq!(ctl(&place, &["retry", "a"]).code, 0);
    let pid = going.wait_started("a");
    let mut bytes = [0; 6];
    wait_until("a line", || std::io::Read::read_exact(&mut reader, &mut bytes).is_ok());
    assert_eq!(&bytes, b"hello\n");
    // The service may wait for its reader, as it would have without us.
    let flags = fs::read_to_string(format!("/proc/{pid}/fdinfo/1")).unwrap();
    let flags = flags.lines().find_map(|it| it.strip_prefix("flags:")).unwrap().trim().to_owned();
    let flags = i32::from_str_radix(&flags, 8).unwrap();
    assert_eq!(flags & OFlag::O_NONBLOCK.bits(), 0, "{flags:o}");
    assert_ne!(flags & OFlag::O_APPEND.bits(), 0, "{flags:o}");
    going.stop();
}

#[test]
fn logs_are_found_by_what_their_names_become() {
    let place = Place::new();
    let text = "cmd=sh -c 'echo hello; exec sleep 1000'\nenv=WHERE=PLACE\n\
                stdout=file:${WHERE}/${GOING_SERVICE}.out\n";
    place.service("a", &text.replace("PLACE", place.path("").trim_end_matches('/')));
    let mut going = place.start(LOGGING);
    going.wait_started("a");
    wait_until("the line", || place.read("a.out") == "hello\n");
    assert_eq!(ctl(&place, &["log", "a"]).out, "hello\n");
    place.service("b", "cmd=true\ncdw=/\n");
    going.wait_for("*b:2: unknown key*");
    let said = ctl(&place, &["log", "b"]);
    assert!(said.err.contains("its file cannot be used"), "{said:?}");
    going.stop();
}

//! State files that are not what they should be, and processes that only look as
//! if they were ours.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::process::{Child, Command};

use going::supervise::Pid;
use going::supervise::record::{BIRTH_AT, Birth, SIZE};

use crate::common::{Place, Signal, has_root, is_alive, stat, wait_until};
use crate::{exists, kill, main_of, mains};

/// A place in which a going that kept `web` was killed; nothing of it runs.
fn abandoned() -> Place {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pid = main_of(&place, "web").0;
    kill(&mut going);
    crate::common::send(pid, Signal::SIGKILL);
    wait_until("its death", || !is_alive(pid));
    place
}

/// Changes the state file in its place.
fn patch(place: &Place, bytes: &[u8], offset: usize) {
    let file = OpenOptions::new().write(true).open(place.path("run/state")).unwrap();
    file.write_all_at(bytes, offset.try_into().unwrap()).unwrap();
}

/// Starts where that file lies; it must say `why` not, and work all the same.
#[track_caller]
fn is_ignored(place: &Place, why: &str) {
    let mut going = place.start(&[]);
    going.wait_for(&format!("*/run/state{why}"));
    let pid = going.wait_started("web");
    assert_eq!(main_of(place, "web").0, pid);
    assert_eq!(going.count("took up *"), 0);
    // From now on it has one that is its own.
    let stat = fs::symlink_metadata(place.path("run/state")).unwrap();
    assert!(stat.is_file() && stat.mode() & 0o7777 == 0o600 && stat.nlink() == 1);
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    going.stop();
}

#[test]
fn files_which_are_no_state_of_ours_are_reported_and_replaced() {
    let whole = 2 * SIZE;
    let noise: Vec<u8> = (0..=250).map(|it: u8| it.wrapping_mul(31)).cycle().take(whole).collect();
    let cases: [(&[u8], &str); 4] = [
        (b"", " ignored: it is no state of going"),
        (&noise, " ignored: it is no state of going"),
        (b"going\0st\x63\0\0\0", " ignored: another version of going wrote it"),
        (b"going\0st\x02\0\0\0\0\x02\0\0more", " ignored: it is damaged"),
    ];
    for (bytes, why) in cases {
        let place = abandoned();
        let padding = vec![0; if bytes.is_empty() { 0 } else { whole - bytes.len() }];
        fs::write(place.path("run/state"), [bytes, &padding].concat()).unwrap();
        is_ignored(&place, why);
    }
}

#[test]
fn a_torn_file_costs_what_is_torn() {
    let place = abandoned();
    patch(&place, b"torn", SIZE + 100);
    is_ignored(&place, ": 1 damaged records ignored");
    // A header from another boot.
    let place = abandoned();
    let mut header = [0; SIZE];
    let file = fs::File::open(place.path("run/state")).unwrap();
    file.read_exact_at(&mut header, 0).unwrap();
    let mut other = going::supervise::record::Header::decode(&header).unwrap();
    other.boot[3] ^= 1;
    patch(&place, &other.encode(), 0);
    is_ignored(&place, " ignored: it is of another boot or container");
    // One that ends in the middle of a record.
    let place = abandoned();
    let file = OpenOptions::new().write(true).open(place.path("run/state")).unwrap();
    file.set_len((SIZE + 77).try_into().unwrap()).unwrap();
    is_ignored(&place, ": 1 damaged records ignored");
}

#[test]
fn what_is_no_regular_file_of_ours_is_neither_followed_nor_waited_for() {
    let not_ours = " ignored: it is not a file of ours that nobody else can read or write";
    type Change = fn(&Place);
    let mut cases: Vec<(Change, &str)> = vec![
        (
            |place| {
                fs::rename(place.path("run/state"), place.path("elsewhere")).unwrap();
                symlink(place.path("elsewhere"), place.path("run/state")).unwrap();
            },
            " ignored: *link*",
        ),
        (
            |place| {
                fs::remove_file(place.path("run/state")).unwrap();
                let path = place.path("run/state");
                nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            not_ours,
        ),
        (
            |place| fs::hard_link(place.path("run/state"), place.path("elsewhere")).unwrap(),
            not_ours,
        ),
        (
            |place| {
                let mode = Permissions::from_mode(0o644);
                fs::set_permissions(place.path("run/state"), mode).unwrap();
            },
            not_ours,
        ),
    ];
    if has_root() {
        cases.push((
            |place| std::os::unix::fs::chown(place.path("run/state"), Some(1), None).unwrap(),
            not_ours,
        ));
    }
    for (change, why) in cases {
        let place = abandoned();
        change(&place);
        let linked = fs::read(place.path("elsewhere")).ok();
        is_ignored(&place, why);
        assert_eq!(fs::read(place.path("elsewhere")).ok(), linked, "what it led to was changed");
    }
}

#[test]
fn without_a_place_for_a_state_file_everything_else_works() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.make_dir("run");
    place.make_dir("run/state");
    let mut going = place.start(&[]);
    going.wait_for("*/run/state ignored: it is not a file of ours*");
    going.wait_for("Can't write the state file: *; should this going be killed, *");
    going.wait_started("web");
    going.stop();
}

/// A process of nobody's.
fn stranger() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

/// The record of `web` says that it is this process.
fn claim(place: &Place, pid: i32, born: (u64, u64)) {
    let job = going::supervise::Job::Main;
    let birth = Birth { pid: Pid(pid), job, born, text: 0, values: 0, pipes: [0; 3] };
    patch(place, &birth.encode(), SIZE + BIRTH_AT);
}

#[test]
fn a_pid_that_is_anothers_by_now_is_never_touched() {
    let place = abandoned();
    let mut stranger = stranger();
    let pid = i32::try_from(stranger.id()).unwrap();
    let born: u64 = stat(pid).unwrap()[19].parse().unwrap();
    for other in [(0, born - 1), (born + 1, u64::MAX), (u64::MAX, 0)] {
        claim(&place, pid, other);
        let mut going = place.start(&[]);
        going.wait_for("took up 0 services, 1 died meanwhile");
        going.wait_started("web");
        going.signal(Signal::SIGTERM);
        going.wait_for("SIGTERM: *");
        going.signal(Signal::SIGTERM);
        assert_eq!(going.wait_exit(), 0);
        assert!(is_alive(pid), "a stranger was killed: {:?}", going.lines());
        // Again, from the beginning.
        let again = abandoned();
        fs::rename(again.path("run/state"), place.path("run/state")).unwrap();
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Two records that claim one process: it is adopted once.
#[test]
fn no_process_is_two_services() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [a, b] = going.wait_all_started(["a", "b"]);
    kill(&mut going);
    let mut record = [0; SIZE];
    let file = fs::File::open(place.path("run/state")).unwrap();
    file.read_exact_at(&mut record, SIZE.try_into().unwrap()).unwrap();
    assert_eq!(Birth::decode(&record).unwrap().pid.0, a);
    patch(&place, &record[BIRTH_AT..], 2 * SIZE + BIRTH_AT);
    let mut going = place.start(&[]);
    going.wait_for("took up *");
    let second = going.wait_started("b");
    assert_eq!(main_of(&place, "a").0, a);
    // Its record was lost, so nobody knows the old one; but it is not signalled either.
    let all: Vec<_> = mains(&place)["b"].iter().map(|it| it.0).collect();
    assert!(all.contains(&b) && all.contains(&second) && all.len() == 2, "{all:?}");
    going.stop();
    assert!(is_alive(b));
}

/// Nobody but one keeps a run directory, even if somebody removed its lock.
#[test]
fn a_going_without_its_lock_is_found_by_its_state() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    // Halted, for it would make another one at once.
    going.signal(Signal::SIGSTOP);
    fs::remove_file(place.path("run/lock")).unwrap();
    let mut second = place.start(&[]);
    second.wait_for(&format!("Still running as pid {}, though without its lock", going.pid));
    assert_eq!(second.wait_exit(), 75);
    going.signal(Signal::SIGCONT);
    assert_eq!(main_of(&place, "web").0, pid);
    assert!(exists(&place, "run/control"));
    going.stop();
}

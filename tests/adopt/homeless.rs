//! The run directory removed while going works, all of it or a part: it is made anew,
//! so that nobody starts everything twice.

use std::fs;

use crate::client::Client;
use crate::common::{Going, Place, Signal, program, run, send, wait_until};
use crate::{exists, kill, mains};

const LOGGED: &str = "cmd=sh -c 'while read -r it; do echo $it; done'\nstdin=pipe\nstdout=log\n";

/// The one that was killed, whose end would be that of all that is marked alike, and
/// the next one.
struct Both(Going, Going);

/// All that a run directory is for works.
fn assert_all_works(place: &Place, mut going: Going) -> Both {
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let words = [&program(), "-d", &confdir, "-r", &rundir, "--report", "stderr"];
    assert_eq!(run(&words).status.code(), Some(75), "a second one starts");
    let mut client = Client::connect(place);
    client.wait_state("web", "up");
    client.wait_state("going-log", "up");
    client.order(&["command=send", "name=says", "text=hello"]);
    let mut before = mains(place);
    wait_until("the line in its log", || place.read("log/says.log").contains("hello"));
    kill(&mut going);
    let mut next = place.start(&[]);
    next.wait_for("took up 3 services, 0 died meanwhile");
    let mut after = mains(place);
    before.remove("going-log");
    after.remove("going-log");
    assert_eq!(after, before);
    let mut client = Client::connect(place);
    client.order(&["command=send", "name=says", "text=again"]);
    wait_until("the line in its log", || place.read("log/says.log").contains("again"));
    Both(going, next)
}

/// Waits until everything is there again.
fn wait_for_parts(place: &Place) {
    for part in ["lock", "control", "state", "log", "log-journal"] {
        wait_until(part, || exists(place, &format!("run/{part}")));
    }
}

fn start() -> (Place, Going) {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.service("says", LOGGED);
    let mut going = place.start(&[]);
    going.wait_all_started(["going-log", "says", "web"]);
    Client::connect(&place).wait_state("says", "up");
    (place, going)
}

#[test]
fn a_run_directory_that_is_removed_is_made_anew() {
    let (place, mut going) = start();
    // File by file, and made anew meanwhile, it may not be empty at the end.
    wait_until("it to be gone", || fs::remove_dir_all(place.path("run")).is_ok());
    going.wait_for("*/run was removed, or some of it; made anew");
    wait_for_parts(&place);
    let Both(_dead, mut next) = assert_all_works(&place, going);
    // Moved away it is not where anybody would look for it either.
    fs::rename(place.path("run"), place.path("elsewhere")).unwrap();
    next.wait_for("*/run was removed, or some of it; made anew");
    wait_for_parts(&place);
    assert_all_works(&place, next).1.stop();
}

#[test]
fn each_part_of_it_is_made_anew() {
    let (place, mut going) = start();
    for part in ["lock", "control", "state", "log", "log-journal"] {
        fs::remove_file(place.path(&format!("run/{part}"))).unwrap();
        going.wait_for("*/run was removed, or some of it; made anew");
        wait_for_parts(&place);
    }
    assert_all_works(&place, going).1.stop();
}

/// Not before there is a place for it, and nothing but that waits.
#[test]
fn it_is_made_when_it_can_be() {
    let place = Place::new();
    place.make_dir("deep");
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    let (rundir, confdir) = (place.path("deep/run"), place.path("going.d"));
    let words = [&program(), "-d", &confdir, "-r", &rundir, "--report", "stderr"];
    let mut going = place.start_plainly(&[&words[..], &["-o", "stdout=inherit"]].concat());
    let pid = going.wait_started("web");
    // File by file, and made anew meanwhile, it may not be empty at the end.
    wait_until("it to be gone", || fs::remove_dir_all(place.path("deep")).is_ok());
    going.wait_for("*/run was removed, and can't be made: No such file or directory");
    send(pid, Signal::SIGKILL);
    going.wait_started("web");
    place.make_dir("deep");
    going.wait_for("*/run was removed, or some of it; made anew");
    for name in ["control", "state"] {
        wait_until(name, || exists(&place, &format!("deep/run/{name}")));
    }
    // Told once, or once more if it was made in between.
    assert!(going.count("*can't be made*") <= going.count("*made anew"));
    going.stop();
}

/// Somebody else was there first: both say so, and neither touches the other's.
#[test]
fn one_that_is_anothers_by_now_is_left_to_it() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    going.signal(Signal::SIGSTOP);
    fs::remove_dir_all(place.path("run")).unwrap();
    let mut second = place.start(&[]);
    second.wait_started("web");
    wait_until("its state file", || exists(&place, "run/state"));
    going.signal(Signal::SIGCONT);
    let pid = second.pid;
    going.wait_for(&format!("*can't be made: by now it is that of pid {pid}; stop one of us"));
    Client::connect(&place).order(&["command=ping"]);
    assert_eq!(place.read("run/lock"), format!("{pid}\n"));
    going.stop();
    assert!(exists(&place, "run/control"), "the socket of the other one was removed");
    assert!(exists(&place, "run/state"), "the state of the other one was removed");
    second.stop();
}

/// While no file is of any use, only the state file knows of what each was made, were it
/// made anew itself.
#[test]
fn what_each_was_made_of_is_known_through_any_number_of_deaths() {
    let place = Place::new();
    let held = place.logged("held", "exit 3") + "backoff=10h\nbackoff-max=10h\n";
    let write = |is_good: bool| {
        for (name, text) in [("web", "cmd=sleep 1000\n"), ("held", &held)] {
            place.service(name, if is_good { text } else { "cmmd=sleep\n" });
        }
    };
    write(true);
    let mut going = place.start(&[]);
    going.wait_started("web");
    Client::connect(&place).wait_state("held", "quarantined");
    let before = mains(&place);
    let assert_same = |client: &mut Client| {
        client.order(&["command=reload"]);
        client.wait_state("held", "quarantined");
        assert_eq!(mains(&place), before);
        assert_eq!(place.starts("held").len(), 1);
        let answer = client.order(&["command=status", "name=held"]);
        let left = answer[0].number("next-ms");
        assert!(left > Some(9 * 3_600_000), "it has only {left:?} ms left");
    };
    let mut dead = Vec::new();
    for is_wiped in [true, false, true] {
        kill(&mut going);
        dead.push(going);
        write(false);
        going = place.start(&[]);
        going.wait_for("took up 1 services, 0 died meanwhile");
        if is_wiped {
            fs::remove_file(place.path("run/state")).unwrap();
            going.wait_for("The state file is written again");
        }
    }
    kill(&mut going);
    write(true);
    let mut next = place.start(&[]);
    next.wait_for("took up 1 services, 0 died meanwhile");
    assert_same(&mut Client::connect(&place));
    // Put right while it is looked at, too.
    kill(&mut next);
    write(false);
    let mut last = place.start(&[]);
    last.wait_for("took up 1 services, 0 died meanwhile");
    write(true);
    last.wait_for("held: *");
    assert_same(&mut Client::connect(&place));
    last.stop();
}

//! The run directory: one going at a time, and nothing left of a dead one.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::client::{Client, ask};
use crate::common::{Place, Signal, program, run, strings, wait_until};

#[test]
fn a_second_going_leaves_the_first_alone() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let mut client = Client::connect(&place);
    client.order(&["command=ping"]);
    let before = std::fs::metadata(place.path("run/control")).unwrap().ino();
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let words = [&program(), "-d", &confdir, "-r", &rundir, "--report", "stderr"];
    let second = run(&words);
    assert_eq!(second.status.code(), Some(75));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&format!("Already running as pid {} in {rundir}", going.pid)), "{text}");
    assert_eq!(std::fs::metadata(place.path("run/control")).unwrap().ino(), before);
    assert_eq!(place.read("run/lock"), format!("{}\n", going.pid));
    assert_eq!(ask(&place, &["command=status"]).all("pid"), [pid.to_string()]);
    client.order(&["command=ping"]);
    going.stop();
    assert!(!std::fs::exists(place.path("run/control")).unwrap(), "a socket nobody answers");
}

#[test]
fn the_socket_of_a_killed_going_is_replaced() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    going.signal(Signal::SIGKILL);
    going.wait_exit();
    let stale = std::fs::metadata(place.path("run/control")).unwrap();
    assert!(stale.file_type().is_socket());
    let mut second = place.start(&[]);
    second.wait_for("took up 1 services, 0 died meanwhile");
    let reply = ask(&place, &["command=self"]);
    assert_eq!(reply.all("pid"), [second.pid.to_string()]);
    assert_eq!(place.read("run/lock"), format!("{}\n", second.pid));
    second.stop();
}

#[test]
fn everybody_may_connect_and_nobody_may_replace_the_socket() {
    let place = Place::new();
    let mut going = place.start(&[]);
    ask(&place, &["command=ping"]);
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("run/control"), 0o666);
    assert_eq!(mode("run") & 0o022, 0);
    going.stop();
}

/// What a service must not get, of all that going has open now.
#[test]
fn services_do_not_inherit_clients() {
    let place = Place::new();
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    client.order(&["command=ping"]);
    place.service("web", "cmd=sleep 1000\n");
    let pid = going.wait_started("web");
    wait_until("its program", || strings(pid, "cmdline") == ["sleep", "1000"]);
    // Its loader may still have a library open.
    let count = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    wait_until("three descriptors", || count() == 3);
    going.stop();
}

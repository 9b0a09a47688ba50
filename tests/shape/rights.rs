//! The rights of root, and how few of them a service can be left with.

use std::fs;

use super::service::{USER, start_without, telling, told};
use crate::common::{Going, Place, has, has_root, run, status, wait_comm, wait_until};

const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn sets(pid: i32) -> [u64; 5] {
    SETS.map(|set| u64::from_str_radix(&status(pid, set), 16).unwrap())
}

fn started<const N: usize>(going: &mut Going, names: [&str; N]) -> [i32; N] {
    let pids = going.wait_all_started(names);
    pids.iter().for_each(|pid| wait_comm(*pid, "sleep"));
    pids
}

#[test]
fn what_is_kept_is_all_there_is() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    for (name, keys) in [
        ("bind", format!("{USER}capabilities=net-bind-service\n")),
        ("none", format!("{USER}capabilities=none\n")),
        ("plain", USER.to_owned()),
        ("root", "capabilities=chown kill\n".to_owned()),
        ("rootless", "capabilities=none\n".to_owned()),
    ] {
        place.service(name, &format!("cmd=sleep 1000\n{keys}"));
    }
    let mut going = place.start(&[]);
    let all = sets(going.pid)[3];
    let [bind, none, plain, root, rootless] =
        started(&mut going, ["bind", "none", "plain", "root", "rootless"]);
    assert_eq!(sets(bind), [1 << 10; 5]);
    assert_eq!(sets(none), [0; 5]);
    assert_eq!(sets(plain), [0, 0, 0, all, 0]);
    assert_eq!(sets(root), [1 << 5 | 1; 5]);
    assert_eq!(sets(rootless), [0; 5]);
    assert_eq!(status(bind, "Uid"), "54395 54395 54395 54395");
    going.stop();
}

/// In a network of its own, or somebody else may have the port.
#[test]
fn a_user_listens_on_port_80_and_does_nothing_else_of_root() {
    if !has_root() || !has("busybox") {
        return;
    }
    let place = Place::new();
    let script = "kill -0 1 && echo killed; exec busybox nc -l -p 80";
    for (name, kept) in [("may", "net-bind-service"), ("cannot", "chown")] {
        let keys = format!("{USER}private=net\ncapabilities={kept}\n");
        let keys = format!("{keys}backoff=1h\nbackoff-max=1h\n");
        place.service(name, &telling(&place, name, script, &keys));
    }
    let mut going = place.start(&[]);
    let pid = going.wait_started("may");
    // 0x50 is 80, state 0A is listening (proc_pid_net(5)).
    let is_listening = || {
        ["tcp", "tcp6"].iter().any(|file| {
            let text = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
            text.lines().any(|line| line.contains(":0050 ") && line.contains(" 0A "))
        })
    };
    wait_until("somebody to listen on port 80", is_listening);
    wait_until("the end of the other one", || going.count("cannot terminated after*") > 0);
    assert!(place.read("cannot.out").to_lowercase().contains("permission denied"));
    assert!(!place.read("may.out").contains("killed"));
    going.stop();
}

#[test]
fn no_new_rights_come_from_a_program() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let id = place.path("id");
    assert!(run(&["install", "-m", "4755", "/usr/bin/id", &id]).status.success());
    for (name, keys) in [("may", ""), ("cannot", "no-new-privs=yes\n")] {
        let text = telling(&place, name, &format!("{id} -u"), &format!("{USER}{keys}"));
        place.service(name, &text);
    }
    let mut going = place.start(&[]);
    let [may, cannot] = started(&mut going, ["may", "cannot"]);
    assert_eq!((status(may, "NoNewPrivs"), status(cannot, "NoNewPrivs")), ("0".into(), "1".into()));
    assert_eq!((&*told(&place, "may"), &*told(&place, "cannot")), ("0\n", "54395\n"));
    going.stop();
}

/// The bounding set holds what a program can ever get.
#[test]
fn what_is_not_kept_does_not_come_back_by_a_program() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let cat = place.path("cat");
    assert!(run(&["install", "-m", "4755", "/usr/bin/cat", &cat]).status.success());
    let script = format!("{cat} /proc/self/status | grep CapEff");
    let keys = format!("{USER}capabilities=chown\n");
    place.service("a", &telling(&place, "a", &script, &keys));
    let mut going = place.start(&[]);
    going.wait_started("a");
    assert_eq!(told(&place, "a"), "CapEff:\t0000000000000001\n");
    going.stop();
}

#[test]
fn what_cannot_be_kept_or_dropped_keeps_it_from_running() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\ncapabilities=chown\n\n");
    place.service("b", "cmd=sleep 1000\n\ncapabilities=kill net-raw\n");
    let Some(mut going) = start_without(&place, "-net_raw") else { return };
    let line = "Can't keep capability net-raw: Operation not permitted (b: capabilities, line 3)";
    going.wait_for_all(&["a: started (pid *)", line]);
    assert_eq!(going.count("b: started*"), 0);
    going.stop();
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\ncapabilities=chown\n");
    let Some(mut going) = start_without(&place, "-setpcap") else { return };
    going.wait_for(
        "Can't drop capability dac-override: Operation not permitted (a: capabilities, line 2)",
    );
    assert_eq!(going.count("a: started*"), 0);
    going.stop();
}

/// Where root itself cannot drop them for good, no new privileges has to do.
#[test]
fn a_strict_service_gives_up_its_rights_all_the_same() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nharden=strict\n");
    let Some(mut going) = start_without(&place, "-setpcap") else { return };
    going
        .wait_for("a: does without (harden): Can't drop capability chown: Operation not permitted");
    let [pid] = started(&mut going, ["a"]);
    let [inheritable, permitted, effective, _, ambient] = sets(pid);
    assert_eq!([inheritable, permitted, effective, ambient], [0; 4]);
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    going.stop();
}

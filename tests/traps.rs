//! Traps that supervisors step into, each shut by a test. The numbers are those
//! of our list of them, T1 to T10; what is not here is said at the end.

mod common;

use std::fs;

use common::{
    Place, Signal, has, has_root, is_alive, program, run, send, stat, status, wait_comm, wait_until,
};

/// Starts others with signals ignored and blocked, among them those that we
/// live by. (A shell would let them through again.)
const DEAF: [&str; 3] =
    ["env", "--ignore-signal=HUP,PIPE,USR1,TERM,CHLD", "--block-signal=HUP,USR2,TERM,CHLD"];

/// T1: whoever starts us may have signals blocked or ignored, and execve(2)
/// keeps that.
#[test]
fn a_service_has_all_signals_at_their_defaults() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start_under(&DEAF, &[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
        assert_eq!(status(pid, field), "0".repeat(16), "{field}");
    }
    // And we ourselves are not deaf.
    place.service("b", "cmd=sleep 1000\n");
    going.signal(Signal::SIGHUP);
    going.wait_started("b");
    going.stop();
}

/// T1, whether the test above can fail: something else does see it all.
#[test]
fn signals_are_blocked_and_ignored_for_others() {
    let out = run(&[&DEAF[..], &["cat", "/proc/self/status"]].concat()).stdout;
    let text = String::from_utf8(out).unwrap();
    let mask = |field: &str| {
        let value = text.lines().find_map(|it| it.strip_prefix(field)).unwrap();
        u64::from_str_radix(value.trim(), 16).unwrap()
    };
    let bit = |signal: Signal| 1 << (signal as i32 - 1);
    assert_ne!(mask("SigBlk:") & bit(Signal::SIGUSR2), 0);
    assert_ne!(mask("SigIgn:") & bit(Signal::SIGPIPE), 0);
    assert_ne!(mask("SigIgn:") & bit(Signal::SIGCHLD), 0);
}

/// T2: a wake stands for everything that happened since the last one.
#[test]
fn what_happened_during_a_pause_is_all_seen_to() {
    let place = Place::new();
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        place.service(name, "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    }
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(names);
    for pid in pids {
        wait_comm(pid, "sleep");
    }
    going.signal(Signal::SIGSTOP);
    wait_until("a pause", || stat(going.pid).unwrap()[0] == "T");
    for pid in pids {
        send(pid, Signal::SIGKILL);
    }
    for name in ["f", "g", "h"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    place.remove("a");
    going.signal(Signal::SIGHUP);
    going.signal(Signal::SIGHUP);
    going.signal(Signal::SIGCONT);
    going.wait_for_all(&[
        "a terminated after: *s (killed by SIGKILL)",
        "b terminated after: *s (killed by SIGKILL)",
        "c terminated after: *s (killed by SIGKILL)",
        "d terminated after: *s (killed by SIGKILL)",
        "e terminated after: *s (killed by SIGKILL)",
        "f: started (pid *)",
        "g: started (pid *)",
        "h: started (pid *)",
        "a: removed",
    ]);
    for name in ["b", "c", "d", "e"] {
        wait_until("a second start", || going.count(&format!("{name}: started (pid *)")) == 2);
    }
    going.stop();
}

/// T3, T7: the first death can come before anybody listens, and a child can be
/// dead before its last words are read.
#[test]
fn two_hundred_instant_deaths_are_each_told_rightly() {
    let place = Place::new();
    place.write("plain", "not executable");
    for number in 0..200 {
        let cmd = match number % 4 {
            0 => format!("cmd=/bin/sh -c 'exit {number}'\n"),
            1 => "cmd=/bin/sh -c 'kill -KILL $$'\n".to_owned(),
            2 => format!("cmd={}\n", place.path("plain")),
            _ => format!("cmd=true\ncwd={}\n", place.path("nowhere")),
        };
        place.service(&format!("s{number:03}"), &format!("{cmd}backoff=1h\nbackoff-max=1h\n"));
    }
    let mut going = place.start(&[]);
    let plain = place.path("plain");
    let nowhere = place.path("nowhere");
    for number in 0..200 {
        let name = format!("s{number:03}");
        let line = match number % 4 {
            0 => format!("{name} terminated after: *(exit status {number}; strike 1, *)"),
            1 => format!("{name} terminated after: *(killed by SIGKILL; strike 1, *)"),
            2 => format!("Can't execute {plain}: Permission denied ({name}: cmd, line 1)"),
            _ => format!(
                "Can't change working directory to {nowhere}: No such file or directory \
                 ({name}: cwd, line 2)"
            ),
        };
        wait_until(&line, || going.count(&line) == 1);
        wait_until("its quarantine", || {
            going.count(&format!("{name} terminated after: *quarantined*")) == 1
        });
    }
    going.stop();
}

/// Whoever keeps others going and dies silently leaves nothing to mend it by.
#[test]
fn a_fault_of_our_own_is_told_with_its_place() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    going.signal(Signal::SIGSEGV);
    assert_eq!(going.wait_exit(), -(Signal::SIGSEGV as i32));
    let told = concat!("going ", env!("CARGO_PKG_VERSION"), ": died of SIGSEGV at 0x*, a bug *");
    let line = going.wait_for(told);
    let at = line.split_once("0x").and_then(|it| it.1.split_once(',')).unwrap().0;
    let size = fs::metadata(program()).unwrap().len();
    // It waited in the program, or in a libc far above it.
    let at = u64::from_str_radix(at, 16).unwrap();
    assert!(at > 0 && (at < size || at > 1 << 32), "{line}");
    // The service has seen nothing of it.
    let mut next = place.start(&[]);
    next.wait_for("took up 1 services, 0 died meanwhile");
    assert!(is_alive(pid));
    next.stop();
}

/// T4: a pid is ours only until it is reaped.
#[test]
fn a_service_that_just_died_is_not_signalled() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    going.signal(Signal::SIGSTOP);
    wait_until("a pause", || stat(going.pid).unwrap()[0] == "T");
    send(pid, Signal::SIGKILL);
    place.remove("a");
    wait_until("its death", || !is_alive(pid));
    going.signal(Signal::SIGTERM);
    going.signal(Signal::SIGCONT);
    assert_eq!(going.wait_exit(), 0);
    going.wait_for("a terminated after: *(killed by SIGKILL*");
    going.wait_for("all services stopped");
    assert_eq!(going.count("a: stopping*"), 0);
}

/// T5: a service never runs with rights it was not given.
#[test]
fn without_the_right_to_change_users_the_service_does_not_run() {
    if !has_root() || !has("setpriv") {
        return;
    }
    let place = Place::new();
    let program = place.copied_program();
    let confdir = place.path("going.d");
    let out = place.path("out");
    place.service("user", &format!("cmd=/bin/sh -c 'id >>{out}'\nuser=nobody\n"));
    place.service("group", &format!("cmd=/bin/sh -c 'id >>{out}'\ngroup=0\n"));
    place.service("groups", &format!("cmd=/bin/sh -c 'id >>{out}'\ngroups=0\n"));
    place.service("other", "cmd=sleep 1000\n");
    place.write("out", "");
    run(&["chown", "-R", "54323", &confdir, &out]);
    let mut words: Vec<_> =
        "setpriv --reuid 54323 --regid 54323 --clear-groups".split(' ').collect();
    words.extend([&program, "-d", &confdir, "--report", "stderr"]);
    let mut going = place.start_words(&words);
    going.wait_for_all(&[
        "Can't *: Operation not permitted (user: *",
        "Can't *: Operation not permitted (group: *",
        "Can't *: Operation not permitted (groups: groups, line 2)",
        "user *quarantined*",
        "group *quarantined*",
        "groups *quarantined*",
        "other: started*",
    ]);
    going.stop();
    assert_eq!(place.read("out"), "");
}

/// T6: neither a service nor going itself gathers descriptors.
#[test]
fn descriptors_do_not_leak() {
    let place = Place::new();
    place.service("often", "cmd=true\nmin-uptime=0\nburst=none\n");
    place.service("never", "cmd=/nonexistent/program\nbackoff=10ms\nbackoff-max=10ms\n");
    let mut going = place.start(&[]);
    let count = || fs::read_dir(format!("/proc/{}/fd", going.pid)).unwrap().count();
    let deaths = |count| {
        wait_until("deaths", || {
            going.count("often terminated after: *") >= count
                && going.count("never terminated after: *") >= count
        });
    };
    deaths(10);
    // Both may be between fork and exec, with a pipe each.
    let before = count();
    for round in 1..=5 {
        place.service("long", &format!("cmd=sleep 100{round}\n"));
        deaths(10 + 20 * round);
        place.remove("long");
    }
    assert!(count() <= before + 2, "{} descriptors, {before} before", count());
    let pid = {
        place.service("last", "cmd=sleep 1000\n");
        going.wait_started("last")
    };
    wait_comm(pid, "sleep");
    assert_eq!(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 3);
    going.stop();
}

/// T9: adding the longest duration there is to now must not overflow.
#[test]
fn the_longest_durations_do_no_harm() {
    let place = Place::new();
    let longest = "36500d";
    let text = format!(
        "cmd=false\nmin-uptime={longest}\nbackoff={longest}\nbackoff-max={longest}\njitter=100\n"
    );
    place.service("dying", &format!("{text}burst=1000/{longest}\n"));
    place.service("living", &format!("cmd=sleep 1000\nstop=HUP {longest} TERM {longest} KILL\n"));
    let mut going = place.start(&[]);
    going.wait_for_all(&["dying terminated after: *quarantined*", "living: started*"]);
    place.service("later", "cmd=sleep 1000\n");
    going.wait_started("later");
    going.stop();
    going.wait_for("living: stopped after *s (killed by SIGHUP)");
}

// T8, inotify and directories, has `reload.rs` to itself. T10, users of the
// static build, is in `child.rs`.

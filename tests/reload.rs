//! What follows from a change of the directory, however it comes about: by a
//! person, an editor, a package manager, a deployment, or a mishap.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use common::{
    Place, Signal, children, has_root, is_alive, run, strings, wait_comm, wait_running, wait_until,
};

#[test]
fn each_decision_is_one_line() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let first = going.wait_started("a");
    place.service("b", "cmd=sleep 1001\n");
    going.wait_for("b: added");
    going.wait_started("b");
    for (text, line) in [
        ("# a comment\ncmd=sleep 1000\n", "a: comment only, nothing"),
        ("cmd='sleep'  1000\n", "a: comment only, nothing"),
        ("cmd=sleep 1000\nstop=INT 5s KILL\n", "a: stop changed, applied"),
        (
            "cmd=sleep 1000\nbackoff=2s\ndescription=x\n",
            "a: backoff, stop, description changed, applied",
        ),
    ] {
        place.service("a", text);
        going.wait_for(line);
        assert!(is_alive(first), "{line}");
    }
    place.service("a", "cmd=sleep 1002\n");
    going.wait_for("a: cmd, backoff, description changed, restarted");
    going.wait_for("a: stopped after *s (killed by SIGTERM)");
    let second = going.wait_started("a");
    assert!(!is_alive(first));
    place.service("a", "cmd=sleep 1003\nenv=A=1\n");
    going.wait_for("a: cmd, env changed, restarted");
    assert_ne!(going.wait_started("a"), second);
    place.remove("b");
    going.wait_for("b: file gone, stopping");
    going.wait_for("b: stopping (SIGTERM to group *)");
    going.wait_for("b: stopped after *s (killed by SIGTERM)");
    going.wait_for("b: removed");
    going.stop();
    assert_eq!(going.count("a: *changed*"), 4);
    assert_eq!(going.count("a: added"), 0, "those of the start are told by their start");
}

#[test]
fn a_changed_stop_sequence_is_the_one_that_counts() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nstop=TERM 1h KILL\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    place.service("a", "cmd=sleep 1000\nstop=USR1 1h KILL\n");
    going.wait_for("a: stop changed, applied");
    place.remove("a");
    going.wait_for("a: stopped after *s (killed by SIGUSR1)");
    going.stop();
}

#[test]
fn a_change_of_what_does_not_run_starts_it() {
    let place = Place::new();
    let rest = "backoff=1h\nbackoff-max=1h\n";
    place.service("done", "cmd=true\ntype=oneshot\n");
    place.service("held", &format!("cmd=false\n{rest}"));
    place.service("failed", "cmd=false\nstrikes=1\n");
    let mut going = place.start(&[]);
    let deaths = ["done terminated *", "held terminated *", "failed terminated *"];
    going.wait_for_all(&deaths);
    place.service("done", "cmd=/bin/true\ntype=oneshot\n");
    place.service("held", &format!("cmd=/bin/false\n{rest}"));
    place.service("failed", "cmd=/bin/false\nstrikes=1\n");
    going.wait_for_all(&["done: cmd changed, started", "held: cmd changed, started"]);
    for line in deaths {
        wait_until(line, || going.count(line) == 2);
    }
    // Patience alone starts nothing; the removal of what does not run is quick.
    place.service("held", "cmd=/bin/false\nbackoff=2h\nbackoff-max=2h\n");
    going.wait_for("held: backoff, backoff-max changed, applied");
    for name in ["done", "held", "failed"] {
        place.remove(name);
    }
    going.wait_for_all(&["done: removed", "held: removed", "failed: removed"]);
    going.stop();
    assert_eq!(going.count("*: stopping (*"), 0);
}

/// inotify sees the directory, not where its links lead.
#[test]
fn a_hangup_finds_what_inotify_cannot_see() {
    let place = Place::new();
    place.write("elsewhere", "cmd=sleep 1000\n");
    symlink("../elsewhere", place.path("going.d/a")).unwrap();
    let mut going = place.start(&[]);
    going.wait_started("a");
    place.write("elsewhere", "cmd=sleep 1001\n");
    going.signal(Signal::SIGHUP);
    going.wait_for("a: cmd changed, restarted");
    going.wait_started("a");
    going.stop();
}

#[test]
fn a_bad_edit_leaves_the_service_as_it_was_and_is_told_once() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    let complaint =
        format!("{}:2: unknown key \"cwdd\"; did you mean \"cwd\"?", place.path("going.d/a"));
    let bad = "cmd=sleep 1001\ncwdd=/\n";
    place.service("a", bad);
    going.wait_for(&complaint);
    going.wait_for("a: new file refused, kept as it was");
    for name in ["b", "c"] {
        place.service(name, "cmd=sleep 1000\n");
        going.signal(Signal::SIGHUP);
        going.wait_started(name);
    }
    assert_eq!(going.count(&complaint), 1);
    // What it was is what it is, and the same mistake is news again.
    place.service("a", "cmd=sleep 1000\n");
    place.service("d", "cmd=sleep 1000\n");
    going.wait_started("d");
    place.service("a", bad);
    going.wait_for(&complaint);
    going.wait_for("a: new file refused, kept as it was");
    assert!(is_alive(pid));
    place.service("a", "cmd=sleep 1002\n");
    going.wait_for("a: cmd changed, restarted");
    going.stop();
}

#[test]
fn files_that_cannot_be_trusted_are_refused_with_the_reason() {
    let place = Place::new();
    let good = "cmd=sleep 1000\n";
    let path = |name: &str| place.path(&format!("going.d/{name}"));
    place.service("nul", "cmd=sleep\0 1000\n");
    fs::write(path("latin"), b"cmd=sleep 1000\n# caf\xe9\n").unwrap();
    place.service("large", &(good.to_owned() + &"#\n".repeat(600_000)));
    assert!(run(&["mkfifo", &path("pipe")]).status.success());
    symlink("nowhere", path("dangling")).unwrap();
    symlink("loop", path("loop")).unwrap();
    place.service("-dash", good);
    place.service("ümlaut", good);
    let mut refused = vec!["nul:1", "latin:2", "-dash", "ümlaut"];
    let mut unread = vec!["large", "pipe", "loop", "dangling"];
    if has_root() {
        place.service("writable", good);
        fs::set_permissions(path("writable"), Permissions::from_mode(0o646)).unwrap();
        place.service("stranger", good);
        run(&["chown", "54395", &path("stranger")]);
        unread.extend(["writable", "stranger"]);
        refused.sort_unstable();
    }
    place.service("zz", good);
    let mut going = place.start(&[]);
    going.wait_started("zz");
    for name in refused {
        let line = format!("{}: *", path(name));
        wait_until(&line, || going.count(&line) == 1);
    }
    for name in unread {
        let line = format!("Can't read {}: *", path(name));
        wait_until(&line, || going.count(&line) == 1);
    }
    wait_running(&going, &["zz"]);
    going.stop();
}

/// A running service survives the refusal of its file, whatever the reason.
#[test]
fn a_file_that_can_no_longer_be_read_leaves_its_service_running() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    let path = place.path("going.d/a");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    going.wait_for(&format!("Can't read {path}: *"));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    place.service("b", "cmd=sleep 1000\n");
    going.wait_started("b");
    assert!(is_alive(pid));
    going.stop();
    assert_eq!(going.count("a: *stopping*"), 1);
}

/// As vim does it: the old file becomes a backup, the new one is created.
#[test]
fn an_editors_way_to_save_is_one_change() {
    let place = Place::new();
    let path = place.path("going.d/a");
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("a");
    for round in 1..=3 {
        fs::rename(&path, format!("{path}~")).unwrap();
        place.service(".a.swp", "");
        fs::write(&path, format!("cmd=sleep 100{round}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(format!("{path}~")).unwrap();
        place.remove(".a.swp");
        going.wait_for("a: cmd changed, restarted");
        let pid = going.wait_started("a");
        assert_eq!(strings(pid, "cmdline").get(1), Some(&format!("100{round}")));
    }
    going.stop();
    assert_eq!(going.count("a: started (pid *)"), 4);
}

#[test]
fn a_burst_of_writes_ends_in_what_was_written_last() {
    let place = Place::new();
    let path = place.path("going.d/a");
    place.service("a", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("a");
    for round in 1..=300 {
        // Truncates, then writes.
        fs::write(&path, format!("cmd=sleep {}\n", 2000 + round)).unwrap();
    }
    wait_until("the last one to run", || {
        let last = children(going.pid);
        last.iter().any(|it| strings(*it, "cmdline").get(1).is_some_and(|it| it == "2300"))
    });
    place.service("b", "cmd=sleep 1000\n");
    going.wait_started("b");
    let starts = going.count("a: started (pid *)");
    assert!(starts < 30, "{starts} starts for 300 writes");
    wait_running(&going, &["a", "b"]);
    going.stop();
}

#[test]
fn a_file_that_comes_back_changed_is_what_runs_then() {
    let place = Place::new();
    let release = place.path("release");
    let script = format!(
        "trap 'while [ ! -e {release} ]; do sleep 0.01; done; exit' TERM\nsleep 1000 & wait"
    );
    let old = place.logged("old", &script) + "stop=TERM 1h\nkill=process\n";
    place.service("a", &old);
    let mut going = place.start(&[]);
    let pid = place.wait_starts("old", 1);
    wait_until("the trap", || !children(pid).is_empty());
    place.remove("a");
    going.wait_for("a: file gone, stopping");
    place.service("a", &place.logged("new", "exec sleep 1000"));
    going.wait_for("a: added");
    // And changes its mind once more, all while the old one is stopping.
    place.service("a", &(place.logged("newer", "exec sleep 1000") + "kill=process\n"));
    going.wait_for("a: cmd, kill changed, *");
    assert!(is_alive(pid));
    place.write("release", "");
    place.wait_starts("newer", 1);
    assert!(!is_alive(pid));
    going.stop();
    assert_eq!([place.starts("old").len(), place.starts("new").len()], [1, 0]);
}

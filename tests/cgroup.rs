//! Control groups as every cgroup v2 has them, with or without controllers: who is
//! in one, and what is left of it. What needs controllers is in `tests/vm`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Place, Signal, has_root, is_alive, program, run, send, skip, wait_until};

/// The directory of the group which this process is in, if groups can be made there.
fn own() -> Option<PathBuf> {
    if !has_root() {
        return None;
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().rfind(|line| line.contains(" - cgroup2 "));
    let group = of(i32::try_from(std::process::id()).unwrap());
    let own = mount
        .map(|it| PathBuf::from(it.split(' ').nth(4).unwrap()).join(group.trim_start_matches('/')));
    let probe = own.as_ref().map(|it| it.join(format!("going-probe-{}", std::process::id())));
    let is_there = probe.is_some_and(|it| {
        // Another test may be trying the same.
        let is_made = fs::create_dir(&it).is_ok() || it.is_dir();
        let _ = fs::remove_dir(&it);
        is_made
    });
    if is_there { own } else { skip("needs a writable cgroup v2").then(PathBuf::new) }
}

/// The group of a process, as the kernel names it.
fn of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// The directory of the group of a process.
fn directory(own: &Path, pid: i32) -> PathBuf {
    let mut path = PathBuf::from(of(pid));
    // Ours is the last but one.
    let name = path.file_name().unwrap().to_owned();
    path.pop();
    own.join(path.file_name().unwrap()).join(name)
}

#[test]
fn whoever_has_a_use_for_a_group_has_one_and_nobody_else() {
    let Some(own) = own() else { return };
    let place = Place::new();
    for (name, keys) in [
        ("all", "kill=all\n"),
        ("asked", "cgroup=yes\n"),
        ("plain", ""),
        ("refused", "cgroup=no\nkill=all\n"),
        // What the kernel calls its own files in there.
        ("cgroup.procs", "cgroup=yes\n"),
        ("a..@b:c", "cgroup=yes\n"),
    ] {
        place.service(name, &format!("cmd=sleep 1000\n{keys}"));
    }
    let mut going = place.start(&[]);
    let names = ["all", "asked", "plain", "refused", "cgroup.procs", "a..@b:c"];
    let pids = going.wait_all_started(names);
    let ours = of(going.pid);
    for (name, pid) in names.into_iter().zip(pids) {
        let has_one = of(pid).ends_with(&format!("/{name}.service"));
        assert_eq!(has_one, !["plain", "refused"].contains(&name), "{name}: {}", of(pid));
        assert!(has_one || of(pid) == ours, "{name}: {}", of(pid));
    }
    let group = directory(&own, pids[1]);
    assert!(group.join("cgroup.procs").exists());
    going.stop();
    assert!(!group.parent().unwrap().exists(), "nothing is left");
}

#[test]
fn a_group_outlives_going_and_is_found_again() {
    let Some(own) = own() else { return };
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\ncgroup=yes\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    let group = directory(&own, pid);
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services*");
    assert_eq!(directory(&own, pid), group);
    place.remove("a");
    going.wait_for("a: removed");
    assert!(!is_alive(pid) && !group.exists());
    going.stop();
}

/// Without the state file nobody knows them any more, but they are in the way.
#[test]
fn what_an_unknown_going_left_in_a_group_is_killed() {
    let Some(own) = own() else { return };
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\ncgroup=yes\n");
    let mut going = place.start(&[]);
    let old = going.wait_started("a");
    let group = directory(&own, old);
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    fs::remove_file(place.path("run/state")).unwrap();
    let mut going = place.start(&[]);
    going.wait_for(&format!(
        "a: killed what an earlier going had left in its control group (pid {old})"
    ));
    let new = going.wait_started("a");
    wait_until("the end of the old one", || !is_alive(old));
    assert_eq!(directory(&own, new), group);
    going.stop();
    assert!(!group.exists());
}

/// Where none is mounted, `auto` does without, and `yes` does not run.
#[test]
fn without_groups_there_are_complaints_and_services() {
    if own().is_none() || !common::has("unshare") {
        return;
    }
    let place = Place::new();
    place.service("limited", "cmd=sleep 1000\nmemory-max=10M\npids-max=5\n");
    place.service("must", "cmd=sleep 1000\ncgroup=yes\n");
    place.service("never", "cmd=sleep 1000\ncgroup=no\ncpu-max=50%\n");
    let hide = "until ! grep -q ' - cgroup2 ' /proc/self/mountinfo; do umount -l \
                $(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo) || exit; done; \
                exec \"$@\"";
    let words = ["unshare", "-m", "sh", "-c", hide, "sh"];
    let confdir = place.path("going.d");
    let said = run(&[&words[..], &[&program(), "--check", "-d", &confdir]].concat());
    let none = "needs a writable cgroup v2, and none is mounted";
    let expected = format!(
        "limited:2: Can't set memory-max to 10M: {none}
limited:3: Can't set pids-max to 5: {none}
must:2: Can't set cgroup to yes: {none}
never:3: Can't set cpu-max to 50%: cgroup=no leaves nothing to limit
"
    );
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.replace(&format!("{confdir}/"), ""), expected);
    let mut going = place.start_under(&words, &[]);
    let lack = format!("limited: does without (memory-max): Can't set memory-max to 10M: {none}");
    going.wait_for_all(&[
        &lack,
        "limited: started (pid *)",
        "never: started (pid *)",
        &format!("Can't set cgroup to yes: {none} (must: cgroup, line 2)"),
    ]);
    going.stop();
}

/// Its own way into the group is closed before its program runs.
#[test]
fn a_program_in_a_group_has_no_more_descriptors() {
    if own().is_none() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\ncgroup=yes\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    common::wait_comm(pid, "sleep");
    let mut fds: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2"]);
    send(pid, Signal::SIGKILL);
    going.wait_for("a terminated after: * (killed by SIGKILL*");
    going.stop();
}

//! Who tries to outlive a stop: other sessions, other parents, other environments,
//! no descriptors, deaf ears, births during the stop. A stop has ended when nobody
//! of the service is left, with a control group and without.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Going, Place, Signal, has, has_root, is_alive, run, send, strings, wait_until};

/// How somebody gets away: a name, the script of the main process, in which `@` is
/// what is to be left, and whether only root can prevent it.
const ESCAPES: [(&str, &str, bool); 9] = [
    ("session", "setsid @ & exec sleep 1000", false),
    ("orphan", "(setsid @ &); exec sleep 1000", false),
    ("clean-child", "setsid env -i @ & exec sleep 1000", false),
    ("clean-grandchild", "setsid sh -c \"env -i @ & wait\" & exec sleep 1000", false),
    ("clean-parent", "env -i setsid sh -c \"@ & @ & wait\" & exec sleep 1000", false),
    ("deaf", "setsid sh -c \"trap : TERM; while :; do @; done\" & exec sleep 1000", false),
    ("group", "@ & trap \"exit 0\" TERM; while :; do sleep 0.1; done", false),
    ("closed", "(setsid env -i @ </dev/null >/dev/null 2>&1 &); exec sleep 1000", true),
    (
        "late",
        "setsid sleep 1000 & trap \"(setsid env -i @ </dev/null >/dev/null 2>&1 &); exit\" TERM; \
         while :; do sleep 0.1; done",
        true,
    ),
];

/// Words that nobody else runs.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("sleep 300.{}{count:03}", std::process::id())
}

/// Who runs these words.
fn runners(words: &str) -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|it| it.file_name());
    let pids = names.filter_map(|it| it.to_str()?.parse().ok());
    pids.filter(|pid| strings(*pid, "cmdline").join(" ") == words && is_alive(*pid)).collect()
}

struct Fugitive {
    name: String,
    words: String,
}

/// A service for each escape.
fn fugitives(place: &Place, keys: &str) -> Vec<Fugitive> {
    let escapes = ESCAPES.iter().filter(|it| !it.2 || has_root());
    let all = escapes.map(|(name, script, _)| {
        let words = unique();
        let script = script.replace('@', &words);
        place.service(name, &format!("cmd=sh -c '{script}'\nstop=TERM 300ms KILL\n{keys}"));
        Fugitive { name: (*name).to_owned(), words }
    });
    all.collect()
}

/// Waits until all are where they want to be.
fn wait_gone_astray(going: &mut Going, all: &[Fugitive]) {
    let lines: Vec<_> = all.iter().map(|it| format!("{}: started (pid *)", it.name)).collect();
    going.wait_for_all(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for it in all.iter().filter(|it| it.name != "late") {
        wait_until(&it.name, || !runners(&it.words).is_empty());
    }
    let is_ready = |it: &Fugitive| {
        let pid = common::children(going.pid);
        pid.iter()
            .any(|pid| strings(*pid, "environ").contains(&format!("GOING_SERVICE={}", it.name)))
    };
    wait_until("all to be ready", || all.iter().all(is_ready));
}

/// All of them, stopped one by one, are gone when that is told.
fn check_stops(keys: &str) {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let all = fugitives(&place, keys);
    let mut going = place.start(&[]);
    wait_gone_astray(&mut going, &all);
    for it in &all {
        place.remove(&it.name);
        going.wait_for(&format!("{}: removed", it.name));
        assert_eq!(runners(&it.words), [0; 0], "{} escaped", it.name);
        let others = all.iter().skip_while(|other| other.name != it.name).skip(1);
        for other in others.filter(|it| it.name != "late") {
            assert!(!runners(&other.words).is_empty(), "{} died with {}", other.name, it.name);
        }
    }
    going.stop();
}

#[test]
fn nobody_escapes_a_stop() {
    check_stops("");
}

#[test]
fn nobody_escapes_from_a_control_group() {
    check_stops("cgroup=auto\nkill=all\n");
}

#[test]
fn nobody_escapes_the_end_of_going() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let all = fugitives(&place, "");
    let mut going = place.start(&[]);
    wait_gone_astray(&mut going, &all);
    going.stop();
    for it in &all {
        assert_eq!(runners(&it.words), [0; 0], "{} escaped", it.name);
    }
}

/// Nor a restart, which begins when the last one is dead.
#[test]
fn a_restart_leaves_nobody_behind() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let (old, new) = (unique(), unique());
    let file = |words| format!("cmd=sh -c 'setsid env -i {words} & exec sleep 1000'\n");
    place.service("a", &file(&old));
    let mut going = place.start(&[]);
    going.wait_started("a");
    wait_until("the child", || runners(&old).len() == 1);
    place.service("a", &file(&new));
    going.wait_for("a: stopping what left its group (SIGTERM to the rest of *)");
    going.wait_started("a");
    assert_eq!(runners(&old), [0; 0]);
    going.stop();
    assert_eq!(runners(&new), [0; 0]);
}

/// A crash is no order: what `kill` does not include lives on, until there is one.
#[test]
fn what_survives_a_crash_does_not_survive_a_stop() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let words = unique();
    let script = format!("setsid {words} & exec sleep 1000");
    place.service("a", &format!("cmd=sh -c '{script}'\nbackoff=1h\nbackoff-max=1h\n"));
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    wait_until("the child", || runners(&words).len() == 1);
    send(pid, Signal::SIGKILL);
    going.wait_for("a terminated after: * will be quarantined for *");
    assert_eq!(runners(&words).len(), 1, "a crash ends it");
    place.remove("a");
    going.wait_for("a: removed");
    assert_eq!(runners(&words), [0; 0]);
    going.stop();
    let told =
        ["a: stopping what it left behind (*", "a: what it left behind is gone", "a: removed"];
    assert_eq!(told.map(|it| going.count(it)), [1; 3]);
    assert_eq!(going.count("a terminated*"), 1);
}

/// The sessions of an ssh daemon are to outlive its restart.
#[test]
fn who_wants_its_main_process_stopped_only_gets_that() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let words = unique();
    let script = format!("setsid {words} & exec sleep 1000");
    place.service("a", &format!("cmd=sh -c '{script}'\nkill=process\n"));
    let mut going = place.start(&[]);
    going.wait_started("a");
    wait_until("the child", || runners(&words).len() == 1);
    place.remove("a");
    going.wait_for("a: removed");
    assert_eq!(runners(&words).len(), 1);
    going.stop();
}

/// A frozen process dies when it thaws (Documentation/admin-guide/cgroup-v1).
#[test]
fn what_cannot_be_killed_is_named_and_waited_for() {
    let freezer = "/sys/fs/cgroup/freezer";
    let is_there = fs::metadata(format!("{freezer}/cgroup.procs")).is_ok();
    if !has_root() || !has("setsid") || !is_there && !common::skip("needs the freezer of cgroup v1")
    {
        return;
    }
    let place = Place::new();
    let words = unique();
    let script = format!("setsid {words} & exec sleep 1000");
    place.service("a", &format!("cmd=sh -c '{script}'\nstop=TERM 100ms KILL\n"));
    let mut going = place.start(&[]);
    going.wait_started("a");
    wait_until("the child", || runners(&words).len() == 1);
    let pid = runners(&words).first().copied().unwrap();
    let group = format!("{freezer}/{}", place.marker);
    fs::create_dir(&group).unwrap();
    fs::write(format!("{group}/cgroup.procs"), pid.to_string()).unwrap();
    fs::write(format!("{group}/freezer.state"), "FROZEN").unwrap();
    place.remove("a");
    going.wait_for(&format!("a: survives SIGKILL, still waiting (pid {pid})"));
    assert_eq!(going.count("a: removed"), 0);
    fs::write(format!("{group}/freezer.state"), "THAWED").unwrap();
    going.wait_for("a: removed");
    assert!(!is_alive(pid));
    going.stop();
    wait_until("the group to be empty", || fs::remove_dir(&group).is_ok());
}

/// Everybody's trace is its own, and that of who has none is the usual one.
#[test]
fn services_are_told_apart_by_their_timers() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [a, b] = going.wait_all_started(["a", "b"]);
    let slack = |pid: i32| -> u32 {
        let text = fs::read_to_string(format!("/proc/{pid}/timerslack_ns")).unwrap();
        text.trim().parse().unwrap()
    };
    assert!((30_000..50_000).contains(&slack(a)) && (30_000..50_000).contains(&slack(b)));
    assert_ne!(slack(a), slack(b));
    assert_eq!(slack(going.pid), slack(i32::try_from(std::process::id()).unwrap()));
    assert!(run(&["true"]).status.success());
    going.stop();
}

/// It has as many processes as it may, and all the time others; nobody else notices.
#[test]
fn a_fork_bomb_is_held_and_stopped() {
    if !has_root() || !has("perl") {
        return;
    }
    // Nobody else is this user, whose processes are counted (setrlimit(2)).
    let user = 3_000_000 + std::process::id();
    let place = Place::new();
    let bomb = format!("user={user}\ngroup={user}\nlimit-nproc=40\nkill=all\ncgroup=no\n");
    let script = "fork, select(undef, undef, undef, 0.01) while 1";
    place.service("bomb", &format!("cmd=perl -e '{script}'\nstop=TERM 100ms KILL\n{bomb}"));
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    let mut going = place.start(&[]);
    let [_, mut web] = going.wait_all_started(["bomb", "web"]);
    let count = || {
        let names = fs::read_dir("/proc").unwrap().flatten().map(|it| it.file_name());
        let pids = names.filter_map(|it| it.to_str()?.parse().ok());
        pids.filter(|pid| common::status(*pid, "Uid").starts_with(&format!("{user} "))).count()
    };
    wait_until("it to explode", || count() >= 40);
    for _ in 0..3 {
        common::send(web, common::Signal::SIGKILL);
        web = going.wait_started("web");
    }
    assert!(count() > 1 && count() <= 40, "{} processes", count());
    place.remove("bomb");
    going.wait_for("bomb: removed");
    assert_eq!(count(), 0);
    going.stop();
}

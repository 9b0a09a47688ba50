//! What went wrong in going 0.9.2, and must not go wrong again. The numbers are
//! those of the list of its faults, G1 to G21.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use common::{
    Place, Signal, children, has, has_root, has_static_build, is_alive, run, send, status,
    wait_comm, wait_until,
};

/// G1: the quarantine was a timeout which every signal set back to its start.
#[test]
fn a_quarantined_service_is_retried_on_time_while_another_dies_all_the_while() {
    let place = Place::new();
    let noisy = place.logged("noisy", "sleep 0.1") + "min-uptime=0\nburst=none\n";
    place.service("noisy", &noisy);
    let failing = place.logged("failing", "exit 1");
    place.service("failing", &(failing + "backoff=1s\nbackoff-max=1s\njitter=0\n"));
    let mut going = place.start(&[]);
    let mut deaths = 0;
    for strike in 1..=4 {
        going.wait_for(&format!(
            "failing terminated after: *s (limit: 5s) and will be quarantined for 1s \
             (exit status 1; strike {strike}, next try in 1.000s)"
        ));
        let sofar = going.count("noisy terminated after: *");
        assert!(strike == 1 || sofar > deaths, "nobody died while it was quarantined");
        deaths = sofar;
    }
    going.stop();
}

/// G2: a removed service was freed, then read.
#[test]
fn neighbors_are_removed_together_and_the_others_stay() {
    let place = Place::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        place.service(name, &place.logged(name, "exec sleep 1000"));
    }
    let mut going = place.start(&[]);
    let pids = names.map(|it| place.wait_starts(it, 1));
    for name in ["b", "c", "f"] {
        place.remove(name);
    }
    going.signal(Signal::SIGHUP);
    wait_until("the removed to end", || [1, 2, 5].iter().all(|it| !is_alive(pids[*it])));
    going.wait_for_all(&["b: removed", "c: removed", "f: removed"]);
    assert!([0, 3, 4].iter().all(|it| is_alive(pids[*it])));
    for name in ["a", "d", "e"] {
        place.remove(name);
    }
    going.signal(Signal::SIGHUP);
    wait_until("all to end", || pids.iter().all(|it| !is_alive(*it)));
    going.stop();
}

/// G3: more than 126 words were written past the end of an array.
#[test]
fn a_command_may_have_thousands_of_words() {
    let place = Place::new();
    for count in [126, 127, 200, 5000] {
        let script = format!("echo $# >{}; exec sleep 1000", place.path(&format!("{count}.words")));
        let cmd = place.logged(&format!("w{count}"), &script);
        place.service(&format!("w{count}"), &(cmd.trim_end().to_owned() + &" w".repeat(count)));
    }
    let mut going = place.start(&[]);
    for count in [126, 127, 200, 5000] {
        assert_eq!(place.wait_text(&format!("{count}.words")), format!("{count}\n"));
    }
    going.stop();
}

/// G4: a command of blanks only was whatever lay on the stack.
#[test]
fn a_command_of_blanks_only_is_refused() {
    let place = Place::new();
    place.service("blank", "cmd=    \n");
    place.service("good", &place.logged("good", "exec sleep 1000"));
    let mut going = place.start(&[]);
    going.wait_for_all(&[&format!("{}:1: *cmd*", place.path("going.d/blank")), "good: started*"]);
    going.stop();
    assert_eq!(going.count("blank*"), 0);
}

/// G5: what lay beyond 287 bytes of a line was read as the next line.
#[test]
fn the_end_of_a_long_line_is_not_a_line() {
    let place = Place::new();
    let evil = place.logged("evil", "exec sleep 1000");
    let padding = "#".to_owned() + &"x".repeat(286);
    assert_eq!(padding.len(), 287);
    place.service("comment", &format!("{padding}{evil}"));
    let unknown = "description=".to_owned() + &"x".repeat(275);
    let good = place.logged("good", "exec sleep 1000");
    place.service("value", &format!("{unknown}{evil}{good}"));
    let mut going = place.start(&[]);
    place.wait_starts("good", 1);
    going.wait_for_all(&[&format!("{}: no cmd= line", place.path("going.d/comment"))]);
    going.stop();
    assert_eq!(place.starts("evil").len(), 0);
}

/// G6: without its directory at SIGHUP going exited and left its children alone.
#[test]
fn everything_keeps_running_while_the_directory_is_missing() {
    let place = Place::new();
    place.service("a", &place.logged("a", "exec sleep 1000"));
    let mut going = place.start(&[]);
    let pid = place.wait_starts("a", 1);
    fs::rename(place.dir.join("going.d"), place.dir.join("away")).unwrap();
    going.signal(Signal::SIGHUP);
    let missing = format!("Can't open {}: No such file or directory", place.path("going.d"));
    going.wait_for(&missing);
    // Once more it is not worth a line, and the death of a service is seen to.
    going.signal(Signal::SIGHUP);
    send(pid, Signal::SIGKILL);
    going.wait_for("a terminated after: *s (limit: 5s)*(killed by SIGKILL;*");
    let pid = place.wait_starts("a", 2);
    fs::rename(place.dir.join("away"), place.dir.join("going.d")).unwrap();
    place.service("b", &place.logged("b", "exec sleep 1000"));
    going.signal(Signal::SIGHUP);
    place.wait_starts("b", 1);
    assert!(is_alive(pid));
    assert_eq!(going.count(&missing), 1);
    going.stop();
}

/// G7: at SIGTERM going left before its children had, and some never did.
#[test]
fn a_stubborn_child_is_killed_before_going_exits() {
    let place = Place::new();
    let stubborn = place.logged("stubborn", "trap '' TERM\nwhile :; do sleep 1; done");
    place.service("stubborn", &(stubborn + "stop=TERM 1s KILL\n"));
    place
        .service("slow", &place.logged("slow", "trap 'sleep 0.5; exit 7' TERM\nsleep 1000 & wait"));
    let mut going = place.start(&[]);
    let pids = ["stubborn", "slow"].map(|it| place.wait_starts(it, 1));
    // The traps are set once the shells have children.
    wait_until("children", || pids.iter().all(|it| !children(*it).is_empty()));
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    assert!(pids.iter().all(|it| !is_alive(*it)), "left alone");
    going.wait_for("SIGTERM: stopping 2 services");
    going.wait_for_all(&[
        "stubborn: stopping (SIGTERM to group *)",
        "stubborn: still running 1s after SIGTERM, sending SIGKILL*",
        "stubborn: stopped after *s (killed by SIGKILL)",
        "slow: stopped after *s (exit status 7)",
    ]);
    going.wait_for("all services stopped");
}

/// G8: the pid of the dead was kept, and signalled when the file went.
#[test]
fn removing_a_dead_service_signals_no_stranger_with_its_pid() {
    if !has_root() || !has("unshare") || !has("nsenter") || !has("setsid") {
        return;
    }
    let place = Place::new();
    place.service("dead", &(place.logged("dead", "exit 1") + "backoff=1h\nbackoff-max=1h\n"));
    // The first process of the namespace outlives going, as it ends with it.
    let first = ["/bin/sh", "-c", "\"$@\"\nexec sleep 1000", "sh"];
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut going = place.start_under(&[&unshare[..], &first].concat(), &[]);
    let pid = going.wait_started("dead");
    going.wait_for("dead terminated after: *quarantined*");
    let init = children(going.pid)[0].to_string();
    let script = format!(
        "echo {} >/proc/sys/kernel/ns_last_pid\nsetsid sleep 1000 >/dev/null 2>&1 & echo $!",
        pid - 1
    );
    let enter = ["nsenter", "--target", &init, "--pid", "--mount"];
    // The mark is for the bench, which kills what is left.
    let mark = format!("GOING_TEST={}", place.marker);
    let script = format!("{script} >{}", place.path("pid"));
    let words = [&["env", &mark], &enter[..], &["/bin/sh", "-c", &script]].concat();
    assert!(run(&words).status.success());
    assert_eq!(place.wait_text("pid"), format!("{pid}\n"), "the pid was to be used again");
    let is_there =
        || run(&[&enter[..], &["kill", "-0", &pid.to_string()]].concat()).status.success();
    assert!(is_there());
    let inside = children(init.parse().unwrap())[0];
    place.remove("dead");
    send(inside, Signal::SIGHUP);
    going.wait_for("dead: removed");
    send(inside, Signal::SIGTERM);
    going.wait_for("all services stopped");
    assert!(is_there(), "the stranger was signalled");
    assert_eq!(going.count("dead: stopping*"), 0);
}

/// G9: only the child itself was signalled, though it led a group.
#[test]
fn grandchildren_end_with_the_service() {
    let place = Place::new();
    let script = format!("sleep 1000 & echo $! >{}; wait", place.path("grandchild"));
    place.service("a", &place.logged("a", &script));
    let mut going = place.start(&[]);
    let pid = place.wait_starts("a", 1);
    let grandchild = place.wait_text("grandchild").trim().parse().unwrap();
    place.remove("a");
    going.signal(Signal::SIGHUP);
    wait_until("the end of both", || !is_alive(pid) && !is_alive(grandchild));
    going.wait_for("a: file gone, stopping");
    going.wait_for(&format!("a: stopping (SIGTERM to group {pid})"));
    going.wait_for("a: stopped after *s (killed by SIGTERM)");
    going.wait_for("a: removed");
    going.stop();
}

/// G10: a service that came back while it was stopping ran twice.
#[test]
fn a_file_that_comes_back_waits_for_the_old_process() {
    let place = Place::new();
    let release = place.path("release");
    let script = format!(
        "trap 'while [ ! -e {release} ]; do sleep 0.01; done; exit 0' TERM\nsleep 1000 & wait"
    );
    let text = place.logged("a", &script) + "stop=TERM 1h\nkill=process\n";
    place.service("a", &text);
    let mut going = place.start(&[]);
    let old = place.wait_starts("a", 1);
    wait_until("the trap to be set", || !children(old).is_empty());
    place.remove("a");
    going.signal(Signal::SIGHUP);
    going.wait_for("a: file gone, stopping");
    place.service("a", &text);
    place.service("later", &place.logged("later", "exec sleep 1000"));
    going.signal(Signal::SIGHUP);
    place.wait_starts("later", 1);
    assert!(is_alive(old));
    assert_eq!(place.starts("a"), [old], "runs twice");
    place.write("release", "");
    let new = place.wait_starts("a", 2);
    assert!(!is_alive(old) && is_alive(new));
    going.stop();
}

/// G11: edits were ignored until going itself was started again.
#[test]
fn an_edited_file_takes_effect() {
    let place = Place::new();
    place.service("a", &place.logged("a", "exec sleep 1000"));
    let mut going = place.start(&[]);
    let old = place.wait_starts("a", 1);
    place.service("a", &place.logged("b", "exec sleep 1000"));
    going.signal(Signal::SIGHUP);
    let new = place.wait_starts("b", 1);
    assert!(!is_alive(old) && is_alive(new));
    going.wait_for("a: cmd changed, restarted");
    going.stop();
}

/// G12: names were compared on 32 bytes only.
#[test]
fn names_are_compared_to_their_end_and_refused_when_too_long() {
    let place = Place::new();
    let names = [32, 33, 64, 65].map(|it| "n".repeat(it));
    for (name, log) in names.iter().zip(["n32", "n33", "n64", "n65"]) {
        place.service(name, &place.logged(log, "exec sleep 1000"));
    }
    let mut going = place.start(&[]);
    let pids = ["n32", "n33", "n64"].map(|it| place.wait_starts(it, 1));
    going.wait_for(&format!("Configuration file name {} is too long (max: 64)", names[3]));
    place.remove(&names[0]);
    going.signal(Signal::SIGHUP);
    wait_until("the end of the one whose file is gone", || !is_alive(pids[0]));
    going.wait_for(&format!("{}: removed", names[0]));
    assert!(is_alive(pids[1]) && is_alive(pids[2]));
    going.stop();
    assert_eq!(place.starts("n65").len(), 0);
}

/// G13: backups and hidden files were services, mistakes were passed over.
#[test]
fn only_service_files_are_services_and_mistakes_are_told() {
    let place = Place::new();
    let names = [".hidden", "a~", "a.swp", "a.tmp", "a.bak", "a.orig", "a.rej", "a.disabled"];
    let more = ["a.dpkg-old", "a.dpkg-new", "a.rpmnew", "a.rpmsave", "a.apk-new", "template@"];
    for name in names.iter().chain(&more) {
        place.service(name, &place.logged("skipped", "exec sleep 1000"));
    }
    place.make_dir("going.d/directory");
    let bad = place.logged("bad", "exec sleep 1000");
    place.service("unknown", &format!("{bad}cmmd=sleep 1\n"));
    place.service("missing", "# nothing but a comment\ncwd=/\n");
    place.service("no name", &bad);
    place.service("zz", &place.logged("zz", "exec sleep 1000"));
    let mut going = place.start(&[]);
    let confdir = place.path("going.d");
    going.wait_for_all(&[
        &format!("{confdir}/unknown:2: unknown key \"cmmd\"; did you mean \"cmd\"?"),
        &format!("{confdir}/missing: no cmd= line"),
        &format!("{confdir}/no name: *"),
        "zz: started (pid *)",
    ]);
    going.stop();
    assert_eq!(going.count(&format!("{confdir}/*")), 3, "told of what is no service");
    assert_eq!(place.starts("skipped").len() + place.starts("bad").len(), 0);
}

/// G14: lives were measured in whole seconds of the wall clock. (Steps of that
/// clock cannot be made without the whole machine seeing them; that nobody reads
/// it is for `house.rs` to see.)
#[test]
fn lives_are_measured_in_parts_of_a_second() {
    let place = Place::new();
    let often = "burst=none\nbackoff=10ms\nbackoff-max=10ms\njitter=0\n";
    let short = place.logged("short", "exit 0");
    place.service("short", &format!("{short}{often}min-uptime=900ms\n"));
    // It sleeps at least so long, and whole seconds would say 0 more often
    // than not.
    let long = place.logged("long", "exec sleep 0.3");
    place.service("long", &format!("{long}{often}min-uptime=300ms\n"));
    let mut going = place.start(&[]);
    for count in 1..=6 {
        going.wait_for(&format!("short terminated after: *quarantined*; strike {count}, *"));
    }
    place.wait_starts("long", 6);
    going.stop();
    assert_eq!(going.count("long *quarantined*"), 0);
}

/// G15: services were started from the last to the first.
#[test]
fn services_start_in_the_order_of_their_names() {
    let place = Place::new();
    let names = ["10", "9", "B", "a", "a-b", "aa", "b"];
    for name in ["b", "aa", "a-b", "a", "B", "9", "10"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(names);
    // Pids begin anew when their highest was given.
    let descents = pids.windows(2).filter(|it| it[0] > it[1]).count();
    assert!(descents == 0 || (descents == 1 && pids[0] > pids[6]), "{pids:?}");
    going.stop();
}

/// G16: how a child ended was never asked.
#[test]
fn the_report_says_how_a_service_ended() {
    let place = Place::new();
    place.service("status", "cmd=/bin/sh -c 'exit 3'\n");
    place.service("signal", "cmd=/bin/sh -c 'kill -USR1 $$'\n");
    let crash =
        format!("cd {}; ulimit -c unlimited 2>/dev/null; kill -SEGV $$", place.dir.display());
    place.service("crash", &format!("cmd=/bin/sh -c '{crash}'\n"));
    // Whether there is a core is the machine's affair.
    let same = run(&["/bin/sh", "-c", &crash]).status;
    let core = if same.core_dumped() { ", core dumped" } else { "" };
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "status terminated after: *(exit status 3; strike 1, next try in *s)",
        "signal terminated after: *(killed by SIGUSR1; strike 1, next try in *s)",
        &format!("crash terminated after: *(killed by SIGSEGV{core}; strike 1, next try in *s)"),
    ]);
    going.stop();
}

/// G17: there was no quoting, so no `sh -c`.
#[test]
fn a_quoted_command_reaches_the_program_as_meant() {
    let place = Place::new();
    let out = place.path("out");
    let cmd = r#"cmd=/bin/sh -c 'printf "<%s>" "$@" >"$0"; echo >>"$0"; exec sleep 1000'"#;
    let words = r#"'two  words' "a \"b\" \c" d\ e '' "it's" #no"#;
    place.service("a", &format!("{cmd} {out} {words}\n"));
    let mut going = place.start(&[]);
    assert_eq!(place.wait_text("out"), "<two  words><a \"b\" \\c><d e><><it's><#no>\n");
    going.stop();
}

/// G18: children had whatever init had open.
#[test]
fn a_service_has_three_descriptors_and_nothing_of_ours() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    let open = ["/bin/sh", "-c", "exec 5</dev/zero 8>>/dev/full 9</etc/passwd\nexec \"$@\"", "sh"];
    let mut going = place.start_under(&open, &[]);
    let pid = going.wait_started("a");
    wait_comm(pid, "sleep");
    let dir = format!("/proc/{pid}/fd");
    let mut fds: Vec<_> = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2"]);
    assert_eq!(fs::read_link(format!("{dir}/0")).unwrap().to_str(), Some("/dev/null"));
    going.stop();
}

/// Runs others as a user who may have so many processes. All of the user's count,
/// so it is one whom nobody else uses, not even another run of this test.
fn crowd(most: u32) -> String {
    let user = 100_000 + 4 * std::process::id() + most;
    format!("setpriv --reuid {user} --regid {user} --clear-groups prlimit --nproc={most}:100")
}

/// G19: while it could not fork, going slept, deaf to everything.
#[test]
fn trouble_with_fork_holds_up_only_the_service_that_has_it() {
    if !has_root() || !has("setpriv") || !has("prlimit") {
        return;
    }
    let place = Place::new();
    let program = place.copied_program();
    for name in ["a", "b", "c"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    let confdir = place.path("going.d");
    let user = crowd(3);
    let user: Vec<_> = user.split(' ').collect();
    let own = [&program, "-d", &confdir, "--report", "stderr"];
    let often = ["-o", "backoff=100ms", "-o", "backoff-max=200ms"];
    let words = [&user[..], &own, &often].concat();
    let mut going = place.start_words(&words);
    let pids = going.wait_all_started(["a", "b"]);
    for _ in 0..3 {
        going.wait_for("Could not fork, sleeping *s (c: *; only this service waits)");
    }
    // Meanwhile it reaps, and rereads its directory.
    place.service("d", "# no command\n");
    send(pids[0], Signal::SIGKILL);
    going.wait_for_all(&["a terminated after: *", &format!("{confdir}/d: no cmd= line")]);
    let (_, setpriv) = user.split_last().unwrap();
    let more = ["--pid", &going.pid.to_string(), "--nproc=100:100"];
    assert!(run(&[setpriv, &more].concat()).status.success());
    wait_until("c to run", || going.count("c: started (pid *)") == 1);
    going.stop();
}

/// G19, the other half: an order to stop was not heard either.
#[test]
fn trouble_with_fork_does_not_delay_the_end() {
    if !has_root() || !has("setpriv") || !has("prlimit") {
        return;
    }
    let place = Place::new();
    let program = place.copied_program();
    for name in ["a", "b"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    let confdir = place.path("going.d");
    let user = crowd(2);
    let user: Vec<_> = user.split(' ').collect();
    let own = [&program, "-d", &confdir, "--report", "stderr"];
    let seldom = ["-o", "backoff=1h", "-o", "backoff-max=1h"];
    let words = [&user[..], &own, &seldom].concat();
    let mut going = place.start_words(&words);
    going.wait_for("Could not fork, *");
    going.stop();
}

/// G20: before 0.9.2, SIGHUP started everything once more.
#[test]
fn a_hangup_restarts_nothing_that_is_unchanged() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.service(name, &place.logged(name, "exec sleep 1000"));
    }
    let mut going = place.start(&[]);
    let pids = ["a", "b", "c"].map(|it| place.wait_starts(it, 1));
    for name in ["d", "e", "f"] {
        place.service(name, &place.logged(name, "exec sleep 1000"));
        going.signal(Signal::SIGHUP);
        place.wait_starts(name, 1);
    }
    assert_eq!(["a", "b", "c"].map(|it| place.starts(it)), pids.map(|it| vec![it]));
    assert!(pids.into_iter().all(is_alive));
    going.stop();
}

/// G21: its goal for its own memory was missed.
#[test]
fn fifty_services_fit_into_a_mebibyte() {
    if !has_static_build() {
        return;
    }
    let place = Place::new();
    for number in 0..50 {
        place.service(&format!("s{number}"), "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    wait_until("all to run", || going.count("s*: started (pid *)") == 50);
    let peak = status(going.pid, "VmPeak");
    let size: u32 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(size <= 1024, "VmPeak is {peak}");
    going.stop();
}

//! What follows from a death, and how a death is brought about: restarts,
//! quarantine, strikes, stop sequences, and who of a family is signalled.

mod common;

use common::{Place, Signal, children, has, is_alive, send, stat, status, wait_until};

/// The `next try in` of a line, in milliseconds.
fn next_try(line: &str) -> u64 {
    let seconds = line.split_once("next try in ").and_then(|(_, it)| it.strip_suffix("s)"));
    seconds.and_then(|it| it.replace('.', "").parse().ok()).unwrap_or_default()
}

#[test]
fn the_policy_decides_what_follows_a_death() {
    let place = Place::new();
    let ends = [("zero", "exit 0"), ("one", "exit 1"), ("term", "kill -TERM $$")];
    for policy in ["always", "on-failure", "never"] {
        for (end, script) in ends {
            let text = format!("cmd=/bin/sh -c '{script}'\nrestart={policy}\nbackoff=1h\n");
            place.service(&format!("{policy}-{end}"), &(text + "backoff-max=1h\n"));
        }
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "always-zero terminated after: *quarantined*(exit status 0; strike 1, *)",
        "always-one terminated after: *quarantined*(exit status 1; strike 1, *)",
        "always-term terminated after: *quarantined*(killed by SIGTERM; strike 1, *)",
        "on-failure-zero terminated after: *s (exit status 0; done)",
        "on-failure-one terminated after: *quarantined*(exit status 1; strike 1, *)",
        "on-failure-term terminated after: *quarantined*(killed by SIGTERM; strike 1, *)",
        "never-zero terminated after: *s (exit status 0; done)",
        "never-one terminated after: *s (exit status 1; failed*)",
        "never-term terminated after: *s (killed by SIGTERM; failed*)",
    ]);
    going.stop();
    assert_eq!(going.count("*: started (pid *)"), 9);
}

#[test]
fn a_healthy_death_is_followed_by_a_start_at_once() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nmin-uptime=0\nburst=none\nbackoff=1h\nbackoff-max=1h\n");
    let mut going = place.start(&[]);
    for _ in 0..20 {
        send(going.wait_started("a"), Signal::SIGKILL);
        going.wait_for("a terminated after: *s (killed by SIGKILL)");
    }
    going.stop();
}

#[test]
fn success_is_what_the_file_says_it_is() {
    let place = Place::new();
    let listed = "restart=on-failure\nsuccess=0 2\nsuccess=TERM SIGUSR1\n";
    for (name, script) in [("two", "exit 2"), ("usr1", "kill -USR1 $$"), ("three", "exit 3")] {
        place.service(name, &format!("cmd=/bin/sh -c '{script}'\n{listed}"));
    }
    // The list of the file replaces the usual one.
    place.service("zero", "cmd=true\nrestart=on-failure\nsuccess=7\n");
    let mut going = place.start(&["-o", "backoff=1h", "-o", "backoff-max=1h"]);
    going.wait_for_all(&[
        "two terminated after: *s (exit status 2; done)",
        "usr1 terminated after: *s (killed by SIGUSR1; done)",
        "three terminated after: *quarantined*(exit status 3; *",
        "zero terminated after: *quarantined*(exit status 0; *",
    ]);
    going.stop();
}

#[test]
fn a_oneshot_is_tried_until_it_has_done_its_work() {
    let place = Place::new();
    let often = "type=oneshot\nmin-uptime=0\nburst=none\nbackoff=10ms\n";
    let third = format!("[ $(wc -l <{}) -ge 3 ]", place.path("third.pids"));
    place.service("third", &(place.logged("third", &third) + often));
    place.service("never", &(place.logged("never", "exit 1") + often + "strikes=4\n"));
    place.service("first", &(place.logged("first", "exit 0") + often));
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "first terminated after: *s (exit status 0; done)",
        "third terminated after: *(exit status 1; strike 1, *",
        "third terminated after: *(exit status 1; strike 2, *",
        "third terminated after: *s (exit status 0; done)",
        "never terminated after: *(exit status 1; strike 3, *",
        "never terminated after: *s (exit status 1; gave up after 4 strikes)",
    ]);
    going.stop();
    assert_eq!(["first", "third", "never"].map(|it| place.starts(it).len()), [1, 3, 4]);
}

#[test]
fn a_service_that_was_given_up_lives_again_when_its_file_changes() {
    let place = Place::new();
    let rest = "strikes=3\nbackoff=10ms\n";
    place.service("a", &(place.logged("bad", "exit 1") + rest));
    place.service("b", &format!("cmd=/nonexistent/program\n{rest}"));
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "a terminated after: *s (exit status 1; gave up after 3 strikes)",
        "b *gave up after 3 strikes)",
    ]);
    assert_eq!(going.count("Can't execute /nonexistent/program: *(b: cmd, line 1)"), 3);
    place.service("a", &(place.logged("good", "exec sleep 1000") + rest));
    going.wait_for("a: cmd changed, started");
    going.wait_started("a");
    place.service("b", &format!("cmd=sleep 1000\n{rest}"));
    going.wait_for("b: cmd changed, started");
    going.wait_started("b");
    going.stop();
    assert_eq!(place.starts("bad").len(), 3);
}

#[test]
fn each_quarantine_of_a_row_is_twice_as_long_up_to_a_limit() {
    let place = Place::new();
    let text = "cmd=false\nbackoff=100ms\nbackoff-max=700ms\njitter=0\n";
    place.service("a", text);
    let mut going = place.start(&[]);
    for (strike, wait) in [(1, 100), (2, 200), (3, 400), (4, 700), (5, 700)] {
        let line = going.wait_for(&format!("a terminated after: *; strike {strike}, *"));
        assert_eq!(next_try(&line), wait, "{line}");
    }
    going.stop();
}

#[test]
fn a_healthy_run_ends_the_row() {
    let place = Place::new();
    let count = format!("$(wc -l <{})", place.path("a.pids"));
    let script = format!("[ {count} = 3 ] && sleep 3.2\nexit 1");
    let text = place.logged("a", &script) + "min-uptime=3s\nburst=none\nbackoff=100ms\njitter=0\n";
    place.service("a", &text);
    let mut going = place.start(&[]);
    for wait in [100, 200] {
        assert_eq!(next_try(&going.wait_for("a terminated after: *quarantined*")), wait);
    }
    going.wait_for("a terminated after: *s (exit status 1)");
    let line = going.wait_for("a terminated after: *quarantined*; strike 1, *");
    assert_eq!(next_try(&line), 100);
    going.stop();
}

#[test]
fn jitter_spreads_the_retries_within_its_bounds() {
    let place = Place::new();
    for number in 0..30 {
        place.service(&format!("s{number}"), "cmd=false\nbackoff=100s\nbackoff-max=100s\n");
    }
    let mut going = place.start(&["-o", "jitter=20"]);
    wait_until("all deaths", || going.count("s* terminated after: *quarantined*") == 30);
    let lines = going.lines();
    let mut waits: Vec<_> = lines.iter().map(|it| next_try(it)).filter(|it| *it > 0).collect();
    waits.sort_unstable();
    assert!((80_000..90_000).contains(&waits[0]), "{waits:?}");
    assert!((110_001..=120_000).contains(&waits[29]), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 25, "{waits:?}");
    going.stop();
}

/// However healthy each of its lives looked.
#[test]
fn many_deaths_in_a_short_time_are_a_crash_loop() {
    let place = Place::new();
    let rest = "min-uptime=0\nbackoff=50ms\nbackoff-max=50ms\njitter=0\n";
    place.service("loop", &format!("cmd=true\nburst=3/60s\n{rest}"));
    // Three deaths take at least 0.6 s of running.
    place.service("calm", &format!("cmd=sleep 0.3\nburst=3/500ms\n{rest}"));
    let mut going = place.start(&[]);
    going.wait_for_all(&["loop terminated after: *s (exit status 0)"]);
    going.wait_for_all(&["loop terminated after: *s (exit status 0)"]);
    for strike in [1, 2, 3] {
        going.wait_for(&format!(
            "loop terminated after: *s and will be quarantined for 0s (exit status 0; \
             crash loop: 3 deaths within *; strike {strike}, next try in 0.050s)"
        ));
    }
    wait_until("deaths", || going.count("calm terminated after: *s (exit status 0)") >= 6);
    going.stop();
    assert_eq!(going.count("calm *quarantined*"), 0);
}

#[test]
fn a_stop_sequence_is_gone_through_to_its_end() {
    let place = Place::new();
    let heard = place.path("heard");
    let traps = ["HUP", "INT", "USR1", "TERM"]
        .map(|it| format!("trap 'echo {it} >>{heard}' {it}\n"))
        .concat();
    let forever = format!("{traps}echo ready >>{heard}\nwhile :; do sleep 0.02; done");
    let sequence = "stop=HUP 300ms INT 200ms USR1 100ms KILL\nkill=process\n";
    place.service("a", &(place.logged("a", &forever) + sequence));
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    place.wait_text("heard");
    place.remove("a");
    for line in [
        "a: file gone, stopping".to_owned(),
        format!("a: stopping (SIGHUP to process {pid})"),
        "a: still running 300ms after SIGHUP, sending SIGINT*".to_owned(),
        "a: still running 200ms after SIGINT, sending SIGUSR1*".to_owned(),
        "a: still running 100ms after SIGUSR1, sending SIGKILL*".to_owned(),
        "a: stopped after *s (killed by SIGKILL)".to_owned(),
        "a: removed".to_owned(),
    ] {
        going.wait_for(&line);
    }
    // A loaded machine may be late to run the last trap.
    assert!("ready\nHUP\nINT\nUSR1\n".starts_with(&place.read("heard")));
    going.stop();
}

#[test]
fn a_stop_sequence_ends_with_the_process() {
    let place = Place::new();
    let heard = place.path("heard");
    let script =
        format!("trap '' HUP\ntrap 'exit 5' INT\necho >{heard}\nwhile :; do sleep 0.02; done");
    place.service("a", &(place.logged("a", &script) + "stop=HUP 200ms INT 1h TERM 1h\n"));
    place.service("b", "cmd=sleep 1000\nstop=KILL\n");
    let mut going = place.start(&[]);
    place.wait_text("heard");
    let b = going.wait_started("b");
    place.remove("a");
    going.wait_for("a: still running 200ms after SIGHUP, sending SIGINT*");
    going.wait_for("a: stopped after *s (exit status 5)");
    place.remove("b");
    // KILL always reaches everybody.
    going.wait_for(&format!("b: stopping (SIGKILL to * {b})"));
    going.wait_for("b: stopped after *s (killed by SIGKILL)");
    going.stop();
}

#[test]
fn a_process_that_was_halted_can_be_stopped() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nstop=TERM 1h\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("a");
    send(pid, Signal::SIGSTOP);
    wait_until("it to halt", || stat(pid).is_some_and(|it| it[0] == "T"));
    place.remove("a");
    going.wait_for("a: stopped after *s (killed by SIGTERM)");
    going.stop();
}

#[test]
fn a_second_order_to_stop_kills_at_once() {
    let place = Place::new();
    let script = "trap '' TERM\nwhile :; do sleep 0.1; done";
    for name in ["a", "b"] {
        place.service(name, &(place.logged(name, script) + "stop=TERM 1h\n"));
    }
    let mut going = place.start(&[]);
    let pids = ["a", "b"].map(|it| place.wait_starts(it, 1));
    wait_until("the traps", || pids.iter().all(|it| !children(*it).is_empty()));
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: stopping 2 services");
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM again: killing 2 services");
    assert_eq!(going.wait_exit(), 0);
    assert!(!pids.into_iter().any(is_alive));
    going.wait_for_all(&["a: stopped after *(killed by SIGKILL)", "b: stopped after *"]);
    going.wait_for("all services stopped");
}

/// A service with a child in its group and one in a session of its own; each
/// notes when it gets TERM. The main process ends as `main` says.
fn family(place: &Place, name: &str, kill: &str, main: &str) -> String {
    let note = |who: &str| place.path(&format!("{name}.{who}"));
    let child = |who: &str| {
        let script = format!(
            "trap \"echo >{}.term; exit\" TERM\necho $$ >{}\nwhile :; do sleep 0.02; done\n",
            note(who),
            note(who)
        );
        place.write(&format!("{name}.{who}.sh"), script);
        format!("/bin/sh {}.sh", note(who))
    };
    let (near, far) = (child("near"), child("far"));
    // setsid(1) forks only if it leads a group, which this one does not.
    let script =
        format!("trap \"{main}\" TERM\n{near} &\nsetsid {far} &\nwhile :; do sleep 0.02; done");
    format!("{}kill={kill}\n", place.logged(name, &script))
}

/// Waits until the family is complete: the pids of main, near and far.
fn wait_family(place: &Place, name: &str) -> [i32; 3] {
    let main = place.wait_starts(name, 1);
    let [near, far] = ["near", "far"]
        .map(|it| place.wait_text(&format!("{name}.{it}")).trim().parse().unwrap_or_default());
    let field = |pid, index| stat(pid).and_then(|it| it.get(index).cloned()).unwrap_or_default();
    assert_eq!([field(near, 2), field(far, 3)], [main.to_string(), far.to_string()]);
    [main, near, far]
}

#[test]
fn kill_says_who_gets_the_signals_of_a_stop() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    for (name, kill) in [("p", "process"), ("g", "group"), ("a", "all")] {
        place.service(name, &family(&place, name, kill, "exit 0"));
    }
    let mut going = place.start(&[]);
    let [p, g, a] = ["p", "g", "a"].map(|it| wait_family(&place, it));
    for name in ["p", "g", "a"] {
        place.remove(name);
    }
    going.wait_for_all(&["p: removed", "g: removed", "a: removed"]);
    assert_eq!(p.map(is_alive), [false, true, true], "process");
    assert_eq!(g.map(is_alive), [false, false, false], "a stop is one of all");
    assert_eq!(a.map(is_alive), [false, false, false], "all");
    let noted = |it: &str| !place.read(it).is_empty();
    assert_eq!(["p.near.term", "p.far.term"].map(noted), [false; 2]);
    assert_eq!(
        ["g.near", "g.far", "a.near", "a.far"].map(|it| noted(&format!("{it}.term"))),
        [true; 4]
    );
    going.stop();
}

#[test]
fn the_final_kill_reaches_every_descendant() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    // Nobody of them dies of WINCH, so that KILL is what ends them.
    for (name, kill) in [("p", "process"), ("g", "group"), ("a", "all")] {
        let text = family(&place, name, kill, ":");
        place.service(name, &format!("{text}stop=WINCH 200ms KILL\n"));
    }
    let mut going = place.start(&[]);
    let pids = ["p", "g", "a"].map(|it| wait_family(&place, it));
    for name in ["p", "g", "a"] {
        place.remove(name);
    }
    for name in ["p", "g", "a"] {
        let line = format!("{name}: still running 200ms after SIGWINCH, sending SIGKILL*");
        wait_until(&line, || going.count(&line) == 1);
        wait_until("its removal", || going.count(&format!("{name}: removed")) == 1);
    }
    assert_eq!(pids.map(|it| it.map(is_alive)), [[false; 3]; 3]);
    going.stop();
}

/// The next one would fight with them over ports and locks.
#[test]
fn what_a_crash_leaves_behind_is_stopped_before_the_next_start() {
    let place = Place::new();
    let old = place.path("old");
    let overlap = place.path("overlap");
    let script = format!(
        "[ -e {old} ] && kill -0 $(cat {old}) && echo >>{overlap}\n\
         /bin/sh -c 'trap \"\" TERM; echo $$ >{old}; while :; do sleep 0.1; done' &\n\
         while [ ! -s {old} ]; do sleep 0.01; done\nexit 3"
    );
    let text = place.logged("a", &script);
    place.service("a", &(text + "stop=TERM 100ms KILL\nbackoff=10ms\nbackoff-max=10ms\n"));
    let mut going = place.start(&[]);
    for _ in 0..3 {
        going.wait_for("a: *(SIGTERM to group *");
        going.wait_for("a: still running 100ms after SIGTERM, sending SIGKILL*");
        going.wait_for("a terminated after: *quarantined*(exit status 3; strike *");
    }
    going.stop();
    assert_eq!(place.read("overlap"), "");
    let last: i32 = place.read("old").trim().parse().unwrap_or_default();
    assert!(!is_alive(last));
}

#[test]
fn with_kill_all_a_crash_leaves_nobody_in_another_session() {
    if !has("setsid") {
        return;
    }
    let place = Place::new();
    let text = family(&place, "a", "all", ":");
    place.service("a", &(text + "backoff=1h\nbackoff-max=1h\n"));
    let mut going = place.start(&[]);
    let [main, near, far] = wait_family(&place, "a");
    send(main, Signal::SIGKILL);
    going.wait_for("a terminated after: *quarantined*(killed by SIGKILL; strike 1, *");
    assert!(!is_alive(near) && !is_alive(far));
    going.stop();
}

/// A death of the whole group at once is one death.
#[test]
fn a_group_that_dies_together_is_started_again() {
    let place = Place::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait";
    let text = place.logged("a", script) + "min-uptime=0\nburst=none\n";
    place.service("a", &text);
    let mut going = place.start(&[]);
    for round in 1..=5 {
        let pid = place.wait_starts("a", round);
        wait_until("its children", || children(pid).len() == 9);
        send(-pid, Signal::SIGKILL);
        going.wait_for("a terminated after: *s (killed by SIGKILL)");
    }
    going.stop();
}

/// Orphans come to us, and would stay as zombies.
#[test]
fn orphans_are_reaped() {
    let place = Place::new();
    let ready = place.path("ready");
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.05 &); done\necho >{ready}\nexec sleep 1000"
    );
    place.service("a", &place.logged("a", &script));
    let mut going = place.start(&[]);
    let pid = place.wait_starts("a", 1);
    place.wait_text("ready");
    wait_until("only the service to be left", || children(going.pid) == [pid]);
    assert_eq!(status(pid, "PPid"), going.pid.to_string());
    going.stop();
}

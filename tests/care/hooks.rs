//! Hooks: who is told of what, and that nobody waits for them.

use crate::common::{Place, Signal, has_root, is_alive, send, wait_until};
use crate::order;

/// A hook that writes the facts down, a line each time.
fn noting(place: &Place, key: &str) -> String {
    let file = place.path(&format!("{key}.facts"));
    format!("{key}=/bin/sh -c 'echo $(env | grep ^GOING_ | sort) >>{file}'\n")
}

fn facts(place: &Place, key: &str) -> Vec<String> {
    place.read(&format!("{key}.facts")).lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_facts(place: &Place, key: &str, count: usize) -> Vec<String> {
    wait_until(&format!("{count} times {key}"), || facts(place, key).len() >= count);
    facts(place, key)
}

#[track_caller]
fn assert_has(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.split(' ').any(|it| it == *word), "{word} in {line}");
    }
}

#[test]
fn hooks_know_what_happened() {
    let place = Place::new();
    let script = place.logged("web", "exit 7");
    let hooks = ["on-quarantine", "on-failed"].map(|key| noting(&place, key)).concat();
    place.service("web", &(script + &hooks + "strikes=2\nbackoff=1500ms\njitter=0\n"));
    let mut going = place.start(&[]);
    going.wait_for("web terminated after: *gave up after 2 strikes)");
    let quarantine = wait_facts(&place, "on-quarantine", 1).remove(0);
    let first = place.starts("web")[0];
    let common = ["GOING_SERVICE=web", "GOING_EXIT=7", "GOING_ORDERED=no", "GOING_UPTIME=0"];
    assert_has(&quarantine, &common);
    assert_has(&quarantine, &["GOING_EVENT=quarantine", "GOING_TO=quarantined"]);
    assert_has(&quarantine, &["GOING_STRIKES=1", "GOING_NEXT_TRY=2"]);
    assert_has(&quarantine, &[&format!("GOING_PID={first}"), "GOING_ERRAND=on-quarantine"]);
    let failed = wait_facts(&place, "on-failed", 1).remove(0);
    assert_has(&failed, &common);
    assert_has(&failed, &["GOING_EVENT=failed", "GOING_TO=failed", "GOING_STRIKES=2"]);
    assert!(!failed.contains("NEXT_TRY"), "{failed}");
    going.stop();
    assert_eq!(facts(&place, "on-quarantine").len(), 1);
    assert_eq!(facts(&place, "on-failed").len(), 1);
}

#[test]
fn each_change_is_told_from_one_word_to_the_other() {
    let place = Place::new();
    place.service("web", &("cmd=sleep 1000\n".to_owned() + &noting(&place, "on-change")));
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let lines = wait_facts(&place, "on-change", 3);
    // Of those that follow each other closely, each waits for the one before.
    assert_has(&lines[0], &["GOING_FROM=down", "GOING_TO=waiting"]);
    assert_has(&lines[1], &["GOING_FROM=waiting", "GOING_TO=starting"]);
    assert_has(&lines[2], &["GOING_FROM=starting", "GOING_TO=up", "GOING_EVENT=change"]);
    assert_has(&lines[2], &[&format!("GOING_PID={pid}")]);
    assert!(!lines[2].contains("GOING_EXIT"), "{}", lines[2]);
    order(&place, "stop", "web");
    let lines = wait_facts(&place, "on-change", 5);
    assert_has(&lines[3], &["GOING_FROM=up", "GOING_TO=stopping"]);
    assert_has(&lines[4], &["GOING_FROM=stopping", "GOING_TO=down"]);
    assert_has(&lines[4], &["GOING_SIGNAL=TERM", "GOING_ORDERED=yes"]);
    // Its file may be gone by the time.
    order(&place, "start", "web");
    going.wait_started("web");
    wait_facts(&place, "on-change", 8);
    place.remove("web");
    going.wait_for("web: removed");
    assert_has(&wait_facts(&place, "on-change", 10)[9], &["GOING_FROM=stopping", "GOING_TO=down"]);
    going.stop();
}

#[test]
fn they_run_as_the_service_does() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.make_dir("out");
    let out = place.path("out");
    nix::unistd::chown(out.as_str(), Some(54395.into()), Some(54395.into())).unwrap();
    let keys = "user=54395\ngroup=54395\nlimit-nofile=77\numask=027\nenv=X=y\nstdin=pipe\n";
    let hook = format!(
        "on-change=/bin/sh -c 'echo >/dev/stdout || exit 9; [ $GOING_TO = up ] || exit 0; \
         (id -u; ulimit -n; pwd; umask; echo $X; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; \
         ps -o sid= -p $$ | tr -d \" \" | sed s/$$/leader/; echo end) >{out}/hook'\n"
    );
    place.service("web", &format!("cmd=sleep 1000\n{keys}cwd={out}\nenv=GOING_TO=x\n{hook}"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    wait_until("the hook", || place.read("out/hook").ends_with("end\n"));
    // Besides the three there is the one which ls has opened.
    let expected = format!("54395\n77\n{out}\n0027\ny\n/dev/null\n4\nleader\nend\n");
    assert_eq!(place.read("out/hook"), expected);
    going.stop();
    assert_eq!(going.count("*failed*"), 0);
}

#[test]
fn what_fails_is_told_with_its_last_words() {
    let place = Place::new();
    let says = "echo one; echo \"two, at $(printf \"\\033\")last\" >&2; echo; exit 3";
    place.service("web", &format!("cmd=sleep 1000\non-change=/bin/sh -c '{says}'\n"));
    place.service("gone", "cmd=sleep 1000\non-change=/nonexistent/tool a\n");
    place.service("lost", "cmd=sleep 1000\non-change=nonexistent-tool a\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "web: on-change failed (exit status 3: two, at last)",
        "gone: on-change failed (Can't execute /nonexistent/tool: No such file*)",
        "lost: on-change failed (Can't execute nonexistent-tool: No such file*)",
        "web: started (pid *)",
        "gone: started (pid *)",
    ]);
    going.stop();
}

#[test]
fn much_output_does_not_keep_a_hook_waiting() {
    let place = Place::new();
    let done = place.path("done");
    let hook = format!("seq 1 300000; echo end; [ $GOING_TO = up ] && echo >{done}; exit 1");
    place.service("web", &format!("cmd=sleep 1000\non-change=/bin/sh -c '{hook}'\n"));
    let mut going = place.start(&[]);
    place.wait_text("done");
    going.wait_for("web: on-change failed (exit status 1: end)");
    going.stop();
}

/// Many services that fail at once, whose hooks last until there is a file `go`.
fn crowd(place: &Place, count: usize, more: &str) {
    let (pids, go) = (place.path("hook.pids"), place.path("go"));
    let script = format!("echo $$ >>{pids}; while [ ! -e {go} ]; do sleep 0.05; done");
    for number in 0..count {
        let text = format!("cmd=false\nrestart=never\non-failed=/bin/sh -c '{script}'\n{more}");
        place.service(&format!("s{number}"), &text);
    }
}

fn alive(place: &Place) -> usize {
    place.starts("hook").into_iter().filter(|pid| is_alive(*pid)).count()
}

#[test]
fn only_so_many_run_at_once_and_the_others_wait() {
    let place = Place::new();
    crowd(&place, 40, "");
    let mut going = place.start(&[]);
    wait_until("all have failed", || {
        going.count("s* terminated after: *failed, restart=never)") == 40
    });
    place.wait_starts("hook", 16);
    // Everything else goes on.
    place.service("web", "cmd=sleep 1000\n");
    going.wait_started("web");
    assert_eq!((place.starts("hook").len(), alive(&place)), (16, 16));
    place.write("go", "");
    place.wait_starts("hook", 40);
    assert_eq!(going.count("*too many*"), 0);
    going.stop();
}

#[test]
fn too_many_that_wait_are_counted() {
    let place = Place::new();
    crowd(&place, 40, &format!("# {}\n", "x".repeat(8000)));
    let mut going = place.start(&[]);
    wait_until("all have failed", || {
        going.count("s* terminated after: *failed, restart=never)") == 40
    });
    place.wait_starts("hook", 16);
    assert_eq!(going.count("s*: on-failed is not run: too many are waiting already"), 1);
    place.write("go", "");
    let line = going.wait_for("* commands were not run, too many waited");
    let lost: usize = line.split(' ').find_map(|it| it.parse().ok()).unwrap();
    assert!((10..24).contains(&lost), "{line}");
    place.wait_starts("hook", 40 - lost);
    going.stop();
    assert_eq!(place.starts("hook").len(), 40 - lost);
}

/// A hook that lasts, with a child in its group and one outside of it.
fn lasting(place: &Place) -> String {
    let [inner, outer, pids] =
        ["inner", "outer", "hook"].map(|it| place.path(&format!("{it}.pids")));
    let script = format!(
        "[ $GOING_TO = up ] || exit 0; sleep 1000 & echo $! >>{inner}; \
         setsid sleep 1000 & echo $! >>{outer}; echo $$ >>{pids}; wait"
    );
    format!("on-change=/bin/sh -c '{script}'\n")
}

#[test]
fn its_group_ends_with_it_and_the_service_waits_for_the_rest_only() {
    let place = Place::new();
    place.service("web", &("cmd=sleep 1000\n".to_owned() + &lasting(&place)));
    let mut going = place.start(&[]);
    let web = going.wait_started("web");
    let [hook, inner, outer] = ["hook", "inner", "outer"].map(|it| place.wait_starts(it, 1));
    // It is no part of the service, which does not wait for it.
    order(&place, "restart", "web");
    going.wait_started("web");
    assert!(!is_alive(web) && is_alive(hook) && is_alive(inner) && is_alive(outer));
    send(hook, Signal::SIGTERM);
    going.wait_for("web: on-change failed (killed by SIGTERM)");
    wait_until("the end of its group", || !is_alive(inner));
    // Whoever left that is of the service now, and is stopped with it.
    assert!(is_alive(outer));
    order(&place, "stop", "web");
    wait_until("the end of all", || !is_alive(outer));
    going.stop();
}

#[test]
fn one_that_outlives_going_is_stopped_with_the_service() {
    let place = Place::new();
    place.service("web", &("cmd=sleep 1000\n".to_owned() + &lasting(&place)));
    let mut going = place.start(&[]);
    let web = going.wait_started("web");
    let [hook, inner, outer] = ["hook", "inner", "outer"].map(|it| place.wait_starts(it, 1));
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    assert!([web, hook, inner, outer].into_iter().all(is_alive));
    order(&place, "stop", "web");
    wait_until("the end of all", || ![web, hook, inner, outer].into_iter().any(is_alive));
    going.stop();
    assert_eq!(place.starts("hook"), [hook]);
}

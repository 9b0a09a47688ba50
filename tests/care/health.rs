//! Health checks: whoever fails too many is restarted, and nobody else is.

use crate::common::{Place, Signal, is_alive, send, wait_until};
use crate::{order, told};

/// A check that fails while there is a file `ill`, whose text it says.
fn check(place: &Place) -> String {
    let (ill, pids) = (place.path("ill"), place.path("check.pids"));
    format!("health=/bin/sh -c 'echo $$ >>{pids}; if [ -e {ill} ]; then cat {ill}; exit 3; fi'\n")
}

const OFTEN: &str = "health-every=50ms\nmin-uptime=0\nbackoff=1ms\n";

fn ids(place: &Place, name: &str) -> usize {
    place.starts(name).len()
}

#[test]
fn who_fails_in_a_row_is_restarted_and_told_why() {
    let place = Place::new();
    let script = place.logged("web", "exec sleep 1000");
    place.service("web", &(script + &check(&place) + OFTEN));
    let mut going = place.start(&[]);
    let first = going.wait_started("web");
    place.wait_starts("check", 3);
    wait_until("an answer", || told(&place, "status", "web").contains("\nhealth=ok\n"));
    assert!(is_alive(first) && ids(&place, "web") == 1);
    place.write("ill", "no route\nto the database\n");
    going.wait_for_all(&[
        "web: health check failed, 1 of 3 (exit status 3: to the database)",
        "web: health check failed, 2 of 3 (exit status 3: to the database)",
        "web: health check failed, 3 of 3 (exit status 3: to the database), restarting",
    ]);
    going.wait_for("Not well: 3 health checks in a row failed (web: health, line *)");
    going.wait_for(
        "web terminated after: *s and will be quarantined * (killed by SIGTERM; strike 1*",
    );
    std::fs::remove_file(place.path("ill")).unwrap();
    going.wait_started("web");
    assert!(!is_alive(first));
    let why = told(&place, "why", "web");
    assert!(why.contains("strike=health\n"), "{why}");
    assert!(why.contains("\nill=exit status 3: no route; to the database\n"), "{why}");
    // What a check says is not for everybody's eyes.
    assert!(!told(&place, "status", "web").contains("\nill="));
    wait_until("an answer", || told(&place, "status", "web").contains("\nhealth=ok\n"));
    going.stop();
}

#[test]
fn one_good_answer_ends_the_row() {
    let place = Place::new();
    let (turn, good) = (place.path("turn"), place.path("good"));
    // Bad, bad, good, bad, bad, good, and so on.
    let check = format!(
        "health=/bin/sh -c 'echo x >>{turn}; [ $(($(wc -l <{turn}) % 3)) = 0 ] && echo x >>{good}'\n"
    );
    let script = place.logged("web", "exec sleep 1000");
    place.service("web", &(script + &check + OFTEN));
    let mut going = place.start(&[]);
    going.wait_started("web");
    wait_until("good answers", || place.read("good").lines().count() >= 4);
    assert!(going.count("web: is well again") >= 3);
    assert_eq!(going.count("web: health check failed, 3 of 3*"), 0);
    assert_eq!(ids(&place, "web"), 1);
    going.stop();
}

#[test]
fn no_answer_in_time_is_a_bad_one_and_nothing_of_it_is_left() {
    let place = Place::new();
    let pids = place.path("check.pids");
    let hangs = format!(
        "health=/bin/sh -c 'trap \"\" TERM; echo partly; sleep 1000 & echo $! >>{pids}; \
         echo $$ >>{pids}; wait'\n"
    );
    let keys = "health-every=50ms\nhealth-timeout=200ms\nhealth-fails=2\nmin-uptime=0\n";
    let script = place.logged("web", "exec sleep 1000");
    place.service("web", &(script + &hangs + keys));
    place.service("other", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "other"]);
    going.wait_for("web: health check failed, 1 of 2 (took too long: partly)");
    going.wait_for("web: health check failed, 2 of 2 (*), restarting");
    going.wait_started("web");
    let checks = place.starts("check");
    assert!(checks.len() >= 4);
    wait_until("the end of the checks", || checks.iter().all(|pid| !is_alive(*pid)));
    going.stop();
}

#[test]
fn a_check_that_cannot_be_run_harms_nobody() {
    let place = Place::new();
    let script = place.logged("web", "exec sleep 1000");
    place.service("web", &(script + "health=/nonexistent/check\nhealth-fails=1\n" + OFTEN));
    let mut going = place.start(&[]);
    going.wait_started("web");
    going.wait_for("web: health is not known: Can't execute /nonexistent/check: No such file*");
    assert!(told(&place, "status", "web").contains("\nhealth=unknown\n"));
    // Once it is put right, without a restart.
    place.service("web", &(place.logged("web", "exec sleep 1000") + &check(&place) + OFTEN));
    going.wait_for("web: *health* changed, applied");
    wait_until("an answer", || told(&place, "status", "web").contains("\nhealth=ok\n"));
    assert_eq!(going.count("web: health is not known*"), 1);
    assert_eq!(ids(&place, "web"), 1);
    going.stop();
}

#[test]
fn only_what_is_up_is_checked_and_a_stop_waits_for_no_check() {
    let place = Place::new();
    let pids = place.path("check.pids");
    // It writes its number down when it lasts, and the service never ends of itself.
    let check = format!("health=/bin/sh -c 'trap \"\" TERM; echo $$ >>{pids}; sleep 1000; true'\n");
    let keys = "health-every=50ms\nhealth-timeout=1h\n";
    place.service("web", &("cmd=sleep 1000\n".to_owned() + &check + keys));
    let mut going = place.start(&[]);
    going.wait_started("web");
    let first = place.wait_starts("check", 1);
    assert!(told(&place, "status", "web").contains("\nhealth=unknown\n"));
    order(&place, "stop", "web");
    wait_until("the end", || told(&place, "status", "web").contains("state=down\n"));
    wait_until("the end of the check", || !is_alive(first));
    assert!(!told(&place, "status", "web").contains("health="));
    assert_eq!(going.count("*health*"), 0);
    order(&place, "start", "web");
    going.wait_started("web");
    let second = place.wait_starts("check", 2);
    place.remove("web");
    going.wait_for("web: removed");
    wait_until("the end of the check", || !is_alive(second));
    going.stop();
}

#[test]
fn bad_health_is_found_anew_by_the_next_going() {
    let place = Place::new();
    let script = place.logged("web", "exec sleep 1000");
    let keys = "health-every=100ms\nmin-uptime=0\nhealth-fails=4\n";
    place.service("web", &(script + &check(&place) + keys));
    place.write("ill", "bad\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    going.wait_for("web: health check failed, 2 of 4 (*)");
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    going.wait_for("web: health check failed, 1 of 4 (*)");
    going.wait_for("web: health check failed, 4 of 4 (*), restarting");
    going.wait_started("web");
    assert!(!is_alive(pid));
    going.stop();
}

#[test]
fn who_dies_while_it_is_checked_is_not_restarted_for_that() {
    let place = Place::new();
    let pids = place.path("check.pids");
    let check = format!("health=/bin/sh -c 'echo $$ >>{pids}; sleep 1000'\n");
    let keys = "health-every=50ms\nhealth-timeout=1h\nhealth-fails=1\nmin-uptime=0\n";
    place.service("web", &(place.logged("web", "exec sleep 1000") + &check + keys));
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    place.wait_starts("check", 1);
    send(pid, Signal::SIGKILL);
    going.wait_started("web");
    // The first check was killed with the run, and counts for nobody.
    place.wait_starts("check", 2);
    assert_eq!(going.count("*health check*"), 0);
    assert_eq!(ids(&place, "web"), 2);
    going.stop();
}

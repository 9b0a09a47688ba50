//! Rehearsals of a service's death.

use crate::common::{Place, is_alive, wait_until};
use crate::ctl::{command, ctl, good, json};

#[test]
fn a_drill_kills_and_tells_how_it_came_back() {
    let place = Place::new();
    let keys = "min-uptime=0s\nburst=none\n";
    place.service("web", &(place.logged("web", "sleep 1000 & sleep 1000") + keys));
    place.service("other", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [first, other] = going.wait_all_started(["web", "other"]);
    let said = good(&place, &["drill", "--yes", "web"]);
    let second = going.wait_started("web");
    assert!(!is_alive(first) && is_alive(second) && is_alive(other));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], format!("web: pid {first} killed"));
    assert!(
        lines[1].starts_with("  detected        after ") && said.contains("(killed by SIGKILL)\n"),
        "{said}"
    );
    assert!(said.contains(&format!(" (pid {second})\n")), "{said}");
    assert!(said.contains("  left behind     none\n"), "{said}");
    assert!(said.ends_with("  leaked by going 0 descriptors\n"), "{said}");
    let answer = json(&place, &["drill", "--yes", "web"]);
    let third = going.wait_started("web");
    assert_eq!((&answer["deed"], &answer["pid"]), (&"killed".into(), &third.into()), "{answer}");
    assert!(answer["up-ms"].as_u64() >= answer["running-ms"].as_u64(), "{answer}");
    assert!(answer["left"].as_array().is_some_and(Vec::is_empty), "{answer}");
    going.stop();
}

#[test]
fn a_drill_tells_what_survives_it_and_what_does_not_come_back() {
    let place = Place::new();
    // What it leaves in a session of its own, `kill=process` does not reach.
    let script = format!("setsid sleep 1000 &\necho $! >{}\nsleep 1000", place.path("child"));
    let keys = "min-uptime=0s\nburst=none\nkill=process\n";
    place.service("leaky", &(place.logged("leaky", &script) + keys));
    place.service("weak", "cmd=sleep 1000\nstrikes=1\nmin-uptime=1h\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["leaky", "weak"]);
    wait_until("its child", || place.read("child").ends_with('\n'));
    let child: i32 = place.read("child").trim().parse().unwrap();
    wait_until("a session of its own", || {
        crate::common::stat(child).is_some_and(|it| it[3] == child.to_string())
    });
    let said = ctl(&place, &["drill", "-y", "leaky"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains(&child.to_string()), "{said:?}");
    let said = ctl(&place, &["drill", "-y", "weak"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("  up again        not yet, it is failed\n"), "{said:?}");
    let said = ctl(&place, &["drill", "-y", "weak"]);
    assert!(said.code == 1 && said.err.contains("a drill is for what is up"), "{said:?}");
    going.stop();
}

#[test]
fn nobody_is_drilled_by_accident() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.service("db", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["web", "db"]);
    let said = ctl(&place, &["drill", "web"]);
    assert!(said.code == 2 && said.err.contains("a script must say --yes"), "{said:?}");
    for words in [&["drill", "-y", "*"][..], &["drill", "-y", "none"], &["drill", "-y"]] {
        assert_ne!(ctl(&place, words).code, 0, "{words:?}");
    }
    // On a terminal it asks, and anything but yes is no.
    let ask = |answer: &str| {
        let drill = command(&place, &["drill", "web"]);
        let words: Vec<_> = std::iter::once(drill.get_program()).chain(drill.get_args()).collect();
        let words: Vec<_> = words.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        let line = format!("echo {answer} | script -qec '{}' /dev/null", words.join(" "));
        let output = crate::common::run(&["sh", "-c", &line]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    if !crate::common::has("script") {
        return;
    }
    let said = ask("n");
    assert!(said.contains("will be killed, and interrupted. Go on? [y/N]"), "{said}");
    assert!(pids.iter().all(|it| is_alive(*it)), "{said}");
    let said = ask("y");
    assert!(said.contains("web: pid"), "{said}");
    wait_until("its death", || !is_alive(pids[0]));
    assert!(is_alive(pids[1]));
    going.stop();
}

#[test]
fn a_drill_freezes_by_order_whom_somebody_watches() {
    let place = Place::new();
    // What it says each time that is asked, a frozen one does not say.
    let (asked, answered) = (place.path("asked"), place.path("answered"));
    let script =
        format!("trap 'echo x >{answered}' USR1; echo >{answered}; while :; do sleep 0.02; done");
    let check = format!(
        "health=/bin/sh -c 'rm -f {answered}; kill -USR1 $GOING_PID; echo x >>{asked}; \
         for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         [ -e {answered} ] && exit 0; sleep 0.1; done; echo silent; exit 1'\n"
    );
    let keys =
        "health-every=100ms\nhealth-timeout=20s\nhealth-fails=1\nmin-uptime=0s\nbackoff=1ms\n";
    place.service("web", &(place.logged("web", &script) + &check + keys));
    place.service("plain", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let [first, plain] = going.wait_all_started(["web", "plain"]);
    wait_until("two good answers", || place.read("asked").lines().count() >= 2);
    let said = ctl(&place, &["drill", "-y", "--freeze", "plain"]);
    assert!(
        said.code == 1 && said.err.contains("nobody would notice that plain hangs"),
        "{said:?}"
    );
    assert!(is_alive(plain));
    let said = good(&place, &["drill", "--yes", "--freeze", "web"]);
    going.wait_for("web: health check failed, 1 of 1 (exit status 1: silent), restarting");
    let second = going.wait_started("web");
    assert!(!is_alive(first) && is_alive(second));
    assert!(
        said.starts_with(&format!("web: pid {first} frozen\n  detected        after ")),
        "{said}"
    );
    assert!(said.contains("  on the way      stopping"), "{said}");
    assert!(said.contains(&format!(" (pid {second})\n")), "{said}");
    assert!(said.contains("  left behind     none\n"), "{said}");
    assert!(said.ends_with("  leaked by going 0 descriptors\n"), "{said}");
    // Without that word it is killed as any other.
    let said = good(&place, &["drill", "--yes", "web"]);
    assert!(said.contains(&format!("web: pid {second} killed\n")), "{said}");
    going.stop();
}

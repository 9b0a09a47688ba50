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

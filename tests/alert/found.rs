//! What services write: keywords and stderr are found however they were written; and
//! what is too much, or told by hand.

use std::process::Output;

use crate::bench::{Teller, noting, place, target, told, value, waiting};
use crate::common::{Place, Signal, run, send, wait_until};

fn goingctl(place: &Place, words: &[&str]) -> Output {
    let run_dir = place.path("run");
    let own = [env!("CARGO_BIN_EXE_goingctl"), words[0], "-r", &run_dir];
    run(&[&own[..], &words[1..]].concat())
}

/// A service that writes what the files `NAME.1` and so on say, each when it is there.
fn writer(place: &Place, name: &str, more: &str) {
    place.write(
        "write.py",
        "import os, sys, time\n\
         for number in range(1, 100):\n\
         \x20   path = '%s.%d' % (sys.argv[1], number)\n\
         \x20   while not os.path.exists(path): time.sleep(0.01)\n\
         \x20   os.write(int(sys.argv[2]), open(path, 'rb').read())\n",
    );
    let (script, path) = (place.path("write.py"), place.path(name));
    place.service(name, &format!("cmd=python3 {script} {path} {more}"));
}

/// Waits until it hears the log of this service.
fn wait_heard(place: &Place, teller: &Teller, log: &str) {
    wait_until("it hears the log", || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", teller.pid())).unwrap().flatten();
        let mut links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        links.any(|it| it.to_string_lossy() == place.path(log))
    });
}

#[test]
fn a_keyword_is_found_over_the_bounds_of_reads_and_in_binary_output() {
    let place = place();
    let ops = noting(&place, "ops", "");
    target(&place, "ops", &format!("service=web\nevent=keyword\nkeyword=disk +full\n{ops}"));
    writer(&place, "web", "1\n");
    writer(&place, "other", "1\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_all_started(["web", "other"]);
    let teller = Teller::start(&place);
    wait_heard(&place, &teller, "log/web.log");
    place.write("web.1", "one\ntwo\nthree\nfour\nthe DI");
    wait_until("the beginning is written", || place.read("log/web.log").contains("the DI"));
    place.write("web.2", b"SK  \xff");
    place.write("other.1", "disk full\n");
    place.write("web.3", b"\nSK \x00\x1b[31m\xfe Disk   Full\x07\nafter\n");
    wait_until("it is told", || told(&place, "ops").len() == 1);
    let message = told(&place, "ops").remove(0);
    assert_eq!(value(&message, "GOING_EVENT"), "keyword");
    assert_eq!(value(&message, "GOING_SERVICE"), "web");
    assert!(value(&message, "GOING_SUMMARY").contains("Disk   Full"), "{message}");
    for text in ["TEXT     three\n", "TEXT     four\n", "TEXT     after\n"] {
        assert!(message.contains(text), "{text}: {message}");
    }
    assert!(!message.contains("TEXT     one"), "{message}");
    place.write("web.4", "a disk fu");
    wait_until("the beginning is written", || {
        std::fs::read(place.path("log/web.log")).unwrap().ends_with(b"a disk fu")
    });
    place.write("web.5", "ll again\n");
    wait_until("it is told", || told(&place, "ops").len() == 2);
    assert!(told(&place, "ops")[1].contains("wrote: a disk full again"));
}

#[test]
fn any_line_of_stderr_is_told_and_what_comes_together_goes_together() {
    let place = place();
    let ops = noting(&place, "ops", "");
    target(&place, "ops", &format!("event=stderr\n{ops}"));
    writer(&place, "web", "2\nstderr=log\n");
    writer(&place, "fine", "1\nstderr=log\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_all_started(["web", "fine"]);
    let teller = Teller::start(&place);
    wait_heard(&place, &teller, "log/web+stderr.log");
    place.write("fine.1", "nothing\n");
    place.write("web.1", "oops\nagain\nonce more\n");
    wait_until("it is told", || told(&place, "ops").len() == 1);
    let message = told(&place, "ops").remove(0);
    assert_eq!(value(&message, "GOING_SUMMARY"), "web: wrote: oops (and 2 more lines)");
    assert!(message.contains("TEXT     once more\n"), "{message}");
}

#[test]
fn what_is_too_much_is_counted() {
    let place = place();
    let ops = noting(&place, "ops", "");
    target(&place, "ops", &format!("event=exit\nlimit=2/3s\n{ops}"));
    place.service("web", "cmd=sleep 1000\nbackoff=10ms\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let teller = Teller::start(&place);
    for _ in 0..4 {
        send(going.wait_started("web"), Signal::SIGKILL);
    }
    going.wait_started("web");
    wait_until("the rest is counted", || told(&place, "ops").len() == 3);
    let summary = value(&told(&place, "ops")[2], "GOING_SUMMARY").to_owned();
    assert_eq!(summary, "2 events were not told: more than limit=2/3s");
    drop(teller);
}

#[test]
fn people_are_told_a_text_and_left_alone_when_they_want() {
    let place = place();
    target(&place, "ops", &noting(&place, "ops", ""));
    let late = noting(&place, "late", &format!("test -e {} || exit 3", place.path("go")));
    target(&place, "late", &format!("event=failed\n{late}"));
    place.service("web", "cmd=sleep 1000\nbackoff=10ms\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let output = goingctl(&place, &["notify", "hello"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("goingctl: no going-alert here"), "{said}");
    let _teller = Teller::start(&place);
    wait_until("it listens", || std::fs::metadata(place.path("run/alert")).is_ok());
    let output = goingctl(&place, &["notify", "the disk", "is\nfull"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    wait_until("it is told", || told(&place, "ops").len() == 1);
    let message = told(&place, "ops").remove(0);
    assert_eq!(value(&message, "GOING_EVENT"), "notice");
    assert_eq!(value(&message, "GOING_SUMMARY"), "the disk is");
    assert!(message.contains("TEXT     full\n"), "{message}");
    assert_eq!(waiting(&place, "late"), 0, "it did not ask for that");

    let output = goingctl(&place, &["notify", "--to", "late", "you"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = || String::from_utf8_lossy(&goingctl(&place, &["alerts"]).stdout).into_owned();
    wait_until("it cannot be told", || shown().contains("exit status 3"));
    assert!(shown().starts_with("late  command  1 waiting, /bin/sh: exit status 3\n"));
    assert!(shown().ends_with("\nops   command  0 waiting\n"), "{}", shown());

    let output = goingctl(&place, &["alerts", "--mute", "ops", "--for", "1h"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("ops  command  0 waiting, muted for "), "{said}");
    send(pid, Signal::SIGKILL);
    going.wait_started("web");
    let output = goingctl(&place, &["alerts", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[1]["target"], "ops");
    assert!(json[1]["muted_ms"].as_u64().unwrap() > 3_000_000, "{json}");
    let output = goingctl(&place, &["notify", "hello"]);
    assert_eq!(output.status.code(), Some(1), "all who want it are mute");
    goingctl(&place, &["alerts", "--unmute", "ops"]);
    goingctl(&place, &["notify", "last"]);
    wait_until("it is told", || told(&place, "ops").len() == 2);
    assert_eq!(value(&told(&place, "ops")[1], "GOING_SUMMARY"), "last");
    place.write("go", "");
    wait_until("the late one is told", || told(&place, "late").len() == 1);

    let output = goingctl(&place, &["alerts", "--mute", "opz"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "goingctl: no target \"opz\"; did you mean \"ops\"?\n");
}

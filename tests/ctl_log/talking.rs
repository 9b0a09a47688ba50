//! Talking with services at work: lines sent, lines answered, last words.

use std::fs::File;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::client::{Terminal, command, ctl, good, json, wait_ready, wait_state};
use crate::common::{Going, Place, has, is_alive, send, wait_until};
use crate::logs::Follower;

/// A going with a service that answers each line.
fn talkative() -> (Place, Going, i32) {
    let place = Place::new();
    let script = "while read -r line; do test \"$line\" = end && exit 3; echo \"got $line\"; done";
    let text = place.logged("web", script);
    place.service("web", &format!("{text}stdin=pipe\nstdout=file:{}\n", place.path("web.out")));
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    wait_state(&place, "web", "up");
    (place, going, pid)
}

#[test]
fn lines_are_sent() {
    let (place, mut going, _) = talkative();
    assert_eq!(good(&place, &["send", "web", "a", "b  c", "--json"]), "");
    wait_until("an answer", || place.read("web.out") == "got a b  c --json\n");
    place.write("lines", "1\n2\n3");
    let input = File::open(place.path("lines")).unwrap();
    let status = command(&place, &["send", "web", "-"]).stdin(input).status().unwrap();
    assert!(status.success());
    wait_until("answers", || place.read("web.out").ends_with("c --json\ngot 1\ngot 2\ngot 3\n"));
    assert_eq!(json(&place, &["send", "web", "x"])["services"][0]["outcome"], "done");
    let said = ctl(&place, &["send", "wbe", "x"]);
    assert!(said.code == 4 && said.err.contains("did you mean `web`?"), "{said:?}");
    place.write("bytes", b"\xff\n");
    let input = File::open(place.path("bytes")).unwrap();
    let output = command(&place, &["send", "web"]).stdin(input).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 1 is not UTF-8"));
    going.stop();
}

#[test]
fn whoever_takes_no_lines_gets_none() {
    let place = Place::new();
    place.service("web", "cmd=sleep 100000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let said = ctl(&place, &["send", "web", "x"]);
    assert!(said.code == 1 && said.err.contains("web: "), "{said:?}");
    going.stop();
}

/// More than a pipe can hold is read as fast as the service does.
#[test]
fn many_lines_wait_for_their_reader() {
    let (place, mut going, pid) = talkative();
    let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    place.write("lines", &lines);
    send(pid, Signal::SIGSTOP);
    let input = File::open(place.path("lines")).unwrap();
    let mut child = command(&place, &["send", "web"]).stdin(input).spawn().unwrap();
    wait_until("a full pipe", || {
        assert!(child.try_wait().unwrap().is_none(), "it does not wait");
        let wait = std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap();
        wait.contains("poll")
    });
    send(pid, Signal::SIGCONT);
    assert!(child.wait().unwrap().success());
    let expected: String = (0..20_000).map(|number| format!("got line {number}\n")).collect();
    wait_until("all of them", || place.read("web.out") == expected);
    going.stop();
}

#[test]
fn services_can_be_in_the_foreground() {
    if !has("script") {
        return;
    }
    let (place, mut going, pid) = talkative();
    good(&place, &["send", "web", "before"]);
    wait_until("an answer", || place.read("web.out") == "got before\n");
    let mut terminal = Terminal::new(&place, &["fg", "web"]);
    terminal.wait_for("web is shown here");
    terminal.type_keys("hello\n");
    terminal.wait_for("got hello");
    good(&place, &["send", "web", "by another"]);
    terminal.wait_for("got by another");
    assert!(!terminal.shown().contains("got before"));
    terminal.type_keys("\x03");
    assert_eq!(terminal.wait_exit(), 0);
    assert!(terminal.shown().contains("web goes on without us"), "{}", terminal.shown());
    assert!(is_alive(pid));
    let mut terminal = Terminal::new(&place, &["fg", "web"]);
    terminal.wait_for("web is shown here");
    terminal.type_keys("\x04");
    assert_eq!(terminal.wait_exit(), 0);
    assert!(terminal.shown().contains("web goes on without us"), "{}", terminal.shown());
    assert!(is_alive(pid));
    going.stop();
}

#[test]
fn what_comes_back_is_shown_before_a_piped_dialog_ends() {
    let place = Place::new();
    let script = "while read -r line; do sleep 0.3; echo \"got $line\"; done";
    let text = place.logged("web", script);
    place.service("web", &format!("{text}stdin=pipe\nstdout=file:{}\n", place.path("web.out")));
    let mut going = place.start(&[]);
    going.wait_started("web");
    wait_state(&place, "web", "up");
    wait_until("its output", || std::fs::exists(place.path("web.out")).unwrap());
    place.write("lines", "one\ntwo\nthree");
    let input = File::open(place.path("lines")).unwrap();
    let output = command(&place, &["fg", "web"]).stdin(input).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "got one\ngot two\ngot three\n");
    assert!(String::from_utf8(output.stderr).unwrap().contains("web goes on without us"));
    assert!(output.status.success());
    going.stop();
}

#[test]
fn foreground_ends_with_the_service() {
    let (place, mut going, pid) = talkative();
    let follow = |input: Stdio| {
        let (out, err) = (place.path("out"), place.path("err"));
        let mut command = command(&place, &["fg", "web"]);
        command.stdin(input).stdout(File::create(out).unwrap()).stderr(File::create(err).unwrap());
        command.spawn().unwrap()
    };
    let mut child = follow(Stdio::piped());
    {
        use std::io::Write;
        let input = child.stdin.as_mut().unwrap();
        input.write_all(b"one\ntwo\nend\n").unwrap();
    }
    wait_until("its end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.read("out"), "got one\ngot two\n");
    assert!(place.read("err").contains("web has ended: exit status 3"), "{}", place.read("err"));
    assert!(!is_alive(pid));
    // Its file goes, and so does it.
    going.wait_started("web");
    wait_state(&place, "web", "up");
    let mut child = follow(Stdio::piped());
    let pid = i32::try_from(child.id()).unwrap();
    wait_until("it to listen", || {
        let wait = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap();
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        wait.contains("poll") && fds > 8
    });
    place.remove("web");
    wait_until("its end", || child.try_wait().unwrap().is_some());
    assert!(place.read("err").contains("web has ended: "), "{}", place.read("err"));
    assert_eq!(ctl(&place, &["fg", "web"]).code, 4);
    going.stop();
}

#[test]
fn what_does_not_run_cannot_be_in_the_foreground() {
    let (place, mut going, _) = talkative();
    place.service("other", "cmd=sleep 100000\nstdout=null\n");
    going.wait_started("other");
    let said = ctl(&place, &["fg", "other"]);
    assert!(said.code == 1 && said.err.contains("does not go to a file"), "{said:?}");
    let said = ctl(&place, &["fg", "*"]);
    assert!(said.code == 2 && said.err.contains("only one service"), "{said:?}");
    good(&place, &["stop", "web"]);
    let said = ctl(&place, &["fg", "web"]);
    assert!(said.code == 3 && said.err.contains("web does not run, it is down"), "{said:?}");
    going.stop();
}

#[test]
fn last_words_are_told_by_why() {
    let place = Place::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11; do echo line $i; done; \
                  printf '\\033[2Jno \\033[31mdisk'; exit 3";
    let text = place.logged("web", script);
    let out = place.path("web.out");
    place.service("web", &format!("{text}stdout=file:{out}\nbackoff=1h\nbackoff-max=1h\n"));
    let mut going = place.start(&[]);
    wait_ready(&place);
    wait_state(&place, "web", "quarantined");
    wait_until("its last words", || place.read("web.out").ends_with("disk"));
    let story = good(&place, &["why", "web"]);
    let lines: String = (3..=11).map(|number| format!("    line {number}\n")).collect();
    let words = format!("  It wrote last:\n{lines}    ^[[2Jno disk\n  It has 1 strike");
    assert!(story.contains(&words), "{story}");
    assert!(story.contains("=> See all that it wrote: goingctl log web\n"), "{story}");
    let story = good(&place, &["why", "web", "-n", "2"]);
    assert!(story.contains("last:\n    line 11\n    ^[[2Jno disk\n"), "{story}");
    assert_eq!(ctl(&place, &["why", "web", "-n", "101"]).code, 2);
    let web = &json(&place, &["why", "web"])["services"][0];
    assert_eq!(web["last_lines"].as_array().unwrap().len(), 10, "{web}");
    assert_eq!(web["log"], out);
    // What cannot be read is said to be so.
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    let story = good(&place, &["why", "web"]);
    assert!(story.contains("  What it wrote cannot be shown: can't read "), "{story}");
    going.stop();
}

/// Its errors have a log of their own, and both say how it ended.
#[test]
fn how_it_ended_is_told_once_among_its_last_words() {
    let place = Place::new();
    let keys = "stderr=log\nbackoff=1h\nbackoff-max=1h\n";
    place.service("web", &format!("cmd=sh -c 'echo out; echo err >&2; exit 3'\n{keys}"));
    let mut going = place.start(&["-o", "stdout=log"]);
    wait_ready(&place);
    wait_state(&place, "web", "quarantined");
    for log in ["web", "web+stderr"] {
        wait_until("its end", || place.read(&format!("log/{log}.log")).contains("--- exit"));
    }
    let story = good(&place, &["why", "web"]);
    for text in ["Z out\n", "Z err\n", "--- started (", "--- exit status 3 after "] {
        assert_eq!(story.matches(text).count(), 1, "{text:?}: {story}");
    }
    going.stop();
}

/// With going-log at work, which alone knows when a log is empty.
#[test]
fn logs_are_cleared_and_reopened() {
    let place = Place::new();
    place.make_dir("log");
    let script = "while read -r line; do echo \"out $line\"; echo \"err $line\" >&2; done";
    let text = place.logged("web", script);
    let streams = "stdin=pipe\nstdout=log\nstderr=log\nlog-timestamps=no\n";
    place.service("web", &format!("{text}{streams}"));
    let folder = place.path("log");
    let mut going = place.start(&["-l", &folder]);
    going.wait_started("web");
    // What going says in both logs is not to be seen below.
    wait_until("a mark", || place.read("log/web.log").contains("--- started"));
    wait_until("another", || place.read("log/web+stderr.log").contains("--- started"));
    let follower = Follower::new(&place, &["log", "web", "-f", "--stdout", "-n", "0"]);
    follower.wait_idle();
    good(&place, &["send", "web", "1"]);
    follower.wait_out("out 1\n");
    wait_until("the other", || place.read("log/web+stderr.log").ends_with("err 1\n"));
    std::fs::write(place.path("log/web.log.1"), "old\n").unwrap();
    assert_eq!(good(&place, &["clear-log", "web"]), "web: log cleared\n");
    assert_eq!((place.read("log/web.log"), place.read("log/web+stderr.log")), Default::default());
    assert!(!place.dir.join("log/web.log.1").exists());
    good(&place, &["send", "web", "2"]);
    follower.wait_out("out 1\nout 2\n");
    // Something else renames it.
    std::fs::rename(place.path("log/web.log"), place.path("log/web.log.1")).unwrap();
    good(&place, &["send", "web", "3"]);
    follower.wait_out("out 1\nout 2\nout 3\n");
    assert_eq!(good(&place, &["reopen-logs"]), "logs reopened\n");
    good(&place, &["send", "web", "4"]);
    follower.wait_out("out 1\nout 2\nout 3\nout 4\n");
    assert_eq!(place.read("log/web.log"), "out 4\n");
    assert_eq!(good(&place, &["log", "web", "--stdout", "-n", "2"]), "out 3\nout 4\n");
    going.stop();
}

#[test]
fn logs_are_where_going_says() {
    let (place, mut going, _) = talkative();
    let follower = Follower::new(&place, &["log", "web", "-f"]);
    good(&place, &["send", "web", "x"]);
    follower.wait_out("got x\n");
    assert_eq!(good(&place, &["log", "w*"]), "got x\n");
    let said = ctl(&place, &["log", "web", "--stderr"]);
    assert!(said.code == 1, "{said:?}");
    let said = ctl(&place, &["log", "wbe"]);
    assert!(said.code == 4 && said.err.contains("did you mean `web`?"), "{said:?}");
    going.stop();
}

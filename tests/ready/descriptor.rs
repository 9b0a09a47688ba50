//! A line on a descriptor, as programs of s6 write it.

use crate::common::{Place, has, wait_comm, wait_until};
use crate::why;

#[test]
fn a_line_on_its_descriptor_makes_a_service_ready() {
    let place = Place::new();
    let go = place.path("go");
    let wait = format!("until test -e {go}; do sleep 0.02; done");
    let script = format!(
        "readlink /proc/$$/fd/7 >{}; {wait}; echo >&7; exec sleep 1000",
        place.path("link")
    );
    place.service("web", &format!("cmd=sh -c '{script}'\nready=fd:7\n"));
    // Without a line it does not count, however much is said.
    place.service("half", "cmd=sh -c 'printf ready >&3; exec sleep 1000'\nready=fd:3\n");
    let script = "head -c 100000 /dev/zero >&200; echo >&200; exec sleep 1000";
    place.service(
        "much",
        &format!(
            "cmd=sh -c 'exec 9>/dev/null; python3 -c \"1\"; {}'\nready=fd:9\n",
            script.replace("200", "9")
        ),
    );
    let mut going = place.start(&[]);
    assert!(place.wait_text("link").starts_with("pipe:["));
    wait_until("it to run", || why(&place, "web").contains("stage=unready\n"));
    assert_eq!(going.count("web: started*"), 0);
    place.write("go", "");
    let pid = going.wait_started("web");
    // The shell has some of its own for a moment.
    wait_comm(pid, "sleep");
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut fds: Vec<_> = fds.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2", "7"], "it has what it was promised, and nothing else");
    assert!(why(&place, "half").contains("stage=unready\n"));
    going.stop();
}

#[test]
fn who_closes_it_without_a_line_is_never_ready() {
    let place = Place::new();
    let keys = "ready=fd:3\nstart-timeout=1s\nstrikes=1\n";
    place.service("web", &format!("cmd=sh -c 'printf no >&3; exec 3>&-; exec sleep 1000'\n{keys}"));
    let mut going = place.start(&[]);
    going.wait_for("web: closed its descriptor without a line on it, so is never ready");
    going.wait_for("Not ready after 1s (web: start-timeout, line 3)");
    going.wait_for("web terminated after: *gave up after 1 strike)");
    assert!(why(&place, "web").contains("last-strike=unready\n"));
    going.stop();
}

#[test]
fn it_is_apart_from_the_sockets_of_the_service() {
    let place = Place::new();
    let (one, two) = (place.path("one"), place.path("two"));
    let sockets = format!("listen=unix:{one}\nlisten=unix:{two}\n");
    place.service("wrong", &format!("cmd=sleep 1000\n{sockets}ready=fd:4\n"));
    let script = "readlink /proc/$$/fd/3 /proc/$$/fd/4 /proc/$$/fd/5; ls /proc/$$/fd";
    let out = place.path("fds");
    place.service(
        "web",
        &format!("cmd=sh -c '({script}) >{out}; echo >&5; exec sleep 1000'\n{sockets}ready=fd:5\n"),
    );
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "*/wrong:4: ready= is a descriptor that is one of its sockets, for listen= gives it 3 and up",
        "web: started (pid *)",
    ]);
    let fds = place.read("fds");
    let kinds: Vec<_> = fds.lines().take(3).map(|it| it.split(':').next().unwrap()).collect();
    assert_eq!(kinds, ["socket", "socket", "pipe"], "{fds}");
    going.stop();
}

/// Numbers which are others' in going itself, one after the other.
#[test]
fn every_number_can_be_its_descriptor() {
    let place = Place::new();
    let numbers: Vec<u8> = (3..40).chain([255]).collect();
    for number in &numbers {
        let script = format!(
            "readlink /proc/$$/fd/{number} >/dev/null; python3 -c \"import os; os.write({number}, bytes([10]))\"; exec sleep 1000"
        );
        place.service(
            &format!("n{number}"),
            &format!("cmd=bash -c '{script}'\nready=fd:{number}\nstart-timeout=1h\n"),
        );
    }
    if !has("bash") || !has("python3") {
        return;
    }
    let mut going = place.start(&[]);
    let starts: Vec<_> = numbers.iter().map(|it| format!("n{it}: started (pid *)")).collect();
    going.wait_for_all(&starts.iter().map(String::as_str).collect::<Vec<_>>());
    going.stop();
}

/// Programs of s6 themselves, which are told the number.
#[test]
fn the_programs_of_s6_are_understood() {
    let place = Place::new();
    if !has("s6-log") || !has("s6-svscan") {
        return;
    }
    let (logs, scan) = (place.path("logs"), place.path("scan"));
    place.make_dir("scan");
    place.service("log", &format!("cmd=s6-log -d 7 n3 {logs}\nstdin=pipe\nready=fd:7\n"));
    place.service("scan", &format!("cmd=s6-svscan -d 3 {scan}\nready=fd:3\n"));
    // It would be ready, but says so elsewhere.
    place.service("other", &format!("cmd=s6-log -d 5 n3 {logs}-2\nstdin=pipe\nready=fd:4\n"));
    let mut going = place.start(&[]);
    going.wait_all_started(["log", "scan"]);
    assert!(place.dir.join("logs/lock").exists(), "it had begun");
    assert_eq!(going.count("other: started*"), 0);
    going.stop();
}

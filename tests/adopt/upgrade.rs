//! `command=upgrade`: another program in the same process, with the same services,
//! and nobody turned away; and all the new programs that are none.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::client::{Client, request};
use crate::common::{
    Going, Place, Signal, children, is_alive, program, run, send, stat, strings, wait_comm,
    wait_until,
};
use crate::{main_of, mains};

/// Starts a copy of the program, which can be replaced.
fn start_copy(place: &Place, args: &[&str]) -> Going {
    let (copy, confdir) = (place.copied_program(), place.path("going.d"));
    // Nobody looks for going-log beside the copy, so there are no logs.
    let own = [&*copy, "-d", &confdir, "--report", "stderr", "-o", "stdout=inherit"];
    place.start_words(&[&own, args].concat())
}

/// Puts something else in the place of the program, as package managers do.
fn install(place: &Place, text: &[u8]) {
    place.write("new", text);
    fs::set_permissions(place.path("new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(place.path("new"), place.path("going")).unwrap();
}

fn install_again(place: &Place) {
    fs::remove_file(place.path("going")).unwrap();
    place.copied_program();
}

#[test]
fn an_upgrade_keeps_every_process_and_the_state_of_all() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.service("down", "cmd=sleep 1000\n");
    place.service("held", "cmd=false\nbackoff=1h\nbackoff-max=1h\n");
    let text = format!("cmd=sh -c 'read -r it <{}; exit 4'\n", place.path("fifo"));
    nix::unistd::mkfifo(place.path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.service("ends", &(text + "restart=never\n"));
    let mut going = start_copy(&place, &["-v"]);
    let mut client = Client::connect(&place);
    client.wait_state("held", "quarantined");
    client.order(&["command=stop", "name=down"]);
    client.wait_state("down", "down");
    client.wait_state("ends", "up");
    let (before, words) = (mains(&place), strings(going.pid, "cmdline"));
    for round in 1..=3 {
        install_again(&place);
        Client::connect(&place).order(&["command=upgrade"]);
        going.wait_for("upgrade: becoming */going");
        going.wait_for("took up 2 services, 0 died meanwhile");
        assert_eq!(mains(&place), before, "round {round}");
        assert_eq!(strings(going.pid, "cmdline"), words);
        assert!(is_alive(going.pid));
        let mut client = Client::connect(&place);
        assert_eq!(client.wait_state("down", "down").get("want"), Some("down"));
        assert_eq!(client.wait_state("held", "quarantined").number("strikes"), Some(1));
        assert_eq!(client.wait_state("web", "up").number("starts"), Some(1));
    }
    // They are still its own children.
    let web = main_of(&place, "web").0;
    assert_eq!(stat(web).unwrap()[1], going.pid.to_string());
    fs::write(place.path("fifo"), "now\n").unwrap();
    going.wait_for("ends terminated after: *s (exit status 4; failed, restart=never)");
    send(web, Signal::SIGKILL);
    going.wait_for("web terminated after: *(killed by SIGKILL*");
    // What was handed over is handed to nobody else.
    let mut client = Client::connect(&place);
    client.order(&["command=retry", "name=web"]);
    client.wait_state("web", "up");
    let web = main_of(&place, "web").0;
    let handed = |it: &String| it.starts_with("GOING_HANDOVER=");
    assert!(!strings(web, "environ").iter().any(handed));
    assert_eq!(fs::read_dir(format!("/proc/{web}/fd")).unwrap().count(), 3);
    assert_eq!(place.read("run/lock"), format!("{}\n", going.pid));
    going.stop();
}

/// What a dead service has said and nobody has read goes along, whatever became of its
/// file: going-log stands still meanwhile.
#[test]
fn last_words_survive_an_upgrade() {
    let place = Place::new();
    place.copied_program();
    let from = program().replace("/going", "/going-log");
    assert!(run(&["install", "-m", "755", &from, &place.path("going-log")]).status.success());
    let says = |name: &str| {
        let script = "read -r it; seq 1 1000; exec sleep 1000";
        place.service(name, &format!("cmd=sh -c '{script}'\nstdin=pipe\nrestart=never\n"));
    };
    ["stays", "goes", "lives"].iter().for_each(|it| says(it));
    let (confdir, rundir, logdir) = (place.path("going.d"), place.path("run"), place.path("log"));
    let words = [&place.path("going"), "-d", &confdir, "-r", &rundir, "-l", &logdir];
    let options = ["--report", "stderr", "-o", "log-timestamps=no"];
    let mut going = place.start_plainly(&[&words[..], &options].concat());
    let [goes, lives, stays, logger] =
        going.wait_all_started(["goes", "lives", "stays", "going-log"]);
    let mut client = Client::connect(&place);
    client.wait_state("going-log", "up");
    let wait_marks = |text: &str| {
        for name in ["stays", "goes", "lives"] {
            wait_until(name, || place.read(&format!("log/{name}.log")).contains(text));
        }
    };
    wait_marks("started");
    send(logger, Signal::SIGSTOP);
    for (name, pid) in [("stays", stays), ("goes", goes), ("lives", lives)] {
        client.order(&["command=send", &format!("name={name}"), "text=now"]);
        wait_comm(pid, "sleep");
    }
    for pid in [stays, goes] {
        send(pid, Signal::SIGKILL);
    }
    going.wait_for_all(&["stays terminated after: *", "goes terminated after: *"]);
    place.remove("goes");
    going.wait_for("goes: removed");
    for _ in 0..2 {
        Client::connect(&place).order(&["command=upgrade"]);
        going.wait_for("took up 2 services, 0 died meanwhile");
    }
    send(logger, Signal::SIGCONT);
    for name in ["stays", "goes", "lives"] {
        let file = format!("log/{name}.log");
        wait_until(name, || place.read(&file).contains("\n1000\n"));
        let text = place.read(&file);
        let numbers: Vec<_> = text.lines().filter_map(|it| it.parse::<u32>().ok()).collect();
        assert_eq!(numbers, (1..=1000).collect::<Vec<_>>(), "{name}: {text}");
    }
    going.stop();
}

#[test]
fn nobody_is_turned_away_during_an_upgrade() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = start_copy(&place, &[]);
    going.wait_started("web");
    Client::connect(&place).order(&["command=ping"]);
    let (is_over, served) = (AtomicBool::new(false), AtomicU32::new(0));
    let path = place.path("run/control");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // To be taken in is promised, to be answered by the old one is not.
                    let mut stream = UnixStream::connect(&path).expect("refused");
                    let mut answer = [0; 9];
                    let asked = stream.write_all(request(&["command=ping"]).as_bytes());
                    if asked.is_ok() && stream.read_exact(&mut answer).is_ok() {
                        assert_eq!(&answer, b"result=ok");
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for _ in 0..20 {
            let before = served.load(Ordering::Relaxed);
            wait_until("clients to be served", || served.load(Ordering::Relaxed) > before + 10);
            Client::connect(&place).order(&["command=upgrade"]);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    going.stop();
    assert_eq!(going.count("took up 1 services, 0 died meanwhile"), 20);
    assert_eq!(going.count("web: started (pid *)"), 1);
}

#[test]
fn a_program_that_cannot_take_over_is_not_let() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = start_copy(&place, &[]);
    going.wait_started("web");
    let before = mains(&place);
    let cases: [(&[u8], &str); 5] = [
        (b"#!/bin/sh\nexit 3\n", "*/going fails without a word"),
        (b"#!/bin/sh\necho too old >&2\nexit 64\n", "too old"),
        (b"#!/bin/sh\nexit 0\n", "*/going is no going that can take over"),
        (b"\x7fELF and no more", "*"),
        (b"#!/nonexistent/sh\n", "can't execute */going: No such file or directory"),
    ];
    for (text, why) in cases {
        install(&place, text);
        let reply = Client::connect(&place).ask(&["command=upgrade"]);
        assert_eq!(reply.end.get("code"), Some("failed"), "{reply:?}");
        let message = reply.end.get("message").unwrap();
        assert!(crate::common::like(why, message), "{message}");
        going.wait_for("Upgrade failed, going on as before: *");
        assert_eq!(mains(&place), before);
    }
    fs::remove_file(place.path("going")).unwrap();
    let reply = Client::connect(&place).ask(&["command=upgrade"]);
    assert_eq!(reply.end.get("code"), Some("failed"), "{reply:?}");
    // One that never answers, while everything else goes on; it is killed in the end.
    install(&place, b"#!/bin/sh\nexec sleep 1000\n");
    let mut client = Client::connect(&place);
    client.say(&["command=upgrade"]);
    let second = Client::connect(&place).ask(&["command=upgrade"]);
    assert_eq!(second.end.get("message"), Some("an upgrade is under way"));
    place.service("more", "cmd=sleep 1000\n");
    going.wait_started("more");
    let reply = client.reply();
    assert!(reply.end.get("message").unwrap().ends_with("does not answer"), "{reply:?}");
    wait_until("its end", || children(going.pid).len() == 2);
    // And after all of that a good one is welcome.
    install_again(&place);
    Client::connect(&place).order(&["command=upgrade"]);
    going.wait_for("took up 2 services, 0 died meanwhile");
    assert_eq!(main_of(&place, "web"), before["web"][0]);
    going.stop();
}

#[test]
fn only_those_who_may_do_all_may_upgrade_and_only_once_it_can_be() {
    let place = Place::new();
    place.service("slow", "cmd=sh -c 'trap \"\" TERM; echo >set; while :; do sleep 0.05; done'\n");
    let mut going =
        start_copy(&place, &["-o", "stop=TERM 1h", "-o", &format!("cwd={}", place.dir.display())]);
    wait_until("the trap", || crate::exists(&place, "set"));
    let mut client = Client::connect(&place);
    client.order(&["command=shutdown"]);
    let reply = client.ask(&["command=upgrade"]);
    assert_eq!(reply.end.get("message"), Some("going is shutting down"));
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
}

/// What the check of the new program says by itself.
#[test]
fn the_check_before_an_upgrade_reads_the_state_and_starts_nothing() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let program = crate::common::program();
    let check = || run(&[&program, "-d", &confdir, "-r", &rundir, "--upgrade-check"]);
    let output = check();
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    let mut going = place.start(&[]);
    going.wait_started("web");
    Client::connect(&place).wait_state("web", "up");
    let output = check();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(crate::common::like("going * can take over 1 services\n", &said), "{said}");
    assert_eq!(mains(&place).len(), 1);
    going.stop();
}

//! goingctl on a going at work: orders, waiting, looking, files.

#[path = "ctl/mod.rs"]
mod client;
mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::process::Stdio;

use client::{command, ctl, good, json, service, wait_ready, wait_state};
use common::{Place, Signal, has_root, is_alive, send, stat, unseen, wait_until};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};

const SLEEP: &str = "cmd=sleep 100000\n";
const STUBBORN: &str = "trap '' TERM; while :; do sleep 1; done";

#[test]
fn status_tells_how_things_are() {
    let place = Place::new();
    place.service("web", &format!("{SLEEP}tag=front\ndescription=The web server\n"));
    place.service("bad", "cmmd=x\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let text = good(&place, &["status"]);
    let line = text.lines().find(|line| line.starts_with("web ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..3], ["web", "up", &pid.to_string()], "{text}");
    assert!(text.contains("going.d/bad:1: unknown key \"cmmd\"; did you mean \"cmd\"?"), "{text}");
    let web = service(&place, "web");
    assert_eq!(web["pid"], pid);
    assert_eq!(web["tag"][0], "front");
    assert_eq!(web["description"], "The web server");
    assert!(web["memory_bytes"].as_u64().unwrap() > 0, "{web}");
    assert_eq!(service(&place, "@front")["service"], "web");
    assert_eq!(service(&place, "w?[a-c]")["service"], "web");
    going.stop();
}

#[test]
fn exit_statuses_are_what_scripts_ask_for() {
    let place = Place::new();
    place.service("web", SLEEP);
    assert_eq!(ctl(&place, &["status"]).code, 4, "no going yet");
    assert_eq!(ctl(&place, &["ping"]).code, 4);
    let mut going = place.start(&[]);
    going.wait_started("web");
    assert_eq!(ctl(&place, &["ping"]).code, 0);
    assert_eq!(ctl(&place, &["status", "web"]).code, 0);
    let unknown = ctl(&place, &["status", "wbe"]);
    assert_eq!(unknown.code, 4);
    assert!(unknown.err.contains("no service `wbe`; did you mean `web`?"), "{unknown:?}");
    assert_eq!(ctl(&place, &["stop", "web", "wbe"]).code, 4, "but web is stopped");
    assert_eq!(ctl(&place, &["status", "web"]).code, 3);
    assert_eq!(ctl(&place, &["status"]).code, 0, "nobody asked for web");
    assert_eq!(ctl(&place, &["stop"]).code, 2);
    going.stop();
    let dead = ctl(&place, &["start", "web"]);
    assert_eq!(dead.code, 4);
    assert!(dead.err.contains(&place.path("run/control")), "{dead:?}");
}

#[test]
fn orders_are_waited_for() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    let first = going.wait_started("web");
    assert_eq!(good(&place, &["stop", "web"]), "web: down\n");
    assert!(!is_alive(first));
    assert_eq!(good(&place, &["stop", "web"]), "web: already down\n");
    let text = good(&place, &["start", "web"]);
    let second = going.wait_started("web");
    assert_eq!(text, format!("web: up (pid {second})\n"));
    let text = good(&place, &["restart", "web"]);
    let third = going.wait_started("web");
    assert_eq!(text, format!("web: up (pid {third})\n"));
    assert!(!is_alive(second) && is_alive(third));
    assert_eq!(good(&place, &["start", "web"]), "web: already up\n");
    let text = good(&place, &["stop", "--no-wait", "web"]);
    assert!(["web: stopping\n", "web: down\n"].contains(&text.as_str()), "{text}");
    wait_state(&place, "web", "down");
    going.stop();
}

#[test]
fn patience_has_an_end_where_somebody_sets_one() {
    let place = Place::new();
    let text = place.logged("web", STUBBORN);
    place.service("web", &format!("{text}stop=TERM 1h KILL\n"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pid = place.wait_starts("web", 1);
    let said = ctl(&place, &["stop", "web", "--timeout", "200ms"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("after 200ms: web is stopping"), "{said:?}");
    assert_eq!(service(&place, "web")["signal"], "TERM");
    assert!(is_alive(pid));
    assert_eq!(good(&place, &["signal", "KILL", "web"]), "web: SIGKILL sent\n");
    assert_eq!(ctl(&place, &["wait", "web", "--for", "down"]).code, 0);
    going.stop();
}

#[test]
fn what_cannot_start_is_told_with_the_reason() {
    let place = Place::new();
    place.service("web", "cmd=/no/such/thing\nbackoff=1h\nbackoff-max=1h\n");
    let mut going = place.start(&[]);
    going.wait_for("web * quarantined *");
    let said = ctl(&place, &["start", "web"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("web is quarantined: "), "{said:?}");
    assert!(said.err.contains("/no/such/thing"), "{said:?}");
    assert!(said.err.contains("goingctl why web"), "{said:?}");
    let story = good(&place, &["why", "web"]);
    assert!(story.contains("it could not be run: "), "{story}");
    assert!(story.contains("=> Put right what is missing, then: goingctl retry web"), "{story}");
    going.stop();
}

#[test]
fn what_ran_and_was_ended_is_not_said_to_be_missing() {
    let place = Place::new();
    let keys = "ready=notify\nstart-timeout=200ms\nbackoff=1h\nbackoff-max=1h\n";
    place.service("late", &format!("cmd=sleep 1000\n{keys}"));
    place.service("lost", "cmd=sleep 1\nuser=nobody-at-all\nbackoff=1h\nbackoff-max=1h\n");
    place.service("root", "cmd=sleep 1\nchroot=/no/such/root\nbackoff=1h\nbackoff-max=1h\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&["late * quarantined *", "lost * quarantined *", "root * quarantined *"]);
    let story = good(&place, &["why", "late"]);
    let told = story.contains(": stopped after ") && story.contains("Not ready after 200ms");
    assert!(told && story.contains("(a strike: it was not ready)"), "{story}");
    assert!(!story.contains("what is missing"), "{story}");
    assert!(good(&place, &["why", "lost"]).contains("There is no user nobody-at-all"));
    let story = good(&place, &["why", "root"]);
    assert!(story.contains("Can't change root to /no/such/root: No such file"), "{story}");
    going.stop();
}

#[test]
fn quarantine_ends_when_somebody_says_so() {
    let place = Place::new();
    let sick = place.path("sick");
    fs::write(&sick, "").unwrap();
    place.service(
        "web",
        &format!("cmd=sh -c 'test ! -e {sick} && exec sleep 1000'\nbackoff=1h\nbackoff-max=1h\n"),
    );
    let mut going = place.start(&[]);
    going.wait_for("web * quarantined *");
    let web = service(&place, "web");
    assert_eq!((&web["next"], &web["strikes"]), (&"start".into(), &1.into()), "{web}");
    assert!(web["next_ms"].as_u64().unwrap() > 1_000_000, "{web}");
    fs::remove_file(&sick).unwrap();
    let text = good(&place, &["retry", "web"]);
    assert!(text.starts_with("web: up (pid "), "{text}");
    assert_eq!(good(&place, &["retry", "web"]), "web: nothing to retry, it is up\n");
    going.stop();
}

#[test]
fn signals_reach_the_main_process() {
    let place = Place::new();
    let (text, out) = (
        "trap 'echo hup >>OUT' HUP; trap 'echo usr >>OUT' USR1; echo >>OUT ready; \
                        while :; do sleep 0.1; done",
        place.path("out"),
    );
    let text = place.logged("web", &text.replace("OUT", &out));
    place.service("web", &text);
    let mut going = place.start(&[]);
    going.wait_started("web");
    wait_until("it to listen", || place.read("out") == "ready\n");
    assert_eq!(good(&place, &["hup", "web"]), "web: told to read its configuration again\n");
    wait_until("the first", || place.read("out") == "ready\nhup\n");
    assert_eq!(good(&place, &["signal", "usr1", "web"]), "web: SIGUSR1 sent\n");
    wait_until("the second", || place.read("out") == "ready\nhup\nusr\n");
    good(&place, &["stop", "web"]);
    let said = ctl(&place, &["hup", "web"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    going.stop();
}

#[test]
fn what_is_disabled_stays_down_over_a_restart() {
    let place = Place::new();
    place.service("web", SLEEP);
    place.service("other", SLEEP);
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "other"]);
    assert_eq!(good(&place, &["disable", "web"]), "web: disabled\n");
    assert_eq!(good(&place, &["disable", "web"]), "web: already disabled\n");
    wait_state(&place, "web", "disabled");
    let said = ctl(&place, &["start", "web"]);
    assert_eq!(said.code, 1, "{said:?}");
    going.stop();
    let mut going = place.start(&[]);
    going.wait_started("other");
    assert_eq!(service(&place, "web")["state"], "disabled");
    assert_eq!(good(&place, &["enable", "web"]), "web: enabled\n");
    going.wait_started("web");
    going.stop();
}

#[test]
fn reload_is_told_before_it_is_done() {
    let place = Place::new();
    for name in ["same", "gone", "new-cmd", "patient"] {
        place.service(name, SLEEP);
    }
    let mut going = place.start(&[]);
    going.wait_all_started(["same", "gone", "new-cmd", "patient"]);
    assert_eq!(good(&place, &["reload"]), "nothing changed\n");
    // It asks while going looks away, and so before going sees the change.
    let mut asked = None;
    unseen(&going, || {
        place.service("added", SLEEP);
        place.service("broken", "cmmd=x\n");
        place.service("new-cmd", "cmd=sleep 99999\n");
        place.service("patient", &format!("{SLEEP}stop=TERM 1m KILL\n"));
        place.remove("gone");
        let mut child =
            command(&place, &["reload", "--dry-run"]).stdout(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // It has asked when it sleeps, waiting for the answer.
        wait_until("the question", || {
            let has_connected = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() > 3;
            has_connected && stat(pid).is_some_and(|it| it[0] == "S")
        });
        asked = Some(child.stdout.take().unwrap());
        drop(child);
    });
    let lines: Vec<String> =
        BufReader::new(asked.unwrap()).lines().map(|line| line.unwrap()).collect();
    let place_of = |name: &str| place.path(&format!("going.d/{name}"));
    assert_eq!(
        lines,
        [
            "added: would start",
            "broken: file refused",
            &format!("  {}: no cmd= line", place_of("broken")),
            &format!("  {}:1: unknown key \"cmmd\"; did you mean \"cmd\"?", place_of("broken")),
            "new-cmd: would restart (cmd)",
            "patient: would change in place (stop)",
            "gone: would stop, its file is gone",
        ]
    );
    going.wait_for("new-cmd: cmd changed, restarted");
    wait_state(&place, "added", "up");
    going.stop();
}

#[test]
fn new_services_are_written_and_run() {
    let place = Place::new();
    let mut going = place.start(&[]);
    wait_ready(&place);
    let file = place.path("going.d/web");
    let text = good(&place, &["new", "web", "stop=INT", "--", "sh", "-c", "exec sleep '1000'"]);
    assert_eq!(text, format!("wrote {file}\n"));
    assert_eq!(place.read("going.d/web"), "cmd=sh -c 'exec sleep '\\''1000'\\'''\nstop=INT\n");
    going.wait_started("web");
    let said = ctl(&place, &["new", "web", "--", "sleep", "1"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("there is one already"), "{said:?}");
    let said = ctl(&place, &["new", "other", "sotp=INT", "--", "sleep", "1"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("unknown key \"sotp\"; did you mean \"stop\"?"), "{said:?}");
    let said = ctl(&place, &["new", "other", "user=no-such-user", "--", "sleep", "1"]);
    assert!(said.code == 2 && said.err.contains("no-such-user"), "{said:?}");
    assert!(!said.err.contains("goingctl-new"), "{said:?}");
    let said = ctl(&place, &["new", "other", "--", "/no/such/program"]);
    assert!(said.code == 2 && said.err.contains("/no/such/program"), "{said:?}");
    let files = fs::read_dir(place.dir.join("going.d")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["web"], "nothing is left lying about");
    going.stop();
}

#[test]
fn of_many_new_files_of_one_name_one_is_written() {
    let place = Place::new();
    let dir = place.path("going.d");
    let numbers: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let write =
        |number| command(&place, &["new", "-d", &dir, "web", "--", "sleep", number]).spawn();
    let children: Vec<_> = numbers.iter().map(|number| write(number).unwrap()).collect();
    let codes = children.into_iter().map(|mut child| child.wait().unwrap().code().unwrap());
    let mut codes: Vec<i32> = codes.collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn waiting_ends_with_the_state_that_was_waited_for() {
    let place = Place::new();
    place.service(
        "work",
        "cmd=sh -c 'read x <GATE'\ntype=oneshot\n".replace("GATE", &place.path("gate")).as_str(),
    );
    assert!(common::run(&["mkfifo", &place.path("gate")]).status.success());
    let mut going = place.start(&[]);
    going.wait_started("work");
    let waiting =
        command(&place, &["wait", "work", "--for", "done"]).stdout(Stdio::piped()).spawn();
    let said = ctl(&place, &["wait", "work", "--for", "done", "--timeout", "50ms"]);
    assert_eq!(said.code, 1, "{said:?}");
    fs::write(place.path("gate"), "\n").unwrap();
    let said: client::Said = waiting.unwrap().wait_with_output().unwrap().into();
    assert_eq!((said.code, said.out.as_str()), (0, "work: done\n"), "{said:?}");
    going.stop();
}

#[test]
fn events_are_told_as_they_come_and_afterwards() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let serial = json(&place, &["status"])["serial"].as_u64().unwrap();
    let follow = ["events", "-f", "--since", &serial.to_string()];
    let mut child = command(&place, &follow).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    good(&place, &["stop", "web"]);
    let stopping = lines.next().unwrap().unwrap();
    assert!(stopping.contains(&format!("web: up -> stopping (pid {pid}")), "{stopping}");
    let down = lines.next().unwrap().unwrap();
    assert!(down.contains("web: stopping -> down") && down.contains("SIGTERM"), "{down}");
    child.kill().unwrap();
    child.wait().unwrap();
    let said = ctl(&place, &["--json", "events", "--since", &serial.to_string()]);
    let states: Vec<String> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["stopping", "down"], "{said:?}");
    going.stop();
}

#[test]
fn shutdown_is_over_when_everything_is() {
    let place = Place::new();
    let text = place.logged("web", STUBBORN);
    place.service("web", &format!("{text}stop=TERM 300ms KILL\n"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pid = place.wait_starts("web", 1);
    let text = good(&place, &["shutdown"]);
    assert_eq!(text, "all services stopped, going has ended\n");
    assert!(!is_alive(pid));
    assert_eq!(going.wait_exit(), 0);
    assert_eq!(ctl(&place, &["ping"]).code, 4);
}

/// R170: those to whom a service belongs command it, and nothing else.
#[test]
fn others_may_look_but_command_only_what_is_theirs() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let program = place.path("ctl");
    fs::copy(client::goingctl(), &program).unwrap();
    place.service("mine", &format!("{SLEEP}user=65534\ngroup=65534\n"));
    place.service("granted", &format!("{SLEEP}control=65534\n"));
    place.service("roots", SLEEP);
    let mut going = place.start(&[]);
    going.wait_all_started(["mine", "granted", "roots"]);
    let run = place.path("run");
    let other = |args: &[&str]| -> client::Said {
        let own = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        common::run(&[&own[..], &[&program, "-r", &run], args].concat()).into()
    };
    assert_eq!(other(&["status", "roots"]).code, 0);
    assert_eq!(other(&["why", "roots"]).code, 0);
    assert_eq!(other(&["restart", "mine"]).code, 0);
    assert_eq!(other(&["stop", "granted"]).code, 0);
    let said = other(&["stop", "roots", "mine"]);
    assert_eq!((said.code, said.out.as_str()), (1, "mine: down\n"), "{said:?}");
    assert!(said.err.contains("roots: it is not yours to command"), "{said:?}");
    for args in [&["shutdown"][..], &["reload"], &["disable", "mine"]] {
        let said = other(args);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("only root and going's own user may"), "{said:?}");
    }
    assert_eq!(service(&place, "roots")["state"], "up");
    going.stop();
}

/// Nobody waits for ever for a going that does not answer.
#[test]
fn going_that_is_stopped_is_told_from_one_that_answers() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    going.signal(Signal::SIGSTOP);
    let said = ctl(&place, &["status"]);
    going.signal(Signal::SIGCONT);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("did not answer") && said.err.contains("is it stopped?"), "{said:?}");
    assert_eq!(ctl(&place, &["status"]).code, 0);
    going.stop();
}

/// Even to be let in is not waited for for ever.
#[test]
fn queue_that_does_not_move_is_left() {
    let place = Place::new();
    place.make_dir("run");
    let (kind, flags) = (SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC);
    let new = || socket(AddressFamily::Unix, kind, flags, None).unwrap();
    let address = UnixAddr::new(place.path("run/control").as_str()).unwrap();
    let listener = new();
    bind(listener.as_raw_fd(), &address).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let mut waiting = Vec::new();
    loop {
        waiting.push(new());
        if connect(waiting.last().unwrap().as_raw_fd(), &address).is_err() {
            break;
        }
    }
    let said = ctl(&place, &["ping"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("going does not answer on "), "{said:?}");
}

#[test]
fn going_that_dies_is_noticed_by_whoever_waits() {
    let place = Place::new();
    place.service("web", SLEEP);
    let mut going = place.start(&[]);
    going.wait_started("web");
    let mut child = command(&place, &["wait", "web", "--for", "failed"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut follower = command(&place, &["events", "-f"]).stdout(Stdio::null()).spawn().unwrap();
    wait_until("two clients", || json(&place, &["self"])["clients"].as_u64().unwrap() >= 3);
    send(going.pid, Signal::SIGKILL);
    going.wait_exit();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert_eq!(follower.wait().unwrap().code(), Some(4));
}

//! Going killed at each system call on its way through a death, an order to stop, an
//! order to start again and an upgrade: the next one goes on from there, whatever was
//! written down by then.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::client::{Client, request};
use crate::common::{Going, Place, Signal, has, is_alive, program, send, status, wait_until};
use crate::{exists, is_answered, main_of, mains};

/// The answer to an order, as far as it came.
type Answer = Option<UnixStream>;

/// One way through the loop.
struct Way {
    name: &'static str,
    begin: fn(&Place) -> Answer,
    /// Whether the end of it can be seen.
    is_over: fn(&Place, i32, &str) -> bool,
    /// What must be so in the end, if the order was confirmed or not.
    check: fn(&Place, i32, bool),
}

fn say(place: &Place, lines: &[&str]) -> Answer {
    // It may be dead already: it slept in a system call, too.
    let mut stream = UnixStream::connect(place.path("run/control")).ok()?;
    stream.write_all(request(lines).as_bytes()).ok()?;
    Some(stream)
}

fn kill_web(place: &Place) -> Answer {
    send(main_of(place, "web").0, Signal::SIGKILL);
    None
}

/// Another one runs, and it is the only one.
fn is_renewed(place: &Place, first: i32, _: &str) -> bool {
    let all = mains(place).remove("web").unwrap_or_default();
    all.len() == 1 && all[0].0 != first && status(all[0].0, "Name") == "sleep"
}

fn is_gone(place: &Place, _: i32, report: &str) -> bool {
    !mains(place).contains_key("web") && report.contains("web: stopped after")
}

fn is_upgraded(_: &Place, _: i32, report: &str) -> bool {
    report.contains("took up 1 services, 0 died meanwhile")
}

fn check_up(place: &Place, _: i32, _: bool) {
    Client::connect(place).wait_state("web", "up");
    main_of(place, "web");
}

fn check_renewed(place: &Place, first: i32, was_confirmed: bool) {
    check_up(place, first, was_confirmed);
    assert!(!was_confirmed || main_of(place, "web").0 != first, "a confirmed order was forgotten");
}

fn check_down(place: &Place, _: i32, was_confirmed: bool) {
    let mut client = Client::connect(place);
    let told = client.order(&["command=status", "name=web"]);
    if told[0].get("want") == Some("down") {
        client.wait_state("web", "down");
        assert!(!mains(place).contains_key("web"));
    } else {
        assert!(!was_confirmed, "a confirmed order was forgotten");
        check_up(place, 0, false);
    }
}

fn check_same(place: &Place, first: i32, _: bool) {
    Client::connect(place).wait_state("web", "up");
    assert_eq!(main_of(place, "web").0, first, "it was started anew");
}

const WAYS: [Way; 4] = [
    Way { name: "a death", begin: kill_web, is_over: is_renewed, check: check_up },
    Way {
        name: "a stop",
        begin: |place| say(place, &["command=stop", "name=web"]),
        is_over: is_gone,
        check: check_down,
    },
    Way {
        name: "a restart",
        begin: |place| say(place, &["command=restart", "name=web"]),
        is_over: is_renewed,
        check: check_renewed,
    },
    Way {
        name: "an upgrade",
        begin: |place| say(place, &["command=upgrade"]),
        is_over: is_upgraded,
        check: check_same,
    },
];

/// A going that keeps `web`, and its tracer.
fn start(place: &Place, inject: &[&str]) -> (Going, i32, Child) {
    // Others of a service are looked for among all there are, and how many system calls
    // that takes is never the same.
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\nkill=process\n");
    let report = format!("file:{}", place.path("report"));
    let (confdir, program) = (place.path("going.d"), program());
    let words = [&*program, "-d", &confdir, "--report", &report, "-o", "stdout=null"];
    let going = place.start_words(&words);
    Client::connect(place).wait_state("web", "up");
    let first = main_of(place, "web").0;
    // Whoever asked is gone, and going has seen that.
    let turns = || Client::connect(place).order(&["command=self"])[0].get("clients") == Some("1");
    wait_until("nobody to be connected", turns);
    let tracer = Command::new("strace")
        .args(["-o", &place.path("trace"), "-e", "trace=all"])
        .args(inject)
        .args(["-p", &going.pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may die of that already, in the call in which it sleeps.
    wait_until("strace to hold it", || {
        !is_alive(going.pid) || status(going.pid, "TracerPid") != "0"
    });
    (going, first, tracer)
}

/// The system calls on this way, each with its number among those of its name.
fn calls(way: &Way) -> Vec<(String, usize)> {
    let place = Place::new();
    let (mut going, first, mut tracer) = start(&place, &[]);
    let _answer = (way.begin)(&place);
    wait_until(way.name, || (way.is_over)(&place, first, &place.read("report")));
    send(i32::try_from(tracer.id()).unwrap(), Signal::SIGTERM);
    tracer.wait().unwrap();
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    let (mut counts, mut all) = (BTreeMap::new(), Vec::new());
    for line in fs::read_to_string(place.path("trace")).unwrap().lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        if !name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_') {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_insert(0_usize);
        *count += 1;
        all.push((name.to_owned(), *count));
    }
    assert!(all.len() > 20, "{}: only {all:?}", way.name);
    all
}

/// Whether all of the answer came that says that it was done.
fn is_confirmed(answer: Answer) -> bool {
    let Some(mut stream) = answer else { return false };
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).contains("result=ok")
}

fn die_on(way: &Way, name: &str, when: usize) {
    let place = Place::new();
    let inject = format!("inject={name}:signal=KILL:when={when}");
    let (mut going, first, mut tracer) = start(&place, &["-e", &inject]);
    let answer = (way.begin)(&place);
    wait_until("its death or its work", || {
        !is_alive(going.pid) || (way.is_over)(&place, first, &place.read("report"))
    });
    going.signal(Signal::SIGKILL);
    let _ = tracer.wait();
    going.wait_exit();
    let was_confirmed = is_confirmed(answer);
    let mut next = place.start(&[]);
    wait_until("an answer", || is_answered(&place, &["command=ping"]));
    eprintln!("{}: {name} {when}", way.name);
    (way.check)(&place, first, was_confirmed);
    let told = next.lines().join("\n");
    assert!(!told.contains("damaged"), "{told}");
    next.stop();
    assert!(!exists(&place, "run/state") && mains(&place).is_empty());
}

/// More deaths than these on one way take too long: then it is every third call, say,
/// and others the next time.
const DEATHS_MAX: usize = 64;

fn die_on_all(way: &Way) {
    if !has("strace") {
        return;
    }
    let mut all = calls(way);
    all.retain(|it| it.0 != "exit_group");
    let step = all.len().div_ceil(DEATHS_MAX);
    eprintln!("{}: {} system calls, one of {step}", way.name, all.len());
    for (name, when) in all.iter().skip(std::process::id() as usize % step).step_by(step) {
        die_on(way, name, *when);
    }
}

#[test]
fn killed_anywhere_on_its_way_through_a_death_it_is_followed_by_one_that_goes_on() {
    die_on_all(&WAYS[0]);
}

#[test]
fn killed_anywhere_on_its_way_through_a_stop_it_is_followed_by_one_that_goes_on() {
    die_on_all(&WAYS[1]);
}

#[test]
fn killed_anywhere_on_its_way_through_a_restart_it_is_followed_by_one_that_goes_on() {
    die_on_all(&WAYS[2]);
}

#[test]
fn killed_anywhere_on_its_way_through_an_upgrade_it_is_followed_by_one_that_goes_on() {
    die_on_all(&WAYS[3]);
}

//! Who is started before whom, and stopped after whom; and that whoever waits says for
//! whom.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs and threads"
)]

mod common;

#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "ctl/mod.rs"]
mod ctl;

use client::Client;
use common::{Going, Place, Signal, is_alive, program, run, wait_until};
use ctl::{ctl, good};

/// A service that tells the file `story` when it goes, which takes it a moment.
fn teller(place: &Place, name: &str, keys: &str) {
    let (story, pids) = (place.path("story"), place.path(&format!("{name}.pids")));
    let script = format!(
        "trap \"sleep 0.2; echo {name} >>{story}; exit 0\" TERM\n\
         echo $$ >>{pids}\nwhile :; do sleep 0.05; done\n"
    );
    let file = format!("{name}.sh");
    place.write(&file, script);
    place.service(name, &format!("cmd=/bin/sh {}\nkill=process\n{keys}", place.path(&file)));
}

/// A `setup` that lasts until the file of this name is there.
fn gate(place: &Place, name: &str) -> String {
    let file = place.path(name);
    format!("setup=sh -c 'while ! test -e {file}; do sleep 0.02; done'\n")
}

/// Waits until these are started, one after another.
fn wait_course(going: &mut Going, names: &[&str]) {
    for name in names {
        going.wait_for(&format!("{name}: started (pid *)"));
    }
}

/// Waits until each of these has been started so many times, and minds its signals.
fn wait_traps(place: &Place, names: &[&str], count: usize) {
    for name in names {
        place.wait_starts(name, count);
    }
}

#[track_caller]
fn wait_story(place: &Place, lines: &[&str]) {
    let told = || place.read("story").lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until("the story", || told().len() >= lines.len());
    assert_eq!(told(), lines);
}

/// What `going --check` says.
fn check(place: &Place) -> String {
    let directory = place.path("going.d");
    let output = run(&[&program(), "--check", "-d", &directory]);
    String::from_utf8(output.stdout).unwrap()
}

fn waits_for(place: &Place, name: &str) -> Vec<String> {
    let block = Client::connect(place).wait_state(name, "waiting");
    block.all("waits-for").map(str::to_owned).collect()
}

#[test]
fn what_is_needed_is_ready_before() {
    let place = Place::new();
    teller(&place, "app", "needs=db cache\n");
    teller(&place, "cache", "");
    teller(&place, "db", &gate(&place, "go"));
    let mut going = place.start(&[]);
    going.wait_for_all(&["db: setting up *", "cache: started (pid *"]);
    assert_eq!(waits_for(&place, "app"), ["db starting"]);
    assert!(good(&place, &["status"]).contains("waits for db (starting)"));
    let said = ctl(&place, &["why", "app"]).out;
    assert!(said.contains("has been waiting for db (starting)"), "{said}");
    assert!(said.contains("goingctl why db"), "{said}");
    let status = ctl::service(&place, "app");
    assert_eq!(status["waits_for"], serde_json::json!(["db starting"]));
    place.write("go", "");
    wait_course(&mut going, &["db", "app"]);
    place.wait_starts("app", 1);
    going.stop();
    assert_eq!(place.read("story").lines().next(), Some("app"));
}

#[test]
fn what_is_not_there_is_told_and_taken_when_it_comes() {
    let place = Place::new();
    place.service("postgres", "cmd=sleep 1000\n");
    place.service("app", "cmd=sleep 1000\n# more\nneeds=postgras\n");
    place.service("all", "cmd=sleep 1000\nneeds=pool@\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "*going.d/app:3: needs=postgras, but there is no service of that name; did you mean \"postgres\"?",
        "*going.d/all:2: needs=pool@, but there is no instance of a template of that name",
    ]);
    going.wait_started("postgres");
    assert_eq!(waits_for(&place, "app"), ["postgras missing"]);
    let said = ctl(&place, &["start", "app"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("app is waiting for postgras (missing)"), "{said:?}");
    let story = good(&place, &["why", "app"]);
    assert!(story.contains("=> Add postgras, or take it out of needs in "), "{story}");
    let check = check(&place);
    assert!(check.contains("app:3: needs=postgras"), "{check}");
    place.service("pool@", "cmd=sleep 100%i\ninstances=2\n");
    going.wait_started("pool@1");
    going.wait_started("all");
    place.service("app", "cmd=sleep 1000\n# more\nneeds=postgres\n");
    going.wait_started("app");
    going.stop();
}

#[test]
fn a_circle_is_told_and_harms_nobody_else() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\nneeds=b\n");
    place.service("b", "cmd=sleep 1000\nafter=c\nneeds=c\n");
    place.service("c", "cmd=sleep 1000\nneeds=a\n");
    place.service("d", "cmd=sleep 1000\nneeds=e\n");
    place.service("e", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let circle =
        "a, which waits for b, which waits for c, which waits for a: none of them can be the first";
    going.wait_for(&format!("*going.d/a:2: {circle}"));
    going.wait_started("e");
    going.wait_started("d");
    assert_eq!(waits_for(&place, "a"), ["b waiting"]);
    assert!(check(&place).contains(circle));
    place.service("c", "cmd=sleep 1000\n");
    going.wait_all_started(["c", "b", "a"]);
    going.stop();
}

#[test]
fn who_fails_stops_nobody_but_those_who_need_it() {
    let place = Place::new();
    place.service("broken", "cmd=/nonexistent\nbackoff=1h\nbackoff-max=1h\npriority=1\n");
    place.service("needs", "cmd=sleep 1000\nneeds=broken\n");
    place.service("after", "cmd=sleep 1000\nafter=broken\n");
    place.service("other", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_for("broken terminated *");
    going.wait_all_started(["after", "other"]);
    assert_eq!(waits_for(&place, "needs"), ["broken quarantined"]);
    going.stop();
    assert_eq!(going.count("needs: started *"), 0);
}

#[test]
fn lower_priorities_come_first_and_go_last() {
    let place = Place::new();
    teller(&place, "one", &(gate(&place, "go") + "priority=10\n"));
    teller(&place, "two", "priority=20\n");
    teller(&place, "three", "");
    teller(&place, "zero", "priority=0\n");
    let mut going = place.start(&[]);
    going.wait_started("zero");
    going.wait_for("one: setting up *");
    assert_eq!(waits_for(&place, "three"), ["one starting", "two waiting"]);
    place.write("go", "");
    wait_course(&mut going, &["one", "two", "three"]);
    wait_traps(&place, &["zero", "one", "two", "three"], 1);
    going.stop();
    wait_story(&place, &["three", "two", "one", "zero"]);
}

/// Whoever is named is stopped in order, whatever the order of the names is, and who is
/// not named stays.
#[test]
fn an_order_to_many_is_obeyed_in_order() {
    let place = Place::new();
    teller(&place, "db", "");
    teller(&place, "app", "needs=db\n");
    teller(&place, "web", "needs=app\n");
    let mut going = place.start(&[]);
    wait_course(&mut going, &["db", "app", "web"]);
    wait_traps(&place, &["db", "app", "web"], 1);
    good(&place, &["stop", "db", "app"]);
    wait_story(&place, &["app", "db"]);
    Client::connect(&place).wait_state("web", "up");
    // A start of one is one of all that it needs.
    good(&place, &["start", "app"]);
    assert_eq!(going.count("db: to be started, for app needs it"), 1);
    wait_course(&mut going, &["db", "app"]);
    wait_traps(&place, &["db", "app"], 2);
    // Files that go together do so as well.
    for name in ["db", "app", "web"] {
        place.remove(name);
    }
    going.wait_for_all(&["db: removed", "app: removed", "web: removed"]);
    wait_story(&place, &["app", "db", "web", "app", "db"]);
    going.stop();
}

/// All of a tier are told at the same time, so that they are patient together.
#[test]
fn many_who_do_not_obey_cost_one_patience() {
    const MANY: usize = 8;
    let place = Place::new();
    place.service("db", "cmd=sleep 1000\n");
    for number in 0..MANY {
        let script = place.logged(&format!("s{number}"), "trap '' TERM; while :; do sleep 1; done");
        place.service(&format!("s{number}"), &format!("{script}needs=db\nstop=TERM 1s KILL\n"));
    }
    let mut going = place.start(&[]);
    for number in 0..MANY {
        place.wait_starts(&format!("s{number}"), 1);
    }
    going.signal(Signal::SIGTERM);
    for _ in 0..MANY {
        going.wait_for("s*: stopping (SIGTERM *)");
    }
    let is_patient = going.count("s*: still running *") == 0;
    assert_eq!(going.count("db: stopping *"), 0, "it is told last");
    for _ in 0..MANY {
        going.wait_for("s*: still running 1s after SIGTERM, sending *");
    }
    going.wait_for("db: stopping *");
    assert!(is_patient, "some were killed before others were told");
    assert_eq!(going.wait_exit(), 0);
}

#[test]
fn what_depends_on_it_hears_of_a_restart() {
    let place = Place::new();
    teller(&place, "db", "");
    let heard = place.path("heard");
    let hears = format!("trap \"echo hup >>{heard}\" HUP; while :; do sleep 0.05; done");
    place.service("calm", "cmd=sleep 1000\nneeds=db\n");
    place.service("again", "cmd=sleep 1000\nneeds=db\non-need-restart=restart\n");
    place.service("hears", &format!("cmd=sh -c '{hears}'\nneeds=db\non-need-restart=reload\n"));
    let mut going = place.start(&[]);
    let [calm, again, hears] = going.wait_all_started(["calm", "again", "hears"]);
    assert_eq!(going.count("*: db was restarted*"), 0, "a start is no restart");
    good(&place, &["restart", "db"]);
    going.wait_for_all(&["again: db was restarted, restarted", "hears: db was restarted, *HUP*"]);
    assert_ne!(going.wait_started("again"), again);
    wait_until("the signal", || place.read("heard") == "hup\n");
    assert!(is_alive(calm) && is_alive(hears));
    going.stop();
}

/// Kills going, and starts the next one.
fn again(place: &Place, going: &mut Going) -> Going {
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let mut next = place.start(&[]);
    next.wait_for("took up *");
    next
}

#[test]
fn order_outlives_going() {
    let place = Place::new();
    teller(&place, "db", &gate(&place, "go"));
    teller(&place, "app", "needs=db\n");
    let mut first = place.start(&[]);
    first.wait_for("db: setting up *");
    assert_eq!(waits_for(&place, "app"), ["db starting"]);
    let mut second = again(&place, &mut first);
    assert_eq!(waits_for(&place, "app"), ["db starting"]);
    place.write("go", "");
    wait_course(&mut second, &["db", "app"]);
    wait_traps(&place, &["db", "app"], 1);
    // In the midst of a stop of both, neither of which is wanted any more.
    let said = ctl(&place, &["stop", "--no-wait", "db", "app"]);
    assert_eq!(said.code, 0, "{said:?}");
    let mut third = again(&place, &mut second);
    wait_story(&place, &["app", "db"]);
    Client::connect(&place).wait_state("db", "down");
    third.stop();
}

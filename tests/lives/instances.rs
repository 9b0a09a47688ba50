//! Templates: many services of one file.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use crate::client::{Client, ask};
use crate::common::{Going, Place, is_alive, program, run, running, wait_running, wait_until};
use crate::ctl::{ctl, good};

const WEB: &str = "cmd=sh -c 'echo %i %n 100%%; exec sleep 1000'\n";

fn link(place: &Place, template: &str, name: &str) {
    symlink(template, place.path(&format!("going.d/{name}"))).unwrap();
}

fn pid_of(going: &mut Going, name: &str) -> i32 {
    going.wait_started(name)
}

#[test]
fn a_template_is_not_started_but_its_instances_are() {
    let place = Place::new();
    place.service("web@", WEB);
    place.service("own@x", "cmd=sh -c 'echo own %i; exec sleep 1000'\n");
    link(&place, "web@", "web@blue");
    let mut going = place.start(&[]);
    wait_running(&going, &["own@x", "web@blue"]);
    wait_until("their words", || place.read("stdout").lines().count() == 2);
    let said: BTreeSet<_> = place.read("stdout").lines().map(str::to_owned).collect();
    assert_eq!(said.into_iter().collect::<Vec<_>>(), ["blue web@blue 100%", "own x"]);
    // A link more is an instance more, a link less is one less.
    link(&place, "web@", "web@green");
    going.wait_for("web@green: added");
    wait_running(&going, &["own@x", "web@blue", "web@green"]);
    place.remove("web@blue");
    going.wait_for("web@blue: file gone, stopping");
    wait_running(&going, &["own@x", "web@green"]);
    going.stop();
}

/// R164.
#[test]
fn another_number_of_instances_touches_none_that_stays() {
    let place = Place::new();
    place.service("web@", &format!("{WEB}instances=2\n"));
    let mut going = place.start(&[]);
    let [one, two] = going.wait_all_started(["web@1", "web@2"]);
    place.service("web@", &format!("# more\ninstances=12\n{WEB}"));
    let names: Vec<_> = (1..=12).map(|it| format!("web@{it}")).collect();
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    wait_running(&going, &all);
    assert!(is_alive(one) && is_alive(two));
    place.service("web@", &format!("{WEB}instances=1\n"));
    going.wait_for("web@12: file gone, stopping");
    going.wait_for("web@10: file gone, stopping");
    going.wait_for("web@9: file gone, stopping");
    going.wait_for("web@2: file gone, stopping");
    wait_running(&going, &["web@1"]);
    assert!(is_alive(one));
    assert_eq!(going.count("web@*: *changed*"), 0, "what is the same is no news");
    going.stop();
}

#[test]
fn a_changed_template_restarts_its_instances_but_not_what_has_a_file_of_its_own() {
    let place = Place::new();
    place.service("web@", "cmd=sleep 100%i\ninstances=2\n");
    place.service("web@2", "cmd=sleep 1000\ndescription=%n is mine\n");
    let mut going = place.start(&[]);
    let [one, two] = going.wait_all_started(["web@1", "web@2"]);
    place.service("web@", "cmd=sleep 200%i\ninstances=2\n");
    going.wait_for("web@1: cmd changed, restarted");
    assert_ne!(pid_of(&mut going, "web@1"), one);
    assert!(is_alive(two));
    let status = Client::connect(&place).wait_state("web@2", "up");
    assert_eq!(status.get("description"), Some("web@2 is mine"), "{status:?}");
    // Without its own file it is one of the others again.
    place.remove("web@2");
    going.wait_for("web@2: cmd, description changed, restarted");
    going.stop();
}

#[test]
fn a_bad_edit_of_a_template_leaves_all_of_it_running() {
    let place = Place::new();
    place.service("web@", &format!("{WEB}instances=2\n"));
    link(&place, "web@", "web@x");
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["web@1", "web@2", "web@x"]);
    let file = place.path("going.d/web@");
    for (text, complaint) in [
        ("cmd=sleep 1\ninstances=two\n", "2: instances= is \"two\", but must be *"),
        ("cmd=sleep 1\ninstances=1\ncwdd=/\n", "3: unknown key \"cwdd\"; *"),
        ("cmd=date +%H\n", "1: cmd= has \"%H\" in it; *"),
    ] {
        place.service("web@", text);
        going.wait_for(&format!("{file}:{complaint}"));
        going.wait_for("web@: template refused, its instances kept as they were");
    }
    let blocks = Client::connect(&place).order(&["command=status", "name=web@"]);
    assert!(blocks.iter().any(|it| it.get("complaint").is_some()), "{blocks:?}");
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    place.service("web@", &format!("{WEB}instances=2\n# mended\n"));
    place.service("last", "cmd=sleep 1000\n");
    going.wait_started("last");
    assert!(pids.iter().all(|pid| is_alive(*pid)), "nothing has changed after all");
    assert!(ask(&place, &["command=status"]).all("complaint").is_empty());
    // Gone with the template are those that are nothing but its.
    place.remove("web@");
    going.wait_for("web@2: file gone, stopping");
    wait_running(&going, &["last", "web@x"]);
    going.stop();
}

#[test]
fn a_template_stands_for_all_of_its_instances() {
    let place = Place::new();
    place.service("web@", &format!("{WEB}instances=2\ntag=web\n"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let first = going.wait_all_started(["web@1", "web@2"]);
    good(&place, &["restart", "web@"]);
    let second = going.wait_all_started(["web@1", "web@2"]);
    assert!(first[0] != second[0] && first[1] != second[1]);
    assert_eq!(going.count("web: started *"), 1, "another one is not meant");
    good(&place, &["stop", "@web"]);
    wait_running(&going, &["web"]);
    good(&place, &["start", "web@*"]);
    wait_running(&going, &["web", "web@1", "web@2"]);
    let plan = good(&place, &["reload", "--dry-run"]);
    assert_eq!(plan, "nothing changed\n");
    // Its file is what is set aside, not the instances, which have none.
    let said = ctl(&place, &["disable", "web@2"]);
    assert!(said.code == 1 && said.err.contains("only its template has"), "{said:?}");
    good(&place, &["disable", "web@"]);
    wait_running(&going, &["web"]);
    good(&place, &["enable", "web@"]);
    wait_running(&going, &["web", "web@1", "web@2"]);
    going.stop();
}

#[test]
fn templates_and_instances_are_checked() {
    let place = Place::new();
    place.service("web@", "cmd=sleep 1\ninstances=2\ncwd=%i\n");
    place.service("far@", "cmd=sleep 1\ncwd=%i\n");
    place.service("job@x", "cmd=date +%s\n");
    place.service("plain", "cmd=sleep 1\ninstances=2\n");
    let long = format!("{}@", "x".repeat(62));
    place.service(&long, "cmd=sleep 1\ninstances=10\n");
    let confdir = place.path("going.d");
    let output = run(&[&program(), "--check", "-d", &confdir]);
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = [
        format!(
            "{confdir}/job@x:1: cmd= has \"%s\" in it; in the file of a template or an \
                 instance it must be %i, %n, or %% for a per cent sign"
        ),
        format!(
            "{confdir}/plain:2: instances= is for templates, whose names end with @, as \
                 plain@ does"
        ),
        format!("{confdir}/web@:3: cwd= is \"1\", but must be an absolute path"),
        format!("{long}10 would be a name longer than 64 bytes"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    // One at a time, goingctl looks at them as well, and writes them.
    let said = ctl(&place, &["check", &format!("{confdir}/web@")]);
    assert!(said.code == 1 && said.out.contains("web@:3: cwd= is \"1\""), "{said:?}");
    let said = ctl(&place, &["new", "-d", &confdir, "a@", "instances=2", "--", "date", "+%H"]);
    assert!(said.code == 2 && said.err.contains("has \"%H\" in it"), "{said:?}");
    good(&place, &["new", "-d", &confdir, "a@", "instances=2", "--", "sleep", "100%i"]);
    assert_eq!(place.read("going.d/a@"), "cmd=sleep 100%i\ninstances=2\n");
}

#[test]
fn instances_outlive_going() {
    let place = Place::new();
    place.service("web@", &format!("{WEB}instances=2\n"));
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["web@1", "web@2"]);
    going.signal(crate::common::Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    place.service("web@", &format!("{WEB}instances=1\n"));
    let mut going = place.start(&[]);
    going.wait_for("web@2: file gone, stopping");
    wait_until("the end of the second", || !is_alive(pids[1]));
    assert!(is_alive(pids[0]));
    assert!(running(&going).is_empty(), "the first is not our child");
    assert_eq!(Client::connect(&place).wait_state("web@1", "up").number("pid"), {
        u64::try_from(pids[0]).ok()
    });
    going.stop();
    wait_until("the end of the first", || !is_alive(pids[0]));
}

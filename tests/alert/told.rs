//! What is told, of which services, and to whom.

use crate::bench::{Teller, early, noting, place, target, told, value, waiting};
use crate::common::{Signal, send, wait_until};

#[test]
fn a_death_is_told_with_the_facts_and_the_last_words() {
    let place = place();
    target(&place, "ops", &noting(&place, "ops", ""));
    place.service(
        "web",
        "cmd=sh -c 'echo one; echo no database; exit 3'\nbackoff=1h\nbackoff-max=1h\n",
    );
    place.service("calm", "cmd=sleep 1000\n");
    early(&place);
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_for("web terminated *");
    let teller = Teller::start(&place);
    wait_until("it is told", || told(&place, "ops").len() == 1);
    let message = &told(&place, "ops")[0];
    for (name, expected) in [
        ("GOING_EVENT", "quarantine"),
        ("GOING_SERVICE", "web"),
        ("GOING_EXIT", "3"),
        ("GOING_TO", "quarantined"),
        ("GOING_STRIKE", "short"),
    ] {
        assert_eq!(value(message, name), expected, "{name} in {message}");
    }
    assert!(value(message, "GOING_SUMMARY").starts_with("web: exit status 3 after "), "{message}");
    assert!(message.contains("TEXT     "), "{message}");
    assert!(message.contains("no database"), "{message}");
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    teller.wait_for("ops: sent: web: exit status 3");
}

#[test]
fn everybody_is_told_what_they_asked_for_and_no_more() {
    let place = place();
    let all = noting(&place, "all", "");
    target(&place, "all", &format!("event=exit stop start\nservice=web\n{all}"));
    let back = noting(&place, "back", "");
    target(&place, "back", &format!("event=exit\nservice=@back\n{back}"));
    place.service("web", "cmd=sleep 1000\n");
    place.service("db", "cmd=sleep 1000\ntag=back\n");
    place.service("mail", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pids = going.wait_all_started(["web", "db", "mail"]);
    let _teller = Teller::start(&place);
    pids.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    let kinds = || {
        told(&place, "all").iter().map(|it| value(it, "GOING_EVENT").to_owned()).collect::<Vec<_>>()
    };
    wait_until("web's end and start are told", || kinds() == ["exit", "start"]);
    wait_until("db's end is told", || told(&place, "back").len() == 1);
    assert_eq!(value(&told(&place, "back")[0], "GOING_SIGNAL"), "KILL");
    place.remove("web");
    wait_until("web's end by order is told", || kinds() == ["exit", "start", "stop"]);
    assert!(told(&place, "all").iter().all(|it| value(it, "GOING_SERVICE") == "web"));
    assert_eq!(told(&place, "back").len(), 1);
}

#[test]
fn files_are_read_again_when_they_change_and_bad_ones_change_nothing() {
    let place = place();
    let cmd = noting(&place, "ops", "");
    target(&place, "ops", &cmd);
    target(&place, "bad", "mial=root\n");
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let teller = Teller::start(&place);
    teller.wait_for("bad:1: unknown key \"mial\"; did you mean \"mail\"?");
    target(&place, "ops", "event=nonsense\n");
    teller.wait_for("ops:1: event= has \"nonsense\"");
    send(pid, Signal::SIGKILL);
    wait_until("it is told as before", || told(&place, "ops").len() == 1);
    let pid = going.wait_started("web");
    let other = noting(&place, "other", "");
    target(&place, "ops", &other);
    target(&place, "later", &format!("event=exit\nservice=w*\n{}", noting(&place, "later", "")));
    // Changes are seen within a second, and before an event is told that came later.
    wait_until("the files are seen", || {
        crate::bench::ask(&place, &["--check"]).status.code() == Some(65)
    });
    send(pid, Signal::SIGKILL);
    wait_until("both are told", || {
        told(&place, "other").len() == 1 && told(&place, "later").len() == 1
    });
    assert_eq!(told(&place, "ops").len(), 1);
}

#[test]
fn one_that_is_slow_keeps_no_other_one_waiting() {
    let place = place();
    let slow =
        noting(&place, "slow", &format!("until test -e {}; do sleep 0.05; done", place.path("go")));
    target(&place, "slow", &slow);
    target(&place, "swift", &noting(&place, "swift", ""));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let _teller = Teller::start(&place);
    for count in 1..=3 {
        send(going.wait_started("web"), Signal::SIGKILL);
        wait_until("the swift one is told", || told(&place, "swift").len() == count);
    }
    assert_eq!(told(&place, "slow").len(), 0);
    place.write("go", "");
    wait_until("the slow one is told", || told(&place, "slow").len() == 3);
}

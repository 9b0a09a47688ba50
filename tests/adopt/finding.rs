//! What the next going knows: every service in the state it was in, with what the
//! operator wants of it, how often it failed, and when it is due.

use crate::client::Client;
use crate::common::{Place, Signal, is_alive, send, wait_until};
use crate::{exists, kill, main_of, mains};

/// One number of a service's status.
fn number(client: &mut Client, name: &str, key: &str) -> u64 {
    let blocks = client.order(&["command=status", &format!("name={name}")]);
    blocks[0].number(key).unwrap_or_default()
}

fn state(client: &mut Client, name: &str) -> (String, String) {
    let blocks = client.order(&["command=status", &format!("name={name}")]);
    let get = |key| blocks[0].get(key).unwrap_or_default().to_owned();
    (get("want"), get("state"))
}

/// One for each state that lasts.
fn write_services(place: &Place) {
    let held = "backoff=1h\nbackoff-max=1h\njitter=0\n";
    place.service("up", "cmd=sleep 1000\n");
    place.service("put-down", "cmd=sleep 1000\n");
    place.service("quarantined", &format!("cmd=false\n{held}"));
    place.service("done", "cmd=true\ntype=oneshot\n");
    place.service("failed", "cmd=false\nstrikes=1\n");
    let deaf = "trap '' TERM\necho >deaf\nwhile :; do sleep 0.05; done";
    place.service(
        "stopping",
        &format!("{}stop=TERM 1h KILL\ncwd={}\n", place.logged("deaf", deaf), place.dir.display()),
    );
}

#[test]
fn every_state_is_found_again() {
    let place = Place::new();
    write_services(&place);
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    for (name, word) in
        [("quarantined", "quarantined"), ("done", "done"), ("failed", "failed"), ("up", "up")]
    {
        client.wait_state(name, word);
    }
    wait_until("the trap", || exists(&place, "deaf"));
    client.order(&["command=stop", "name=put-down"]);
    client.order(&["command=stop", "name=stopping"]);
    client.wait_state("put-down", "down");
    let wait = number(&mut client, "quarantined", "next-ms");
    let deaths = client.order(&["command=why", "name=quarantined"]);
    let before = mains(&place);
    assert_eq!(before.len(), 2, "{before:?}");
    kill(&mut going);

    let mut going = place.start(&[]);
    going.wait_for("took up 2 services, 0 died meanwhile");
    let mut client = Client::connect(&place);
    let words = |it: (&str, &str)| (it.0.to_owned(), it.1.to_owned());
    for (name, is) in [
        ("up", ("up", "up")),
        ("put-down", ("down", "down")),
        ("quarantined", ("up", "quarantined")),
        ("done", ("up", "done")),
        ("failed", ("up", "failed")),
        ("stopping", ("down", "stopping")),
    ] {
        assert_eq!(state(&mut client, name), words(is), "{name}");
    }
    assert_eq!(mains(&place), before, "other processes than before");
    let left = number(&mut client, "quarantined", "next-ms");
    assert!(left <= wait && left + 60_000 > wait, "{left} of {wait} ms");
    assert_eq!(number(&mut client, "quarantined", "strikes"), 1);
    assert_eq!(number(&mut client, "up", "starts"), 1);
    let again = client.order(&["command=why", "name=quarantined"]);
    assert_eq!(again.len(), deaths.len());
    assert_eq!(again[1].get("exit"), Some("1"));
    assert_eq!(again[1].get("strike"), Some("short"));
    assert!(number(&mut client, "stopping", "next-ms") > 3_000_000);
    // It is killed when it is asked for, and the deadlines go on.
    client.order(&["command=retry", "name=quarantined"]);
    client.wait_state("quarantined", "quarantined");
    assert_eq!(number(&mut client, "quarantined", "strikes"), 1);
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: stopping 2 services");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    assert!(!exists(&place, "run/state"), "there is nothing to be taken up any more");
    assert!(mains(&place).is_empty());
}

#[test]
fn how_an_adopted_process_ends_is_known_and_judged() {
    let place = Place::new();
    let held = "backoff=1h\nbackoff-max=1h\nmin-uptime=1h\n";
    for name in ["by-itself", "by-signal", "well"] {
        let text = format!("cmd=/bin/sh -c 'read -r it <{}; exit $it'\n", place.path(name));
        nix::unistd::mkfifo(place.path(name).as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        place.service(name, &(text + held + "restart=on-failure\n"));
    }
    let mut going = place.start(&[]);
    going.wait_all_started(["by-itself", "by-signal", "well"]);
    let pids = ["by-itself", "by-signal", "well"].map(|it| main_of(&place, it).0);
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 3 services, 0 died meanwhile");
    std::fs::write(place.path("by-itself"), "7\n").unwrap();
    going.wait_for("by-itself terminated after: *quarantined*(exit status 7; strike 1, *)");
    send(pids[1], Signal::SIGUSR1);
    going.wait_for("by-signal terminated after: *quarantined*(killed by SIGUSR1; strike 1, *)");
    std::fs::write(place.path("well"), "0\n").unwrap();
    going.wait_for("well terminated after: *s (exit status 0; done)");
    going.stop();
}

#[test]
fn what_died_meanwhile_is_a_failure_whose_exit_is_unknown() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=1h\nbackoff=1h\nbackoff-max=1h\n");
    place.service("mended", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    place.service("put-down", "cmd=sleep 1000\nstop=STOP 1h KILL\n");
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["web", "mended", "put-down"]);
    let mut client = Client::connect(&place);
    client.order(&["command=stop", "name=put-down"]);
    kill(&mut going);
    for pid in pids {
        send(pid, Signal::SIGKILL);
        wait_until("its death", || !is_alive(pid));
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "web terminated after: *quarantined*(exit unknown; strike 1, *)",
        "mended terminated after: *s (exit unknown)",
        "put-down: stopped after *s (exit unknown)",
        "took up 0 services, 3 died meanwhile",
    ]);
    let mut client = Client::connect(&place);
    client.wait_state("mended", "up");
    let web = client.wait_state("web", "quarantined");
    assert_eq!(web.get("last-exit"), Some("unknown"));
    client.wait_state("put-down", "down");
    going.stop();
}

#[test]
fn files_that_changed_meanwhile_are_compared_with_what_runs() {
    let place = Place::new();
    for name in ["same", "comment", "patience", "changed", "gone", "broken", "mended"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    for name in ["same", "comment", "patience", "changed", "gone", "broken", "mended"] {
        wait_until("all to run", || mains(&place).contains_key(name));
    }
    Client::connect(&place).wait_state("mended", "up");
    let before = mains(&place);
    kill(&mut going);
    place.service("comment", "# a comment\ncmd=sleep 1000\n");
    place.service("patience", "cmd=sleep 1000\nbackoff=7s\n");
    place.service("changed", "cmd=sleep 1001\n");
    place.remove("gone");
    place.service("broken", "cmmd=sleep 1000\n");
    place.service("mended", "cmmd=sleep 1000\n");
    place.service("new", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "changed: changed meanwhile, restarted",
        "gone: file gone, stopping",
        "took up 7 services, 0 died meanwhile",
        "gone: removed",
        "new: started (pid *)",
        "changed: started (pid *)",
    ]);
    place.service("mended", "# better now\ncmd=sleep 1000\n");
    going.wait_for("mended: *nothing");
    let after = mains(&place);
    for name in ["same", "comment", "patience", "broken", "mended"] {
        assert_eq!(after[name], before[name], "{name} was not left alone");
    }
    assert_ne!(after["changed"], before["changed"]);
    assert_eq!(after["new"].len(), 1);
    assert!(!after.contains_key("gone"));
    going.stop();
}

#[test]
fn sigquit_leaves_everything_to_the_next_one() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let before = mains(&place);
    going.signal(Signal::SIGQUIT);
    going.wait_for("SIGQUIT: leaving 1 services as they are");
    assert_eq!(going.wait_exit(), 0);
    assert!(!exists(&place, "run/control"), "a socket on which nobody answers");
    assert_eq!(mains(&place), before);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    assert_eq!(mains(&place), before);
    going.stop();
}

/// One that was told to stop everything, and killed before it could, is followed by
/// one that was told nothing of the kind.
#[test]
fn a_shutdown_that_was_cut_short_is_over() {
    let place = Place::new();
    place.service("quick", "cmd=sleep 1000\n");
    let slow = "trap 'echo >trapped' TERM\necho >set\nwhile :; do sleep 0.05; done";
    let text = place.logged("slow", slow);
    place.service("slow", &format!("{text}stop=TERM 3s KILL\ncwd={}\n", place.dir.display()));
    let mut going = place.start(&[]);
    going.wait_all_started(["quick", "slow"]);
    wait_until("the trap", || exists(&place, "set"));
    going.signal(Signal::SIGTERM);
    going.wait_for("quick: stopped after *");
    wait_until("the signal", || exists(&place, "trapped"));
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    going.wait_all_started(["quick", "slow"]);
    place.wait_starts("slow", 2);
    assert_eq!(place.starts("slow").len(), 2);
    going.stop();
}

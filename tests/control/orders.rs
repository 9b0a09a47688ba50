//! What can be ordered, by somebody who may: root.

use crate::client::{Client, ask};
use crate::common::{Place, Signal, is_alive, like, unseen, wait_until};

/// The pairs of each block as one text.
fn told(blocks: &[going::protocol::Message]) -> Vec<String> {
    let show = |block: &going::protocol::Message| {
        let pairs: Vec<_> = block.pairs().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(" ")
    };
    blocks.iter().map(show).collect()
}

/// A script that ends by KILL only, as soon as there is a line in `ready`.
fn stubborn(place: &Place) -> String {
    format!("trap '' TERM\necho >{}\nwhile :; do sleep 0.02; done", place.path("ready"))
}

#[test]
fn services_are_stopped_started_and_restarted() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let first = going.wait_started("web");
    let mut client = Client::connect(&place);
    client.wait_state("web", "up");
    let order = |client: &mut Client, word: &str| {
        told(&client.order(&[&format!("command={word}"), "name=web"])).join("\n")
    };
    assert_eq!(order(&mut client, "start"), "service=web outcome=already want=up state=up");
    assert_eq!(order(&mut client, "stop"), "service=web outcome=done want=down state=stopping");
    let down = client.wait_state("web", "down");
    assert_eq!(down.get("last-ordered"), Some("yes"), "{down:?}");
    assert!(!is_alive(first));
    assert_eq!(order(&mut client, "stop"), "service=web outcome=already want=down state=down");
    assert_eq!(order(&mut client, "start"), "service=web outcome=done want=up state=waiting");
    let second = going.wait_started("web");
    client.wait_state("web", "up");
    assert_eq!(order(&mut client, "restart"), "service=web outcome=done want=up state=stopping");
    let third = going.wait_started("web");
    assert!(third != second && !is_alive(second));
    assert_eq!(client.wait_state("web", "up").number("starts"), Some(3));
    going.stop();
}

#[test]
fn a_quarantine_ends_when_somebody_says_so() {
    let place = Place::new();
    let rest = "backoff=1h\nbackoff-max=1h\n";
    place.service("bad", &(place.logged("bad", "exit 1") + rest));
    place.service("worse", &(place.logged("worse", "exit 1") + rest + "strikes=1\n"));
    place.service("good", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    client.wait_state("bad", "quarantined");
    client.wait_state("worse", "failed");
    client.wait_state("good", "up");
    let blocks = client.order(&["command=retry", "name=*"]);
    assert_eq!(
        told(&blocks),
        [
            "service=bad outcome=done want=up state=waiting",
            "service=good outcome=already want=up state=up",
            "service=worse outcome=done want=up state=waiting",
        ]
    );
    place.wait_starts("bad", 2);
    place.wait_starts("worse", 2);
    client.wait_state("bad", "quarantined");
    client.order(&["command=start", "name=bad"]);
    place.wait_starts("bad", 3);
    client.wait_state("bad", "quarantined");
    client.order(&["command=stop", "name=bad"]);
    assert_eq!(client.wait_state("bad", "down").get("next"), None);
    going.stop();
}

#[test]
fn signals_go_to_the_main_process() {
    let place = Place::new();
    let heard = place.path("heard");
    let script = format!(
        "trap 'echo hup >>{heard}' HUP\necho ready >>{heard}\n\
        while :; do sleep 0.02; done"
    );
    place.service("web", &place.logged("web", &script));
    place.service("off", "cmd=true\ntype=oneshot\n");
    let mut going = place.start(&[]);
    place.wait_text("heard");
    let mut client = Client::connect(&place);
    client.wait_state("off", "done");
    for signal in ["HUP", "SIGHUP", "1"] {
        let before = place.read("heard");
        client.order(&["command=signal", "name=web", &format!("signal={signal}")]);
        wait_until("the signal", || place.read("heard") == format!("{before}hup\n"));
    }
    let reply = client.ask(&["command=signal", "signal=HUP", "name=off"]);
    assert_eq!(reply.all("outcome"), ["failed"], "{reply:?}");
    for (lines, text) in [
        (&["command=signal", "name=web"][..], "signal needs signal="),
        (&["command=signal", "name=web", "signal=HUB"], "no signal *HUP*"),
        (&["command=signal", "name=web", "signal=0"], "no signal *"),
        (&["command=stop", "name=web", "signal=HUP"], "*signal* does not go with command=stop"),
        (&["command=stop"], "stop needs the name of a service"),
        (&["command=stop", "name="], "name= has no value"),
        (&["command=reload", "dry-run=1"], "dry-run= is *, but must be yes or no"),
        (&["command=events", "since=-1"], "since= is *, but must be a number"),
        (&["command=status", "names=web"], "*names* does not go with command=status"),
    ] {
        let reply = client.ask(lines);
        assert_eq!(reply.result(), "invalid", "{lines:?}");
        let message = reply.end.get("message").unwrap();
        assert!(like(text, message), "{lines:?}: {message}");
    }
    assert_eq!(client.wait_state("web", "up").number("starts"), Some(1));
    going.stop();
}

#[test]
fn disabled_services_stay_down_even_over_a_restart_of_going() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.service("db", "cmd=sleep 1001\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "db"]);
    let mut client = Client::connect(&place);
    let blocks = client.order(&["command=disable", "name=web"]);
    assert_eq!(told(&blocks), ["service=web outcome=done"]);
    going.wait_for("web: removed");
    client.wait_state("web", "disabled");
    assert_eq!(
        told(&client.order(&["command=disable", "name=web"]))[0],
        "service=web outcome=already"
    );
    let reply = client.ask(&["command=start", "name=web"]);
    assert_eq!(reply.all("outcome"), ["failed"]);
    assert_eq!(reply.all("message"), ["it is disabled; enable it first"]);
    going.stop();
    let mut going = place.start(&[]);
    going.wait_started("db");
    let mut client = Client::connect(&place);
    assert_eq!(ask(&place, &["command=status"]).all("state"), ["up", "disabled"]);
    client.order(&["command=enable", "name=web"]);
    going.wait_started("web");
    going.stop();
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "db"]);
    going.stop();
}

#[test]
fn no_file_is_lost_by_setting_it_aside() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    place.service("web.disabled", "cmd=sleep 1\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let reply = ask(&place, &["command=disable", "name=web"]);
    assert_eq!(reply.result(), "failed", "{reply:?}");
    assert!(reply.all("message")[0].ends_with("is there already"), "{reply:?}");
    assert_eq!(place.read("going.d/web"), "cmd=sleep 1000\n");
    assert_eq!(place.read("going.d/web.disabled"), "cmd=sleep 1\n");
    going.stop();
}

/// Whether it still stops, or is gone: it is one service either way.
#[test]
fn a_service_being_disabled_is_told_of_once() {
    let place = Place::new();
    let script = stubborn(&place);
    place.service("web", &(place.logged("web", &script) + "stop=TERM 2s KILL\n"));
    let mut going = place.start(&[]);
    place.wait_text("ready");
    let mut client = Client::connect(&place);
    client.order(&["command=disable", "name=web"]);
    let reply = client.ask(&["command=status"]);
    assert_eq!(reply.all("service"), ["web"], "{reply:?}");
    going.stop();
}

/// Its file is set aside, so it must not come back.
#[test]
fn a_service_being_disabled_is_not_started() {
    let place = Place::new();
    let script = stubborn(&place);
    place.service("web", &(place.logged("web", &script) + "stop=TERM 2s KILL\n"));
    let mut going = place.start(&[]);
    place.wait_text("ready");
    let mut client = Client::connect(&place);
    client.order(&["command=stop", "name=web"]);
    client.order(&["command=disable", "name=web"]);
    // Nothing of the directory is left to be read that would stop it again.
    client.order(&["command=reload"]);
    client.ask(&["command=start", "name=web"]);
    going.wait_for("web: *SIGKILL*");
    going.wait_for("web: removed");
    client.wait_state("web", "disabled");
    assert_eq!(place.starts("web").len(), 1);
    going.stop();
}

#[test]
fn a_dry_run_of_reload_says_what_reload_would_do() {
    let place = Place::new();
    for name in ["apply", "restart", "gone", "bad", "same", "comment"] {
        place.service(name, "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    going.wait_all_started(["apply", "restart", "gone", "bad", "same", "comment"]);
    let mut client = Client::connect(&place);
    let names = ["apply", "restart", "gone", "bad", "same", "comment"];
    names.iter().for_each(|name| drop(client.wait_state(name, "up")));
    // It cannot read the directory by itself before it is asked.
    unseen(&going, || {
        place.service("new", "cmd=sleep 1000\n");
        place.service("apply", "cmd=sleep 1000\nbackoff=2s\n");
        place.service("restart", "cmd=sleep 1001\nenv=A=1\n");
        place.service("bad", "cmd=sleep 1000\nuzer=x\n");
        place.service("comment", "#\ncmd=sleep 1000\n");
        place.remove("gone");
        client.say(&["command=reload", "dry-run=yes"]);
        client.say(&["command=status"]);
        client.say(&["command=reload"]);
    });
    let (dry, status, wet) = (client.reply(), client.reply(), client.reply());
    let dry = told(&dry.blocks);
    let expected = [
        "service=apply decision=apply keys=backoff",
        "service=bad decision=refuse complaint=*/bad:2: *",
        "service=comment decision=nothing",
        "service=new decision=start",
        "service=restart decision=restart keys=cmd, env",
        "service=gone decision=stop",
    ];
    assert_eq!(dry.len(), expected.len(), "{dry:?}");
    for pattern in expected {
        assert!(dry.iter().any(|it| like(pattern, it)), "{pattern}: {dry:?}");
    }
    assert_eq!(status.blocks.len(), 6, "the dry run did something: {status:?}");
    assert!(status.all("state").iter().all(|it| *it == "up"), "{status:?}");
    assert_eq!(told(&wet.blocks), dry);
    going.wait_for_all(&["new: started *", "restart: started *", "gone: removed"]);
    going.stop();
}

#[test]
fn a_shutdown_stops_everything() {
    let place = Place::new();
    let script = stubborn(&place);
    place.service("web", "cmd=sleep 1000\n");
    place.service("slow", &(place.logged("slow", &script) + "stop=TERM 1h KILL\n"));
    let mut going = place.start(&[]);
    place.wait_text("ready");
    let mut client = Client::connect(&place);
    let mut follower = Client::connect(&place);
    client.wait_state("web", "up");
    client.wait_state("slow", "up");
    follower.say(&["command=events", "since=0", "follow=yes"]);
    client.order(&["command=shutdown"]);
    follower.wait_event("web", "down");
    // Nothing comes up any more, whatever is asked for.
    place.service("late", &place.logged("late", "exec sleep 1000"));
    client.ask(&["command=reload"]);
    client.ask(&["command=start", "name=*"]);
    client.ask(&["command=restart", "name=web"]);
    // Who asks twice is impatient; who means to kill sends a second signal.
    client.order(&["command=shutdown"]);
    assert_eq!(going.count("*killing*"), 0);
    going.signal(Signal::SIGTERM);
    follower.wait_event("slow", "down");
    assert_eq!(going.wait_exit(), 0);
    assert_eq!(follower.block(), None);
    assert!(place.starts("late").is_empty());
    assert_eq!(going.count("web: started*"), 1);
}

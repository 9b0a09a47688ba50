//! What can be asked: how things are, how they came to be so, what happens.

use std::io::{Read, Write};

use crate::client::{Client, ask, request};
use crate::common::{Place, Signal, send, wait_until};

#[test]
fn status_tells_how_each_service_is() {
    let place = Place::new();
    place.service("b-up", "cmd=sleep 1000\ndescription=It sleeps\ntag=x y\n");
    place.service("a-bad", "cmd=false\nbackoff=1h\nbackoff-max=1h\njitter=0\n");
    place.service("c-done", "cmd=true\ntype=oneshot\n");
    place.service("d-refused", "cmd=true\ncmd=false\n");
    place.service("e-off.disabled", "cmd=true\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("b-up");
    let mut client = Client::connect(&place);
    client.wait_state("a-bad", "quarantined");
    client.wait_state("c-done", "done");
    client.wait_state("b-up", "up");
    let reply = client.ask(&["command=status"]);
    assert_eq!(reply.result(), "ok");
    assert!(reply.end.number("serial") > Some(0));
    assert_eq!(reply.all("service"), ["a-bad", "b-up", "c-done", "d-refused", "e-off"]);
    assert_eq!(reply.all("state"), ["quarantined", "up", "done", "failed", "disabled"]);
    assert_eq!(reply.all("want"), ["up", "up", "up", "down", "down"]);
    let [bad, up, done, refused, off] = &reply.blocks[..] else { panic!("{reply:?}") };
    assert_eq!(up.get("pid"), Some(pid.to_string().as_str()));
    assert_eq!(up.get("description"), Some("It sleeps"));
    assert_eq!(up.all("tag").collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(up.number("starts"), Some(1));
    assert!(up.number("uptime-ms") >= up.number("since-ms"), "{up:?}");
    assert!(up.get("strikes").or(up.get("next")).or(up.get("last-exit")).is_none(), "{up:?}");
    assert_eq!((bad.get("next"), bad.number("last-exit")), (Some("start"), Some(1)));
    assert!((3_500_000..=3_600_000).contains(&bad.number("next-ms").unwrap()), "{bad:?}");
    assert_eq!((bad.number("strikes"), bad.number("row")), (Some(1), Some(1)));
    assert_eq!(bad.get("last-strike"), Some("short"));
    assert!(bad.get("pid").or(bad.get("cmd")).is_none(), "{bad:?}");
    assert_eq!((done.number("last-exit"), done.get("last-strike")), (Some(0), None));
    assert_eq!(refused.get("refused"), Some("yes"));
    assert!(refused.get("complaint").unwrap().contains("/d-refused:2: "), "{refused:?}");
    assert_eq!(off.pairs().count(), 3, "{off:?}");
    going.stop();
}

#[test]
fn a_kept_service_shows_what_its_new_file_is_complained_about() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    place.service("web", "cmd=sleep 1000\nuzer=x\n");
    going.wait_for("web: new file refused, kept as it was");
    let reply = ask(&place, &["command=status", "name=web"]);
    assert_eq!(reply.all("pid"), [pid.to_string()]);
    assert!(reply.all("complaint")[0].contains("/web:2: "), "{reply:?}");
    assert!(reply.all("refused").is_empty());
    place.service("web", "cmd=sleep 1000\n");
    wait_until("the complaint to go", || {
        ask(&place, &["command=status", "name=web"]).all("complaint").is_empty()
    });
    going.stop();
}

#[test]
fn why_tells_the_policy_and_the_last_deaths() {
    let place = Place::new();
    let policy = "backoff=10ms\nbackoff-max=10ms\nstrikes=3\njitter=0\nenv=SECRET=1\n";
    place.service("bad", &format!("cmd=/bin/sh -c 'kill -SEGV $$'\n{policy}"));
    place.service("gone", "cmd=/nonexistent/program\nstrikes=1\n");
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    client.wait_state("bad", "failed");
    client.wait_state("gone", "failed");
    let blocks = client.order(&["command=why", "name=bad", "name=gone"]);
    assert_eq!(blocks.len(), 6, "{blocks:?}");
    let policy: Vec<_> = blocks[0].all("policy").collect();
    assert!(policy.contains(&"strikes=3") && policy.contains(&"backoff=10ms"), "{policy:?}");
    assert!(!policy.iter().any(|it| it.contains("SECRET")), "{policy:?}");
    assert_eq!(blocks[0].get("file"), Some(place.path("going.d/bad").as_str()));
    assert_eq!(blocks[0].get("cmd"), Some("/bin/sh -c 'kill -SEGV $$'"));
    for (number, death) in (1..).zip(&blocks[1..4]) {
        assert_eq!((death.number("death"), death.get("of")), (Some(number), Some("bad")));
        assert_eq!(death.get("signal"), Some("SEGV"));
        assert_eq!(death.get("strike"), Some("short"));
        assert_eq!(death.get("first"), (number == 3).then_some("yes"));
    }
    assert!(blocks[1].number("ago-ms") <= blocks[3].number("ago-ms"));
    let fault = blocks[5].get("fault").unwrap();
    assert_eq!(fault, "Can't execute /nonexistent/program: No such file or directory");
    assert_eq!(blocks[5].get("strike"), Some("fault"));
    going.stop();
}

#[test]
fn going_tells_its_own_figures() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let mut client = Client::connect(&place);
    assert_eq!(client.order(&["command=ping"]), []);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(client.order(&["command=version"])[0].get("version"), Some(version));
    let told = &client.order(&["command=self"])[0];
    assert_eq!(told.get("version"), Some(version));
    assert_eq!(told.get("pid"), Some(going.pid.to_string().as_str()));
    assert_eq!(told.get("directory"), Some(place.path("going.d").as_str()));
    assert_eq!(told.get("run-directory"), Some(place.path("run").as_str()));
    let numbers = ["services", "alive", "clients"].map(|key| told.number(key));
    assert_eq!(numbers, [Some(1), Some(1), Some(1)]);
    assert!(told.number("turns") > Some(0) && told.number("uptime-ms").is_some());
    going.stop();
}

#[test]
fn requests_are_answered_in_their_order() {
    let place = Place::new();
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    let words = ["ping", "version", "self", "staus", "ping"];
    let requests: String = words.iter().map(|it| request(&[&format!("command={it}")])).collect();
    client.stream.write_all(format!("\n\n{requests}\n").as_bytes()).unwrap();
    client.finish();
    let replies: Vec<_> = words.iter().map(|_| client.reply()).collect();
    assert_eq!(replies.iter().map(|it| it.blocks.len()).collect::<Vec<_>>(), [0, 1, 1, 0, 0]);
    assert_eq!(replies[3].result(), "unknown-command");
    assert!(replies[3].end.get("message").unwrap().contains("status"), "{:?}", replies[3]);
    assert_eq!(client.block(), None);
    going.stop();
}

#[test]
fn names_tags_and_patterns_are_told_apart() {
    let place = Place::new();
    for (name, tag) in [("nginx", "web"), ("web1", "web"), ("web2", "x"), ("db", "x web")] {
        place.service(name, &format!("cmd=sleep 1000\ntag={tag}\n"));
    }
    let mut going = place.start(&[]);
    going.wait_all_started(["nginx", "web1", "web2", "db"]);
    let asked = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|it| format!("name={it}")).collect();
        let words = [vec!["command=status"], names.iter().map(String::as_str).collect()].concat();
        let reply = ask(&place, &words);
        (reply.all("service").join(" "), reply.result().to_owned(), reply.all("nearest").join(" "))
    };
    let ok = |names: &str| (names.to_owned(), "ok".to_owned(), String::new());
    assert_eq!(asked(&["web1"]), ok("web1"));
    assert_eq!(asked(&["web2", "db", "web2"]), ok("web2 db"));
    assert_eq!(asked(&["@web"]), ok("db nginx web1"));
    assert_eq!(asked(&["web?"]), ok("web1 web2"));
    assert_eq!(asked(&["web[!1]", "*"]), ok("web2 db nginx web1"));
    let unknown = |names: &str, nearest: &str| {
        (names.to_owned(), "unknown-service".to_owned(), nearest.to_owned())
    };
    assert_eq!(asked(&["ngnix", "db"]), unknown("db", "nginx"));
    for name in ["@", "@nope", "zz*", "web", "WEB1", "../web1", "a/b"] {
        let (services, code, _) = asked(&[name]);
        assert_eq!((services.as_str(), code.as_str()), ("", "unknown-service"), "{name}");
    }
    let reply = ask(&place, &["command=stop", "name=ngnix", "name=web1"]);
    assert_eq!((reply.result(), reply.all("outcome")), ("unknown-service", vec!["done"]));
    assert_eq!((reply.all("name"), reply.all("code")), (vec!["ngnix"], vec!["unknown-service"]));
    going.wait_for("web1: stopped after *");
    going.stop();
}

#[test]
fn events_are_numbered_and_can_be_had_later() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let mut client = Client::connect(&place);
    client.wait_state("web", "up");
    let start = client.ask(&["command=ping"]).end.number("serial").unwrap();
    let all = client.order(&["command=events"]);
    assert_eq!(all.iter().filter_map(|it| it.number("serial")).max(), Some(start));
    let mut follower = Client::connect(&place);
    follower.say(&["command=events", "follow=yes", &format!("since={start}")]);
    send(pid, Signal::SIGKILL);
    let death = follower.block().unwrap();
    assert_eq!(death.number("serial"), Some(start + 1), "{death:?}");
    assert_eq!((death.get("was"), death.get("signal")), (Some("up"), Some("KILL")), "{death:?}");
    assert_eq!(death.get("pid"), Some(pid.to_string().as_str()));
    let up = follower.wait_event("web", "up");
    going.wait_started("web");
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\nbackoff=2s\n");
    let config = follower.block().unwrap();
    assert_eq!(config.get("event"), Some("config"), "{config:?}");
    assert_eq!(config.get("message"), Some("backoff changed, applied"));
    // Who comes back is told the same with the same numbers.
    let late = client.order(&["command=events", &format!("since={start}")]);
    let numbers: Vec<_> = late.iter().map(|it| it.number("serial").unwrap()).collect();
    assert_eq!(numbers, (start + 1..=config.number("serial").unwrap()).collect::<Vec<_>>());
    assert!(late.iter().any(|it| it.number("serial") == up.number("serial")));
    let now = format!("since={}", config.number("serial").unwrap());
    assert_eq!(client.order(&["command=events", &now]), []);
    going.stop();
    while follower.block().is_some() {}
}

#[test]
fn whoever_asks_for_events_of_long_ago_hears_how_many_are_lost() {
    let place = Place::new();
    for number in 0..100 {
        place.service(&format!("s{number}"), "cmd=true\ntype=oneshot\n");
    }
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    wait_until("300 events", || client.ask(&["command=ping"]).end.number("serial") >= Some(300));
    let reply = client.ask(&["command=events", "since=0"]);
    let [lost, events @ ..] = &reply.blocks[..] else { panic!("no events") };
    let end = reply.end.number("serial").unwrap();
    assert_eq!(lost.pairs().count(), 1, "{lost:?}");
    assert_eq!(lost.number("lost").unwrap() + events.len() as u64, end);
    assert_eq!(events[0].number("serial"), Some(lost.number("lost").unwrap() + 1));
    going.stop();
}

/// Which is what ends the following.
#[test]
fn a_follower_is_hung_up_on_when_it_stops_sending_or_sends_more() {
    let place = Place::new();
    let mut going = place.start(&[]);
    for more in [None, Some(request(&["command=ping"]))] {
        let mut client = Client::connect(&place);
        client.say(&["command=events", "follow=yes"]);
        match more {
            None => client.finish(),
            Some(more) => client.stream.write_all(more.as_bytes()).unwrap(),
        }
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    ask(&place, &["command=ping"]);
    going.stop();
}

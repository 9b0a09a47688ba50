//! A crash loop is told when it begins and when it is over; and what is asked for in
//! digests comes in digests.

use crate::bench::{Teller, noting, place, target, told, value, waiting};
use crate::common::{Signal, send, wait_until};
use crate::server::{Manner, Server};

#[test]
fn a_crash_loop_is_two_messages() {
    let place = place();
    let each = noting(&place, "each", "");
    target(&place, "each", &format!("event=quarantine\n{each}"));
    let once = noting(&place, "once", "").replace("calm=0", "event=quarantine recovered\ncalm=1s");
    target(&place, "once", &once);
    place.service(
        "web",
        &format!(
            "cmd=sh -c 'test -e {} || exit 3; exec sleep 1000'\nbackoff=100ms\nbackoff-max=100ms\n",
            place.path("go")
        ),
    );
    crate::bench::early(&place);
    let mut going = place.start(&[]);
    let mut teller = Teller::start(&place);
    wait_until("four deaths are told to the one", || told(&place, "each").len() >= 4);
    assert_eq!(told(&place, "once").len(), 1);
    wait_until("it knows that", || waiting(&place, "once") == 0);
    teller.kill();
    teller = Teller::start(&place);
    let before = told(&place, "each").len();
    wait_until("more are told", || told(&place, "each").len() > before);
    assert_eq!(told(&place, "once").len(), 1, "its death does not tell it anew");
    place.write("go", "");
    wait_until("it is over", || told(&place, "once").len() == 2);
    let last = &told(&place, "once")[1];
    assert_eq!(value(last, "GOING_EVENT"), "recovered");
    let summary = value(last, "GOING_SUMMARY");
    assert!(summary.starts_with("web: recovered, up for 1s; "), "{summary}");
    drop(teller);
    going.stop();
}

#[test]
fn a_digest_is_one_message() {
    let place = place();
    let server = Server::http(&[Manner::Good]);
    let text = format!("webhook=http://127.0.0.1:{}/\nevent=exit\nevery=5s\n", server.port);
    target(&place, "ops", &text);
    place.service("web", "cmd=sleep 1000\n");
    place.service("db", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pids = going.wait_all_started(["web", "db"]);
    let _teller = Teller::start(&place);
    pids.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    wait_until("both wait", || waiting(&place, "ops") == 2);
    wait_until("it is posted", || server.heard().len() == 1);
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    assert_eq!(server.met(), 1);
    let heard = &server.heard()[0];
    let json: serde_json::Value =
        serde_json::from_str(heard.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 2, "{json}");
}

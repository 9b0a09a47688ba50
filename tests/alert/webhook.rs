//! Webhooks: what is posted, and what becomes of it where the other side does not do
//! what it should.

use crate::bench::{Teller, ask, place, secret, target, waiting};
use crate::common::{Signal, send, wait_until};
use crate::server::{Manner, Server};

#[test]
fn what_happened_is_posted_and_the_secret_is_not_told() {
    let place = place();
    let server = Server::http(&[Manner::Good]);
    let key = secret(&place, "key", "hunter2\n");
    target(
        &place,
        "ops",
        &format!("webhook=http://127.0.0.1:{}/in\nsecret=file:{key}\n", server.port),
    );
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    wait_until("it is posted", || server.heard().len() == 1);
    let heard = &server.heard()[0];
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /in HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("authorization: bearer hunter2"), "{head}");
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    let event = &json["events"][0];
    assert_eq!((&event["service"], &event["signal"]), (&"web".into(), &"KILL".into()), "{json}");
    assert_eq!(event["kind"], "unexpected-exit");
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    assert!(!teller.log().contains("hunter2"));
}

#[test]
fn the_url_itself_may_be_the_secret() {
    let place = place();
    let bad = Server::http(&[Manner::Status(500)]);
    let url = format!("http://127.0.0.1:{}/services/HUNTER2", bad.port);
    let key = secret(&place, "key", &url);
    target(&place, "ops", &format!("webhook=secret\nshape=slack\nsecret=file:{key}\n"));
    let output = ask(&place, &["--test", "ops"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("ops: not sent: 127.0.0.1:{} answers with status 500\n", bad.port);
    assert_eq!(said, format!("going-alert: {expected}"));
    let closed = "http://127.0.0.1:1/services/HUNTER2";
    secret(&place, "key", closed);
    let output = ask(&place, &["--test", "ops"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("127.0.0.1:1: ") && !said.contains("HUNTER2"), "{said}");
}

#[test]
fn servers_that_hang_cut_or_fail_get_it_when_they_are_well() {
    let place = place();
    let ill = [Manner::Status(500), Manner::Cut, Manner::Hang, Manner::Good];
    let server = Server::http(&ill);
    let url = format!("http://127.0.0.1:{}/", server.port);
    target(&place, "ops", &format!("webhook={url}\ntimeout=1s\nevent=exit\n"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    wait_until("it is taken", || server.heard().len() == 1);
    wait_until("nothing waits", || waiting(&place, "ops") == 0);
    assert_eq!(server.met(), 4);
    for text in ["status 500; next try in 1s", "next try in 2s", "next try in 4s"] {
        assert!(teller.log().contains(text), "{text}: {}", teller.log());
    }
}

#[test]
fn what_will_never_be_taken_is_set_aside() {
    let place = place();
    let server = Server::http(&[Manner::Status(400), Manner::Good]);
    let url = format!("http://127.0.0.1:{}/", server.port);
    target(&place, "ops", &format!("webhook={url}\nevent=exit\ncalm=0\n"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    let teller = Teller::start(&place);
    send(pid, Signal::SIGKILL);
    teller.wait_for("ops: refused: 127.0.0.1:");
    send(going.wait_started("web"), Signal::SIGKILL);
    wait_until("the next one is taken", || server.heard().len() == 1);
    let names = std::fs::read_dir(place.path("spool/ops")).unwrap().flatten();
    let names: Vec<_> = names.map(|it| it.file_name().into_string().unwrap()).collect();
    wait_until("one is kept", || waiting(&place, "ops") == 1);
    assert!(names.iter().any(|name| name.ends_with(".refused")), "{names:?}");
}

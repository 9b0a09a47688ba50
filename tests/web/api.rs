//! The REST interface: what goingctl can do, and what cannot be done.

use serde_json::Value;

use super::site::Site;
use crate::common::{Place, Signal, wait_until};

const LOGGING: [&str; 2] = ["-o", "stdout=log"];

fn state(site: &Site, name: &str) -> String {
    let service = site.get(&format!("/api/v1/services/{name}")).json();
    service["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn services_are_told_and_ordered_about() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\ntag=front\n");
    place.service("db", "cmd=sleep 1000\nstdin=pipe\n");
    let mut going = place.start(&[]);
    going.wait_all_started(["web", "db"]);
    let site = Site::open(&place, &[]);
    wait_until("both are up", || site.get("/readyz").status == 200);
    let all = site.get("/api/v1/services").json();
    let names: Vec<_> =
        all["services"].as_array().unwrap().iter().map(|it| &it["service"]).collect();
    assert_eq!(names, ["db", "web"]);
    let tagged = site.get("/api/v1/services?name=%40front").json();
    assert_eq!(tagged["services"].as_array().unwrap().len(), 1);

    let stopped = site.post("/api/v1/services/web/stop", "{\"wait\": true}");
    assert_eq!(stopped.status, 200, "{stopped:?}");
    assert_eq!(stopped.json()["services"][0]["state"], "down");
    assert_eq!(state(&site, "web"), "down");
    let started = site.post("/api/v1/start", "{\"names\": [\"@front\"], \"wait\": true}");
    assert_eq!(started.json()["services"][0]["state"], "up");
    let pid = |site: &Site| site.get("/api/v1/services/web").json()["pid"].as_u64();
    let before = pid(&site);
    assert_eq!(site.post("/api/v1/services/web/restart", "{\"wait\": true}").status, 200);
    assert_ne!(pid(&site), before);
    assert_eq!(site.post("/api/v1/services/db/send", "{\"text\": \"hello\"}").status, 200);
    let denied = site.post("/api/v1/services/web/send", "{\"text\": \"hello\"}");
    assert_eq!(denied.status, 409, "its stdin is no pipe: {denied:?}");
    assert_eq!(site.post("/api/v1/services/web/signal", "{\"signal\": \"KILL\"}").status, 200);
    wait_until("why tells of it", || {
        let why = site.get("/api/v1/services/web/why").json();
        let deaths = why["services"][0]["deaths"].as_array().unwrap().clone();
        deaths.iter().any(|death| death["signal"] == "KILL" && death["ordered"] == false)
    });
}

#[test]
fn services_are_restarted_one_after_the_other_and_waited_for() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.service(name, &format!("{}tag=all\n", place.logged(name, "exec sleep 1000")));
    }
    let hup = place.logged(
        "hup",
        "trap : HUP; trap 'echo $$ >>$0.usr1' USR1; while :; do sleep 1 & wait; done",
    );
    place.service("hup", &format!("{hup}reload-signal=USR1\n"));
    let mut going = place.start(&[]);
    going.wait_all_started(["a", "b", "c", "hup"]);
    let site = Site::open(&place, &[]);
    wait_until("all are up", || site.get("/readyz").status == 200);
    let rolling = || site.post("/api/v1/restart", "{\"names\": [\"@all\"], \"rolling\": true}");
    let told = rolling();
    assert_eq!(told.status, 200, "{told:?}");
    for name in ["a", "b", "c"] {
        place.wait_starts(name, 2);
    }
    let names: Vec<_> = told.json()["services"].as_array().unwrap().clone();
    assert_eq!(
        names.iter().map(|it| it["service"].as_str().unwrap()).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    // One that does not come up is the last one that is touched.
    let failing = "cmd=sh -c 'exit 3'\ntag=all\nstrikes=1\nready=uptime\nmin-uptime=1h\n";
    place.service("b", failing);
    let late = site.get("/api/v1/services/b/wait?for=failed");
    assert_eq!((late.status, late.json()["state"].as_str()), (200, Some("failed")), "{late:?}");
    let told = rolling();
    assert_eq!(told.status, 409, "{told:?}");
    assert_eq!((place.wait_starts("a", 3) > 0, place.starts("c").len()), (true, 2));

    assert_eq!(site.get("/api/v1/services/a/wait?for=down&seconds=0").status, 409);
    assert_eq!(site.get("/api/v1/services/a/wait?for=nothing").status, 400);
    assert_eq!(site.get("/api/v1/services/nope/wait?for=up").status, 404);
    // The signal that its file says.
    assert_eq!(site.post("/api/v1/services/hup/hup", "").status, 200);
    wait_until("it is told", || place.read("hup.sh.usr1").ends_with('\n'));
}

#[test]
fn a_text_is_looked_at_before_it_is_a_file() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let check = |name: &str, text: &str| {
        let body = serde_json::json!({ "name": name, "text": text }).to_string();
        site.post("/api/v1/check", &body).json()["complaints"].as_array().unwrap().clone()
    };
    assert!(check("db", "cmd=sleep 1000\n").is_empty());
    assert!(check("db@", "cmd=sleep 1000 %i\n").is_empty());
    let wrong = check("db", "cmd=sleep 1000\nrestart=alwas\nusr=ann\n");
    assert_eq!([&wrong[0]["line"], &wrong[1]["line"]], [2, 3]);
    assert!(wrong[1]["message"].as_str().unwrap().contains("user"), "{wrong:?}");
    let name = check("a b", "cmd=sleep 1000\n");
    assert_eq!(name[0]["line"], Value::Null);
    for body in ["{}", "{\"name\": \"x\"}", "{\"name\": 1, \"text\": \"\"}"] {
        assert_eq!(site.post("/api/v1/check", body).status, 400, "{body}");
    }
    // It is no file by that.
    assert_eq!(site.get("/api/v1/services/db").status, 404);
    assert_eq!(site.get("/api/v1/check").status, 405);
}

#[test]
fn what_makes_no_sense_is_told_in_json() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let code = |it: Value| it["error"]["code"].as_str().unwrap_or_default().to_owned();
    for (path, status, word) in [
        ("/api/v1/services/nope", 404, "unknown-service"),
        ("/api/v1/services/*", 404, "unknown-service"),
        ("/api/v1/services/..%2fx", 404, "unknown-address"),
        ("/api/v1/services?name=nope", 404, "unknown-service"),
        ("/api/v1/nothing", 404, "unknown-address"),
        ("/api/v1/services/web/log?lines=x", 400, "invalid"),
        ("/api/v1/services/web/log", 409, "failed"),
        ("/api/v1/services/web/start", 405, "invalid"),
        ("/api/v1/reload", 405, "invalid"),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, code(answer.json())), (status, word.to_owned()), "{path}");
    }
    for (path, body, status) in [
        ("/api/v1/services/nope/start", "", 404),
        ("/api/v1/services/web/dance", "", 404),
        ("/api/v1/services/web/signal", "{}", 400),
        ("/api/v1/services/web/signal", "{\"signal\": \"FOO\"}", 400),
        ("/api/v1/services/web/start", "[]", 400),
        ("/api/v1/services/web/start", "{", 400),
        ("/api/v1/start", "{}", 400),
        ("/api/v1/start", "{\"names\": []}", 400),
        ("/api/v1/services", "", 405),
    ] {
        let answer = site.post(path, body);
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string(), "{answer:?}");
    }
    // A question about what has no end has one.
    let head =
        "HEAD /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let head = site.raw(head);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(site.post("/api/v1/events", "").header("allow"), Some("GET, HEAD"));
    assert_eq!(
        site.raw("PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").status,
        405
    );
}

#[test]
fn a_going_that_is_gone_is_shown_and_found_again() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    going.signal(Signal::SIGKILL);
    going.wait_exit();
    for path in ["/", "/api/v1/services", "/readyz"] {
        assert_eq!(site.get(path).status, 503, "{path}");
    }
    assert!(site.get("/").body.contains("does not answer"));
    assert_eq!(site.get("/api/v1/services").json()["error"]["code"], "no-going");
    assert!(site.get("/metrics").body.starts_with("# TYPE going_up gauge"));
    assert_eq!(site.get("/healthz").status, 200);
    let _again = place.start(&[]);
    wait_until("it is found again", || site.get("/readyz").status == 200);
    assert!(site.get("/metrics").body.contains("going_service_up{service=\"web\"} 1\n"));
}

#[test]
fn logs_and_events_come_as_they_are_made() {
    let place = Place::new();
    place.service("web", "cmd=sh -c 'echo one; echo \"<b>two\"; read it; echo \"got $it\"; exec sleep 1000'\nstdin=pipe\n");
    let mut going = place.start(&LOGGING);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    wait_until("its lines are written", || {
        site.get("/api/v1/services/web/log?format=text").body.contains("two")
    });
    let found = site.get("/api/v1/services/web/log?grep=T.O&lines=5").json();
    assert_eq!(found["lines"].as_array().unwrap().len(), 1, "{found}");
    // The page has it as text.
    let page = site.get("/services/web").body;
    assert!(page.contains("&lt;b&gt;two") && !page.contains("<b>two"));

    let log = site.follow("/api/v1/services/web/log/stream");
    let events = site.follow("/api/v1/events/stream");
    wait_until("the old lines", || log.seen("two"));
    // As supervisorctl does: an empty line too many, and late.
    log.say("\r\n");
    assert_eq!(site.post("/api/v1/services/web/send", "{\"text\": \"this\"}").status, 200);
    wait_until("the new line", || log.seen("got this"));
    assert_eq!(site.post("/api/v1/services/web/stop", "").status, 200);
    wait_until("the event", || events.seen("\"state\":\"down\""));
}

#[test]
fn every_address_of_the_description_is_there() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nstdin=pipe\n");
    let mut going = place.start(&LOGGING);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let description = site.get("/api/v1/openapi.json").json();
    let mut count = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path =
            format!("/api/v1{}", path.replace("{name}", "web").replace("{order}", "restart"));
        for method in methods.as_object().unwrap().keys().filter(|_| !path.ends_with("/stream")) {
            let path = path.replace("/wait", "/wait?for=up");
            // These would end the test.
            if path.ends_with("/shutdown") || path.ends_with("/upgrade") {
                continue;
            }
            let body =
                "{\"names\": [\"web\"], \"signal\": \"CONT\", \"text\": \"x\", \"name\": \"x\"}";
            let answer = if method == "get" { site.get(&path) } else { site.post(&path, body) };
            assert!([200, 202, 409].contains(&answer.status), "{method} {path}: {answer:?}");
            assert!(methods[method]["responses"][answer.status.to_string()].is_object(), "{path}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

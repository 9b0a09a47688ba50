//! Many clients, slow ones and such as speak no HTTP, do not keep others waiting.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::site::{Site, users};
use crate::common::{Place, status, wait_until};

#[test]
fn a_thousand_slow_clients_keep_nobody_waiting() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let slow: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
            stream
        })
        .collect();
    assert_eq!(site.get("/api/v1/services/web").status, 200);
    let threads: usize = status(site.pid(), "Threads").parse().unwrap();
    assert!(threads > 500, "they are there: {threads}");
    let kb: usize = status(site.pid(), "VmRSS").split_whitespace().next().unwrap().parse().unwrap();
    assert!(kb < 64 * 1024, "{kb} kB for a thousand clients");
    drop(slow);
    assert_eq!(site.get("/api/v1/services/web").status, 200);
}

#[test]
fn what_is_no_http_is_refused_and_does_no_harm() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let head = "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: text/xml\r\n";
    let deep = "<value><array><data>".repeat(40_000);
    for (request, wanted) in [
        ("\x16\x03\x01 hello\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("{head}Content-Length: 99999999\r\n\r\n"), 413),
        (format!("{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"), 400),
        (format!("{head}Content-Length: {}\r\n\r\n{deep}", deep.len()), 400),
        (format!("{head}Content-Length: 5\r\n\r\n<a/>x"), 400),
    ] {
        let answer = site.owner(&request);
        assert_eq!(answer.status, wanted, "{:?} {answer:?}", request.get(..60));
    }
    assert_eq!(site.get("/api/v1/services/web").status, 200);
}

#[test]
fn a_flood_of_wrong_passwords_keeps_nobody_out_who_is_known() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &["--users", &users(&place)]);
    let ask = |proof: &str| {
        format!(
            "GET /api/v1/self HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {proof}\r\nConnection: close\r\n\r\n"
        )
    };
    // ann:secret
    let known = ask("YW5uOnNlY3JldA==");
    assert_eq!(site.raw(&known).status, 200);
    let strangers: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
            // ann:wrong
            stream.write_all(ask("YW5uOndyb25n").as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(site.raw(&known).status, 200);
    let mut busy = 0;
    for mut stream in strangers {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        match answer.get(9..12) {
            Some("401") => {}
            Some("429") => busy += 1,
            _ => panic!("{answer}"),
        }
    }
    assert!(busy > 0, "so many were compared at once");
}

#[test]
fn what_is_deep_or_long_in_an_order_does_no_harm() {
    let place = Place::new();
    place.service("web", "cmd=sh -c 'echo hello; exec sleep 1000'\n");
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    wait_until("it has written", || place.read("log/web.log").contains("hello"));
    // As deep as it may be, and deeper.
    for depth in [5, 9, 10, 100, 100_000] {
        let (begin, end) = ("<value><array><data>", "</data></array></value>");
        let value = begin.repeat(depth) + &end.repeat(depth);
        let call = format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>supervisor.getState</methodName>\
             <params><param>{value}</param></params></methodCall>"
        );
        let length = call.len();
        let head = "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let call =
            format!("{head}Content-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{call}");
        let answer = site.owner(&call).status;
        assert!([200, 400, 413].contains(&answer), "{depth}: {answer}");
        let json = format!("{{\"names\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let answer = site.post("/api/v1/start", &json);
        assert_eq!(answer.status, 400, "{depth}: {answer:?}");
        let pattern = "(".repeat(depth.min(4000)) + &")".repeat(depth.min(4000));
        let log = site.get(&format!("/api/v1/services/web/log?grep={pattern}"));
        assert!([200, 409].contains(&log.status), "{depth}: {log:?}");
    }
    // More names than going takes in one question.
    let names = vec!["\"web\""; 100_000].join(",");
    let many = site.post("/api/v1/restart", &format!("{{\"names\": [{names}]}}"));
    assert_eq!(many.status, 400, "{many:?}");
    let long = "x".repeat(900_000);
    let long = site.post("/api/v1/start", &format!("{{\"names\": [\"{long}\"]}}"));
    assert!([400, 404].contains(&long.status), "{long:?}");
    assert_eq!(site.get("/api/v1/services/web").json()["state"], "up");
}

#[test]
fn one_client_cannot_hold_every_connection() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    // They begin to ask, so that nobody is closed for being silent.
    let mut greedy = Vec::new();
    for _ in 0..1100 {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: loc");
        greedy.push(stream);
    }
    // The last ones were told to come back.
    let mut answer = String::new();
    let _ = greedy.last_mut().unwrap().read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    // Somebody else has room.
    let owner = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(site.owner(owner).status, 200);
    drop(greedy);
    wait_until("there is room again", || site.get("/healthz").status == 200);
}

#[test]
fn who_follows_takes_no_place_from_others() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let all: Vec<_> = (0..260).map(|_| site.follow("/api/v1/events/stream")).collect();
    wait_until("all are answered", || {
        all.iter().all(|it| it.seen("retry: ") || it.seen("too many people follow"))
    });
    let refused = all.iter().filter(|it| it.seen("too many people follow")).count();
    assert_eq!(refused, 4, "half of the places, 256, are for one of them");
    let mut owner = UnixStream::connect(&site.socket).unwrap();
    owner.write_all(b"GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    owner.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut status = [0; 12];
    owner.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// Takes half a minute, in which there is nothing to do.
#[test]
fn who_does_not_read_or_write_is_given_up() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let site = Site::open(&place, &[]);
    let threads = || status(site.pid(), "Threads").parse::<usize>().unwrap();
    // The first one, and one for each of what it listens on.
    let idle = 3;
    wait_until("nobody is served", || threads() == idle);
    let mut writer = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    writer.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
    // More answers than all buffers on the way take, and nobody who reads them.
    let mut reader = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    let ask = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    reader.write_all(&ask.repeat(500)).unwrap();
    wait_until("both are served", || threads() >= idle + 2);
    writer.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut answer = String::new();
    writer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while threads() > idle {
        assert!(std::time::Instant::now() < end, "the slow reader is there still");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(site.get("/healthz").status, 200);
}

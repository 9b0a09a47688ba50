//! Many clients, slow ones and such as speak no HTTP, do not keep others waiting.

use std::io::{Read, Write};
use std::net::TcpStream;

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

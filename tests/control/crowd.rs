//! Clients that do not behave, and very many that do: going goes on with its work
//! and serves the others.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::client::{Client, ask, request};
use crate::common::{Place, Signal, has, has_root, send, stat, status, wait_until};

/// What going takes of our memory, in kB.
fn memory(pid: i32) -> u64 {
    status(pid, "VmRSS").trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_is_no_message_is_answered_and_hung_up_on() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    let mut other = Client::connect(&place);
    let long = format!("going=1\ncommand=status\nname={}\n\n", "x".repeat(65_536));
    let endless = "x".repeat(70_000);
    let malformed: [&[u8]; 11] = [
        b"hello\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n",
        b"going=1\nCommand=status\n\n",
        b"going=1\n=status\n\n",
        b"going=1\r\ncommand=status\r\n\n",
        b"going=1\ncommand=status\nname=\\x\n\n",
        b"going=1\ncommand=status\nname=\\\n\n",
        b"going=1\ncommand=status\nname=\xff\n\n",
        b"\0\x01\x02\x7fELF\n\n",
        long.as_bytes(),
        endless.as_bytes(),
    ];
    for bytes in malformed {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        let mut client = Client::connect(&place);
        // It may hang up before all is written.
        let _ = client.stream.write_all(bytes);
        let reply = client.reply();
        assert_eq!(reply.result(), "invalid", "{shown}");
        assert_eq!(client.block(), None, "{shown}");
        assert_eq!(other.order(&["command=status"])[0].number("pid"), u64::try_from(pid).ok());
    }
    // What is a message, but none that we understand, ends nothing.
    for (text, code) in [
        ("command=status\n\n", "version"),
        ("going=2\ncommand=status\n\n", "version"),
        ("going=1\n\n", "invalid"),
        ("going=1\nname=web\ncommand=status\n\n", "invalid"),
        ("going=1\ncommand=\n\n", "unknown-command"),
    ] {
        other.stream.write_all(text.as_bytes()).unwrap();
        assert_eq!(other.reply().result(), code, "{text}");
    }
    other.order(&["command=ping"]);
    going.stop();
}

/// Exactly as long as it may be, however it is cut.
#[test]
fn a_message_may_be_64_kib_long_and_come_in_pieces() {
    let place = Place::new();
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    let frame = request(&["command=status", "name="]).len();
    let text = request(&["command=status", &format!("name={}", "x".repeat(65_536 - frame))]);
    assert_eq!(text.len(), 65_536);
    client.stream.write_all(text.as_bytes()).unwrap();
    assert_eq!(client.reply().result(), "unknown-service");
    for byte in request(&["command=ping"]).bytes() {
        client.stream.write_all(&[byte]).unwrap();
        ask(&place, &["command=ping"]);
    }
    assert_eq!(client.reply().result(), "ok");
    going.stop();
}

#[test]
fn whoever_hangs_up_amid_a_request_or_a_reply_leaves_nothing() {
    let place = Place::new();
    for number in 0..50 {
        place.service(&format!("s{number}"), "cmd=true\ntype=oneshot\n");
    }
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    wait_until("all services", || client.order(&["command=status"]).len() == 50);
    for round in 0..200 {
        let mut other = Client::connect(&place);
        let text = request(&["command=status"]).repeat(10);
        let text = if round % 2 == 0 { text.as_str() } else { "going=1\ncommand=shutdown\nx" };
        other.stream.write_all(text.as_bytes()).unwrap();
    }
    wait_until("them to be gone", || {
        client.order(&["command=self"])[0].number("clients") == Some(1)
    });
    going.stop();
}

#[test]
fn a_hundred_clients_are_served_at_once() {
    let place = Place::new();
    for number in 0..20 {
        place.service(&format!("s{number:02}"), "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    let mut first = Client::connect(&place);
    wait_until("all services", || {
        let blocks = first.order(&["command=status"]);
        blocks.iter().filter(|it| it.get("state") == Some("up")).count() == 20
    });
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut client = Client::connect(&place);
                for _ in 0..5 {
                    let blocks = client.order(&["command=status"]);
                    let names: Vec<_> = blocks.iter().filter_map(|it| it.get("service")).collect();
                    assert!(names.len() == 20 && names.is_sorted(), "{names:?}");
                }
            });
        }
    });
    going.stop();
}

#[test]
fn thousands_of_connections_do_not_keep_going_from_its_work() {
    // Root is not shown out for others.
    if !has_root() || !has("prlimit") {
        return;
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(8192), most).unwrap();
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    let mut going = place.start_under(&["prlimit", "--nofile=256"], &[]);
    let mut pid = going.wait_started("web");
    let mut early = Client::connect(&place);
    early.order(&["command=ping"]);
    let mut crowd = Vec::new();
    for _ in 0..3000 {
        // When its queue is full, it may refuse; it must not wait for us.
        let Ok(stream) = UnixStream::connect(place.path("run/control")) else { break };
        crowd.push(stream);
    }
    assert!(crowd.len() > 300, "only {}", crowd.len());
    for _ in 0..5 {
        send(pid, Signal::SIGKILL);
        pid = going.wait_started("web");
        early.wait_state("web", "up");
    }
    let fds = std::fs::read_dir(format!("/proc/{}/fd", going.pid)).unwrap().count();
    assert!(fds < 200, "{fds} descriptors leave none for services");
    for number in 0..50 {
        place.service(&format!("s{number}"), "cmd=sleep 1000\n");
    }
    wait_until("the new services", || {
        let blocks = early.order(&["command=status"]);
        blocks.iter().filter(|it| it.get("state") == Some("up")).count() == 51
    });
    drop(crowd);
    assert_eq!(ask(&place, &["command=status"]).blocks.len(), 51);
    going.stop();
}

/// Which waits for clients without asking all the time whether there is room.
#[test]
fn being_full_is_no_reason_to_be_busy() {
    // Root is not shown out for others.
    if !has_root() || !has("prlimit") {
        return;
    }
    let place = Place::new();
    let mut going = place.start_under(&["prlimit", "--nofile=64"], &[]);
    let mut early = Client::connect(&place);
    early.order(&["command=ping"]);
    let crowd: Vec<_> =
        (0..100).map_while(|_| UnixStream::connect(place.path("run/control")).ok()).collect();
    let clients = early.order(&["command=self"])[0].number("clients").unwrap();
    assert!(clients <= 33, "{clients}");
    let turns = |client: &mut Client| client.order(&["command=self"])[0].number("turns").unwrap();
    let uptime =
        |client: &mut Client| client.order(&["command=self"])[0].number("uptime-ms").unwrap();
    let (before, start) = (turns(&mut early), uptime(&mut early));
    // Each question is a turn, so few are asked.
    wait_until("three seconds", || {
        thread::park_timeout(std::time::Duration::from_millis(500));
        uptime(&mut early) >= start + 3000
    });
    let seconds = (uptime(&mut early) - start) / 1000;
    let more = turns(&mut early) - before;
    assert!(more <= 10 + 6 * seconds, "{more} turns in {seconds} s");
    drop(crowd);
    going.stop();
}

#[test]
fn a_follower_that_does_not_read_loses_events_and_costs_nothing() {
    if !has("socat") {
        return;
    }
    let place = Place::new();
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    place.write("request", request(&["command=events", "follow=yes"]));
    let mut follower = Command::new("socat")
        .args(["-,ignoreeof", &format!("UNIX-CONNECT:{}", place.path("run/control"))])
        .env("GOING_TEST", &place.marker)
        .stdin(File::open(place.path("request")).unwrap())
        .stdout(File::create(place.path("events")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = i32::try_from(follower.id()).unwrap();
    let fast = "cmd=true\nmin-uptime=0\nburst=none\n";
    place.service("a", fast);
    wait_until("the first event", || place.read("events").contains("service=a"));
    send(pid, Signal::SIGSTOP);
    wait_until("it to halt", || stat(pid).is_some_and(|it| it[0] == "T"));
    let serial = |client: &mut Client| client.ask(&["command=ping"]).end.number("serial").unwrap();
    // The ring and the buffers of the socket are filled by then.
    let start = serial(&mut client);
    wait_until("events", || serial(&mut client) > start + 2000);
    let before = memory(going.pid);
    wait_until("more events", || serial(&mut client) > start + 8000);
    let after = memory(going.pid);
    assert!(after < before + 300, "it grew from {before} to {after} kB");
    assert!(!place.read("events").contains("lost="));
    send(pid, Signal::SIGCONT);
    wait_until("the loss to be told", || place.read("events").contains("\n\nlost="));
    place.remove("a");
    wait_until("the last event", || place.read("events").contains("message=file gone, stopping"));
    going.stop();
    follower.wait().unwrap();
    let (text, mut next) = (place.read("events"), None);
    // With what is lost counted in, no number is left out.
    for block in text.split("\n\n").filter(|it| !it.trim().is_empty()) {
        let (key, number) = block.lines().next().unwrap().split_once('=').unwrap();
        let number: u64 = number.parse().unwrap();
        next = match (key, next) {
            ("lost", Some(next)) => Some(next + number),
            ("serial", None) => Some(number + 1),
            ("serial", Some(next)) => {
                assert_eq!(number, next, "{block}");
                Some(next + 1)
            }
            _ => panic!("{block}"),
        };
    }
}

/// However much it asks for, going keeps a piece of it only.
#[test]
fn a_client_that_never_reads_its_replies_waits_alone() {
    let place = Place::new();
    for number in 0..50 {
        place.service(&format!("s{number}"), "cmd=true\ntype=oneshot\n");
    }
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    wait_until("all services", || client.order(&["command=status"]).len() == 50);
    let before = memory(going.pid);
    let text = request(&["command=status"]).repeat(1000);
    let mut stuck: Vec<_> = (0..20).map(|_| Client::connect(&place)).collect();
    for it in &mut stuck {
        it.stream.set_nonblocking(true).unwrap();
        // As much as the socket takes.
        while it.stream.write(text.as_bytes()).is_ok() {
            client.order(&["command=ping"]);
        }
    }
    client.order(&["command=status"]);
    let after = memory(going.pid);
    assert!(after < before + 20 * 64, "it grew from {before} to {after} kB");
    // What was asked for is answered as soon as somebody reads.
    let it = &mut stuck[0];
    it.stream.set_nonblocking(false).unwrap();
    for _ in 0..500 {
        assert_eq!(it.reply().blocks.len(), 50);
    }
    drop(stuck);
    let mut rest = Vec::new();
    client.finish();
    assert_eq!(client.stream.read_to_end(&mut rest).unwrap(), 0);
    going.stop();
}

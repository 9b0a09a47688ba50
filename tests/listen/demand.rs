//! Services that are started by the first who wants to talk to them, or by nobody but
//! an operator.

use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use crate::client::Client;
use crate::common::{Place, Signal, is_alive, send, wait_until};
use crate::{LIMIT, ask_port, free_port, server, talk};

#[test]
fn the_first_connection_starts_it_and_the_next_one_does_again() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, path) = (free_port(), place.path("s"));
    let text =
        format!("cmd={server} one\nlisten=tcp:{port}\nlisten=unix:{path}\nstart=on-demand\n");
    place.service("web", &(text + "burst=none\n"));
    let mut going = place.start(&[]);
    going.wait_for("web: listening, started on demand");
    let mut client = Client::connect(&place);
    let block = client.wait_state("web", "listening");
    assert_eq!(block.get("want"), Some("up"));
    assert_eq!(block.all("listen").count(), 2);
    assert_eq!(block.number("starts"), Some(0));
    let mut pids = Vec::new();
    for round in 0..20 {
        let answer = match round % 2 {
            0 => ask_port(port),
            _ => talk(UnixStream::connect(&path).unwrap()).unwrap(),
        };
        let pid = going.wait_started("web");
        assert_eq!(answer, pid.to_string());
        pids.push(pid);
        if round == 10 {
            // One that comes while it ends is served by the next run.
            assert_ne!(ask_port(port), answer);
            pids.push(going.wait_started("web"));
        }
    }
    let ended = "web terminated after: *s (exit status 0; listening)";
    wait_until("its last end", || going.count(ended) == 21);
    assert_eq!(client.wait_state("web", "listening").number("starts"), Some(21));
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    // To wait for somebody costs nothing, however long it takes.
    let mut turns = || client.order(&["command=self"])[0].number("turns").unwrap();
    let before = turns();
    place.service("while", "cmd=sleep 1\ntype=oneshot\n");
    going.wait_for("while terminated *done)");
    assert!(turns() < before + 50, "it does something all the time");
    going.stop();
}

#[test]
fn a_datagram_starts_it_and_is_answered() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let port = free_port();
    place.service("dns", &format!("cmd={server}\nlisten=udp:{port}\nstart=on-demand\n"));
    let mut going = place.start(&[]);
    going.wait_for("dns: listening, started on demand");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send_to(b"who?", ("127.0.0.1", port)).unwrap();
    let mut bytes = [0; 64];
    let (length, _) = socket.recv_from(&mut bytes).unwrap();
    let pid = going.wait_started("dns");
    assert_eq!(String::from_utf8_lossy(&bytes[..length]).trim_end(), pid.to_string());
    going.stop();
}

#[test]
fn one_that_never_takes_the_connection_is_held_back() {
    let place = Place::new();
    let (failing, deaf) = (free_port(), free_port());
    let keys = "start=on-demand\nbackoff=1h\nbackoff-max=1h\n";
    place.service("failing", &format!("cmd=false\nlisten=tcp:{failing}\n{keys}"));
    place.service("deaf", &format!("cmd=true\nlisten=tcp:{deaf}\n{keys}burst=5/10s\n"));
    place
        .service("never", &format!("cmd=false\nlisten=tcp:{}\n{keys}restart=never\n", free_port()));
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    for name in ["failing", "deaf", "never"] {
        client.wait_state(name, "listening");
    }
    let _waiting = [failing, deaf].map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap());
    going.wait_for_all(&[
        "failing terminated *quarantined*",
        "deaf terminated *crash loop: 5 deaths*",
    ]);
    assert_eq!(going.count("failing: started (pid *)"), 1);
    assert_eq!(going.count("deaf: started (pid *)"), 5);
    // Whoever comes meanwhile waits with them.
    let _more = [failing, deaf].map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert_eq!(client.wait_state("never", "listening").number("starts"), Some(0));
    let before = going.lines().len();
    client.order(&["command=ping"]);
    assert_eq!(going.lines().len(), before);
    // What follows a quarantine is the wait for somebody, and he is there.
    let port = free_port();
    let keys = "start=on-demand\nbackoff=50ms\nstrikes=3\n";
    place.service("last", &format!("cmd=false\nlisten=tcp:{port}\n{keys}"));
    going.wait_for("last: listening*");
    let _waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    going.wait_for("last terminated *gave up after 3 strikes)");
    assert_eq!(going.count("last: started (pid *)"), 3);
    // Whom nobody will ever serve is told so.
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    going.stop();
}

#[test]
fn orders_and_edits_mean_what_they_say() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, second) = (free_port(), free_port());
    let text = |start: &str, port| format!("cmd={server}\nlisten=tcp:{port}\nstart={start}\n");
    place.service("web", &text("on-demand", port));
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    client.wait_state("web", "listening");
    // Another port, and it still waits for somebody, there.
    place.service("web", &text("on-demand", second));
    going.wait_for("web: listen changed");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(client.wait_state("web", "listening").number("starts"), Some(0));
    assert_eq!(ask_port(second), going.wait_started("web").to_string());
    // A restart by order is one, a stop makes it deaf, and a start wakes it.
    client.order(&["command=restart", "name=web"]);
    going.wait_started("web");
    client.order(&["command=stop", "name=web"]);
    client.wait_state("web", "down");
    wait_until("a closed door", || TcpStream::connect(("127.0.0.1", second)).is_err());
    client.order(&["command=start", "name=web"]);
    let pid = going.wait_started("web");
    assert_eq!(ask_port(second), pid.to_string(), "it minds its signals by now");
    send(pid, Signal::SIGTERM);
    going.wait_for("web terminated after: *s (exit status 0; listening)");
    // Nobody has to come any more.
    place.service("web", &text("auto", second));
    going.wait_started("web");
    going.stop();
}

#[test]
fn a_manual_service_waits_for_its_operator() {
    let place = Place::new();
    place.service("tool", "cmd=sleep 1000\nstart=manual\n");
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("web");
    let mut client = Client::connect(&place);
    let block = client.wait_state("tool", "down");
    assert_eq!((block.get("want"), block.number("starts")), (Some("down"), Some(0)));
    place.service("tool", "cmd=sleep 1001\nstart=manual\n");
    going.wait_for("tool: cmd changed");
    client.wait_state("tool", "down");
    client.order(&["command=start", "name=tool"]);
    let pid = going.wait_started("tool");
    send(pid, Signal::SIGKILL);
    going.wait_for("tool terminated *quarantined*");
    // Once it is wanted it is kept, and a new file of that name begins anew.
    place.remove("tool");
    going.wait_for("tool: removed");
    place.service("tool", "cmd=sleep 1000\nstart=manual\n");
    going.wait_for("tool: added");
    client.wait_state("tool", "down");
    wait_until("no process of it", || going.count("tool: started (pid *)") == 1);
    going.stop();
}

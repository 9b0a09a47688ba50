//! What a service gets: its descriptors, in order, and what tells it of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

use crate::client::Client;
use crate::common::{Place, has_root, status, strings, wait_comm, wait_until};
use crate::{LIMIT, ask_port, free_port, server, talk};

/// The descriptors of a process by their numbers.
fn descriptors(pid: i32) -> BTreeMap<u32, String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|it| it.unwrap());
    let open = entries.map(|entry| {
        let link = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        (entry.file_name().to_str().unwrap().parse().unwrap(), link)
    });
    open.collect()
}

fn variable(pid: i32, name: &str) -> Vec<String> {
    let mark = format!("{name}=");
    let lines = strings(pid, "environ").into_iter();
    lines.filter_map(|it| it.strip_prefix(&mark).map(str::to_owned)).collect()
}

#[test]
fn every_kind_of_socket_is_passed_and_answers() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (a, b, c, d) = (free_port(), free_port(), free_port(), free_port());
    let (stream, datagram, packets) = (place.path("s"), place.path("d"), place.path("p"));
    let mark = &place.marker;
    place.service(
        "web:1",
        &format!(
            "cmd={server}\nlisten=tcp:localhost:{a} name=http\nlisten=tcp:[::1]:{b}\nlisten=udp:{c}\n\
             listen=unix:{stream}\nlisten=unix-dgram:{datagram} name=log\n\
             listen=unix-seqpacket:{packets}\nlisten=unix:@{mark}\nlisten=tcp:*:{d} backlog=7\n"
        ),
    );
    // What going itself was given is none of the service's.
    let words = ["env", "LISTEN_FDS=3", "LISTEN_PID=1", "LISTEN_FDNAMES=x"];
    let mut going = place.start_under(&words, &[]);
    let pid = going.wait_started("web:1");
    wait_comm(pid, "server");
    let text = pid.to_string();
    assert_eq!(variable(pid, "LISTEN_FDS"), ["8"]);
    assert_eq!(variable(pid, "LISTEN_PID"), [&*text]);
    assert_eq!(variable(pid, "LISTEN_FDNAMES"), ["http:web_1:web_1:web_1:log:web_1:web_1:web_1"]);
    // Its loader may still have a library open.
    wait_until("11 descriptors", || descriptors(pid).into_keys().eq(0..=10));
    let open = descriptors(pid);
    assert!(open.range(3..).all(|(_, link)| link.starts_with("socket:")), "{open:?}");
    assert_eq!(ask_port(a), text);
    assert_eq!(talk(TcpStream::connect(("::1", b)).unwrap()).unwrap(), text);
    assert_eq!(ask_port(d), text);
    assert_eq!(talk(TcpStream::connect(("::1", d)).unwrap()).unwrap(), text);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send_to(b"who?", ("127.0.0.1", c)).unwrap();
    let mut bytes = [0; 64];
    let (length, _) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes[..length]).trim_end(), text);
    assert_eq!(talk(UnixStream::connect(stream).unwrap()).unwrap(), text);
    let address = SocketAddr::from_abstract_name(mark).unwrap();
    assert_eq!(talk(UnixStream::connect_addr(&address).unwrap()).unwrap(), text);
    let socket = UnixDatagram::bind(place.path("own")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send_to(b"who?", datagram).unwrap();
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes[..length]).trim_end(), text);
    assert!(fs::symlink_metadata(packets).is_ok());
    let block = Client::connect(&place).wait_state("web:1", "up");
    let listens: Vec<_> = block.all("listen").collect();
    assert_eq!(listens.len(), 8);
    assert_eq!(listens[0], format!("tcp:127.0.0.1:{a}"));
    going.stop();
}

#[test]
fn a_single_socket_can_be_the_standard_input() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let port = free_port();
    let text = format!("cmd={server} stdin\nlisten=tcp:{port}\nlisten-as=stdin\n");
    place.service("fast", &text);
    let mut going = place.start(&[]);
    let pid = going.wait_started("fast");
    assert_eq!(ask_port(port), pid.to_string());
    assert_eq!(variable(pid, "LISTEN_FDS"), [""; 0]);
    let open = descriptors(pid);
    assert_eq!(open.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(open[&0].starts_with("socket:"), "{open:?}");
    going.stop();
}

/// Root opens the port, and the service is nobody's.
#[test]
fn a_low_port_needs_no_rights_of_the_service() {
    let place = Place::new();
    if !has_root() {
        return;
    }
    let Some(server) = server(&place) else { return };
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (600..1024).find(is_free).unwrap();
    let text = "user=54395\ngroup=54395\ncapabilities=none\nno-new-privs=yes\n";
    place.service("low", &format!("cmd={server}\nlisten=tcp:localhost:{port}\n{text}"));
    let mut going = place.start(&[]);
    let pid = going.wait_started("low");
    wait_comm(pid, "server");
    assert_eq!(ask_port(port), pid.to_string());
    assert_eq!(status(pid, "Uid"), "54395 54395 54395 54395");
    assert_eq!(status(pid, "CapEff"), "0".repeat(16));
    going.stop();
}

#[test]
fn a_service_without_sockets_is_told_nothing() {
    let place = Place::new();
    place.service("plain", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("plain");
    wait_comm(pid, "sleep");
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(variable(pid, name), [""; 0]);
    }
    // Its loader may still have a library open.
    wait_until("three descriptors", || descriptors(pid).len() == 3);
    going.stop();
}

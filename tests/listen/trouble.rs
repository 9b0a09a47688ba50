//! Sockets that cannot be had: it is said, seen, tried again, and nobody else's
//! trouble.

use std::net::TcpListener;

use crate::client::Client;
use crate::common::{Place, has, has_root};
use crate::{ask_port, free_port, server};

#[test]
fn a_port_in_use_is_told_and_taken_when_it_is_free() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let port = free_port();
    let other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let text = format!("cmd={server}\n# busy\nlisten=tcp:localhost:{port}\nbackoff=100ms\n");
    place.service("web", &text);
    place.service("idle", &(text + "start=on-demand\n"));
    place.service("plain", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let why = format!("Can't listen on tcp:127.0.0.1:{port}: Address *in use");
    going.wait_for_all(&[
        "plain: started (pid *)",
        &format!("{why} (web: listen, line 3)"),
        &format!("{why} (idle: listen, line 3)"),
        "web was not started and will be quarantined *; no strike, *",
    ]);
    let mut client = Client::connect(&place);
    place.remove("idle");
    going.wait_for("idle: removed");
    let block = client.wait_state("web", "quarantined");
    // What the kernel's number is called depends on the libc.
    let told = block.get("last-fault").unwrap_or_default();
    assert!(crate::common::like(&why, told), "{told}");
    assert_eq!((block.number("strikes"), block.get("listen")), (None, None));
    drop(other);
    let pid = going.wait_started("web");
    assert_eq!(ask_port(port), pid.to_string());
    going.stop();
}

#[test]
fn a_port_that_needs_root_is_refused_to_others() {
    let place = Place::new();
    if !has_root() || !has("setpriv") {
        return;
    }
    let program = place.copied_program();
    let dir = place.path("going.d");
    place.service("web", "cmd=sleep 1000\nlisten=tcp:localhost:1\n");
    place.service("far", "cmd=sleep 1000\nlisten=tcp:192.0.2.1:8080\n");
    place.service(
        "free",
        &format!("cmd=sleep 1000\nlisten=tcp:192.0.2.1:{} freebind=yes\n", free_port()),
    );
    let own = [&*program, "-d", &dir, "--report", "stderr", "-o", "stdout=inherit"];
    let words = ["setpriv", "--reuid=54395", "--regid=54395", "--clear-groups"];
    let mut going = place.start_words(&[&words[..], &own].concat());
    going.wait_for_all(&[
        "Can't listen on tcp:127.0.0.1:1: Permission denied (web: listen, line 2)",
        "Can't listen on tcp:192.0.2.1:8080: *ddress* (far: listen, line 2)",
        "free: started (pid *)",
    ]);
    going.stop();
}

#[test]
fn an_owner_that_nobody_knows_is_told() {
    let place = Place::new();
    let text = format!("cmd=sleep 1000\nlisten=unix:{} owner=nosuchuser\n", place.path("s"));
    place.service("web", &text);
    let mut going = place.start(&[]);
    going.wait_for(
        "Can't listen on unix:*/s: its owner or group is not known (web: listen, line 2)",
    );
    going.stop();
}

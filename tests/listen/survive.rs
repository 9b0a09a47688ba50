//! Sockets over the death of going and its upgrade, with clients coming all the time.

use std::net::TcpStream;

use crate::client::Client;
use crate::common::{Going, Place, Signal, is_alive};
use crate::restarts::{under_load, web};
use crate::{ask_port, free_port, server, talk};

/// Starts a copy of the program, without which none can be put in its place.
fn start_copy(place: &Place) -> Going {
    let (copy, confdir) = (place.copied_program(), place.path("going.d"));
    place.start_words(&[&copy, "-d", &confdir, "--report", "stderr", "-o", "stdout=inherit"])
}

fn kill(going: &mut Going) {
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
}

/// Starts it once more. The dead are kept, for their end is that of all services here.
fn again(place: &Place, going: &mut Going, dead: &mut Vec<Going>) {
    dead.push(std::mem::replace(going, place.start(&[])));
}

#[test]
fn nobody_is_refused_while_going_is_replaced() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, path) = web(&place, &server);
    // Nobody but going itself has these.
    let (idle, held) = (free_port(), free_port());
    place.service("idle", &format!("cmd={server} one\nlisten=tcp:{idle}\nstart=on-demand\n"));
    place.service("held", &format!("cmd=false\nlisten=tcp:{held}\nbackoff=1h\nbackoff-max=1h\n"));
    let mut going = start_copy(&place);
    going.wait_for_all(&["web: started (pid *)", "held terminated *quarantined*"]);
    let waiting = TcpStream::connect(("127.0.0.1", held)).unwrap();
    under_load(port, &path, |crowd| {
        for _ in 0..20 {
            crowd.wait_for(100);
            Client::connect(&place).order(&["command=upgrade"]);
            Client::connect(&place).order(&["command=restart", "name=web"]);
            going.wait_started("web");
        }
        crowd.wait_for(100);
    });
    let mut client = Client::connect(&place);
    assert_eq!(client.wait_state("web", "up").all("listen").count(), 2);
    assert_eq!(client.wait_state("idle", "listening").all("listen").count(), 1);
    assert_eq!(client.wait_state("held", "quarantined").all("listen").count(), 1);
    // The old sockets, not new ones: who waited is waiting still.
    assert_eq!(going.count("Can't listen *"), 0);
    assert_eq!(ask_port(idle), going.wait_started("idle").to_string());
    let text = format!("cmd={server}\nlisten=tcp:{held}\nbackoff=1h\nbackoff-max=1h\n");
    place.service("held", &text);
    going.wait_started("held");
    assert!(!talk(waiting).unwrap().is_empty());
    going.stop();
}

#[test]
fn nobody_is_refused_while_going_is_killed() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, path) = web(&place, &server);
    let (mut going, mut dead) = (place.start(&[]), Vec::new());
    let pid = going.wait_started("web");
    under_load(port, &path, |crowd| {
        for _ in 0..5 {
            crowd.wait_for(100);
            kill(&mut going);
            crowd.wait_for(100);
            again(&place, &mut going, &mut dead);
            going.wait_for("took up 1 services, 0 died meanwhile");
            assert!(is_alive(pid), "it was restarted");
            crowd.wait_for(100);
        }
        // It has its sockets again: it can be restarted as if nothing had been.
        let mut client = Client::connect(&place);
        assert_eq!(client.wait_state("web", "up").all("listen").count(), 2);
        for _ in 0..5 {
            client.order(&["command=restart", "name=web"]);
            going.wait_started("web");
            crowd.wait_for(100);
        }
    });
    assert_eq!(going.count("Can't listen *"), 0);
    place.remove("web");
    going.wait_for("web: removed");
    assert!(std::fs::symlink_metadata(&path).is_err(), "its file is left");
    going.stop();
}

/// The sockets of those which do not run die with going, and are there again.
#[test]
fn idle_services_listen_again_after_the_death_of_going() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let (port, path) = (free_port(), place.path("s"));
    let text = format!("cmd={server} one\nlisten=tcp:{port}\nlisten=unix:{path}\n");
    place.service("idle", &(text + "start=on-demand\n"));
    place.service("tool", "cmd=sleep 1000\nstart=manual\n");
    let (mut going, mut dead) = (place.start(&[]), Vec::new());
    Client::connect(&place).wait_state("idle", "listening");
    assert!(!ask_port(port).is_empty());
    Client::connect(&place).wait_state("idle", "listening");
    for _ in 0..3 {
        kill(&mut going);
        again(&place, &mut going, &mut dead);
        let mut client = Client::connect(&place);
        assert_eq!(client.wait_state("idle", "listening").all("listen").count(), 2);
        assert_eq!(client.wait_state("tool", "down").number("starts"), Some(0));
        assert_eq!(ask_port(port), going.wait_started("idle").to_string());
        client.wait_state("idle", "listening");
    }
    assert_eq!(going.count("Can't listen *"), 0);
    going.stop();
    assert!(std::fs::symlink_metadata(&path).is_err(), "its file is left");
}

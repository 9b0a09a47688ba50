//! Strangers who try to keep going busy or to fill its memory, by means that
//! everybody has.

use std::process::{Command, Stdio};

use crate::client::{Client, request};
use crate::common::{Place, Signal, has, has_root, send, status, wait_until};

/// Each turn of going takes a share of those who come, not all there are: some
/// may come faster than they are taken.
#[test]
fn whoever_connects_without_end_does_not_keep_going_from_its_work() {
    if !(has_root() && has("setpriv") && has("perl")) {
        return;
    }
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nmin-uptime=0\nburst=none\n");
    let mut going = place.start_under(&["prlimit", "--nofile=1024"], &[]);
    let mut pid = going.wait_started("web");
    let mut client = Client::connect(&place);
    client.order(&["command=ping"]);
    let knock = "my $to = sockaddr_un($ARGV[0]); $| = 1; my $count = 0;
        while (1) {
            socket(my $door, PF_UNIX, SOCK_STREAM, 0); connect($door, $to); close($door);
            print \"knocked\\n\" if ++$count == 1000;
        }";
    let names = ["knocked1", "knocked2", "knocked3"];
    let mut floods = names.map(|name| {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args(["perl", "-MSocket", "-e", knock, &place.path("run/control")])
            .env("GOING_TEST", &place.marker)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(place.path(name)).unwrap())
            .spawn()
            .unwrap()
    });
    names.iter().for_each(|name| drop(place.wait_text(name)));
    for _ in 0..3 {
        send(pid, Signal::SIGKILL);
        pid = going.wait_started("web");
        client.wait_state("web", "up");
    }
    let root = Client::connect(&place).order(&["command=status"]);
    assert_eq!(root.len(), 1);
    for flood in &mut floods {
        assert!(flood.try_wait().unwrap().is_none(), "it was over before");
        flood.kill().unwrap();
        flood.wait().unwrap();
    }
    going.stop();
}

/// A hundred services times some ten thousand names.
#[test]
fn a_request_of_very_many_names_takes_no_memory_for_each() {
    let place = Place::new();
    for number in 0..100 {
        place.service(&format!("s{number:02}"), "cmd=true\ntype=oneshot\n");
    }
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    wait_until("all services", || client.order(&["command=status"]).len() == 100);
    let peak = || status(going.pid, "VmHWM").trim_end_matches(" kB").parse::<u64>().unwrap();
    client.order(&["command=why", "name=*"]);
    let before = peak();
    for name in ["*", "s*", "@none", "s1?"] {
        let line = format!("name={name}");
        let count = 65_000 / (line.len() + 1);
        let lines = [vec!["command=status"], vec![line.as_str(); count]].concat();
        assert!(request(&lines).len() <= 65_536);
        client.ask(&lines);
        let after = peak();
        // Twice the message and its reply are allowed for.
        assert!(after < before + 4096, "{name}: it grew from {before} to {after} kB");
    }
    going.stop();
}

//! A daemon that leaves its parent while its going dies: the next one finds it, and
//! starts no second one.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;

use crate::client::Client;
use crate::common::{
    Going, Place, Signal, has, has_root, is_alive, send, status, strings, wait_comm, wait_until,
};
use crate::{is_answered, kill, mains};

/// A service whose parent starts the daemon, which notes its pid, and ends when it is
/// let go.
fn write_service(place: &Place) {
    write_service_of(place, "");
}

/// The same with a daemon that is made in another way.
fn write_service_of(place: &Place, how: &str) {
    nix::unistd::mkfifo(place.path("fifo").as_str(), Mode::S_IRWXU).unwrap();
    let daemon = format!("echo $$ >>{}; exec sleep 1000", place.path("daemon.pids"));
    place.write("daemon.sh", daemon);
    let script = format!(
        "{how} setsid sh {} &\nread -r it <{}\nexit $it",
        place.path("daemon.sh"),
        place.path("fifo")
    );
    place.service("web", &(place.logged("web", &script) + "type=forking\nbackoff=10ms\n"));
}

/// Starts it under a going that is killed before the parent ends: the daemon, and its
/// parent.
fn abandon(place: &Place) -> (i32, i32) {
    let mut first = place.start(&[]);
    let daemon = place.wait_starts("daemon", 1);
    let parent = place.wait_starts("web", 1);
    Client::connect(place).wait_state("web", "starting");
    kill(&mut first);
    // Its end would be that of all that is marked alike.
    std::mem::forget(first);
    (daemon, parent)
}

/// The daemon is the service, and the only one.
fn assert_found(place: &Place, going: &mut Going, daemon: i32) {
    let status = Client::connect(place).wait_state("web", "up");
    assert_eq!(status.number("pid"), u64::try_from(daemon).ok());
    assert_eq!(place.starts("web").len(), 1, "{:?}", going.lines());
    assert_eq!(mains(place)["web"].len(), 1);
    // It is watched, and written down.
    kill(going);
    let mut next = place.start(&[]);
    next.wait_for("took up 1 services, 0 died meanwhile");
    send(daemon, Signal::SIGKILL);
    next.wait_for("web terminated after: *(killed by SIGKILL*");
    place.wait_starts("daemon", 2);
    fs::write(place.path("fifo"), "0\n").unwrap();
    Client::connect(place).wait_state("web", "up");
    next.stop();
    assert!(mains(place).is_empty());
}

#[test]
fn a_daemon_whose_parent_ends_later_is_found() {
    let place = Place::new();
    write_service(&place);
    let (daemon, _) = abandon(&place);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    fs::write(place.path("fifo"), "0\n").unwrap();
    assert_found(&place, &mut going, daemon);
}

#[test]
fn a_daemon_whose_parent_ended_while_nobody_looked_is_found() {
    let place = Place::new();
    write_service(&place);
    let (daemon, parent) = abandon(&place);
    fs::write(place.path("fifo"), "0\n").unwrap();
    wait_until("the parent to end", || !is_alive(parent));
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    assert_found(&place, &mut going, daemon);
}

/// The child had written itself down and left when its going, which was about to write
/// down that there is one, was killed.
#[test]
fn a_daemon_of_which_only_its_parent_knew_is_found() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    let mut first = place.start(&[]);
    wait_until("going to listen", || is_answered(&place, &["command=ping"]));
    let inject = ["-e", "trace=epoll_ctl", "-e", "inject=epoll_ctl:delay_enter=100000000"];
    let mut tracer = Command::new("strace")
        .args(["-o", &place.path("trace"), "-p", &first.pid.to_string()])
        .args(inject)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("strace to hold it", || status(first.pid, "TracerPid") != "0");
    let daemon = format!("echo $$ >>{}; exec sleep 1000", place.path("daemon.pids"));
    place.write("daemon.sh", daemon);
    let script = format!("setsid sh {} &\nexit 0", place.path("daemon.sh"));
    let keys = "type=forking\nstdout=null\nbackoff=10ms\n";
    place.service("web", &(place.logged("web", &script) + keys));
    let daemon = place.wait_starts("daemon", 1);
    let parent = place.wait_starts("web", 1);
    wait_until("the parent to end", || !is_alive(parent));
    send(first.pid, Signal::SIGKILL);
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    assert_eq!(first.wait_exit(), -9);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    let status = Client::connect(&place).wait_state("web", "up");
    assert_eq!(status.number("pid"), u64::try_from(daemon).ok());
    assert_eq!(place.starts("daemon").len(), 1);
    going.stop();
}

/// As the best known web server does, it writes over its environment.
#[test]
fn a_daemon_that_names_nobody_is_found_by_its_trace() {
    if !has_root() {
        return;
    }
    for is_watched in [true, false] {
        let place = Place::new();
        write_service_of(&place, "env -i");
        let (daemon, parent) = abandon(&place);
        let end = || fs::write(place.path("fifo"), "0\n").unwrap();
        if !is_watched {
            end();
            wait_until("the parent to end", || !is_alive(parent));
        }
        let mut going = place.start(&[]);
        going.wait_for("took up 1 services, 0 died meanwhile");
        if is_watched {
            end();
        }
        let status = Client::connect(&place).wait_state("web", "up");
        assert_eq!(status.number("pid"), u64::try_from(daemon).ok());
        assert_eq!(place.starts("daemon").len(), 1, "{:?}", going.lines());
        going.stop();
        assert!(!is_alive(daemon));
    }
}

/// Many at once, while some of them are just being executed: each has its own.
#[test]
fn daemons_are_not_taken_for_each_other() {
    let place = Place::new();
    let names: Vec<_> = (0..12).map(|it| format!("web{it}")).collect();
    for name in &names {
        let script = "cmd=sh -c 'setsid sleep 1000 & exit 0'\ntype=forking\n";
        place.service(name, &format!("{script}min-uptime=0\nburst=none\nbackoff=10ms\n"));
    }
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    for _ in 0..5 {
        for name in &names {
            let pid = client.wait_state(name, "up").number("pid").unwrap();
            let pid = i32::try_from(pid).unwrap();
            wait_comm(pid, "sleep");
            let own = format!("GOING_SERVICE={name}");
            assert!(strings(pid, "environ").contains(&own), "{name} is taken for another");
            send(pid, Signal::SIGKILL);
            wait_until("its death", || !is_alive(pid));
        }
        let names: Vec<_> = names.iter().map(|it| format!("name={it}")).collect();
        let mut words = vec!["command=restart"];
        words.extend(names.iter().map(String::as_str));
        client.order(&words);
    }
    going.stop();
}

/// What a parent left that failed is no daemon, whoever started it.
#[test]
fn a_parent_that_fails_after_the_death_of_going_has_no_heir() {
    let place = Place::new();
    write_service(&place);
    abandon(&place);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    fs::write(place.path("fifo"), "3\n").unwrap();
    going.wait_for("web terminated after: *(exit status 3*");
    place.wait_starts("web", 2);
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: *");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
}

//! Daemons which leave their parent, among them real ones in the mode in which they
//! come; without any file that holds a process number.

use std::fs;
use std::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::common::{
    Going, Place, Signal, children, has, has_root, is_alive, run, stat, strings, wait_until,
};
use crate::ctl::{ctl, good};

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_port(port: u16) {
    wait_until("the port to answer", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// The main process of a service, as going knows it.
fn main_pid(place: &Place, name: &str) -> i32 {
    let status = Client::connect(place).wait_state(name, "up");
    i32::try_from(status.number("pid").unwrap()).unwrap()
}

/// A daemon which forks twice, as they do, and notes its number.
fn daemon(place: &Place, name: &str, keys: &str) {
    let pids = place.path(&format!("{name}.pids"));
    let inner = format!("echo $$ >>{pids}; exec sleep 1000");
    place.service(
        name,
        &format!("cmd=sh -c '(setsid sh -c \"{}\" &) ; exit 0'\ntype=forking\n{keys}", {
            inner.replace('$', "\\$")
        }),
    );
}

#[test]
fn a_daemon_is_found_again_when_it_has_left_its_parent() {
    let place = Place::new();
    daemon(&place, "web", "min-uptime=0s\nburst=none\n");
    let mut going = place.start(&[]);
    let first = place.wait_starts("web", 1);
    assert_eq!(going.wait_started("web"), first);
    assert_eq!(main_pid(&place, "web"), first);
    // It is watched like any other: it dies and is started again.
    crate::common::send(first, Signal::SIGKILL);
    let second = place.wait_starts("web", 2);
    assert_eq!(going.wait_started("web"), second);
    good(&place, &["restart", "web"]);
    let third = place.wait_starts("web", 3);
    assert!(!is_alive(second) && is_alive(third));
    going.stop();
    wait_until("its end", || !is_alive(third));
    assert_eq!(place.starts("web").len(), 3);
}

#[test]
fn a_daemon_that_fails_to_start_is_no_daemon() {
    let place = Place::new();
    let keys = "type=forking\nbackoff=1h\nbackoff-max=1h\n";
    place.service("fails", &format!("cmd=sh -c 'sleep 1000 & exit 3'\n{keys}"));
    place.service("nobody", &format!("cmd=true\n{keys}"));
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "fails: main process * ended (exit status 3), stopping what it left behind *",
        "fails terminated after: *",
        "nobody terminated after: *(exit status 0; never ready; strike 1, *",
    ]);
    assert_eq!(going.count("*: started *"), 0, "neither was ever up");
    going.stop();
}

/// In the midst of execve(2) a process has no name for a moment.
#[test]
fn a_daemon_which_is_just_being_executed_is_found() {
    const DAEMONS: usize = 40;
    let place = Place::new();
    let script = place.path("again");
    place.write("again", "test $1 = 0 && exec sleep 1000\nexec sh $0 $(($1 - 1))\n");
    place.service(
        "web@",
        &format!(
            "cmd=sh -c '(setsid sh {script} 200 &) ; exit 0'\ntype=forking\ninstances={DAEMONS}\n"
        ),
    );
    let mut going = place.start(&[]);
    for _ in 0..DAEMONS {
        going.wait_for("web@*: started (pid *)");
    }
    assert_eq!(going.count("web@* terminated*"), 0);
    going.stop();
}

#[test]
fn a_daemon_is_taken_up_by_the_next_going() {
    let place = Place::new();
    daemon(&place, "web", "");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    good(&place, &["upgrade"]);
    assert_eq!(main_pid(&place, "web"), pid);
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    let mut next = place.start(&[]);
    next.wait_for("took up *");
    assert_eq!(main_pid(&place, "web"), pid);
    assert!(is_alive(pid));
    assert_eq!(place.starts("web"), [pid]);
    good(&place, &["stop", "web"]);
    wait_until("its end", || !is_alive(pid));
    next.stop();
}

#[test]
fn a_stop_in_the_midst_of_a_start_reaches_the_daemon() {
    let place = Place::new();
    let (go, left) = (place.path("go"), place.path("left"));
    let script = format!(
        "setsid sh -c 'echo $$ >{left}; exec sleep 1000' &\n\
         trap '' TERM\nwhile ! test -e {go}; do sleep 0.02; done\nexit 0"
    );
    let keys = "type=forking\nkill=process\nstop=TERM 1h\n";
    place.service("web", &(place.logged("web", &script) + keys));
    let mut going = place.start(&[]);
    let child: i32 = place.wait_text("left").trim().parse().unwrap();
    let said = ctl(&place, &["stop", "--no-wait", "web"]);
    assert_eq!(said.code, 0, "{said:?}");
    going.wait_for("web: stopping (SIGTERM to process *)");
    place.write("go", "");
    wait_until("the end of the daemon", || !is_alive(child));
    Client::connect(&place).wait_state("web", "down");
    going.stop();
}

/// nginx writes over its environment, and forks workers.
#[test]
fn nginx_is_kept_in_its_default_mode() {
    if !has_root() || !has("nginx") {
        return;
    }
    let (place, port) = (Place::new(), free_port());
    place.make_dir("nginx");
    let dir = place.path("nginx");
    // Nothing of the system's own: neither its files nor its user.
    let conf = format!(
        "pid {dir}/pid; error_log {dir}/error; worker_processes 2; user root;\n\
         events {{ }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {dir}; }} \
         client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; \
         uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e; }}\n"
    );
    place.write("nginx.conf", conf);
    let keys = "type=forking\nmin-uptime=0s\nburst=none\nstop=QUIT 10s\n";
    let cmd = format!("cmd=nginx -e {dir}/error -c {}\n", place.path("nginx.conf"));
    place.service("nginx", &(cmd + keys));
    let mut going = place.start(&[]);
    let first = going.wait_started("nginx");
    wait_port(port);
    assert_eq!(main_pid(&place, "nginx"), first);
    assert_eq!(fs::read_to_string(format!("{dir}/pid")).unwrap(), format!("{first}\n"));
    wait_until("its workers", || children(first).len() == 2);
    // Killed, all of it is started anew.
    let workers = children(first);
    crate::common::send(first, Signal::SIGKILL);
    let second = going.wait_started("nginx");
    assert!(workers.iter().all(|it| !is_alive(*it)), "its port would have been taken");
    wait_port(port);
    good(&place, &["stop", "nginx"]);
    assert!(!is_alive(second) && TcpStream::connect(("127.0.0.1", port)).is_err());
    going.stop();
}

#[test]
fn sshd_is_kept_in_its_default_mode() {
    if !has_root() || !has("sshd") || !has("ssh-keygen") {
        return;
    }
    let (place, port) = (Place::new(), free_port());
    let key = place.path("key");
    let made = run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]);
    assert!(made.status.success(), "{made:?}");
    // It insists on this one.
    fs::create_dir_all("/run/sshd").unwrap();
    let conf = format!("Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\n");
    place.write("sshd_config", conf);
    let conf = place.path("sshd_config");
    place.service("sshd", &format!("cmd=/usr/sbin/sshd -f {conf}\ntype=forking\n"));
    let mut going = place.start(&[]);
    let pid = going.wait_started("sshd");
    wait_port(port);
    assert_eq!(main_pid(&place, "sshd"), pid);
    let state = stat(pid).unwrap();
    assert_eq!((&state[1], &state[3]), (&going.pid.to_string(), &pid.to_string()));
    assert!(is_alive(pid), "{:?}", strings(pid, "cmdline"));
    good(&place, &["stop", "sshd"]);
    assert!(!is_alive(pid) && TcpStream::connect(("127.0.0.1", port)).is_err());
    ended(&mut going);
}

fn ended(going: &mut Going) {
    going.stop();
    assert!(children(going.pid).is_empty());
}

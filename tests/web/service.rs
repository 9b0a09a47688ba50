//! going-web as a service of going, by the example in etc/: as a user of its own,
//! with no rights at all.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use super::site::{ask, free_port, post, users};
use crate::common::{Place, has_root, program, run, status, wait_until};

const EXAMPLE: &str = include_str!("../../etc/going-web");

/// A user who need not exist.
const USER: &str = "61234";

/// A directory that ends with the test. The strictest services have a /tmp of
/// their own, so what they are to find is elsewhere.
struct Shelf(PathBuf);

impl Shelf {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_runs_without_rights_and_may_do_what_it_was_given() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let shelf = Shelf(PathBuf::from("/var/lib").join(&place.marker));
    fs::create_dir(&shelf.0).unwrap();
    let (port, binary, known) = (free_port(), shelf.path("going-web"), shelf.path("users"));
    let built = env!("CARGO_BIN_EXE_going-web");
    for words in [
        ["install", "-m755", built, &binary],
        ["install", "-m600", &users(&place), &known],
        ["chown", "--", USER, &known],
    ] {
        assert!(run(&words).status.success(), "{words:?}");
    }
    let cmd = format!("-r {} --listen 127.0.0.1:{port} --users {known}", shelf.path("run"));
    let text = EXAMPLE
        .replace("\ncmd=/usr/sbin/going-web\n", &format!("\ncmd={binary} {cmd}\n"))
        .replace("user=going-web", &format!("user={USER}\ngroup={USER}"))
        .replace("path:/usr/sbin/going-web", &format!("path:{binary}"));
    place.service("going-web", &text);
    place.service("ours", &format!("cmd=sleep 1000\ncontrol={USER}\n"));
    place.service("theirs", "cmd=sleep 1000\n");
    let mut going = place.start_plainly(&[
        &program(),
        "-d",
        &place.path("going.d"),
        "-r",
        &shelf.path("run"),
        "-l",
        &place.path("log"),
        "-o",
        "stdout=inherit",
        "--report",
        "stderr",
    ]);
    let pids = going.wait_all_started(["going-web", "ours", "theirs"]);
    wait_until("it answers", || {
        let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        TcpStream::connect(("127.0.0.1", port)).is_ok() && ask(port, head).status == 200
    });
    for (key, value) in
        [("Uid", USER), ("Gid", USER), ("CapEff", "0000000000000000"), ("NoNewPrivs", "1")]
    {
        assert_eq!(status(pids[0], key).split_whitespace().next(), Some(value), "{key}");
    }
    // ann:secret
    let proof = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
    let stop = |name| ask(port, &post(&format!("/api/v1/services/{name}/stop"), proof, ""));
    assert_eq!(stop("theirs").status, 403);
    assert_eq!(stop("ours").status, 200);
    going.wait_for("ours: stopped *");
    assert_eq!(going.count("theirs: stop*"), 0);
    going.stop();
}

#[test]
fn it_stays_down_where_it_is_not_installed() {
    let place = Place::new();
    let text = EXAMPLE.replace("user=going-web\n", "");
    place.service("going-web", &text.replace("/usr/sbin/going-web", "/no/such/going-web"));
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&["going-web: not started (path:* is not met)", "web: started (pid *)"]);
}

//! A directory that is not where it was when its files are read.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::common::{Place, Signal, has, is_alive, send, status, wait_until};

/// It is away for moments while it is read, each look at it being slow: what was listed
/// and is not there any more is no file that is gone.
#[test]
fn a_directory_that_is_moved_while_it_is_read_has_lost_nothing() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| place.service(name, "cmd=sleep 1000\n"));
    let mut going = place.start(&[]);
    let before = going.wait_all_started(names);
    // A listing takes two of these, which end at a time when it is away again.
    let inject = "inject=getdents64:delay_exit=250000";
    let mut tracer = Command::new("strace")
        .args(["-o", &place.path("trace"), "-e", "trace=getdents64", "-e", inject])
        .args(["-p", &going.pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("strace to hold it", || status(going.pid, "TracerPid") != "0");
    let looks = || place.read("trace").matches("DELAYED").count();
    for _ in 0..4 {
        let seen = looks();
        going.signal(Signal::SIGHUP);
        wait_until("a look at it", || {
            fs::rename(place.path("going.d"), place.path("away")).unwrap();
            thread::sleep(Duration::from_millis(100));
            fs::rename(place.path("away"), place.path("going.d")).unwrap();
            thread::sleep(Duration::from_millis(100));
            looks() > seen + 2
        });
    }
    send(i32::try_from(tracer.id()).unwrap(), Signal::SIGTERM);
    tracer.wait().unwrap();
    // It still sees what is so.
    place.remove("c");
    going.wait_for("c: removed");
    crate::wait_exactly(&place, &["a", "b"]);
    assert!(is_alive(before[0]) && is_alive(before[1]), "{:?}", going.lines());
    assert_eq!(going.count("*: file gone, stopping"), 1);
    going.stop();
}

//! The directory as a whole: filled and emptied in a storm, missing, replaced,
//! switched; and the many services it can hold.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use common::{
    Place, Signal, children, has_root, is_alive, running, unseen, wait_running, wait_until,
};
use nix::fcntl::{Flock, FlockArg};

#[test]
fn a_storm_of_files_ends_with_the_right_processes() {
    let place = Place::new();
    let mut going = place.start(&["-o", "stop=KILL"]);
    let names: Vec<_> = (0..500).map(|it| format!("s{it:03}")).collect();
    for (number, name) in names.iter().enumerate() {
        place.service(name, "cmd=sleep 1000\n");
        match number % 5 {
            0 => {}
            // Gone at once, gone after ten others, gone and back, changed.
            1 => place.remove(name),
            2 if number > 10 => place.remove(&format!("s{:03}", number - 10)),
            3 => {
                place.remove(name);
                place.service(name, "cmd=sleep 1001\n");
            }
            _ => place.service(name, "cmd=sleep 1002\n"),
        }
    }
    let left: Vec<_> = fs::read_dir(place.dir.join("going.d"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!((300..400).contains(&left.len()), "{}", left.len());
    let names: Vec<_> = left.iter().map(String::as_str).collect();
    wait_running(&going, &names);
    for name in &left {
        place.remove(name);
    }
    wait_running(&going, &[]);
    wait_until("everybody to be forgotten", || {
        going.count("*: removed") >= left.len() && place.processes() == [going.pid]
    });
    going.stop();
}

/// The length of the queue is the machine's, and read when a queue is made.
#[test]
fn an_overflow_of_the_queue_loses_no_file() {
    if !has_root() {
        return;
    }
    let setting = "/proc/sys/fs/inotify/max_queued_events";
    // For all runs of these tests on this machine.
    let lock = File::create(std::env::temp_dir().join("going-test-inotify.lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let before = fs::read_to_string(setting).unwrap();
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    fs::write(setting, "4").unwrap();
    let mut going = place.start(&[]);
    // It has its queue when it says its first word.
    going.wait_started("a");
    fs::write(setting, before).unwrap();
    drop(lock);
    let names: Vec<_> = (0..40).map(|it| format!("s{it:02}")).collect();
    unseen(&going, || {
        for name in &names {
            place.service(name, "cmd=sleep 1000\n");
        }
        place.remove("a");
    });
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    wait_running(&going, &names);
    // And the doorbell still rings.
    place.service("late", "cmd=sleep 1000\n");
    names.push("late");
    wait_running(&going, &names);
    going.stop();
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_found() {
    let place = Place::new();
    place.make_dir("x");
    place.make_dir("x/y");
    let make = || {
        fs::create_dir_all(place.dir.join("x/y/d")).unwrap();
        place.write("x/y/d/a", "cmd=sleep 1000\n");
    };
    make();
    place.write("x/y/d/b", "cmd=sleep 1000\n");
    let program = common::program();
    let confdir = place.path("x/y/d");
    let words = [&program, "-d", &confdir, "--report", "stderr", "-o", "stdout=inherit"];
    let mut going = place.start_words(&words);
    wait_running(&going, &["a", "b"]);
    let before = children(going.pid);
    let line = format!("Can't open {confdir}: No such file or directory");
    for (round, what) in ["x/y/d", "x/y", "x"].into_iter().enumerate() {
        unseen(&going, || fs::remove_dir_all(place.dir.join(what)).unwrap());
        wait_until("it to notice", || going.count(&line) == round + 1);
        assert_eq!(children(going.pid).len(), 2 - round.min(1));
        make();
        wait_running(&going, &["a"]);
        // It is watched as before.
        place.write("x/y/d/c", "cmd=sleep 1000\n");
        wait_running(&going, &["a", "c"]);
        fs::remove_file(place.dir.join("x/y/d/c")).unwrap();
        wait_running(&going, &["a"]);
    }
    assert!(before.contains(&children(going.pid)[0]), "what was unchanged was restarted");
    going.stop();
}

#[test]
fn a_directory_may_be_replaced_by_another() {
    let place = Place::new();
    let fill = |dir: &str, names: &[&str]| {
        place.make_dir(dir);
        for name in names {
            place.write(&format!("{dir}/{name}"), "cmd=sleep 1000\n");
        }
    };
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=sleep 1000\n");
    fill("new", &["b", "c"]);
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["a", "b"]);
    let rename = |from: &str, to: &str| {
        fs::rename(place.dir.join(from), place.dir.join(to)).unwrap();
    };
    rename("going.d", "old");
    rename("new", "going.d");
    wait_running(&going, &["b", "c"]);
    assert!(is_alive(pids[1]), "b is the same in both");
    // The new one is watched, the old one is not.
    place.write("old/x", "cmd=sleep 1000\n");
    place.service("d", "cmd=sleep 1000\n");
    wait_running(&going, &["b", "c", "d"]);
    going.stop();
    assert_eq!(going.count("x: *"), 0);
}

#[test]
fn a_link_to_a_directory_may_be_switched() {
    let place = Place::new();
    for (dir, names) in [("v1", ["a", "b"]), ("v2", ["b", "c"])] {
        place.make_dir(dir);
        for name in names {
            place.write(&format!("{dir}/{name}"), "cmd=sleep 1000\n");
        }
    }
    let switch = |to: &str| {
        symlink(to, place.dir.join("next")).unwrap();
        fs::rename(place.dir.join("next"), place.dir.join("current")).unwrap();
    };
    switch("v1");
    let (program, confdir) = (common::program(), place.path("current"));
    let mut going = place.start_words(&[&program, "-d", &confdir, "--report", "stderr"]);
    wait_running(&going, &["a", "b"]);
    for _ in 0..2 {
        switch("v2");
        wait_running(&going, &["b", "c"]);
        place.write("v2/d", "cmd=sleep 1000\n");
        wait_running(&going, &["b", "c", "d"]);
        fs::remove_file(place.dir.join("v2/d")).unwrap();
        switch("v1");
        wait_running(&going, &["a", "b"]);
    }
    going.stop();
}

#[test]
fn a_thousand_services_run_and_stop() {
    let place = Place::new();
    for number in 0..1000 {
        place.service(&format!("s{number:03}"), "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    wait_until("all to be started", || going.count("s*: started (pid *)") == 1000);
    assert_eq!(running(&going).len(), 1000);
    going.stop();
    wait_until("nobody to be left", || place.processes().is_empty());
    assert_eq!(going.count("s*: stopped after *s (killed by SIGTERM)"), 1000);
}

#[test]
fn services_are_stopped_from_the_last_to_the_first() {
    let place = Place::new();
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        place.service(name, "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    going.wait_all_started(names);
    going.stop();
    for name in names.iter().rev() {
        going.wait_for(&format!("{name}: stopping (SIGTERM to group *)"));
    }
}

#[test]
fn nothing_is_started_while_going_ends() {
    let place = Place::new();
    let script = "trap '' TERM\nwhile :; do sleep 0.05; done";
    place.service("slow", &(place.logged("slow", script) + "stop=TERM 700ms KILL\n"));
    let held = "cmd=false\nbackoff=200ms\nbackoff-max=200ms\njitter=0\n";
    place.service("held", held);
    let mut going = place.start(&[]);
    let pid = place.wait_starts("slow", 1);
    wait_until("the trap", || !children(pid).is_empty());
    going.wait_for("held terminated after: *quarantined*");
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: stopping * services");
    let starts = going.count("held: started*");
    place.service("new", "cmd=sleep 1000\n");
    going.signal(Signal::SIGHUP);
    // Both a reread and a retry would be due before this one.
    going.wait_for("slow: still running 700ms after SIGTERM, sending SIGKILL*");
    assert_eq!(going.wait_exit(), 0);
    going.wait_for("all services stopped");
    assert_eq!([going.count("new: *"), going.count("held: started*")], [0, starts]);
}

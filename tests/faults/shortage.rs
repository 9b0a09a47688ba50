//! Real shortages: no descriptors, no space in the run directory, no memory.

use std::process::Command;

use crate::client::Client;
use crate::common::{Going, Place, Signal, has_root, is_alive, run, wait_until};
use crate::mains::{kill, mains};
use crate::wait_exactly;

/// Starts it where it can have so many descriptors.
fn start_with_descriptors(place: &Place, count: usize) -> Going {
    place.start_under(&["prlimit", &format!("--nofile={count}:{count}")], &["-o", "stdout=log"])
}

/// Each has a pipe, and when it is taken up a descriptor by which it is watched, too:
/// there are not enough for all of that.
#[test]
fn short_of_descriptors_it_still_finds_everybody() {
    let place = Place::new();
    let names: Vec<_> = (0..60).map(|number| format!("web-{number:02}")).collect();
    let text = "cmd=sleep 1000\nbackoff=100ms\nbackoff-max=500ms\n";
    names.iter().for_each(|name| place.service(name, text));
    let mut going = start_with_descriptors(&place, 100);
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    wait_exactly(&place, &all);
    let before = mains(&place);
    // The dead stay where they are: their end would be that of all services.
    let mut dead = Vec::new();
    for _ in 0..3 {
        kill(&mut going);
        dead.push(going);
        going = start_with_descriptors(&place, 85);
        going.wait_for("took up 61 services, 0 died meanwhile");
        assert_eq!(mains(&place), before);
    }
    // Who has no descriptor is watched all the same.
    for name in &all[50..] {
        crate::common::send(before[*name][0].0, Signal::SIGKILL);
    }
    wait_until("new ones", || {
        mains(&place).iter().all(|(name, now)| {
            let is_hit = all[50..].contains(&name.as_str());
            now.len() == 1 && is_hit == (now != &before[name])
        })
    });
    going.stop();
}

/// A file system of few pages as the run directory.
struct Disk(String);

impl Disk {
    fn new(place: &Place, size: &str) -> Option<Disk> {
        if !has_root() {
            return None;
        }
        place.make_dir("run");
        let size = format!("size={size},mode=755");
        let words = ["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &place.path("run")];
        assert!(run(&words).status.success(), "can't mount");
        Some(Disk(place.path("run")))
    }

    /// Fills all of it but so many bytes.
    fn fill(&self, but: usize) {
        let path = format!("{}/filler", self.0);
        let script =
            "head -c \"$1\" /dev/zero >\"$2.spare\"; cat /dev/zero >\"$2\"; rm \"$2.spare\"";
        let but = but.to_string();
        let mut fill = Command::new("sh");
        fill.args(["-c", script, "sh", &but, &path]).stderr(std::process::Stdio::null());
        fill.status().unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(format!("{}/filler", self.0)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        crate::common::run(&["umount", "-l", &self.0]);
    }
}

#[test]
fn what_a_full_disk_kept_out_of_the_state_is_written_when_there_is_room() {
    let place = Place::new();
    let Some(disk) = Disk::new(&place, "64k") else { return };
    place.service("first", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("first");
    disk.fill(0);
    let names: Vec<_> = (0..20).map(|number| format!("later-{number:02}")).collect();
    names.iter().for_each(|name| place.service(name, "cmd=sleep 1000\n"));
    going.wait_for("Can't write the state file: No space left on device; *");
    let mut all: Vec<_> = names.iter().map(String::as_str).collect();
    all.push("first");
    wait_exactly(&place, &all);
    let before = mains(&place);
    disk.free();
    going.wait_for("The state file is written again");
    assert_eq!(going.count("Can't write the state file*"), 1);
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 21 services, 0 died meanwhile");
    assert_eq!(mains(&place), before);
    going.stop();
}

#[test]
fn a_disk_that_is_full_from_the_start_keeps_nobody_from_starting() {
    for room in [0, 4096] {
        let place = Place::new();
        let Some(disk) = Disk::new(&place, "64k") else { return };
        disk.fill(room);
        place.service("web", "cmd=sleep 1000\n");
        let mut going = place.start(&[]);
        going.wait_for("Can't write */run/state: No space left on device; *");
        going.wait_started("web");
        let before = mains(&place);
        disk.free();
        going.wait_for("The state file is written again");
        kill(&mut going);
        let mut next = place.start(&[]);
        next.wait_for("took up 1 services, 0 died meanwhile");
        assert_eq!(mains(&place), before);
        next.stop();
    }
}

/// Memory cannot be had at all: then it may die, but init starts another one.
#[test]
fn without_memory_it_goes_on_or_is_followed_by_one_that_knows_all() {
    let place = Place::new();
    for number in 0..20 {
        place.service(&format!("web-{number}"), "cmd=sleep 1000\n");
    }
    let mut going = place.start(&[]);
    going.wait_all_started(["web-0", "web-19"]);
    let mut client = Client::connect(&place);
    (0..20).for_each(|number| drop(client.wait_state(&format!("web-{number}"), "up")));
    let before = mains(&place);
    let size = crate::common::status(going.pid, "VmSize");
    let size: u64 = size.split(' ').next().unwrap().parse().unwrap();
    let limit = format!("--as={}", (size + 8) * 1024);
    assert!(run(&["prlimit", "--pid", &going.pid.to_string(), &limit]).status.success());
    let large = format!("# {}\n", "x".repeat(20_000));
    for number in 0..100 {
        place.service(&format!("more-{number}"), &format!("{large}cmd=sleep 1000\n"));
    }
    wait_until("its death, or its complaint", || {
        !is_alive(going.pid) || going.count("Can't read *: *emory*") > 0
    });
    if is_alive(going.pid) {
        // Others go on meanwhile.
        let hit = before["web-7"][0].0;
        crate::common::send(hit, Signal::SIGKILL);
        wait_until("its next run", || mains(&place).get("web-7").is_some_and(|it| it[0].0 != hit));
        let unlimited = ["prlimit", "--pid", &going.pid.to_string(), "--as=unlimited"];
        assert!(run(&unlimited).status.success());
        wait_until("all to run", || mains(&place).len() == 120);
        kill(&mut going);
    } else {
        // SIGABRT, or SIGILL without the words of panics, and not before it has tried
        // for a while; not SIGSEGV for want of a stack.
        let status = going.wait_exit();
        assert!([-6, -4].contains(&status), "{status}");
    }
    let mut next = place.start(&[]);
    next.wait_for("took up *");
    wait_until("all to run", || mains(&place).len() == 120);
    let now = mains(&place);
    assert!(now.values().all(|it| it.len() == 1), "{now:?}");
    assert!(before.iter().all(|(name, it)| name == "web-7" || now[name] == *it));
    next.stop();
}

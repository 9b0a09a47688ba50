//! What is done to the world. Each deed leaves word of what may be otherwise now.

use std::fs;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::common::{Signal, is_alive, run, send, stat, wait_until};
use crate::kinds::Kind;
use crate::world::{Known, World};

/// What an operator or a program does while all is well.
pub fn small(world: &mut World) {
    match world.dice.roll(10) {
        0 | 1 => kill_service(world),
        2 => order(world, "stop"),
        3 => order(world, "start"),
        4 => order(world, "restart"),
        5 => edit(world),
        6 => comment(world),
        7 => drop_file(world),
        8 => remove_file(world),
        _ => demand_nothing(world),
    }
}

/// Anything.
pub fn any(world: &mut World) {
    match world.dice.roll(30) {
        0..=2 => kill_going(world),
        3 | 4 => kill_logger(world),
        5 => upgrade(world),
        6 => upgrade_in_vain(world),
        7 => stand_still(world),
        8 => few_descriptors(world),
        9 => full_disk(world),
        10 => kill_both(world),
        11 => leave(world),
        12 => crowd(world),
        13 => mistake(world),
        14 => move_directory(world),
        15 => blow(world, Signal::SIGHUP),
        16 => blow(world, Signal::SIGUSR1),
        17 => wipe(world),
        _ => small(world),
    }
}

/// Nothing is known any more of this service's process.
fn unsettle(world: &mut World, name: &str) {
    world.services.get_mut(name).unwrap().main = None;
}

fn kill_service(world: &mut World) {
    let Some(name) = world.choose() else { return };
    let Some(main) = world.services[&name].main.clone() else { return };
    world.tell(format!("kill {name} ({})", main.0));
    unsettle(world, &name);
    send(main.0, Signal::SIGKILL);
}

fn order(world: &mut World, word: &str) {
    let Some(name) = world.choose() else { return };
    // What others need stays.
    if name == "plain-0" {
        return;
    }
    world.tell(format!("{word} {name}"));
    let is_wanted = word != "stop";
    if word != "start" || !world.services[&name].is_wanted {
        unsettle(world, &name);
    }
    let answer = world.order(&[&format!("command={word}"), &format!("name={name}")]);
    assert!(answer.contains("result=ok"), "{word} {name}: {answer}");
    world.services.get_mut(&name).unwrap().is_wanted = is_wanted;
}

/// Another version of a file.
fn edit(world: &mut World) {
    let Some(name) = world.choose() else { return };
    let known = world.services.get_mut(&name).unwrap();
    known.version += 1;
    known.main = None;
    let (kind, version) = (known.kind, known.version);
    world.tell(format!("edit {name}, version {version}"));
    world.place.service(&name, &kind.text(&world.place, &name, version));
}

/// The same, in other words.
fn comment(world: &mut World) {
    let Some(name) = world.choose() else { return };
    let number = world.dice.roll(1000);
    let Known { kind, version, .. } = world.services[&name];
    world.tell(format!("comment {name}"));
    let text = kind.text(&world.place, &name, version);
    world.place.service(&name, &format!("# {number}\n{text}"));
}

/// An edit that cannot be used, put right a moment later.
fn mistake(world: &mut World) {
    let Some(name) = world.choose() else { return };
    world.tell(format!("mistake in {name}"));
    world.place.service(&name, "cmmd=sleep 1\n");
    world.dawdle();
    let Known { kind, version, .. } = world.services[&name];
    world.place.service(&name, &kind.text(&world.place, &name, version));
}

fn drop_file(world: &mut World) {
    let name = format!("visitor-{}", world.dice.roll(6));
    // Gone and there again before going looks, it is the same service, edited; one that
    // was put down stays so.
    if world.services.contains_key(&name) || world.removed.contains(&name) {
        return;
    }
    world.tell(format!("drop {name}"));
    let kind = [Kind::Plain, Kind::Group, Kind::Forking][world.dice.roll(3) as usize];
    world.write_new(&name, kind);
}

fn remove_file(world: &mut World) {
    let name = format!("visitor-{}", world.dice.roll(6));
    if let Some(known) = world.services.remove(&name) {
        world.tell(format!("remove {name}"));
        world.place.remove(&name);
        if !known.is_wanted {
            world.removed.insert(name);
        }
    }
}

/// Asks for what changes nothing.
fn demand_nothing(world: &mut World) {
    let words = ["status", "why", "ping", "self", "reload"];
    let word = words[world.dice.roll(5) as usize];
    world.tell(word.to_owned());
    world.order(&[&format!("command={word}")]);
}

/// Kills it, and starts the next one as init does.
pub fn kill_going(world: &mut World) {
    world.tell(format!("kill going ({})", world.pid()));
    world.going().signal(Signal::SIGKILL);
    let status = world.going().wait_exit();
    assert_eq!(status, -9, "it was dead before it was killed");
    if world.dice.roll(3) == 0 {
        // Something dies, or changes, while nobody looks.
        if world.dice.roll(2) == 0 { kill_service(world) } else { edit(world) }
    }
    world.start_going();
}

fn logger(world: &World) -> Option<i32> {
    let mut all = crate::mains::mains(&world.place);
    all.remove("going-log")?.first().map(|it| it.0)
}

fn kill_logger(world: &mut World) {
    let Some(pid) = logger(world) else { return };
    world.tell("kill going-log".to_owned());
    send(pid, Signal::SIGKILL);
}

fn kill_both(world: &mut World) {
    let Some(pid) = logger(world) else { return };
    world.tell("kill going and going-log".to_owned());
    world.going().signal(Signal::SIGKILL);
    send(pid, Signal::SIGKILL);
    world.going().wait_exit();
    world.dawdle();
    world.start_going();
}

/// SIGQUIT: it leaves by itself.
fn leave(world: &mut World) {
    // One that has not begun yet would die of it.
    world.order(&["command=ping"]);
    world.tell("SIGQUIT".to_owned());
    world.going().signal(Signal::SIGQUIT);
    assert_eq!(world.going().wait_exit(), 0);
    world.dawdle();
    world.start_going();
}

fn upgrade(world: &mut World) {
    world.tell("upgrade".to_owned());
    if world.dice.roll(2) == 0 {
        world.install();
    }
    let answer = world.order(&["command=upgrade"]);
    let is_said = answer.contains("result=ok") || answer.contains("being started");
    assert!(is_said, "upgrade: {answer}");
}

fn upgrade_in_vain(world: &mut World) {
    world.tell("upgrade to garbage".to_owned());
    let text = ["#!/bin/sh\nexit 1\n", "garbage", ""][world.dice.roll(3) as usize];
    world.install_garbage(text);
    let answer = world.order(&["command=upgrade"]);
    assert!(answer.contains("code=failed"), "upgrade to garbage: {answer}");
    world.install();
}

/// Halted, while things happen.
fn stand_still(world: &mut World) {
    stand_still_for(world, Duration::ZERO);
}

/// The same for at least so long.
pub fn stand_still_for(world: &mut World, least: Duration) {
    world.order(&["command=ping"]);
    world.tell("halt going".to_owned());
    let pid = world.pid();
    send(pid, Signal::SIGSTOP);
    wait_until("it to halt", || stat(pid).is_some_and(|it| it[0] == "T"));
    for _ in 0..world.dice.roll(4) {
        match world.dice.roll(4) {
            0 => edit(world),
            1 => drop_file(world),
            2 => remove_file(world),
            _ => kill_service(world),
        }
        world.dawdle();
    }
    let start = Instant::now();
    wait_until("the time to pass", || start.elapsed() >= least);
    world.tell("let going go on".to_owned());
    send(pid, Signal::SIGCONT);
}

/// Hardly a descriptor, for a while.
fn few_descriptors(world: &mut World) {
    world.order(&["command=ping"]);
    let pid = world.pid();
    let count = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let number = world.dice.roll(6) as usize;
    world.tell(format!("descriptors for going: {count}, and {number} more"));
    let limit = |soft: &str| {
        run(&["prlimit", "--pid", &pid.to_string(), &format!("--nofile={soft}:")]);
    };
    limit(&(count + number).to_string());
    for _ in 0..world.dice.roll(4) {
        match world.dice.roll(4) {
            0 => edit(world),
            1 => drop_file(world),
            2 => remove_file(world),
            _ => kill_service(world),
        }
        world.dawdle();
    }
    assert!(is_alive(pid));
    world.tell("descriptors for going: enough".to_owned());
    limit("4096");
}

/// The run directory is full, for a while.
fn full_disk(world: &mut World) {
    if world.disk.is_none() {
        return;
    }
    world.tell("run directory: full".to_owned());
    let path = world.place.path("run/filler");
    run(&["sh", "-c", "cat /dev/zero >\"$0\" 2>/dev/null", &path]);
    for _ in 0..world.dice.roll(4) {
        small(world);
        world.dawdle();
    }
    world.tell("run directory: room".to_owned());
    fs::remove_file(path).unwrap();
    // Killed now, it would not have written everything down, and it has said so, if it
    // has begun.
    world.order(&["command=ping"]);
    wait_until("the state to be written", || {
        let text = fs::read_to_string(world.place.path("report")).unwrap_or_default();
        let last = |what: &str| text.rfind(what);
        last("Can't write the state file") <= last("The state file is written again")
    });
}

/// Clients that say nothing, or nonsense, and leave.
fn crowd(world: &mut World) {
    use std::io::Write;
    world.tell("a crowd".to_owned());
    let path = world.place.path("run/control");
    for number in 0..world.dice.roll(60) {
        let Ok(mut stream) = UnixStream::connect(&path) else { continue };
        let text = ["", "going=1\n", "\0\0\0\n\n", "going=1\ncommand=why\n\n"][number as usize % 4];
        let _ = stream.write_all(text.as_bytes());
    }
}

/// The directory is away for a moment: everything runs on.
fn move_directory(world: &mut World) {
    world.tell("the directory is away".to_owned());
    let (path, away) = (world.place.path("going.d"), world.place.path("away.d"));
    fs::rename(&path, &away).unwrap();
    world.dawdle();
    world.dawdle();
    fs::rename(&away, &path).unwrap();
}

/// Somebody tidies up what is none of his business.
fn wipe(world: &mut World) {
    // One that has not begun yet does not look, and nor does one that is dead.
    world.order(&["command=ping"]);
    world.tell("wipe the run directory".to_owned());
    let path = |name: &str| world.place.path(&format!("run/{name}"));
    let files = ["lock", "control", "state"].map(path);
    for file in &files {
        let _ = fs::remove_file(file);
    }
    wait_until("it to be made anew", || files.iter().all(|it| fs::metadata(it).is_ok()));
}

fn blow(world: &mut World, signal: Signal) {
    // One that has not begun yet would die of it.
    world.order(&["command=ping"]);
    world.tell(signal.as_str().to_owned());
    world.going().signal(signal);
}

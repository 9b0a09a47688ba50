//! Going killed at each system call on the way from a decision to a running program,
//! its child held there, too: whatever is there then, one process runs in the end.

use std::process::{Child, Command, Stdio};

use crate::common::{
    Going, Place, Signal, children, has, is_alive, program, send, status, wait_until,
};
use crate::{exists, is_answered, mains};

/// So many system calls, and more, are made from the reading of the directory to the
/// end of the first turn; beyond that nothing is new.
const CALLS: usize = 400;

/// Starts going under strace, which kills it instead of letting it make its system
/// call number `when` after the state file was begun.
fn start_to_die(place: &Place, name: &str, when: usize) -> Going {
    let inject = format!("inject={name}:signal=KILL:when={when}");
    let words = ["strace", "-o", "/dev/null", "-e", "trace=all", "-e", &inject, &program()];
    let confdir = place.path("going.d");
    let own = ["-d", &confdir, "--report", "stderr", "-o", "stdout=inherit"];
    place.start_words(&[&words[..], &own].concat())
}

/// The system calls that going itself makes until `web` runs, in order.
fn calls() -> Vec<String> {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let (trace, confdir) = (place.path("trace"), place.path("going.d"));
    let words = ["strace", "-o", &trace, &program(), "-d", &confdir, "--report", "stderr"];
    let mut going = place.start_words(&[&words[..], &["-o", "stdout=inherit"]].concat());
    going.wait_started("web");
    let tracer = going.pid;
    let pid = children(tracer)[0];
    send(pid, Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    let text = place.read("trace");
    let names = text.lines().filter_map(|line| line.split_once('(').map(|it| it.0.to_owned()));
    let all: Vec<_> =
        names.filter(|it| it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')).collect();
    assert!(all.iter().any(|it| it == "pwrite64"), "no trace: {all:?}");
    all
}

#[test]
fn killed_at_each_system_call_it_is_followed_by_one_that_runs_everything_once() {
    if !has("strace") {
        return;
    }
    let all = calls();
    // From the lock on; what is before that is the loading of the program.
    let first = all.iter().position(|it| it == "fcntl").expect("the lock");
    let mut counts = std::collections::BTreeMap::new();
    let numbered = all.iter().map(|name| {
        let count = counts.entry(name.clone()).or_insert(0_usize);
        *count += 1;
        (name.clone(), *count)
    });
    for (name, when) in numbered.collect::<Vec<_>>().into_iter().skip(first).take(CALLS) {
        if name == "exit_group" {
            continue;
        }
        let place = Place::new();
        place.service("web", "cmd=sleep 1000\n");
        let mut going = start_to_die(&place, &name, when);
        // It dies there, or it does not come to so many of these calls.
        wait_until("its death or its work", || {
            let is_up = mains(&place)
                .get("web")
                .is_some_and(|it| it.iter().any(|it| status(it.0, "Name") == "sleep"));
            !is_alive(going.pid) || (is_up && going.count("web: started*") > 0)
        });
        for pid in children(going.pid) {
            send(pid, Signal::SIGKILL);
        }
        going.wait_exit();
        let mut next = place.start(&[]);
        wait_until("web to run", || mains(&place).contains_key("web"));
        wait_until("an answer", || is_answered(&place, &["command=ping"]));
        crate::client::Client::connect(&place).wait_state("web", "up");
        let main = crate::main_of(&place, "web");
        assert!(is_alive(main.0));
        let told = next.lines().join("\n");
        assert!(!told.contains("damaged"), "{name} {when}: {told}");
        next.stop();
        assert!(!exists(&place, "run/state") && mains(&place).is_empty(), "{name} {when}");
    }
}

/// Has strace delay system calls of a process, and of all that it forks.
fn trace(pid: i32, inject: &str) -> Child {
    Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=all", "-e", inject])
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child is held by its tracer before each of its own system calls, going is
/// killed meanwhile, and the next one starts before the child goes on.
#[test]
fn a_child_that_was_held_anywhere_on_its_way_is_not_one_too_many() {
    if !has("strace") {
        return;
    }
    for name in
        ["setsid", "prctl", "getppid", "pwrite64", "rt_sigprocmask", "umask", "chdir", "execve"]
    {
        for edge in ["delay_enter", "delay_exit"] {
            let place = Place::new();
            place.service("web", "cmd=sleep 1000\n");
            let mut going = place.start_words(&[
                program().as_str(),
                "-d",
                &place.path("going.d"),
                "--report",
                "stderr",
                "-o",
                "stdout=inherit",
            ]);
            going.wait_started("web");
            let (first, _) = crate::main_of(&place, "web");
            // The next child, not this one, is traced from its birth on.
            let inject = format!("inject={name}:{edge}=1000000");
            let mut tracer = trace(going.pid, &inject);
            wait_until("strace to hold it", || status(going.pid, "TracerPid") != "0");
            send(first, Signal::SIGKILL);
            let is_child = |pid: &i32| *pid != first && is_alive(*pid);
            wait_until("the next child", || {
                children(going.pid).iter().any(is_child)
                    || mains(&place).get("web").is_some_and(|it| it.iter().any(|it| it.0 != first))
            });
            crate::kill(&mut going);
            let mut next = place.start(&[]);
            wait_until("an answer", || is_answered(&place, &["command=ping"]));
            let mut client = crate::client::Client::connect(&place);
            client.wait_state("web", "up");
            // The tracer lets go of the child, if that is still there.
            tracer.kill().unwrap();
            tracer.wait().unwrap();
            // One that was written down, and held after that, is one from its exec on.
            wait_until("all children to be programs", || {
                let pids = children(going.pid).into_iter().chain(children(next.pid));
                let mut all = mains(&place).into_values().flatten().map(|it| it.0).chain(pids);
                let is_one = |pid: i32| !is_alive(pid) || status(pid, "Name") == "sleep";
                mains(&place).contains_key("web") && all.all(is_one)
            });
            let main = crate::main_of(&place, "web");
            let told = client.wait_state("web", "up");
            assert_eq!(told.number("pid"), u64::try_from(main.0).ok(), "{name} {edge}");
            next.stop();
        }
    }
}

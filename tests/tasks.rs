//! What is around a run: conditions, setup, finish, and the wait until it is ready.
//! Each runs when its turn has come, once, and nothing of it outstays its time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs and threads"
)]

mod common;

#[path = "control/client.rs"]
#[expect(dead_code, reason = "it can more than is needed here")]
mod client;
#[path = "tasks/killed.rs"]
mod killed;

use client::Client;
use common::{Place, Signal, has_root, is_alive, send, wait_until};

/// A line of a service file with a command that says what it is in the file `story`.
pub fn saying(place: &Place, key: &str, script: &str) -> String {
    assert!(!script.contains('\''));
    format!("{key}=/bin/sh -c 'echo {key} >>{}; {script}'\n", place.path("story"))
}

/// Waits for the story to be so long; it.
#[track_caller]
pub fn story(place: &Place, count: usize) -> Vec<String> {
    let read = || place.read("story").lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until(&format!("{count} lines of the story"), || read().len() >= count);
    read()
}

/// What `why` says of a service, as one text.
#[track_caller]
pub fn why(place: &Place, name: &str) -> String {
    let mut client = Client::connect(place);
    client.say(&["command=why", &format!("name={name}")]);
    let mut text = String::new();
    for block in client.reply().blocks {
        block.pairs().for_each(|(key, value)| text.extend([key, "=", value, "\n"]));
    }
    text
}

#[test]
fn setup_comes_before_and_finish_after_each_run() {
    let place = Place::new();
    let cmd = saying(&place, "cmd", "exec sleep 1000");
    let lines = [saying(&place, "setup", "sleep 0.2"), cmd, saying(&place, "finish", "sleep 0.2")];
    place.service("web", &(lines.concat() + "min-uptime=0\n"));
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    story(&place, 2);
    send(pid, Signal::SIGKILL);
    going.wait_started("web");
    story(&place, 5);
    going.stop();
    assert_eq!(story(&place, 6), ["setup", "cmd", "finish"].repeat(2));
    assert_eq!(going.count("web: setting up (pid *)"), 2);
}

#[test]
fn they_run_as_the_service_does_and_know_the_facts() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.make_dir("out");
    let out = place.path("out");
    nix::unistd::chown(out.as_str(), Some(54395.into()), Some(54395.into())).unwrap();
    let tell = |name: &str| {
        format!(
            "{name}=/bin/sh -c '(id -u; ulimit -n; pwd; umask; echo $X; readlink /proc/self/fd/0; \
             env | grep ^GOING_ | sort; ps -o sid= -p $$ | tr -d \" \" | sed s/$$/leader/) \
             >{out}/{name}'\n"
        )
    };
    let keys = "user=54395\ngroup=54395\nlimit-nofile=77\numask=027\nenv=X=y\nstdin=pipe\n";
    let text = format!("{}{}{keys}cwd={out}\n", tell("setup"), tell("finish"));
    place.service(
        "web",
        &format!("{text}cmd=sh -c 'echo $$ >{out}/pid; sleep 1000'\nenv=GOING_EXIT=9\n"),
    );
    let mut going = place.start(&[]);
    going.wait_started("web");
    let pid = place.wait_text("out/pid");
    let plain = format!("54395\n77\n{out}\n0027\ny\n/dev/null\n");
    let setup = place.read("out/setup");
    assert!(setup.starts_with(&plain), "{setup}");
    assert!(setup.contains("GOING_EVENT=setup\n") && setup.ends_with("leader\n"), "{setup}");
    assert!(!setup.contains("GOING_ORDERED"), "there was no run before this: {setup}");
    send(pid.trim().parse().unwrap(), Signal::SIGSEGV);
    going.wait_for("web terminated after: 0s*");
    let finish = place.read("out/finish");
    assert!(finish.starts_with(&plain), "{finish}");
    for fact in [
        "GOING_EVENT=finish",
        "GOING_ORDERED=no",
        &format!("GOING_PID={}", pid.trim()),
        "GOING_SERVICE=web",
        "GOING_SIGNAL=SEGV",
        "GOING_STRIKES=0",
        "GOING_UPTIME=0",
    ] {
        assert!(finish.lines().any(|line| line == fact), "{fact} in {finish}");
    }
    going.stop();
}

#[test]
fn a_failed_setup_is_a_strike_and_the_service_does_not_run() {
    let place = Place::new();
    let lines = [
        saying(&place, "setup", "exit 3"),
        saying(&place, "cmd", "exec sleep 1000"),
        saying(&place, "finish", "exit 4"),
    ];
    place.service("web", &(lines.concat() + "strikes=2\nbackoff=1ms\n"));
    place.service("gone", "setup=/nonexistent/tool\ncmd=sleep 1000\nstrikes=1\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "web was not started, its setup failed after: *s and will be quarantined * (exit status 3; \
         strike 1*",
        "web: finish failed (exit status 4)",
        "Can't execute /nonexistent/tool: * (gone: setup, line 1)",
    ]);
    going.wait_for("web was not started, *gave up after 2 strikes)");
    assert_eq!(story(&place, 4), ["setup", "finish"].repeat(2));
    let told = why(&place, "web");
    assert!(told.contains("last-exit=3\n") && told.contains("last-strike=setup\n"), "{told}");
    assert!(why(&place, "gone").contains("last-fault=Can't execute /nonexistent/tool: "));
    going.stop();
}

#[test]
fn a_setup_that_takes_too_long_is_ended_with_all_it_started() {
    let place = Place::new();
    let pids = place.path("setup.pids");
    place.service(
        "web",
        &format!(
            "setup=/bin/sh -c 'sleep 1000 & echo $! >{pids}; echo $$ >>{pids}; wait'\n\
             cmd=sleep 1000\nstart-timeout=300ms\nstrikes=1\n"
        ),
    );
    let mut going = place.start(&[]);
    going.wait_for(
        "Can't wait for the setup any longer: 300ms are over (web: start-timeout, line 3)",
    );
    going.wait_for("web was not started*gave up after 1 strike)");
    assert_eq!(place.starts("setup").len(), 2);
    wait_until("its end", || place.starts("setup").iter().all(|pid| !is_alive(*pid)));
    assert_eq!(going.count("web: started*"), 0);
    going.stop();
}

#[test]
fn what_a_setup_leaves_running_is_stopped_before_the_service_starts() {
    let place = Place::new();
    let left = place.path("left.pids");
    let check = format!("read pid <{left}; kill -0 $pid && echo early >{left}; exec sleep 1000");
    place.service(
        "web",
        &format!(
            "setup=/bin/sh -c 'sleep 1000 & echo $! >{left}'\n{}",
            saying(&place, "cmd", &check)
        ),
    );
    let mut going = place.start(&[]);
    going.wait_for("web: stopping what its setup left (SIGTERM to group *)");
    going.wait_started("web");
    story(&place, 1);
    assert!(!is_alive(place.starts("left")[0]));
    assert!(!place.read("left.pids").contains("early"));
    going.stop();
}

#[test]
fn a_stop_during_setup_ends_that_and_nothing_else_starts() {
    let place = Place::new();
    let lines = [
        saying(&place, "setup", "exec sleep 1000"),
        saying(&place, "cmd", "exec sleep 1000"),
        saying(&place, "finish", "true"),
    ];
    place.service("web", &lines.concat());
    let mut going = place.start(&[]);
    going.wait_for("web: setting up (pid *)");
    story(&place, 1);
    let mut client = Client::connect(&place);
    client.say(&["command=status"]);
    let block = client.reply().blocks.remove(0);
    assert_eq!((block.get("state"), block.get("stage")), (Some("starting"), Some("setup")));
    client.say(&["command=stop", "name=web"]);
    client.reply();
    client.wait_state("web", "down");
    assert_eq!(story(&place, 2), ["setup", "finish"]);
    let told = why(&place, "web");
    assert!(told.contains("last-ordered=yes\n") && !told.contains("last-strike"), "{told}");
    going.stop();
}

#[test]
fn a_finish_that_takes_too_long_is_killed_and_then_the_service_comes_back() {
    let place = Place::new();
    let lines = [
        place.logged("web", "exec sleep 1000"),
        "finish=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n".to_owned(),
        "finish-timeout=300ms\nmin-uptime=0\n".to_owned(),
    ];
    place.service("web", &lines.concat());
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    place.wait_starts("web", 1);
    send(pid, Signal::SIGKILL);
    going.wait_for("web: finish is not done after 300ms, sending SIGKILL to all of *");
    going.wait_for("web: finish failed (killed by SIGKILL)");
    going.wait_started("web");
    place.wait_starts("web", 2);
    going.stop();
}

#[test]
fn while_a_condition_is_not_met_it_stays_down_and_says_why() {
    let place = Place::new();
    let (flag, full) = (place.path("flag"), place.path("full"));
    let lines = format!("condition=path:{flag}\ncondition=!nonempty:{full}\n");
    place.service("web", &(lines + &place.logged("web", "exec sleep 1000")));
    place.service("other", "cmd=sleep 1000\ncondition=env:GOING_TEST\ncondition=dir:/\n");
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        &format!("web: not started (path:{flag} is not met)"),
        "other: started (pid *)",
    ]);
    let mut client = Client::connect(&place);
    client.say(&["command=status", "name=web"]);
    let block = client.reply().blocks.remove(0);
    assert_eq!((block.get("state"), block.get("want")), (Some("down"), Some("up")));
    assert_eq!(block.get("unmet"), Some(&*format!("path:{flag}")));
    place.write("full", "x");
    place.write("flag", "");
    client.say(&["command=start", "name=web"]);
    client.reply();
    going.wait_for(&format!("web: not started (!nonempty:{full} is not met)"));
    place.write("full", "");
    going.signal(Signal::SIGHUP);
    going.wait_started("web");
    place.wait_starts("web", 1);
    // What runs is not stopped for it, but does not come back either.
    std::fs::remove_file(&flag).unwrap();
    client.say(&["command=restart", "name=web"]);
    client.reply();
    client.wait_state("web", "down");
    assert_eq!(place.starts("web").len(), 1);
    client.say(&["command=stop", "name=web"]);
    client.reply();
    assert!(!why(&place, "web").contains("unmet"));
    going.stop();
}

#[test]
fn ready_by_uptime_it_is_starting_until_it_has_lasted() {
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\nready=uptime\nmin-uptime=400ms\n");
    place.service("late", "cmd=sleep 1000\nready=uptime\nmin-uptime=1h\n");
    let script = place.logged("dies", "sleep 0.2; exit 0");
    let keys = "ready=uptime\nmin-uptime=1h\nrestart=on-failure\nstrikes=1\n";
    place.service("dies", &(script + keys));
    let mut going = place.start(&[]);
    going.wait_for_all(&["web: started (pid *)", "dies terminated after: *"]);
    assert_eq!(going.count("late: started*"), 0);
    assert!(why(&place, "dies").contains("last-strike=unready\n"));
    let told = why(&place, "late");
    assert!(told.contains("stage=unready\n") && told.contains("next=ready\n"), "{told}");
    going.stop();
}

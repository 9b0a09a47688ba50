//! What services say as sd_notify(3) does, and who is listened to.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use crate::client::Client;
use crate::common::{Place, Signal, has, has_root, is_alive, run, send, strings, wait_until};
use crate::{speaker, tell, why};

#[test]
fn a_service_is_up_when_it_says_so_and_shows_what_it_says() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\n"));
    let mut going = place.start(&[]);
    let mut client = Client::connect(&place);
    tell(&place, "web", "say('READY=1\\nSTATUS=' + 5000 * 'x')");
    going.wait_for("web: a notice is dropped, for it is longer than 4096 bytes");
    tell(&place, "web", "say('STATUS=\\x1b[2Jwarming \\x07up')");
    wait_until("its status", || why(&place, "web").contains("status-text=[2Jwarming  up\n"));
    let block = client.wait_state("web", "starting");
    assert_eq!((block.get("stage"), block.get("next")), (Some("unready"), Some("give-up")));
    tell(&place, "web", "say('READY=1\\nSTATUS=serving')");
    going.wait_started("web");
    assert_eq!(client.wait_state("web", "up").get("status-text"), Some("serving"));
    tell(&place, "web", "say('RELOADING=1'); note('done')");
    place.wait_text("web.notes");
    assert_eq!(client.wait_state("web", "up").get("phase"), Some("reloading"));
    tell(&place, "web", "say('READY=1\\nSTATUS=')");
    wait_until("the end of the reload", || !why(&place, "web").contains("phase="));
    assert!(!why(&place, "web").contains("status-text"));
    tell(&place, "web", "say('STOPPING=1\\nSTATUS=bye')");
    wait_until("its end", || why(&place, "web").contains("phase=stopping\n"));
    client.order(&["command=stop", "name=web"]);
    client.wait_state("web", "down");
    assert!(!why(&place, "web").contains("status-text"), "it has nothing to say any more");
    going.stop();
    assert!(!place.dir.join("run/notify").exists());
}

#[test]
fn who_never_says_so_is_stopped_when_its_time_is_up_unless_it_asks_for_more() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("late", "cmd=sleep 1000\nready=notify\nstart-timeout=300ms\nstrikes=1\n");
    place.service("dies", "cmd=sh -c 'exit 0'\nready=notify\nstrikes=1\n");
    let more = speaker(&place, "more") + "ready=notify\nstart-timeout=1m\nstop=TERM 100ms\n";
    place.service("more", &more);
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "Not ready after 300ms (late: start-timeout, line 3)",
        "dies terminated after: 0s (exit status 0; gave up after 1 strike)",
    ]);
    assert!(why(&place, "late").contains("last-strike=unready\n"));
    let next = || {
        let told = why(&place, "more");
        let line = told.lines().find_map(|it| it.strip_prefix("next-ms="));
        line.map_or(0, |it| it.parse::<u64>().unwrap())
    };
    tell(&place, "more", "say('EXTEND_TIMEOUT_USEC=600000000')");
    wait_until("more time", || next() > 100_000);
    // It never gets less than it had.
    tell(&place, "more", "say('EXTEND_TIMEOUT_USEC=1'); note('asked')");
    place.wait_text("more.notes");
    assert!(next() > 100_000);
    // Nor so much that nothing ever happens.
    tell(&place, "more", "say('EXTEND_TIMEOUT_USEC=18446744073709551615')");
    wait_until("an hour", || next() > 3_500_000);
    assert!(next() <= 3_600_000);
    tell(
        &place,
        "more",
        "signal.signal(signal.SIGTERM, lambda *_: say('EXTEND_TIMEOUT_USEC=500000000')); say('READY=1')",
    );
    going.wait_started("more");
    let mut client = Client::connect(&place);
    client.say(&["command=stop", "name=more"]);
    client.reply();
    wait_until("more time to stop", || next() > 100_000);
    assert_eq!(going.count("more: still running*"), 0);
    going.signal(Signal::SIGTERM);
    going.wait_for("SIGTERM: stopping 1 services");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0, "a second order waits for nobody");
}

#[test]
fn strangers_are_not_listened_to_and_told_of_once() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\n"));
    place.service("plain", &speaker(&place, "plain"));
    let mut going = place.start(&[]);
    tell(&place, "web", "note('there')");
    place.wait_text("web.notes");
    let path = place.path("run/notify");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    let stranger = UnixDatagram::unbound().unwrap();
    for _ in 0..200 {
        stranger.send_to(b"READY=1\nSTATUS=forged", &path).unwrap();
    }
    going.wait_for(&format!("notice of pid {}, user *, dropped: *", std::process::id()));
    // A service that is not to be listened to is a stranger, too, whoever it says it is.
    let order =
        format!("os.environ['GOING_SERVICE'] = 'web'\nsay('READY=1', path='{path}')\nnote('said')");
    tell(&place, "plain", &order);
    place.wait_text("plain.notes");
    tell(&place, "web", "say('STATUS=own')");
    wait_until("its own words", || why(&place, "web").contains("status-text=own\n"));
    assert!(why(&place, "web").contains("state=starting\n"));
    assert_eq!(going.count("notice of *"), 1);
    going.stop();
}

#[test]
fn all_of_a_service_may_speak_for_it_and_nobody_else_becomes_its_main_process() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\n"));
    place.service("other", &(speaker(&place, "other") + "ready=notify\n"));
    let mut going = place.start(&[]);
    // A grandchild in a session of its own.
    tell(
        &place,
        "web",
        "child('os.setsid(); os.fork(); say(\"STATUS=grandchild\"); time.sleep(9)', False)",
    );
    let is_said = |text: &str| why(&place, "web").contains(&format!("status-text={text}\n"));
    wait_until("its word", || is_said("grandchild"));
    // One without parents and session.
    tell(
        &place,
        "web",
        "child('os.setsid(); os.fork() and os._exit(0); time.sleep(0.2); say(\"STATUS=orphan\"); time.sleep(9)', True)",
    );
    wait_until("its word", || is_said("orphan"));
    tell(&place, "other", "note(os.getpid())");
    let other = place.wait_text("other.notes");
    tell(&place, "web", &format!("say('MAINPID={}\\nSTATUS=moved')", other.trim()));
    wait_until("its word", || is_said("moved"));
    let us = std::process::id();
    tell(&place, "web", &format!("say('MAINPID={us}\\nSTATUS=moved twice')"));
    wait_until("its word", || is_said("moved twice"));
    tell(&place, "web", "note(os.getpid())");
    let own = place.wait_text("web.notes");
    assert!(why(&place, "web").contains(&format!("pid={own}")), "it is what it was");
    // A child is its main process when it says so, and goes on when the parent dies.
    tell(&place, "web", "pid = child('time.sleep(1000)', False); say(f'MAINPID={pid}'); note(pid)");
    wait_until("its new main process", || place.read("web.notes").lines().count() == 2);
    let new = place.read("web.notes").lines().nth(1).unwrap().to_owned();
    wait_until("its new main process", || why(&place, "web").contains(&format!("pid={new}\n")));
    assert!(why(&place, "web").contains("state=starting\n"), "that is not to be ready");
    tell(&place, "web", "say('READY=1')");
    going.wait_started("web");
    let new: i32 = new.parse().unwrap();
    send(own.trim().parse().unwrap(), Signal::SIGKILL);
    wait_until("its death", || !is_alive(own.trim().parse().unwrap()));
    assert!(why(&place, "web").contains(&format!("pid={new}\n")) && is_alive(new));
    send(new, Signal::SIGKILL);
    going.wait_for("web terminated after: *killed by SIGKILL*");
    going.stop();
}

#[test]
fn descriptors_that_come_along_are_closed_and_who_waits_for_that_goes_on() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\n"));
    let mut going = place.start(&[]);
    let count = || std::fs::read_dir(format!("/proc/{}/fd", going.pid)).unwrap().count();
    tell(&place, "web", "note(1)");
    place.wait_text("web.notes");
    let before = count();
    // As sd_notify_barrier(3) does, and with many more.
    tell(
        &place,
        "web",
        "r, w = os.pipe(); say('FDSTORE=1\\nFDNAME=x\\nSTATUS=stored', [w] * 200); \
         say('BARRIER=1', [w]); os.close(w); note(os.read(r, 1) == b'')",
    );
    wait_until("the barrier", || place.read("web.notes") == "1\nTrue\n");
    assert!(why(&place, "web").contains("status-text=stored\n"), "all before it was heard");
    wait_until("the end of all descriptors", || count() == before);
    tell(&place, "web", "say('READY=1')");
    going.wait_started("web");
    going.stop();
}

#[test]
fn the_socket_is_for_those_who_are_listened_to_and_is_not_handed_down() {
    let place = Place::new();
    place.service("plain", "cmd=sleep 1000\n");
    let mut going = place.start_under(
        &["env", "NOTIFY_SOCKET=/nonexistent", "WATCHDOG_USEC=5", "WATCHDOG_PID=5"],
        &[],
    );
    let pid = going.wait_started("plain");
    let has = |pid, name: &str| strings(pid, "environ").iter().any(|it| it.starts_with(name));
    for name in ["NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="] {
        assert!(!has(pid, name), "{name}");
    }
    assert!(!place.dir.join("run/notify").exists(), "nobody needs it");
    place.service("web", &format!("cmd=sleep 1000\nready=notify\nwatchdog=1h\nenv=WATCHDOG_PID=7\nsetup=sh -c 'env >{}'\n", place.path("setup")));
    wait_until("its start", || why(&place, "web").contains("stage=unready\n"));
    let told = why(&place, "web");
    let pid: i32 = told.lines().find_map(|it| it.strip_prefix("pid=")).unwrap().parse().unwrap();
    let environ = strings(pid, "environ");
    let wanted = [
        format!(
            "NOTIFY_SOCKET={}",
            std::fs::canonicalize(place.path("run/notify")).unwrap().display()
        ),
        "WATCHDOG_USEC=3600000000".to_owned(),
        format!("WATCHDOG_PID={pid}"),
    ];
    for line in wanted {
        assert_eq!(environ.iter().filter(|it| **it == line).count(), 1, "{line} in {environ:?}");
    }
    assert!(!place.read("setup").contains("NOTIFY_SOCKET"));
    going.stop();
}

/// systemd's own tool and library, and another user's service.
#[test]
fn programs_of_systemd_are_understood() {
    let place = Place::new();
    let header = std::path::Path::new("/usr/include/systemd/sd-daemon.h").exists();
    if !has_root() || !has("systemd-notify") || !has("gcc") || !header && !has("libsystemd-dev") {
        return;
    }
    let program = place.path("notifies");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ready/systemd.c");
    let built = run(&["gcc", "-O1", "-Wall", "-o", &program, source, "-lsystemd"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let user = "ready=notify\nuser=54396\ngroup=54396\n";
    place.service("library", &format!("cmd={program}\nwatchdog=1h\n{user}"));
    let script = "systemd-notify --ready --status=\"from the tool\"; exec sleep 1000";
    place.service("tool", &format!("cmd=sh -c '{script}'\n{user}"));
    let mut going = place.start(&[]);
    going.wait_all_started(["library", "tool"]);
    let told = why(&place, "library");
    assert!(told.contains("status-text=watchdog after 3600000000 us, barrier passed\n"), "{told}");
    assert!(why(&place, "tool").contains("status-text=from the tool\n"));
    going.stop();
}

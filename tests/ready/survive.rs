//! Deaths and upgrades of going while services are not ready, or have a watchdog.

use crate::client::Client;
use crate::common::{Going, Place, Signal, has, wait_until};
use crate::watchdog::WELL;
use crate::{speaker, tell, why};

/// Kills going and starts another one.
fn again(place: &Place, mut going: Going, between: impl FnOnce()) -> Going {
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
    // Its end would be that of all that it left.
    std::mem::forget(going);
    between();
    place.start(&[])
}

/// What a service's block says of this key.
fn key(place: &Place, name: &str, key: &str) -> String {
    let told = why(place, name);
    let line = told.lines().find_map(|it| it.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_default().to_owned()
}

#[test]
fn who_was_not_ready_when_going_died_is_not_yet_and_says_so_to_the_next_one() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\n"));
    let script = format!(
        "until test -e {0}; do sleep 0.02; done; echo >&5; exec sleep 1000",
        place.path("go")
    );
    place.service("line", &format!("cmd=sh -c '{script}'\nready=fd:5\n"));
    let early = format!(
        "until test -e {0}; do sleep 0.02; done; echo >&3; echo >{0}; exec sleep 1000",
        place.path("early")
    );
    place.service("early", &format!("cmd=sh -c '{early}'\nready=fd:3\n"));
    let going = place.start(&[]);
    let names = ["web", "line", "early"];
    for name in names {
        wait_until("it to run", || key(&place, name, "stage") == "unready");
    }
    let pids = names.map(|it| key(&place, it, "pid"));
    let mut going = again(&place, going, || {
        // Written while nobody reads it: it is still there.
        place.write("early", "");
        place.wait_text("early");
    });
    going.wait_for("took up 3 services, 0 died meanwhile");
    going.wait_for("early: started (pid *)");
    for name in ["web", "line"] {
        assert_eq!(key(&place, name, "stage"), "unready");
    }
    tell(&place, "web", "say('READY=1')");
    going.wait_started("web");
    place.write("go", "");
    going.wait_started("line");
    assert_eq!(names.map(|it| key(&place, it, "pid")), pids, "nothing was started twice");
    going.stop();
}

#[test]
fn who_said_it_while_there_was_no_going_is_not_stopped_for_that() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let keys = "ready=notify\nstart-timeout=3s\n";
    place.service("web", &(speaker(&place, "web") + keys));
    let going = place.start(&[]);
    wait_until("it to run", || key(&place, "web", "stage") == "unready");
    tell(&place, "web", "note(1)");
    place.wait_text("web.notes");
    let pid = key(&place, "web", "pid");
    let mut going = again(&place, going, || {
        tell(&place, "web", "try: say('READY=1')\nexcept OSError: note(2)");
        wait_until("it to have tried", || place.read("web.notes").contains('2'));
    });
    assert_eq!(going.wait_started("web").to_string(), pid);
    // The next one who is silent is stopped for it.
    Client::connect(&place).order(&["command=restart", "name=web"]);
    going.wait_for("Not ready after 3s (web: start-timeout, line 3)");
    going.stop();
}

#[test]
fn an_upgrade_loses_no_word_and_a_watchdog_begins_anew() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    place.service("web", &(speaker(&place, "web") + "ready=notify\nwatchdog=1h\n"));
    let script = format!(
        "until test -e {0}; do sleep 0.02; done; echo >&5; exec 5>&-; exec sleep 1000",
        place.path("go")
    );
    place.service("line", &format!("cmd=sh -c '{script}'\nready=fd:5\n"));
    place.service(
        "guarded",
        &(speaker(&place, "guarded") + "ready=notify\nwatchdog=3s\nstrikes=1\n"),
    );
    let mut going = place.start(&[]);
    tell(&place, "guarded", WELL);
    going.wait_started("guarded");
    for name in ["web", "line"] {
        wait_until("it to run", || key(&place, name, "stage") == "unready");
    }
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(place.path(name)).unwrap().ino()
    };
    let before = inode("run/notify");
    for _ in 0..3 {
        Client::connect(&place).order(&["command=upgrade"]);
        assert_eq!(key(&place, "web", "stage"), "unready");
    }
    assert_eq!(inode("run/notify"), before, "it is the same socket");
    tell(&place, "web", "say('READY=1')");
    going.wait_started("web");
    place.write("go", "");
    going.wait_started("line");
    // Killed, too: it says that it is well to whoever is there, or to nobody.
    let mut going = again(&place, going, || {});
    going.wait_for("took up 3 services, 0 died meanwhile");
    tell(&place, "guarded", "os.kill(os.getpid(), signal.SIGSTOP)");
    going.wait_for("guarded: hangs, sending SIGABRT to group *");
    assert_eq!(going.count("web: hangs*"), 0);
    going.stop();
}

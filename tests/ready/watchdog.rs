//! Services that say again and again that they are well, and what becomes of them when
//! they do not.

use crate::client::Client;
use crate::common::{Place, has, status, wait_until};
use crate::{speaker, tell, why};

#[test]
fn one_that_falls_silent_is_ended_and_comes_back() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let keys = "ready=notify\nwatchdog=2s\nbackoff=1ms\nmin-uptime=0\nlimit-core=0\n";
    // Well for longer than that, and then nothing any more.
    let script =
        "say('READY=1'); [(say('WATCHDOG=1'), time.sleep(0.1)) for _ in range(25)]; note('silent')";
    place.service("web", &(speaker(&place, "web") + keys));
    let mut going = place.start(&[]);
    tell(&place, "web", script);
    going.wait_started("web");
    going.wait_for("web: hangs, sending SIGABRT to group *");
    assert_eq!(place.read("web.notes"), "silent\n", "it was well until then");
    going.wait_for("Hangs, or was silent for 2s (web: watchdog, line 3)");
    going.wait_for("web terminated after: * and will be quarantined * (killed by SIGABRT; watchdog; strike 1, *");
    assert!(why(&place, "web").contains("last-strike=watchdog\n"));
    tell(&place, "web", "say('READY=1')");
    going.wait_started("web");
    going.stop();
}

#[test]
fn one_that_does_not_even_die_of_that_is_killed() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let keys = "ready=notify\nwatchdog=300ms\nstrikes=1\nstop=TERM 200ms INT 100ms\n";
    place.service("web", &(speaker(&place, "web") + keys));
    let mut going = place.start(&[]);
    tell(&place, "web", "[signal.signal(it, signal.SIG_IGN) for it in (6, 15, 2)]; say('READY=1')");
    going.wait_for("web: hangs, sending SIGABRT to group *");
    going.wait_for("web: still running 300ms after SIGABRT, sending SIGKILL to all of *");
    going.wait_for("web terminated after: * (killed by SIGKILL; gave up after 1 strike)");
    going.stop();
}

#[test]
fn it_says_itself_that_it_hangs_and_how_patient_one_is_to_be() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let keys = "watchdog=1h\nready=notify\nstrikes=1\nlimit-core=0\n";
    for name in ["web", "quick", "plain"] {
        place.service(name, &(speaker(&place, name) + keys));
    }
    place.service(
        "plain",
        &("cmd=".to_owned() + &speaker_again(&place, "plain") + "ready=notify\n"),
    );
    let mut going = place.start(&[]);
    // Before it is up nothing is expected of it.
    tell(&place, "quick", "say('WATCHDOG_USEC=1000'); time.sleep(0.2); say('READY=1')");
    tell(&place, "plain", "say('READY=1\\nWATCHDOG=trigger\\nWATCHDOG_USEC=1000')");
    tell(&place, "web", "say('WATCHDOG=trigger\\nREADY=1')");
    going.wait_all_started(["web", "quick", "plain"]);
    tell(&place, "web", "say('WATCHDOG=trigger')");
    tell(&place, "quick", "say('WATCHDOG_USEC=300000')");
    going.wait_for_all(&["web: hangs, sending SIGABRT *", "quick: hangs, sending SIGABRT *"]);
    // Who has no watchdog has no use for it.
    assert_eq!(going.count("plain: hangs*"), 0);
    going.stop();
}

/// Says that it is well until it is frozen.
pub const WELL: &str = "import threading; well = lambda: [(say('WATCHDOG=1'), time.sleep(0.1)) \
                        for _ in range(9999)]; threading.Thread(target=well, daemon=True).start(); \
                        say('READY=1')";

/// The command alone of a service whose file was written already.
fn speaker_again(place: &Place, name: &str) -> String {
    let text = place.read(&format!("going.d/{name}"));
    text.lines().next().unwrap().trim_start_matches("cmd=").to_owned() + "\n"
}

#[test]
fn who_is_frozen_hangs_and_who_is_told_to_stop_need_not_say_anything() {
    let place = Place::new();
    if !has("python3") {
        return;
    }
    let keys = "ready=notify\nwatchdog=2s\nstrikes=1\n";
    place.service("web", &(speaker(&place, "web") + keys));
    let stop = "stop=TERM 1h\n";
    place.service("slow", &(speaker(&place, "slow") + keys + stop));
    let mut going = place.start(&[]);
    tell(&place, "web", WELL);
    let end = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(3), note('done'), os._exit(0))); say('READY=1')";
    tell(&place, "slow", end);
    let [web, _] = going.wait_all_started(["web", "slow"]);
    Client::connect(&place).order(&["command=stop", "name=slow"]);
    wait_until("its end", || why(&place, "slow").contains("state=down\n"));
    assert_eq!(place.read("slow.notes"), "done\n");
    crate::common::send(web, crate::common::Signal::SIGSTOP);
    wait_until("it to be frozen", || status(web, "State").starts_with('T'));
    going.wait_for("web: hangs, sending SIGABRT to group *");
    // A stopped process is woken, or the signal would wait with it.
    going.wait_for("web terminated after: * (killed by SIGABRT*; gave up after 1 strike)");
    going.stop();
}

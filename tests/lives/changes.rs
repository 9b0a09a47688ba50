//! Services whose own configuration changes.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{Going, Place, Signal, has_root, is_alive, run, wait_until};
use crate::ctl::{ctl, good};

/// A service that says when it is ready, and each time that it is told to reload.
fn told(place: &Place, name: &str, keys: &str) -> String {
    let heard = place.path(&format!("{name}.heard"));
    let script = format!(
        "trap 'echo hup >>{heard}' HUP\ntrap 'echo usr >>{heard}' USR1\necho ready >>{heard}\n\
         while :; do sleep 0.02; done"
    );
    place.logged(name, &script) + keys
}

fn start(place: &Place) -> Going {
    let going = place.start(&[]);
    wait_until("a service that can hear", || place.read("web.heard").starts_with("ready\n"));
    going
}

fn wait_heard(place: &Place, expected: &str) {
    let expected = format!("ready\n{expected}");
    wait_until(&format!("{expected:?}"), || place.read("web.heard") == expected);
}

/// Waits until a later change was seen, so that what was done before it and has not
/// been seen is none.
fn wait_other(place: &Place, going: &mut Going) {
    let number = going.count("other: * changed, *");
    place.write("other.conf", number.to_string());
    going.wait_for("other: */other.conf changed, restarted");
    going.wait_started("other");
}

fn other(place: &Place) {
    place.write("other.conf", "");
    place.service("other", &format!("cmd=sleep 1000\nwatch={}\n", place.path("other.conf")));
}

#[test]
fn each_service_is_told_to_reload_as_it_likes_to_be() {
    let place = Place::new();
    place.service("web", &told(&place, "web", "reload-signal=USR1\n"));
    place.service("deaf", "cmd=sleep 1000\nreload-signal=none\n");
    let mut going = start(&place);
    assert_eq!(good(&place, &["hup", "web"]), "web: told to read its configuration again\n");
    wait_heard(&place, "usr\n");
    let said = ctl(&place, &["hup", "deaf"]);
    assert_eq!((said.code, said.err.contains("reload-signal=none")), (1, true), "{said:?}");
    place.service("web", &told(&place, "web", ""));
    going.wait_for("web: reload-signal changed, applied");
    good(&place, &["hup", "web"]);
    wait_heard(&place, "usr\nhup\n");
    assert_eq!(place.starts("web").len(), 1);
    going.stop();
}

#[test]
fn another_content_is_a_change_and_nothing_else_is() {
    let place = Place::new();
    other(&place);
    let conf = place.path("web.conf");
    place.write("web.conf", "one\n");
    place.service("web", &told(&place, "web", &format!("watch={conf}\non-watch=reload-signal\n")));
    let mut going = start(&place);
    let line = format!("web: {conf} changed, SIGHUP sent");
    // In place.
    fs::write(&conf, "two\n").unwrap();
    going.wait_for(&line);
    wait_heard(&place, "hup\n");
    // As an editor does: another file in its place.
    place.write("web.conf", "three\n");
    going.wait_for(&line);
    // The same again, touched, with other rights, and for a moment not there.
    place.write("web.conf", "three\n");
    fs::write(&conf, "three\n").unwrap();
    run(&["touch", &conf]);
    run(&["chmod", "600", &conf]);
    fs::rename(&conf, place.path("away")).unwrap();
    fs::rename(place.path("away"), &conf).unwrap();
    wait_other(&place, &mut going);
    wait_heard(&place, "hup\nhup\n");
    // Gone, and back.
    fs::remove_file(&conf).unwrap();
    going.wait_for(&line);
    place.write("web.conf", "three\n");
    going.wait_for(&line);
    wait_heard(&place, "hup\nhup\nhup\nhup\n");
    assert_eq!(place.starts("web").len(), 1);
    going.stop();
}

/// As Kubernetes projects a ConfigMap: the file is a link into `..data`, which is a
/// link to a directory with a time in its name, and is replaced at once.
#[test]
fn a_swapped_link_is_a_change_if_its_content_is_another() {
    let place = Place::new();
    other(&place);
    for (directory, text) in [("..1", "one"), ("..2", "two"), ("..3", "two")] {
        place.make_dir(directory);
        place.write(&format!("{directory}/app"), text);
    }
    let swap = |to: &str| {
        symlink(to, place.path("..new")).unwrap();
        fs::rename(place.path("..new"), place.path("..data")).unwrap();
    };
    swap("..1");
    symlink("..data/app", place.path("app")).unwrap();
    let conf = place.path("app");
    place.service("web", &told(&place, "web", &format!("watch={conf}\non-watch=reload-signal\n")));
    let mut going = start(&place);
    swap("..2");
    going.wait_for(&format!("web: {conf} changed, SIGHUP sent"));
    swap("..3");
    fs::remove_dir_all(place.path("..1")).unwrap();
    wait_other(&place, &mut going);
    wait_heard(&place, "hup\n");
    // What is listened to is what it leads to now.
    fs::write(place.path("..2/app"), "nobody reads this").unwrap();
    wait_other(&place, &mut going);
    wait_heard(&place, "hup\n");
    fs::write(place.path("..3/app"), "three").unwrap();
    wait_heard(&place, "hup\nhup\n");
    going.stop();
}

#[test]
fn directories_are_watched_with_all_below_but_what_editors_leave() {
    let place = Place::new();
    other(&place);
    place.make_dir("conf");
    place.write("conf/a", "one");
    place.write("elsewhere", "one");
    symlink("../elsewhere", place.path("conf/link")).unwrap();
    let conf = place.path("conf");
    place.service("web", &told(&place, "web", &format!("watch={conf}\non-watch=reload-signal\n")));
    let mut going = start(&place);
    let line = format!("web: {conf} changed, SIGHUP sent");
    let mut changes = 0;
    let mut expect = |going: &mut Going| {
        going.wait_for(&line);
        changes += 1;
        wait_heard(&place, &"hup\n".repeat(changes));
    };
    fs::write(place.path("conf/b"), "new").unwrap();
    expect(&mut going);
    place.make_dir("conf/more");
    fs::write(place.path("conf/more/c"), "new").unwrap();
    expect(&mut going);
    fs::write(place.path("conf/more/c"), "other").unwrap();
    expect(&mut going);
    fs::write(place.path("elsewhere"), "two").unwrap();
    expect(&mut going);
    fs::rename(place.path("conf/b"), place.path("conf/z")).unwrap();
    expect(&mut going);
    for name in ["conf/.a.swp", "conf/a~", "conf/more/x.bak", "conf/4.tmp"] {
        fs::write(place.path(name), "draft").unwrap();
    }
    wait_other(&place, &mut going);
    // The directory as a whole.
    fs::rename(place.path("conf"), place.path("old")).unwrap();
    expect(&mut going);
    place.make_dir("conf");
    fs::write(place.path("conf/a"), "one").unwrap();
    expect(&mut going);
    going.stop();
}

#[test]
fn a_change_restarts_it_and_releases_it_from_quarantine_but_wakes_nobody() {
    let place = Place::new();
    let conf = place.path("deep/er/web.conf");
    let held = format!("cat {conf} >/dev/null 2>&1 || exit 1\nexec sleep 1000");
    let watch = format!("watch={conf}\n");
    place.service("held", &(place.logged("held", &held) + "backoff=1h\nbackoff-max=1h\n" + &watch));
    place.service("given-up", &(place.logged("given-up", &held) + "strikes=1\n" + &watch));
    place.service("down", &format!("cmd=sleep 1000\n{watch}"));
    place.service("web", &format!("cmd=sleep 1000\n{watch}"));
    let mut going = place.start(&[]);
    let first = going.wait_started("web");
    good(&place, &["stop", "down"]);
    wait_until("two held back", || {
        going.count("held terminated *") + going.count("given-up terminated *") == 2
    });
    // Not even its directories are there yet.
    fs::create_dir(place.path("deep")).unwrap();
    fs::create_dir(place.path("deep/er")).unwrap();
    fs::write(&conf, "now").unwrap();
    going.wait_for_all(&[
        &format!("held: {conf} changed, tried again"),
        &format!("given-up: {conf} changed, tried again"),
        &format!("web: {conf} changed, restarted"),
    ]);
    going.wait_all_started(["held", "given-up", "web"]);
    assert!(!is_alive(first));
    assert_eq!(going.count("down: started *"), 1, "what an operator put down stays down");
    going.stop();
}

#[test]
fn a_change_while_nobody_looked_is_seen_by_the_next_going() {
    let place = Place::new();
    let conf = place.path("web.conf");
    let keys = format!("watch={conf}\non-watch=reload-signal\n");
    place.write("web.conf", "one");
    place.service("web", &told(&place, "web", &keys));
    let mut first = start(&place);
    let kill = |going: &mut Going| {
        going.signal(Signal::SIGKILL);
        assert_eq!(going.wait_exit(), -9);
    };
    kill(&mut first);
    place.write("web.conf", "two");
    let mut second = place.start(&[]);
    second.wait_for(&format!("web: {conf} changed, SIGHUP sent"));
    wait_heard(&place, "hup\n");
    kill(&mut second);
    // Nothing but its time is new.
    place.write("web.conf", "two");
    let mut going = place.start(&[]);
    going.wait_for("took up *");
    place.write("web.conf", "three");
    going.wait_for(&format!("web: {conf} changed, SIGHUP sent"));
    wait_heard(&place, "hup\nhup\n");
    assert_eq!(place.starts("web").len(), 1);
    going.stop();
}

/// The kernel has no more watches for us: that is told, and all else goes on.
#[test]
fn what_cannot_be_watched_is_told() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let conf = place.path("web.conf");
    place.write("web.conf", "one");
    place.service("web", &format!("cmd=sleep 1000\nwatch={conf}\n"));
    // A user namespace of its own has limits of its own (namespaces(7)).
    let limit = "echo 1 >/proc/sys/user/max_inotify_watches && exec \"$@\"";
    let words = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"];
    if !run(&["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh", "true"])
        .status
        .success()
    {
        return println!("skipped: no user namespace with limits of its own");
    }
    let mut going = place.start_under(&words, &[]);
    going.wait_for(
        "web: can't watch *: No space left on device, so a change goes unnoticed; raise \
         fs.inotify.max_user_watches",
    );
    going.wait_started("web");
    going.stop();
}

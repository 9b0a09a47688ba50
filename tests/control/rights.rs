//! Who may do what: everybody may look, the owner of a service may command it,
//! and nobody learns from going what a file says which he may not read.

use crate::client::{Reply, ask, ask_as_nobody};
use crate::common::{Place, has, has_root, wait_until};

fn is_possible() -> bool {
    has_root() && has("setpriv") && has("socat")
}

#[test]
fn others_may_look_and_may_not_command() {
    if !is_possible() {
        return;
    }
    let place = Place::new();
    place.service("web", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    let pid = going.wait_started("web");
    wait_until("it to be up", || ask(&place, &["command=status"]).all("state") == ["up"]);
    let before = ask(&place, &["command=self"]);
    for word in ["status", "events", "self", "ping", "version"] {
        assert_eq!(ask_as_nobody(&place, &[&format!("command={word}")]).result(), "ok", "{word}");
    }
    assert_eq!(ask_as_nobody(&place, &["command=why", "name=web"]).result(), "ok");
    assert_eq!(ask_as_nobody(&place, &["command=status"]).all("pid"), [pid.to_string()]);
    for word in ["start", "stop", "restart", "retry"] {
        let reply = ask_as_nobody(&place, &[&format!("command={word}"), "name=*"]);
        assert_eq!((reply.result(), reply.all("outcome")), ("denied", vec!["denied"]), "{word}");
        assert_eq!(reply.all("state"), ["up"], "{word}");
    }
    let reply = ask_as_nobody(&place, &["command=signal", "signal=KILL", "name=web"]);
    assert_eq!((reply.result(), reply.all("outcome")), ("denied", vec!["denied"]));
    for lines in [
        &["command=enable", "name=web"][..],
        &["command=disable", "name=web"],
        &["command=reload"],
        &["command=reload", "dry-run=yes"],
        &["command=shutdown"],
    ] {
        let reply = ask_as_nobody(&place, lines);
        assert_eq!((reply.result(), reply.blocks.len()), ("denied", 0), "{lines:?}");
    }
    assert!(std::fs::exists(place.path("going.d/web")).unwrap());
    let after = ask(&place, &["command=self"]);
    assert_eq!(before.all("pid"), after.all("pid"));
    assert_eq!(before.end.get("serial"), after.end.get("serial"), "something happened");
    assert_eq!(ask(&place, &["command=status"]).all("pid"), [pid.to_string()]);
    going.stop();
}

#[test]
fn owners_may_command_what_is_theirs() {
    if !is_possible() {
        return;
    }
    let place = Place::new();
    for (name, rest) in [
        ("by-control", "control=daemon nobody"),
        ("by-group", "control=@nogroup"),
        ("by-number", "control=65534"),
        ("by-user", "user=nobody"),
        ("by-user-number", "user=65534\ngroup=65534"),
        ("other-group", "control=@daemon @root"),
        ("other-user", "user=daemon\ncontrol=daemon"),
        // Neither is a group a user, nor a user a group.
        ("root-only", "control=nogroup2 @nobody2 root"),
    ] {
        place.service(name, &format!("cmd=sleep 1000\n{rest}\n"));
    }
    let mut going = place.start(&[]);
    wait_until("all services", || ask(&place, &["command=status"]).all("state") == ["up"; 8]);
    let ours = ["by-control", "by-group", "by-number", "by-user", "by-user-number"];
    for word in ["stop", "start", "restart"] {
        let reply = ask_as_nobody(&place, &[&format!("command={word}"), "name=*"]);
        assert_eq!(reply.result(), "denied");
        assert_eq!(allowed(&reply), ours, "{word}");
        let state = if word == "stop" { "down" } else { "up" };
        wait_until(word, || {
            let reply = ask(&place, &["command=status", "name=by-*"]);
            reply.all("state") == [state; 5]
        });
    }
    for name in ours {
        let name = format!("name={name}");
        let reply = ask_as_nobody(&place, &["command=signal", "signal=CONT", &name]);
        assert_eq!(reply.result(), "ok", "{reply:?}");
        // Commanding it is not setting it aside for ever.
        assert_eq!(ask_as_nobody(&place, &["command=disable", &name]).result(), "denied");
    }
    // Whoever loses the right has lost it.
    place.service("by-control", "cmd=sleep 1000\ncontrol=daemon\n");
    going.wait_for("by-control: control changed, applied");
    let reply = ask_as_nobody(&place, &["command=stop", "name=by-control"]);
    assert_eq!(reply.result(), "denied");
    going.stop();
}

fn allowed(reply: &Reply) -> Vec<&str> {
    let is_done = |it: &&going::protocol::Message| it.get("outcome") != Some("denied");
    reply.blocks.iter().filter(is_done).filter_map(|it| it.get("service")).collect()
}

/// Its file may be readable to root alone, for there are passwords in it.
#[test]
fn others_are_not_told_what_is_in_a_file() {
    if !is_possible() {
        return;
    }
    let place = Place::new();
    let secrets = "env=PASSWORD=SECRET\nstdout=file:/SECRET/out\n";
    place.service("web", "cmd=sh -c 'sleep 1000; : SECRET'\nenv=PASSWORD=SECRET\n");
    place.service("fault", "cmd=/SECRET/program\nbackoff=1h\nbackoff-max=1h\n");
    place.service("stream", &format!("cmd=true\n{secrets}backoff=1h\nbackoff-max=1h\n"));
    place.service("refused", "cmd=true\nSECRET=1\n");
    let mut going = place.start(&[]);
    wait_until("all states", || {
        let reply = ask(&place, &["command=status"]);
        reply.all("state") == ["quarantined", "failed", "quarantined", "up"]
    });
    place.service("web", "cmd=true\nbackoff=SECRET\n");
    going.wait_for("web: new file refused, kept as it was");
    let requests =
        [&["command=status"][..], &["command=why", "name=*"], &["command=events", "since=0"]];
    for lines in requests {
        let (ours, theirs) = (ask(&place, lines), ask_as_nobody(&place, lines));
        assert!(format!("{ours:?}").contains("SECRET"), "{lines:?}");
        for block in &theirs.blocks {
            assert!(!format!("{block:?}").contains("SECRET"), "{lines:?}: {block:?}");
        }
        assert_eq!(theirs.blocks.len(), ours.blocks.len(), "{lines:?}");
        assert_eq!(theirs.all("complaint").len(), ours.all("complaint").len(), "{lines:?}");
    }
    going.stop();
}

//! A command that knows whether a service is ready.

use crate::common::{Place, has_root, is_alive, wait_until};
use crate::why;

#[test]
fn a_command_is_asked_until_it_says_yes_and_then_no_more() {
    let place = Place::new();
    let (go, asked) = (place.path("go"), place.path("asked"));
    place.service(
        "web",
        &format!("cmd=sleep 1000\nready=cmd:sh -c 'echo $GOING_EVENT >>{asked}; test -e {go}'\n"),
    );
    place.service("wrong", "cmd=sleep 1000\nready=cmd:/nonexistent/tool\n");
    let mut going = place.start(&[]);
    going.wait_for("wrong: it is not known if it is ready: Can't execute /nonexistent/tool: *");
    let times = || place.read("asked").lines().count();
    wait_until("two questions", || times() >= 2);
    assert!(why(&place, "web").contains("stage=unready\n"));
    assert_eq!(going.count("web: started*"), 0);
    place.write("go", "");
    going.wait_started("web");
    let count = times();
    // Not as long as another question would take.
    let name = "other";
    place.service(name, "cmd=sleep 1000\nready=uptime\nmin-uptime=2s\n");
    going.wait_started(name);
    assert_eq!(times(), count, "it was asked when it was up");
    assert!(place.read("asked").lines().all(|it| it == "ready"));
    assert_eq!(going.count("wrong: it is not known*"), 1, "that is said once");
    going.stop();
}

#[test]
fn one_that_hangs_is_alone_and_ends_with_the_start() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    place.make_dir("out");
    let out = place.path("out");
    nix::unistd::chown(out.as_str(), Some(54397.into()), Some(54397.into())).unwrap();
    let keys = "user=54397\ngroup=54397\nstart-timeout=3s\nstrikes=1\n";
    let ask = format!("sh -c 'id -u >>{out}/who; echo $$ >>{out}/pids; exec sleep 1000'");
    place.service("web", &format!("cmd=sleep 1000\n{keys}ready=cmd:{ask}\n"));
    let mut going = place.start(&[]);
    going.wait_for("Not ready after 3s (web: start-timeout, line 4)");
    going.wait_for("web terminated after: *gave up after 1 strike)");
    assert_eq!(place.read("out/who"), "54397\n", "one at a time, as the service's user");
    let pid: i32 = place.read("out/pids").trim().parse().unwrap();
    wait_until("its end", || !is_alive(pid));
    going.stop();
}

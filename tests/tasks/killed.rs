//! Going killed while a setup or a finish runs: the next one takes it up, or has
//! another one where it cannot know, and never two at once.

use crate::common::{Going, Place, Signal, is_alive, send, wait_until};
use crate::{saying, story, why};

/// Kills it as the kernel does when there is no memory left.
fn kill(going: &mut Going) {
    going.signal(Signal::SIGKILL);
    assert_eq!(going.wait_exit(), -9);
}

/// A script that notes its pid, and goes on when there is a file.
fn patient(place: &Place, key: &str) -> String {
    let (pids, go) = (place.path(&format!("{key}.pids")), place.path(&format!("{key}.go")));
    saying(place, key, &format!("echo $$ >>{pids}; while [ ! -e {go} ]; do sleep 0.05; done"))
}

fn service(place: &Place) {
    let cmd = saying(place, "cmd", "exec sleep 1000");
    place.service("web", &[patient(place, "setup"), cmd, patient(place, "finish")].concat());
}

#[test]
fn a_setup_is_taken_up_and_the_service_starts_when_it_is_done() {
    let place = Place::new();
    service(&place);
    let mut going = place.start(&[]);
    let setup = place.wait_starts("setup", 1);
    kill(&mut going);
    let mut going = place.start(&[]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    let told = why(&place, "web");
    assert!(told.contains(&format!("stage=setup\npid={setup}\n")), "{told}");
    place.write("setup.go", "");
    going.wait_started("web");
    assert_eq!(story(&place, 2), ["setup", "cmd"]);
    place.write("finish.go", "");
    going.stop();
    assert_eq!(story(&place, 3), ["setup", "cmd", "finish"]);
}

#[test]
fn a_setup_of_which_nobody_knows_how_it_ended_is_run_again() {
    let place = Place::new();
    service(&place);
    let mut going = place.start(&[]);
    let setup = place.wait_starts("setup", 1);
    kill(&mut going);
    place.write("setup.go", "");
    wait_until("its end", || !is_alive(setup));
    let mut going = place.start(&[]);
    going.wait_started("web");
    assert_eq!(story(&place, 3), ["setup", "setup", "cmd"]);
    place.write("finish.go", "");
    going.stop();
}

#[test]
fn a_finish_is_taken_up_and_the_service_comes_back_when_it_is_done() {
    let place = Place::new();
    service(&place);
    place.write("setup.go", "");
    let mut going = place.start(&["-o", "min-uptime=0"]);
    let pid = going.wait_started("web");
    story(&place, 2);
    send(pid, Signal::SIGKILL);
    let finish = place.wait_starts("finish", 1);
    kill(&mut going);
    let mut going = place.start(&["-o", "min-uptime=0"]);
    going.wait_for("took up 1 services, 0 died meanwhile");
    let told = why(&place, "web");
    assert!(told.contains("state=finishing\n"), "{told}");
    assert!(told.contains(&format!("pid={finish}\n")), "{told}");
    place.write("finish.go", "");
    going.wait_started("web");
    assert_eq!(story(&place, 5), ["setup", "cmd", "finish", "setup", "cmd"]);
    going.stop();
}

#[test]
fn one_that_was_to_be_stopped_is_finished_and_stays_down() {
    let place = Place::new();
    service(&place);
    place.write("setup.go", "");
    let mut going = place.start(&[]);
    going.wait_started("web");
    story(&place, 2);
    let mut client = crate::client::Client::connect(&place);
    client.say(&["command=stop", "name=web"]);
    client.reply();
    let finish = place.wait_starts("finish", 1);
    kill(&mut going);
    send(finish, Signal::SIGKILL);
    wait_until("its end", || !is_alive(finish));
    place.write("finish.go", "");
    let mut going = place.start(&[]);
    // Nobody knows what the first one had done by then.
    assert_eq!(story(&place, 4), ["setup", "cmd", "finish", "finish"]);
    let mut client = crate::client::Client::connect(&place);
    client.wait_state("web", "down");
    assert_eq!(going.count("web: started*"), 0);
    going.stop();
}

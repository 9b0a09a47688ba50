//! Restarts of one service after another.

use crate::client::Client;
use crate::common::{Place, is_alive, wait_comm};
use crate::ctl::{ctl, good, json};

/// Three of a kind which do not work while there is a file `broken`.
fn three(place: &Place) {
    let script = format!("test -e {} && exit 3\nexec sleep 1000", place.path("broken"));
    place.service(
        "web@",
        &(place.logged("web", &script) + "instances=3\ntag=web\nbackoff=1h\nbackoff-max=1h\n"),
    );
}

#[test]
fn the_next_one_is_touched_when_the_last_one_is_up() {
    let place = Place::new();
    three(&place);
    let mut going = place.start(&[]);
    let first = going.wait_all_started(["web@1", "web@2", "web@3"]);
    let said = good(&place, &["restart", "--rolling", "@web"]);
    let second = [1, 2, 3].map(|number| {
        going.wait_for(&format!("web@{number}: stopping *"));
        going.wait_started(&format!("web@{number}"))
    });
    let lines = [1, 2, 3].map(|it| format!("web@{it}: up (pid {})\n", second[it - 1]));
    assert_eq!(said, lines.concat());
    assert!(first.iter().all(|it| !is_alive(*it)) && second.iter().all(|it| is_alive(*it)));
    // What somebody put down is not to be renewed.
    good(&place, &["stop", "web@2"]);
    let said = good(&place, &["restart", "--rolling", "web@"]);
    assert!(said.contains("web@2: down, left as it is\nweb@3: up (pid "), "{said}");
    going.stop();
}

#[test]
fn the_first_that_fails_is_the_last_that_is_touched() {
    let place = Place::new();
    three(&place);
    let mut going = place.start(&[]);
    let pids = going.wait_all_started(["web@1", "web@2", "web@3"]);
    // Past the look for the file, each of them.
    pids.iter().for_each(|pid| wait_comm(*pid, "sleep"));
    place.write("broken", "");
    let said = ctl(&place, &["restart", "--rolling", "web@*"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("web@1 is quarantined: exit status 3"), "{said:?}");
    assert!(said.err.ends_with("stopped at web@1; not restarted: web@2 web@3\n"), "{said:?}");
    assert!(!is_alive(pids[0]) && is_alive(pids[1]) && is_alive(pids[2]));
    let answer = json(&place, &["restart", "--rolling", "web@2", "web@3"]);
    assert_eq!(answer["services"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["services"][0]["state"], "quarantined", "{answer}");
    assert!(is_alive(pids[2]));
    let said = ctl(&place, &["restart", "--rolling", "--no-wait", "web@3"]);
    assert_eq!(said.code, 2, "{said:?}");
    let said = ctl(&place, &["restart", "--rolling", "none"]);
    assert_eq!(said.code, 4, "{said:?}");
    Client::connect(&place).wait_state("web@3", "up");
    going.stop();
}

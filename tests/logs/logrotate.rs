//! The example for logrotate(8) in `etc/`, with the real one: nothing is lost over
//! it, and what it keeps is left alone.

use std::fs;

use super::*;
use crate::ctl::{goingctl, good};

/// The example, for the logs and the going of this place.
fn example(place: &Place) -> String {
    let text = fs::read_to_string("etc/logrotate").unwrap();
    let order = format!("{} -r {} reopen-logs", goingctl(), place.path("run"));
    assert!(text.contains("goingctl reopen-logs"), "{text}");
    text.replace("/var/log/going", &place.path("log")).replace("goingctl reopen-logs", &order)
}

#[test]
fn no_line_is_lost_over_logrotate() {
    if !has_root() || !has("logrotate") {
        return;
    }
    let place = Place::new();
    // It takes nothing from files that others can change.
    place.write("logrotate.conf", example(&place));
    fs::set_permissions(place.path("logrotate.conf"), PermissionsExt::from_mode(0o644)).unwrap();
    let script = "i=0; while :; do i=$((i+1)); echo $i; test -e stop && exit; done";
    place.service("a", &format!("cmd=sh -c '{script}'\ncwd={}\nrestart=never\n", place.path("")));
    let mut going = place.start(&[LOGGING, &["-o", "log-size=0"]].concat());
    going.wait_started("a");
    for _ in 0..4 {
        wait_until("some lines", || place.read("log/a.log").lines().count() > 100);
        let (state, config) = (place.path("state"), place.path("logrotate.conf"));
        let rotated = run(&["logrotate", "--force", "-s", &state, &config]);
        assert!(rotated.status.success() && rotated.stderr.is_empty(), "{rotated:?}");
        wait_until("a new file", || place.dir.join("log/a.log").exists());
    }
    place.write("stop", "");
    wait_until("the end", || marks_end(&place, "a"));
    let found = lines(&place, "a");
    assert!(found.len() > 400);
    assert_counts(&found, found.len());
    let names = ["a.log", "a.log.1", "a.log.2.gz", "a.log.3.gz", "a.log.4.gz"];
    let there: Vec<_> = files(&place, "a").into_iter().rev().collect();
    assert_eq!(there, names.map(|name| place.dir.join("log").join(name)));
    // goingctl reads all of it as well.
    let shown = good(&place, &["log", "a", "-n", "all", "-g", "^[0-9]+$"]);
    assert_eq!(shown.lines().count(), found.len());
    going.stop();
}

//! What was written: which lines are shown, and how.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::client::{Terminal, ctl, goingctl, good};
use crate::common::{Place, has, has_root, run, wait_until};
use crate::logs::{Follower, lines, pack, place, time, words};

/// Runs `goingctl log` there.
fn log(place: &Place, args: &[&str]) -> String {
    good(place, &words(place, args))
}

fn rotated() -> Place {
    let place = place();
    place.write("log/web.log", lines("web", 30..40));
    place.write("log/web.log.1", lines("web", 20..30));
    place.write("log/web.log.2", lines("web", 10..20));
    place.write("log/web.log.3", lines("web", 0..10));
    pack(Path::new(&place.path("log/web.log.2")));
    pack(Path::new(&place.path("log/web.log.3")));
    place
}

#[test]
fn last_lines_are_shown_over_all_backups() {
    let place = rotated();
    assert_eq!(log(&place, &["web"]), lines("web", 20..40));
    assert_eq!(log(&place, &["web", "-n", "3"]), lines("web", 37..40));
    assert_eq!(log(&place, &["web", "-n", "25"]), lines("web", 15..40));
    assert_eq!(log(&place, &["web", "-n", "all"]), lines("web", 0..40));
    assert_eq!(log(&place, &["web", "-n", "0"]), "");
    for wrong in ["-1", "x", ""] {
        assert_eq!(ctl(&place, &words(&place, &["web", "-n", wrong])).code, 2);
    }
}

#[test]
fn what_is_old_or_does_not_match_is_left_out() {
    let place = rotated();
    assert_eq!(log(&place, &["web", "--since", &time(18)]), lines("web", 18..40));
    assert_eq!(log(&place, &["web", "--since", &time(18), "-n", "2"]), lines("web", 38..40));
    assert_eq!(log(&place, &["web", "--since", &time(99)]), "");
    assert_eq!(log(&place, &["web", "--grep", "web 1[89]"]), lines("web", 18..20));
    assert_eq!(log(&place, &["web", "-g", "WEB .*5", "-i", "-n", "1"]), lines("web", 35..36));
    assert_eq!(log(&place, &["web", "-g", "T10"]), "", "times are no text");
    let said = ctl(&place, &words(&place, &["web", "--since", "soon"]));
    assert!(said.code == 2 && said.err.contains("14:30"), "{said:?}");
    let said = ctl(&place, &words(&place, &["web", "--grep", "("]));
    assert!(said.code == 2 && said.err.contains("--grep is no pattern"), "{said:?}");
}

#[test]
fn several_logs_are_shown_by_time() {
    let place = place();
    place.write("log/web.log", lines("web", 1..4));
    place.write("log/database.log", lines("database", 2..3) + "  and more\n");
    place.write("log/web+stderr.log", lines("oops", 3..4));
    let expected = format!(
        "web        | {} web 1\n\
         database   | {} database 2\n\
         database   |   and more\n\
         web        | {} web 2\n\
         web        | {} web 3\n\
         web+stderr | {} oops 3\n",
        time(1),
        time(2),
        time(2),
        time(3),
        time(3),
    );
    assert_eq!(log(&place, &["database", "web"]), expected);
    assert_eq!(log(&place, &["*"]), expected);
    assert_eq!(log(&place, &["web", "--stderr"]), lines("oops", 3..4));
    assert_eq!(log(&place, &["web", "--stdout"]), lines("web", 1..4));
    let said = ctl(&place, &words(&place, &["database", "--stderr"]));
    assert!(said.code == 1 && said.err.contains("no file of its own"), "{said:?}");
    let colored = log(&place, &["*", "--color", "always", "-n", "1"]);
    assert!(colored.contains("\x1b[36mdatabase   | \x1b[0m  and more\n"), "{colored:?}");
}

#[test]
fn names_are_those_of_the_logs_that_are_there() {
    let place = rotated();
    place.write("log/gone.log.1", lines("gone", 0..1));
    assert_eq!(log(&place, &["gone"]), lines("gone", 0..1));
    let said = ctl(&place, &words(&place, &["wbe"]));
    assert!(said.code == 4 && said.err.contains("did you mean \"web\"?"), "{said:?}");
    let said = ctl(&place, &words(&place, &["@front"]));
    assert!(said.code == 2 && said.err.contains("only a running going knows"), "{said:?}");
    let said = ctl(&place, &["log", "web"]);
    assert!(said.code == 4 && said.err.contains("no going here"), "{said:?}");
}

/// Root needs no -l to read the logs of a going that does not run, and neither
/// does a user: they are where that going keeps them.
#[test]
fn logs_are_found_without_any_going() {
    if !has_root() {
        return;
    }
    let place = place();
    fs::set_permissions(&place.dir, Permissions::from_mode(0o777)).unwrap();
    fs::create_dir_all(place.path(".local/state/going/log")).unwrap();
    place.write(".local/state/going/log/web.log", "mine\n");
    let line = format!("cd /; exec {} log web", copy(&place));
    let said = as_nobody(&place, &line);
    assert_eq!(said, (0, "mine\n".to_owned(), String::new()));
}

/// A goingctl which every user may run.
fn copy(place: &Place) -> String {
    let path = place.path("goingctl");
    assert!(run(&["install", "-m", "755", &goingctl(), &path]).status.success());
    path
}

fn as_nobody(place: &Place, line: &str) -> (i32, String, String) {
    let home = format!("HOME={}", place.dir.display());
    let runtime = format!("XDG_RUNTIME_DIR={}", place.dir.display());
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let words = ["env", "-u", "XDG_STATE_HOME", &home, &runtime];
    let output = run(&[&words, &user[..], &["sh", "-c", line]].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn whoever_may_not_read_is_told_who_may() {
    if !has_root() {
        return;
    }
    let place = rotated();
    fs::set_permissions(place.path("log/web.log"), Permissions::from_mode(0o640)).unwrap();
    let line = format!("exec {} log -l {} web", copy(&place), place.path("log"));
    let (code, out, err) = as_nobody(&place, &line);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("web.log: Permission denied"), "{err}");
    assert!(err.contains("it belongs to root:root, mode 0640"), "{err}");
    assert!(err.contains("ask as root, or as a member of the group root"), "{err}");
    fs::set_permissions(place.path("log"), Permissions::from_mode(0o700)).unwrap();
    let (code, _, err) = as_nobody(&place, &line);
    assert_eq!(code, 1);
    assert!(err.contains("mode 0700; ask as root\n"), "{err}");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let place = place();
    assert!(run(&["mkfifo", &place.path("log/web.log")]).status.success());
    let said = ctl(&place, &words(&place, &["web"]));
    assert_eq!((said.code, said.out.as_str()), (4, ""), "{said:?}");
    let said = ctl(&place, &["log", "-l", "/no/such/place", "web"]);
    assert!(said.code == 1 && said.err.contains("can't read /no/such/place"), "{said:?}");
}

#[test]
fn broken_backups_are_told_and_the_rest_is_shown() {
    let place = rotated();
    let file = place.path("log/web.log.3.gz");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, bytes.get(..bytes.len() / 2).unwrap()).unwrap();
    for count in ["all", "35"] {
        let said = ctl(&place, &words(&place, &["web", "-n", count]));
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.ends_with(&lines("web", 10..40)), "{said:?}");
        assert!(said.err.contains("can't read") && said.err.contains("web.log.3.gz"), "{said:?}");
    }
}

#[test]
fn bytes_are_raw_in_a_pipe_and_safe_on_a_terminal() {
    if !has("script") {
        return;
    }
    let place = place();
    let text = "\x1b[2Jgone \x1b[31mred\x07 ünï\r\nno end";
    place.write("log/web.log", text);
    assert_eq!(log(&place, &["web"]), text);
    let folder = place.path("log");
    let mut terminal = Terminal::new(&place, &["log", "-l", &folder, "web"]);
    assert_eq!(terminal.wait_exit(), 0);
    let shown = terminal.shown();
    assert!(shown.contains("^[[2Jgone \x1b[31mred^G ünï\x1b[0m\r\nno end\r\n"), "{shown:?}");
    let mut terminal = Terminal::new(&place, &["log", "-l", &folder, "web", "--color", "never"]);
    assert_eq!(terminal.wait_exit(), 0);
    let shown = terminal.shown();
    assert!(shown.contains("^[[2Jgone red^G ünï\r\nno end\r\n"), "{shown:?}");
}

#[test]
fn json_is_an_object_a_line() {
    let place = place();
    place.write("log/web.log", lines("web", 7..8) + "no \"time\"\n");
    let text = log(&place, &["web", "--json"]);
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        serde_json::json!({
            "service": "web", "stream": "stdout", "time": time(7), "text": "web 7",
        }),
        serde_json::json!({
            "service": "web", "stream": "stdout", "time": null, "text": "no \"time\"",
        }),
    ];
    assert_eq!(objects, expected);
}

/// However large the log is, packed or not, what we need is the same.
#[test]
fn large_logs_need_no_more_memory() {
    let place = place();
    let line = format!("{}\n", "x".repeat(99));
    let text = line.repeat(100_000);
    place.write("log/web.log.1", &text);
    pack(Path::new(&place.path("log/web.log.1")));
    place.write("log/web.log", &text);
    let follow = |count: &str| {
        let follower = Follower::new(&place, &words(&place, &["web", "-f", "-n", count]));
        let size = |count: usize| u64::try_from(count * line.len()).unwrap();
        let expected = size(count.parse().unwrap());
        let is_there = || fs::metadata(place.path("out")).unwrap().len() == expected;
        wait_until("all of it", is_there);
        let status = fs::read_to_string(format!("/proc/{}/status", follower.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (small, large) = (follow("10"), follow("150000"));
    assert!(large < small + 1024, "{small} kB for few lines, {large} kB for many");
}

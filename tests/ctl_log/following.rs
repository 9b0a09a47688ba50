//! What is being written: nothing is lost or doubled, whatever happens to files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::common::{Place, send, wait_until};
use crate::logs::{Follower, Writer, lines, pack, place, read_one_line, words};

#[test]
fn new_lines_are_shown_as_they_come() {
    let place = place();
    let mut writer = Writer::new(&place, 3);
    writer.write("1\n2\n3\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f", "-n", "2"]));
    follower.wait_out("2\n3\n");
    writer.write("4\n");
    follower.wait_out("2\n3\n4\n");
    // A question has no line end.
    writer.write("who? ");
    follower.wait_out("2\n3\n4\nwho? ");
    writer.write("me\n");
    follower.wait_out("2\n3\n4\nwho? me\n");
    assert_eq!(follower.err(), "");
}

#[test]
fn lines_of_several_logs_are_not_mixed() {
    let place = place();
    place.write("log/db.log", "");
    let mut writer = Writer::new(&place, 3);
    let follower = Follower::new(&place, &words(&place, &["*", "-f"]));
    follower.wait_idle();
    writer.write("be");
    fs::write(place.path("log/db.log"), "db\n").unwrap();
    follower.wait_out("db  | db\n");
    writer.write("gun\n");
    follower.wait_out("db  | db\nweb | begun\n");
}

#[test]
fn what_matches_is_shown_when_it_comes() {
    let place = place();
    let mut writer = Writer::new(&place, 3);
    writer.write("a 1\nb 1\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f", "-g", "^a"]));
    follower.wait_out("a 1\n");
    writer.write("b 2\na");
    writer.write(" 2\n");
    follower.wait_out("a 1\na 2\n");
}

/// Rotations by the dozen while nobody looks: the reader stands still.
#[test]
fn rotations_are_followed_however_many_there_were() {
    let place = place();
    let mut writer = Writer::new(&place, 30);
    writer.write(&lines("web", 0..10));
    let follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_end(&lines("web", 9..10));
    for is_packed in [false, true] {
        let start = if is_packed { 40 } else { 10 };
        follower.wait_idle();
        send(follower.pid(), Signal::SIGSTOP);
        for number in start..start + 30 {
            writer.write(&lines("web", number..number + 1));
            if number % 5 == 0 {
                writer.rename();
                writer.reopen();
                if is_packed {
                    // The one that is being read among them.
                    writer.pack(1);
                }
            }
        }
        send(follower.pid(), Signal::SIGCONT);
        follower.wait_out(&lines("web", 0..start + 30));
    }
    assert_eq!(follower.err(), "");
}

/// As logrotate(8) does it: the old file is written to for a while after it was
/// renamed, and after the new one was made.
#[test]
fn writers_may_be_slow_to_reopen() {
    let place = place();
    let mut writer = Writer::new(&place, 3);
    fs::write(place.path("log/bell.log"), "").unwrap();
    let follower = Follower::new(&place, &words(&place, &["*", "-f"]));
    let mut shown = String::new();
    let mut wait = |line: &str| {
        shown.push_str(line);
        follower.wait_out(&shown);
    };
    writer.write("1\n");
    wait("web  | 1\n");
    writer.rename();
    writer.write("2\n");
    wait("web  | 2\n");
    fs::write(place.path("log/web.log"), "").unwrap();
    // When it has seen this, it has seen that, too.
    fs::write(place.path("log/bell.log"), "ding\n").unwrap();
    wait("bell | ding\n");
    writer.write("3\n");
    wait("web  | 3\n");
    writer.reopen();
    writer.write("4\n");
    wait("web  | 4\n");
    // By now it is the new one that is followed.
    writer.rename();
    writer.reopen();
    writer.write("5\n");
    wait("web  | 5\n");
}

/// Written, rotated and packed as fast as can be, while it is read.
#[test]
fn no_line_is_lost_or_doubled_in_a_hurry() {
    let place = place();
    let mut writer = Writer::new(&place, 1000);
    let follower = Follower::new(&place, &words(&place, &["web", "-f", "-n", "all"]));
    let mut expected = String::new();
    let mut number = 0;
    for round in 0..400 {
        // Some files have one line and some have fifty.
        for _ in 0..round * 7 % 50 + 1 {
            let line = format!("line {number}\n");
            writer.write(&line);
            expected.push_str(&line);
            number += 1;
        }
        writer.rename();
        writer.reopen();
        if round % 3 > 0 {
            writer.pack(2);
        }
    }
    writer.write("end\n");
    expected.push_str("end\n");
    follower.wait_end("end\n");
    let shown = follower.out();
    let first = shown.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(shown == expected, "{} bytes of {}: {first:?}", shown.len(), expected.len());
    assert_eq!(follower.err(), "");
}

#[test]
fn logs_may_come_later_and_go_and_come_back() {
    let place = place();
    let log = place.path("log/web.log");
    fs::write(place.path("log/web.log.1"), "old\n").unwrap();
    let follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_out("old\n");
    follower.wait_idle();
    fs::write(&log, "new\n").unwrap();
    follower.wait_out("old\nnew\n");
    // Removed, and made anew: what is older was shown already.
    fs::remove_file(&log).unwrap();
    fs::write(&log, "newer\n").unwrap();
    follower.wait_out("old\nnew\nnewer\n");
    // The directory, too.
    fs::rename(place.path("log"), place.path("away")).unwrap();
    fs::create_dir(place.path("log")).unwrap();
    fs::write(&log, "newest\n").unwrap();
    follower.wait_out("old\nnew\nnewer\nnewest\n");
}

#[test]
fn emptied_logs_are_read_from_their_beginning() {
    let place = place();
    let mut writer = Writer::new(&place, 3);
    writer.write("1\n2\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_out("1\n2\n");
    writer.clear();
    writer.write("3\n");
    follower.wait_out("1\n2\n3\n");
    assert!(follower.err().contains("web.log was emptied"), "{}", follower.err());
    // It grows beyond where it was before anybody looks.
    follower.wait_idle();
    send(follower.pid(), Signal::SIGSTOP);
    writer.clear();
    writer.write("a\nb\nc\nd\n");
    send(follower.pid(), Signal::SIGCONT);
    follower.wait_out("1\n2\n3\na\nb\nc\nd\n");
}

/// Of a log of which nothing was read there is nothing to compare.
#[test]
fn logs_can_be_emptied_before_anything_was_read() {
    let place = place();
    let mut writer = Writer::new(&place, 3);
    writer.write("1\n2\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f", "-n", "0"]));
    follower.wait_idle();
    writer.clear();
    writer.write("3\n");
    follower.wait_out("3\n");
}

#[test]
fn what_was_removed_before_it_was_read_is_said_to_be_lost() {
    let place = place();
    let mut writer = Writer::new(&place, 2);
    writer.write("0\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_out("0\n");
    follower.wait_idle();
    send(follower.pid(), Signal::SIGSTOP);
    for number in 1..10 {
        writer.rename();
        writer.reopen();
        writer.write(&format!("{number}\n"));
    }
    send(follower.pid(), Signal::SIGCONT);
    follower.wait_out("0\n7\n8\n9\n");
    assert!(follower.err().contains("lines may be missing"), "{}", follower.err());
}

#[test]
fn followers_end_when_nobody_listens() {
    let place = place();
    place.write("log/web.log", "1\n2\n");
    // Nothing is written any more that could fail.
    assert_eq!(read_one_line(&place, &words(&place, &["web", "-f"])), 0);
    place.write("log/web.log.1", "x\n".repeat(1_000_000));
    assert_eq!(read_one_line(&place, &words(&place, &["web", "-n", "all"])), 0);
}

#[test]
fn interrupts_end_a_follower_as_they_end_any_program() {
    let place = place();
    place.write("log/web.log", "1\n");
    let mut follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_out("1\n");
    send(follower.pid(), Signal::SIGINT);
    assert_eq!(follower.wait_exit(), -2);
}

/// A backup that is packed while it is read is read to its end all the same.
#[test]
fn files_are_the_same_whatever_they_are_called() {
    let place = place();
    let mut writer = Writer::new(&place, 5);
    writer.write("1\n");
    let follower = Follower::new(&place, &words(&place, &["web", "-f"]));
    follower.wait_out("1\n");
    writer.rename();
    writer.write("2\n");
    follower.wait_out("1\n2\n");
    pack(std::path::Path::new(&place.path("log/web.log.1")));
    writer.reopen();
    writer.write("3\n");
    follower.wait_out("1\n2\n3\n");
}

/// What a pattern means is asked again when a log is opened that was not there.
#[test]
fn services_that_come_later_are_shown() {
    let place = place();
    place.write("log/web.log", "1\n");
    // As old as it is long: of what has no time, the last lines are shown.
    place.write("log/wan.log.1", "far too old\n");
    let follower = Follower::new(&place, &words(&place, &["w*", "-f", "-n", "1"]));
    follower.wait_out("wan | far too old\nweb | 1\n");
    follower.wait_idle();
    fs::write(place.path("log/other.log"), "nobody asked\n").unwrap();
    fs::write(place.path("log/wide.log"), "a\nb\nc\n").unwrap();
    follower.wait_end("wide | a\nwide | b\nwide | c\n");
    fs::write(place.path("log/wan.log"), "here\n").unwrap();
    follower.wait_end("wan  | here\n");
    let mut writer = Writer::new(&place, 3);
    writer.write("2\n");
    follower.wait_end("web  | 2\n");
    assert_eq!(follower.out().lines().count(), 7);
    assert_eq!(follower.err(), "");
}

/// A log may have been there before its service was asked for.
#[test]
fn of_a_log_that_comes_back_what_is_new_is_shown() {
    let place = Place::new();
    place.make_dir("log");
    fs::set_permissions(place.path("log"), fs::Permissions::from_mode(0o755)).unwrap();
    place.service("web", "cmd=sh -c 'echo web; exec sleep 1000'\ntag=back\n");
    place.write("log/db.log", "2020-01-01T10:00:00.000Z old\n".repeat(100));
    let mut going = place.start(&["-o", "stdout=log"]);
    going.wait_started("web");
    wait_until("its line", || place.read("log/web.log").ends_with("web\n"));
    let follower = Follower::new(&place, &["log", "-f", "@back"]);
    follower.wait_end("Z web\n");
    follower.wait_idle();
    place.service("db", "cmd=sh -c 'seq 30; exec sleep 1000'\ntag=back\n");
    place.service("mail", "cmd=sh -c 'echo mail; exec sleep 1000'\n");
    follower.wait_end("Z 30\n");
    let shown = follower.out();
    let lines = shown.lines().filter(|it| it.starts_with("db  | "));
    // One of them tells of its start.
    assert_eq!(lines.count(), 31, "{shown}");
    assert!(!shown.contains("mail"), "{shown}");
    assert_eq!(follower.err(), "");
    going.stop();
}

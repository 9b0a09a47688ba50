//! What becomes of lines on their way to a log.

use nix::sys::signal::Signal;

use super::bench::{Pipe, Place, wait_until, with};

#[test]
fn output_is_in_the_log() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    assert!(logger.take(&pipe, &with(&[])));
    pipe.write("one\ntwo");
    place.wait_log("web.log", "one\ntwo");
    pipe.write("\nthree");
    pipe.close();
    logger.wait_done(&pipe);
    place.wait_log("web.log", "one\ntwo\nthree\n");
    logger.stop();
}

/// Lines without the time before them, which must be one.
#[track_caller]
pub fn unstamped(text: &str) -> Vec<String> {
    let unstamp = |line: &str| {
        let (stamp, rest) = line.split_at_checked(25).unwrap_or_else(|| panic!("no stamp: {line}"));
        let form = "0000-00-00T00:00:00.000Z ";
        let is_stamp = stamp.chars().zip(form.chars()).all(|(letter, form)| {
            if form == '0' { letter.is_ascii_digit() } else { letter == form }
        });
        assert!(is_stamp, "{line}");
        rest.to_owned()
    };
    text.lines().map(unstamp).collect()
}

#[test]
fn each_line_has_its_time() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    pipe.write("one\n\ntwo");
    wait_until("two", || place.read("web.log").ends_with("two"));
    pipe.write(" and more\n");
    pipe.close();
    logger.wait_done(&pipe);
    assert_eq!(unstamped(&place.read("web.log")), ["one", "", "two and more"]);
}

#[test]
fn marks_come_after_what_was_written_before() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    logger.mark(&pipe, "started (pid 7)");
    wait_until("the mark", || place.read("web.log").ends_with("(pid 7)\n"));
    pipe.write("half");
    logger.mark(&pipe, "exited with 3");
    // Somebody is in the middle of a line, and what is said waits for its end.
    pipe.write("rest\n");
    wait_until("the mark", || place.read("web.log").ends_with("with 3\n"));
    pipe.close();
    logger.wait_done(&pipe);
    // It is over, but its end is told only now.
    logger.mark(&pipe, "too late");
    wait_until("the mark", || place.read("web.log").ends_with("too late\n"));
    let lines = unstamped(&place.read("web.log"));
    assert_eq!(lines, ["--- started (pid 7)", "halfrest", "--- exited with 3", "--- too late"]);
    logger.stop();
}

#[test]
fn two_streams_of_one_log_do_not_mix_lines() {
    let (place, mut old, mut new) = (Place::new(), Pipe::new(), Pipe::new());
    let logger = place.start();
    logger.take(&old, &with(&[]));
    logger.take(&new, &with(&[]));
    old.write("old, ");
    place.wait_log("web.log", "old, ");
    new.write("new, ");
    place.wait_log("web.log", "old, \nnew, ");
    logger.kill();
    let logger = place.start();
    logger.take(&old, &with(&[]));
    logger.take(&new, &with(&[]));
    new.write("still new\n");
    place.wait_log("web.log", "old, \nnew, still new\n");
    old.write("still old");
    place.wait_log("web.log", "old, \nnew, still new\nstill old");
    new.close();
    logger.wait_done(&new);
    old.close();
    logger.wait_done(&old);
    place.wait_log("web.log", "old, \nnew, still new\nstill old\n");
}

#[test]
fn an_open_line_goes_on_after_a_death_without_another_time() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    pipe.write("half, ");
    wait_until("half", || place.read("web.log").ends_with("half, "));
    logger.kill();
    let logger = place.start();
    logger.take(&pipe, &with(&["timestamps=utc"]));
    pipe.write("whole\n");
    wait_until("whole", || place.read("web.log").ends_with("whole\n"));
    assert_eq!(unstamped(&place.read("web.log")), ["half, whole"]);
    logger.stop();
}

#[test]
fn stderr_apart_has_its_own_log() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["stream=stderr", "strip-ansi=yes"]));
    pipe.write("\x1b[1mbad\x1b");
    place.wait_log("web+stderr.log", "bad");
    pipe.write("[0m thing\n");
    pipe.close();
    logger.wait_done(&pipe);
    assert_eq!(place.read("web+stderr.log"), "bad thing\n");
    assert_eq!(place.names(), ["web+stderr.log"]);
}

#[test]
fn too_many_lines_are_counted() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&["rate=3/300", "timestamps=utc"]));
    pipe.write("1\n2\n3\n4\n5\nsi");
    wait_until("3", || place.read("web.log").ends_with("3\n"));
    pipe.write("x\n");
    // The period ends, and nobody writes any more.
    wait_until("the count", || place.read("web.log").ends_with("300 ms\n"));
    pipe.write("7\n");
    pipe.close();
    logger.wait_done(&pipe);
    let lines = unstamped(&place.read("web.log"));
    let count = "--- 3 lines (8 bytes) were not written: more than 3 lines in 300 ms";
    assert_eq!(lines, ["1", "2", "3", count, "7"]);
}

#[test]
fn what_is_in_the_pipes_is_written_before_the_end() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&[]));
    let text = "text\n".repeat(12_000);
    pipe.write(&text);
    logger.stop();
    assert_eq!(place.read("web.log"), text);
}

#[test]
fn a_new_going_is_heard_and_the_old_one_not_missed() {
    let (place, mut pipe) = (Place::new(), Pipe::new());
    let mut logger = place.start();
    logger.take(&pipe, &with(&[]));
    logger.going = None;
    pipe.write("while nobody was there\n");
    place.wait_log("web.log", "while nobody was there\n");
    logger.going = Some(place.connect());
    assert_eq!(logger.next().get("pid"), Some(logger.pid().to_string().as_str()));
    // It does not know what we know, and hands over everything again.
    assert!(logger.take(&pipe, &with(&["timestamps=utc"])));
    pipe.write("again\n");
    wait_until("again", || place.read("web.log").ends_with("Z again\n"));
    pipe.close();
    logger.wait_done(&pipe);
    logger.stop();
}

#[test]
fn settings_change_while_it_runs() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&[]));
    pipe.write("one\n");
    place.wait_log("web.log", "one\n");
    logger.set(&pipe, &with(&["size=1024", "keep=1"]));
    for _ in 0..3 {
        pipe.write(format!("{}\n", "x".repeat(999)));
    }
    wait_until("a rotation", || place.names() == ["web.log", "web.log.1"]);
    wait_until("the last line", || place.read("web.log").len() == 1000);
    assert_eq!(place.read("web.log.1").len(), 1000);
}

#[test]
fn strange_messages_are_refused_and_harm_nobody() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    let other = Pipe::new();
    assert!(logger.send("no message", &[]));
    assert!(logger.send("do=dance\n\n", &[]));
    assert!(logger.send(&"x".repeat(10_000), &[]));
    assert!(logger.send(&format!("do=take\nid=1\n{}\n", with(&[])), &[&pipe.read]));
    assert!(logger.send(&format!("do=take\nid={}\n{}\n", pipe.id(), with(&[])), &[]));
    let both = [&pipe.read, &other.read];
    assert!(logger.send(&format!("do=take\nid={}\n{}\n", pipe.id(), with(&[])), &both));
    let evil = with(&["name=../../etc/passwd"]);
    assert!(logger.take(&pipe, &evil));
    assert!(logger.send("do=mark\nid=1\ntext=x\n\n", &[]));
    for _ in 0..8 {
        assert!(logger.wait_for("report").starts_with("refused a message: "));
    }
    assert!(logger.send("do=clear\nname=../x\n\n", &[]));
    assert_eq!(logger.wait_for("failed"), "clear");
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", logger.pid())).unwrap().count();
    let before = fds();
    assert!(logger.take(&pipe, &evil));
    logger.wait_for("report");
    assert_eq!(fds(), before, "a descriptor was kept");
    assert!(logger.take(&pipe, &with(&[])));
    pipe.write("fine\n");
    place.wait_log("web.log", "fine\n");
    logger.stop();
}

#[test]
fn two_of_them_do_not_share_a_journal() {
    let place = Place::new();
    let logger = place.start();
    let mut second = place.command();
    second.arg("--socket").arg(place.dir.join("other"));
    assert_eq!(second.output().unwrap().status.code(), Some(75));
    logger.stop();
}

#[test]
fn everything_is_opened_anew_on_hangup() {
    let (place, pipe) = (Place::new(), Pipe::new());
    let logger = place.start();
    logger.take(&pipe, &with(&[]));
    pipe.write("one\ntw");
    place.wait_log("web.log", "one\ntw");
    std::fs::rename(place.log("web.log"), place.log("old")).unwrap();
    logger.signal(Signal::SIGHUP);
    pipe.write("o\n");
    place.wait_log("old", "one\ntwo\n");
    pipe.write("three\n");
    place.wait_log("web.log", "three\n");
    assert!(logger.send("do=reopen\n\n", &[]));
    std::fs::remove_file(place.log("web.log")).unwrap();
    pipe.write("four\n");
    place.wait_log("web.log", "four\n");
}

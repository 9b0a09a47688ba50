//! Lines that go to a console or to the system's log.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use super::bench::{Logger, Pipe, Place, program, wait_until, with};

#[test]
fn whole_lines_go_to_the_console_with_their_name() {
    let (place, mut web, mut db) = (Place::new(), Pipe::new(), Pipe::new());
    let mut child = place.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let logger = place.meet(child);
    logger.take(&web, &with(&["to=console"]));
    logger.take(&db, &with(&["to=console", "name=db", "strip-ansi=yes"]));
    web.write("one\nha");
    db.write("\x1b[1mother\x1b[0m\n");
    let mut text = vec![0; "web: one\ndb: other\n".len()];
    stdout.read_exact(&mut text).unwrap();
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    lines.sort();
    assert_eq!(lines, [&b""[..], b"db: other", b"web: one"]);
    logger.mark(&db, "exited");
    let mut mark = [0; 15];
    stdout.read_exact(&mut mark).unwrap();
    assert_eq!(mark, *b"db: --- exited\n");
    db.write("last, without an end");
    db.close();
    logger.wait_done(&db);
    web.write("lf\n");
    web.close();
    logger.wait_done(&web);
    logger.stop();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text, "db: last, without an end\nweb: half\n");
    assert_eq!(place.names(), Vec::<String>::new());
}

#[test]
fn a_stuck_console_keeps_nobody_else_waiting() {
    let (place, mut web, db) = (Place::new(), Pipe::new(), Pipe::new());
    let mut child = place.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let logger = place.meet(child);
    logger.take(&web, &with(&["to=console"]));
    logger.take(&db, &with(&["name=db"]));
    // More than both pipes hold, from somebody who waits.
    let mut write = web.write.take().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        (0..20_000).for_each(|number| writeln!(write, "{number}").unwrap());
    });
    db.write("not stuck\n");
    place.wait_log("db.log", "not stuck\n");
    let times = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", logger.pid())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = times();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(times() - before < 5, "it waits by trying all the time");
    let mut text = vec![0; 1];
    stdout.read_exact(&mut text).unwrap();
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    });
    writer.join().unwrap();
    logger.wait_done(&web);
    logger.stop();
    let text = String::from_utf8(text).unwrap() + &reader.join().unwrap();
    let expected: String = (0..20_000).map(|number| format!("web: {number}\n")).collect();
    assert!(text == expected);
}

#[test]
fn long_lines_reach_the_console_whole() {
    let (place, mut web) = (Place::new(), Pipe::new());
    let mut child = place.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let logger = place.meet(child);
    logger.take(&web, &with(&["to=console"]));
    let mut write = web.write.take().unwrap();
    let (line, most) = ("x".repeat(50_000), "y".repeat(65_536));
    let much = format!("{most}{most}{most}end");
    let expected = format!("web: {line}\n").repeat(3)
        + &format!("web: {most}\n")
        + &format!("web: {most}\\\n").repeat(3)
        + "web: end\n";
    std::thread::spawn(move || {
        use std::io::Write;
        (0..3).for_each(|_| writeln!(write, "{line}").unwrap());
        writeln!(write, "{most}\n{much}").unwrap();
    });
    let mut text = vec![0; expected.len()];
    stdout.read_exact(&mut text).unwrap();
    assert!(text == expected.as_bytes());
    logger.wait_done(&web);
    logger.stop();
}

#[test]
fn syslog_gets_a_datagram_a_line() {
    let (place, mut web) = (Place::new(), Pipe::new());
    // /dev/log is that of the machine; ours is in a namespace of our own.
    let dev = place.dir.join("dev");
    fs::create_dir(&dev).unwrap();
    let script =
        "mount --bind \"$0\" /dev && exec \"$1\" -l \"$2\" --socket \"$3\" --journal \"$4\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(&dev).arg(program()).arg(place.log_dir());
    command.arg(place.dir.join("socket")).arg(place.dir.join("journal"));
    let has_rights = Command::new("unshare").args(["-m", "true"]).status();
    if !has_rights.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs root and unshare");
        assert!(std::env::var_os("CI").is_none(), "nothing may be skipped in CI");
        return;
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let logger = place.meet(child);
    logger.take(&web, &with(&["to=syslog", "stream=stderr"]));
    web.write("nobody hears\nthis\n");
    let is_empty = || {
        nix::poll::poll(
            &mut [nix::poll::PollFd::new(
                std::os::fd::AsFd::as_fd(&web.read),
                nix::poll::PollFlags::POLLIN,
            )],
            nix::poll::PollTimeout::ZERO,
        ) == Ok(0)
    };
    wait_until("the pipe to be read", is_empty);
    let socket = UnixDatagram::bind(dev.join("log")).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let receive = || {
        let mut bytes = [0; 10_000];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    // It is tried again now and then, and what was lost until then is told even if
    // nobody ever writes again.
    assert_eq!(receive(), "<27>going-log: --- 2 lines of output were not sent");
    web.write("text\n<4>warning\n");
    assert_eq!(receive(), "<27>web: text");
    assert_eq!(receive(), "<28>web: warning");
    logger.mark(&web, "exited");
    assert_eq!(receive(), "<27>web: --- exited");
    web.write(format!("{}end", "x".repeat(8000)));
    web.close();
    assert_eq!(receive().len(), 7168 + 9);
    assert!(receive().ends_with("xend"));
    logger.wait_done(&web);
    a_deaf_syslog_keeps_nobody_waiting(&place, &logger, receive);
    logger.stop();
}

/// The socket is there, but nobody reads what is in it.
fn a_deaf_syslog_keeps_nobody_waiting(
    place: &Place,
    logger: &Logger,
    receive: impl Fn() -> String,
) {
    let (mut talker, other) = (Pipe::new(), Pipe::new());
    logger.take(&talker, &with(&["to=syslog", "name=talker"]));
    logger.take(&other, &with(&["name=other"]));
    // More than the socket can hold, by far; the pipe cannot hold it either.
    let lines = 20_000;
    (0..lines).for_each(|number| talker.write(format!("{number}\n")));
    other.write("not waiting\n");
    place.wait_log("other.log", "not waiting\n");
    talker.close();
    logger.wait_done(&talker);
    let mut taken = 0;
    let last = loop {
        let line = receive();
        if line != format!("<30>talker: {taken}") {
            break line;
        }
        taken += 1;
    };
    let lost = lines - taken;
    assert_eq!(last, format!("<27>going-log: --- {lost} lines of output were not sent"));
}

//! What is said, how much of it, and where to; and what going answers when it
//! is asked on the command line. Whoever does not listen holds nothing up.

mod common;

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Output;

use common::{Place, Signal, has, has_root, is_alive, like, program, run, wait_comm, wait_until};

/// Words which start others where `/dev` is the directory `dev` of the place
/// with the devices that one needs.
fn own_dev(place: &Place) -> Option<Vec<String>> {
    if !has_root() || !has("unshare") {
        return None;
    }
    place.make_dir("dev");
    let dev = place.path("dev");
    let script = format!(
        "cd {dev} && touch null zero tty && mkdir -p pts && ln -sf pts/ptmx ptmx && \
         for it in null zero tty pts; do mount --rbind /dev/$it $it; done && \
         mount --rbind {dev} /dev && exec \"$@\""
    );
    Some(["unshare", "--mount", "/bin/sh", "-c", &script, "sh"].map(str::to_owned).to_vec())
}

/// A syslog daemon, whose part is played by the test.
fn listen(place: &Place) -> Option<UnixDatagram> {
    let path = place.path("dev/log");
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(path).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// Reads until a line is like `pattern`.
#[track_caller]
fn wait_datagram(socket: &UnixDatagram, pattern: &str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    wait_until(&format!("{pattern} in {seen:?}"), || {
        while let Ok(length) = socket.recv(&mut buffer) {
            seen.push(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into());
        }
        seen.iter().any(|it: &String| like(pattern, it))
    });
}

fn words<'a>(words: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    words.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn under_init_reports_go_to_syslog() {
    let place = Place::new();
    let Some(own) = own_dev(&place) else { return };
    let socket = listen(&place).unwrap();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=false\nbackoff=1h\nbackoff-max=1h\n");
    place.service("c", "# nothing\n");
    let (program, confdir) = (program(), place.path("going.d"));
    let mut going = place.start_words(&words(&own, &[&program, "-d", &confdir]));
    let ident = format!("going[{}]", going.pid);
    wait_datagram(&socket, &format!("<27>{ident}: {confdir}/c: no cmd= line"));
    let dead = format!("<28>{ident}: b terminated after: *quarantined*");
    place.service("d", "cmd=sleep 1000\n");
    wait_datagram(&socket, &format!("<30>{ident}: d: started (pid *)"));
    // Syslog daemons are restarted, too.
    drop(socket);
    let socket = listen(&place).unwrap();
    place.service("b", "cmd=/bin/false\nbackoff=1h\nbackoff-max=1h\n");
    wait_datagram(&socket, &dead);
    going.signal(Signal::SIGTERM);
    wait_datagram(&socket, &format!("<30>{ident}: all services stopped"));
    assert_eq!(going.wait_exit(), 0);
    assert_eq!(going.lines().len(), 0, "said on stderr, too");
}

#[test]
fn without_syslog_reports_go_to_stderr() {
    let place = Place::new();
    let Some(own) = own_dev(&place) else { return };
    place.service("a", "cmd=sleep 1000\n");
    let (program, confdir) = (program(), place.path("going.d"));
    let mut going = place.start_words(&words(&own, &[&program, "-d", &confdir]));
    going.wait_started("a");
    going.stop();
}

#[test]
fn one_may_say_where_reports_go() {
    let place = Place::new();
    let Some(own) = own_dev(&place) else { return };
    let socket = listen(&place).unwrap();
    place.service("a", "cmd=sleep 1000\n");
    let (program, confdir) = (program(), place.path("going.d"));
    let rest = [program.as_str(), "-d", &confdir, "--report"];
    let mut going = place.start_words(&words(&own, &[&rest[..], &["stderr"]].concat()));
    going.wait_started("a");
    going.stop();
    assert!(socket.recv(&mut [0; 10]).is_err(), "said to syslog, too");
    let mut going = place.start_words(&words(&own, &[&rest[..], &["syslog"]].concat()));
    wait_datagram(&socket, "<30>going[*]: a: started (pid *)");
    going.signal(Signal::SIGINT);
    assert_eq!(going.wait_exit(), 0);
}

#[test]
fn on_a_terminal_reports_are_for_the_person_at_it() {
    let place = Place::new();
    if !has("script") {
        return;
    }
    let Some(own) = own_dev(&place) else { return };
    let socket = listen(&place).unwrap();
    place.service("a", "cmd=sleep 1000\n");
    let (confdir, run) = (place.path("going.d"), place.path("run"));
    let command = format!("{} -d {confdir} -r {run}", program());
    let log = place.path("typescript");
    let script = ["script", "--quiet", "--flush", "--return", "--command", &command, &log];
    let _going = place.start_words(&words(&own, &script));
    wait_until("a report", || place.read("typescript").contains(": a: started (pid "));
    assert!(socket.recv(&mut [0; 10]).is_err(), "said to syslog, too");
}

/// The queue of a socket nobody reads is soon full, and the default is to wait.
#[test]
fn a_syslog_that_does_not_read_holds_nothing_up() {
    let place = Place::new();
    let Some(own) = own_dev(&place) else { return };
    let socket = listen(&place).unwrap();
    let often = place.logged("a", "exit 0") + "min-uptime=0\nburst=none\n";
    place.service("a", &often);
    let (program, confdir) = (program(), place.path("going.d"));
    let mut going = place.start_words(&words(&own, &[&program, "-d", &confdir]));
    // Far more lines than any queue is long (max_dgram_qlen is 512 at most).
    place.wait_starts("a", 700);
    wait_datagram(&socket, "<28>going[*]: * report lines lost*");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
}

#[test]
fn a_reader_of_stderr_that_does_not_read_holds_nothing_up() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(run(&["mkfifo", &pipe]).status.success());
    // Open for both, so that neither side waits for the other to open.
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut reader =
        OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    // The longer the name, the sooner 64 KiB are full.
    let name = "n".repeat(64);
    place.service(&name, &(place.logged("a", "exit 0") + "min-uptime=0\nburst=none\n"));
    let mut going =
        place.start_under(&["/bin/sh", "-c", &format!("exec \"$@\" 2>>{pipe}"), "sh"], &[]);
    place.wait_starts("a", 600);
    let mut text = String::new();
    wait_until("the loss to be told", || {
        let mut buffer = [0; 65536];
        while let Ok(length) = reader.read(&mut buffer) {
            text += &String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        }
        text.contains(" report lines lost")
    });
    let line = text.lines().next().unwrap();
    assert!(like(&format!("going[{}]: {name}: started (pid *)", going.pid), line), "{line}");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
}

/// Some inits make stderr a socket, which cannot be opened a second time to be
/// ours alone.
#[test]
fn a_socket_for_stderr_that_nobody_reads_holds_nothing_up() {
    let place = Place::new();
    let (reader, writer) = UnixStream::pair().unwrap();
    let name = "n".repeat(64);
    place.service(&name, &(place.logged("a", "exit 0") + "min-uptime=0\nburst=none\n"));
    // It becomes stderr by way of stdin.
    let turn = ["/bin/sh", "-c", "exec \"$@\" 2>&0 </dev/null", "sh"];
    let (program, confdir) = (program(), place.path("going.d"));
    let own = [program.as_str(), "-d", &confdir, "--report", "stderr"];
    let mut going = place.start_with(&[&turn[..], &own].concat(), OwnedFd::from(writer).into());
    place.wait_starts("a", 1000);
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    drop(reader);
}

/// Init may start us with nothing open at all; then the first files we open must
/// not be taken for streams.
#[test]
fn it_runs_with_all_streams_closed() {
    let place = Place::new();
    place.service("a", &place.logged("a", "echo said\nexec sleep 1000"));
    let mut going = place.start_under(&["/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"], &[]);
    let pid = place.wait_starts("a", 1);
    wait_comm(pid, "sleep");
    for number in 0..3 {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(link.to_str(), Some("/dev/null"), "stream {number}");
    }
    place.remove("a");
    wait_until("its end", || !is_alive(pid));
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
}

#[test]
fn quiet_keeps_warnings_and_verbose_adds_to_what_is_said() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=false\nbackoff=1h\nbackoff-max=1h\n");
    place.service("c", "cmd=sleep 1000\ncwd=/nonexistent\nbackoff=1h\nbackoff-max=1h\n");
    let mut counts = Vec::new();
    for arg in ["-q", "--quiet", "-v", "--verbose"] {
        let mut going = place.start(&[arg]);
        going.wait_for_all(&[
            "b terminated after: *quarantined*",
            "Can't change working directory to /nonexistent: *",
        ]);
        if arg.contains('v') {
            wait_until("a line on it", || going.count("a: started (pid *)") == 1);
            going.stop();
        } else {
            going.signal(Signal::SIGTERM);
            assert_eq!(going.wait_exit(), 0);
            assert_eq!(going.count("*: started*") + going.count("*: stopp*"), 0);
        }
        counts.push(going.lines().len());
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&["a: started (pid *)", "Can't change *", "b terminated after: *"]);
    going.stop();
    assert!(counts.iter().skip(2).all(|it| *it > going.lines().len()), "{counts:?}");
}

#[test]
fn a_default_given_as_an_option_holds_for_every_service() {
    let place = Place::new();
    place.service("a", "cmd=sleep 1000\n");
    place.service("b", "cmd=sleep 1000\nstop=HUP\n");
    let args = ["-o", "stop=INT 3s", "--option", "umask=077", "--option=env=X=1"];
    let mut going = place.start(&args);
    for pid in going.wait_all_started(["a", "b"]) {
        wait_comm(pid, "sleep");
        assert_eq!(common::status(pid, "Umask"), "0077");
        assert!(common::strings(pid, "environ").contains(&"X=1".to_owned()));
    }
    going.stop();
    assert_eq!(going.count("a: stopped after *s (killed by SIGINT)"), 1);
    assert_eq!(going.count("b: stopped after *s (killed by SIGHUP)"), 1);
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_tells_every_complaint_and_starts_nothing() {
    let place = Place::new();
    let ran = place.path("ran");
    place.service("a", &format!("cmd=touch {ran}\n"));
    place.service("b", "cmmd=true\nrestart=alway\n\nstop=TERMM\n");
    place.service("c", "cmd=true\nuser=nosuchuser\n");
    place.service("d", "cmd=nosuchcommand\n");
    place.service("e", "# nothing\n");
    place.service("f", "cmd=/nonexistent/command\n");
    place.service(&"g".repeat(65), "cmd=true\n");
    place.service("h~", "cmmd=true\n");
    let dir = place.path("going.d");
    let output = run(&[&program(), "--check", "-d", &dir]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(65));
    let mut lines = stdout.lines();
    for pattern in [
        format!("{dir}/b: no cmd= line"),
        format!("{dir}/b:1: unknown key \"cmmd\"; did you mean \"cmd\"?"),
        format!("{dir}/b:2: restart= is \"alway\"*\"always\"*"),
        format!("{dir}/b:4: stop= *TERMM*"),
        format!("{dir}/c:2: *nosuchuser*"),
        format!("{dir}/d:1: *nosuchcommand*"),
        format!("{dir}/e: no cmd= line"),
        format!("{dir}/f:1: *nonexistent*"),
        format!("Configuration file name {} is too long (max: 64)", "g".repeat(65)),
    ] {
        let line = lines.next().unwrap_or_default();
        assert!(like(&pattern, line), "expected {pattern}\nin {stdout}");
    }
    assert_eq!(lines.next(), None, "{stdout}");
    assert!(stderr.ends_with(" services, 9 complaints\n"), "{stderr}");
    for name in ["b", "c", "d", "e", "f", &"g".repeat(65)] {
        place.remove(name);
    }
    let output = run(&[&program(), "-d", &dir, "--check"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(texts(&output), (String::new(), "1 services, 0 complaints\n".to_owned()));
    assert!(!place.dir.join("ran").exists());
    // A default can be wrong as well, and is on the command line.
    assert_eq!(run(&[&program(), "-d", &dir, "--check", "-o", "x=y"]).status.code(), Some(64));
}

#[test]
fn a_wrong_command_line_is_told_with_the_usage() {
    for args in [
        &["--nonsense"][..],
        &["-x"],
        &["word"],
        &["-d"],
        &["-d", ""],
        &["-o", "nonsense"],
        &["-o", "restart=sometimes"],
        &["--report", "paper"],
        &["--report"],
        &["--check=yes"],
    ] {
        let output = run(&[&[program().as_str()], args].concat());
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert_eq!(stdout, "", "{args:?}");
        assert!(stderr.contains("usage: going "), "{args:?}: {stderr}");
    }
}

#[test]
fn it_tells_its_version_and_its_usage() {
    for arg in ["-V", "--version"] {
        let output = run(&[&program(), arg]);
        let version = format!("going {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(texts(&output), (version, String::new()));
        assert_eq!(output.status.code(), Some(0));
    }
    for arg in ["-h", "--help"] {
        let output = run(&[&program(), arg]);
        let (stdout, stderr) = texts(&output);
        assert!(stdout.contains("usage: going ") && stderr.is_empty());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_directory_that_is_missing_at_the_start_is_an_error() {
    let place = Place::new();
    for name in ["nowhere", "file"] {
        place.write("file", "");
        let path = place.path(name);
        let output = run(&[&program(), "-d", &path, "--report", "stderr"]);
        assert_eq!(output.status.code(), Some(72), "{name}");
        let why = if name == "file" { "Not a directory" } else { "No such file or directory" };
        let (_, stderr) = texts(&output);
        assert!(stderr.ends_with(&format!("]: Can't open {path}: {why}\n")), "{stderr}");
        assert_eq!(run(&[&program(), "-d", &path, "--check"]).status.code(), Some(72));
    }
}

/// Without `-d` a user has a directory of one's own.
#[test]
fn a_user_has_a_directory_of_their_own() {
    if !has_root() || !has("setpriv") {
        return;
    }
    let place = Place::new();
    let going = place.copied_program();
    let user = "setpriv --reuid 54394 --regid 54394 --clear-groups env";
    let user: Vec<_> = user.split(' ').collect();
    for (variables, directory) in [
        (["HOME=/h", "XDG_CONFIG_HOME=/x"], "/x/going.d"),
        (["HOME=/h", "XDG_CONFIG_HOME="], "/h/.config/going.d"),
        (["HOME=/h", "XDG_CONFIG_HOME=relative"], "/h/.config/going.d"),
    ] {
        let words = [&user, &variables[..], &[&going, "--report", "stderr"]].concat();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(72));
        let line = format!("*Can't open {directory}: No such file or directory\n");
        assert!(like(&line, &texts(&output).1), "{:?}", texts(&output));
    }
}

/// Names come from whoever may write to the directory, and go to a terminal.
#[test]
fn a_file_name_cannot_forge_a_report() {
    let place = Place::new();
    place.service("x\ny: started (pid 1)", "cmd=true\n");
    place.service("x\x1b[2J", "cmd=true\n");
    place.service("z", "cmd=sleep 1000\n");
    let mut going = place.start(&[]);
    going.wait_started("z");
    wait_until("both to be refused", || going.count(&format!("{}/x*", place.path("going.d"))) == 2);
    going.stop();
    assert_eq!(going.count("y: started*") + going.count("*\x1b*"), 0);
}

/// Services inherit stderr, and may write more than anybody reads.
#[test]
fn a_service_that_fills_our_stderr_is_the_only_one_to_wait() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(run(&["mkfifo", &pipe]).status.success());
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut options = OpenOptions::new();
    let mut reader = options.read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    place.service("loud", "cmd=/bin/sh -c 'while :; do echo loud >&2; done'\nstderr=inherit\n");
    let mut going =
        place.start_under(&["/bin/sh", "-c", &format!("exec \"$@\" 2>>{pipe}"), "sh"], &[]);
    let is_full = || {
        place.processes().iter().any(|it| {
            fs::read_to_string(format!("/proc/{it}/wchan"))
                .is_ok_and(|it| it.contains("pipe_write"))
        })
    };
    wait_until("the pipe to be full", is_full);
    place.service("calm", &place.logged("calm", "exec sleep 1000"));
    place.wait_starts("calm", 1);
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 0);
    assert!(reader.read(&mut [0; 10]).is_ok());
}

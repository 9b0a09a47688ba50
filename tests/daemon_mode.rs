//! going without an init: in the background, with a pidfile and a file of reports.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a test that cannot go on panics; it may start programs"
)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{
    Place, Signal, has_root, is_alive, program, run, send, stat, status, strings, wait_until,
};

const SLEEP: &str = "cmd=sleep 100000\n";

/// Runs `going -b` in this place; answers when the one that was started ends.
fn start(place: &Place, more: &[&str]) -> Output {
    let (confdir, rundir, logdir) = (place.path("going.d"), place.path("run"), place.path("log"));
    let report = format!("file:{}", place.path("report"));
    let mut words = vec!["-b", "-d", &confdir, "-r", &rundir, "-l", &logdir];
    if !more.contains(&"--report") {
        words.extend(["--report", &report]);
    }
    Command::new(program())
        .args(words)
        .args(more)
        .env("GOING_TEST", &place.marker)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pid_of(place: &Place, file: &str) -> i32 {
    place.wait_text(file).trim().parse().expect("a pid")
}

fn stop(place: &Place, pid: i32) {
    send(pid, Signal::SIGTERM);
    wait_until("its end", || !is_alive(pid));
    assert!(place.read("report").trim_end().ends_with("all services stopped"));
}

/// Whoever waited for its output, as over ssh, is free as well.
#[test]
fn it_leaves_whoever_started_it_behind() {
    let place = Place::new();
    place.service("web", SLEEP);
    place.service(
        "loud",
        "cmd=sh -c 'echo hello; echo error >&2; exec sleep 1000'\nstdout=inherit\n",
    );
    let pidfile = place.path("pid");
    let output = start(&place, &["-p", &pidfile]);
    assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()));
    let pid = pid_of(&place, "pid");
    let stat = stat(pid).expect("it runs");
    let (parent, group, session) = (&stat[1], &stat[2], &stat[3]);
    assert_ne!(*parent, std::process::id().to_string());
    // No leader of a session, so it can never get a terminal.
    assert_eq!(group, session);
    assert_ne!(*session, pid.to_string());
    for number in 0..3 {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("it is open");
        assert_eq!(target.to_str(), Some("/dev/null"), "{number}");
    }
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("a directory");
    assert_eq!((cwd.to_str(), status(pid, "Umask")), (Some("/"), "0022".to_owned()));
    wait_until("the report", || place.read("report").contains("web: started (pid "));
    for line in place.read("report").lines() {
        let is_stamped =
            common::like(&format!("20??-*T*:*:*Z going[{pid}]: *").replace('?', "*"), line);
        assert!(is_stamped, "{line}");
    }
    stop(&place, pid);
    assert!(!place.dir.join("pid").exists());
}

#[test]
fn a_start_that_fails_is_told_to_whoever_waits() {
    let place = Place::new();
    for (more, status, why) in [
        (&["-d", "/nonexistent"][..], 72, "Can't open /nonexistent"),
        (&["-p", "/nonexistent/pid"], 71, "Can't write /nonexistent/pid"),
        (&["--report", "file:/nonexistent/report"], 71, "Can't report to /nonexistent/report"),
        (&["--report", "stderr"], 64, "-b leaves stderr"),
        (&["-p", "pid"], 64, "-b works in /, so pid must be absolute"),
        (&["--", "true"], 64, "a main command needs it"),
    ] {
        let output = start(&place, more);
        assert_eq!(output.status.code(), Some(status), "{more:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{more:?}: {}", said(&output));
    }
    assert_eq!(place.processes(), []);
}

/// Without a syslog and without a file nobody would ever hear what goes wrong.
#[test]
fn without_somewhere_to_report_to_there_is_no_start() {
    if !common::has_root() || !common::has("unshare") {
        return;
    }
    let place = Place::new();
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let script = "mount -t tmpfs none /dev && : >/dev/null && exec \"$@\"";
    for more in [&[][..], &["--report", "syslog"]] {
        let going = [&program(), "-b", "-d", &confdir, "-r", &rundir];
        let words = [&["unshare", "--mount", "sh", "-c", script, "sh"][..], &going, more].concat();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(71), "{more:?}");
        assert!(said(&output).contains("or --report file:PATH"), "{}", said(&output));
    }
}

#[test]
fn a_second_one_says_so_and_leaves_the_first_untouched() {
    let place = Place::new();
    place.service("web", SLEEP);
    let pidfile = place.path("pid");
    assert!(start(&place, &["-p", &pidfile]).status.success());
    let pid = pid_of(&place, "pid");
    let same =
        start(&place, &["-p", &pidfile, "--report", &format!("file:{}", place.path("other"))]);
    assert_eq!(same.status.code(), Some(75));
    assert!(said(&same).contains(&format!("Already running as pid {pid} in")), "{}", said(&same));
    // With a run directory of its own, but the pidfile of the first.
    let (elsewhere, report) = (place.path("run2"), format!("file:{}", place.path("other")));
    let other = start(&place, &["-p", &pidfile, "-r", &elsewhere, "--report", &report]);
    assert_eq!(other.status.code(), Some(75));
    let why = format!("{pidfile} is the pidfile of running process {pid}");
    assert!(said(&other).contains(&why), "{}", said(&other));
    assert_eq!(pid_of(&place, "pid"), pid);
    // And with both of its own it runs beside it.
    let second = place.path("pid2");
    let beside = start(&place, &["-p", &second, "-r", &elsewhere, "--report", &report]);
    assert!(beside.status.success(), "{}", said(&beside));
    let beside = pid_of(&place, "pid2");
    assert!(is_alive(pid) && beside != pid);
    send(beside, Signal::SIGTERM);
    wait_until("its end", || !is_alive(beside));
    assert!(!place.dir.join("pid2").exists());
    stop(&place, pid);
}

#[test]
fn a_stale_pidfile_is_replaced() {
    let place = Place::new();
    let pidfile = place.path("pid");
    assert!(start(&place, &["-p", &pidfile]).status.success());
    let first = pid_of(&place, "pid");
    send(first, Signal::SIGKILL);
    wait_until("its end", || !is_alive(first));
    assert_eq!(pid_of(&place, "pid"), first);
    let output = start(&place, &["-p", &pidfile]);
    assert!(output.status.success(), "{}", said(&output));
    let pid = pid_of(&place, "pid");
    assert_ne!(pid, first);
    stop(&place, pid);
    // A process that has this pid by now, but is younger than the file.
    let stranger = std::process::id();
    place.write("pid", format!("{stranger}\n"));
    assert!(run(&["touch", "-d", "2001-01-01", &pidfile]).status.success());
    assert!(start(&place, &["-p", &pidfile]).status.success());
    let pid = pid_of(&place, "pid");
    assert_ne!(pid.to_string(), stranger.to_string());
    stop(&place, pid);
    // One that is older may well have written it.
    place.write("pid", format!("{stranger}\n"));
    let output = start(&place, &["-p", &pidfile]);
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(place.read("pid"), format!("{stranger}\n"));
}

/// In a directory where everybody may write, somebody may have put something there.
#[test]
fn no_other_file_is_written_through_a_planted_link() {
    let place = Place::new();
    let precious = place.path("precious");
    let (link, hard, fifo) = (place.path("link"), place.path("hard"), place.path("fifo"));
    place.write("precious", "precious\n");
    symlink(&precious, &link).expect("a link");
    fs::hard_link(&precious, &hard).expect("another name");
    assert!(run(&["mkfifo", &fifo]).status.success());
    for path in [&link, &hard, &fifo] {
        let output = start(&place, &["-p", path]);
        assert_eq!(output.status.code(), Some(71), "{}", said(&output));
        let output = start(&place, &["--report", &format!("file:{path}")]);
        assert_eq!(output.status.code(), Some(71), "{}", said(&output));
    }
    assert_eq!(place.read("precious"), "precious\n");
    if common::has_root() && common::has("chown") {
        // Another user's, who could change it later.
        place.write("planted", "");
        let planted = place.path("planted");
        assert!(run(&["chown", "65534", &planted]).status.success());
        assert_eq!(start(&place, &["-p", &planted]).status.code(), Some(71));
        assert_eq!(place.read("planted"), "");
    }
}

#[test]
fn the_file_of_reports_is_opened_again_by_a_signal() {
    let place = Place::new();
    place.service("web", SLEEP);
    let pidfile = place.path("pid");
    assert!(start(&place, &["-v", "-p", &pidfile]).status.success());
    let pid = pid_of(&place, "pid");
    wait_until("a report", || place.read("report").contains("web: started"));
    let mode = fs::metadata(place.dir.join("report")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    fs::rename(place.dir.join("report"), place.dir.join("report.1")).expect("it moves");
    send(pid, Signal::SIGUSR1);
    wait_until("another file", || place.dir.join("report").exists());
    place.service("late", SLEEP);
    wait_until("a report in there", || place.read("report").contains("late: started"));
    assert!(!place.read("report.1").contains("late"));
    // One that cannot be opened is no reason to lose the one that is.
    fs::rename(place.dir.join("report"), place.dir.join("report.2")).expect("it moves");
    symlink("/nonexistent/report", place.dir.join("report")).expect("a link");
    send(pid, Signal::SIGUSR1);
    wait_until("a complaint", || place.read("report.2").contains("Can't report to "));
    fs::remove_file(place.dir.join("report")).expect("it goes");
    fs::rename(place.dir.join("report.2"), place.dir.join("report")).expect("it comes back");
    stop(&place, pid);
}

/// It stays in the background, and its files stay its own.
#[test]
fn an_upgrade_in_the_background_keeps_the_pidfile() {
    let place = Place::new();
    place.service("web", SLEEP);
    let pidfile = place.path("pid");
    assert!(start(&place, &["-p", &pidfile]).status.success());
    let pid = pid_of(&place, "pid");
    let goingctl = Path::new(&program()).with_file_name("goingctl").display().to_string();
    let output = run(&[&goingctl, "-r", &place.path("run"), "upgrade"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(pid_of(&place, "pid"), pid);
    wait_until("the services", || place.read("report").contains("took up "));
    let (elsewhere, report) = (place.path("run2"), format!("file:{}", place.path("other")));
    let other = start(&place, &["-p", &pidfile, "-r", &elsewhere, "--report", &report]);
    assert_eq!(other.status.code(), Some(75), "{}", said(&other));
    stop(&place, pid);
    assert!(!place.dir.join("pid").exists());
}

/// The limit of descriptors that going raises for itself is not that of services.
#[test]
fn services_get_the_limits_that_going_was_given() {
    let place = Place::new();
    place.service("web", SLEEP);
    let (confdir, rundir) = (place.path("going.d"), place.path("run"));
    let script = "ulimit -Sn 64; exec \"$@\"";
    let own = ["sh", "-c", script, "sh", &program(), "-d", &confdir, "-r", &rundir];
    let output = ["-o", "stdout=inherit", "--report", "stderr"];
    let mut going = place.start_plainly(&[&own[..], &output].concat());
    let web = going.wait_started("web");
    let limit = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max open files")).map(str::to_owned);
        let words: Vec<_> =
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        (words[3].clone(), words[4].clone())
    };
    let (soft, hard) = limit(going.pid);
    assert_eq!(soft, hard);
    assert_eq!(limit(web), ("64".to_owned(), hard));
    going.stop();
}

/// A syslog that is there is enough.
#[test]
fn reports_can_go_to_syslog() {
    if !common::has_root() || !common::has("unshare") {
        return;
    }
    let place = Place::new();
    place.service("web", SLEEP);
    let syslog = UnixDatagram::bind(place.dir.join("syslog")).expect("a socket");
    let (confdir, rundir, pidfile) = (place.path("going.d"), place.path("run"), place.path("pid"));
    let script = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && \
                  ln -s \"$0\" /dev/log && exec \"$@\"";
    let going = [&program(), "-b", "-p", &pidfile, "-d", &confdir, "-r", &rundir];
    let socket = place.path("syslog");
    let words = [&["unshare", "--mount", "sh", "-c", script, &socket][..], &going];
    let output = Command::new("env")
        .arg(format!("GOING_TEST={}", place.marker))
        .args(words.concat())
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    let pid = pid_of(&place, "pid");
    let mut buffer = [0; 1024];
    let mut next = || {
        let length = syslog.recv(&mut buffer).expect("a line");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    while !next().contains(&format!("going[{pid}]: web: started")) {}
    send(pid, Signal::SIGTERM);
    while !next().contains("all services stopped") {}
    wait_until("its end", || !is_alive(pid));
}

/// As inittab would start it for a user: who root was is not even to be seen.
#[test]
fn root_is_given_up_for_good() {
    if !has_root() {
        return;
    }
    let place = Place::new();
    let directory = program();
    let directory = directory.rsplit_once('/').expect("a path").0;
    for name in ["going", "going-log"] {
        let from = format!("{directory}/{name}");
        assert!(run(&["install", "-m", "755", &from, &place.path(name)]).status.success());
    }
    place.service("web", SLEEP);
    let (going, confdir) = (place.path("going"), place.path("going.d"));
    let (rundir, logdir) = (place.path("run"), place.path("logs"));
    let words = [&going, "-d", &confdir, "-r", &rundir, "-l", &logdir, "--report", "stderr"];
    let words = [&words[..], &["-u", "daemon", "-o", "stdout=log"]].concat();
    let assert_dropped = |pid: i32| {
        let daemon = run(&["id", "-u", "daemon"]).stdout;
        let daemon = String::from_utf8_lossy(&daemon).trim().to_owned();
        assert_eq!(status(pid, "Uid"), [&*daemon; 4].join(" "));
        for (field, value) in [("CapEff", "0000000000000000"), ("CapPrm", "0000000000000000")] {
            assert_eq!(status(pid, field), value);
        }
        assert!(!status(pid, "Groups").split(' ').any(|it| it == "0"), "root's groups");
        let environ = strings(pid, "environ");
        assert!(environ.contains(&"USER=daemon".to_owned()), "{environ:?}");
        assert!(!environ.iter().any(|it| it.starts_with("XDG_")), "{environ:?}");
    };
    let mut first = place.start_plainly(&words);
    let [web, _] = first.wait_all_started(["web", "going-log"]);
    assert_dropped(first.pid);
    assert_dropped(web);
    let owner = fs::metadata(&logdir).expect("its logs").uid();
    assert_eq!(owner, fs::metadata(&rundir).expect("its run directory").uid());
    assert_ne!(owner, 0);
    // As good as any other: it is killed, and goes on.
    first.signal(Signal::SIGKILL);
    first.wait_exit();
    let mut going = place.start_plainly(&words);
    going.wait_for("took up 2 services, 0 died meanwhile");
    assert_dropped(going.pid);
    going.stop();
    let words = [&place.path("going"), "-u", "no-such-user", "-d", &confdir];
    let output = run(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*said), (Some(71), NO_USER));
}

const NO_USER: &str = "going: Can't become no-such-user: no such user\n";

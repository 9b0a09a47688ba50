//! What tini(1) and dumb-init(1) say of themselves in their READMEs.

use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::main_command;
use crate::common::{
    Place, Signal, children, is_alive, program, run, send, stat, status, wait_until,
};

/// "the exit status of the child", "128 + signal", and what a shell says of a
/// program that is not there or cannot be executed.
#[test]
fn going_exits_with_the_status_of_its_main_command() {
    let place = Place::new();
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)] {
        let mut going = main_command(&place, &[], script);
        assert_eq!(going.wait_exit(), status, "{script}");
    }
    place.write("text", "no program\n");
    for (word, status) in [("/nonexistent".to_owned(), 127), (place.path("text"), 126)] {
        let (confdir, rundir) = (place.path("going.d"), place.path("run"));
        let output = run(&[&program(), "-d", &confdir, "-r", &rundir, "-q", "--", &word]);
        assert_eq!(output.status.code(), Some(status), "{word}");
    }
}

/// tini's `-e 143`.
#[test]
fn statuses_can_be_made_successes() {
    let place = Place::new();
    let mut going = main_command(&place, &["-o", "success=0 143 TERM"], "exit 143");
    assert_eq!(going.wait_exit(), 0);
    let mut going = main_command(&place, &["-o", "success=0 143 TERM"], "kill $$");
    assert_eq!(going.wait_exit(), 0);
}

/// Each word, the working directory, the umask, stdin, stdout and the environment.
#[test]
fn the_command_is_run_as_if_there_were_no_going() {
    let place = Place::new();
    place.write("input", "from stdin\n");
    let script = "pwd; umask; cat; printf '<%s>' \"$@\"; echo; echo \"$HELLO\"";
    let words = ["a b", "", "two\nlines", "${NO_SUCH} $$ %n '\"", "-x", "--"];
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let output = Command::new("sh")
        .args(["-c", "umask 027; exec \"$@\"", "sh", &program(), "-q", "--report", "stderr"])
        .args(["-d", &place.path("going.d"), "-r", &place.path("run"), "--"])
        .args(["sh", "-c", script, "sh"])
        .args(words)
        .arg(odd)
        .env("HELLO", "hello")
        .current_dir(&place.dir)
        .stdin(std::fs::File::open(place.dir.join("input")).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let start = format!("{}\n0027\nfrom stdin\n", place.dir.display());
    let mut expected = start.into_bytes();
    expected.extend(words.map(|word| format!("<{word}>")).concat().bytes());
    expected.extend(b"<\xff\xfe>\nhello\n");
    assert_eq!(output.stdout, expected, "{}", String::from_utf8_lossy(&output.stdout));
}

/// No directory was asked for, so none is needed; without a place for a run directory
/// it does without.
#[test]
fn nothing_is_needed_but_the_command() {
    let place = Place::new();
    if !crate::common::has("setpriv") || !crate::common::has_root() {
        return;
    }
    let copy = place.copied_program();
    let words = ["env", "-i", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let words = [&words[..], &[&copy, "--report", "stderr", "--", "/bin/sh", "-c", "exit 3"]];
    let output = run(&words.concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("No control socket: no XDG_RUNTIME_DIR"), "{said}");
    let refused = run(&[&copy, "--"]);
    assert_eq!(refused.status.code(), Some(64));
    let directory = place.path("missing");
    let refused = run(&[&copy, "-d", &directory, "-r", &place.path("run"), "--", "true"]);
    assert_eq!(refused.status.code(), Some(72));
}

/// "Signal forwarding", to the process group as dumb-init does and as `tini -g`.
#[test]
fn signals_are_passed_on() {
    let place = Place::new();
    let names = ["HUP", "QUIT", "USR1", "USR2", "ALRM", "WINCH", "IO", "PWR", "VTALRM", "PROF"];
    let traps = names.map(|name| format!("trap 'echo {name} >>$D/heard' {name}; "));
    let script = format!("{}echo $$ >$D/ready; while :; do sleep 0.05; done", traps.concat());
    let mut going = main_command(&place, &[], &script);
    place.wait_text("ready");
    for name in names {
        going.signal(format!("SIG{name}").parse().unwrap());
        let line = format!("{name}\n");
        wait_until(name, || place.read("heard").contains(&line));
    }
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 143);
}

/// The others of its group hear them with `kill=group` and not with `kill=process`.
#[test]
fn the_group_is_signalled_unless_told_otherwise() {
    for (option, is_heard) in [("kill=group", true), ("kill=process", false)] {
        let place = Place::new();
        // The child says that it heard; the parent does, after it, in any case.
        let script = "sh -c 'trap \"echo child >>$0/heard\" USR1; echo >$0/ready; \
                      while :; do sleep 0.05; done' $D & \
                      trap 'echo parent >>$D/heard' USR1; while :; do sleep 0.05; done";
        let mut going = main_command(&place, &["-o", option], script);
        place.wait_text("ready");
        going.signal(Signal::SIGUSR1);
        wait_until("the parent", || place.read("heard").contains("parent"));
        if is_heard {
            wait_until("the child", || place.read("heard").contains("child"));
        }
        going.signal(Signal::SIGTERM);
        assert_eq!(going.wait_exit(), 143);
        assert_eq!(place.read("heard").contains("child"), is_heard);
    }
}

/// dumb-init makes a STOP of the terminal's signals, which would do nothing in a
/// session of its own.
#[test]
fn a_stop_and_a_continue_are_passed_on() {
    let place = Place::new();
    let mut going = main_command(&place, &[], "echo $$ >$D/ready; exec sleep 1000");
    let pid = place.wait_text("ready").trim().parse().unwrap();
    let is = |state: &str| stat(pid).is_some_and(|it| it[0] == state);
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        going.signal(signal);
        wait_until("it to stop", || is("T"));
        going.signal(Signal::SIGCONT);
        wait_until("it to go on", || !is("T"));
    }
    assert!(is_alive(going.pid) && stat(going.pid).unwrap()[0] != "T");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 143);
}

/// dumb-init's `--rewrite 15:3`: what is sent to stop it is a key like any other.
#[test]
fn the_signal_that_stops_it_can_be_another_one() {
    let place = Place::new();
    let script = "trap 'exit 9' QUIT; trap : TERM; echo >$D/ready; while :; do sleep 0.05; done";
    let mut going = main_command(&place, &["-o", "stop=QUIT 1m"], script);
    place.wait_text("ready");
    going.signal(Signal::SIGTERM);
    assert_eq!(going.wait_exit(), 9);
}

/// INT stays INT: what a program does on Ctrl-C is not what it does on TERM.
#[test]
fn an_interrupt_reaches_the_command_as_one() {
    let place = Place::new();
    let script = "trap 'exit 5' INT; trap 'exit 6' TERM; echo >$D/ready; \
                  while :; do sleep 0.05; done";
    let mut going = main_command(&place, &[], script);
    place.wait_text("ready");
    going.signal(Signal::SIGINT);
    assert_eq!(going.wait_exit(), 5);
}

/// "Zombie reaping": ten thousand at once, and none is left.
#[test]
fn ten_thousand_orphans_are_reaped() {
    if !crate::common::has("perl") {
        return;
    }
    let place = Place::new();
    let perl = "for (1..10000) { my $pid = fork; exit 0 if defined $pid && !$pid; \
                defined $pid or die }";
    let script = format!("perl -e '{perl}' && echo done >$D/ready; exec sleep 1000");
    let mut going = main_command(&place, &[], &script);
    place.wait_text("ready");
    wait_until("one child to be left", || children(going.pid).len() == 1);
    let main = children(going.pid)[0];
    assert_eq!(status(main, "Name"), "sleep");
    send(main, Signal::SIGKILL);
    assert_eq!(going.wait_exit(), 137);
}

/// A process that got away from its group ends with the main command.
#[test]
fn an_init_leaves_nobody_behind() {
    for options in [&[][..], &["--init"]] {
        let place = Place::new();
        let script = "setsid sh -c 'echo $$ >$0/left; exec sleep 1000' $D & \
                      until test -s $D/left; do sleep 0.05; done; exit 4";
        let mut going = main_command(&place, options, script);
        assert_eq!(going.wait_exit(), 4);
        let left = place.wait_text("left").trim().parse().unwrap();
        wait_until("the one left behind to die", || !is_alive(left));
    }
}

//! goingctl, run on a going that is tested, as a person or a script would.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs"
)]
#![allow(dead_code, reason = "no test file uses all of it")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::common::{Place, wait_until};

/// The client under test: the one beside the program under test.
pub fn goingctl() -> String {
    let beside = std::env::var("GOING_BIN").map(|going| format!("{going}ctl"));
    let beside = beside.ok().filter(|path| Path::new(path).exists());
    beside.unwrap_or_else(|| env!("CARGO_BIN_EXE_goingctl").to_owned())
}

/// What a run of goingctl came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The command line `goingctl -r RUN args`.
pub fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(goingctl());
    command
        .arg("-r")
        .arg(place.path("run"))
        .args(args)
        .env("GOING_TEST", &place.marker)
        .env("HOME", &place.dir)
        .env_remove("NO_COLOR")
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn ctl(place: &Place, args: &[&str]) -> Said {
    command(place, args).output().unwrap().into()
}

/// Runs it, and it must go well; what it said.
#[track_caller]
pub fn good(place: &Place, args: &[&str]) -> String {
    let said = ctl(place, args);
    assert!(said.code == 0 && said.err.is_empty(), "{args:?}: {said:?}");
    said.out
}

/// Runs it, and it must answer in JSON, be the answer good or bad.
#[track_caller]
pub fn json(place: &Place, args: &[&str]) -> Value {
    let said = ctl(place, &[&["--json"], args].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {said:?}"))
}

/// How the service is, as `status --json` has it; null if there is none.
pub fn service(place: &Place, name: &str) -> Value {
    json(place, &["status", name])["services"][0].clone()
}

/// Waits until the service is in this state.
#[track_caller]
pub fn wait_state(place: &Place, name: &str, state: &str) -> Value {
    let mut found = Value::Null;
    wait_until(&format!("{name} to be {state}"), || {
        found = service(place, name);
        found["state"] == state
    });
    found
}

/// Waits until going answers.
#[track_caller]
pub fn wait_ready(place: &Place) {
    let socket = place.dir.join("run/control");
    wait_until("going to listen", || UnixStream::connect(&socket).is_ok());
}

/// goingctl on a terminal of its own, which is script(1)'s.
pub struct Terminal {
    child: Child,
    log: String,
}

impl Terminal {
    /// Starts it with these words; what it shows goes into the file `tty`.
    pub fn new(place: &Place, args: &[&str]) -> Terminal {
        let quoted = |word: &&str| format!("'{word}'");
        let words = args.iter().map(quoted).collect::<Vec<_>>().join(" ");
        let line = format!("exec {} -r '{}' {words}", goingctl(), place.path("run"));
        Terminal::of_line(place, &line)
    }

    /// Starts a line of the shell in the same way.
    pub fn of_line(place: &Place, line: &str) -> Terminal {
        let log = place.path("tty");
        // That of a terminal before would look like what this one shows.
        let _ = std::fs::remove_file(&log);
        let child = Command::new("script")
            .args(["-q", "-e", "-f", "-c", line, &log])
            .env("GOING_TEST", &place.marker)
            .env("HOME", &place.dir)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Terminal { child, log }
    }

    /// What was shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let is_shown = || self.shown().contains(text);
        wait_until(&format!("{text:?} on the terminal"), is_shown);
    }

    /// Waits until the shell reads its line of this number; what is typed sooner
    /// may be lost.
    #[track_caller]
    pub fn wait_line(&self, number: usize) {
        // Where a line editor begins, it asks for pasted text to be marked.
        let is_asked = || self.shown().matches("\x1b[?2004h").count() >= number;
        wait_until(&format!("line {number} to be read"), is_asked);
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; the exit status.
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let child = &mut self.child;
        wait_until("the end of goingctl", || child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the terminal:\n{}\n---", self.shown().replace('\x1b', "^["));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

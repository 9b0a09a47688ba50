//! The bench of these tests: a place with files of alerts, and a going-alert that
//! goes by them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use crate::common::{Place, Signal, send, wait_until};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_going-alert");

/// A place with a directory of alerts.
pub fn place() -> Place {
    let place = Place::new();
    place.make_dir("alert.d");
    place
}

/// A file of alerts, appearing in one event.
pub fn target(place: &Place, name: &str, text: &str) {
    place.write(&format!("alert.d/{name}"), text);
}

/// A program that notes the variables of ours which it gets, and `END`, in the file
/// `NAME.told`.
pub fn noting(place: &Place, name: &str, before: &str) -> String {
    let told = place.path(&format!("{name}.told"));
    let script = format!(
        "{before}\n{{ env | grep ^GOING_ | sort; sed 's/^/TEXT /'; echo END; }} >>{told}.new\n\
         cat {told}.new >{told}\n"
    );
    place.write(&format!("{name}.sh"), script);
    format!("calm=0\ncommand=/bin/sh {}\n", place.path(&format!("{name}.sh")))
}

/// What was noted, one entry a message.
pub fn told(place: &Place, name: &str) -> Vec<String> {
    let text = place.read(&format!("{name}.told"));
    let mut parts: Vec<String> = text.split("END\n").map(str::to_owned).collect();
    parts.pop();
    parts
}

/// The value of a line `NAME=VALUE` of one message.
pub fn value<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// As after a reboot: there was a going before, and the one which comes is another.
pub fn early(place: &Place) {
    place.make_dir("spool");
    place.write("spool/position", "boot=another\npid=1\nstarted=1\nserial=5\n\n");
}

/// A going-alert, which ends with the test.
pub struct Teller {
    child: Child,
    log: String,
}

impl Teller {
    /// Starts it and waits until it knows where to go on.
    pub fn start(place: &Place) -> Teller {
        let teller = Teller::start_early(place, &[]);
        wait_until("it follows", || fs::metadata(place.path("spool/position")).is_ok());
        teller
    }

    /// Starts it, going or not, with these variables.
    pub fn start_early(place: &Place, variables: &[(&str, &str)]) -> Teller {
        let log = place.path("alert.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(PROGRAM)
            .args(["-r", &place.path("run"), "-d", &place.path("alert.d")])
            .args(["-s", &place.path("spool")])
            .envs(variables.iter().copied())
            // It outlives a going that the test drops, whose marker it must not have.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Teller { child, log }
    }

    /// Waits until its log has this.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(&format!("{text:?} in its log"), || self.log().contains(text));
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Kills it, without a chance to do anything about it.
    pub fn kill(mut self) {
        send(self.pid(), Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- going-alert:\n{}\n---", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end.
pub fn ask(place: &Place, options: &[&str]) -> Output {
    let directory = place.path("alert.d");
    let mut command = Command::new(PROGRAM);
    command.args(["-d", &directory]).args(options).stdin(Stdio::null()).output().unwrap()
}

/// A file which only we can read.
pub fn secret(place: &Place, name: &str, text: &str) -> String {
    place.write(name, text);
    let path = place.path(name);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// How many messages wait for a target.
pub fn waiting(place: &Place, name: &str) -> usize {
    let entries = fs::read_dir(place.path(&format!("spool/{name}")));
    let names = entries.into_iter().flatten().flatten().map(|it| it.file_name());
    names.filter(|it| !it.to_string_lossy().starts_with('.')).count()
}

//! Logs that are made up: a service that writes and rotates as fast as it can.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::client::{command, goingctl};
use crate::common::{Place, wait_until};

/// A place with a directory `log`.
pub fn place() -> Place {
    let place = Place::new();
    place.make_dir("log");
    place
}

/// The words `log -l DIR words`.
pub fn words<'a>(place: &Place, words: &[&'a str]) -> Vec<&'a str> {
    // A test ends before its words do; nobody minds this leak.
    let folder: &'static str = Box::leak(place.path("log").into_boxed_str());
    [&["log", "-l", folder], words].concat()
}

/// `2026-11-21T10:00:SS.000Z NAME NUMBER`, a line for each number.
pub fn lines(name: &str, numbers: std::ops::Range<u32>) -> String {
    numbers.map(|it| format!("{} {name} {it}\n", time(it))).collect()
}

/// A time on a morning, so many seconds after ten.
pub fn time(seconds: u32) -> String {
    let (minute, second) = (seconds / 60, seconds % 60);
    format!("2026-11-21T10:{minute:02}:{second:02}.000Z")
}

/// Compresses a file in its place, as going-log does.
pub fn pack(file: &Path) {
    let packed = file.with_file_name("packing");
    let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
    encoder.write_all(&fs::read(file).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::rename(&packed, format!("{}.gz", file.display())).unwrap();
    fs::remove_file(file).unwrap();
}

/// Somebody who writes a log.
pub struct Writer {
    path: String,
    file: File,
    keep: u32,
    /// How often it was renamed.
    count: u32,
}

impl Writer {
    pub fn new(place: &Place, keep: u32) -> Writer {
        let path = place.path("log/web.log");
        Writer { file: open(&path), path, keep, count: 0 }
    }

    pub fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    pub fn clear(&mut self) {
        self.file.set_len(0).unwrap();
    }

    fn backup(&self, number: u32, packed: bool) -> String {
        format!("{}.{number}{}", self.path, if packed { ".gz" } else { "" })
    }

    /// Moves the file away, but goes on writing to it.
    pub fn rename(&mut self) {
        for number in (1..=self.keep.min(self.count)).rev() {
            for packed in [false, true] {
                let from = self.backup(number, packed);
                if number == self.keep {
                    let _ = fs::remove_file(from);
                } else {
                    let _ = fs::rename(from, self.backup(number + 1, packed));
                }
            }
        }
        fs::rename(&self.path, self.backup(1, false)).unwrap();
        self.count += 1;
    }

    /// Writes to a new file from now on.
    pub fn reopen(&mut self) {
        self.file = open(&self.path);
    }

    pub fn pack(&mut self, number: u32) {
        let file = self.backup(number, false);
        if Path::new(&file).exists() {
            pack(Path::new(&file));
        }
    }
}

fn open(path: &str) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

/// A goingctl that follows; what it says goes into the files `out` and `err`.
pub struct Follower {
    child: Child,
    out: String,
    err: String,
}

impl Follower {
    pub fn new(place: &Place, args: &[&str]) -> Follower {
        let (out, err) = (place.path("out"), place.path("err"));
        let file = |path: &str| Stdio::from(File::create(path).unwrap());
        let child = command(place, args).stdout(file(&out)).stderr(file(&err)).spawn().unwrap();
        Follower { child, out, err }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    pub fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    #[track_caller]
    pub fn wait_out(&self, text: &str) {
        wait_until(&format!("{text:?} on stdout"), || self.out() == text);
    }

    #[track_caller]
    pub fn wait_end(&self, text: &str) {
        wait_until(&format!("{text:?} at the end"), || self.out().ends_with(text));
    }

    /// Waits until it sleeps, having read all there is and asked the kernel to
    /// be woken.
    #[track_caller]
    pub fn wait_idle(&self) {
        wait_until("it to wait", || {
            let wait = fs::read_to_string(format!("/proc/{}/wchan", self.pid())).unwrap();
            let fds = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().flatten();
            let has_bell = fds.into_iter().any(|fd| {
                fs::read_link(fd.path()).is_ok_and(|it| it.ends_with("anon_inode:inotify"))
            });
            has_bell && wait.contains("poll")
        });
    }

    /// Waits for its end; exit status, or minus the signal.
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let child = &mut self.child;
        wait_until("the end of goingctl", || child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}{}---", goingctl(), self.out(), self.err());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs goingctl with a pipe at its stdout, reads one line of it and hangs up;
/// the exit status.
#[track_caller]
pub fn read_one_line(place: &Place, args: &[&str]) -> i32 {
    let mut child = command(place, args).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).unwrap();
    }
    drop(stdout);
    wait_until("the end of goingctl", || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code().unwrap()
}

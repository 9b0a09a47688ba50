//! The bench of the black-box tests: a directory of services, the real program
//! keeping them, and its report, line by line. It never sleeps to wait for
//! something, but asks again until it is so, within one generous limit; and it
//! never leaves a process behind, however a test ends.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it may start programs, threads and clocks"
)]
#![allow(dead_code, unused_imports, reason = "no test file uses all of the bench")]

use std::fs::{self, File, Permissions};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

pub use nix::sys::signal::Signal;

mod needs;
mod proc;
mod report;
mod services;

pub use needs::{has, has_root, has_static_build, skip};
pub use proc::{children, is_alive, run, send, stat, status, strings, wait_comm};
use proc::{kill_marked, marked};
use report::Report;
pub use report::like;
pub use services::{running, unseen, wait_running};

/// So long a test waits for one thing: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

/// The program under test.
pub fn program() -> String {
    env::var("GOING_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_going").to_owned())
}

/// A directory of our own, with `going.d` in it.
pub struct Place {
    pub dir: PathBuf,
    pub marker: String,
}

impl Place {
    pub fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("going-test-{}-{count}", std::process::id());
        let dir = env::temp_dir().join(&marker);
        fs::create_dir(&dir).expect("a directory of our own");
        // Other users have to get in, whatever our umask is.
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let place = Place { dir, marker };
        place.make_dir("going.d");
        place
    }

    /// The path of `name` in our directory, as text.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir.display())
    }

    pub fn make_dir(&self, name: &str) {
        let path = self.dir.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// What is in the file `name`, or nothing.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// A file of any content, complete from its first moment on.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.join(name);
        let early = self.dir.join(".early");
        fs::write(&early, text).unwrap();
        fs::set_permissions(&early, Permissions::from_mode(0o644)).unwrap();
        fs::rename(&early, path).unwrap();
    }

    /// A service file, appearing in one event.
    pub fn service(&self, name: &str, text: &str) {
        self.write(&format!("going.d/{name}"), text);
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.dir.join("going.d").join(name)).unwrap();
    }

    /// A `cmd=` line for a shell script which notes the pid of each of its
    /// starts in `NAME.pids`. The script is read by a shell, not executed: a
    /// file that was just written may be busy (ETXTBSY).
    pub fn logged(&self, name: &str, script: &str) -> String {
        let file = format!("{name}.sh");
        self.write(&file, format!("echo $$ >>{}\n{script}\n", self.path(&format!("{name}.pids"))));
        format!("cmd=/bin/sh {}\n", self.path(&file))
    }

    /// The pids which the service wrote down, one a start.
    pub fn starts(&self, name: &str) -> Vec<i32> {
        let text = self.read(&format!("{name}.pids"));
        // The last line counts when it is complete.
        text.split_inclusive('\n').filter_map(|it| it.strip_suffix('\n')?.parse().ok()).collect()
    }

    /// Waits until the service was started `count` times; the last pid.
    pub fn wait_starts(&self, name: &str, count: usize) -> i32 {
        wait_until(&format!("start {count} of {name}"), || self.starts(name).len() >= count);
        self.starts(name)[count - 1]
    }

    /// Waits until the file is there and has a complete line; its text.
    pub fn wait_text(&self, name: &str) -> String {
        wait_until(&format!("a line in {name}"), || self.read(name).ends_with('\n'));
        self.read(name)
    }

    pub fn start(&self, args: &[&str]) -> Going {
        self.start_under(&[], args)
    }

    /// Starts it at the end of other words, such as `setpriv --reuid 1`.
    pub fn start_under(&self, words: &[&str], args: &[&str]) -> Going {
        let (program, confdir) = (program(), self.path("going.d"));
        // Output in one place, unless the test is about logs and says otherwise.
        let output = ["-o", "stdout=inherit"];
        let own = [&[&*program, "-d", &confdir, "--report", "stderr"][..], &output].concat();
        self.start_words(&[words, &own, args].concat())
    }

    /// Starts these words, with a run directory of its own; what they say on
    /// stderr is the report.
    pub fn start_words(&self, words: &[&str]) -> Going {
        self.start_with(words, Stdio::null())
    }

    pub fn start_with(&self, words: &[&str], stdin: Stdio) -> Going {
        let (run, log) = (self.path("run"), self.path("log"));
        // Our directory is root's: another user's going does without one.
        let is_other = words.contains(&"setpriv") || words.contains(&"script");
        let own = if is_other { vec![] } else { vec!["-r", run.as_str()] };
        let has_log = is_other || words.contains(&"-l");
        let own = if has_log { own } else { [own, vec!["-l", log.as_str()]].concat() };
        self.start_as_it_is(&[words, &own].concat(), stdin)
    }

    /// Starts these words and no others.
    pub fn start_plainly(&self, words: &[&str]) -> Going {
        self.start_as_it_is(words, Stdio::null())
    }

    fn start_as_it_is(&self, words: &[&str], stdin: Stdio) -> Going {
        let (first, rest) = words.split_first().unwrap();
        let mut child = Command::new(first)
            .args(rest)
            .env("GOING_TEST", &self.marker)
            .stdin(stdin)
            .stdout(File::create(self.dir.join("stdout")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let report = Arc::new(Report::default());
        let (stderr, writer) = (child.stderr.take().unwrap(), Arc::clone(&report));
        thread::spawn(move || writer.fill(BufReader::new(stderr)));
        Going {
            pid: i32::try_from(child.id()).unwrap(),
            child,
            report,
            next: 0,
            marker: self.marker.clone(),
        }
    }

    /// All living processes that descend from what was started here.
    pub fn processes(&self) -> Vec<i32> {
        marked(&self.marker)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        kill_marked(&self.marker);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The running program and what it has told so far.
pub struct Going {
    pub pid: i32,
    child: Child,
    report: Arc<Report>,
    next: usize,
    marker: String,
}

impl Going {
    /// Waits for a line like `pattern` (a `*` is any text) after the one that
    /// was waited for last.
    #[track_caller]
    pub fn wait_for(&mut self, pattern: &str) -> String {
        let find = |lines: &[String]| {
            let found = lines.iter().enumerate().skip(self.next).find(|it| like(pattern, it.1));
            found.map(|(index, line)| (index + 1, line.clone()))
        };
        let lines = self.report.lines.lock().unwrap();
        let waited = self.report.more.wait_timeout_while(lines, LIMIT, |it| find(it).is_none());
        // Unlocked before it may panic, or nobody could read the report.
        let found = waited.map(|(lines, _)| find(&lines));
        let Ok(Some((next, line))) = found else { panic!("waited in vain for: {pattern}") };
        self.next = next;
        line
    }

    /// Waits for all of these lines, in whatever order.
    #[track_caller]
    pub fn wait_for_all(&mut self, patterns: &[&str]) {
        let (start, mut end) = (self.next, self.next);
        for pattern in patterns {
            self.next = start;
            self.wait_for(pattern);
            end = end.max(self.next);
        }
        self.next = end;
    }

    /// Waits for the next start of the service; its pid.
    #[track_caller]
    pub fn wait_started(&mut self, name: &str) -> i32 {
        let line = self.wait_for(&format!("{name}: started (pid *)"));
        line.trim_end_matches(')').rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits for the next start of each, which may be told in any order.
    #[track_caller]
    pub fn wait_all_started<const N: usize>(&mut self, names: [&str; N]) -> [i32; N] {
        let (start, mut end) = (self.next, self.next);
        let pids = names.map(|name| {
            self.next = start;
            let pid = self.wait_started(name);
            end = end.max(self.next);
            pid
        });
        self.next = end;
        pids
    }

    /// How many lines so far are like `pattern`.
    pub fn count(&self, pattern: &str) -> usize {
        self.lines().iter().filter(|it| like(pattern, it)).count()
    }

    pub fn lines(&self) -> Vec<String> {
        self.report.lines.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }

    /// Waits for its end; the exit status, or minus the signal.
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let child = &mut self.child;
        wait_until("the end of the program", || child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }

    /// Lets it stop everything, which must go well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.wait_exit(), 0, "exit status");
        wait_until("the last line", || self.count("all services stopped") == 1);
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the report:\n{}\n---", self.lines().join("\n"));
        }
        let _ = self.child.kill();
        kill_marked(&self.marker);
        let _ = self.child.wait();
    }
}

/// Waits until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

//! Going under real inits: busybox init and sysvinit, each as process 1 of a
//! small world of its own, with the very lines of `etc/inittab`. Needs root, for
//! the namespaces and the overlay; nothing outside of them may be touched.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; it starts programs and waits for them"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// So long a test waits for one thing: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

/// In the order in which they are started.
const SERVICES: [&str; 3] = ["alpha", "beta", "gamma"];

/// An answer as soon as there is one, by asking again and again.
fn wait_for<T>(what: &str, world: &World, ask: impl Fn() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < LIMIT, "waited in vain for {what}\n{}", world.story());
        sleep(Duration::from_millis(10));
    }
}

/// One world with an init.
struct World {
    share: PathBuf,
    unshare: Child,
}

/// A process, by its number out here and its number in its world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    outer: i32,
    inner: i32,
}

/// A going that init keeps, and the service that is slow to end.
#[derive(Clone, Copy)]
struct Keeper {
    going: Process,
    slow: i32,
}

impl World {
    /// Boots `init` with these lines of inittab around those of the world.
    fn boot(name: &str, init: &Path, inittab: &str) -> World {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inits");
        let share = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inits-{name}"));
        let _ = fs::remove_dir_all(&share);
        let services = share.join("etc/going.d");
        fs::create_dir_all(&services).unwrap();
        fs::set_permissions(&services, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(share.join("etc/inittab"), inittab).unwrap();
        fs::copy(here.join("sysinit"), share.join("sysinit")).unwrap();
        fs::write(share.join("messages"), "").unwrap();
        fs::write(services.join("alpha"), "cmd=sleep 1000000\n").unwrap();
        fs::write(services.join("gamma"), "cmd=sleep 1000000\n").unwrap();
        // Takes its time to end: longer than busybox init waits by itself.
        let slow = "cmd=sh -c 'trap \"sleep 2; echo $$ >>/share/goodbye; exit 0\" TERM; \
                    echo $$ >>/share/hello; while :; do sleep 0.1; done'\n\
                    kill=process\nstop=TERM 1m\n";
        fs::write(services.join("beta"), slow).unwrap();
        for service in SERVICES {
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(services.join(service), mode).unwrap();
        }
        let going = std::env::var_os("GOING_BIN");
        let going = going.unwrap_or_else(|| env!("CARGO_BIN_EXE_going").into());
        let going = fs::canonicalize(going).expect("going is built");
        let console = fs::File::create(share.join("console")).unwrap();
        let unshare = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .arg(here.join("boot"))
            .args([share.as_os_str(), init.as_os_str(), going.as_os_str()])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .expect("unshare runs");
        World { share, unshare }
    }

    /// What syslog has, all of it.
    fn messages(&self) -> String {
        fs::read_to_string(self.share.join("messages")).unwrap_or_default()
    }

    /// The same for people, with what init had to say.
    fn story(&self) -> String {
        let console = fs::read_to_string(self.share.join("console")).unwrap_or_default();
        format!("--- console\n{console}--- syslog\n{}---", self.messages())
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/pid_for_children", self.unshare.id()))
    }

    /// All processes of the world, with the inner number of the parent.
    fn processes(&self) -> Vec<(Process, i32)> {
        let Ok(namespace) = fs::read_link(self.path()) else { return Vec::new() };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let processes = entries.filter_map(|entry| {
            let outer = entry.file_name().to_str()?.parse().ok()?;
            if fs::read_link(entry.path().join("ns/pid")).ok()? != namespace {
                return None;
            }
            Some((Process { outer, inner: field(outer, "NSpid")? }, field(outer, "PPid")?))
        });
        processes.collect()
    }

    /// The going that init keeps, other than those in `not`.
    fn going(&self, not: &[Process]) -> Process {
        wait_for("going", self, || {
            let all = self.processes();
            let init = all.iter().find(|(process, _)| process.inner == 1)?.0;
            let is_going = |&(process, parent): &(Process, i32)| {
                parent == init.outer && name(process) == "going" && !not.contains(&process)
            };
            all.into_iter().find(is_going).map(|(process, _)| process)
        })
    }

    /// Waits until the going that is not in `not` has all services running, and
    /// said so.
    fn keeper(&self, not: &[Process]) -> Keeper {
        let going = self.going(not);
        let mut pids = Vec::new();
        for service in SERVICES {
            let what = format!("{service} of {going:?}");
            let running = wait_for(&what, self, || {
                let marker = format!("GOING_SERVICE={service}");
                let all = self.processes().into_iter();
                let mut own = all.filter(|(_, parent)| *parent == going.outer);
                own.find(|(process, _)| {
                    // Not before it is what it shall be: at first it is another going.
                    name(*process) != "going" && has_variable(*process, &marker)
                })
            });
            let pid = running.0.inner;
            self.wait_for_report(going, "info", &format!("{service}: started (pid {pid})"));
            pids.push(pid);
        }
        let slow = pids[1];
        wait_for("beta to be ready", self, || self.has_line("hello", slow).then_some(()));
        Keeper { going, slow }
    }

    /// Waits until another going keeps the very services that this one kept.
    fn heir(&self, dead: Keeper) -> Keeper {
        let going = self.going(&[dead.going]);
        self.wait_for_report(going, "info", "took up 3 services, 0 died meanwhile");
        let all = self.processes();
        let slow = all.iter().find(|(process, _)| process.inner == dead.slow);
        assert!(slow.is_some_and(|(process, _)| has_variable(*process, "GOING_SERVICE=beta")));
        for service in SERVICES {
            let marker = format!("GOING_SERVICE={service}");
            let is_it = |it: &&(Process, i32)| {
                has_variable(it.0, &marker) && field(it.0.outer, "NSpgid") == Some(it.0.inner)
            };
            assert_eq!(all.iter().filter(is_it).count(), 1, "{service} runs once");
        }
        Keeper { going, slow: dead.slow }
    }

    /// Whether this process left its number in this file.
    fn has_line(&self, file: &str, pid: i32) -> bool {
        let text = fs::read_to_string(self.share.join(file)).unwrap_or_default();
        text.lines().any(|line| line == pid.to_string())
    }

    /// Waits until syslog has a line of this going, and answers where.
    fn wait_for_report(&self, going: Process, level: &str, text: &str) -> usize {
        let line = format!(" daemon.{level} going[{}]: {text}", going.inner);
        wait_for(&line, self, || self.messages().find(&line))
    }

    /// Waits until this going reported an orderly end of all services.
    fn wait_for_order(&self, keeper: Keeper) {
        let report = |text: &str| self.wait_for_report(keeper.going, "info", text);
        let mut places = vec![report("SIGTERM: stopping 3 services")];
        for service in SERVICES.iter().rev() {
            places.push(report(&format!("{service}: stopping (SIGTERM")));
        }
        places.push(report("beta: stopped after"));
        places.push(report("all services stopped"));
        assert!(places.is_sorted(), "{places:?}\n{}", self.story());
        let has_had_its_time = self.has_line("goodbye", keeper.slow);
        assert!(has_had_its_time, "beta did not have its time\n{}", self.story());
    }

    /// Runs a command in there.
    fn run(&self, words: &[&str]) -> ExitStatus {
        let all = self.processes();
        let init = all.iter().find(|(process, _)| process.inner == 1).expect("an init").0;
        let target = init.outer.to_string();
        Command::new("nsenter")
            .args(["--target", &target, "--mount", "--pid", "--root", "--wd"])
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .status()
            .expect("nsenter runs")
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.unshare.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < LIMIT, "the world did not end\n{}", self.story());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its child is init, which dies with it, and all others with init.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// The last number of a field of `/proc/PID/status`: the innermost.
fn field(outer: i32, name: &str) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{outer}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next_back()?.parse().ok()
}

fn name(process: Process) -> String {
    let name = fs::read_to_string(format!("/proc/{}/comm", process.outer));
    name.unwrap_or_default().trim_end().to_owned()
}

fn has_variable(process: Process, variable: &str) -> bool {
    let environ = fs::read(format!("/proc/{}/environ", process.outer)).unwrap_or_default();
    environ.split(|&byte| byte == 0).any(|it| it == variable.as_bytes())
}

fn signal(process: Process, signal: Signal) {
    kill(Pid::from_raw(process.outer), signal).expect("the process is there");
}

/// Says loudly that a test is not run, past the capture of the test runner; in
/// CI that is a failure.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "may not be skipped in CI: {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Whether a command is there and succeeds.
fn works(words: &[&str]) -> bool {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Why there can be no worlds here, if so.
fn hindrance() -> Option<&'static str> {
    if !Uid::effective().is_root() {
        return Some("inits need root, for a world of their own");
    }
    if !works(&["busybox", "true"]) {
        return Some("inits need busybox-static");
    }
    if !works(&["unshare", "--mount", "--pid", "--fork", "--kill-child", "true"]) {
        return Some("inits need namespaces, and unshare(1) may not make them");
    }
    None
}

fn find(command: &str) -> PathBuf {
    let output = Command::new("sh").args(["-c", &format!("command -v {command}")]).output();
    PathBuf::from(String::from_utf8(output.unwrap().stdout).unwrap().trim_end())
}

/// The init of Debian's sysvinit-core, unpacked and not installed.
fn sysvinit() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sysvinit-core");
    let init = folder.join("sbin/init");
    if init.exists() {
        return Some(init);
    }
    fs::create_dir_all(&folder).unwrap();
    // The user of apt's sandbox has no access to the folder.
    let fetch = "get() { apt-get -qq -o APT::Sandbox::User=root \"$@\"; }
                 get download sysvinit-core || { get update && get download sysvinit-core; } &&
                 dpkg -x sysvinit-core_*.deb .";
    let status = Command::new("sh").args(["-c", fetch]).current_dir(&folder).status();
    (status.is_ok_and(|it| it.success()) && init.exists()).then_some(init)
}

/// The lines of `etc/inittab` that hold for one of the inits: those of sysvinit
/// are lines, those of busybox stand in comments.
fn example_lines(is_wanted: impl Fn(&str) -> bool) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/inittab");
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| is_wanted(line)).collect();
    assert!(!lines.is_empty(), "no example lines in etc/inittab");
    lines.join("\n") + "\n"
}

/// What is the same under every init: going is kept, whatever becomes of it, and
/// keeps its services. Answers with the going that is there at the end.
fn live(world: &World) -> Keeper {
    let first = world.keeper(&[]);

    signal(first.going, Signal::SIGKILL);
    let second = world.heir(first);

    signal(second.going, Signal::SIGTERM);
    world.wait_for_order(second);
    world.keeper(&[first.going, second.going])
}

#[test]
fn busybox_init_keeps_going_going_and_ends_it_in_order() {
    if let Some(why) = hindrance() {
        return skip(why);
    }
    let lines = example_lines(|line| line.starts_with("#::")).replace('#', "");
    assert!(lines.contains("::respawn:/usr/sbin/going\n"), "{lines}");
    assert!(lines.contains("::shutdown:"), "{lines}");
    let inittab = format!("::sysinit:/share/sysinit\n{lines}");
    let mut world = World::boot("busybox", &find("busybox"), &inittab);
    let keeper = live(&world);

    assert!(world.run(&["busybox", "halt"]).success());
    let status = world.wait_for_end();
    world.wait_for_order(keeper);
    // A world that is halted ends with the SIGINT which reboot(2) tells.
    assert_eq!(status.signal().or(status.code().map(|code| code - 128)), Some(2), "{status:?}");
}

#[test]
fn sysvinit_keeps_going_going_and_ends_it_in_order() {
    if let Some(why) = hindrance() {
        return skip(why);
    }
    let Some(init) = sysvinit() else {
        return skip("sysvinit-core cannot be fetched with apt-get download");
    };
    let lines = example_lines(|line| !line.starts_with('#') && !line.is_empty());
    assert!(lines.contains(":respawn:/usr/sbin/going\n"), "{lines}");
    let inittab = format!(
        "id:2:initdefault:\nsi::sysinit:/share/sysinit\n{lines}\
         l0:0:wait:/usr/bin/touch /share/level-0\n"
    );
    let world = World::boot("sysvinit", &init, &inittab);
    let keeper = live(&world);

    // Longer than any machine needs, where its default is 3 seconds.
    assert!(world.run(&["telinit", "-t", "120", "0"]).success());
    wait_for("runlevel 0", &world, || world.share.join("level-0").exists().then_some(()));
    world.wait_for_order(keeper);
    let mut rest = world.processes().into_iter();
    assert_eq!(rest.find(|(process, _)| name(*process) == "going"), None, "{}", world.story());
}

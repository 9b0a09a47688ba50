//! What must be so: at any moment, when nothing is done for a while, and at the end.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::common::{is_alive, stat, status, strings, wait_until};
use crate::kinds::{Kind, Restless, Talker};
use crate::world::{Main, World};

/// So long the world has to come to rest: no machine is that slow.
const LIMIT: Duration = Duration::from_secs(60);

/// What is wrong for so long is wrong.
const MOMENT: Duration = Duration::from_secs(5);

/// What going may have gained at a rest over the first one: some watches and clients.
const DESCRIPTORS_MORE: usize = 16;

/// Beyond three times as much as at the first rest, kB: its heap has been through a lot,
/// and holds on to some of it.
const MEMORY_MORE: u64 = 128;

/// How a time looks.
const STAMP: &str = "2026-11-21T23:16:26.748Z";

impl World {
    /// The main processes of all services, by the processes there are.
    fn mains(&self) -> BTreeMap<String, Vec<Main>> {
        let mut all = crate::mains::mains(&self.place);
        all.remove("going-log");
        // Errands lead a session, too.
        for mains in all.values_mut() {
            mains.retain(|it| {
                !strings(it.0, "environ").iter().any(|it| it.starts_with("GOING_ERRAND="))
            });
        }
        all
    }

    /// At any moment: nothing runs twice, and what nothing was done to is as it was. A
    /// child that was forked a moment ago ends before it becomes its program, or is one
    /// process with two numbers for a moment, so that it is looked at again.
    #[track_caller]
    pub fn audit(&mut self) {
        let first = self.violations();
        if first.is_empty() {
            return;
        }
        // What is really wrong stays so.
        let (mut wrong, start) = (first, Instant::now());
        while !wrong.is_empty() && start.elapsed() < MOMENT {
            std::thread::yield_now();
            let now = self.violations();
            wrong.retain(|it| now.contains(it));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn violations(&self) -> Vec<String> {
        let all = self.mains();
        let mut wrong = Vec::new();
        for (name, mains) in &all {
            let is_forking = self.services.get(name).is_some_and(|it| it.kind == Kind::Forking);
            // Its parent is one as long as it is there.
            if mains.len() > 1 && !is_forking {
                wrong.push(format!("{name} runs twice: {mains:?}"));
            }
        }
        for (name, known) in &self.services {
            let Some(main) = &known.main else { continue };
            if all.get(name).is_none_or(|it| !it.contains(main)) {
                wrong.push(format!("{name} should be {main:?} and is {:?}", all.get(name)));
            }
        }
        wrong
    }

    /// What is not as it should be when nothing is done any more.
    fn unrest(&self) -> Vec<String> {
        let mut wrong = self.violations();
        let all = self.mains();
        let answer = self.ask_once(&["command=status"]).unwrap_or_default();
        let states = states(&answer);
        for name in all.keys().filter(|it| !self.services.contains_key(*it)) {
            wrong.push(format!("{name} is no service any more and runs: {:?}", all[name]));
        }
        for (name, known) in &self.services {
            let mains = all.get(name).map_or(&[][..], Vec::as_slice);
            let runs = known.kind.runs() && (known.is_wanted || known.kind == Kind::Deaf);
            if known.kind != Restless && mains.len() != usize::from(runs) {
                wrong.push(format!("{name} ({:?}) runs as {mains:?}", known.kind));
            }
            let is_newest = |it: &Main| {
                let version = format!("VERSION={}", known.version);
                strings(it.0, "environ").contains(&version)
            };
            if runs && !mains.iter().all(is_newest) {
                wrong.push(format!("{name} is not of version {}", known.version));
            }
            let state = if known.is_wanted || known.kind == Kind::Deaf {
                known.kind.state()
            } else {
                "down"
            };
            let (pid, is) = states.get(name).cloned().unwrap_or_default();
            if known.kind != Restless && is != state {
                wrong.push(format!("{name} is said to be {is:?} and should be {state:?}"));
            }
            if runs && mains.first().is_some_and(|it| it.0.to_string() != pid) {
                wrong.push(format!("{name} is said to be pid {pid} and is {mains:?}"));
            }
        }
        for name in states.keys().filter(|it| !self.services.contains_key(*it)) {
            if name != "going-log" {
                wrong.push(format!("{name} is still known"));
            }
        }
        for pid in crate::common::children(self.pid()) {
            if stat(pid).is_some_and(|it| it[0] == "Z") {
                wrong.push(format!("zombie {pid}"));
            }
        }
        wrong
    }

    /// Waits until all is as it should be and looks at all that can be seen then.
    #[track_caller]
    pub fn come_to_rest(&mut self) {
        self.tell("rest".to_owned());
        let pid = self.pid();
        let (mut wrong, start) = (self.unrest(), Instant::now());
        while !wrong.is_empty() && start.elapsed() < LIMIT {
            assert!(is_alive(pid), "going died: {:?}", self.going().wait_exit());
            std::thread::sleep(Duration::from_millis(20));
            wrong = self.unrest();
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        let all = self.mains();
        let mut more = Vec::new();
        for (name, known) in &mut self.services {
            if known.kind != Restless {
                known.main = all.get(name).map(|it| it[0].clone());
            }
            let starts = noted(&self.place.read(&format!("{name}.starts")));
            // What is done is not done again, and what is held stays so.
            if known.starts > 0 && starts != known.starts {
                more.push(format!("{name} was run {starts} times, not {}", known.starts));
            }
            known.starts = starts;
        }
        assert!(more.is_empty(), "{more:#?}");
        self.removed.clear();
        self.look_at_going();
    }

    /// Nothing is leaked, in going or into services.
    #[track_caller]
    fn look_at_going(&mut self) {
        let pid = self.pid();
        let count = || fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let running = self.services.values().filter(|it| it.main.is_some()).count();
        // One that was taken up is watched through one more.
        let most = self.first.map_or(usize::MAX, |it| it.0 + running + DESCRIPTORS_MORE);
        wait_until("going to have few descriptors", || count() <= most);
        let memory = private(pid);
        let (_, before) = *self.first.get_or_insert((count(), memory));
        let limit = before * 3 + MEMORY_MORE;
        assert!(memory <= limit, "private {memory} kB of {limit}");
        let plain = self.services.iter().filter(|it| it.1.kind == Kind::Plain);
        for (name, known) in plain.filter(|it| it.1.main.is_some()) {
            let pid = known.main.as_ref().unwrap().0;
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            assert_eq!(fds, 3, "{name} has descriptors that are not its own");
            assert_eq!(status(pid, "SigBlk"), "0000000000000000", "{name}");
        }
    }

    /// Ends all of it, in order, and reads what was logged.
    pub fn end(mut self) {
        self.come_to_rest();
        // Who is deaf would not hear.
        self.going().signal(crate::common::Signal::SIGTERM);
        let path = self.place.path("report");
        wait_until("the order to be heard", || {
            fs::read_to_string(&path).is_ok_and(|it| it.contains("SIGTERM: stopping"))
        });
        self.going().signal(crate::common::Signal::SIGTERM);
        assert_eq!(self.going().wait_exit(), 0);
        wait_until("all to be gone", || self.mains().is_empty());
        let names: Vec<_> = self.services.iter().filter(|it| it.1.kind == Talker).collect();
        let names: Vec<_> = names.into_iter().map(|it| it.0.clone()).collect();
        for name in names {
            self.read_log(&name);
        }
    }

    /// Each run counted from one on, and no line is missing, doubled or torn.
    #[track_caller]
    fn read_log(&self, name: &str) {
        let text = self.place.read(&format!("log/{name}.log"));
        let mut next = BTreeMap::<i32, u64>::new();
        let mut count = 0;
        for line in text.lines().filter(|it| !it.contains("--- ")) {
            let words = unstamped(line).split_once(' ');
            let words = words.map(|(pid, number)| (pid.parse(), number.parse()));
            let Some((Ok(pid), Ok(number))) = words else {
                panic!("{name}: a torn line: {line:?}");
            };
            let number: u64 = number;
            let expected = next.entry(pid).or_insert(1);
            assert_eq!(number, *expected, "{name}: a line of pid {pid} is not there once");
            *expected += 1;
            count += 1;
        }
        assert!(count > 100, "{name}: only {count} lines");
    }
}

/// A line without its time. It has one while neither going nor going-log knows the file
/// that says otherwise: both were killed, and the file cannot be read.
fn unstamped(line: &str) -> &str {
    let stamp = line.split_once("Z ").filter(|(stamp, _)| stamp.len() == STAMP.len() - 1);
    stamp.map_or(line, |(_, rest)| rest)
}

/// Pid and state of each service, of a reply.
fn states(answer: &str) -> BTreeMap<String, (String, String)> {
    let mut all = BTreeMap::new();
    for block in answer.split("\n\n") {
        let get = |key: &str| {
            let line = block.lines().find_map(|it| it.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        if !get("service").is_empty() {
            all.insert(get("service"), (get("pid"), get("state")));
        }
    }
    all
}

/// How many starts are written there.
fn noted(text: &str) -> usize {
    text.lines().count()
}

/// What a process has written to, in kB.
fn private(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix("Private_Dirty:"));
    line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

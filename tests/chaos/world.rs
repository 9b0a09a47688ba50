//! What there is: services, of which it is known how they should be, and the one going
//! that keeps them, started again by us as init would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Going, Place, has_root, is_alive, program, run, wait_until};
use crate::kinds::{self, Deaf, Kind};

/// So many of the last deeds are told when something is wrong.
const STORY: usize = 60;

/// Xorshift: what it leads to can be had once more by its seed.
pub struct Dice(u32);

impl Dice {
    pub fn roll(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % below
    }
}

/// A process: its pid, and when it was born.
pub type Main = (i32, String);

/// What is known of a service.
pub struct Known {
    pub kind: Kind,
    pub version: u32,
    pub is_wanted: bool,
    /// The process that it must be, if nothing was done to it.
    pub main: Option<Main>,
    /// Notes of starts it had made.
    pub starts: usize,
}

/// A file system of its own for the run directory, which can be full.
pub struct Disk;

impl Disk {
    pub fn new() -> Option<Disk> {
        has_root().then_some(Disk)
    }
}

pub struct World {
    pub place: Place,
    pub dice: Dice,
    pub seed: u32,
    pub services: BTreeMap<String, Known>,
    /// Who was put down, and then removed since the last rest.
    pub removed: BTreeSet<String>,
    pub disk: Option<Disk>,
    /// All that ever were; the last one is there. The end of one of these is that of
    /// all that is marked alike, so they are kept.
    pub goings: Vec<Going>,
    pub story: VecDeque<String>,
    /// What going had at the first rest: descriptors, private memory in kB.
    pub first: Option<(usize, u64)>,
}

impl World {
    /// So many times the smallest world there is.
    pub fn new(seed: u32, size: u32, disk: Option<Disk>) -> World {
        eprintln!("CHAOS_SEED={seed}");
        let place = Place::new();
        kinds::write_scripts(&place);
        place.make_dir("run");
        if disk.is_some() {
            let words = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs"];
            let run_dir = place.path("run");
            assert!(run(&[&words[..], &[&run_dir]].concat()).status.success(), "can't mount");
        }
        let mut world = World {
            place,
            dice: Dice(seed | 1),
            seed,
            services: BTreeMap::new(),
            removed: BTreeSet::new(),
            disk,
            goings: Vec::new(),
            story: VecDeque::new(),
            first: None,
        };
        world.install();
        for (kind, count) in kinds::ALL {
            for number in 0..count * size {
                let name = format!("{}-{number}", format!("{kind:?}").to_lowercase());
                world.write_new(&name, kind);
            }
        }
        world.start_going();
        // Who is deaf must have closed its ears before it is told.
        let names = world.services.iter().filter(|it| it.1.kind == Deaf);
        let names: Vec<_> = names.map(|it| it.0.clone()).collect();
        for name in names {
            let file = format!("{name}.starts");
            wait_until("the ears to be closed", || !world.place.read(&file).is_empty());
            world.order(&["command=stop", &format!("name={name}")]);
            world.services.get_mut(&name).unwrap().is_wanted = false;
        }
        world.come_to_rest();
        world
    }

    /// The programs, as files that nobody executes yet.
    pub fn install(&self) {
        let program = program();
        let directory = program.rsplit_once('/').unwrap().0;
        for name in ["going", "going-log"] {
            let (early, path) = (self.place.path(".program"), self.place.path(name));
            let from =
                if name == "going" { program.clone() } else { format!("{directory}/{name}") };
            assert!(run(&["install", "-m", "755", &from, &early]).status.success());
            fs::rename(early, path).unwrap();
        }
    }

    /// Puts something else in the place of going.
    pub fn install_garbage(&self, text: &str) {
        let early = self.place.path(".program");
        fs::write(&early, text).unwrap();
        fs::set_permissions(&early, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(early, self.place.path("going")).unwrap();
    }

    pub fn start_going(&mut self) {
        let path = |name| self.place.path(name);
        let (going, confdir, run) = (path("going"), path("going.d"), path("run"));
        let (log, report) = (path("log"), format!("file:{}", path("report")));
        let words = [&going, "-d", &confdir, "-r", &run, "-l", &log, "--report", &report];
        let options = ["-v", "-o", "stdout=null", "-o", "log-size=1G"];
        let going = self.place.start_plainly(&[&words[..], &options].concat());
        self.goings.push(going);
    }

    pub fn going(&mut self) -> &mut Going {
        self.goings.last_mut().unwrap()
    }

    pub fn pid(&self) -> i32 {
        self.goings.last().unwrap().pid
    }

    /// Notes what is done, to be told if it leads to something wrong.
    pub fn tell(&mut self, what: String) {
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        self.story.push_back(what);
    }

    pub fn write_new(&mut self, name: &str, kind: Kind) {
        let text = kind.text(&self.place, name, 0);
        self.place.service(name, &text);
        let known = Known { kind, version: 0, is_wanted: true, main: None, starts: 0 };
        self.services.insert(name.to_owned(), known);
    }

    /// One of those which may be moved.
    pub fn choose(&mut self) -> Option<String> {
        let names: Vec<_> = self.services.iter().filter(|it| it.1.kind.is_movable()).collect();
        let number = self.dice.roll(u32::try_from(names.len()).ok()?);
        names.get(usize::try_from(number).ok()?).map(|it| it.0.clone())
    }

    /// Spins for a moment that no clock of ours measures: a sleep would always end at
    /// the same place of the loop.
    pub fn dawdle(&mut self) {
        let most = if self.dice.roll(4) == 0 { 20_000_000 } else { 1_000_000 };
        for _ in 0..self.dice.roll(most) {
            std::hint::spin_loop();
        }
    }

    /// Has going do something, again if it was not there to answer.
    #[track_caller]
    pub fn order(&mut self, lines: &[&str]) -> String {
        let mut answer = String::new();
        wait_until(&format!("an answer to {lines:?}"), || {
            answer = self.ask_once(lines).unwrap_or_default();
            !answer.is_empty() || !is_alive(self.pid())
        });
        answer
    }

    /// The whole answer, if there is one.
    pub fn ask_once(&self, lines: &[&str]) -> Option<String> {
        use std::io::{Read, Write};
        let path = self.place.path("run/control");
        let mut stream = std::os::unix::net::UnixStream::connect(path).ok()?;
        let limit = Some(std::time::Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        stream.write_all(crate::client::request(lines).as_bytes()).ok()?;
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.contains("result=").then_some(text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let deeds: Vec<_> = self.story.iter().map(String::as_str).collect();
            eprintln!("--- CHAOS_SEED={}; done last:\n{}", self.seed, deeds.join("\n"));
            let report = self.place.read("report");
            let is_worth_it = |it: &&str| !it.contains("restless-");
            let lines: Vec<_> = report.lines().filter(is_worth_it).collect();
            let last = lines.get(lines.len().saturating_sub(150)..).unwrap_or_default();
            eprintln!("--- the end of the report:\n{}\n---", last.join("\n"));
            if let Ok(kept) = std::env::var("CHAOS_KEEP") {
                let _ = run(&["cp", "-a", &self.place.path("."), &kept]);
            }
        }
        // Before its place is removed.
        self.goings.clear();
        if self.disk.is_some() {
            run(&["umount", "-l", &self.place.path("run")]);
        }
    }
}

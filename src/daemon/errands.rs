//! Errands: commands that are run beside a service and are none of it. Each is
//! prepared as the service is, and has a session and a time limit of its own; going
//! never waits for one, and keeps of its output only the end. When its command has
//! ended, or its time is over, all of its process group is killed.
//!
//! An errand carries `GOING_ERRAND` in its environment, and is told from the service
//! by its pid. One that outlives going is nobody's: what it would have told nobody
//! wants to know any more, and the next going treats it as a part of the service.

mod hooks;

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::{pipe2, read};

use super::report::{Level, report};
use super::{Daemon, spawn, tasks, tell};
use crate::config::hooks::Hook;
use crate::config::{Signal, Spec, Stream, parse};
use crate::supervise::{Exit, Fault, Moment, Pid, Service, Step};
use crate::sys::child::{self, Word};
use crate::sys::streams::Source;
use crate::sys::{fds, processes};

/// More of one kind at once would be a load of their own; the others wait.
const AT_ONCE: usize = 16;

/// Those that wait may take so much memory, in bytes: a few hundred orders.
const WAITING_MAX: usize = 64 * 1024;

/// In bytes, of what an errand said: enough for the reason it failed.
const TAIL: usize = 1024;

/// What an errand has written can be this much at once, in reads.
const READS: usize = 32;

/// Somebody who asks another machine waits this long at most.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// So long a service may take to say whether it is ready: then it is asked anew.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// What outlives KILL is killed again after this long.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To tell what became of a service.
    Hook(Hook),
    /// To see whether it is well.
    Health,
    /// To see whether it is ready.
    Ready,
}

/// A command that is to be run.
pub(super) struct Order {
    purpose: Purpose,
    service: Box<str>,
    /// The service's file, which may be gone by then.
    text: Box<[u8]>,
    /// Variables, one a line.
    facts: Box<str>,
}

/// A command that runs.
struct Errand {
    purpose: Purpose,
    service: Box<str>,
    pid: Pid,
    /// Tells why it never ran.
    ear: OwnedFd,
    /// What it says.
    voice: OwnedFd,
    tail: Vec<u8>,
    /// There was more to read than one turn has time for.
    has_more: bool,
    kill_at: Moment,
    is_late: bool,
    /// Nobody wants to know any more how it ends.
    is_cancelled: bool,
}

/// How an errand ended.
pub(super) enum End {
    /// By itself.
    Exit(Exit),
    /// It took too long.
    Late,
    /// It never ran.
    Fault(Fault),
}

/// All errands.
#[derive(Default)]
pub(super) struct Errands {
    running: Vec<Errand>,
    waiting: VecDeque<Order>,
    /// How many were not even kept waiting.
    lost: usize,
}

impl Purpose {
    /// The key with its command, which is also what the errand is told it is for.
    fn key(self) -> &'static str {
        match self {
            Purpose::Hook(hook) => hook.key(),
            Purpose::Health => "health",
            Purpose::Ready => "ready",
        }
    }

    /// Its command.
    fn words(self, spec: &Spec) -> Vec<String> {
        match self {
            Purpose::Hook(hook) => hook.words(spec).to_vec(),
            Purpose::Health => spec.health.clone(),
            Purpose::Ready => spec.ready.clone(),
        }
    }

    /// How long it may take.
    fn limit(self, spec: &Spec) -> Duration {
        match self {
            Purpose::Hook(_) => HOOK_TIMEOUT,
            Purpose::Health => spec.policy.care.minding.health_timeout,
            Purpose::Ready => READY_TIMEOUT,
        }
    }

    /// Whether both take turns with each other.
    fn is_like(self, other: Purpose) -> bool {
        match (self, other) {
            (Purpose::Hook(_), Purpose::Hook(_)) => true,
            (one, other) => one == other,
        }
    }
}

impl Order {
    /// An errand for a service as it is now.
    pub(super) fn new(purpose: Purpose, service: &Service, facts: String) -> Order {
        let text = service.definition.text.clone();
        Order { purpose, service: service.name.clone(), text, facts: facts.into() }
    }

    fn size(&self) -> usize {
        self.text.len() + self.facts.len() + self.service.len() + size_of::<Order>()
    }
}

impl Errand {
    fn token(&self) -> Token {
        // No child of ours has another's number, and none has a small one.
        Token(usize::try_from(self.pid.0).unwrap_or(usize::MAX))
    }

    /// Reads what it said, and keeps the end of it.
    fn listen(&mut self) {
        let mut buffer = [0; 2048];
        self.has_more = false;
        for _ in 0..READS {
            match read(&self.voice, &mut buffer) {
                Ok(length) if length > 0 => {
                    self.tail.extend(buffer.iter().take(length));
                    let excess = self.tail.len().saturating_sub(TAIL);
                    self.tail.drain(..excess);
                }
                Ok(_) | Err(_) => return,
            }
        }
        self.has_more = true;
    }

    fn kill(&self) {
        // Before setsid(2) it is in no group of its own.
        let _ = processes::signal_group(self.pid, Signal::KILL)
            .or_else(|_| processes::signal(self.pid, Signal::KILL));
    }
}

impl Errands {
    /// Whether this process is one of them.
    pub(super) fn has(&self, pid: Pid) -> bool {
        self.running.iter().any(|it| it.pid == pid)
    }

    /// When one of them has taken too long.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let at = |it: &Errand| if it.has_more { now } else { it.kill_at };
        self.running.iter().map(at).min()
    }

    /// Whether there is room for one more: of each kind one a service, and not too many.
    fn has_room(&self, order: &Order) -> bool {
        let is_same = |it: &Errand| it.purpose == order.purpose && *it.service == *order.service;
        let alike = self.running.iter().filter(|it| it.purpose.is_like(order.purpose));
        alike.count() < AT_ONCE && !self.running.iter().any(is_same)
    }

    /// Ends one that nobody needs any more.
    pub(super) fn cancel(&mut self, purpose: Purpose, service: &str) {
        self.waiting.retain(|it| it.purpose != purpose || *it.service != *service);
        let is_it = |it: &&mut Errand| it.purpose == purpose && *it.service == *service;
        for errand in self.running.iter_mut().filter(is_it) {
            errand.is_cancelled = true;
            errand.kill();
        }
    }

    /// The next that waits and need not any more.
    fn next(&mut self) -> Option<Order> {
        let index = self.waiting.iter().position(|order| self.has_room(order))?;
        self.waiting.remove(index)
    }
}

impl Daemon {
    /// Has a command run, now or when there is room.
    pub(super) fn send_errand(&mut self, order: Order) {
        if self.errands.has_room(&order) {
            return self.begin_errand(&order);
        }
        let size = self.errands.waiting.iter().map(Order::size).sum::<usize>() + order.size();
        if size <= WAITING_MAX {
            return self.errands.waiting.push_back(order);
        }
        if order.purpose == Purpose::Ready {
            return self.hear_asked(&order.service, &End::Late, "");
        }
        if order.purpose == Purpose::Health {
            // There is another one soon.
            let busy = Fault { step: Step::Fork, errno: libc::EAGAIN };
            return self.end_errand(order.purpose, &order.service, &End::Fault(busy), &[]);
        }
        if self.errands.lost == 0 {
            let (name, key) = (&order.service, order.purpose.key());
            let why = "too many are waiting already";
            report!(self.reporter, Level::Warning, "{name}: {key} is not run: {why}");
        }
        self.errands.lost += 1;
    }

    fn begin_errand(&mut self, order: &Order) {
        match self.spawn_errand(order) {
            Ok(errand) => {
                let raw = errand.voice.as_raw_fd();
                let (registry, interest) = (self.poll.registry(), Interest::READABLE);
                // Without it, it is heard when it has ended.
                let _ = registry.register(&mut SourceFd(&raw), errand.token(), interest);
                self.errands.running.push(errand);
            }
            Err(fault) => self.end_errand(order.purpose, &order.service, &End::Fault(fault), &[]),
        }
    }

    fn spawn_errand(&mut self, order: &Order) -> Result<Errand, Fault> {
        let failed = Fault { step: Step::Parse, errno: libc::EINVAL };
        let mut spec = parse(&order.text, &self.defaults).map_err(|_| failed)?;
        let limit = order.purpose.limit(&spec);
        spec.cmd = order.purpose.words(&spec);
        (spec.stdin, spec.stdout, spec.stderr) = (Stream::Null, Stream::Null, Stream::Stdout);
        let mut program = spawn::prepare(&order.service, &spec)?;
        tasks::put_facts(&mut program, &order.facts);
        let owner = program.identity.as_ref().map(|it| (it.uid.as_raw(), it.gid.as_raw()));
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let broken = |error: io::Error| Fault {
            step: Step::Pipe,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        };
        let (voice, theirs) = pipe2(flags).map_err(|errno| broken(errno.into()))?;
        let theirs = fds::reopen_pipe(theirs, owner).map_err(broken)?;
        let [_, stdout, _] = &mut program.streams;
        *stdout = Source::Descriptor(theirs.as_raw_fd());
        let register = self.legacy.register_errand(&order.service, &mut program);
        program.envp.extend(CString::new(format!("GOING_ERRAND={}", order.purpose.key())));
        let (pid, ear) = child::spawn(&program, self.null.as_fd(), Some(&register))?;
        Ok(Errand {
            purpose: order.purpose,
            service: order.service.clone(),
            pid,
            ear,
            voice,
            tail: Vec::new(),
            has_more: false,
            kill_at: self.now.after(limit),
            is_late: false,
            is_cancelled: false,
        })
    }

    /// Hears the errands, and kills those whose time is over.
    pub(super) fn look_after_errands(&mut self) {
        for errand in &mut self.errands.running {
            if errand.has_more || self.heard.contains(&errand.token().0) {
                errand.listen();
            }
            if errand.kill_at <= self.now {
                errand.kill();
                (errand.is_late, errand.kill_at) = (true, self.now.after(KILL_AGAIN));
            }
        }
    }

    /// A child died that is no service; whether it was an errand.
    pub(super) fn reap_errand(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(index) = self.errands.running.iter().position(|it| it.pid == pid) else {
            return false;
        };
        let mut errand = self.errands.running.swap_remove(index);
        // What it started is over with it. While somebody of it lives, nobody else's
        // group has this number.
        let _ = processes::signal_group(pid, Signal::KILL);
        errand.listen();
        let _ = self.poll.registry().deregister(&mut SourceFd(&errand.voice.as_raw_fd()));
        let mut word = child::hear(errand.ear.as_fd());
        while let Some(Word::Lack(_)) = word {
            word = child::hear(errand.ear.as_fd());
        }
        let end = match word {
            Some(Word::Fault(fault)) => End::Fault(fault),
            _ if errand.is_late => End::Late,
            Some(Word::Executed | Word::Lack(_)) | None => End::Exit(exit),
        };
        if !errand.is_cancelled {
            self.end_errand(errand.purpose, &errand.service, &end, &errand.tail);
        }
        while let Some(order) = self.errands.next() {
            self.begin_errand(&order);
        }
        self.tell_lost();
        true
    }

    /// Tells how many orders were lost, when there is room again.
    fn tell_lost(&mut self) {
        let lost = self.errands.lost;
        if lost > 0 && self.errands.waiting.is_empty() {
            self.errands.lost = 0;
            report!(self.reporter, Level::Warning, "{lost} commands were not run, too many waited");
        }
    }

    /// What follows from the end of an errand.
    fn end_errand(&mut self, purpose: Purpose, name: &str, end: &End, tail: &[u8]) {
        let mut why = match end {
            End::Exit(Exit::Code(0)) => String::new(),
            End::Exit(exit) => tell::ended(*exit),
            End::Late => "took too long".to_owned(),
            End::Fault(fault) => {
                let slot = self.supervisor.find(name);
                let mut spec = slot.and_then(|slot| self.spec(slot)).unwrap_or_default();
                spec.cmd = purpose.words(&spec);
                spawn::explain(*fault, &spec).0
            }
        };
        let said = words(tail);
        // What it said last is most likely the reason.
        let last = said.rsplit("; ").next().filter(|last| !why.is_empty() && !last.is_empty());
        let mut all = why.clone();
        if !said.is_empty() {
            all.push_str(": ");
            all.push_str(&said);
        }
        if let Some(last) = last {
            why.push_str(": ");
            why.push_str(last);
        }
        match purpose {
            Purpose::Hook(_) if why.is_empty() => {}
            Purpose::Hook(hook) => {
                let key = hook.key();
                report!(self.reporter, Level::Warning, "{name}: {key} failed ({why})");
            }
            Purpose::Health => self.hear_health(name, end, &why, all),
            Purpose::Ready => self.hear_asked(name, end, &why),
        }
    }
}

/// All that is kept of what an errand said, as one line.
fn words(tail: &[u8]) -> String {
    let mut words = String::new();
    for it in String::from_utf8_lossy(tail).chars() {
        if it == '\n' && !words.is_empty() && !words.ends_with("; ") {
            words.push_str("; ");
        } else if !it.is_control() {
            words.push(it);
        }
    }
    if words.ends_with("; ") {
        words.truncate(words.len() - 2);
    }
    words
}

//! What the next going must know of a service, as bytes of a fixed size, and back.
//! Reading must be total: a file that was torn, damaged or made up may cost us
//! its records, but never a panic, a guess or a place beyond them.
//!
//! A record has two halves, written by two hands. Its life is written by going,
//! with each change; its birth by the child itself before it becomes its
//! program, so that there is no moment in which a service runs unrecorded.

use std::time::Duration;

use super::bytes::{Reader, Writer, checksum, seal, unseal};
use super::facts::{Death, Definition, Exit, Fault, Job, Moment, Pid, Step, Strike};
use super::service::Service;
use super::state::{Stage, State, Stay, Want};
use super::verdict::{History, REMEMBERED};
use crate::config::names::{self, NAME_MAX, Name};
use crate::config::{Policy, Signal};

/// In bytes. It divides a page, so that a write is in the file or is not.
pub const SIZE: usize = 512;

/// Where in a record the birth begins.
pub const BIRTH_AT: usize = 448;

/// How long it is.
pub const BIRTH_SIZE: usize = 64;

/// Above which bit of the pid the job stands.
const JOB_AT: u32 = 24;

/// Changes with the form of the header or of a record.
pub const VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"going\0st";

/// So many times of death are kept for `burst`: what fits. Longer bursts are
/// noticed later after going's own death.
const BURST_MAX: usize = 44;

/// The head of a state file: whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which boot of the machine (/proc/sys/kernel/random/boot_id).
    pub boot: [u8; 16],
    /// Which PID namespace, by the number of its inode.
    pub namespace: u64,
    /// The going that writes it.
    pub writer: Pid,
    /// When that going was started, in ticks since boot.
    pub started: u64,
}

/// Which process is a service's, and of what it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// The process.
    pub pid: Pid,
    /// What it is to the service.
    pub job: Job,
    /// It was forked in one of these ticks since boot; the pid alone may be
    /// another's by now.
    pub born: (u64, u64),
    /// The digest of the file's text.
    pub text: u64,
    /// The digest of the values that a running process cannot change.
    pub values: u64,
    /// The numbers of the pipes that are its three streams; 0 for none.
    pub pipes: [u64; 3],
}

/// One service as it was written down.
#[derive(Debug, Clone)]
pub struct Record {
    /// The service, its definition missing.
    service: Box<Service>,
}

/// What the life of a record can turn out to be.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Nobody's.
    Free,
    /// Damaged.
    Broken,
    /// A service's.
    Life(Record),
}

impl Writer<'_> {
    fn duration(&mut self, duration: Duration) {
        self.long(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }

    fn fault(&mut self, fault: Option<Fault>) {
        let which = fault.map_or(0, |fault| fault.step.which());
        let is_it = |fault: Fault| STEPS.iter().position(|step| step(which) == fault.step);
        let number = fault.and_then(is_it).and_then(|number| u8::try_from(number + 1).ok());
        self.byte(number.unwrap_or(0));
        self.byte(which);
        self.bytes(&fault.map_or(0, |fault| fault.errno).to_le_bytes());
    }

    fn state(&mut self, state: &State) {
        let none = Pid(0);
        let never = Moment(0);
        let (number, pid, since, step, next) = match *state {
            State::Down => (0, none, never, 0, never),
            State::Waiting => (1, none, never, 0, never),
            State::Starting { pid, since, give_up } => (2, pid, since, 0, give_up),
            State::Up { pid, since } => (3, pid, since, 0, never),
            State::Stopping { pid, since, step, next_at } => (4, pid, since, step, next_at),
            State::Clearing { group, step, next_at } => (5, group, never, step, next_at),
            State::Quarantined { until } => (6, none, never, 0, until),
            State::Done => (7, none, never, 0, never),
            State::Failed => (8, none, never, 0, never),
            State::Listening => (9, none, never, 0, never),
            State::Unmet { which } => (10, none, never, which, never),
            State::Ending => (11, none, never, 0, never),
            State::Finishing { pid, since, kill_at } => (12, pid, since, 0, kill_at),
        };
        self.byte(number);
        self.byte(step);
        self.pid(pid);
        self.long(since.0);
        self.long(next.0);
    }

    fn death(&mut self, death: &Death) {
        let (kind, number) = match death.exit {
            None => (0, 0),
            Some(Exit::Code(code)) => (1, code),
            Some(Exit::Signal { signal, core: false }) => (2, signal.0),
            Some(Exit::Signal { signal, core: true }) => (3, signal.0),
            Some(Exit::Unknown) => (4, 0),
            Some(Exit::Memory) => (5, 0),
        };
        self.byte(kind);
        self.byte(number);
        self.fault(death.fault);
        self.duration(death.ran);
        self.long(death.at.0);
        self.byte(match death.strike {
            None => 0,
            Some(Strike::Short) => 1,
            Some(Strike::Burst) => 2,
            Some(Strike::Fault) => 3,
            Some(Strike::Work) => 4,
            Some(Strike::Setup) => 5,
            Some(Strike::Unready) => 6,
            Some(Strike::Health) => 7,
            Some(Strike::Watchdog) => 8,
        });
        self.flag(death.ordered);
    }

    fn history(&mut self, history: Option<&History>) {
        let Some(history) = history else { return self.flag(false) };
        self.flag(true);
        self.duration(history.lived);
        self.pid(history.pid.unwrap_or(Pid(0)));
        let count = history.recent.len().min(REMEMBERED);
        self.byte(u8::try_from(count).unwrap_or(0));
        history.recent.iter().take(count).for_each(|death| self.death(death));
        self.flag(history.first.is_some());
        history.first.iter().for_each(|death| self.death(death));
        let burst = history.deaths.len().min(BURST_MAX);
        self.byte(u8::try_from(burst).unwrap_or(0));
        for &at in history.deaths.iter().skip(history.deaths.len() - burst) {
            let ago = history.lived.saturating_sub(at).as_millis();
            self.word(u32::try_from(ago).unwrap_or(u32::MAX));
        }
    }
}

/// A stage's number in a record is its place here.
const STAGES: [Stage; 6] =
    [Stage::Fresh, Stage::Setup, Stage::Prepared, Stage::Forked, Stage::Running, Stage::Finish];

/// A step's number in a record is its place here, so new ones come last.
const STEPS: [fn(u8) -> Step; 37] = [
    |_| Step::Parse,
    |_| Step::FindUser,
    |_| Step::FindGroup,
    |_| Step::FindGroups,
    |_| Step::FindCommand,
    |_| Step::Pipe,
    |_| Step::Fork,
    |_| Step::Session,
    |_| Step::Stdin,
    |_| Step::Stdout,
    |_| Step::Stderr,
    |_| Step::Groups,
    |_| Step::Group,
    |_| Step::User,
    |_| Step::Directory,
    |_| Step::Execute,
    |_| Step::Late,
    |_| Step::Log,
    Step::EnvFile,
    Step::Expand,
    |_| Step::Nice,
    |_| Step::OomScore,
    |_| Step::Affinity,
    |_| Step::Sched,
    |_| Step::Ionice,
    Step::Limit,
    Step::Private,
    |_| Step::Chroot,
    Step::ReadOnly,
    Step::Writable,
    Step::Capability,
    |_| Step::NewPrivileges,
    Step::Listen,
    Step::Cgroup,
    |_| Step::Unhealthy,
    |_| Step::Voice,
    |_| Step::Hung,
];

impl Reader<'_> {
    fn moment(&mut self) -> Option<Moment> {
        self.long().map(Moment)
    }

    fn duration(&mut self) -> Option<Duration> {
        self.long().map(Duration::from_millis)
    }

    fn fault(&mut self) -> Option<Option<Fault>> {
        let (number, which) = (usize::from(self.byte()?), self.byte()?);
        let errno = self.bytes().map(i32::from_le_bytes)?;
        let Some(index) = number.checked_sub(1) else { return Some(None) };
        let step = STEPS.get(index)?(which);
        Some(Some(Fault { step, errno }))
    }

    fn state(&mut self) -> Option<State> {
        let (number, step) = (self.byte()?, self.byte()?);
        let pid = Pid(self.bytes().map(i32::from_le_bytes)?);
        let (since, next) = (self.moment()?, self.moment()?);
        let state = match number {
            0 => State::Down,
            1 => State::Waiting,
            2 => State::Starting { pid, since, give_up: next },
            3 => State::Up { pid, since },
            4 => State::Stopping { pid, since, step, next_at: next },
            5 => State::Clearing { group: pid, step, next_at: next },
            6 => State::Quarantined { until: next },
            7 => State::Done,
            8 => State::Failed,
            9 => State::Listening,
            10 => State::Unmet { which: step },
            11 => State::Ending,
            12 => State::Finishing { pid, since, kill_at: next },
            _ => return None,
        };
        (!state.is_alive() || state == State::Ending || pid.0 > 1).then_some(state)
    }

    fn death(&mut self) -> Option<Death> {
        let (kind, number) = (self.byte()?, self.byte()?);
        let exit = match kind {
            0 => None,
            1 => Some(Exit::Code(number)),
            2 | 3 => Some(Exit::Signal { signal: Signal(number), core: kind == 3 }),
            4 => Some(Exit::Unknown),
            5 => Some(Exit::Memory),
            _ => return None,
        };
        let fault = self.fault()?;
        let (ran, at) = (self.duration()?, self.moment()?);
        let strike = match self.byte()? {
            0 => None,
            1 => Some(Strike::Short),
            2 => Some(Strike::Burst),
            3 => Some(Strike::Fault),
            4 => Some(Strike::Work),
            5 => Some(Strike::Setup),
            6 => Some(Strike::Unready),
            7 => Some(Strike::Health),
            8 => Some(Strike::Watchdog),
            _ => return None,
        };
        Some(Death { exit, fault, ran, at, strike, ordered: self.flag()? })
    }

    fn history(&mut self) -> Option<Option<Box<History>>> {
        if !self.flag()? {
            return Some(None);
        }
        let lived = self.duration()?;
        let pid = self.bytes().map(i32::from_le_bytes)?;
        let pid = (pid > 1).then_some(Pid(pid));
        let mut history = History { lived, pid, ..History::default() };
        for _ in 0..usize::from(self.byte()?).min(REMEMBERED) {
            history.recent.push_back(self.death()?);
        }
        if self.flag()? {
            history.first = Some(self.death()?);
        }
        for _ in 0..usize::from(self.byte()?).min(BURST_MAX) {
            let ago = Duration::from_millis(u64::from(self.word()?));
            history.deaths.push_back(lived.saturating_sub(ago));
        }
        Some(Some(Box::new(history)))
    }
}

impl Header {
    /// As it is written, a record long.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut out = Writer { rest: &mut bytes };
        out.bytes(&MAGIC);
        out.word(VERSION);
        out.word(u32::try_from(SIZE).unwrap_or(0));
        out.bytes(&self.boot);
        out.long(self.namespace);
        out.pid(self.writer);
        out.long(self.started);
        seal(bytes)
    }

    /// Reads the head of a state file.
    ///
    /// # Errors
    /// Why it is none of ours, for people.
    pub fn decode(bytes: &[u8]) -> Result<Header, &'static str> {
        let mut from = Reader { rest: bytes };
        if from.bytes() != Some(MAGIC) {
            return Err("it is no state of going");
        }
        let size = u32::try_from(SIZE).ok();
        if from.word() != Some(VERSION) || from.word() != size {
            return Err("another version of going wrote it");
        }
        let content = bytes.get(..SIZE).and_then(unseal);
        let header = content.and_then(|_| {
            Some(Header {
                boot: from.bytes()?,
                namespace: from.long()?,
                writer: Pid(from.bytes().map(i32::from_le_bytes)?),
                started: from.long()?,
            })
        });
        header.ok_or("it is damaged")
    }
}

impl Birth {
    /// As the child writes it: no allocation, nothing that can fail.
    pub fn encode(&self) -> [u8; BIRTH_SIZE] {
        let mut bytes = [0; BIRTH_SIZE];
        let mut out = Writer { rest: &mut bytes };
        // No pid is longer than 22 bits (proc_sys_kernel(5), pid_max).
        out.pid(Pid(self.pid.0 | (self.job as i32) << JOB_AT));
        out.long(self.born.0);
        out.long(self.born.1);
        out.long(self.text);
        out.long(self.values);
        self.pipes.iter().for_each(|&pipe| out.long(pipe));
        seal(bytes)
    }

    /// Reads the birth of a record; `None` if there was none yet.
    pub fn decode(bytes: &[u8]) -> Option<Birth> {
        let mut from = Reader { rest: unseal(bytes.get(BIRTH_AT..BIRTH_AT + BIRTH_SIZE)?)? };
        let Pid(word) = from.pid()?;
        let (pid, job) = (word & ((1 << JOB_AT) - 1), word >> JOB_AT);
        Some(Birth {
            pid: (pid > 1).then_some(Pid(pid))?,
            job: *[Job::Main, Job::Setup, Job::Finish].get(usize::try_from(job).ok()?)?,
            born: (from.long()?, from.long()?),
            text: from.long()?,
            values: from.long()?,
            pipes: [from.long()?, from.long()?, from.long()?],
        })
    }

    /// Whether a process that was forked in this tick can be this one.
    pub fn is_of(&self, pid: Pid, tick: u64) -> bool {
        self.pid == pid && (self.born.0..=self.born.1).contains(&tick)
    }
}

/// Makes both checksums of a record right, whatever it holds; for tests.
pub fn reseal(record: &mut [u8; SIZE]) {
    let (life, birth) = record.split_at_mut(BIRTH_AT);
    for half in [life, birth] {
        if let Some((content, sum)) = half.split_last_chunk_mut::<4>() {
            *sum = checksum(content);
        }
    }
}

/// The life of a service as it is written.
pub fn encode(service: &Service) -> [u8; BIRTH_AT] {
    let mut bytes = [0; BIRTH_AT];
    let mut out = Writer { rest: &mut bytes };
    let name = service.name.as_bytes();
    out.byte(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.bytes(name);
    // Short names leave room at the end, where nobody reads.
    out.flag(service.want == Want::Up);
    out.state(&service.state);
    out.word(service.strikes);
    out.word(service.row);
    out.word(service.starts);
    out.long(service.changed_at.0);
    out.flag(service.ordered);
    out.fault(service.fault);
    let stage = STAGES.iter().position(|it| *it == service.stage);
    out.byte(stage.and_then(|it| u8::try_from(it).ok()).unwrap_or(0));
    out.history(service.history.as_deref());
    seal(bytes)
}

/// Reads the life of a record.
pub fn decode(bytes: &[u8]) -> Entry {
    let Some(bytes) = bytes.get(..BIRTH_AT) else { return Entry::Broken };
    if bytes.iter().all(|&byte| byte == 0) {
        return Entry::Free;
    }
    let content = unseal(bytes).and_then(|rest| read_life(&mut Reader { rest }));
    content.map_or(Entry::Broken, |service| Entry::Life(Record { service: Box::new(service) }))
}

fn read_life(from: &mut Reader) -> Option<Service> {
    let length = usize::from(from.byte()?);
    let name = from.slice(length.min(NAME_MAX))?;
    if names::judge(name) != Name::Service {
        return None;
    }
    let definition = Definition { text: Box::new([]), policy: Policy::default().into() };
    let mut service = Service::new(std::str::from_utf8(name).ok()?, definition);
    service.want = if from.flag()? { Want::Up } else { Want::Down };
    service.state = from.state()?;
    service.strikes = from.word()?;
    service.row = from.word()?;
    service.starts = from.word()?;
    service.changed_at = from.moment()?;
    service.ordered = from.flag()?;
    service.fault = from.fault()?;
    service.stage = *STAGES.get(usize::from(from.byte()?))?;
    service.history = from.history()?;
    service.stay = Stay::Here;
    Some(service)
}

impl Record {
    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// How things were.
    pub fn state(&self) -> State {
        self.service.state
    }

    /// Since when.
    pub fn changed_at(&self) -> Moment {
        self.service.changed_at
    }

    /// The service, defined as its file says now.
    pub fn into_service(mut self, definition: Definition) -> Box<Service> {
        self.service.definition = definition;
        self.service
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(super) mod tests;

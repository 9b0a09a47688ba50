//! The words in which the core and the daemon talk: what can be so, what can
//! happen, what can be done. Plain values; nothing is decided here.

use std::ops::Deref;
use std::sync::LazyLock;
use std::time::Duration;

use super::state::Stay;
use crate::config::{Policy, Signal, Whom};

/// Milliseconds on the monotonic clock. Cut, never rounded up, so that a wait
/// computed from it ends at or after its deadline and no wake is in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `wait` later; the end of time if there is none.
    pub fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A process number, always above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(pub i32);

/// What a service file came to, in its smallest form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The file's text, parsed again for each spawn.
    pub text: Box<[u8]>,
    /// The part that must be at hand.
    pub policy: HeldPolicy,
}

/// A policy at hand, in next to no space when it is the usual one, as most are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPolicy(Option<Box<Policy>>);

static USUAL: LazyLock<Policy> = LazyLock::new(Policy::default);

impl From<Policy> for HeldPolicy {
    fn from(policy: Policy) -> HeldPolicy {
        HeldPolicy((policy != *USUAL).then(|| Box::new(policy)))
    }
}

impl Deref for HeldPolicy {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        self.0.as_deref().unwrap_or(&USUAL)
    }
}

/// How a process ended (waitid(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u8),
    /// By a signal.
    Signal {
        /// Which one.
        signal: Signal,
        /// Whether a core was dumped.
        core: bool,
    },
    /// By the kernel, because there was not enough memory for it.
    Memory,
    /// While nobody looked; not as it should, for all we know.
    Unknown,
}

/// What can be spawned for a service, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Its main process.
    Main,
    /// What comes before that.
    Setup,
    /// What comes after it.
    Finish,
}

/// What a new going finds of a service that an earlier one kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// This process, which was forked then.
    Process(Job, Pid, Moment),
    /// Others of the group that is named after its dead main process.
    Group(Pid),
    /// Nothing.
    Nothing,
}

/// Where on the way to its program a child can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its file could not be read as a spec any more.
    Parse,
    /// The user is not known.
    FindUser,
    /// The group is not known.
    FindGroup,
    /// One of the other groups is not known.
    FindGroups,
    /// The command is not in the PATH.
    FindCommand,
    /// There is nobody to write its log.
    Log,
    /// pipe2(2), for the child's last words or its output.
    Pipe,
    /// fork(2).
    Fork,
    /// setsid(2).
    Session,
    /// Opening stdin.
    Stdin,
    /// Opening stdout.
    Stdout,
    /// Opening stderr.
    Stderr,
    /// setgroups(2).
    Groups,
    /// setresgid(2).
    Group,
    /// setresuid(2).
    User,
    /// chdir(2).
    Directory,
    /// execve(2).
    Execute,
    /// It was not ready in time.
    Late,
    /// One of the files of variables could not be read.
    EnvFile(u8),
    /// A variable in the value of a key is not set, or makes it useless.
    Expand(u8),
    /// setpriority(2).
    Nice,
    /// Writing its oom_score_adj.
    OomScore,
    /// sched_setaffinity(2).
    Affinity,
    /// sched_setscheduler(2).
    Sched,
    /// ioprio_set(2).
    Ionice,
    /// prlimit(2) of one of the resources.
    Limit(u8),
    /// unshare(2), or what makes use of it.
    Private(u8),
    /// chroot(2).
    Chroot,
    /// Making one of the trees read-only.
    ReadOnly(u8),
    /// Leaving one of the trees writable.
    Writable(u8),
    /// Dropping a capability, or keeping it.
    Capability(u8),
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    NewPrivileges,
    /// Opening one of its sockets.
    Listen(u8),
    /// Its control group, or one of the limits of that.
    Cgroup(u8),
    /// It did not answer as one that is well.
    Unhealthy,
    /// Making what it is to say by that it is ready.
    Voice,
    /// It was silent for longer than its watchdog allows.
    Hung,
}

impl Step {
    /// Those which a child can tell, each known by its place in here.
    const TOLD: [fn(u8) -> Step; 22] = [
        |_| Step::Execute,
        |_| Step::Session,
        |_| Step::Stdin,
        |_| Step::Stdout,
        |_| Step::Stderr,
        |_| Step::Groups,
        |_| Step::Group,
        |_| Step::User,
        |_| Step::Directory,
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
        Step::Cgroup,
    ];

    /// The step of these bytes, as a child tells it.
    pub fn of([place, which]: [u8; 2]) -> Step {
        Step::TOLD.get(usize::from(place)).map_or(Step::Execute, |step| step(which))
    }

    /// The bytes of a step, for a child to tell it.
    pub fn told(self) -> [u8; 2] {
        let which = self.which();
        let found = (0_u8..).zip(Step::TOLD).find(|(_, step)| step(which) == self);
        [found.map_or(0, |(place, _)| place), which]
    }

    /// Which of several it is about.
    pub(super) fn which(self) -> u8 {
        match self {
            Step::EnvFile(which)
            | Step::Expand(which)
            | Step::Limit(which)
            | Step::Private(which)
            | Step::ReadOnly(which)
            | Step::Writable(which)
            | Step::Capability(which)
            | Step::Listen(which)
            | Step::Cgroup(which) => which,
            Step::Parse
            | Step::FindUser
            | Step::FindGroup
            | Step::FindGroups
            | Step::FindCommand
            | Step::Log
            | Step::Pipe
            | Step::Fork
            | Step::Session
            | Step::Stdin
            | Step::Stdout
            | Step::Stderr
            | Step::Groups
            | Step::Group
            | Step::User
            | Step::Directory
            | Step::Execute
            | Step::Late
            | Step::Nice
            | Step::OomScore
            | Step::Affinity
            | Step::Sched
            | Step::Ionice
            | Step::Chroot
            | Step::Unhealthy
            | Step::NewPrivileges
            | Step::Voice
            | Step::Hung => 0,
        }
    }
}

/// Why a program never ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What was being done.
    pub step: Step,
    /// What the kernel said, an errno(3).
    pub errno: i32,
}

impl Fault {
    /// The start took too long (ETIMEDOUT).
    pub const LATE: Fault = Fault { step: Step::Late, errno: 110 };
    /// It ran, but was not well (ETIMEDOUT).
    pub const UNHEALTHY: Fault = Fault { step: Step::Unhealthy, errno: 110 };

    /// It has not said in time that it is well.
    pub const HUNG: Fault = Fault { step: Step::Hung, errno: 110 };

    /// Whether waiting is likely to help, so that nobody is to blame.
    pub fn heals(self) -> bool {
        // EAGAIN, ENOMEM, ENFILE, EMFILE and ETXTBSY have the same numbers on
        // every Linux; libc is out of bounds here.
        // Whoever has the address may go, and the directory may come.
        matches!(self.step, Step::Listen(_)) || matches!(self.errno, 11 | 12 | 23 | 24 | 26)
    }
}

/// Why a death counts against a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// The run was shorter than `min-uptime`.
    Short,
    /// Too many deaths within `burst`.
    Burst,
    /// The program could not be run.
    Fault,
    /// A oneshot did not do its work.
    Work,
    /// Its setup failed.
    Setup,
    /// It died, or time was up, before it was ready.
    Unready,
    /// It was stopped because it was not well.
    Health,
    /// It was silent for longer than its watchdog allows.
    Watchdog,
}

/// The end of a run, or of an attempt at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// How the process ended; `None` if there was none.
    pub exit: Option<Exit>,
    /// Why the program never ran, if it did not.
    pub fault: Option<Fault>,
    /// From fork to death.
    pub ran: Duration,
    /// When.
    pub at: Moment,
    /// How it was counted; `None` for a healthy run or an ordered stop.
    pub strike: Option<Strike>,
    /// Whether somebody had asked for it.
    pub ordered: bool,
}

/// What can happen to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its file is there, as it was not before: its `start` key says what follows.
    Arrive,
    /// Somebody wants to talk to it.
    Demand,
    /// The operator wants it up.
    Start,
    /// The operator wants it down.
    Stop,
    /// It is wanted up, and as a new process.
    Restart,
    /// There is no place for it any more.
    Leave(Stay),
    /// Whatever is being stopped must be gone now.
    Kill,
    /// Its turn to be spawned has come.
    Go,
    /// It was forked.
    Spawned(Pid),
    /// It could not be forked, or not even prepared.
    SpawnFailed(Fault),
    /// The condition of this number is not met, so it was not even forked.
    Unmet(u8),
    /// Its conditions are worth another look.
    Look,
    /// Its program runs.
    Executed,
    /// It is ready.
    Ready,
    /// It runs, but is not well.
    Unhealthy,
    /// It may be time for its work to be done again.
    Again,
    /// It needs more time for what it does: so much from now on, at least.
    Extend(Duration),
    /// It says that it hangs, or has not said for too long that it does not.
    Hung,
    /// What it may have said while there was no going was not heard.
    Unheard,
    /// Its program could not be run; the death of the child follows.
    ExecFailed(Fault),
    /// Its main process ended well, and it lives on in this one.
    Moved(Pid),
    /// Its main process, its setup or its finish died.
    Exited {
        /// How.
        exit: Exit,
        /// Whether it left processes behind that `kill` wants stopped.
        left: bool,
    },
    /// Of what it left behind, some have not been told to stop.
    Strays,
    /// This process of it runs, though nothing of it should.
    Found(Pid),
    /// What it left behind is gone.
    Cleared,
    /// Time has passed.
    Tick,
}

/// What the daemon is to do; it tells the outcome by another event.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fork and exec, then `Spawned` or `SpawnFailed`; or `Unmet`.
    Spawn(Job),
    /// Send a signal.
    Signal {
        /// The process, or the group named after it.
        pid: Pid,
        /// What.
        signal: Signal,
        /// To whom.
        whom: Whom,
    },
    /// Nothing is left of it: drop it.
    Forget,
}

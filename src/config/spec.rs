//! What one service file says, as values: nothing here knows lines, files or
//! the system, and nothing here is decided.

use std::time::Duration;

use super::care::{Condition, HeldCare};
use super::cgroup::Cgroup;
use super::changes::Changes;
use super::child::Sandbox;
use super::limits::Limits;
use super::listen::{Listen, ListenAs};
use super::order::HeldOrder;

/// Everything a service file can say. Lives only while a service is compared or
/// spawned; between times its text is kept instead, the smallest form it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What the supervisor needs at hand all the time.
    pub policy: Policy,
    /// The words of the command; never empty in a parsed spec.
    pub cmd: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// User name or number; `None` is going's own.
    pub user: Option<String>,
    /// Group name or number; `None` is the user's own.
    pub group: Option<String>,
    /// Supplementary groups; `None` are the user's own, as initgroups(3) has them.
    pub groups: Option<Vec<String>>,
    /// File mode creation mask, at most 0o777.
    pub umask: u32,
    /// Variables, in file order; a later one wins over an earlier of its name.
    pub env: Vec<(String, String)>,
    /// Files of variables, each with a `-` before it if it may be missing.
    pub env_files: Vec<String>,
    /// Variables which neither going nor those files give it.
    pub unset_env: Vec<String>,
    /// Whether it gets none of going's own variables.
    pub clean_env: bool,
    /// What must be so for it to be started.
    pub conditions: Vec<Condition>,
    /// The words of what is run before it; none for nothing.
    pub setup: Vec<String>,
    /// The words of what is run after it; none for nothing.
    pub finish: Vec<String>,
    /// How much it may take.
    pub limits: Limits,
    /// How much all of it together may take.
    pub cgroup: Cgroup,
    /// What it may see and do.
    pub sandbox: Sandbox,
    /// The sockets that are held for it.
    pub listen: Vec<Listen>,
    /// How it gets them.
    pub listen_as: ListenAs,
    /// Where the service reads from.
    pub stdin: Stream,
    /// Where its output goes.
    pub stdout: Stream,
    /// Where its errors go.
    pub stderr: Stream,
    /// How what is logged is kept.
    pub log: Log,
    /// Whether its end is that of all others.
    pub essential: bool,
    /// The service with whose status going exits.
    pub exit_code_from: Option<String>,
    /// Groups of services it belongs to.
    pub tags: Vec<String>,
    /// Users, and groups with an `@`, that may command it.
    pub control: Vec<String>,
    /// One line for people.
    pub description: String,
    /// How many instances a template has beside those with files.
    pub instances: u32,
    /// How it learns of changes of its own.
    pub changes: Changes,
    /// The words of what tells how it is; none for nothing.
    pub health: Vec<String>,
    /// The words of what is asked whether it is ready; none for nothing.
    pub ready: Vec<String>,
    /// The words of what is run when something becomes of it, a `Hook` each.
    pub hooks: [Vec<String>; 3],
}

/// Where a standard stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// `/dev/null`.
    Null,
    /// Going's own stream.
    Inherit,
    /// An absolute path: read for stdin, appended to for the others.
    File(String),
    /// Wherever stdout leads (stderr only).
    Stdout,
    /// A log of its own, written by going-log.
    Log,
    /// The system's log, through going-log.
    Syslog,
    /// A pipe which going writes to (stdin only).
    Pipe,
}

/// How the output of a service is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// In bytes; a log that large becomes a backup. 0 is no limit.
    pub size: u64,
    /// So many backups stay; 0 is all.
    pub keep: u32,
    /// Whether backups but the newest are compressed.
    pub compress: bool,
    /// What is before each line.
    pub timestamps: Timestamps,
    /// Whether escape sequences are left out.
    pub strip_ansi: bool,
    /// Lines beyond it are counted only.
    pub rate: Option<Rate>,
    /// What happens when nothing can be written.
    pub full: Full,
    /// Whether inherited output is made of whole lines with a name before each.
    pub prefix: bool,
    /// Whether each start empties the log.
    pub truncate: bool,
}

/// The time before each line of a log (RFC 3339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// In UTC.
    Utc,
    /// In local time, with its offset.
    Local,
    /// None.
    No,
}

/// What happens to output when a log cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It is counted, and the count is written when that is possible again.
    Drop,
    /// It stays in the pipe, and the service waits when that is full.
    Block,
}

/// `lines` within `within`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub lines: u32,
    /// Longer than nothing.
    pub within: Duration,
}

/// The part of a spec by which the supervisor decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Runs for ever, or once.
    pub kind: Kind,
    /// When it is started first.
    pub start: Start,
    /// When it is started again.
    pub restart: Restart,
    /// The ends which are no failure.
    pub success: Box<[Success]>,
    /// A run shorter than this is a strike.
    pub min_uptime: Duration,
    /// The first quarantine of a row; doubled for each further one.
    pub backoff: Duration,
    /// No quarantine is longer than this, jitter aside.
    pub backoff_max: Duration,
    /// Per cent by which a quarantine may be shorter or longer, at most 100.
    pub jitter: u8,
    /// Give up after so many strikes in a row; 0 is never.
    pub strikes: u32,
    /// So many deaths within so long a time of running are a crash loop.
    pub burst: Option<Burst>,
    /// Signals and how long each is given to work; KILL always follows the last.
    pub stop: Box<[StopStep]>,
    /// Who gets those signals; KILL always reaches all.
    pub kill: Whom,
    /// What only some ask for.
    pub care: HeldCare,
    /// Before and after whom.
    pub order: HeldOrder,
}

/// How long a service is meant to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Until it is stopped.
    Service,
    /// Until it has done its work, once.
    Oneshot,
    /// As a daemon that leaves its parent, until it is stopped.
    Forking,
}

/// When a service is started first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As soon as its file is there.
    Auto,
    /// When somebody asks for it.
    Manual,
    /// By the first connection to one of its sockets.
    OnDemand,
}

/// When a service that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// However it ended.
    Always,
    /// When it ended in another way than `success` lists.
    OnFailure,
    /// Never.
    Never,
}

/// An end that is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// This exit status.
    Code(u8),
    /// Death by this signal.
    Signal(Signal),
}

/// `count` deaths within `within` of running, however long each run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// At least 2.
    pub count: u16,
    /// Time spent running, quarantines not counted.
    pub within: Duration,
}

/// One step of a stop sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStep {
    /// What is sent.
    pub signal: Signal,
    /// How long to wait before the next step.
    pub wait: Duration,
}

/// Who is signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The main process alone.
    Process,
    /// Its process group.
    Group,
    /// Every descendant, whatever session or group it made for itself.
    All,
    /// Every descendant outside of its process group, which was told already. No key
    /// says so.
    Strays,
}

/// A signal by its Linux number, 1 to 64 (signal(7), the generic numbers); 0 is none,
/// and only a step of a stop sequence can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(pub u8);

impl Default for Spec {
    /// What a file says that says nothing. It lacks a command, so it is no
    /// service yet.
    fn default() -> Spec {
        Spec {
            policy: Policy::default(),
            cmd: Vec::new(),
            cwd: "/".into(),
            user: None,
            group: None,
            groups: None,
            umask: 0o022,
            env: Vec::new(),
            env_files: Vec::new(),
            unset_env: Vec::new(),
            clean_env: false,
            conditions: Vec::new(),
            setup: Vec::new(),
            finish: Vec::new(),
            limits: Limits::default(),
            cgroup: Cgroup::default(),
            sandbox: Sandbox::default(),
            listen: Vec::new(),
            listen_as: ListenAs::Fds,
            stdin: Stream::Null,
            stdout: Stream::Log,
            stderr: Stream::Stdout,
            log: Log::default(),
            essential: false,
            exit_code_from: None,
            tags: Vec::new(),
            control: Vec::new(),
            description: String::new(),
            instances: 0,
            changes: Changes::default(),
            health: Vec::new(),
            ready: Vec::new(),
            hooks: Default::default(),
        }
    }
}

impl Default for Log {
    /// As in `keys/output.rs`: five files of a megabyte are enough to see what
    /// happened, and too little to fill a small disk.
    fn default() -> Log {
        Log {
            size: 1024 * 1024,
            keep: 4,
            compress: true,
            timestamps: Timestamps::Utc,
            strip_ansi: false,
            rate: None,
            full: Full::Drop,
            prefix: false,
            truncate: false,
        }
    }
}

impl Default for Policy {
    /// The numbers are explained in `keys.rs`, whose table must say the same.
    fn default() -> Policy {
        Policy {
            kind: Kind::Service,
            start: Start::Auto,
            restart: Restart::Always,
            success: Box::new([Success::Code(0)]),
            min_uptime: Duration::from_secs(5),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            jitter: 10,
            strikes: 0,
            burst: Some(Burst { count: 10, within: Duration::from_secs(60) }),
            stop: Box::new([StopStep { signal: Signal::TERM, wait: Duration::from_secs(10) }]),
            kill: Whom::Group,
            care: HeldCare::default(),
            order: HeldOrder::default(),
        }
    }
}

//! From the command line to the loop, or to the answer that was asked for.

mod user;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::ExitCode;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use nix::unistd::Uid;

use super::adopt::{Legacy, Refused};
use super::cgroup::Cgroups;
use super::confdir::Directory;
use super::errands::Errands;
use super::events::Events;
use super::listeners::Listeners;
use super::logger::Place;
use super::logs::Logs;
use super::main_command::MainCommand;
use super::mend::Arrears;
use super::options::{self, HELP, Options, Task};
use super::orders::Ends;
use super::pidfile::Pidfile;
use super::ready::Readiness;
use super::report::{Level, Reporter, report};
use super::rest::Rest;
use super::rundir::{Refusal, RunDirectory};
use super::server::Server;
use super::unusable::Unusable;
use super::upgrade::{self, Handover};
use super::{DOORBELL, Daemon, SIGNALS, check};
use crate::config::Stream;
use crate::supervise::{Pid, Supervisor};
use crate::sys::background::{self, Side, Starter};
use crate::sys::{self, processes};

/// What going(8) exits with, by the numbers of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ending {
    /// All is well.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// `--check` found something.
    Complaints = 65,
    /// The kernel refused something we cannot be without.
    System = 71,
    /// The directory cannot be read.
    NoDirectory = 72,
    /// Another going has the run directory.
    AlreadyRunning = 75,
}

/// Runs going(8) with the arguments of this process.
pub fn main() -> ExitCode {
    sys::stack::shrink();
    let defaults = options::Places::of(Uid::effective().is_root(), |name| std::env::var_os(name));
    let status = match options::read(std::env::args_os(), defaults) {
        Ok(options) => perform(options),
        Err(why) => {
            complain(&format!(
                "going {}: {why}\nusage: going [-d DIR] [-r DIR] [-o KEY=VALUE]... (--help says more)",
                env!("CARGO_PKG_VERSION")
            ));
            Ending::Usage as u8
        }
    };
    ExitCode::from(status)
}

fn perform(options: Options) -> u8 {
    if let Err(why) = user::become_user(&options) {
        complain(&format!("going: {why}"));
        return Ending::System as u8;
    }
    let ending = match options.task {
        Task::Help => say(HELP),
        Task::Version => say(concat!("going ", env!("CARGO_PKG_VERSION"), "\n")),
        Task::Check => check::check(options),
        Task::UpgradeCheck => upgrade::check(options),
        // After an upgrade we are where we belong.
        Task::Supervise if options.is_background && !upgrade::is_under_way() => {
            return supervise_away(options);
        }
        Task::Supervise => return supervise(options, &mut None),
    };
    ending as u8
}

/// The same, with nobody to wait for us but for the start.
fn supervise_away(options: Options) -> u8 {
    let mut starter = match background::leave() {
        Ok(Side::Behind(status)) => return status,
        Ok(Side::Away(starter)) => Some(starter),
        Err(error) => {
            complain(&format!("Can't go into the background: {}", sys::explain(&error)));
            return Ending::System as u8;
        }
    };
    let status = supervise(options, &mut starter);
    if let Some(starter) = starter {
        starter.tell(status);
    }
    status
}

/// All is ready, and whoever started us need wait no longer.
fn let_go(reporter: &mut Reporter, starter: Starter) {
    reporter.flush();
    reporter.let_go();
    // Without /dev/null we would not have got here.
    let _ = background::drop_stderr();
    starter.tell(Ending::Ok as u8);
}

/// Reports get somewhere, or there is no start.
fn open_reporter(options: &Options, is_leaving: bool) -> Result<Reporter, Ending> {
    let mut reporter = Reporter::new(options.target.clone(), options.verbosity);
    let opened = reporter.open();
    let ready = opened.and_then(|()| if is_leaving { reporter.prepare_to_leave() } else { Ok(()) });
    ready.map(|()| reporter).map_err(|why| {
        complain(&format!("going: {why}"));
        Ending::System
    })
}

fn supervise(options: Options, starter: &mut Option<Starter>) -> u8 {
    let (daemon, handover) = match prepare(options, starter) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    daemon.run(handover).unwrap_or_else(|error| fail(&error))
}

fn fail(error: &io::Error) -> u8 {
    complain(&format!("going: {}", sys::explain(error)));
    Ending::System as u8
}

/// All that must be had before the first service is started. Not inlined, as what else
/// is done ahead of it, for the room on the stack that it takes would be taken for ever.
#[inline(never)]
fn prepare(
    mut options: Options,
    starter: &mut Option<Starter>,
) -> Result<(Box<Daemon>, Handover), u8> {
    let mut reporter = match open_reporter(&options, starter.is_some()) {
        Ok(reporter) => reporter,
        Err(ending) => return Err(ending as u8),
    };
    // Later a missing directory is waited for; now it is most likely a mistake.
    let is_alone = !options.command.is_empty() && !options.is_directory_given;
    let listing = Directory::list(&options.directory);
    if let Some(error) = listing.err().filter(|error| !is_alone || !is_missing(error)) {
        let (path, why) = (options.directory.display(), sys::explain(&error));
        report!(reporter, Level::Error, "Can't open {path}: {why}");
        reporter.flush();
        return Err(Ending::NoDirectory as u8);
    }
    let mut handover = Handover::take();
    let run = match take_run_directory(&options, handover.lock.take(), &mut reporter) {
        Ok(run) => run,
        Err(ending) => {
            reporter.flush();
            return Err(ending as u8);
        }
    };
    let legacy = match Legacy::open(run.as_ref().map(|run| run.path.as_path()), &mut reporter) {
        Ok(legacy) => legacy,
        Err(why) => return Err(refuse(why, &mut reporter) as u8),
    };
    let logs = find_logs(&mut options, &mut reporter, run.as_ref());
    let pidfile = match take_pidfile(options.pidfile.as_deref(), &mut reporter) {
        Ok(pidfile) => pidfile,
        Err(ending) => {
            reporter.flush();
            return Err(ending as u8);
        }
    };
    let daemon = Daemon::new(options, reporter, run, logs, legacy, &mut handover);
    let mut daemon = Box::new(daemon.map_err(|error| fail(&error))?);
    daemon.ends._pidfile = pidfile;
    starter.take().into_iter().for_each(|it| let_go(&mut daemon.reporter, it));
    Ok((daemon, handover))
}

/// Whether there is no such directory, as when nobody asked for one.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn refuse(why: Refused, reporter: &mut Reporter) -> Ending {
    let ending = match why {
        Refused::Held(Pid(pid)) => {
            report!(reporter, Level::Error, "Still running as pid {pid}, though without its lock");
            Ending::AlreadyRunning
        }
        Refused::Blind(error) => {
            let why = sys::explain(&error);
            let so = "not to start services twice, none is started";
            report!(reporter, Level::Error, "Can't read the state file: {why}; {so}");
            Ending::System
        }
    };
    reporter.flush();
    ending
}

/// Where logs go. Without a place for them the output of services goes where our
/// own goes, unless their files say otherwise.
fn find_logs(
    options: &mut Options,
    reporter: &mut Reporter,
    run: Option<&RunDirectory>,
) -> Option<Logs> {
    let directory = options.log_directory.as_deref();
    match Place::find(directory, run.map(|run| run.path.as_path())) {
        Ok((place, lack)) => {
            if let Some(why) = lack {
                do_without_logs(options, reporter, &why);
            } else if place.is_root() {
                let shown = place.directory.display();
                let why = format!("user going-log or nobody must be able to write to {shown}");
                report!(reporter, Level::Warning, "going-log will run as root: {why}");
            }
            Some(Logs::new(place))
        }
        Err(why) => {
            do_without_logs(options, reporter, &why);
            None
        }
    }
}

fn do_without_logs(options: &mut Options, reporter: &mut Reporter, why: &str) {
    if options.defaults.stdout == Stream::Log {
        options.defaults.stdout = Stream::Inherit;
        report!(reporter, Level::Warning, "No logs, stdout=inherit is the default: {why}");
    }
}

/// The lock and the place of the control socket. Without them we do our work all
/// the same, unless they were asked for by name or another going has them.
fn take_run_directory(
    options: &Options,
    lock: Option<OwnedFd>,
    reporter: &mut Reporter,
) -> Result<Option<RunDirectory>, Ending> {
    let Some(path) = &options.run_directory else {
        let why = "no XDG_RUNTIME_DIR; give a run directory with -r";
        report!(reporter, Level::Warning, "No control socket: {why}");
        return Ok(None);
    };
    let shown = path.display();
    match RunDirectory::take(path, lock) {
        Ok(run) => Ok(Some(run)),
        Err(Refusal::Held(pid)) => {
            let hint = "another going needs another run directory, -r";
            report!(reporter, Level::Error, "Already running as pid {pid} in {shown}; {hint}");
            Err(Ending::AlreadyRunning)
        }
        Err(Refusal::Failed(error)) => {
            let why = sys::explain(&error);
            if options.is_run_directory_given {
                report!(reporter, Level::Error, "Can't use run directory {shown}: {why}");
                return Err(Ending::System);
            }
            report!(reporter, Level::Warning, "No control socket, can't use {shown}: {why}");
            Ok(None)
        }
    }
}

/// The pidfile, if there is to be one.
fn take_pidfile(path: Option<&Path>, reporter: &mut Reporter) -> Result<Option<Pidfile>, Ending> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display();
    match Pidfile::take(path) {
        Ok(pidfile) => Ok(Some(pidfile)),
        Err(Refusal::Held(pid)) => {
            let hint = "it is left as it is";
            report!(
                reporter,
                Level::Error,
                "{shown} is the pidfile of running process {pid}; {hint}"
            );
            Err(Ending::AlreadyRunning)
        }
        Err(Refusal::Failed(error)) => {
            report!(reporter, Level::Error, "Can't write {shown}: {}", sys::explain(&error));
            Err(Ending::System)
        }
    }
}

/// Prints an answer. Nobody listening is no reason to panic.
pub(super) fn say(text: &str) -> Ending {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ending::Ok,
        Err(_) => Ending::System,
    }
}

/// Prints what is wrong.
pub(super) fn complain(text: &str) {
    // There is nowhere else to go with it.
    let _ = writeln!(io::stderr(), "{text}");
}

impl Daemon {
    /// Takes over signals and opens all that is needed to the end.
    ///
    /// # Errors
    /// What signalfd(2), epoll_create(2), inotify_init(2) and open(2) say.
    fn new(
        options: Options,
        reporter: Reporter,
        run: Option<RunDirectory>,
        logs: Option<Logs>,
        legacy: Legacy,
        handover: &mut Handover,
    ) -> io::Result<Daemon> {
        sys::fds::raise_limit();
        sys::fds::keep_from_children();
        // Before the first fork, or the first SIGCHLD would be lost.
        let signals = sys::signals::take_over()?;
        if std::process::id() != 1 {
            processes::become_subreaper()?;
        }
        let directory = Directory::new(options.directory)?;
        let poll = Poll::new()?;
        let (registry, readable) = (poll.registry(), Interest::READABLE);
        let listen = |fd: RawFd, at| registry.register(&mut SourceFd(&fd), Token(at), readable);
        listen(signals.as_raw_fd(), SIGNALS)?;
        listen(directory.doorbell(), DOORBELL)?;
        let cgroups = Cgroups::new(run.as_ref().map(|run| run.path.as_path()));
        let server = run.map(|run| Server::new(run, handover.listener.take(), registry));
        let main = MainCommand::new(options.command, &options.given, !options.is_directory_given);
        let now = sys::monotonic();
        Ok(Daemon {
            supervisor: Supervisor::new(seed()),
            reporter,
            directory,
            defaults: options.defaults,
            signals,
            poll,
            polled: mio::Events::with_capacity(64),
            null: sys::fds::open_null()?,
            ears: Vec::new(),
            refused: Unusable::default(),
            misplaced: Vec::new(),
            rest: Rest::default(),
            reread: None,
            watching: None,
            is_started: false,
            heard: Vec::new(),
            logs,
            listeners: Listeners::new(std::mem::take(&mut handover.sockets)),
            readiness: Readiness::inherit(std::mem::take(&mut handover.readiness)),
            inputs: Vec::new(),
            cgroups,
            legacy,
            ends: Ends { is_init: options.is_init, main: main.map(Box::new), ..Ends::default() },
            arrears: Arrears::default(),
            errands: Errands::default(),
            minds: Vec::new(),
            server: server.transpose()?,
            events_ring: Events::default(),
            turns: 0,
            is_stack_deep: true,
            started_at: now,
            now,
        })
    }
}

/// The standard hasher's keys are random, and so good enough as dice.
fn seed() -> u32 {
    let seed = RandomState::new().build_hasher().finish() & u64::from(u32::MAX);
    u32::try_from(seed).unwrap_or(1)
}

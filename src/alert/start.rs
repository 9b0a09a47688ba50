//! From the command line to the first event.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::deliver::deliver;
use super::event::Alert;
use super::folder::{self, Folder};
use super::follow::Follower;
use super::listen::{self, Listen};
use super::options::{self, HELP, Options, Task};
use super::spool;
use crate::client::{Place, Trouble};
use crate::config::grammar::show;
use crate::config::nearest::nearest;
use crate::config::values::hint;
use crate::protocol::Message;
use crate::sys;

/// What going-alert(8) exits with, mostly by the numbers of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ending {
    /// All is well.
    Ok = 0,
    /// A test message was not sent.
    Failed = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The files are.
    Complaints = 65,
    /// The kernel refused something we cannot be without.
    System = 71,
    /// There is no directory.
    NoDirectory = 72,
    /// There is one of us already.
    Already = 75,
}

type Wrong = (Ending, String);

/// Runs going-alert(8) with the arguments of this process.
pub fn main() -> ExitCode {
    let (ending, why) = match options::read(std::env::args_os()) {
        Ok(task) => match perform(task) {
            Ok(()) => (Ending::Ok, String::new()),
            Err(wrong) => wrong,
        },
        Err(why) => (Ending::Usage, format!("{why}\nusage: going-alert (--help says more)")),
    };
    if !why.is_empty() {
        complain(&why);
    }
    ExitCode::from(ending as u8)
}

/// Says it to whoever reads our log.
pub fn complain(text: &str) {
    // There is nowhere else to go with it.
    let _ = writeln!(io::stderr(), "going-alert: {text}");
}

fn say(text: &str) -> Result<(), Wrong> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|error| (Ending::System, format!("can't write: {}", sys::explain(&error))))
}

fn perform(task: Task) -> Result<(), Wrong> {
    match task {
        Task::Help => say(HELP),
        Task::Version => say(concat!("going-alert ", env!("CARGO_PKG_VERSION"), "\n")),
        Task::Check(options) => check(&options),
        Task::Test(options, target) => test(&options, &target),
        Task::Follow(options) => follow(options),
        Task::Listen(listen) => listen_to(*listen),
    }
}

fn directory(options: &Options) -> Result<PathBuf, Wrong> {
    let given =
        options.directory.clone().map_or_else(|| default_folder(Uid::effective().is_root()), Ok);
    given.map_err(|why| (Ending::Usage, why))
}

fn read(path: &Path) -> Result<Folder, Wrong> {
    folder::read(path).map_err(|error| {
        let why = format!("Can't open {}: {}", path.display(), sys::explain(&error));
        (Ending::NoDirectory, why)
    })
}

fn check(options: &Options) -> Result<(), Wrong> {
    let path = directory(options)?;
    let folder = read(&path)?;
    let mut lines = folder.complaints;
    lines.extend(folder.rules.iter().flat_map(|rule| folder::examine(&path, rule)));
    lines.sort();
    say(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    if lines.is_empty() {
        return Ok(());
    }
    let text = format!("{} of {} can be used", folder.rules.len(), "the files");
    Err((Ending::Complaints, format!("{} complaints; {text}", lines.len())))
}

fn test(options: &Options, target: &str) -> Result<(), Wrong> {
    let path = directory(options)?;
    let folder = read(&path)?;
    let Some(rule) = folder.rules.iter().find(|rule| rule.name == target) else {
        folder.complaints.iter().for_each(|it| complain(it));
        let names = folder.rules.iter().map(|rule| &*rule.name);
        let why = hint(format!("no target {}", show(target)), nearest(target, names));
        return Err((Ending::Failed, why));
    };
    let now = u64::try_from(sys::wall_seconds()).unwrap_or(0).saturating_mul(1000);
    let text = format!("this is a test of {target}, and nothing has happened");
    let mut alert = Alert::new("test", &text, now, &[], &Message::new());
    alert.id = format!("test-{}.{now}", std::process::id());
    match deliver(&rule.settings, &[alert]) {
        Ok(()) => say(&format!("{target}: sent\n")),
        Err(failure) => {
            Err((Ending::Failed, format!("{target}: not sent: {}", failure.sentence())))
        }
    }
}

fn listen_to(listen: Listen) -> Result<(), Wrong> {
    let place = Place::find(listen.run_directory.as_deref());
    let usage = |trouble: Trouble| (Ending::Usage, trouble.sentence().unwrap_or("").to_owned());
    listen::run(listen, place.map_err(usage)?).map_err(|why| (Ending::System, why))
}

fn follow(options: Options) -> Result<(), Wrong> {
    let usage = |why: String| (Ending::Usage, why);
    let place = Place::find(options.run_directory.as_deref());
    let place = place.map_err(|trouble| usage(trouble.sentence().unwrap_or("").to_owned()))?;
    let directory = directory(&options)?;
    let root = options
        .spool
        .map_or_else(|| default_spool(Uid::effective().is_root()), Ok)
        .map_err(usage)?;
    let failed = |error: io::Error| {
        (Ending::System, format!("{}: {}", root.display(), sys::explain(&error)))
    };
    spool::make(&root).map_err(failed)?;
    let mut lock = OpenOptions::new();
    let lock = lock.write(true).create(true).truncate(false).mode(0o600);
    let lock = lock.open(root.join(".lock")).map_err(failed)?;
    // Two of us would tell everything twice.
    let Ok(_lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
        let why = format!("{}: another going-alert uses it; -s names another one", root.display());
        return Err((Ending::Already, why));
    };
    Follower::new(place, directory, root).follow()
}

/// Where the spools are.
fn default_spool(is_root: bool) -> Result<PathBuf, String> {
    if is_root {
        return Ok(PathBuf::from("/var/spool/going-alert"));
    }
    let get = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let state = get("XDG_STATE_HOME").or(get("HOME").map(|home| home.join(".local/state")));
    state
        .map(|state| state.join("going-alert"))
        .ok_or_else(|| "HOME is not set, so name a spool directory with -s".to_owned())
}

/// Where our files are.
fn default_folder(is_root: bool) -> Result<PathBuf, String> {
    if is_root {
        return Ok(Path::new("/etc/going-alert.d").to_owned());
    }
    let get = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let config = get("XDG_CONFIG_HOME").or(get("HOME").map(|home| home.join(".config")));
    config
        .map(|config| config.join("going-alert.d"))
        .ok_or_else(|| "HOME is not set, so name a directory with -d".to_owned())
}

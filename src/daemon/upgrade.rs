//! `goingctl upgrade`: another going takes our place in our own process, so that the
//! services stay its children. The new program is tried first, as a child that must
//! understand the state; only what has shown that is executed, and if that fails all
//! goes on as it was. Nothing here may wait: the new program may hang.

use std::env;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use super::answer::Work;
use super::confdir::Directory;
use super::options::Options;
use super::report::{Level, report};
use super::server::Client;
use super::start::{Ending, complain, say};
use super::{Daemon, state};
use crate::config::Signal;
use crate::protocol::Code;
use crate::supervise::{Exit, Moment, Pid};
use crate::sys::child::{self, Program, Word};
use crate::sys::sandbox::Wrapping;
use crate::sys::streams::Source;
use crate::sys::{self, fds, processes};

/// What a new going answers to `--upgrade-check` when all is well, before the rest.
pub(super) const ANSWER: &str = "can take over";

/// The variable in which descriptors are handed over, as numbers: the lock, the
/// control socket, the client who asked, then any number of pipes and sockets; each is
/// followed by a colon, and that by what there is to say of it.
pub(super) const HANDOVER: &str = "GOING_HANDOVER";

/// To read the state of a thousand services takes a new going some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than this of a failing program's complaints nobody wants to read.
const ANSWER_MAX: u64 = 1000;

/// An upgrade under way.
pub(super) struct Upgrade {
    /// Ours, now another program's.
    program: PathBuf,
    /// The new program, trying whether it could.
    check: Pid,
    /// Tells why it could not even be executed.
    ear: OwnedFd,
    /// What it says.
    voice: OwnedFd,
    /// After that it has failed.
    pub(super) until: Moment,
    outcome: Option<Result<(), String>>,
    /// It failed, and that has been reported.
    is_told: bool,
}

/// What the going before us in this process handed over.
#[derive(Default)]
pub(super) struct Handover {
    pub(super) lock: Option<OwnedFd>,
    pub(super) listener: Option<OwnedFd>,
    /// Who waits to hear that the upgrade was done.
    pub(super) client: Option<OwnedFd>,
    /// Pipes whose services may be dead, and what going-log must know of each.
    pub(super) pipes: Vec<(OwnedFd, String)>,
    /// Sockets, and of which service each is.
    pub(super) sockets: Vec<(OwnedFd, String)>,
    /// What services say that they are ready by, and of which service each is.
    pub(super) readiness: Vec<(OwnedFd, String)>,
}

impl Handover {
    /// Takes what there is, if this is an upgrade. To be called once.
    pub(super) fn take() -> Handover {
        let text = env::var(HANDOVER).unwrap_or_default();
        let mut words = text.split(' ').map(|word| {
            let (number, rest) = word.split_once(':').unwrap_or((word, ""));
            let fd = number.parse().ok().and_then(fds::inherit);
            fd.map(|fd| (fd, rest.to_owned()))
        });
        let mut next = || words.next().flatten().map(|(fd, _)| fd);
        let (lock, listener, client) = (next(), next(), next());
        let mut handover = Handover { lock, listener, client, ..Handover::default() };
        for (fd, text) in words.flatten() {
            match text.strip_prefix('l') {
                Some(name) => handover.sockets.push((fd, name.to_owned())),
                None if text.starts_with(['n', 'r']) => handover.readiness.push((fd, text)),
                None => handover.pipes.push((fd, text)),
            }
        }
        handover
    }
}

/// Whether another going was here before us, in this process.
pub(super) fn is_under_way() -> bool {
    env::var_os(HANDOVER).is_some()
}

/// Where our program is; another may be there by now.
pub(super) fn own_program() -> Option<PathBuf> {
    let path = env::current_exe().ok()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

fn words(words: impl Iterator<Item = std::ffi::OsString>) -> Vec<CString> {
    words.filter_map(|word| CString::new(word.into_vec()).ok()).collect()
}

/// `going --upgrade-check`: whether this program understands what the one that runs
/// has written down.
#[inline(never)]
pub(super) fn check(options: Options) -> Ending {
    if let Err(error) = Directory::list(&options.directory) {
        let (path, why) = (options.directory.display(), sys::explain(&error));
        complain(&format!("Can't open {path}: {why}"));
        return Ending::NoDirectory;
    }
    let path = options.run_directory.map(|it| it.join("state")).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    match state::read(&path) {
        Ok(Some(found)) if found.broken == 0 => {
            let count = found.kept.len();
            say(&format!("going {version} {ANSWER} {count} services\n"))
        }
        read => {
            let why = match read {
                Err(why) => why.explain(),
                Ok(None) => "it is not there".to_owned(),
                Ok(Some(found)) => format!("{} damaged records", found.broken),
            };
            complain(&format!("going {version} can't take over, {}: {why}", path.display()));
            Ending::Complaints
        }
    }
}

impl Daemon {
    /// Has the new program try whether it understands the state.
    pub(super) fn answer_upgrade(&mut self, client: &mut Client) {
        let done = if self.legacy.upgrade.as_ref().is_some_and(|it| !it.is_told) {
            Err("an upgrade is under way".to_owned())
        } else if self.supervisor.is_closing() {
            Err("going is shutting down".to_owned())
        } else if !self.legacy.is_written() {
            Err("there is no state file to take over".to_owned())
        } else {
            self.begin_upgrade()
        };
        match done {
            Ok(upgrade) => {
                self.legacy.upgrade = Some(upgrade);
                client.work = Work::Upgrade;
            }
            Err(why) => self.refuse_request(client, Code::Failed, &why),
        }
    }

    fn begin_upgrade(&self) -> Result<Upgrade, String> {
        let program = self.legacy.program.clone().ok_or("/proc does not tell where going is")?;
        let failed = |why: String| format!("can't try {}: {why}", program.display());
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (voice, theirs) = pipe2(flags).map_err(|errno| failed(sys::describe(errno as i32)))?;
        let mut child = image(&program, None);
        child.argv.push(c"--upgrade-check".to_owned());
        let stream = || Source::Descriptor(theirs.as_raw_fd());
        child.streams = [Source::Null, stream(), stream()];
        let (check, ear) = child::spawn(&child, self.null.as_fd(), None)
            .map_err(|fault| failed(sys::describe(fault.errno)))?;
        let until = self.now.after(PATIENCE);
        Ok(Upgrade { program, check, ear, voice, until, outcome: None, is_told: false })
    }

    /// A child died that is no service: the one that tried, perhaps.
    pub(super) fn hear_check(&mut self, pid: Pid, exit: Exit) {
        let Some(upgrade) = self.legacy.upgrade.as_mut().filter(|it| it.check == pid) else {
            return;
        };
        let Ok(voice) = upgrade.voice.try_clone() else { return };
        let mut said = Vec::new();
        // It ends with an error where there is nothing more to read at once.
        let _ = File::from(voice).take(ANSWER_MAX).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        let word = child::hear(upgrade.ear.as_fd());
        let fault = if let Some(Word::Fault(fault)) = word { Some(fault) } else { None };
        let path = upgrade.program.display();
        upgrade.outcome.get_or_insert(match (fault, exit) {
            (Some(fault), _) => {
                Err(format!("can't execute {path}: {}", sys::describe(fault.errno)))
            }
            (None, Exit::Code(0)) if said.starts_with("going ") && said.contains(ANSWER) => Ok(()),
            (None, Exit::Code(0)) => Err(format!("{path} is no going that can take over")),
            (None, _) if said.is_empty() => Err(format!("{path} fails without a word")),
            (None, _) => Err(said),
        });
    }

    /// Goes on with an upgrade under way as far as that is possible now. Called in
    /// each turn.
    pub(super) fn go_on_upgrading(&mut self) {
        let Some(upgrade) = &mut self.legacy.upgrade else { return };
        let is_late = upgrade.until <= self.now;
        let why = match &upgrade.outcome {
            // Whoever asked has been told, or is gone.
            Some(Err(_)) if upgrade.is_told => {
                self.legacy.upgrade = None;
                return;
            }
            Some(Err(why)) => why.clone(),
            None if is_late => {
                let _ = processes::signal_group(upgrade.check, Signal(9));
                format!("{} does not answer", upgrade.program.display())
            }
            // A child that is not its program yet could not tell the new going why it
            // never will be.
            Some(Ok(())) if !self.ears.is_empty() && is_late => {
                "services are still being started".to_owned()
            }
            Some(Ok(())) if self.ears.is_empty() => match self.replace() {
                Ok(never) => match never {},
                Err(why) => why,
            },
            Some(Ok(())) | None => return,
        };
        report!(self.reporter, Level::Error, "Upgrade failed, going on as before: {why}");
        self.reporter.flush();
        if let Some(upgrade) = &mut self.legacy.upgrade {
            upgrade.outcome = Some(Err(why));
            upgrade.is_told = true;
        }
    }

    /// Tells who asked for the upgrade that it failed, if it did.
    pub(super) fn work_on_upgrade(&mut self, client: &mut Client) -> bool {
        let outcome = self.legacy.upgrade.as_ref().map(|it| &it.outcome);
        let why = match outcome {
            Some(Some(Err(why))) => why.clone(),
            Some(_) => {
                client.work = Work::Upgrade;
                return false;
            }
            None => "somebody else's upgrade failed".to_owned(),
        };
        self.refuse_request(client, Code::Failed, &why);
        true
    }

    /// Becomes the new program. Comes back only if that fails.
    fn replace(&mut self) -> Result<std::convert::Infallible, String> {
        let Some(upgrade) = &self.legacy.upgrade else { return Err(String::new()) };
        let path = upgrade.program.clone();
        let shown = path.display();
        report!(self.reporter, Level::Info, "upgrade: becoming {shown}");
        self.reporter.flush();
        let server = self.server.as_ref();
        let own = server.map(|server| server.handover()).ok_or("nobody asked")?;
        let own = own.into_iter().map(|fd| (fd, String::new()));
        let inherited = own.chain(self.bequeathed_pipes()).chain(self.bequeathed_sockets());
        let inherited: Vec<_> = inherited.chain(self.bequeathed_readiness()).collect();
        let numbers: Vec<_> = inherited.iter().map(|(fd, text)| format!("{fd}:{text}")).collect();
        let image_of_us = image(&path, Some(&numbers.join(" ")));
        inherited.iter().for_each(|(fd, _)| fds::set_inherited(*fd, true));
        fds::lower_limit();
        let errno = sys::image::replace(&image_of_us);
        fds::raise_limit();
        inherited.iter().for_each(|(fd, _)| fds::set_inherited(*fd, false));
        Err(format!("can't execute {shown}: {}", sys::describe(errno)))
    }

    /// Tells whoever asked for the upgrade that it was done, by the one we became.
    pub(super) fn finish_upgrade(&mut self, client: Option<OwnedFd>) {
        let Some(client) = client else { return };
        let mut out = Vec::new();
        self.put_done(&mut out);
        // Whoever does not read the few bytes does not want them.
        let _ = UnixStream::from(client).write_all(&out);
    }
}

/// Going as it was started, from this file, with what is handed over to it.
pub(super) fn image(path: &Path, handover: Option<&str>) -> Program {
    Program {
        path: CString::new(path.as_os_str().as_bytes()).unwrap_or_default(),
        argv: words(env::args_os()),
        envp: environment(handover),
        cwd: c".".to_owned(),
        umask: Mode::from_bits_truncate(0o022),
        identity: None,
        streams: [Source::Inherit, Source::Inherit, Source::Inherit],
        passed: Vec::new(),
        voice: None,
        has_terminal: false,
        cgroup: None,
        slack: None,
        wrapping: Wrapping::default(),
    }
}

/// Our own environment, and what is handed over in it.
fn environment(handover: Option<&str>) -> Vec<CString> {
    let own = env::vars_os().filter(|(name, _)| name != HANDOVER);
    let own = own.map(|(mut line, value)| {
        line.push("=");
        line.push(value);
        line
    });
    let handover = handover.map(|it| format!("{HANDOVER}={it}").into());
    words(own.chain(handover))
}

//! From the command line to the loop, or to the answer that was asked for.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::compress::{self, Compressor};
use super::console::Console;
use super::files::Files;
use super::journal::{Journal, Refusal};
use super::news::Level;
use super::options::{self, HELP, Place, Task};
use super::peek::Peek;
use super::records::hash;
use super::syslog::Syslog;
use super::wire::{self, Wire};
use super::writer::Writer;
use super::{CONSOLE, LISTENER, Logger, SIGNALS};
use crate::sys::{self, pipes};

/// What going-log(8) exits with, by the numbers of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ending {
    /// All is well.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// The kernel refused something we cannot be without.
    System = 71,
    /// A file could not be compressed.
    Failed = 74,
    /// Another going-log has the journal.
    AlreadyRunning = 75,
}

/// Runs going-log(8) with the arguments of this process.
pub fn main() -> ExitCode {
    let ending = match options::read(std::env::args_os()) {
        Ok(task) => perform(task),
        Err(why) => {
            complain(&format!("{why}\nusage: going-log -l DIR (--help says more)"));
            Ending::Usage
        }
    };
    ExitCode::from(ending as u8)
}

fn perform(task: Task) -> Ending {
    match task {
        Task::Help => say(HELP),
        Task::Version => say(concat!("going-log ", env!("CARGO_PKG_VERSION"), "\n")),
        Task::Compress => match compress::compress() {
            Ok(()) => Ending::Ok,
            Err(error) => {
                complain(&format!("going-log: can't compress: {}", sys::explain(&error)));
                Ending::Failed
            }
        },
        Task::Log { directory, socket, journal } => match prepare(directory, socket, journal) {
            Ok(logger) => match logger.run() {
                Ok(()) => Ending::Ok,
                Err(error) => fail("epoll", &error),
            },
            Err(ending) => ending,
        },
    }
}

/// Takes over what we were given and opens what we need to the end.
fn prepare(directory: PathBuf, socket: Place, journal: Place) -> Result<Logger, Ending> {
    // First of all, before anything else gets these numbers.
    let journal = match journal {
        Place::Number(number) => {
            pipes::inherit(number).map_err(|error| fail("the journal", &error))?.into()
        }
        Place::Path(path) => open_journal(&path).map_err(|error| fail("the journal", &error))?,
    };
    let listener = match socket {
        Place::Number(number) => pipes::inherit(number),
        Place::Path(path) => wire::bind_to(&path),
    };
    let listener = listener.map_err(|error| fail("the socket", &error))?;
    sys::fds::keep_from_children();
    let mut files = Files::new(directory);
    let journal = take_journal(journal, &mut files)?;
    open(files, journal, listener).map_err(|error| fail("going-log", &error))
}

fn open_journal(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Opens the journal. Without one logs are written all the same.
fn take_journal(file: File, files: &mut Files) -> Result<Journal, Ending> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // The standard hasher's keys are random.
    let seed = RandomState::new().build_hasher().finish();
    let error = match Journal::open(Some(file), hash(&boot), seed) {
        Ok((journal, is_strange)) => {
            if is_strange {
                let text = "the journal was not one of ours, and is begun anew";
                files.news.add(Level::Warning, text.to_owned());
            }
            return Ok(journal);
        }
        Err(Refusal::Held) => {
            complain("another going-log has the journal");
            return Err(Ending::AlreadyRunning);
        }
        Err(Refusal::Failed(error)) => error,
    };
    let why = sys::explain(&error);
    let text = format!("there is no journal ({why}): should going-log be killed, output is lost");
    files.news.add(Level::Error, text);
    match Journal::open(None, 0, seed) {
        Ok((journal, _)) => Ok(journal),
        Err(_) => Err(Ending::System),
    }
}

fn open(files: Files, journal: Journal, listener: OwnedFd) -> io::Result<Logger> {
    // As many services as we may have descriptors.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
    let signals = sys::signals::take_over()?;
    let poll = Poll::new()?;
    let wire = Wire::new(listener, poll.registry().try_clone()?);
    let listen = |fd: RawFd, token, interest| {
        poll.registry().register(&mut SourceFd(&fd), Token(token), interest)
    };
    listen(signals.as_raw_fd(), SIGNALS, Interest::READABLE)?;
    listen(wire.fd(), LISTENER, Interest::READABLE)?;
    let console = Console::new();
    // A plain file is always ready, which epoll refuses to tell.
    let _ = listen(console.fd(), CONSOLE, Interest::WRITABLE);
    let mut writer = Writer { journal, files, rotated: Vec::new() };
    compress::clean_up(&mut writer.files);
    Ok(Logger {
        poll,
        polled: mio::Events::with_capacity(64),
        signals,
        wire,
        writer,
        peek: Peek::new()?,
        console,
        syslog: Syslog::default(),
        compressor: Compressor::default(),
        streams: Vec::new(),
        ended: VecDeque::new(),
        woken_at: 0,
        hurries: 0,
        is_pressed: false,
        is_closing: false,
        now: 0,
    })
}

/// Prints an answer. Nobody listening is no reason to panic.
fn say(text: &str) -> Ending {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ending::Ok,
        Err(_) => Ending::System,
    }
}

fn complain(text: &str) {
    // There is nowhere else to go with it.
    let _ = writeln!(io::stderr(), "going-log: {text}");
}

fn fail(what: &str, error: &io::Error) -> Ending {
    complain(&format!("{what}: {}", sys::explain(error)));
    Ending::System
}

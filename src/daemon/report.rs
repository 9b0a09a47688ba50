//! Where our own words go: syslog or stderr. A report must never make us wait:
//! one that cannot be written at once is counted, and the count told later.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::pidfile;
use crate::sys;

/// Adds a line to a [`Reporter`]: `report!(reporter, Level::Info, "{name}: ...")`.
macro_rules! report {
    ($reporter:expr, $level:expr, $($text:tt)+) => {
        $reporter.add($level, format_args!($($text)+))
    };
}
pub(crate) use report;

/// How much a line matters, by the numbers of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A service, or going, cannot do what it should.
    Error = 3,
    /// It can, but somebody may want to know.
    Warning = 4,
    /// What was done.
    Info = 6,
    /// What led to it.
    Debug = 7,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Our own stderr.
    Stderr,
    /// The socket `/dev/log`.
    Syslog,
    /// This file.
    File(PathBuf),
}

/// LOG_DAEMON of syslog(3), shifted as it goes over the wire.
const FACILITY: u8 = 3 << 3;

const SOCKET: &str = "/dev/log";

/// Collects lines during one turn of the loop and writes them at its end, so that
/// no service waits for its own obituary to be written.
pub struct Reporter {
    target: Target,
    limit: Level,
    pid: u32,
    lines: Vec<(Level, String)>,
    socket: Option<UnixDatagram>,
    stderr: Option<File>,
    /// The file that is the target.
    file: Option<File>,
    /// What matters is told on stderr as well, until we have started.
    is_echoing: bool,
    lost: u64,
}

impl Reporter {
    /// A reporter to `target`; where nobody says, to people if there are any, to
    /// syslog if there is one.
    pub fn new(target: Option<Target>, verbosity: i8) -> Reporter {
        let stderr = io::stderr();
        let target = target.unwrap_or_else(|| {
            let has_syslog = std::path::Path::new(SOCKET).exists();
            if stderr.is_terminal() || !has_syslog { Target::Stderr } else { Target::Syslog }
        });
        let limit = match verbosity {
            1 => Level::Debug,
            0 => Level::Info,
            _ => Level::Warning,
        };
        let stderr = sys::fds::reopen_nonblocking(stderr.as_fd()).ok().map(File::from);
        Reporter {
            target,
            limit,
            pid: std::process::id(),
            lines: Vec::new(),
            socket: None,
            stderr,
            file: None,
            is_echoing: false,
            lost: 0,
        }
    }

    /// Makes sure that reports get somewhere when stderr is gone, and echoes those of
    /// the start there until [`Reporter::let_go`].
    ///
    /// # Errors
    /// Why nobody would get them.
    pub fn prepare_to_leave(&mut self) -> Result<(), String> {
        self.is_echoing = true;
        let is_lost = match self.target {
            Target::Stderr => true,
            Target::Syslog => connect().is_err(),
            Target::File(_) => false,
        };
        let why = "without a terminal reports need a syslog at /dev/log, or --report file:PATH";
        if is_lost { Err(why.to_owned()) } else { Ok(()) }
    }

    /// Writes no more to stderr.
    pub fn let_go(&mut self) {
        self.is_echoing = false;
        self.stderr = None;
    }

    /// Opens the file of the reports, or opens it again: it may have been moved.
    ///
    /// # Errors
    /// Why that cannot be done, for people.
    pub fn open(&mut self) -> Result<(), String> {
        let Target::File(path) = &self.target else { return Ok(()) };
        match pidfile::open(path, OpenOptions::new().append(true), 0o640) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                return Err(format!(
                    "Can't report to {}: {}",
                    path.display(),
                    sys::explain(&error)
                ));
            }
        }
        Ok(())
    }

    /// Opens the file again, or goes on with the one that is open.
    pub fn reopen(&mut self) {
        if let Err(why) = self.open() {
            report!(self, Level::Warning, "{why}");
        }
    }

    /// Takes a line, to be written by [`Reporter::flush`].
    pub fn add(&mut self, level: Level, text: std::fmt::Arguments) {
        if level <= self.limit {
            self.lines.push((level, text.to_string()));
        }
    }

    /// Writes what was added.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        if self.lost > 0 {
            let text = format!("{} report lines lost, nobody read them", self.lost);
            if self.write(Level::Warning, &text) {
                self.lost = 0;
            }
        }
        for (level, text) in lines {
            if !self.write(level, &text) {
                self.lost = self.lost.saturating_add(1);
            }
        }
    }

    fn write(&mut self, level: Level, text: &str) -> bool {
        if self.is_echoing && level <= Level::Warning && self.target != Target::Stderr {
            self.write_stderr(text);
        }
        match self.target {
            Target::Stderr => self.write_stderr(text),
            Target::Syslog => self.write_syslog(level, text),
            Target::File(_) => self.write_file(text),
        }
    }

    fn write_file(&mut self, text: &str) -> bool {
        let line = format!("{} going[{}]: {text}\n", sys::wall_clock(), self.pid);
        self.file.as_mut().is_some_and(|file| file.write_all(line.as_bytes()).is_ok())
    }

    fn write_stderr(&mut self, text: &str) -> bool {
        let line = format!("going[{}]: {text}\n", self.pid);
        match &mut self.stderr {
            // A line torn by a full pipe counts as lost, too.
            Some(file) => file.write_all(line.as_bytes()).is_ok(),
            None => {
                let stderr = io::stderr();
                sys::fds::is_ready(stderr.as_fd()) && (&stderr).write_all(line.as_bytes()).is_ok()
            }
        }
    }

    /// One datagram a line, in the form of RFC 3164 without the time, which
    /// syslog daemons add. The socket is opened anew when syslog was restarted.
    fn write_syslog(&mut self, level: Level, text: &str) -> bool {
        let line = format!("<{}>going[{}]: {text}", FACILITY | level as u8, self.pid);
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect().ok();
            }
            let Some(socket) = &self.socket else { return false };
            match socket.send(line.as_bytes()) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.socket = None,
            }
        }
        false
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(SOCKET)?;
    Ok(socket)
}
